"""Each example as processes: it prints what the how-to and its README show."""

# ruff: noqa: N802 (names of the API stand in test names)

import re
import signal
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import geopb as pb
from tests.examples.programs import (
    ROOT,
    Ended,
    Program,
    SideBySide,
    code_blocks,
    run,
)

EXAMPLES = ROOT / "examples"
PORTS = {
    "1_echo": "127.0.0.1:8789",
    "2_complete": "127.0.0.1:8800",
    "3_references_come_back": "127.0.0.1:8800",
    "4_client_side_objects": "127.0.0.1:8800",
    "5_remote_exceptions": "127.0.0.1:8800",
    "6_trap": "127.0.0.1:8800",
    "7_live_state": "127.0.0.1:8800",
    "8_pipelining": "127.0.0.1:8800",
    "9_streams": "127.0.0.1:8800",
}
#: Those with one client each: those of the how-to, and what is like them.
WITH_ONE_CLIENT = [example for example in PORTS if example != "7_live_state"]

#: What the how-to shows on the client's side, where it shows it.
TRAP_PRINTS = """\
callOne: call with safe object
 method successful, response: response
callTwo: call with dangerous object
 InsecureJelly: you tried to send something unsafe to them
callThree: call that raises remote exception
 remote raised a MyException
telling them to shut down
callFour: call on stale reference
 stale reference: the client disconnected or crashed
"""
EXCEPTION_PRINTS = """\
got remote Exception
 .__class__ = <class 'geopb.CopiedFailure'>
 .getErrorMessage() = fall down go boom
 .type = __main__.MyError
"""


class Story:
    """What a server and a client printed, addresses made comparable."""

    def __init__(self, example: str, *client_arguments: str, ends: bool = False):
        with Program(EXAMPLES / example / "server.py", "127.0.0.1:0") as program:
            first = program.line()
            address = first.removeprefix("listening on ")
            client = EXAMPLES / example / "client.py"
            self.client = run(client, address, *client_arguments)
            self.server = program.wait() if ends else program.end()
        self._usual = PORTS[example]
        self._address = address
        self.server_prints = self._comparable(f"{first}\n{self.server.stdout}")
        self.client_prints = self._comparable(self.client.stdout)

    def _comparable(self, text: str) -> str:
        """Return `text` as the READMEs show it, whatever port and memory were used."""
        text = text.replace(self._address, "{address}")
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:...", text)
        text = re.sub(r"0x[0-9a-f]+", "0x...", text)
        return text.replace("{address}", self._usual)

    def assert_clean(self) -> None:
        """Both ended by themselves or when told to, and complained about nothing."""
        assert (self.client.stderr, self.client.status) == ("", 0)
        assert (self.server.stderr, self.server.status) == ("", 0)


#: Those that are told, each once: an example, and what its client is given.
TOLD = [(example,) for example in WITH_ONE_CLIENT] + [
    ("5_remote_exceptions", "broken2"),
    ("6_trap", "chain"),
    ("6_trap", "worksLike"),
]
Stories = SideBySide[tuple[str, ...], Story]


@pytest.fixture(scope="module")
def stories() -> Stories:
    """Tell all of them, of which each test looks at one."""
    return SideBySide(
        {told: partial(Story, *told, ends=told[0] == "6_trap") for told in TOLD}
    )


def fan_out() -> tuple[list[str], Ended, Ended]:
    """Return the servers' addresses, and how the client and the servers ended."""
    folder = EXAMPLES / "11_fan_out"
    with Program(folder / "server.py", *["127.0.0.1:0"] * 3) as program:
        addresses = program.address().split()
        with pb.serve(pb.Root(), "127.0.0.1:0") as gone:
            nobody = gone.address
        client = run(folder / "client.py", *addresses, nobody)
        return addresses, client, program.end()


