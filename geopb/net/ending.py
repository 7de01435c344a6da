"""What happens to connections when the process ends or forks.

Owns the set of those that are open. Called by the interpreter.
"""

from __future__ import annotations

import _socket
import atexit
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from geopb.net.connection import Connection

#: Seconds for what is queued when the program ends.
_LAST_FLUSH = 1.0

#: All that have not ended.
open_connections: WeakSet[Connection] = WeakSet()


@atexit.register
def _flush_all() -> None:
    """Send what is queued before the program ends, for up to a second in all."""
    until = monotonic() + _LAST_FLUSH
    for connection in list(open_connections):
        if connection.lost is None and connection.is_ours():
            connection.flush(max(0.0, until - monotonic()))


def _disown_all() -> None:
    """After a fork the connections are the parent's: nothing here touches the line.

    The child's loop goes on with what the parent's had begun: with readers, and with
    workers in the middle of a send. So the line itself is taken away from the child: in
    its place is one that nothing ever comes from.
    """
    connections = list(open_connections)
    for connection in connections:
        connection.disown()
    if not connections:
        return
    # Without a descriptor to be had they keep their lines, and write nothing.
    with suppress(OSError):
        silent, kept_open = _socket.socketpair()
        kept_open.detach()
        silent.setblocking(False)
        for connection in connections:
            connection.take_line(silent.fileno())
        silent.close()


os.register_at_fork(after_in_child=_disown_all)
