"""Users in a file, each with a verifier in place of a password.

Owns the file's form: a first line that names it and has a secret of its own, and for
each user a line ``name:verifier``, the name percent-encoded. Never sees a password.
Called by a portal (`VerifierFile`) and ``python -m geopb.cred`` (`set_verifier`).
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections import Counter
from pathlib import Path

from geopb.cred.credentials import UsernamePassword, refused
from geopb.cred.verifiers import (
    ITERATIONS,
    Malformed,
    Verifier,
    made_up,
    read_name,
    read_verifier,
    written_name,
)

_log = logging.getLogger("geopb.cred")

_HEAD = "# geopb verifiers "

Users = dict[str, Verifier]


class VerifierFile:
    """Users and the verifiers of their passwords, in a file.

    ``python -m geopb.cred passwd FILE USER`` adds users and changes passwords. The
    avatar's id is the user's name. A file that changes is read again; while it is not
    what it should be, what was read before holds, and the log says so.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
        ValueError: A line of it is wrong; the text names it.
    """

    credentialInterfaces = (UsernamePassword,)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen = _state(self.path)
        self.secret, self._users = read(self.path)

    @property
    def iterations(self) -> int:
        """What most of its verifiers take: a made-up one is to look like them."""
        counted = Counter(each.iterations for each in self._users.values())
        return counted.most_common(1)[0][0] if counted else ITERATIONS

    def getVerifier(self, username: str) -> str | None:
        """Return the user's verifier, None for nobody; reads the file if it changed."""
        self._read_if_changed()
        found = self._users.get(username)
        return None if found is None else str(found)

    def requestAvatarId(self, credentials: UsernamePassword) -> str:
        """Return the user's name if the password is right."""
        found = self._users.get(credentials.username)
        # The same work for nobody.
        wanted = found or made_up(b"nobody", credentials.username, self.iterations)
        right = credentials.checkVerifier(str(wanted))
        if found is None or not right:
            raise refused()
        return credentials.username

    def _read_if_changed(self) -> None:
        try:
            seen = _state(self.path)
            if seen == self._seen:
                return
            self._seen = seen
            secret, self._users = read(self.path)
            self.secret = secret or self.secret
        except (OSError, ValueError) as error:
            self._seen = None
            _log.warning("the users that were known before hold: %s", error)

    def __repr__(self) -> str:
        return f"<VerifierFile {self.path}, {len(self._users)} users>"


def read(path: Path) -> tuple[bytes | None, Users]:
    """Return a file's secret, None if it has none, and its users.

    Raises:
        OSError: It cannot be read.
        ValueError: A line of it is wrong; the text names it.
    """
    secret: bytes | None = None
    users: Users = {}
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        if line.startswith(_HEAD):
            secret = line.removeprefix(_HEAD).encode()
        elif line.strip() and not line.startswith("#"):
            written, _, verifier = line.strip().partition(":")
            try:
                name = read_name(written)
                found = read_verifier(verifier)
            except (Malformed, ValueError) as error:
                raise ValueError(f"line {number} of {path}: {error}") from None
            if name in users:
                raise ValueError(
                    f"line {number} of {path}: this user stands there twice"
                )
            users[name] = found
    return secret, users


def set_verifier(path: str | os.PathLike[str], username: str, verifier: str) -> bool:
    """Add a user to a file, or change one; return whether it was added.

    The file is made where there is none, for its owner's eyes only, and replaced in
    one step.

    Raises:
        OSError: It cannot be read or written.
        ValueError: It, or `verifier`, is not what it should be.
    """
    path = Path(path)
    secret: bytes | None = None
    users: Users = {}
    if path.exists():
        secret, users = read(path)
    added = username not in users
    users[username] = read_verifier(verifier)
    head = secret.decode() if secret else secrets.token_hex(32)
    lines = [f"{_HEAD}{head}"]
    lines += [f"{written_name(name)}:{found}" for name, found in users.items()]
    # For the owner's eyes, as mkstemp makes it.
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return added


def _state(path: Path) -> tuple[int, int, int] | None:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
