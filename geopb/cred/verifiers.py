"""What a server keeps in place of passwords, and how texts become what SCRAM takes.

Owns `Verifier`, the preparing of names and passwords, and running the costly part where
the loop does not wait for it. The cryptography is scramp's, which the extra
``geopb[login]`` installs. Called by the exchange, checkers and users.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote_to_bytes
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.lock import BoundedSemaphore

T = TypeVar("T")

MECHANISM = "SCRAM-SHA-256"
#: Rounds of a new verifier: some 3 ms. RFC 7677 wants 15,000 where they are not a cost
#: to anybody, and a thief of the verifiers pays them for each guess.
ITERATIONS = 15_000
#: Fewer are not taken (RFC 7677), and a client does no more for a server: 0.3 s.
FEWEST_ITERATIONS = 4096
MOST_ITERATIONS = 1_000_000
#: Bytes of a salt.
_SALT_BYTES = 16
#: What stands for itself in a prepared password: printable ASCII but the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != 0x25)


class Malformed(Exception):
    """A message of the exchange is none, or comes where it may not."""


class NoBinding(Exception):
    """The client binds the exchange to TLS, and this side cannot."""


def library() -> Any:
    """Return scramp.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import scramp
    except ImportError:
        text = "a login with a password needs the extra: pip install 'geopb[login]'"
        raise ImportError(text) from None
    return scramp


@dataclass(frozen=True, slots=True, repr=False)
class Verifier:
    """What a server keeps in place of a password."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    def __str__(self) -> str:
        keys = (self.salt, self.stored_key, self.server_key)
        salt, stored, server = (base64.b64encode(key).decode() for key in keys)
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        return f"<Verifier of {self.iterations} iterations>"


_VERIFIER = re.compile(
    re.escape(MECHANISM) + r"\$(\d{4,7}):([\w+/=]+)\$([\w+/=]+):([\w+/=]+)", re.ASCII
)


def read_verifier(text: object) -> Verifier:
    """Read what `make_verifier` made.

    Raises:
        TypeError: It is no text.
        ValueError: It is no verifier. The text does not repeat it.
    """
    if isinstance(text, Verifier):
        return text
    if not isinstance(text, str):
        raise TypeError(f"a verifier is text, not {type(text).__name__}")
    found = _VERIFIER.fullmatch(text)
    wrong = "this is no verifier: make one with pb.make_verifier(password)"
    if found is None:
        raise ValueError(wrong)
    iterations = int(found[1])
    try:
        keys = [base64.b64decode(key, validate=True) for key in found.groups()[1:]]
    except ValueError:
        raise ValueError(wrong) from None
    size = hashlib.sha256().digest_size
    if (
        not FEWEST_ITERATIONS <= iterations <= MOST_ITERATIONS
        or len(keys[0]) < 12
        or [len(key) for key in keys[1:]] != [size, size]
    ):
        raise ValueError(wrong)
    return Verifier(keys[0], keys[1], keys[2], iterations)


def make_verifier(password: str, *, iterations: int = ITERATIONS) -> str:
    """Make what a server keeps in place of `password`: one line of text.

    Who has it can neither log in with it nor read the password, but can try passwords
    on it. Each has a salt of its own. Blocks the greenlet for some milliseconds, not
    the loop.

    Args:
        password: The password.
        iterations: The work of one guess, 4,096 to 1,000,000.

    Raises:
        ImportError: The extra ``geopb[login]`` is not installed.
        ValueError: `iterations` is out of that range.
    """
    if not FEWEST_ITERATIONS <= iterations <= MOST_ITERATIONS:
        raise ValueError(
            f"iterations={iterations} is not in {FEWEST_ITERATIONS} to "
            f"{MOST_ITERATIONS}"
        )
    return str(derive(password, secrets.token_bytes(_SALT_BYTES), iterations))


def derive(password: str, salt: bytes, iterations: int) -> Verifier:
    """Return the verifier of a password; blocks the greenlet, not the loop."""
    mechanism = library().ScramMechanism(MECHANISM)
    text = prepared(password)

    def work() -> Verifier:
        return Verifier(*mechanism.make_auth_info(text, iterations, salt))

    return off_the_loop(work)


def made_up(secret: bytes, username: str, iterations: int) -> Verifier:
    """Return the verifier of nobody: the same for a name each time."""
    name = username.encode("utf-8", "surrogatepass")

    def part(which: bytes) -> bytes:
        return hashlib.blake2b(which + name, key=secret[:64], digest_size=32).digest()

    return Verifier(part(b"s")[:_SALT_BYTES], part(b"c"), part(b"k"), iterations)


def prepared(password: str) -> str:
    """Return a password as the exchange takes it: any text, in printable ASCII.

    The same characters typed on two systems are the same text (NFC).
    """
    raw = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return quote(raw, safe=_PLAIN)


def written_name(username: str) -> str:
    """Return a user name as the exchange takes it."""
    return quote(username.encode("utf-8", "surrogatepass"), safe="")


def read_name(text: str) -> str:
    """Return the user name that was written.

    Raises:
        Malformed: It is written otherwise than `written_name` does.
    """
    try:
        name = unquote_to_bytes(text).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed("the user name is not UTF-8") from None
    if written_name(name) != text:
        raise Malformed("the user name is not percent-encoded")
    return name


# -- the loop goes on ------------------------------------------------------------------

#: Derivations at once: one core at least is left for the loop.
_AT_ONCE = max(1, (os.cpu_count() or 1) - 1)
_rooms: WeakKeyDictionary[Any, BoundedSemaphore] = WeakKeyDictionary()


def off_the_loop(work: Callable[[], T]) -> T:
    """Return ``work()``, run in the hub's thread pool; blocks the greenlet."""
    hub: Any = get_hub()
    room = _rooms.get(hub)
    if room is None:
        room = _rooms[hub] = BoundedSemaphore(_AT_ONCE)
    with room:
        value, error = hub.threadpool.apply(_caught, (work,))
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def _caught(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Run it; what the pool is raised it would print."""
    try:
        return work(), None
    except Exception as error:
        return None, error
