"""From a caller's values to one message that cbor2 may see.

Owns the choice between the quick look (`census`) and the careful pass (`walk`), with a
short way for bytes alone, and what all must keep: the peer's limits. Called by the
broker, once for each message.

What a failing pass has exported is given back by the caller (`Packing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from geopb.errors import InsecureJelly, LimitExceeded, over_limit
from geopb.jelly.census import BULK_BYTES, may_hold_big_integer, plain_tree
from geopb.jelly.passing import Bulk, Packed, Packing, Passer, SendLimits
from geopb.jelly.rows import find_table
from geopb.jelly.walk import Walk
from geopb.wire.codec import encode_within
from geopb.wire.short import bulk_body

#: A list of dicts is so deep.
_ROWS_DEPTH = 2


class Encoder:
    """Packs messages for one peer.

    Args:
        passer: Knows how objects cross.
        limits: Returns the peer's limits as they are known now.
    """

    __slots__ = ("_limits", "_passer")

    def __init__(self, passer: Passer, limits: Callable[[], SendLimits]) -> None:
        self._passer = passer
        self._limits = limits

    def pack(
        self,
        head: list[object],
        args: Sequence[object],
        kwargs: Mapping[str, object] | None = None,
        tail: Sequence[object] = (),
        *,
        packing: Packing | None = None,
    ) -> Packed:
        """Return ``[*head, args, kwargs?, *tail]``, `args` and `kwargs` made passable.

        ``packing`` collects what is counted on the way, and says for whom it is.

        Raises:
            InsecureJelly: A value of a type that may not cross, or text that UTF-8
                cannot carry.
            LimitExceeded: It passes a limit of the peer.
            BaseException: What a hook of a copy raised.
        """
        limits = self._limits()
        if kwargs is None and len(args) == 1 and type(args[0]) is bytes and not tail:
            packed = self._bytes_alone(head, args[0], limits)
            if packed is not None:
                return packed
        body = self._plain(head, args, kwargs, tail, limits)
        if body is not None:
            return Packed(body)
        walk = Walk(self._passer, limits, packing or Packing())
        message = [*head, walk.convert(list(args))]
        if kwargs is not None:
            message.append(walk.convert_kwargs(kwargs))
        walk.convert_copies()
        message += tail
        try:
            body = encode_within(message, limits.max_structure_size)
        except UnicodeEncodeError as error:
            raise InsecureJelly(f"text that UTF-8 cannot carry: {error}") from None
        size = len(body) + walk.bulk_size
        if size > limits.max_message_size:
            limit = limits.max_message_size
            raise over_limit("max_message_size", limit, "a message", size)
        return Packed(body, walk.bulk, walk.kept)

    def _bytes_alone(
        self, head: list[object], data: bytes, limits: SendLimits
    ) -> Packed | None:
        """Pack bytes that are bulk: what the careful pass would come to.

        None where they are none, or there is anything unusual.
        """
        size = len(data)
        if size < BULK_BYTES:
            return None
        # Where nothing comes of it, its number is not used: there are enough.
        bulk = Bulk(self._passer.new_bulk(), data)
        body = bulk_body(head, bulk.id, size)
        if not body or len(body) + size > limits.max_message_size:
            return None
        return Packed(body, (bulk,))

    def _plain(
        self,
        head: list[object],
        args: Sequence[object],
        kwargs: Mapping[str, object] | None,
        tail: Sequence[object],
        limits: SendLimits,
    ) -> bytes | None:
        """Encode without the careful pass where nothing in it would be needed."""
        values = [*args, *kwargs.values()] if kwargs else args
        found = find_table(values) if limits.max_depth >= _ROWS_DEPTH else None
        if found is not None:
            place, table = found
            told = [*values]
            told[place] = table
            values = [*values[:place], *values[place + 1 :]]
            args, rest = told[: len(args)], told[len(args) :]
            kwargs = kwargs and dict(zip(kwargs, rest, strict=True))
        if not plain_tree(values, limits.max_depth, limits.max_structure_size):
            return None
        message = (
            [*head, args, *tail] if kwargs is None else [*head, args, kwargs, *tail]
        )
        try:
            body = encode_within(message, limits.max_structure_size)
        except (UnicodeEncodeError, LimitExceeded):
            # The careful pass says it better, or makes bulk of long texts.
            return None
        if may_hold_big_integer(body, limits.max_integer_bits):
            return None
        return body