def chat(certificates: Path) -> tuple[str, Ended, list[str], Ended]:
    """Return the server's first line, how the client ended, and the server's rest."""
    folder = EXAMPLES / "10_chat"
    with Program(folder / "server.py", "127.0.0.1:0", certificates) as program:
        first = program.line()
        address = first.removeprefix("listening on ")
        client = run(folder / "client.py", address, certificates)
        out = [program.line() for _ in range(4)]
        return first, client, out, program.end()


def live_state() -> tuple[list[Ended], Ended]:
    """Return how two clients, and then their server, ended."""
    folder = EXAMPLES / "7_live_state"
    with Program(folder / "server.py", "127.0.0.1:0") as server:
        address = server.address()
        with (
            Program(folder / "client.py", address) as one,
            Program(folder / "client.py", address) as two,
        ):
            clients = [one.wait(), two.wait()]
        return clients, server.wait()


def ended_by(example: str, number: signal.Signals) -> Ended:
    """Return how a server ends by a signal."""
    with Program(EXAMPLES / example / "server.py", "127.0.0.1:0") as program:
        program.address()
        return program.end(number)


Others = SideBySide[str, Any]
ENDED = ["1_echo", "6_trap"]
ENDING = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Others:
    """Run all that is no story of a server and one client."""
    folder = tmp_path_factory.mktemp("others")
    nowhere = f"unix://{folder}/nobody"
    demo = EXAMPLES / "1_echo" / "demo.py"
    broken = folder / "server.py"
    broken.write_text("raise SystemExit('no luck today')\n")
    jobs: dict[str, Callable[[], Any]] = {
        "fan out": fan_out,
        "chat": partial(chat, tmp_path_factory.mktemp("chat")),
        "live state": live_state,
        "demo": partial(run, demo),
        "demo of a broken server": partial(run, demo, broken),
    }
    for example in ("1_echo", "2_complete"):
        client = EXAMPLES / example / "client.py"
        jobs[f"{example} alone"] = partial(run, client, nowhere)
    for example, number in product(ENDED, ENDING):
        name = f"{example} ended by {number.name}"
        jobs[name] = partial(ended_by, example, number)
    return SideBySide(jobs)


def shown(example: str) -> list[str]:
    return code_blocks(EXAMPLES / example / "README.md", "text")


def test_each_example_is_run_here() -> None:
    found = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))

    assert found == sorted([*PORTS, "10_chat", "11_fan_out"])


@pytest.mark.slow
def test_the_fan_out_prints_what_its_readme_shows(others: Others) -> None:
    addresses, client, server = others["fan out"]

    server_prints, client_prints = shown("11_fan_out")
    assert client == Ended(client_prints, "", 0)
    assert server == Ended("", "", 0)
    assert len(addresses) == len(server_prints.split()) - 2


@pytest.mark.slow
def test_the_chat_prints_what_its_readme_shows(others: Others) -> None:
    """Over TLS, with certificates of its own; one guess at a password is refused."""
    first, client, out, server = others["chat"]

    server_prints, client_prints = shown("10_chat")
    assert (client.stdout, client.stderr, client.status) == (client_prints, "", 0)
    shown_first, *shown_rest = server_prints.splitlines()
    assert first.startswith("listening on tls://127.0.0.1:")
    assert shown_first.startswith("listening on tls://127.0.0.1:")
    assert out[:2] == shown_rest[:2]
    # Who is logged out last is the one that has the last word.
    assert sorted(out) == sorted(shown_rest)
    assert re.fullmatch(
        r"127\.0\.0\.1:\d+: a login with UsernamePassword was refused\n", server.stderr
    )
    assert (server.stdout, server.status) == ("", 0)


@pytest.mark.slow
@pytest.mark.parametrize("example", WITH_ONE_CLIENT)
def test_an_example_prints_what_its_readme_shows(
    stories: Stories, example: str
) -> None:
    story = stories[(example,)]

    assert [story.server_prints, story.client_prints] == shown(example)[:2]
    story.assert_clean()


@pytest.mark.slow
def test_the_echo_is_what_the_how_to_prints(stories: Stories) -> None:
    story = stories[("1_echo",)]

    assert story.client_prints == "server echoed: hello network\n"


