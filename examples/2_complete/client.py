"""Get an object from an object, and call it: ``python client.py [ADDRESS]``."""

import sys

import geopb as pb


def main(address="127.0.0.1:8800"):
    with pb.PBClientFactory() as factory:
        factory.connect(address)
        try:
            obj1 = factory.getRootObject().get()
        except (OSError, pb.Error) as reason:
            print("error getting first object", reason)
            return
        print("got first object:", obj1)
        print("asking it to getTwo")
        obj2 = obj1.callRemote("getTwo").get()
        print("got second object:", obj2)
        print("telling it to do three(12)")
        obj2.callRemote("three", 12).get()


if __name__ == "__main__":
    main(*sys.argv[1:])
