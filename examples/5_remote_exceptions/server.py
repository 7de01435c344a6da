"""Raise exceptions for the client: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent

import geopb as pb


class MyError(pb.Error):
    """An expected exception: something bad happened."""


class MyError2(Exception):
    """An unexpected exception: something really bad happened."""


class One(pb.Root):
    def remote_broken(self):
        msg = "fall down go boom"
        print(f"raising a MyError exception with data '{msg}'")
        raise MyError(msg)

    def remote_broken2(self):
        msg = "hadda owie"
        print(f"raising a MyError2 exception with data '{msg}'")
        raise MyError2(msg)


def main(address="127.0.0.1:8800"):
    with pb.serve(One(), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
