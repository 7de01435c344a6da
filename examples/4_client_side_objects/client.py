"""Give the server an object of ours to call: ``python client.py [ADDRESS]``."""

import sys

import geopb as pb


class Two(pb.Referenceable):
    def remote_print(self, arg):
        print("Two.print() called with", arg)


def got_obj(obj, two):
    print("got One:", obj)
    print("giving it our two")
    return obj.callRemote("takeTwo", two)


def main(address="127.0.0.1:8800"):
    two = Two()
    with pb.PBClientFactory() as factory:
        factory.connect(address)
        promise = factory.getRootObject()
        promise.addCallback(got_obj, two)  # hands our two to the callback
        promise.get()


if __name__ == "__main__":
    main(*sys.argv[1:])
