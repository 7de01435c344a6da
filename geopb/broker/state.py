"""The states of a connection's broker."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a connection stands, as this side sees it."""

    OPENING = "opening"
    OPEN = "open"
    PARTED = "parted"
    CLOSED = "closed"
