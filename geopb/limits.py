"""The bounds that one side of a connection keeps, and tells its peer.

Owns `Limits`: each field with the attack it stops and why its default is what it
is. Never enforces anything itself: wire, jelly, broker and net read it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

KIBI = 1024
MEBI = 1024 * KIBI

#: No peer may announce less, and before the peer's hello no more may be sent.
MINIMUM_MESSAGE_BYTES = 16 * KIBI
#: Bulk of one peer that may be under way. Honest peers make bulk of 32 KiB and more,
#: 2,048 of which fill the default ``max_message_size``; this bounds what ids that the
#: peer chose to collide in a table can cost.
MAX_BULK = 4096

#: What a message weighs in ``max_pending_bytes``: each byte of bulk one, each byte of
#: the rest so much. Small containers become some 80 bytes of objects for each of
#: theirs, texts one: this is between them, and weighs what ``max_structure_size`` and
#: ``max_message_size`` allow by default alike.
STRUCTURE_WEIGHT = 16
#: Up to this weight messages do not count there: most calls are never weighed. It is
#: 4 KiB without bulk, and so 8 MiB for all that ``max_pending_calls`` lets run.
LIGHT_STRUCTURE = 4 * KIBI
LIGHT_WEIGHT = STRUCTURE_WEIGHT * LIGHT_STRUCTURE

#: Names of geopb's own methods, now and later, are no longer than this.
LEAST_NAME = 16

#: The careful pass takes three Python frames a level, of the thousand there are.
DEEPEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Frozen bounds of one side. Sizes are bytes, times are seconds."""

    #: A whole message with its bulk bytes, and all unfinished bulk of a connection
    #: together. Stops a peer that announces more than this side can hold.
    max_message_size: int = 64 * MEBI
    #: The structured part of a message, which the CBOR decoder sees. One MiB of
    #: small containers decodes to some 80 MiB of objects, so this is the bound
    #: on amplification. An item takes a byte at least: there are no more items either.
    max_structure_size: int = 4 * MEBI
    #: Nested containers in one value. cbor2's encoder overflows the C stack
    #: beyond some 7,000 levels; honest data stays far below this.
    max_depth: int = 128
    #: Live references a table: what this peer exports to, or imports from, one
    #: connection. Stops a peer that makes objects and never drops them.
    max_references: int = 10_000
    #: Calls being run for one peer at a time; the peer's further calls wait on
    #: its side. Stops call floods. Nested calls may use twice as many.
    max_pending_calls: int = 1024
    #: What the calls of one peer that are not answered may weigh at a time: bytes of
    #: bulk, and 16 for each byte of structure; those up to 4 KiB do not count. While it
    #: is reached the peer's further calls wait on its side. Stops slow calls, each with
    #: arguments as large as a message may be: alone ``max_pending_calls`` times
    #: ``max_message_size`` would be 64 GiB. One message may weigh as much by default.
    max_pending_bytes: int = 64 * MEBI
    #: Streams of this side's that one peer reads at a time. Each is a greenlet and up
    #: to one MiB of items that wait, as a running call is a greenlet: so as many.
    #: Stops a peer that asks for streams and reads none of them to its end.
    max_streams: int = 1024
    #: Bits of one integer: ``str()`` of huge ones is quadratic.
    max_integer_bits: int = 8192
    #: Digits of one ``Decimal``; its exponent is bounded at 9,999 in any case.
    max_decimal_digits: int = 4096
    #: Characters of a method name.
    max_name_length: int = 256
    #: Bytes waiting for the peer to take them; beyond it the greenlets that
    #: produce more wait. As many bytes of updates may wait for all its caches together.
    #: Stops a peer that calls, or watches, and never reads.
    max_unsent_bytes: int = 16 * MEBI
    #: Connections of one server in all. Stops connect storms and peers that hold
    #: connections: each is a descriptor and, at rest, some 12 KiB. Where the process
    #: may have fewer descriptors, the server leaves some free by itself.
    max_connections: int = 20_000
    #: Those from one address (of IPv6: one network of 64 bits), so that one machine
    #: cannot keep all others out: half of all. It is no less, as behind a proxy, or on
    #: one machine, all clients have one address. Clients of a Unix socket have none.
    max_connections_per_address: int = 10_000
    #: From an accepted or opened connection to the peer's hello. Stops silent ones.
    handshake_timeout: float = 10.0
    #: From the connection being open to the first login, on a server whose root is a
    #: `Portal`. Stops peers that hold connections without saying who they are; a
    #: client that asks its user for a password does so before it connects.
    login_timeout: float = 60.0
    #: A peer whose machine or link is gone, or that takes no bytes while some
    #: wait, is given up after this long. A busy peer is not.
    keepalive: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), type(field.default))
        if self.max_depth > DEEPEST:
            raise ValueError(f"max_depth={self.max_depth} is above {DEEPEST}")
        if self.max_name_length < LEAST_NAME:
            raise ValueError(
                f"max_name_length={self.max_name_length} is below {LEAST_NAME}: "
                "geopb's own names, getRootObject among them, would be refused"
            )
        for name, least in LEAST_TOLD.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name}={getattr(self, name)} is below {least}, "
                    "the least that a peer may announce"
                )

        if self.max_structure_size > self.max_message_size:
            # A part is no larger than the whole.
            object.__setattr__(self, "max_structure_size", self.max_message_size)

    def told(self) -> dict[str, int]:
        """Return what the hello tells the peer, by name."""
        return {name: getattr(self, name) for name in TOLD}


#: The limits that a peer needs to know, in order to refuse at the sender.
TOLD = (
    "max_message_size",
    "max_structure_size",
    "max_depth",
    "max_references",
    "max_pending_calls",
    "max_integer_bits",
    "max_decimal_digits",
    "max_pending_bytes",
)
#: The least that a peer may announce for each of them.
LEAST_TOLD = {
    "max_message_size": MINIMUM_MESSAGE_BYTES,
    "max_structure_size": MINIMUM_MESSAGE_BYTES,
    "max_depth": 1,
    "max_references": 1,
    "max_pending_calls": 1,
    "max_integer_bits": 64,
    "max_decimal_digits": 1,
    "max_pending_bytes": MINIMUM_MESSAGE_BYTES,
}
#: What counts for a peer that does not tell one of them, where that is not the least:
#: it came later than version 1, and who does not know it keeps no such bound.
NOT_TOLD = {"max_pending_bytes": 2**63 - 1}


def _check(name: str, value: Any, kind: type) -> None:
    numeric = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, numeric):
        raise TypeError(f"{name} takes a number, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"{name}={value!r} is not positive")
