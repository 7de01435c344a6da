"""A chat over TLS: ``python server.py [ADDRESS [FOLDER]]``; certificates in FOLDER."""

import signal
import sys
from pathlib import Path

import gevent
import trustme

import geopb as pb

USERS = {"alice": "sesame", "bob": "hunter2", "carol": "swordfish"}


class Room(pb.Viewable):
    """Each user has a view of it: `view_*` methods get the one who calls."""

    def __init__(self, topic):
        self.topic = topic
        self.members = []

    def view_say(self, user, text):
        self.tell(f"{user.name}: {text}", but=user)

    def view_who(self, user):
        return sorted(member.name for member in self.members if member is not user)

    def enter(self, user):
        self.members.append(user)
        self.tell(f"{user.name} has come", but=user)

    def leave(self, user):
        self.members.remove(user)
        self.tell(f"{user.name} has gone")

    def tell(self, text, but=None):
        for member in self.members:
            if member is not but:
                member.hear(text)


class User(pb.Avatar):
    def __init__(self, name, mind, room):
        self.name = name
        self.mind = mind
        self.room = room

    def perspective_room(self):
        return self.room

    def hear(self, text):
        try:
            self.mind.callRemoteOnly("hear", text)
        except pb.DeadReferenceError:
            pass  # just gone: the logout follows


class Chat:
    def __init__(self):
        self.room = Room("tea")

    def requestAvatar(self, avatarId, mind, *interfaces):
        user = User(avatarId, mind, self.room)
        self.room.enter(user)
        print(avatarId, "logged in", flush=True)

        def logout():
            self.room.leave(user)
            print(avatarId, "logged out", flush=True)

        return pb.IPerspective, user, logout


def certificates(folder):
    """Make an authority, and a certificate for this machine."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    return pb.tls_server_context(folder / "cert.pem", folder / "key.pem")


def main(address="127.0.0.1:8810", folder="."):
    portal = pb.Portal(Chat(), [pb.InMemoryUsernamePasswordDatabaseDontUse(**USERS)])
    with pb.serve(portal, address, ssl_context=certificates(Path(folder))) as server:
        gevent.signal_handler(signal.SIGINT, server.stop, 0)
        # Lets the calls that run finish, for up to ten seconds.
        gevent.signal_handler(signal.SIGTERM, server.stop, 10)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
