"""Logging in over real connections: avatars, minds, logouts, refusals."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import ssl as gevent_ssl
from gevent.event import AsyncResult, Event

import geopb as pb
from geopb.broker.outbox import Outbox
from geopb.cred import throttle, verifiers
from geopb.net import lobby
from geopb.net.writer import Writer
from geopb.testing import connected_pair
from tests.conftest import Pair, Serve
from tests.cred import soak
from tests.net.certificates import Certificates
from tests.support import SOON, client_connection, collect, eventually, run_python

ALICE = pb.UsernamePassword("alice", "sesame")
REFUSED = "the login was refused"


class Mind(pb.Referenceable):
    def remote_name(self) -> str:
        return "the mind"


class User(pb.Avatar):
    def __init__(self, name: Any, mind: Any) -> None:
        self.name = name
        self.mind = mind

    def perspective_name(self) -> Any:
        return self.name

    def perspective_isMe(self, other: object) -> bool:
        return other is self

    def perspective_thing(self) -> Any:
        return Thing()

    def perspective_do(self, what: str) -> Any:
        return self.mind.callRemote(what).get(timeout=SOON)

    def remote_secret(self) -> str:
        return "not for perspectives"


class Thing(pb.Viewable):
    def view_who(self, perspective: User) -> Any:
        return perspective.name


class Realm:
    """Attributes: `out`, ids in the order of their logouts; `made`, avatars."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.before = before
        self.made: list[User] = []
        self.out: list[Any] = []

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        assert interfaces == (pb.IPerspective,)
        self.before()
        self.made.append(User(avatarId, mind))
        return interfaces[0], self.made[-1], lambda: self.out.append(avatarId)


@cache
def users() -> Any:
    """Return who may log in: none of the tests changes it, and it is dear to make."""
    return pb.InMemoryUsernamePasswordDatabaseDontUse(alice="sesame", bob="b")


def portal(realm: Any, *checkers: Any) -> pb.Portal:
    return pb.Portal(realm, checkers or (users(),))


def call(avatar: Any, name: str, *args: Any) -> Any:
    return avatar.callRemote(name, *args).get(timeout=SOON)


def log_in(client: Any, credentials: Any = ALICE, mind: Any = None) -> Any:
    return client.login(credentials, mind).get(timeout=SOON)


def refusal(client: Any, credentials: Any) -> str:
    with pytest.raises(pb.UnauthorizedLogin) as caught:
        log_in(client, credentials)
    return str(caught.value)


