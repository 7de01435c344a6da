"""Hand out a second object: ``python server.py [ADDRESS]``. Ctrl-C ends it."""

import signal
import sys

import gevent

import geopb as pb


class Two(pb.Referenceable):
    def remote_three(self, arg):
        print("Two.three was given", arg)


class One(pb.Root):
    def remote_getTwo(self):
        two = Two()
        print("returning a Two called", two)
        return two


def main(address="127.0.0.1:8800"):
    with pb.serve(One(), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
