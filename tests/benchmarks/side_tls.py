"""The library under test over TLS, as docs/tls.md tells users to.

Owns a certificate made for the run. The address that its server tells names the file
of the authority as well, for the clients.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

import geopb as pb
from tests.benchmarks import side_geopb


class Server:
    """geopb's server with a certificate of its own."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory()
        folder = Path(self._directory.name)
        authority = trustme.CA()
        pair = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        pair.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        pair.private_key_pem.write_to_path(folder / "key.pem")
        context = pb.tls_server_context(folder / "cert.pem", folder / "key.pem")
        self._server = pb.serve(side_geopb.Echoer(), "127.0.0.1:0", ssl_context=context)
        #: Text for ``Connection``.
        self.address = f"{self._server.address} {folder / 'ca.pem'}"

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(timeout=0)
        self._directory.cleanup()


class Connection(side_geopb.Connection):
    """geopb's client: it trusts the run's authority alone."""

    def __init__(self, address: str) -> None:
        where, authority = address.split(" ", 1)
        self._more = []
        context = pb.tls_client_context(authority)
        self._client = pb.connect(where, ssl_context=context)
        self.root = self._client.getRootObject().get(timeout=5)
