"""How fast geopb is, beside the least that a message can cost.

Run from the repository root: ``python -m tests.benchmarks --help``. The *floor*
is gevent sockets and cbor2 with no objects at all, exchanging messages of the
same shape; what geopb adds to it is the price of its objects.

Modules: ``workloads`` says what is run, ``side_floor``, ``side_geopb`` and
``side_dicts``, and ``side_tls`` (geopb over TLS, which is compared with geopb) who
runs it, ``child`` and ``processes`` keep each server and client in a process of its
own, ``measure`` alternates and counts, ``report`` prints.
"""
