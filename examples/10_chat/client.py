"""Three people in the chat: ``python client.py [ADDRESS [FOLDER]]``."""

import sys
from pathlib import Path

from gevent.queue import Queue

import geopb as pb


class Person(pb.Referenceable):
    """Logs in, and hears what is said: the server calls it."""

    def __init__(self, name, password, address, authority):
        self.name = name
        self.heard = Queue()
        context = pb.tls_client_context(ca=authority)
        self.client = pb.connect(address, ssl_context=context)
        credentials = pb.UsernamePassword(name, password)
        self.avatar = self.client.login(credentials, self).get(timeout=10)
        self.room = self.avatar.callRemote("room").get(timeout=10)

    def remote_hear(self, text):
        self.heard.put(text)

    def say(self, text):
        self.room.callRemote("say", text).get(timeout=10)

    def listen(self):
        print(f"{self.name} hears: {self.heard.get(timeout=10)}")


def main(address="tls://127.0.0.1:8810", folder="."):
    authority = Path(folder) / "ca.pem"
    alice = Person("alice", "sesame", address, authority)
    bob = Person("bob", "hunter2", address, authority)
    alice.listen()

    bob.say("hello")
    alice.listen()
    alice.say("hello, bob")
    bob.listen()
    print("with bob there:", alice.room.callRemote("who").get(timeout=10))

    try:
        Person("carol", "a guess", address, authority)
    except pb.UnauthorizedLogin as error:
        print("carol:", error)

    bob.client.disconnect()
    alice.listen()
    print("without him:", alice.room.callRemote("who").get(timeout=10))
    alice.client.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
