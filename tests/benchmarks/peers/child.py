"""One peer's server or client in a process of its own, in the peers' environment.

``python -m tests.benchmarks.peers.child PEER server|client|version SECONDS``, obeying
as ``tests.benchmarks.child`` does. Commands are waited for without any event loop: a
peer that has one runs it in another thread.
"""

import importlib
import json
import sys
from importlib.metadata import version

from tests.benchmarks.commands import bound, obey, place
from tests.benchmarks.peers import PEERS


def main(peer: str, role: str, seconds: str) -> None:
    """Be one peer's server or client until told to end, or tell its version."""
    bound(int(seconds))
    place(role)
    module = importlib.import_module(f"tests.benchmarks.peers.{peer}")
    if role == "version":
        print(json.dumps({"version": version(PEERS[peer].distribution)}))
        return
    lines = sys.stdin.buffer
    if role == "server":
        server = module.Server()
        try:
            obey(lines, {}, {"address": server.address})
        finally:
            server.stop()
        return
    client = module.client()
    try:
        obey(lines, client.commands(), {})
    finally:
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
