"""kazoo's recipes while members are killed: python recipes.py HOST:PORT,HOST:PORT,...

First every recipe once, in quiet. Then lock, election and queue by several clients at once, until a line on standard
input says "enough": a lock may never be held by two, an election never have two winners, a queue hands out everything once.
Prints "quiet" after the first part, "held N", "won N" and "taken N" as the second goes on, and "all well" at the end.
"""

import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionClosedError, KazooException, SessionExpiredError
from kazoo.recipe.barrier import Barrier, DoubleBarrier
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.retry import KazooRetry

CONTENDERS = 3
ITEMS = 2000

printing = threading.Lock()
enough = threading.Event()
failures = []


def say(line):
    with printing:
        print(line, flush=True)


def client(hosts):
    """A client that comes back as fast as it can and tries again whatever a lost connection left undone."""
    eager = dict(max_tries=-1, delay=0.02, backoff=1, max_jitter=0.0)
    made = KazooClient(
        hosts=hosts, timeout=10, connection_retry=KazooRetry(**eager), command_retry=KazooRetry(**eager)
    )
    made.start(timeout=30)
    return made


def wait_until(what, holds, patience=20):
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what} does not hold after {patience} s")
        time.sleep(0.02)


def quiet(hosts):
    """Every recipe once."""
    one, two = client(hosts), client(hosts)
    counter = one.Counter("/counter")
    counter += 3
    other = two.Counter("/counter")
    other -= 1
    # Another member may serve this client: what others wrote is there after a sync.
    one.sync("/counter")
    assert one.Counter("/counter").value == 2

    barrier = Barrier(one, "/barrier")
    barrier.create()
    passed = threading.Event()
    waiter = threading.Thread(target=lambda: Barrier(two, "/barrier").wait(20) and passed.set())
    waiter.start()
    barrier.remove()
    waiter.join(20)
    assert passed.is_set()

    both = [DoubleBarrier(each, "/double", 2) for each in (one, two)]
    threads = [threading.Thread(target=lambda each=each: (each.enter(), each.leave())) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a double barrier holds its clients"

    party = [one.Party("/party", "one"), two.Party("/party", "two")]
    for each in party:
        each.join()
    one.sync("/party")
    assert sorted(party[0]) == ["one", "two"]
    party[1].leave()
    one.sync("/party")
    assert sorted(party[0]) == ["one"]

    partitioners = [
        each.SetPartitioner("/parts", set=("a", "b", "c"), identifier=name, time_boundary=0.2)
        for each, name in ((one, "one"), (two, "two"))
    ]
    wait_until("the set is divided", lambda: all([divided(each) for each in partitioners]))
    parts = [set(each) for each in partitioners]
    assert parts[0] | parts[1] == {"a", "b", "c"} and not parts[0] & parts[1], parts
    for each in partitioners:
        each.finish()

    seen, names = [], []
    one.create("/watched", b"0")
    DataWatch(one, "/watched", lambda data, stat: seen.append(data))
    ChildrenWatch(one, "/watched", lambda children: names.append(sorted(children)))
    for number in range(1, 4):
        two.set("/watched", b"%d" % number)
        two.create(f"/watched/{number}")
        wait_until("the change is seen", lambda: seen[-1] == b"%d" % number and names[-1][-1:] == [str(number)])

    with one.ReadLock("/shared", "one"), two.ReadLock("/shared", "two"):
        two.sync("/shared")
        assert not client_lock(two, "/shared"), "a writer got in beside readers"
    semaphore = one.Semaphore("/semaphore", max_leases=2)
    with semaphore, two.Semaphore("/semaphore", max_leases=2):
        one.sync("/semaphore")
        assert len(semaphore.lease_holders()) == 2
    queue = one.Queue("/plain-queue")
    queue.put(b"later", priority=200)
    queue.put(b"sooner", priority=1)
    two.sync("/plain-queue")
    assert [two.Queue("/plain-queue").get() for _ in range(2)] == [b"sooner", b"later"]
    for each in (one, two):
        each.stop()


def divided(partitioner):
    if partitioner.allocating:
        partitioner.wait_for_acquire(0.05)
    elif partitioner.release:
        partitioner.release_set()
    return partitioner.acquired


def client_lock(client, path):
    lock = client.WriteLock(path, "writer")
    got = lock.acquire(blocking=False)
    if got:
        lock.release()
    return got


class Room:
    """Where only one may be. Nobody's session ends here, so nobody may be thought dead while inside."""

    def __init__(self, word):
        self.word, self.inside, self.visits, self.guard = word, None, 0, threading.Lock()

    def visit(self, name):
        with self.guard:
            if self.inside is not None:
                raise AssertionError(f"{name} was let in while {self.inside} was there ({self.word})")
            self.inside = name
        time.sleep(0.005)
        with self.guard:
            self.inside = None
            self.visits += 1
            visits = self.visits
        say(f"{self.word} {visits}")


def contend(hosts, work):
    """Runs `work(client)` again and again. A lost connection is retried within the recipe or here."""
    mine = client(hosts)
    try:
        while not enough.is_set():
            try:
                work(mine)
            except (SessionExpiredError, AssertionError) as failure:
                failures.append(failure)
                enough.set()
            except (ConnectionClosedError, KazooException) as interrupted:
                say(f"interrupted {type(interrupted).__name__}")
    finally:
        mine.stop()
        mine.close()


def lock(room, name):
    def work(mine):
        held = mine.Lock("/lock", name)
        if held.acquire(timeout=20):
            try:
                room.visit(name)
            finally:
                held.release()

    return work


def election(room, name):
    return lambda mine: mine.Election("/election", name).run(room.visit, name)


def queue(taken, guard):
    def work(mine):
        items = mine.LockingQueue("/queue")
        item = items.get(timeout=1)
        if item is None:
            enough.wait(0.05)
            return
        # Recorded before it is removed: what is handed out again after that was handed out twice.
        with guard:
            if item in taken:
                raise AssertionError(f"{item} was handed out twice")
            taken.add(item)
            count = len(taken)
        while not items.consume():
            if not items.holds_lock():
                break
        say(f"taken {count}")
        # Work for as long as members are killed.
        enough.wait(0.03)

    return work


def main():
    (hosts,) = sys.argv[1:]
    quiet(hosts)
    say("quiet")
    filler = client(hosts)
    filler.LockingQueue("/queue").put_all([b"%04d" % number for number in range(ITEMS)])
    held, won, taken, guard = Room("held"), Room("won"), set(), threading.Lock()
    works = []
    for number in range(CONTENDERS):
        name = f"contender-{number}"
        works += [lock(held, name), election(won, name), queue(taken, guard)]
    threads = [threading.Thread(target=contend, args=(hosts, work), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: (sys.stdin.readline(), enough.set()), daemon=True).start()
    enough.wait()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a client hangs"
    if failures:
        raise failures[0]
    # Whoever was interrupted between taking an item and removing it still holds it: it counts as taken, and lies there.
    filler.sync("/queue/entries")
    waiting = [filler.get_async(f"/queue/entries/{name}") for name in filler.get_children("/queue/entries")]
    left = {each.get(timeout=20)[0] for each in waiting}
    lost = {b"%04d" % number for number in range(ITEMS)} - taken - left
    assert not lost, f"lost: {sorted(lost)}"
    assert len(taken & left) <= CONTENDERS * 10, f"{len(taken & left)} items were taken and are there all the same"
    say("all well")


main()
