"""Give an object out and get it back: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent

import geopb as pb


class Two(pb.Referenceable):
    def remote_print(self, arg):
        print("two.print was given", arg)


class One(pb.Root):
    def __init__(self, two):
        # pb.Root has no __init__ that would have to be called.
        self.two = two

    def remote_getTwo(self):
        print("One.getTwo(), returning my two called", self.two)
        return self.two

    def remote_checkTwo(self, newtwo):
        print("One.checkTwo(): comparing my two", self.two)
        print("One.checkTwo(): against your two", newtwo)
        if self.two is newtwo:
            print("One.checkTwo(): our twos are the same")


def main(address="127.0.0.1:8800"):
    with pb.serve(One(Two()), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
