"""The keyword options that servers and clients take. Read by connections."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from geopb.jelly.registry import ClassRegistry, process_registry
from geopb.limits import Limits

_LIMITS = frozenset(field.name for field in fields(Limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was chosen for one factory.

    Attributes:
        limits: Each field of `Limits` is an option of its own.
        unsafe_tracebacks: Send the tracebacks of failing methods to the peer. They
            show source lines and paths, hence the name.
        registry: The classes that may be made for a peer; see `ClassRegistry`.
    """

    limits: Limits
    unsafe_tracebacks: bool = False
    registry: ClassRegistry = process_registry


def read_options(options: dict[str, Any]) -> Options:
    """Check keyword options, all at once and before anything is opened.

    Raises:
        TypeError: An option that does not exist, or a value of a wrong type.
        ValueError: A value out of its range.
    """
    limits = {name: options[name] for name in options if name in _LIMITS}
    rest = {name: options[name] for name in options if name not in _LIMITS}
    known = {"unsafe_tracebacks": bool, "registry": ClassRegistry}
    for name, value in rest.items():
        if name not in known:
            names = ", ".join(sorted(_LIMITS | known.keys()))
            raise TypeError(f"no option {name!r}; the options are {names}")
        if not isinstance(value, known[name]):
            wanted = known[name].__name__
            raise TypeError(f"{name} takes a {wanted}, not {type(value).__name__}")
    return Options(limits=Limits(**limits), **rest)
