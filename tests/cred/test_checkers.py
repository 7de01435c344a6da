"""Checkers that geopb brings along, asked without a connection."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import geopb as pb

USERS = {"alice": "sesame", "bob": ""}


def test_a_database_in_memory_knows_its_users() -> None:
    checker = pb.InMemoryUsernamePasswordDatabaseDontUse(**USERS)
    checker.addUser("ö,=%", "\ud800")

    for name, password in [*USERS.items(), ("ö,=%", "\ud800")]:
        assert checker.requestAvatarId(pb.UsernamePassword(name, password)) == name
    for name, password in (("alice", "x"), ("bob", "x"), ("eve", ""), ("eve", "x")):
        with pytest.raises(pb.UnauthorizedLogin):
            checker.requestAvatarId(pb.UsernamePassword(name, password))


@pytest.mark.parametrize(("name", "password"), [("a", b"c"), ("a", None), (b"a", "b")])
def test_a_database_in_memory_takes_text(name: Any, password: Any) -> None:
    checker = pb.InMemoryUsernamePasswordDatabaseDontUse()

    with pytest.raises(TypeError, match="text"):
        checker.addUser(name, password)


def test_a_token_checker_knows_its_tokens() -> None:
    checker = pb.TokenChecker({"a": "alice", "b": None})

    assert checker.requestAvatarId(pb.Token("a")) == "alice"
    assert checker.requestAvatarId(pb.Token("b")) is None
    for wrong in ("", "A", "ab", "a\0"):
        with pytest.raises(pb.UnauthorizedLogin):
            checker.requestAvatarId(pb.Token(wrong))


@pytest.mark.parametrize(("token", "error"), [(b"a", TypeError), ("", ValueError)])
def test_a_token_is_text_and_not_empty(token: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="token"):
        pb.TokenChecker({token: 1})


def test_anonymous_access_is_for_the_empty_tuple() -> None:
    assert pb.AllowAnonymousAccess().requestAvatarId(pb.Anonymous()) == ()


def test_a_certificate_checker_knows_names() -> None:
    checker = pb.CertificateChecker({"a.example": "a"})
    shown = {"subjectAltName": (("DNS", "x.example"), ("DNS", "a.example"))}

    assert checker.requestAvatarId(pb.ClientCertificate(shown)) == "a"
    for other in (None, {}, {"subjectAltName": (("DNS", "b.example"),)}):
        with pytest.raises(pb.UnauthorizedLogin):
            checker.requestAvatarId(pb.ClientCertificate(other))


@pytest.mark.parametrize(
    "what",
    [
        pb.UsernamePassword("alice", "hush"),
        pb.Token("hush"),
        pb.TokenChecker({"hush": 1}),
        pb.InMemoryUsernamePasswordDatabaseDontUse(alice="hush"),
    ],
    ids=lambda what: type(what).__name__,
)
def test_nothing_secret_is_shown(what: Any) -> None:
    assert "hush" not in repr(what) + str(what)


@pytest.mark.parametrize("credentials", [pb.Token("t"), pb.UsernamePassword("a", "b")])
def test_credentials_are_not_pickled(credentials: Any) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(credentials)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: pb.UsernamePassword(b"a", "b"), TypeError),  # type: ignore[arg-type]
        (lambda: pb.UsernamePassword("a", b"b"), TypeError),  # type: ignore[arg-type]
        (lambda: pb.UsernamePassword("a" * 257, "b"), ValueError),
        (lambda: pb.Token(None), TypeError),  # type: ignore[arg-type]
        (lambda: pb.Token("t" * 8193), ValueError),
    ],
    ids=["name", "password", "long name", "token", "long token"],
)
def test_credentials_are_text_of_some_length(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_credentials_can_be_asked_without_a_connection() -> None:
    credentials = pb.UsernamePassword("a", "Ame\u0301lie")

    assert credentials.checkPassword("Am\u00e9lie")
    assert credentials.checkVerifier(pb.make_verifier("Am\u00e9lie"))
    assert not credentials.checkPassword("Amelie")
    assert not credentials.checkVerifier(pb.make_verifier("Amelie"))


class Some:
    credentialInterfaces: Any = (pb.Token,)

    def requestAvatarId(self, credentials: Any) -> Any:
        return 1

    def requestAvatar(self, *_: Any) -> Any:
        return None


class Odd(Some):
    credentialInterfaces = (str,)


class NotATuple(Some):
    credentialInterfaces = pb.Token


@pytest.mark.parametrize(
    ("realm", "checkers", "error"),
    [
        (object(), [], TypeError),
        (Some(), Some(), TypeError),
        (Some(), [object()], TypeError),
        (Some(), [Odd()], TypeError),
        (Some(), [NotATuple()], TypeError),
        (Some(), [Some(), Some()], ValueError),
    ],
    ids=["realm", "one", "no checker", "odd kind", "no tuple", "two"],
)
def test_a_portal_refuses_what_does_not_fit(
    realm: Any, checkers: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        pb.Portal(realm, checkers)
    assert isinstance(Some(), pb.Checker)
