"""Tell failures apart: ``python client.py [ADDRESS [worksLike]]``.

Once by a chain of errbacks, and with ``worksLike`` by try and except: both print the
same. The call that shuts the server down ends it.
"""

# ruff: noqa: N802 (the how-to's names)

import sys

from gevent.event import Event

import geopb as pb


class MyException(pb.Error):
    pass


class MyOtherException(pb.Error):
    pass


class ScaryObject:
    """Not safe to be sent anywhere: it has no flavor."""


class One:
    """Each call with a chain of errbacks, which take what they know."""

    def __init__(self, remote):
        self.remote = remote

    def worked(self, response):
        print(" method successful, response:", response)

    def check_InsecureJelly(self, failure):
        failure.trap(pb.InsecureJelly)
        print(" InsecureJelly: you tried to send something unsafe to them")

    def check_MyException(self, failure):
        which = failure.trap(MyException, MyOtherException)
        if which == MyException:
            print(" remote raised a MyException")
        else:
            print(" remote raised a MyOtherException")

    def catch_everythingElse(self, failure):
        print(" something else happened")
        failure.printTraceback()

    def doCall(self, explanation, arg):
        print(explanation)
        try:
            promise = self.remote.callRemote("fooMethod", arg)
            promise.addCallback(self.worked)
            promise.addErrback(self.check_InsecureJelly)
            promise.addErrback(self.check_MyException)
            promise.addErrback(self.catch_everythingElse)
            promise.wait()
        except pb.DeadReferenceError:
            print(" stale reference: the client disconnected or crashed")

    def callOne(self):
        self.doCall("callOne: call with safe object", "safe string")

    def callTwo(self):
        self.doCall("callTwo: call with dangerous object", ScaryObject())

    def callThree(self):
        self.doCall("callThree: call that raises remote exception", "panic!")

    def callShutdown(self):
        print("telling them to shut down")
        gone = Event()
        self.remote.notifyOnDisconnect(lambda remote: gone.set())
        self.remote.callRemote("shutdown").get()
        gone.wait()

    def callFour(self):
        self.doCall("callFour: call on stale reference", "dummy")


class WorksLike(One):
    """The same calls, each with the try statement that the chain stands for."""

    def doCall(self, explanation, arg):
        print(explanation)
        try:
            response = self.remote.callRemote("fooMethod", arg).get()
        except pb.DeadReferenceError:
            print(" stale reference: the client disconnected or crashed")
        except pb.InsecureJelly:
            print(" InsecureJelly: you tried to send something unsafe to them")
        except (MyException, MyOtherException):
            print(" remote raised a MyException")  # or MyOtherException
        except Exception:
            print(" something else happened")
        else:
            print(" method successful, response:", response)


def main(address="127.0.0.1:8800", form="chain"):
    with pb.connect(address) as client:
        remote = client.getRootObject().get()
        one = WorksLike(remote) if form == "worksLike" else One(remote)
        one.callOne()
        one.callTwo()
        one.callThree()
        one.callShutdown()
        one.callFour()


if __name__ == "__main__":
    main(*sys.argv[1:])
