"""Weather stations, each a server of its own: ``python server.py [ADDRESS ...]``."""

import signal
import sys

import gevent

import geopb as pb

USUAL = ["127.0.0.1:8801", "127.0.0.1:8802", "127.0.0.1:8803"]
#: What each measures, and how many seconds it takes to do so.
STATIONS = [("valley", 11.5, 0.2), ("pass", 4.0, 0.1), ("summit", -7.5, 0.0)]


class Station(pb.Root):
    def __init__(self, name, degrees, seconds):
        self.name = name
        self.degrees = degrees
        self.seconds = seconds

    def remote_measure(self):
        gevent.sleep(self.seconds)
        return self.name, self.degrees


def main(*addresses):
    servers = [
        pb.serve(Station(*station), address)
        for station, address in zip(STATIONS, addresses or USUAL, strict=True)
    ]

    def stop():
        for server in servers:
            server.stop(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stop)
    print("listening on", *(server.address for server in servers), flush=True)
    for server in servers:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
