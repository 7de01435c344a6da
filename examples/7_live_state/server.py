"""Show a table of workers to all who watch: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent
from gevent.event import Event
from workers import State, Worker

import geopb as pb


class Table(pb.Cacheable):
    def __init__(self, *workers):
        self.workers = {each.name: each for each in workers}
        self.observers = set()
        self.two_watch = Event()
        self.nobody_watches = Event()

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.add(observer)
        if len(self.observers) == 2:
            self.two_watch.set()
        return list(self.workers.values())

    def stoppedObserving(self, perspective, observer):
        self.observers.remove(observer)
        print("one has left,", len(self.observers), "still watching")
        if not self.observers:
            self.nobody_watches.set()

    def put(self, worker):
        print(worker)
        self.workers[worker.name] = worker
        self.tell("put", worker)

    def remove(self, name):
        print(name, "leaves")
        del self.workers[name]
        self.tell("remove", name)

    def tell(self, what, *args):
        for observer in self.observers:
            observer.callRemote(what, *args)  # never blocks


class Office(pb.Root):
    def __init__(self, table):
        self.table = table

    def remote_watch(self):
        return self.table


def work(table, server):
    table.two_watch.wait()
    print("two are watching")
    table.put(Worker("ada", State.BUSY, "thumbnails"))
    table.put(Worker("bob", State.BUSY, "backup"))
    table.put(Worker("carol"))
    table.put(Worker("ada"))
    table.remove("bob")
    table.tell("evening")
    table.nobody_watches.wait()
    server.stop(1)


def main(address="127.0.0.1:8800"):
    table = Table(Worker("ada"), Worker("bob"))
    with pb.serve(Office(table), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        gevent.spawn(work, table, server)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
