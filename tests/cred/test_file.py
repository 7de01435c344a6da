"""Users in a file, and the command that keeps them."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

import geopb as pb
from geopb.cred.__main__ import main
from geopb.cred.file import set_verifier

FEW = 4096


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    set_verifier(path, "alice", pb.make_verifier("sesame", iterations=FEW))
    return path


def test_a_file_knows_its_users(users: Path) -> None:
    set_verifier(users, "ö:b, =%", pb.make_verifier("b", iterations=FEW))
    checker = pb.VerifierFile(users)

    for name, password in (("alice", "sesame"), ("ö:b, =%", "b")):
        assert checker.requestAvatarId(pb.UsernamePassword(name, password)) == name
    for name, password in (("alice", "x"), ("eve", "sesame")):
        with pytest.raises(pb.UnauthorizedLogin):
            checker.requestAvatarId(pb.UsernamePassword(name, password))


def test_a_file_is_for_its_owner_and_has_no_password(users: Path) -> None:
    assert users.stat().st_mode & 0o777 == 0o600
    assert "sesame" not in users.read_text()
    assert [path.name for path in users.parent.iterdir()] == ["users"]


def test_a_file_that_changes_is_read_again(users: Path) -> None:
    checker = pb.VerifierFile(users)

    assert not set_verifier(users, "alice", pb.make_verifier("new", iterations=FEW))

    checker.getVerifier("alice")
    assert checker.requestAvatarId(pb.UsernamePassword("alice", "new")) == "alice"


def test_a_file_that_goes_bad_leaves_what_was_known(
    users: Path, geopb_log: list[logging.LogRecord]
) -> None:
    checker = pb.VerifierFile(users)
    users.write_text("alice:sesame\n")

    assert checker.getVerifier("alice") is not None

    assert "line 1" in geopb_log[-1].getMessage()
    assert "sesame" not in geopb_log[-1].getMessage()


@pytest.mark.parametrize("line", ["alice", "alice:", "ö:x", "a b:x", "alice:SCRAM"])
def test_a_line_that_is_wrong_is_named(users: Path, line: str) -> None:
    users.write_text(f"# a comment\n{line}\n", encoding="utf-8")

    with pytest.raises(ValueError, match=r"line 2|ascii"):
        pb.VerifierFile(users)


def test_a_user_stands_there_once(users: Path) -> None:
    users.write_text(users.read_text() + users.read_text())

    with pytest.raises(ValueError, match="stands there twice"):
        pb.VerifierFile(users)


def test_nobody_looks_like_somebody_also_after_a_restart(users: Path) -> None:
    class Realm:
        def requestAvatar(self, *_: object) -> None:
            raise NotImplementedError

    found = [
        pb.Portal(Realm(), [pb.VerifierFile(users)]).find_verifier(name)
        for name in ("eve", "eve", "alice", "mallory")
    ]

    assert {each.iterations for each in found} == {FEW}
    assert {len(each.salt) for each in found} == {16}
    assert found[0].salt == found[1].salt != found[3].salt


def test_the_command_adds_and_changes_users(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "users"
    for password in ("first\n", "second\r\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(password))
        assert main(["passwd", str(path), "alice", "--iterations", str(FEW)]) == 0

    assert capsys.readouterr().out == "added alice\nchanged alice\n"
    credentials = pb.UsernamePassword("alice", "second")
    assert pb.VerifierFile(path).requestAvatarId(credentials) == "alice"


@pytest.mark.parametrize(("given", "iterations"), [("", "4096"), ("x\n", "4095")])
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    given: str,
    iterations: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    path = tmp_path / "users"

    assert main(["passwd", str(path), "alice", "--iterations", iterations]) == 1

    assert capsys.readouterr().err
    assert not path.exists()