@pytest.fixture
def refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that are not about how long a refusal takes."""
    monkeypatch.setattr(throttle, "FIRST_DELAY", 0.001)


# -- logging in ------------------------------------------------------------------------


def test_an_avatar_answers_for_its_user(pair: Pair) -> None:
    realm = Realm()
    _, client = pair(portal(realm))

    avatar = log_in(client)

    assert call(avatar, "name") == "alice"
    assert call(avatar, "isMe", avatar)
    assert call(call(avatar, "thing"), "who") == "alice"


def test_an_avatar_answers_perspective_methods_only(pair: Pair) -> None:
    _, client = pair(portal(Realm()))
    avatar = log_in(client)

    for name in ("secret", "remote_secret", "_name", "mind", "perspective_name"):
        with pytest.raises(pb.NoSuchMethod):
            call(avatar, name)


def test_perspective_methods_are_no_remote_methods(pair: Pair) -> None:
    class Root(pb.Root):
        def perspective_name(self) -> str:
            return "root"

    _, client = pair(Root())

    with pytest.raises(pb.NoSuchMethod):
        call(client.getRootObject().get(timeout=SOON), "name")


def test_the_realm_may_call_the_mind_at_once(pair: Pair) -> None:
    called = []

    class Calling(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            called.append(mind.callRemote("name").get(timeout=SOON))
            return super().requestAvatar(avatarId, mind, *interfaces)

    _, client = pair(portal(Calling()))

    avatar = log_in(client, mind=Mind())

    assert called == ["the mind"]
    assert call(avatar, "do", "name") == "the mind"


@pytest.mark.usefixtures("refused_soon")
def test_several_logins_over_one_connection_are_independent(pair: Pair) -> None:
    realm = Realm()
    checkers = (users(), pb.AllowAnonymousAccess(), pb.TokenChecker({"t": "robot"}))
    _, client = pair(portal(realm, *checkers))
    every = [ALICE, pb.UsernamePassword("bob", "b"), pb.Anonymous(), pb.Token("t")]

    promises = [client.login(each) for each in every]
    wrong = client.login(pb.UsernamePassword("bob", "wrong"))
    avatars = pb.gather(promises).get(timeout=SOON)

    assert [call(each, "name") for each in avatars] == ["alice", "bob", (), "robot"]
    with pytest.raises(pb.UnauthorizedLogin):
        wrong.get(timeout=SOON)
    del avatars[1], promises[1]
    collect()
    eventually(lambda: realm.out == ["bob"])
    assert call(avatars[0], "name") == "alice"


def test_a_login_may_be_asked_before_connect(serve: Serve) -> None:
    server = serve(portal(Realm()))
    client = pb.PBClientFactory()
    promise = client.login(ALICE)
    named = promise.callRemote("name")

    with client.connect(server.address):
        assert named.get(timeout=SOON) == "alice"

    with pytest.raises(pb.DeadReferenceError):
        client.login(ALICE).get(timeout=SOON)


def test_a_login_fails_with_why_there_is_no_connection() -> None:
    with pb.PBClientFactory().connect("127.0.0.1:1") as client:
        with pytest.raises(ConnectionRefusedError):
            log_in(client)
        with pytest.raises(ConnectionRefusedError):
            log_in(client)


@pytest.mark.parametrize("wrong", [None, "alice", ("alice", "x"), pb.UsernamePassword])
def test_what_is_no_credentials_is_a_TypeError(wrong: Any) -> None:
    with pytest.raises(TypeError, match="login"):
        pb.PBClientFactory().login(wrong)


@pytest.mark.parametrize("root", [None, object(), Realm(), pb.Avatar()])
def test_a_root_is_a_Root_or_a_Portal(root: Any) -> None:
    with pytest.raises(TypeError, match=r"pb\.Portal or a pb\.Root"):
        pb.PBServerFactory(root)


def test_a_portal_has_no_root_and_says_login(pair: Pair) -> None:
    _, client = pair(portal(Realm()))

    with pytest.raises(pb.UnauthorizedLogin, match="login"):
        client.getRootObject().get(timeout=SOON)


def test_a_root_has_no_logins_and_says_getRootObject(pair: Pair) -> None:
    _, client = pair(pb.Root())

    for credentials in (ALICE, pb.Anonymous(), pb.Token("t"), pb.ClientCertificate()):
        assert "getRootObject" in refusal(client, credentials)


@pytest.mark.usefixtures("refused_soon")
@pytest.mark.parametrize("kind", ["promise", "result", "greenlet"])
def test_realms_and_checkers_may_return_promises(pair: Pair, kind: str) -> None:
    def later(value: Any) -> Any:
        if kind == "promise":
            return pb.succeed(value)
        if kind == "greenlet":
            return gevent.spawn(lambda: value)
        result: AsyncResult[Any] = AsyncResult()
        gevent.spawn(result.set, value)
        return result

    class Slow(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            return later(super().requestAvatar(avatarId, mind, *interfaces))

    class Checker:
        credentialInterfaces = (pb.UsernamePassword,)
        verifier = pb.make_verifier("sesame")

        def getVerifier(self, username: str) -> Any:
            return later(self.verifier if username == "alice" else None)

        def requestAvatarId(self, credentials: Any) -> Any:
            right = credentials.checkVerifier(self.verifier)
            if credentials.username != "alice" or not right:
                return pb.fail(pb.UnauthorizedLogin("my own words"))
            return later("alice")

    _, client = pair(portal(Slow(), Checker()))

    assert call(log_in(client), "name") == "alice"
    for wrong in (("alice", "wrong"), ("bob", "sesame")):
        assert refusal(client, pb.UsernamePassword(*wrong)) == REFUSED


# -- logging out -----------------------------------------------------------------------


def test_the_logout_runs_once_when_the_line_goes(pair: Pair) -> None:
    realm = Realm()
    _, client = pair(portal(realm))
    avatar = log_in(client)

    client.disconnect()

    eventually(lambda: realm.out)
    del avatar
    collect()
    assert realm.out == ["alice"]


def test_the_logout_runs_once_when_the_avatar_is_dropped(pair: Pair) -> None:
    realm = Realm()
    _, client = pair(portal(realm))
    avatar = log_in(client)
    assert realm.out == []

    del avatar

    eventually(lambda: realm.out)
    client.disconnect()
    collect()
    assert realm.out == ["alice"]


def test_an_avatar_that_comes_too_late_is_logged_out_at_once(pair: Pair) -> None:
    asked, go = Event(), Event()

    def wait() -> None:
        asked.set()
        go.wait()

    realm = Realm(wait)
    _, client = pair(portal(realm))
    promise = client.login(ALICE)
    assert asked.wait(SOON)

    client.disconnect()
    collect()
    assert realm.made == []
    go.set()

    eventually(lambda: realm.out == ["alice"])
    assert len(realm.made) == 1
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=SOON)


def test_a_cancelled_login_is_logged_out(pair: Pair) -> None:
    asked, go = Event(), Event()

    def wait() -> None:
        asked.set()
        go.wait()

    realm = Realm(wait)
    _, client = pair(portal(realm))
    promise = client.login(ALICE)
    assert asked.wait(SOON)

    promise.cancel()
    go.set()

    with pytest.raises(pb.Cancelled):
        promise.get(timeout=SOON)
    eventually(lambda: realm.out == ["alice"])


def test_a_login_takes_the_deadline_of_its_caller(pair: Pair) -> None:
    go = Event()
    realm = Realm(go.wait)
    _, client = pair(portal(realm))

    # Enough for a busy machine to reach the realm, which is to hear of the end.
    with pb.deadline(0.5), pytest.raises(pb.DeadlineExceeded):
        log_in(client)

    go.set()
    eventually(lambda: realm.out == ["alice"])


def test_a_logout_that_raises_is_logged_and_harms_nothing(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    class Bad(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            def logout() -> None:
                raise ValueError("logout failed")

            return (*super().requestAvatar(avatarId, mind, *interfaces)[:2], logout)

    _, client = pair(portal(Bad()))
    log_in(client)

    eventually(lambda: [each for each in geopb_log if "a logout raised" in each.msg])
    assert call(log_in(client), "name") == "alice"


def test_what_a_realm_does_wrong_is_told_to_the_caller_and_the_log(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    class Wrong:
        answer: Any = None

        def requestAvatar(self, *_: Any) -> Any:
            return self.answer

    realm = Wrong()
    _, client = pair(portal(realm))
    for answer in (None, User("x", None), (1, User("x", None), None)):
        realm.answer = answer
        with pytest.raises(pb.RemoteError, match="requestAvatar"):
            log_in(client)

    out: list[int] = []
    realm.answer = (pb.IPerspective, object(), lambda: out.append(1))
    with pytest.raises(pb.RemoteError):
        log_in(client)
    eventually(lambda: out == [1])


def test_what_a_realm_refuses_is_told_in_its_words(pair: Pair) -> None:
    class Full:
        def requestAvatar(self, *_: Any) -> Any:
            raise pb.UnauthorizedLogin("the room is full")

    _, client = pair(portal(Full()))

    assert refusal(client, ALICE) == "the room is full"


# -- refusals --------------------------------------------------------------------------


def test_nobody_and_a_wrong_password_get_one_answer_in_the_same_time(
    serve: Serve,
) -> None:
    server = serve(portal(Realm()))
    took: dict[str, list[float]] = {"nobody": [], "alice": []}

    for _ in range(3):
        for name, times in took.items():
            with pb.connect(server.address) as client:
                begun = monotonic()
                assert refusal(client, pb.UsernamePassword(name, "x")) == REFUSED
                times.append(monotonic() - begun)

    assert min(took["nobody"] + took["alice"]) >= throttle.FIRST_DELAY
    assert abs(min(took["nobody"]) - min(took["alice"])) < 0.05


@pytest.mark.usefixtures("refused_soon")
def test_a_kind_that_nobody_checks_is_refused(pair: Pair) -> None:
    _, client = pair(portal(Realm(), pb.AllowAnonymousAccess()))

    for credentials in (ALICE, pb.Token("t"), pb.ClientCertificate()):
        assert refusal(client, credentials) == REFUSED


@pytest.mark.usefixtures("refused_soon")
def test_a_refused_login_is_one_line_in_the_log_and_shows_no_secret(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(
        portal(Realm(), users(), pb.TokenChecker({"t": 1})), unsafe_tracebacks=True
    )

    for credentials in (pb.UsernamePassword("al", "hush-hush"), pb.Token("hush-hush")):
        with pytest.raises(pb.UnauthorizedLogin) as caught:
            log_in(client, credentials)
        failure = pb.fail(caught.value)
        failure.addErrback(lambda found: found.getTraceback())
        assert "hush-hush" not in failure.get(timeout=SOON)

    assert [each.levelname for each in geopb_log] == ["WARNING", "WARNING"]
    assert all(each.exc_info is None for each in geopb_log)
    assert "hush-hush" not in "".join(each.getMessage() for each in geopb_log)


def test_a_checker_that_fails_is_logged_without_the_secret_and_not_told(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    class Broken:
        credentialInterfaces = (pb.Token,)

        def requestAvatarId(self, credentials: Any) -> Any:
            return {}[credentials.token]

    _, client = pair(portal(Realm(), Broken()), unsafe_tracebacks=True)

    with pytest.raises(pb.Error, match="could not be checked") as caught:
        log_in(client, pb.Token("hush-hush"))

    assert not isinstance(caught.value, pb.UnauthorizedLogin | KeyError)
    (record,) = geopb_log
    assert record.levelname == "ERROR"
    assert "KeyError: '[secret]'" in record.getMessage()


def test_a_checker_has_to_ask_for_the_password(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    class Careless:
        credentialInterfaces = (pb.UsernamePassword,)

        def requestAvatarId(self, credentials: Any) -> Any:
            return credentials.username

    _, client = pair(portal(Realm(), Careless()))

    with pytest.raises(pb.Error, match="could not be checked"):
        log_in(client)

    assert "checkPassword" in geopb_log[-1].getMessage()


def test_failures_of_one_client_hold_up_nobody_else(serve: Serve) -> None:
    server = serve(portal(Realm()))
    with pb.connect(server.address) as bad, pb.connect(server.address) as good:
        failing = [bad.login(pb.UsernamePassword("alice", "x")) for _ in range(4)]
        eventually(failing[0].ready)
        begun = monotonic()

        assert call(log_in(good), "name") == "alice"

        assert not failing[-1].ready()
        assert monotonic() - begun < 1
        for each in failing:
            each.cancel()
        assert isinstance(failing[0].exception, pb.UnauthorizedLogin)


@pytest.mark.slow
@pytest.mark.usefixtures("refused_soon")
def test_a_connection_is_ended_after_ten_failures(serve: Serve) -> None:
    server = serve(portal(Realm()))
    with pb.connect(server.address) as client:
        for _ in range(throttle.MAX_FAILURES):
            assert refusal(client, pb.UsernamePassword("alice", "x")) == REFUSED

        eventually(lambda: client.state == "disconnected")

    assert "too many logins" in str(client.last_failure)


# -- before the login ------------------------------------------------------------------


def test_a_peer_that_never_logs_in_is_ended(serve: Serve) -> None:
    server = serve(portal(Realm()), login_timeout=0.05)
    with pb.connect(server.address) as client:
        eventually(lambda: client.state == "disconnected")

    assert "login_timeout" in str(client.last_failure)


def test_a_peer_that_has_logged_in_stays(serve: Serve) -> None:
    server = serve(portal(Realm()), login_timeout=0.1)
    with pb.connect(server.address) as client:
        avatar = log_in(client)
        with pb.connect(server.address) as other:
            eventually(lambda: other.state == "disconnected")

        assert call(avatar, "name") == "alice"


@pytest.mark.parametrize("size", [20_000, 100_000])
def test_messages_are_16_KiB_at_most_before_a_login(serve: Serve, size: int) -> None:
    server = serve(portal(Realm()))
    with pb.connect(server.address) as client:
        with pytest.raises(pb.Error):
            log_in(client, mind="x" * size)
        assert client.state == "disconnected"

    with pb.connect(server.address) as client:
        log_in(client)
        assert log_in(client, mind="x" * size) is not None


# -- hostile ---------------------------------------------------------------------------


def ask(client: Any, name: str, *args: Any) -> Any:
    promise: Any = client_connection(client).call(lobby.LOBBY, name, args, {})
    return promise.get(timeout=SOON)


HOSTILE = [
    (lobby.LOGIN_PASSWORD, bad)
    for bad in ("", "n,,", "n,,n=alice", "n,,n=,r=x", "n,,n=%,r=x", 7, None, "x" * 3000)
] + [(lobby.LOGIN_TOKEN, bad) for bad in (None, b"t", "x" * 9000, ["t"])]


@pytest.mark.usefixtures("refused_soon")
@pytest.mark.parametrize(("name", "bad"), HOSTILE)
def test_a_login_that_is_none_is_refused(pair: Pair, name: str, bad: Any) -> None:
    _, client = pair(portal(Realm(), users(), pb.TokenChecker({"t": 1})))
    args = (bad, None) if name == lobby.LOGIN_TOKEN else (bad,)

    with pytest.raises(pb.UnauthorizedLogin, match=REFUSED):
        ask(client, name, *args)

    assert call(log_in(client), "name") == "alice"


@pytest.mark.parametrize("name", ["", "login", "_waiting", "remoteMessageReceived"])
def test_the_lobby_has_no_other_methods(pair: Pair, name: str) -> None:
    _, client = pair(portal(Realm()))

    with pytest.raises(pb.NoSuchMethod):
        ask(client, name)


@pytest.mark.usefixtures("refused_soon")
@pytest.mark.parametrize(
    "change",
    [
        lambda final: "",
        lambda final: final[:-6],
        lambda final: final[::-1],
        lambda final: final.replace("c=", "c=A"),
        lambda final: final + ",p=AAAA",
        lambda final: None,
        lambda final: 5,
    ],
    ids=["empty", "cut", "reversed", "binding", "added", "none", "number"],
)
def test_a_changed_proof_is_refused(
    pair: Pair, change: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from geopb.cred.scram import ClientExchange

    realm = Realm()
    _, client = pair(portal(realm))
    answer = ClientExchange.answer
    monkeypatch.setattr(
        ClientExchange, "answer", lambda self, text: change(answer(self, text))
    )

    assert refusal(client, ALICE) == REFUSED
    assert realm.made == []


@pytest.mark.usefixtures("refused_soon")
def test_a_proof_counts_once_and_for_its_own_challenge(pair: Pair) -> None:
    from geopb.cred.scram import ClientExchange

    realm = Realm()
    _, client = pair(portal(realm))
    exchange = ClientExchange("alice", "sesame", None, bind=False)
    text, challenge = ask(client, lobby.LOGIN_PASSWORD, exchange.first)
    _, other = ask(client, lobby.LOGIN_PASSWORD, exchange.first)
    final = exchange.answer(text)

    with pytest.raises(pb.UnauthorizedLogin):
        other.callRemote("prove", final, None).get(timeout=SOON)
    proof, avatar = challenge.callRemote("prove", final, None).get(timeout=SOON)
    exchange.verify(proof)
    for replayed in (challenge, other):
        with pytest.raises(pb.UnauthorizedLogin):
            replayed.callRemote("prove", final, None).get(timeout=SOON)

    assert call(avatar, "name") == "alice"
    assert len(realm.made) == 1


def test_the_password_never_crosses(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bytes] = []
    take_pieces, offer = Outbox.take_pieces, Writer.offer

    def spy(self: Outbox) -> Any:
        data = take_pieces(self)
        assert isinstance(data, bytes)
        said.append(data)
        return data

    def spy_on_offered(self: Writer, framed: bytes) -> bool:
        said.append(framed)
        return offer(self, framed)

    monkeypatch.setattr(Outbox, "take_pieces", spy)
    monkeypatch.setattr(Writer, "offer", spy_on_offered)
    _, client = pair(portal(Realm()))

    assert call(log_in(client), "name") == "alice"

    assert b"alice" in b"".join(said)
    assert b"sesame" not in b"".join(said)


@pytest.mark.parametrize("iterations", [1_000_001, 10**9])
def test_a_client_refuses_too_much_work(
    pair: Pair, iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geopb.cred.scram import ServerExchange

    _, client = pair(portal(Realm()))
    made = ServerExchange.__init__

    def wicked(self: Any, *args: Any) -> None:
        made(self, *args)
        self.challenge = self.challenge.replace("i=15000", f"i={iterations}")

    monkeypatch.setattr(ServerExchange, "__init__", wicked)

    with pytest.raises(pb.LimitExceeded, match=str(iterations)):
        log_in(client)


def test_a_server_that_does_not_know_the_password_is_told_apart(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geopb.cred.scram import ServerExchange

    monkeypatch.setattr(ServerExchange, "check", lambda *_: "v=AAAA")
    _, client = pair(portal(Realm()))

    assert "do not trust it" in refusal(client, ALICE)


# -- the extra -------------------------------------------------------------------------


def test_without_the_extra_a_password_says_so(
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
    geopb_log: list[logging.LogRecord],
) -> None:
    _, client = pair(portal(Realm(), users(), pb.AllowAnonymousAccess()))
    first = verifiers.library().ScramClient(["SCRAM-SHA-256"], "a", "b")
    monkeypatch.setitem(__import__("sys").modules, "scramp", None)

    with pytest.raises(ImportError, match=r"geopb\[login\]"):
        log_in(client)
    with pytest.raises(pb.Error, match="could not be checked"):
        ask(client, lobby.LOGIN_PASSWORD, first.get_client_first())

    assert "geopb[login]" in geopb_log[-1].getMessage()
    assert call(log_in(client, pb.Anonymous()), "name") == ()


def test_importing_geopb_imports_no_scramp() -> None:
    ended = run_python("import sys, geopb; print('scramp' in sys.modules)")

    assert ended.stdout == "False\n", ended.stderr


# -- TLS -------------------------------------------------------------------------------


@contextmanager
def secure_client(
    server: pb.PBServer, certificates: Certificates, cert: Any = None
) -> Iterator[pb.PBClientFactory]:
    context = pb.tls_client_context(ca=certificates.ca, cert=cert)
    with pb.connect(server.address, ssl_context=context) as client:
        yield client


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first messages of logins with a password."""
    from geopb.net import login

    found: list[str] = []
    made = login.ClientExchange

    def note(*args: Any, **kwargs: Any) -> Any:
        exchange = made(*args, **kwargs)
        found.append(exchange.first)
        return exchange

    monkeypatch.setattr(login, "ClientExchange", note)
    return found


