"""A throw-away authority, and what it has signed, in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files.

    Attributes:
        ca: The authority that tests trust.
        cert: The server's certificate, for ``localhost`` and ``127.0.0.1``.
        key: Its key.
        alice: A client's certificate and key, signed by the authority.
        eve: The same, signed by an authority that nobody trusts.
        elsewhere: A server's certificate and key, for ``elsewhere.example``.
    """

    ca: Path
    cert: Path
    key: Path
    alice: Path
    eve: Path
    elsewhere: Path


def make(folder: Path) -> Certificates:
    """Make a new authority, and everything that it signs."""
    made = Certificates(
        *(
            folder / f"{name}.pem"
            for name in ("ca", "cert", "key", "alice", "eve", "elsewhere")
        )
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.ca)
    server = authority.issue_cert("localhost", "127.0.0.1", "::1")
    server.cert_chain_pems[0].write_to_path(made.cert)
    server.private_key_pem.write_to_path(made.key)
    for path, pair in (
        (made.alice, authority.issue_cert("alice@example.org")),
        (made.eve, trustme.CA().issue_cert("eve@example.org")),
        (made.elsewhere, authority.issue_cert("elsewhere.example")),
    ):
        pair.private_key_and_cert_chain_pem.write_to_path(path)
    return made
