"""Echo a text: ``python server.py [ADDRESS]``. Ctrl-C ends it."""

import signal
import sys

import gevent

import geopb as pb


class Echoer(pb.Root):
    def remote_echo(self, text):
        return text


def main(address="127.0.0.1:8789"):
    with pb.serve(Echoer(), address) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