@pytest.mark.slow
def test_the_complete_example_calls_three_on_the_object_that_getTwo_made(
    stories: Stories,
) -> None:
    story = stories[("2_complete",)]

    lines = story.server.stdout.splitlines()
    assert re.fullmatch(
        r"returning a Two called <__main__\.Two object at 0x.+>", lines[0]
    )
    assert lines[1:] == ["Two.three was given 12"]


@pytest.mark.slow
def test_the_two_that_comes_back_is_the_one_that_was_given_out(
    stories: Stories,
) -> None:
    story = stories[("3_references_come_back",)]

    lines = story.server.stdout.splitlines()
    mine, given = (line.split(" two ")[1] for line in lines[1:3])
    assert mine.removeprefix("called ") == given.removeprefix("called ")
    assert lines[3] == "One.checkTwo(): our twos are the same"


@pytest.mark.slow
def test_the_clients_object_is_called_on_the_clients_side(stories: Stories) -> None:
    story = stories[("4_client_side_objects",)]

    assert story.client.stdout.splitlines()[1:] == [
        "giving it our two",
        "Two.print() called with 12",
    ]


@pytest.mark.slow
def test_an_expected_exception_prints_what_the_how_to_shows_and_logs_nothing(
    stories: Stories,
) -> None:
    story = stories[("5_remote_exceptions",)]

    assert story.client.stdout == EXCEPTION_PRINTS
    assert "raising a MyError exception with data 'fall down go boom'" in (
        story.server.stdout
    )
    story.assert_clean()


@pytest.mark.slow
def test_an_unexpected_exception_is_logged_by_the_server(stories: Stories) -> None:
    story = stories["5_remote_exceptions", "broken2"]

    assert story.client.stdout == shown("5_remote_exceptions")[2]
    assert (story.client.stderr, story.client.status) == ("", 0)
    assert "raising a MyError2 exception with data 'hadda owie'" in story.server.stdout
    log = story.server.stderr
    assert log.count("Peer will receive following PB traceback") == 1
    assert log.rstrip().endswith("MyError2: hadda owie")
    assert story.server.status == 0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["chain", "worksLike"])
def test_trap_prints_exactly_what_the_how_to_prints(
    stories: Stories, form: str
) -> None:
    story = stories["6_trap", form]

    assert story.client.stdout == TRAP_PRINTS
    story.assert_clean()


@pytest.mark.slow
def test_two_clients_watch_live_state_and_leave(others: Others) -> None:
    clients, ended = others["live state"]

    server_prints, client_prints = shown("7_live_state")
    assert clients == [Ended(client_prints, "", 0)] * 2
    first = f"listening on {PORTS['7_live_state']}\n"
    assert ended == Ended(server_prints.removeprefix(first), "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("example", ENDED)
def test_a_server_is_ended_cleanly_by(
    others: Others, example: str, number: signal.Signals
) -> None:
    assert others[f"{example} ended by {number.name}"] == Ended("", "", 0)


@pytest.mark.slow
def test_the_servers_default_addresses_are_those_of_the_how_to() -> None:
    for example, address in PORTS.items():
        for program in ("server.py", "client.py"):
            text = (EXAMPLES / example / program).read_text()
            assert f'def main(address="{address}"' in text


@pytest.mark.slow
def test_without_a_server_the_clients_say_so(others: Others) -> None:
    assert others["1_echo alone"] == Ended(
        "error: [Errno 2] No such file or directory\n", "", 0
    )
    assert others["2_complete alone"] == Ended(
        "error getting first object [Errno 2] No such file or directory\n", "", 0
    )


@pytest.mark.slow
def test_the_demo_prints_the_echo(others: Others) -> None:
    assert others["demo"] == Ended("server echoed: hello network\n", "", 0)


@pytest.mark.slow
def test_the_demo_says_clearly_that_the_server_did_not_start(others: Others) -> None:
    ended = others["demo of a broken server"]

    assert ended.status == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "no luck today",
        "The echo server did not start: see what it said above.",
    ]
