"""Answer, refuse, and shut down when told to: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent

import geopb as pb


class MyException(pb.Error):
    pass


class One(pb.Root):
    server = None

    def remote_fooMethod(self, arg):
        if arg == "panic!":
            raise MyException
        return "response"

    def remote_shutdown(self):
        # The answer to this very call is still delivered.
        self.server.stop()


def main(address="127.0.0.1:8800"):
    one = One()
    with pb.serve(one, address) as server:
        one.server = server
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
