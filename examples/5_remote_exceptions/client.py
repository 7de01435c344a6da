"""Look at a failure: ``python client.py [ADDRESS [METHOD]]``.

METHOD is ``broken`` or, to see an exception that the server did not expect,
``broken2``.
"""

import sys

import geopb as pb


def working(result):
    print("erm, it wasn't *supposed* to work..")


def broken(reason):
    print("got remote Exception")
    # A failure: here one that holds a copy of the server's MyError.
    print(" .__class__ =", reason.__class__)
    print(" .getErrorMessage() =", reason.getErrorMessage())
    print(" .type =", reason.type)


def main(address="127.0.0.1:8800", method="broken"):
    with pb.PBClientFactory() as factory:
        factory.connect(address)
        obj = factory.getRootObject().get()
        obj.callRemote(method).addCallbacks(working, broken).get()


if __name__ == "__main__":
    main(*sys.argv[1:])
