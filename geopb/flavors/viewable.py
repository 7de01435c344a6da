"""Objects that know who calls them: views, avatars, and objects made callable.

Owns `Viewable` and `ViewPoint` (methods get the caller's perspective), `Avatar` (what
stands for a user on the server), `AsReferenceable` and `AvatarReference`. The
perspective is this side's own: nothing that a peer sends can name one. Called by the
broker (dispatch) and by users, who derive from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopb.flavors.referenceable import Referenceable, find_method


class Viewable:
    """An object whose ``view_*`` methods get the caller's perspective first.

    It crosses as a reference that is bound to the perspective of whom it is given
    to: that of the call being answered, None where there is none. A view that a
    view returns is bound to the same one. Sent home it is this object again.
    """


class ViewPoint(Referenceable):
    """A `Viewable` as one perspective sees it. Made for each caller; also by hand."""

    def __init__(self, perspective: Any, object: Viewable) -> None:
        self.perspective = perspective
        self.object = object
        self.serializing_perspective = perspective

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Run ``view_<message>(perspective, *args, **kw)`` of the object.

        Raises:
            NoSuchMethod: There is no such ``view_*`` method.
        """
        view = find_method(self.object, "view_", message)
        return view(self.perspective, *args, **kw)


class Avatar:
    """What stands for a user on the server: the user calls ``perspective_*``.

    It does not cross by itself: a login hands it out, or `AsReferenceable`.
    """

    def perspectiveMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Run ``perspective_<message>(*args, **kw)`` and return its result.

        Raises:
            NoSuchMethod: There is no such ``perspective_*`` method.
        """
        return find_method(self, "perspective_", message)(*args, **kw)


class AsReferenceable(Referenceable):
    """Any object as one that a peer may call, by its own dispatch method.

    Args:
        object: It has a method ``<messageType>MessageReceived(broker, message, args,
            kw)``.
        messageType: ``"remote"`` or ``"perspective"``, or another of its own.

    Raises:
        AttributeError: It has no such method.
    """

    def __init__(self, object: Any, messageType: str = "remote") -> None:
        self.object = object
        self._received = getattr(object, f"{messageType}MessageReceived")
        #: For whom results are made passable: the avatar itself.
        self.serializing_perspective = object if messageType == "perspective" else None

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Pass the call on."""
        return self._received(broker, message, args, kw)


class AvatarReference(AsReferenceable):
    """What crosses for the avatar of a login; sent home it is the avatar again."""

    def __init__(self, avatar: Any) -> None:
        super().__init__(avatar, "perspective")