def test_over_TLS_a_password_is_bound_to_the_connection(
    serve: Serve, certificates: Certificates, sent: list[str]
) -> None:
    context = pb.tls_server_context(certificates.cert, certificates.key)
    server = serve(portal(Realm()), "localhost:0", ssl_context=context)
    with secure_client(server, certificates) as client:
        assert call(log_in(client), "name") == "alice"

    assert [each.split(",")[0] for each in sent] == ["p=tls-server-end-point"]


def test_a_renewed_certificate_binds_the_next_connections(
    serve: Serve, certificates: Certificates
) -> None:
    context = pb.tls_server_context(certificates.elsewhere, certificates.elsewhere)
    server = serve(portal(Realm()), "localhost:0", ssl_context=context)
    context.load_cert_chain(certificates.cert, certificates.key)

    with secure_client(server, certificates) as client:
        assert call(log_in(client), "name") == "alice"


def test_a_context_that_does_not_tell_its_certificate_binds_nothing(
    serve: Serve, certificates: Certificates, sent: list[str]
) -> None:
    context = gevent_ssl.SSLContext(gevent_ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    server = serve(portal(Realm()), "localhost:0", ssl_context=context)
    with secure_client(server, certificates) as client:
        assert call(log_in(client), "name") == "alice"

    assert [each.split(",")[0] for each in sent] == ["p=tls-server-end-point", "y"]


@pytest.mark.usefixtures("refused_soon")
def test_another_server_in_between_is_found_out(
    serve: Serve, certificates: Certificates
) -> None:
    """It passes on what it hears; the proof is for the certificate that it showed."""
    context = pb.tls_server_context(certificates.cert, certificates.key)
    server = serve(portal(Realm()), "localhost:0", ssl_context=context)
    with secure_client(server, certificates) as client:
        forged = gevent_ssl.PEM_cert_to_DER_cert(
            certificates.ca.read_text().strip() + "\n"
        )
        client_connection(client).broker.server_certificate = forged

        assert refusal(client, ALICE) == REFUSED


@pytest.mark.usefixtures("refused_soon")
def test_a_certificate_says_who_is_calling(
    serve: Serve, certificates: Certificates
) -> None:
    context = pb.tls_server_context(
        certificates.cert, certificates.key, client_ca=certificates.ca
    )
    known = pb.CertificateChecker({"alice@example.org": "alice"})
    server = serve(portal(Realm(), known), "localhost:0", ssl_context=context)

    with secure_client(server, certificates, certificates.alice) as client:
        assert call(log_in(client, pb.ClientCertificate()), "name") == "alice"
    with secure_client(server, certificates, certificates.elsewhere) as client:
        assert refusal(client, pb.ClientCertificate()) == REFUSED


# -- again and again -------------------------------------------------------------------


def reconnecting(address: str, **options: Any) -> pb.PBClientFactory:
    return pb.connect(address, reconnect=True, **options)


def test_the_last_login_is_repeated_after_a_reconnect(serve: Serve) -> None:
    realm = Realm()
    server = serve(portal(realm))
    with reconnecting(server.address) as client:
        first = log_in(client, mind=Mind())
        assert client.avatar is None

        for connection in server.connections:
            connection.close("again")
        eventually(lambda: client.avatar is not None)
        assert client.avatar is not None
        avatar = client.avatar.get(timeout=SOON)

        assert call(avatar, "do", "name") == "the mind"
        with pytest.raises(pb.DeadReferenceError):
            first.callRemote("name")
        assert [each.name for each in realm.made] == ["alice", "alice"]
        eventually(lambda: realm.out == ["alice"])


def test_a_login_whose_avatar_was_dropped_is_not_repeated(serve: Serve) -> None:
    realm = Realm()
    server = serve(portal(realm))
    with reconnecting(server.address) as client:
        log_in(client)
        eventually(lambda: realm.out == ["alice"])
        old = client_connection(client)

        for connection in server.connections:
            connection.close("again")
        eventually(lambda: client.state == "connected" and client._connection != old)

        assert client.avatar is None
        assert len(realm.made) == 1


def test_with_on_connect_logging_in_again_is_its_own_affair(serve: Serve) -> None:
    realm = Realm()
    server = serve(portal(realm))
    avatars: list[Any] = []

    def enter(client: pb.PBClientFactory) -> None:
        avatars.append(log_in(client))

    with reconnecting(server.address, on_connect=enter) as client:
        eventually(lambda: avatars)
        for connection in server.connections:
            connection.close("again")
        eventually(lambda: len(avatars) == 2)

        assert call(avatars[1], "name") == "alice"
        assert client.avatar is None
        assert len(realm.made) == 2


@pytest.mark.slow
def test_fifty_clients_log_in_again_and_again_and_an_echo_stays_quick(
    serve: Serve,
) -> None:
    door = soak.portal()
    realm: Any = door.realm
    server = serve(door)

    idle, under_load, logins = soak.medians(server.address, clients=50, seconds=2.0)

    assert logins >= 50
    assert under_load < 5 * idle
    eventually(lambda: realm.logins == realm.logouts == logins + 1)


def test_logins_that_nobody_waits_for_do_not_heap_up() -> None:
    client = pb.PBClientFactory(reconnect=True)
    for _ in range(1000):
        client.login(ALICE)
    held = client.login(ALICE)

    assert len(client._logins._waiting) < 200
    held.cancel()


def test_a_connection_has_so_many_challenges(pair: Pair) -> None:
    from geopb.cred.logins import MAX_WAITING
    from geopb.cred.scram import ClientExchange

    _, client = pair(portal(Realm()))
    first = ClientExchange("alice", "sesame", None, bind=False).first
    held = [ask(client, lobby.LOGIN_PASSWORD, first) for _ in range(MAX_WAITING)]

    with pytest.raises(pb.UnauthorizedLogin, match="too many"):
        ask(client, lobby.LOGIN_PASSWORD, first)

    held.clear()
    collect()
    assert call(log_in(client), "name") == "alice"


def test_a_pair_in_memory_takes_a_portal() -> None:
    realm = Realm()
    with connected_pair(portal(realm)) as memory:
        avatar = log_in(memory.client)
        assert call(avatar, "name") == "alice"

    eventually(lambda: realm.out == ["alice"])
