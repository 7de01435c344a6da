"""A machine that vanishes: two network namespaces, and the link between them cut.

Nothing tells either side: no FIN, no RST. Each side is a process in a namespace of its
own. Where namespaces cannot be made, the tests are skipped and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic

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
    import time
    import gevent
    import geopb as pb

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
    root.callRemote("watch", callback).get(timeout=5)
    root.notifyOnDisconnect(tell)
"""
)
STAY = """
    print("ready", flush=True)
    gevent.sleep(60)
"""

#: What goes on while the link is cut, on the client's side.
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
    "bulk waits": """
    print("ready", flush=True)
    data = b"x" * 4_000_000
    try:
        while True:
            root.callRemote("take", data).addBoth(lambda _: None)
            gevent.sleep(0.02)
    except pb.DeadReferenceError:
        gevent.sleep(60)
    """,
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Link:
    """Two namespaces, ``client`` and ``server``, and a link between them."""

    def __init__(self) -> None:
        self.client = f"geopb-c-{os.getpid()}"
        self.server = f"geopb-s-{os.getpid()}"
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


@pytest.fixture
def link() -> Iterator[Link]:
    if shutil.which("ip") is None:
        pytest.skip("there is no 'ip' command: what a cut link does is NOT tested")
    made = Link()
    try:
        made.make()
    except subprocess.CalledProcessError as error:
        made.remove()
        if not any(text in error.stderr for text in NOT_ALLOWED):
            raise
        pytest.skip(
            "network namespaces cannot be made, what a cut link does is NOT tested: "
            + error.stderr.strip()
        )
    yield made
    made.remove()


@pytest.fixture
def start(link: Link) -> Iterator[Callable[[str], tuple[Program, Program]]]:
    """Start a server, and a client that does what is given behind `CLIENT`."""
    with ExitStack() as stack:

        def run(namespace: str, code: str) -> Program:
            prefix = ("ip", "netns", "exec", namespace)
            program = Program("-c", textwrap.dedent(code), prefix=prefix)
            return stack.enter_context(program)

        def both(then: str) -> tuple[Program, Program]:
            server = run(link.server, SERVER)
            client = run(
                link.client, CLIENT.replace("ADDRESS", server.address()) + then
            )
            return server, client

        yield both


def lost_after(program: Program, cut: float) -> tuple[float, str]:
    """Return how long after `cut` a side noticed, and what it called it."""
    said, at, why = program.line().split(maxsplit=2)
    assert said == "lost", why
    # One machine: its clock is the same in both namespaces.
    return float(at) - cut, why


@pytest.mark.parametrize("cut", [Link.swallow, Link.unplug])
def test_a_machine_that_vanishes_is_noticed_by_both_sides_within_keepalive(
    link: Link,
    start: Callable[[str], tuple[Program, Program]],
    cut: Callable[[Link], None],
) -> None:
    started = {name: start(then) for name, then in WHILE.items()}
    for _, client in started.values():
        assert client.line() == "ready"

    begun = monotonic()
    cut(link)

    for name, sides in started.items():
        for side in sides:
            after, why = lost_after(side, begun)
            assert after < KEEPALIVE + SLACK, name
            assert "broke" in why, name


def test_a_call_made_long_after_the_cut_does_not_put_the_end_off(
    link: Link, start: Callable[[str], tuple[Program, Program]]
) -> None:
    """The kernel alone would begin to count anew with each first byte sent."""
    server, client = start(
        f"""
    print("ready", flush=True)
    gevent.sleep({KEEPALIVE * 0.75})
    root.callRemoteOnly("echo")
    gevent.sleep(60)
    """
    )
    assert client.line() == "ready"

    begun = monotonic()
    link.swallow()

    after, _ = lost_after(client, begun)
    assert after < KEEPALIVE + 0.6
    assert lost_after(server, begun)[0] < KEEPALIVE + SLACK


def test_a_server_stuck_in_computation_keeps_its_clients(
    start: Callable[[str], tuple[Program, Program]],
) -> None:
    """Its kernel answers for it: calls and bytes that wait for it are no reason."""
    _, client = start(
        f"""
    burning = root.callRemote("burn", {KEEPALIVE * 1.75})
    gevent.sleep(0.1)
    begun = time.monotonic()
    calls = [root.callRemote("echo", number) for number in range(100)]
    print(pb.gather(calls).get(timeout=20) == list(range(100)), flush=True)
    print(time.monotonic() - begun > {KEEPALIVE * 1.5}, flush=True)
    burning.get()
    print(root.callRemote("echo", "still connected").get(timeout=5), flush=True)
    """
    )

    assert [client.line() for _ in range(3)] == ["True", "True", "still connected"]
