"""What a login that failed costs: time, for those who fail and nobody else.

Owns how often logins failed, by address, and the waiting times. The answer to a failure
comes after a while that grows; from an address where many failed, logins are looked at
only after a while as well. Never sleeps. Called by the logins of a connection.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from time import monotonic

#: Seconds until a failure is answered, counted from when the login was looked at: the
#: same for an unknown user and a wrong password, whatever either took.
FIRST_DELAY = 0.1
#: As many failures of one connection are answered after that time; each further one
#: takes twice as long as the one before, and none longer than this.
FREE_FAILURES = 3
LONGEST_DELAY = 5.0
#: After as many, the connection is ended.
MAX_FAILURES = 10

#: As many failures from one address delay nobody; beyond, each login from there waits
#: before it is looked at: a tenth of a second, and for each further failure another
#: tenth, up to this many seconds. Others may share the address, so it is not more.
FREE_FAILURES_OF_ADDRESS = 50
LONGEST_DELAY_OF_ADDRESS = 3.0
#: One failure of an address is forgotten in so many seconds.
FORGIVEN_AFTER = 2.0
#: Addresses that are remembered; beyond, those that failed longest ago are forgotten.
MAX_ADDRESSES = 4096


def delay_of(failures: int) -> float:
    """Return the seconds until that failure of a connection is answered."""
    doubled = min(max(0, failures - FREE_FAILURES), 16)
    return float(min(FIRST_DELAY * 2**doubled, LONGEST_DELAY))


def address_key(host: str | None) -> str | None:
    """Return what an address is counted under; None for one that is none.

    Of IPv6 the first 64 bits, as a whole network of those is one customer's.
    """
    if not host:
        return None
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Throttle:
    """The failures of all addresses."""

    def __init__(self) -> None:
        #: Failures that are not forgiven, and when that was counted.
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, key: str | None) -> None:
        """Count a login from there that failed."""
        if key is not None:
            self._failures[key] = (self._count(key) + 1, monotonic())
            self._failures.move_to_end(key)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def delay(self, key: str | None) -> float:
        """Return the seconds that a login from there waits before it is looked at."""
        over = 0.0 if key is None else self._count(key) - FREE_FAILURES_OF_ADDRESS
        return min(max(over, 0.0) * FIRST_DELAY, LONGEST_DELAY_OF_ADDRESS)

    def _count(self, key: str) -> float:
        count, since = self._failures.get(key, (0.0, 0.0))
        return max(0.0, count - (monotonic() - since) / FORGIVEN_AFTER)
