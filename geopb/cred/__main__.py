"""Keep the users of a `VerifierFile`: ``python -m geopb.cred passwd FILE USER``.

Asks for the password on the terminal, twice; without a terminal it is the first line of
the standard input. Never takes it from the command line, which others can read.
"""

from __future__ import annotations

import argparse
import getpass
import sys

from geopb.cred.file import set_verifier
from geopb.cred.verifiers import ITERATIONS, make_verifier


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m geopb.cred", description="Keep the users of a pb.VerifierFile."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    passwd = commands.add_parser("passwd", help="add a user, or change the password")
    passwd.add_argument("file", metavar="FILE")
    passwd.add_argument("user", metavar="USER")
    passwd.add_argument(
        "--iterations",
        type=int,
        default=ITERATIONS,
        help="the work of one guess (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    try:
        password = _password(given.user)
        verifier = make_verifier(password, iterations=given.iterations)
        added = set_verifier(given.file, given.user, verifier)
    except (ImportError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{'added' if added else 'changed'} {given.user}\n")
    return 0


def _password(user: str) -> str:
    """Ask for the password; blocks the process.

    Raises:
        ValueError: None was given, or two different ones.
    """
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = getpass.getpass(f"password for {user}: ")
        if getpass.getpass("again: ") != password:
            raise ValueError("the two passwords differ: nothing was changed")
    if not password:
        raise ValueError("there was no password: nothing was changed")
    return password


if __name__ == "__main__":
    sys.exit(main())
