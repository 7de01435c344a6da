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
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, server.stop, 0)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
