"""The exchange without a connection: right, wrong, changed, bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.cred.scram import ClientExchange, ServerExchange, end_point
from geopb.cred.verifiers import (
    Malformed,
    NoBinding,
    Verifier,
    made_up,
    off_the_loop,
    prepared,
    read_name,
    read_verifier,
    written_name,
)

VERIFIER = read_verifier(pb.make_verifier("sesame", iterations=4096))


def exchanged(
    password: str = "sesame",
    binding: tuple[bytes | None, bytes | None] = (None, None),
    *,
    bind: bool = False,
) -> tuple[ClientExchange, str | None]:
    client = ClientExchange("ö,=", password, binding[0], bind=bind)
    server = ServerExchange(client.first, lambda _: VERIFIER, binding[1])
    assert server.username == "ö,="
    return client, server.check(VERIFIER, client.answer(server.challenge))


def test_who_knows_the_password_is_let_in_and_so_is_the_server() -> None:
    client, proof = exchanged()

    assert proof is not None
    client.verify(proof)
    assert exchanged("sesam")[1] is None


def test_a_bound_exchange_is_for_one_certificate() -> None:
    assert exchanged(binding=(b"a", b"a"), bind=True)[1] is not None
    assert exchanged(binding=(b"a", b"b"), bind=True)[1] is None
    with pytest.raises(NoBinding):
        exchanged(binding=(b"a", None), bind=True)


def test_a_client_that_was_told_that_the_server_cannot_bind_is_found_out() -> None:
    with pytest.raises(Malformed):
        exchanged(binding=(b"a", b"a"), bind=False)
    assert exchanged(binding=(b"a", None), bind=False)[1] is not None


def test_another_verifier_than_the_challenge_is_of_proves_nothing() -> None:
    other = read_verifier(pb.make_verifier("sesame", iterations=4096))
    client = ClientExchange("alice", "sesame", None, bind=False)
    server = ServerExchange(client.first, lambda _: VERIFIER, None)

    assert server.check(other, client.answer(server.challenge)) is None


@pytest.mark.parametrize("text", ["", "r=x,s=AAAA,i=4096", "e=other-error", None, b"x"])
def test_a_challenge_that_is_none_is_the_servers_fault(text: Any) -> None:
    client = ClientExchange("alice", "sesame", None, bind=False)

    with pytest.raises(pb.ProtocolError):
        client.answer(text)


@pytest.mark.parametrize("text", ["", "v=AAAA", "v=", "e=invalid-proof", None])
def test_a_proof_of_the_servers_that_is_none_is_noticed(text: Any) -> None:
    client, _ = exchanged()

    with pytest.raises(pb.UnauthorizedLogin, match="do not trust"):
        client.verify(text)


def test_what_finding_a_verifier_raises_comes_out() -> None:
    def find(name: str) -> Verifier:
        raise LookupError(name)

    client = ClientExchange("alice", "sesame", None, bind=False)
    with pytest.raises(LookupError, match="alice"):
        ServerExchange(client.first, find, None)


@pytest.mark.parametrize("name", ["alice", "a b", "ö", "a%41", "\ud800", "=2C,", "\0"])
def test_a_name_is_written_in_one_way(name: str) -> None:
    written = written_name(name)

    assert written.isascii()
    assert read_name(written) == name


@pytest.mark.parametrize("written", ["a b", "%41", "%", "%ff", "%c3", "ö"])
def test_a_name_that_is_written_otherwise_is_none(written: str) -> None:
    with pytest.raises(Malformed):
        read_name(written)


def test_a_password_may_be_any_text() -> None:
    assert prepared("a b,=") == "a b,="
    assert prepared("e\u0301") == prepared("\u00e9") != prepared("e")
    for odd in ("", "\0", "\ud800", "\U0001f512", "%00"):
        assert pb.UsernamePassword("a", odd).checkVerifier(pb.make_verifier(odd))


WRONG: list[Callable[[str], str]] = [
    lambda text: "",
    lambda text: text[:-4],
    lambda text: text + "A",
    lambda text: text.replace("4096", "1"),
    lambda text: text.replace("4096", "9999999"),
    lambda text: text.replace("SCRAM-SHA-256", "SCRAM-SHA-1"),
    lambda text: text.replace(":", ";"),
    lambda text: text.replace(":", ":="),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_verifier_that_is_none_is_a_ValueError(number: int) -> None:  # noqa: N802
    text = WRONG[number](str(VERIFIER))

    with pytest.raises(ValueError, match="no verifier"):
        read_verifier(text)


def test_a_verifier_shows_nothing() -> None:
    assert repr(VERIFIER) == "<Verifier of 4096 iterations>"
    assert read_verifier(str(VERIFIER)) == VERIFIER
    with pytest.raises(TypeError, match="text"):
        read_verifier(b"x")


@pytest.mark.parametrize("iterations", [4095, 1_000_001])
def test_the_work_of_a_guess_has_its_bounds(iterations: int) -> None:
    with pytest.raises(ValueError, match=str(iterations)):
        pb.make_verifier("x", iterations=iterations)


def test_nobody_has_the_same_salt_each_time() -> None:
    one, again, other = (made_up(b"secret", name, 15_000) for name in ("a", "a", "b"))

    assert one == again
    assert one.salt != other.salt


def test_the_loop_goes_on_while_a_password_is_derived() -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    counting = gevent.spawn(count)
    pb.make_verifier("x", iterations=200_000)
    counting.kill()

    assert turns > 5


def test_what_work_off_the_loop_raises_comes_out() -> None:
    def fail() -> None:
        raise LookupError("off")

    with pytest.raises(LookupError, match="off"):
        off_the_loop(fail)


@pytest.mark.parametrize("certificate", [None, b"", b"no certificate"])
def test_what_is_no_certificate_binds_nothing(certificate: bytes | None) -> None:
    assert end_point(certificate) is None
