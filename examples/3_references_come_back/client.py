"""Give the server its own object back: ``python client.py [ADDRESS]``."""

import sys

import geopb as pb


class Foo:
    """What the steps have to remember: each step's answer starts the next one."""

    def __init__(self):
        self.one = None

    def step1(self, obj):
        print("got one object:", obj)
        self.one = obj
        print("asking it to getTwo")
        return self.one.callRemote("getTwo").addCallback(self.step2)

    def step2(self, two):
        print("got two object:", two)
        print("giving it back to one")
        print("one is", self.one)
        return self.one.callRemote("checkTwo", two)


def main(address="127.0.0.1:8800"):
    with pb.PBClientFactory() as factory:
        factory.connect(address)
        factory.getRootObject().addCallback(Foo().step1).get()


if __name__ == "__main__":
    main(*sys.argv[1:])
