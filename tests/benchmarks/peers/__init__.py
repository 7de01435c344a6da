"""Other Python RPC libraries doing the same: ``python -m tests.benchmarks.peers``.

Each has a module here that uses it as its own users would at their best, and an
environment apart, `.venv-peers`, that `make bench-peers` makes: nothing else needs any
of them. A module has ``Server()``, which serves from a thread of its own and tells its
``address``, and ``client()``, which returns a ``commands.Client``. ``blocking`` and
``coroutines`` have what such modules share, ``child`` runs one in a process of its own.
"""

import os
from dataclasses import dataclass

#: What every peer can do, by the names of the workloads.
MESSAGES = ("sequential", "outstanding", "connections", "dicts", "mebibyte")
ONE_AT_A_TIME = ("sequential", "connections", "dicts", "mebibyte")


@dataclass(frozen=True, slots=True)
class Peer:
    """One library.

    Attributes:
        title: What it is called.
        distribution: What its package is called.
        workloads: What it can do.
        note: What the report has to say of how it does that.
    """

    title: str
    distribution: str
    workloads: tuple[str, ...] = MESSAGES
    note: str = ""


#: By the names of their modules.
PEERS = {
    "twisted_pb": Peer(
        "Twisted PB",
        "Twisted",
        (*MESSAGES, "pairs"),
        "the mebibyte crosses in two pieces, because it takes none above 640 KiB",
    ),
    "rpyc_": Peer(
        "RPyC",
        "rpyc",
        (*MESSAGES, "codec", "pairs"),
        "the list of dicts crosses as a pickle",
    ),
    "pyro5": Peer(
        "Pyro5",
        "Pyro5",
        (*ONE_AT_A_TIME, "batch", "codec", "pairs"),
        "one call at a time on a connection, or a batch of them; a proxy of an object "
        "is another connection",
    ),
    "zerorpc_": Peer("zerorpc", "zerorpc", (*MESSAGES, "codec")),
    "mprpc_": Peer(
        "mprpc",
        "mprpc",
        ONE_AT_A_TIME,
        "its sources build on Python 3.8 and earlier",
    ),
    "grpc_": Peer(
        "gRPC",
        "grpcio",
        (*MESSAGES, "codec"),
        "the dicts are made messages of a declared type, and dicts again",
    ),
    "pycapnp": Peer(
        "pycapnp",
        "pycapnp",
        (*MESSAGES, "pairs", "pipelined", "pipelined 1"),
        "the dicts are made structures of a declared type, and dicts again",
    ),
}


def python() -> str:
    """Return the interpreter that has the peers: ``PEERS_PYTHON``, or the usual one."""
    return os.environ.get("PEERS_PYTHON", ".venv-peers/bin/python")
