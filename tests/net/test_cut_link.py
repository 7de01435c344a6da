"""A machine that vanishes: two network namespaces, and the link between them cut.

Nothing tells either side: no FIN, no RST. Each side is a process in a namespace of its
own. Where namespaces cannot be made, the tests are skipped and say why.

What is seen on links that are cut takes the seconds that it takes: all of it goes on at
once, in `story`, and each test looks at its part.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic

import gevent
import pytest

from tests.examples.programs import Program

pytestmark = [pytest.mark.slow, pytest.mark.namespaces]

#: Seconds. The kernel counts whole ones, and needs two.
KEEPALIVE = 2
#: Seconds by which a machine under load may notice it later.
SLACK = 1.5
SERVER_AT = "10.213.7.2"
NOWHERE = "02:00:00:00:00:99"

#: What `ip` says where it may not, or the kernel cannot.
NOT_ALLOWED = ("not permitted", "Permission denied", "not supported", "Unknown device")

COMMON = """
    import signal
    import time
    import gevent
    import geopb as pb
    from gevent.event import Event

    class Root(pb.Root):
        def remote_echo(self, value=None):
            return value
        def remote_take(self, data):
            return None
        def remote_hold(self):
            gevent.sleep(60)
        def remote_burn(self, seconds):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
        def remote_call_on(self, callback, every):
            def go_on():
                while True:
                    callback.callRemoteOnly("tick")
                    gevent.sleep(every)
            gevent.spawn(go_on)

    class Callback(pb.Referenceable):
        def remote_tick(self):
            pass

    def tell(reference):
        try:
            reference.callRemote("echo")
        except pb.DeadReferenceError as error:
            print("lost", time.monotonic(), error, flush=True)
"""

SERVER = (
    COMMON
    + f"""
    class Watching(Root):
        def remote_watch(self, callback):
            self.callback = callback
            callback.notifyOnDisconnect(tell)

    server = pb.serve(Watching(), "{SERVER_AT}:0", keepalive={KEEPALIVE})
    print("listening on", server.address, flush=True)
    server.serve_forever()
"""
)

CLIENT = (
    COMMON
    + f"""
    client = pb.connect("ADDRESS", keepalive={KEEPALIVE})
    root = client.getRootObject().get(timeout=5)
    callback = Callback()
    go = Event()
    gevent.signal_handler(signal.SIGUSR1, go.set)
    root.callRemote("watch", callback).get(timeout=5)
    root.notifyOnDisconnect(tell)
"""
)
STAY = """
    print("ready", flush=True)
    gevent.sleep(60)
"""

#: What goes on while a link is cut, on the client's side.
WHILE = {
    "nothing is sent": STAY,
    "calls wait for answers": """
    pending = [root.callRemote("hold") for _ in range(3)]
    root.callRemote("echo").get(timeout=5)
    """
    + STAY,
    "both sides send": """
    root.callRemote("call_on", callback, 0.05).get(timeout=5)
    print("ready", flush=True)
    try:
        while True:
            root.callRemoteOnly("echo")
            gevent.sleep(0.05)
    except pb.DeadReferenceError:
        gevent.sleep(60)
    """,
    # Not before the link is cut: it takes all of a machine.
    "bulk waits": """
    data = b"x" * 4_000_000
    print("ready", flush=True)
    go.wait()
    print("begins", flush=True)
    try:
        while True:
            root.callRemote("take", data).addBoth(lambda _: None)
            gevent.sleep(0.02)
    except pb.DeadReferenceError:
        gevent.sleep(60)
    """,
}
#: The client's first call after the cut.
LATE = f"""
    print("ready", flush=True)
    go.wait()
    gevent.sleep({KEEPALIVE * 0.75})
    root.callRemoteOnly("echo")
    gevent.sleep(60)
