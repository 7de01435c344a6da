"""Peers that speak something else, and TLS that fails: what both sides are told.

Owns these sentences. Never touches a socket. Called by the connection and its TLS.
"""

from __future__ import annotations

import ssl

from geopb.errors import PBConnectionLost
from geopb.limits import MINIMUM_MESSAGE_BYTES
from geopb.net.sockets import readable_refusal
from geopb.wire.framing import (
    HELLO_PREFIX_BYTES,
    ForeignProtocol,
    FrameReader,
    identify,
)

#: A fatal alert, unexpected_message: what every TLS server says to what is no TLS.
_ALERT = bytes((0x15, 3, 3, 0, 2, 2, 10))
_GEOPB = "geopb without TLS"


class NotTLS(ForeignProtocol):
    """The stream does not begin as TLS does; `speaks` says what it looks like."""

    __module__ = "geopb"

    def __init__(self, start: bytes) -> None:
        frames = FrameReader(MINIMUM_MESSAGE_BYTES)
        frames.feed(start[:HELLO_PREFIX_BYTES])
        # A hello is short: the first byte of its length is 0.
        is_hello = frames.refusal is None and start[0] == 0
        speaks = _GEOPB if is_hello else identify(start)
        super().__init__(speaks)
        self.args = (f"the peer speaks {speaks}, where TLS was to be",)


def refusal(error: ForeignProtocol) -> bytes:
    """Return what to tell a peer that speaks something else, in its own words."""
    if error.speaks == _GEOPB:
        # By this it recognises TLS, and says so to its user.
        return _ALERT
    return readable_refusal(error.speaks)


def explain_foreign(error: ForeignProtocol, peer: str) -> str:
    """Say to this side's user what is wrong, and what to do about it."""
    if error.speaks == _GEOPB:
        return (
            f"{peer} speaks geopb without TLS: connect without tls:// and ssl_context, "
            "or give the server an ssl_context"
        )
    if isinstance(error, NotTLS):
        return f"{peer} speaks {error.speaks}, neither TLS nor geopb"
    text = f"{peer} speaks {error.speaks}, not geopb"
    if error.speaks == "TLS":
        text += f": if it is a geopb server, connect to tls://{peer}"
    return text


#: By OpenSSL's reason: what it means to a client, and to a server. A reason that is not
#: here is told in OpenSSL's words.
_NO_CERTIFICATE = (
    "it asks for a client certificate and took none of ours: connect with "
    "ssl_context=pb.tls_client_context(ca, cert, key)"
)
_REFUSED = "it does not accept our certificate"
_NOTHING_SHARED = (
    "both sides have no TLS version or cipher in common, or the server has no "
    "certificate, or it asks for one of the client's"
)
_REASONS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it sent no certificate, and has to",
    "SSLV3_ALERT_NO_CERTIFICATE": _NO_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_REFUSED}: it has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "TLSV1_ALERT_UNKNOWN_CA": f"{_REFUSED}: it does not know who signed it",
    "TLSV1_ALERT_ACCESS_DENIED": _REFUSED,
    "TLSV1_UNRECOGNIZED_NAME": "it has no certificate for that name",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NOTHING_SHARED,
    "NO_SHARED_CIPHER": _NOTHING_SHARED,
    "TLSV1_ALERT_PROTOCOL_VERSION": "both sides have no TLS version in common",
    "UNSUPPORTED_PROTOCOL": "both sides have no TLS version in common",
}


def explain_ssl(error: OSError, peer: str, *, is_server: bool) -> Exception:
    """Return what to raise, or to log, for an error that ended the handshake.

    A certificate that does not verify is told by the error itself; another one of
    OpenSSL's by one of its class, with a sentence for people in front.
    """
    if not isinstance(error, ssl.SSLError):
        return PBConnectionLost(f"the connection to {peer} broke: {error}")
    if isinstance(error, ssl.SSLCertVerificationError) and not is_server:
        return error
    reason = getattr(error, "reason", None) or ""
    meaning = _REASONS.get(reason)
    told = f"{meaning} ({reason})" if meaning else str(error)
    explained = ssl.SSLError(error.errno, f"no TLS with {peer}: {told}")
    # As the ssl module itself sets them.
    explained.reason, explained.library = reason, getattr(error, "library", None) or ""
    return explained
