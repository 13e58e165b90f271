"""One kazoo session that writes steadily: python session.py HOST:PORT,HOST:PORT,... FOLDER

Prints "session ID" once it holds an ephemeral node FOLDER/alive, "state NAME" for every change of the connection, and
"acknowledged PATH" for every write. A line on standard input ends it: it prints "still ID" if the session and its
ephemeral node are the same as in the beginning.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, NodeExistsError, OperationTimeoutError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry

stopped = threading.Event()
printing = threading.Lock()


def say(line):
    with printing:
        print(line, flush=True)


def listen():
    sys.stdin.readline()
    stopped.set()


def write(client, path):
    """Creates a node, again and again until it is acknowledged."""
    while not stopped.is_set():
        try:
            client.create_async(path, path.encode()).get(timeout=10)
        except NodeExistsError:
            pass
        except (ConnectionLoss, OperationTimeoutError, KazooTimeoutError):
            stopped.wait(0.02)
            continue
        except SessionExpiredError:
            say("expired")
            return
        say(f"acknowledged {path}")
        return


def main():
    hosts, folder = sys.argv[1:]
    eager = KazooRetry(max_tries=-1, delay=0.02, backoff=1, max_jitter=0.0)
    client = KazooClient(hosts=hosts, timeout=8, connection_retry=eager)
    client.add_listener(lambda state: say(f"state {state}"))
    client.start(timeout=30)
    session = client.client_id[0]
    client.ensure_path(folder)
    client.create(f"{folder}/alive", b"", ephemeral=True)
    say(f"session {session:x}")
    threading.Thread(target=listen, daemon=True).start()
    number = 0
    while not stopped.is_set():
        write(client, f"{folder}/{number:08d}")
        number += 1
        stopped.wait(0.002)
    owner = client.retry(client.exists, f"{folder}/alive").ephemeralOwner
    assert client.client_id[0] == session, "another session"
    assert owner == session, "the ephemeral node belongs to another session"
    say(f"still {session:x}")
    client.stop()


main()
