"""Why a value may not cross, and what to do about it.

Owns the text alone. Called by ``walk`` for what nobody else has taken.
"""

from __future__ import annotations

from geopb.errors import qualified_name
from geopb.jelly.elements import is_array
from geopb.jelly.scalars import SCALARS

_CROSSING = frozenset(
    (int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, *SCALARS)
)


def refusal(value: object) -> str:
    """Return one sentence for the caller who has sent `value`."""
    cls = type(value)
    name = qualified_name(cls)
    if is_array(cls):
        short = name.removeprefix("builtins.")
        return (
            f"{name} may not cross as it is not registered: "
            f"setUnjellyableForClass({short}, {short}) on both sides allows it"
        )
    for base in cls.__mro__[1:]:
        if base in _CROSSING or is_array(base):
            return (
                f"{name} may not cross: it is a subclass of "
                f"{base.__name__}, which would lose its class; convert it"
            )
    if hasattr(cls, "__next__"):
        return f"{name} may not cross: pass pb.stream() of it, which sends its items"
    return f"{name} may not cross: pass a Referenceable, or plain values made of it"
