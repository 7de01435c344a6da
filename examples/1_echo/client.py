"""Call the echo server, by a chain of callbacks: ``python client.py [ADDRESS]``."""

import sys

import geopb as pb


def main(address="127.0.0.1:8789"):
    with pb.PBClientFactory() as factory:
        factory.connect(address)
        promise = factory.getRootObject()
        promise.addCallback(lambda root: root.callRemote("echo", "hello network"))
        promise.addCallback(lambda echo: "server echoed: " + echo)
        promise.addErrback(lambda reason: "error: " + str(reason.value))
        promise.addCallback(print)
        promise.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
