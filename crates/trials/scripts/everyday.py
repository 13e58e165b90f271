"""Everyday use of kazoo against every member: python everyday.py HOST:PORT,HOST:PORT,...

Ends with the line "all well" or with an exception.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoNodeError, NodeExistsError, NotEmptyError
from kazoo.protocol.states import EventType

PATIENCE = 30


def connected(hosts, **options):
    client = KazooClient(hosts=hosts, timeout=8, **options)
    client.start(timeout=PATIENCE)
    return client


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call} {arguments} was not refused with {error}")


def nodes(client, root):
    """Create, read, change and delete nodes; versions and refusals."""
    assert client.create(f"{root}/plain", b"one") == f"{root}/plain"
    refused(NodeExistsError, client.create, f"{root}/plain", b"two")
    refused(NoNodeError, client.create, f"{root}/none/child", b"")
    data, stat = client.get(f"{root}/plain")
    assert (data, stat.version, stat.numChildren) == (b"one", 0, 0)
    assert client.set(f"{root}/plain", b"two", version=0).version == 1
    refused(BadVersionError, client.set, f"{root}/plain", b"three", version=0)
    client.create(f"{root}/plain/child", b"")
    refused(NotEmptyError, client.delete, f"{root}/plain")
    client.delete(f"{root}/plain/child")
    refused(BadVersionError, client.delete, f"{root}/plain", version=0)
    client.delete(f"{root}/plain", version=1)
    refused(NoNodeError, client.get, f"{root}/plain")
    assert client.exists(f"{root}/plain") is None


def sequences(client, root):
    """Sequential nodes count by their parent."""
    names = [client.create(f"{root}/item-", b"", sequence=True) for _ in range(3)]
    assert names == [f"{root}/item-{number:010d}" for number in range(3)], names
    assert sorted(client.get_children(root)) == [name.rsplit("/", 1)[1] for name in names]
    last = client.create(f"{root}/item-", b"", sequence=True, ephemeral=True)
    assert last == f"{root}/item-0000000003", last
    assert client.exists(last).ephemeralOwner == client.client_id[0]


def transactions(client, root):
    """All or nothing."""
    transaction = client.transaction()
    transaction.create(f"{root}/a", b"1")
    transaction.create(f"{root}/b", b"2")
    transaction.check(root, version=0)
    assert transaction.commit() == [f"{root}/a", f"{root}/b", True]
    transaction = client.transaction()
    transaction.delete(f"{root}/a")
    transaction.create(f"{root}/b", b"again")
    results = transaction.commit()
    assert isinstance(results[1], NodeExistsError), results
    assert client.exists(f"{root}/a"), "half of a failed transaction was applied"


def watches(client, other, root):
    """What one client does through one member, another sees through another."""
    events = []
    seen = threading.Semaphore(0)

    def watcher(event):
        events.append(event.type)
        seen.release()

    def expect(kind):
        assert seen.acquire(timeout=PATIENCE), f"no {kind}; seen: {events}"
        assert events[-1] == kind, events

    other.sync(root)
    assert other.exists(f"{root}/watched", watch=watcher) is None
    client.create(f"{root}/watched", b"one")
    expect(EventType.CREATED)
    assert other.get(f"{root}/watched", watch=watcher)[0] == b"one"
    client.set(f"{root}/watched", b"two")
    expect(EventType.CHANGED)
    assert other.get(f"{root}/watched")[0] == b"two"
    client.set(f"{root}/watched", b"three")
    other.sync(root)
    assert other.get_children(f"{root}/watched", watch=watcher) == []
    client.create(f"{root}/watched/child", b"")
    expect(EventType.CHILD)
    assert other.exists(f"{root}/watched/child", watch=watcher)
    client.delete(f"{root}/watched/child")
    expect(EventType.DELETED)
    assert len(events) == 4, f"a watch fired twice: {events}"


def ephemerals(hosts, other, root):
    """What a session holds goes when the session is closed."""
    gone = threading.Event()
    client = connected(hosts)
    client.create(f"{root}/mine", b"", ephemeral=True)
    other.sync(root)
    assert other.exists(f"{root}/mine", watch=lambda event: gone.set())
    client.stop()
    client.close()
    assert gone.wait(PATIENCE), "the node of a closed session stays"
    assert other.exists(f"{root}/mine") is None


def recipes(client, other, root):
    """A lock is held by one and handed on."""
    order = []
    first = client.Lock(f"{root}/lock", "first")
    second = other.Lock(f"{root}/lock", "second")
    first.acquire(timeout=PATIENCE)

    def wait():
        with second:
            order.append("second")

    waiting = threading.Thread(target=wait)
    waiting.start()
    while len(client.get_children(f"{root}/lock")) < 2:
        client.sync(root)
    order.append("first")
    first.release()
    waiting.join(PATIENCE)
    assert order == ["first", "second"], order


def main():
    members = sys.argv[1].split(",")
    for number, hosts in enumerate(members):
        client = connected(hosts)
        other = connected(members[(number + 1) % len(members)])
        root = f"/everyday-{number}"
        client.create(root, b"")
        for name, step in [("nodes", nodes), ("sequences", sequences), ("transactions", transactions)]:
            client.create(f"{root}/{name}", b"")
            step(client, f"{root}/{name}")
        for name, step in [("watches", watches), ("recipes", recipes)]:
            client.create(f"{root}/{name}", b"")
            step(client, other, f"{root}/{name}")
        client.create(f"{root}/ephemerals", b"")
        ephemerals(hosts, other, f"{root}/ephemerals")
        client.delete(root, recursive=True)
        for one in (client, other):
            one.stop()
            one.close()
        print(f"{hosts} is well")
    print("all well")


main()
