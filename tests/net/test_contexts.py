"""Contexts for TLS: those that geopb makes, and those that it takes."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import ssl
import textwrap
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from gevent import ssl as gevent_ssl

import geopb as pb
from tests.net.certificates import Certificates
from tests.support import run_python

# -- made ------------------------------------------------------------------------------


def test_a_servers_context_asks_nobody_for_a_certificate_by_default(
    certificates: Certificates,
) -> None:
    context = pb.tls_server_context(certificates.cert, certificates.key)

    assert isinstance(context, gevent_ssl.SSLContext)
    assert context.protocol == ssl.PROTOCOL_TLS_SERVER
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_with_client_ca_it_asks_everybody(certificates: Certificates) -> None:
    files = certificates
    context = pb.tls_server_context(files.cert, files.key, client_ca=files.ca)

    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_a_clients_context_checks_the_server_and_its_name(
    certificates: Certificates,
) -> None:
    for context in (
        pb.tls_client_context(),
        pb.tls_client_context(certificates.ca),
        pb.tls_client_context(str(certificates.ca), str(certificates.alice)),
    ):
        assert isinstance(context, gevent_ssl.SSLContext)
        assert context.protocol == ssl.PROTOCOL_TLS_CLIENT
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


def test_with_ca_the_systems_authorities_are_not_trusted(
    certificates: Certificates,
) -> None:
    assert len(pb.tls_client_context(certificates.ca).get_ca_certs()) == 1


def makers(path: Path, certificates: Certificates) -> list[Any]:
    """Return the calls in which `path` stands for one of the files."""
    cert, key = certificates.cert, certificates.key
    return [
        lambda: pb.tls_server_context(path, key),
        lambda: pb.tls_server_context(cert, path),
        lambda: pb.tls_server_context(cert, key, path),
        lambda: pb.tls_client_context(path),
        lambda: pb.tls_client_context(cert=path),
        lambda: pb.tls_client_context(cert=cert, key=path),
    ]


def test_a_file_that_is_not_there_is_named(
    certificates: Certificates, tmp_path: Path
) -> None:
    for make in makers(tmp_path / "nothing.pem", certificates):
        with pytest.raises(FileNotFoundError, match=r"nothing\.pem"):
            make()


def test_a_file_that_is_no_PEM_is_named(
    certificates: Certificates, tmp_path: Path
) -> None:
    path = tmp_path / "garbage.pem"
    path.write_text("this is no certificate\n")

    for make in makers(path, certificates):
        with pytest.raises(ssl.SSLError, match=r"garbage\.pem .*cannot be used"):
            make()


def test_a_key_of_another_certificate_is_told(certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        pb.tls_server_context(certificates.cert, certificates.alice)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(
    certificates: Certificates, tmp_path: Path
) -> None:
    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    path = tmp_path / "encrypted.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    with pytest.raises(ValueError, match=r"encrypted\.pem is encrypted: decrypt it"):
        pb.tls_server_context(certificates.cert, path)


def test_a_key_without_a_certificate_is_a_TypeError(
    certificates: Certificates,
) -> None:
    with pytest.raises(TypeError, match="give cert as well"):
        pb.tls_client_context(key=certificates.key)


# -- taken -----------------------------------------------------------------------------


def users() -> list[Any]:
    """Everything that takes a context; none may open anything when it is wrong."""
    return [
        lambda context, address="127.0.0.1:1": pb.serve(
            pb.Root(), address, ssl_context=context
        ),
        lambda context, address="127.0.0.1:1": pb.connect(address, ssl_context=context),
        lambda context, address="127.0.0.1:1": pb.PBClientFactory().connect(
            address, ssl_context=context
        ),
    ]


def test_the_standard_librarys_context_is_a_TypeError_that_names_the_remedy() -> None:
    for context in (
        ssl.create_default_context(),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        # This one is not gevent's either.
        gevent_ssl.create_default_context(),
    ):
        for use in users():
            with pytest.raises(TypeError, match=r"pb\.tls_\w+_context\(") as caught:
                use(context)
            assert "blocks the whole process" in str(caught.value)


@pytest.mark.parametrize("given", [True, "cert.pem", object(), ssl.SSLContext])
def test_what_is_no_context_is_a_TypeError(given: Any) -> None:
    for use in users():
        with pytest.raises(TypeError, match=r"takes a gevent\.ssl\.SSLContext, not"):
            use(given)


def test_a_context_of_the_other_side_is_a_ValueError(
    certificates: Certificates,
) -> None:
    serve, *connects = users()

    with pytest.raises(ValueError, match=r"make one with pb\.tls_server_context"):
        serve(pb.tls_client_context())
    for connect in connects:
        with pytest.raises(ValueError, match=r"make one with pb\.tls_client_context"):
            connect(pb.tls_server_context(certificates.cert, certificates.key))


def contexts(certificates: Certificates) -> list[Any]:
    """Return a right context for each of `users`."""
    client = pb.tls_client_context(certificates.ca)
    server = pb.tls_server_context(certificates.cert, certificates.key)
    return [server, client, client]


def test_an_address_that_says_it_is_without_TLS_takes_no_context(
    certificates: Certificates, tmp_path: Path
) -> None:
    for use, context in zip(users(), contexts(certificates), strict=True):
        with pytest.raises(ValueError, match=r"tls://127\.0\.0\.1:1"):
            use(context, "tcp://127.0.0.1:1")
        with pytest.raises(ValueError, match="takes no ssl_context"):
            use(context, f"unix://{tmp_path}/socket")


def test_a_server_at_a_TLS_address_needs_a_context() -> None:
    with pytest.raises(ValueError, match=r"pb\.tls_server_context\(cert, key\)"):
        pb.serve(pb.Root(), "tls://127.0.0.1:0")


def test_a_host_that_TLS_does_not_take_is_told_at_once(
    certificates: Certificates,
) -> None:
    with pytest.raises(ValueError, match=r"'\.example:1' names no host"):
        pb.connect(".example:1", ssl_context=pb.tls_client_context(certificates.ca))


def test_in_a_patched_process_the_standard_librarys_context_will_do(
    certificates: Certificates,
) -> None:
    """One that was made before the patching is of the class that was there then."""
    paths = certificates.cert, certificates.key, certificates.ca
    ended = run_python(
        "import ssl\n"
        "before = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "from gevent import monkey\n"
        "monkey.patch_all()\n"
        f"cert, key, ca = {[str(each) for each in paths]!r}\n"
        + textwrap.dedent("""
            import geopb as pb

            class Root(pb.Root):
                def remote_echo(self, value):
                    return value

            before.load_cert_chain(cert, key)
            after = ssl.create_default_context(cafile=ca)
            with pb.serve(Root(), "127.0.0.1:0", ssl_context=before) as server:
                with pb.connect(server.address, ssl_context=after) as client:
                    root = client.getRootObject().get(timeout=10)
                    print(root.callRemote("echo", "patched").get(timeout=10))
        """)
    )

    assert (ended.stdout, ended.stderr) == ("patched\n", "")