"""
#: On a link that is not cut.
STUCK = f"""
    burning = root.callRemote("burn", {KEEPALIVE * 1.75})
    gevent.sleep(0.1)
    begun = time.monotonic()
    calls = [root.callRemote("echo", number) for number in range(100)]
    print(pb.gather(calls).get(timeout=20) == list(range(100)), flush=True)
    print(time.monotonic() - begun > {KEEPALIVE * 1.5}, flush=True)
    burning.get()
    print(root.callRemote("echo", "still connected").get(timeout=5), flush=True)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Link:
    """Two namespaces, ``client`` and ``server``, and a link between them."""

    def __init__(self, name: str) -> None:
        self.client = f"geopb-c-{name}-{os.getpid()}"
        self.server = f"geopb-s-{name}-{os.getpid()}"
        self._ends = (
            (self.client, "10.213.7.1", SERVER_AT),
            (self.server, SERVER_AT, "10.213.7.1"),
        )

    def make(self) -> None:
        ip("netns", "add", self.client)
        ip("netns", "add", self.server)
        peer = ("peer", "name", "gp", "netns", self.server)
        ip("-n", self.client, "link", "add", "gp", "type", "veth", *peer)
        for name, own, _ in self._ends:
            ip("-n", name, "addr", "add", f"{own}/30", "dev", "gp")
            ip("-n", name, "link", "set", "gp", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def swallow(self) -> None:
        """Have all that either side sends go nowhere, and nothing notice."""
        for name, _, other in self._ends:
            to = (other, "lladdr", NOWHERE, "dev", "gp", "nud", "permanent")
            ip("-n", name, "neigh", "replace", *to)

    def unplug(self) -> None:
        """Take the link down: there is no carrier, and no route at the client."""
        ip("-n", self.client, "link", "set", "gp", "down")

    def remove(self) -> None:
        for name in (self.client, self.server):
            subprocess.run(
                ["ip", "netns", "del", name], check=False, capture_output=True
            )


@contextmanager
def links(*names: str) -> Iterator[list[Link]]:
    """Make links, which are removed at the end."""
    if shutil.which("ip") is None:
        pytest.skip("there is no 'ip' command: what a cut link does is NOT tested")
    with ExitStack() as stack:
        made = [Link(name) for name in names]
        try:
            for each in made:
                stack.callback(each.remove)
                each.make()
        except subprocess.CalledProcessError as error:
            if not any(text in error.stderr for text in NOT_ALLOWED):
                raise
            pytest.skip(
                "network namespaces cannot be made, what a cut link does is NOT "
                "tested: " + error.stderr.strip()
            )
        yield made


@dataclass(frozen=True)
class Noticed:
    """Seconds after the cut at which a side noticed it, and what it called it."""

    after: float
    why: str


class Sides:
    """A server and a client of it, which does something meanwhile."""

    def __init__(self, stack: ExitStack, link: Link, then: str) -> None:
        self._stack = stack
        self._link = link
        self._then = then
        self.server = self._run(link.server, SERVER)

    def start_client(self) -> None:
        code = CLIENT.replace("ADDRESS", self.server.address()) + self._then
        self.client = self._run(self._link.client, code)

    def _run(self, namespace: str, code: str) -> Program:
        prefix = ("ip", "netns", "exec", namespace)
        return self._stack.enter_context(
            Program("-c", textwrap.dedent(code), prefix=prefix)
        )


class Story:
    """What became of each: told, or raised where a program did not tell it.

    Attributes:
        cut: When the links were cut, each in its way.
        lines: What programs said behind the cuts: their last lines, or why there are
            none.
    """

    def __init__(self) -> None:
        self.cut: dict[str, float] = {}
        self.lines: dict[tuple[str, ...], list[str] | AssertionError] = {}

    def listen(self, name: tuple[str, ...], program: Program, count: int = 1) -> None:
        """Wait for lines of a program; runs beside others."""
        try:
            self.lines[name] = [program.line() for _ in range(count)]
        except AssertionError as error:
            self.lines[name] = error

    def told(self, *name: str) -> list[str]:
        lines = self.lines[name]
        if isinstance(lines, AssertionError):
            raise lines
        return lines

    def noticed(self, cut: str, while_: str, side: str) -> Noticed:
        (line,) = self.told(cut, while_, side)
        said, at, why = line.split(maxsplit=2)
        assert said == "lost", line
        # One machine: its clock is the same in all namespaces.
        return Noticed(float(at) - self.cut[cut], why)


CUTS = {"swallow": Link.swallow, "unplug": Link.unplug}


@pytest.fixture(scope="module")
def story() -> Story:
    """Cut two links, each in its way; a third is left as it is."""
    told = Story()
    with links(*CUTS, "whole") as made, ExitStack() as stack:
        *both, whole = made
        sides = {
            (cut, while_): Sides(stack, link, then)
            for cut, link in zip(CUTS, both, strict=True)
            for while_, then in (WHILE | {"late": LATE}).items()
        }
        stuck = Sides(stack, whole, STUCK)
        for each in sides.values():
            each.start_client()
        for each in sides.values():
            assert each.client.line() == "ready"

        for (cut, do), link in zip(CUTS.items(), both, strict=True):
            bulk = sides[cut, "bulk waits"].client
            bulk.send(signal.SIGUSR1)
            assert bulk.line() == "begins"
            told.cut[cut] = monotonic()
            do(link)
            sides[cut, "late"].client.send(signal.SIGUSR1)
        stuck.start_client()

        waiting = [gevent.spawn(told.listen, ("stuck",), stuck.client, 3)]
        for name, each in sides.items():
            waiting += [
                gevent.spawn(told.listen, (*name, "client"), each.client),
                gevent.spawn(told.listen, (*name, "server"), each.server),
            ]
        gevent.joinall(waiting, raise_error=True)
    return told


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("while_", WHILE)
@pytest.mark.parametrize("cut", CUTS)
def test_a_machine_that_vanishes_is_noticed_by_both_sides_within_keepalive(
    story: Story, cut: str, while_: str, side: str
) -> None:
    noticed = story.noticed(cut, while_, side)

    assert noticed.after < KEEPALIVE + SLACK
    assert "broke" in noticed.why


@pytest.mark.parametrize("cut", CUTS)
def test_a_call_made_long_after_the_cut_does_not_put_the_end_off(
    story: Story, cut: str
) -> None:
    """The kernel alone would begin to count anew with each first byte sent."""
    assert story.noticed(cut, "late", "client").after < KEEPALIVE + 0.6
    assert story.noticed(cut, "late", "server").after < KEEPALIVE + SLACK


def test_a_server_stuck_in_computation_keeps_its_clients(story: Story) -> None:
    """Its kernel answers for it: calls and bytes that wait for it are no reason."""
    assert story.told("stuck") == ["True", "True", "still connected"]
