"""Which local classes may be made because a peer named them.

Owns `ClassRegistry`: names to classes that exist already. Nothing is ever imported
by name. Read when answers and errors arrive; written by users at import time.
"""

from __future__ import annotations

from geopb.errors import local_error_class, qualified_name


class ClassRegistry:
    """Classes accepted from a peer, by qualified name.

    One is the process's, which `setUnjellyableForClass` adds to. Another, given as
    the option ``registry=`` of one factory, adds to that one for its connections.
    """

    def __init__(self) -> None:
        self._exceptions: dict[str, type[BaseException]] = {}

    def setUnjellyableForClass(
        self, name_or_class: str | type, local_class: type
    ) -> None:
        """Let what the peer calls `name_or_class` arrive as a `local_class`.

        Args:
            name_or_class: The qualified name on the peer's side, or a class here
                of the same name.
            local_class: An exception class. It is made without its ``__init__``.

        Raises:
            ValueError: The name is registered for another class. Repeating a
                registration is harmless.
            TypeError: `local_class` is no exception class, or it is no name.
        """
        name = name_or_class
        if isinstance(name, type):
            name = qualified_name(name)
        if not isinstance(name, str):
            raise TypeError("expected a qualified name or a class")
        made: object = local_class
        if not (isinstance(made, type) and issubclass(made, Exception)):
            raise TypeError("expected an exception class to make")
        known = self._exceptions.get(name)
        if known is not None and known is not local_class:
            raise ValueError(
                f"{name} is registered for {qualified_name(known)} already"
            )
        self._exceptions[name] = local_class

    def find_exception(self, name: str) -> type[BaseException] | None:
        """Return the class for an exception that the peer calls `name`, if any.

        A registered one first, then the local `Error` subclass of that name.
        """
        found = self._exceptions.get(name)
        if found is not None:
            return found
        if self is not process_registry:
            return process_registry.find_exception(name)
        return local_error_class(name)


#: The process's own.
process_registry = ClassRegistry()


def setUnjellyableForClass(name_or_class: str | type, local_class: type) -> None:
    """Register for the whole process: `ClassRegistry.setUnjellyableForClass`."""
    process_registry.setUnjellyableForClass(name_or_class, local_class)
