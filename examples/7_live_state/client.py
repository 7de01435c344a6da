"""Watch a table of workers until the evening: ``python client.py [ADDRESS]``."""

import sys

import workers  # noqa: F401 (its classes cross)
from gevent.event import Event

import geopb as pb


class LiveTable(pb.RemoteCache):
    def setCopyableState(self, state):
        self.workers = {each.name: each for each in state}
        self.evening = Event()
        print("when I came:")
        self.show()

    def observe_put(self, worker):
        known = "" if worker.name in self.workers else " (new)"
        self.workers[worker.name] = worker
        print(f"{worker}{known}")

    def observe_remove(self, name):
        del self.workers[name]
        print(name, "leaves")

    def observe_evening(self):
        self.evening.set()

    def show(self):
        for worker in self.workers.values():
            print("  ", worker)


pb.setUnjellyableForClass("__main__.Table", LiveTable)


def main(address="127.0.0.1:8800"):
    with pb.connect(address) as client:
        office = client.getRootObject().get()
        table = office.callRemote("watch").get()
        table.evening.wait()
        print("when I left:")
        table.show()


if __name__ == "__main__":
    main(*sys.argv[1:])
