"""Start the echo server as a process of its own, call it once, and end it."""

import sys
from pathlib import Path

import gevent
from gevent import subprocess

import geopb as pb

SERVER = Path(__file__).with_name("server.py")
PATIENCE = 20  # seconds, for each step


def main(server=SERVER):
    command = [sys.executable, str(server), "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = first_line(process).removeprefix("listening on ").strip()
            if not address:
                sys.exit("The echo server did not start: see what it said above.")
            print(say_hello(address))
        finally:
            process.terminate()


def first_line(process):
    """Return the server's first line, or nothing if there is none in time."""
    with gevent.Timeout(PATIENCE, False):
        return process.stdout.readline()
    return ""


def say_hello(address):
    with pb.connect(address, timeout=PATIENCE) as client:
        root = client.getRootObject().get(timeout=PATIENCE)
        echo = root.callRemote("echo", "hello network").get(timeout=PATIENCE)
        return "server echoed: " + echo


if __name__ == "__main__":
    main(*sys.argv[1:])
