"""How fast geopb is, beside the least that a message can cost.

Run from the repository root: ``python -m tests.benchmarks --help``. The *floor*
is gevent sockets and cbor2 with no objects at all, exchanging messages of the
same shape; what geopb adds to it is the price of its objects.

Modules: ``workloads`` says what is run, ``values`` with what and ``figures`` what is
counted; ``side_floor``, ``side_geopb`` and the other sides, which are compared with
one of these two, who runs it; ``commands``, ``child`` and ``processes`` keep each
server and client in a process of its own, ``measure`` alternates and counts, ``memory``
looks at what stays, ``attacked`` at an honest client beside one of ``attacks``,
``report`` prints. ``peers`` compares with other libraries.
"""
