"""Ask many servers at once: ``python client.py [ADDRESS ...]``."""

import sys

import gevent

import geopb as pb

USUAL = ["127.0.0.1:8801", "127.0.0.1:8802", "127.0.0.1:8803"]


def main(*addresses):
    clients = [pb.PBClientFactory().connect(each) for each in addresses or USUAL]
    try:
        # Connecting, the root and the call: nothing is waited for.
        measured = [each.getRootObject().callRemote("measure") for each in clients]

        print("as they come:")
        missing = 0
        for promise in gevent.iwait(measured, timeout=5):
            try:
                name, degrees = promise.get()
            except ConnectionRefusedError:
                missing += 1
            else:
                print(f"  {name}: {degrees} degrees")
        print("stations that are not there:", missing)

        answers = pb.gather(each for each in measured if each.successful()).get()
        print("coldest:", min(answers, key=lambda answer: answer[1])[0])
    finally:
        for client in clients:
            client.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
