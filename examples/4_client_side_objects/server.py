"""Call an object of the client's: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent

import geopb as pb


class One(pb.Root):
    def remote_takeTwo(self, two):
        print("received a Two called", two)
        print("telling it to print(12)")
        two.callRemote("print", 12).get()


def main(address="127.0.0.1:8800"):
    with pb.serve(One(), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
