"""What shows only between processes: death, signals, threads, patching, the end."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from time import monotonic

import gevent
import pytest

import geopb as pb
from tests.conftest import Pair
from tests.examples.programs import Ended, Program, SideBySide, run
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually

pytestmark = pytest.mark.slow

SERVER = """
    import sys
    import time
    import gevent
    from gevent.event import Event
    import geopb as pb

    class Root(pb.Root):
        def remote_echo(self, value=None):
            return value
        def remote_hold(self):
            print("holding", flush=True)
            Event().wait()
        def remote_burn(self):
            print("burning", flush=True)
            while True:
                pass
        def remote_sleep_hard(self):
            print("sleeping", flush=True)
            time.sleep(60)
        def remote_stubborn(self):
            while True:
                try:
                    print("stubborn", flush=True)
                    Event().wait()
                except Exception:
                    pass
        def remote_interrupt(self):
            raise KeyboardInterrupt
        def remote_exit(self):
            sys.exit(3)

    server = pb.serve(Root(), "127.0.0.1:0")
    print("listening on", server.address, flush=True)
    try:
        server.serve_forever()
    finally:
        print("stopped", flush=True)
"""


def script(code: str) -> tuple[str, str]:
    return "-c", textwrap.dedent(code)


@contextmanager
def server_process() -> Iterator[tuple[Program, pb.PBClientFactory]]:
    with Program(*script(SERVER)) as program:
        client = pb.connect(program.address())
        try:
            yield program, client
        finally:
            client.disconnect()


#: Programs that run from their beginning to their end, beside their tests.
PROGRAMS: dict[str, str] = {}


@pytest.fixture(scope="module")
def programs() -> SideBySide[str, Ended]:
    return SideBySide(
        {
            name: partial(run, "-W", "error", *script(code))
            for name, code in PROGRAMS.items()
        }
    )


def test_a_server_that_is_killed_fails_what_is_pending() -> None:
    with server_process() as (program, client):
        root = root_of(client)
        pending = [root.callRemote("hold") for _ in range(10)]
        for _ in pending:
            assert program.line() == "holding"
        gone: list[object] = []
        root.notifyOnDisconnect(gone.append)

        program.send(signal.SIGKILL)

        for promise in pending:
            with pytest.raises(pb.PBConnectionLost):
                promise.get(timeout=5)
        with pytest.raises(pb.DeadReferenceError):
            root.callRemote("echo")
        eventually(lambda: gone)


@pytest.mark.slow
def test_a_server_that_is_killed_under_load_fails_every_call_of_every_client() -> None:
    """Within a second, those that carry bulk included."""
    with Program(*script(SERVER)) as program:
        address = program.address()
        clients = [pb.connect(address) for _ in range(20)]
        failed: list[type] = []

        def work(root: pb.RemoteReference, number: int) -> None:
            data = bytes(100_000) if number % 5 == 0 else b"x"
            try:
                while True:
                    root.callRemote("echo", data).get()
            except Exception as error:
                failed.append(type(error))

        try:
            roots = [root_of(client) for client in clients]
            working = [
                gevent.spawn(work, root, n) for root in roots for n in range(100)
            ]
            gevent.sleep(0.3)
            assert not failed

            program.send(signal.SIGKILL)

            with gevent.Timeout(1):
                gevent.joinall(working)
            assert len(failed) == 2000
            assert set(failed) <= {pb.PBConnectionLost, pb.DeadReferenceError}
        finally:
            for client in clients:
                client.disconnect()


def test_a_client_that_is_killed_leaves_nothing_on_the_server(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    root_of(client)
    code = f"""
        import geopb as pb
        client = pb.connect({server.address!r})
        root = client.getRootObject().get(timeout=10)
        for number in range(3):
            root.callRemote("hold", number)
        root.callRemote("echo", "sent").get(timeout=10)
        print("sent", flush=True)
        root.callRemote("hold").get()
    """
    with Program(*script(code)) as program:
        eventually(lambda: len(root.started) == 4, 20)
        assert program.line() == "sent"
        program.send(signal.SIGKILL)

        eventually(lambda: len(server.connections) == 1)
    root.go.set()


@pytest.mark.parametrize("method", ["hold", "stubborn", "burn", "sleep_hard", None])
def test_ctrl_c_stops_a_server_whatever_runs(method: str | None) -> None:
    with server_process() as (program, client):
        promise = root_of(client).callRemote(method or "echo")
        if method is not None:
            program.line()
        else:
            promise.get(timeout=5)

        started = monotonic()
        ended = program.end(signal.SIGINT)

        assert monotonic() - started < 10
        assert ended.stdout.splitlines()[-1] == "stopped"
        assert ended.stderr.rstrip().endswith("KeyboardInterrupt")
        assert ended.status != 0
        promise.wait(timeout=5)
        assert promise.ready()
        # Cancelled by the end, or cut off by it: never hanging.
        assert method is None or isinstance(promise.exception, pb.Error)


def test_a_KeyboardInterrupt_of_a_method_stops_the_server_and_is_answered() -> None:
    with server_process() as (program, client):
        promise = root_of(client).callRemote("interrupt")

        with pytest.raises(pb.RemoteError) as caught:
            promise.get(timeout=10)
        assert caught.value.remote_type == "builtins.KeyboardInterrupt"
        ended = program.wait()
        assert ended.stdout.splitlines()[-1] == "stopped"


def test_a_SystemExit_of_a_method_does_not_stop_the_server() -> None:
    with server_process() as (_, client):
        root = root_of(client)

        with pytest.raises(pb.RemoteError) as caught:
            root.callRemote("exit").get(timeout=10)

        assert caught.value.remote_type == "builtins.SystemExit"
        assert root.callRemote("echo", "goes on").get(timeout=5) == "goes on"


BOTH_SIDES = """
    class Two(pb.Referenceable):
        def remote_three(self, n):
            return n * 3

    class Root(pb.Root):
        def remote_echo(self, value):
            return value
        def remote_call(self, two):
            return two.callRemote("three", 12).get(timeout=10)

    with pb.serve(Root(), "127.0.0.1:0") as server:
        with pb.connect(server.address) as client:
            root = client.getRootObject().get(timeout=10)
            print(root.callRemote("echo", "hello").get(timeout=10))
            print(root.callRemote("call", Two()).get(timeout=10))
"""


PATCH = "from gevent import monkey; monkey.patch_all()"
IMPORTS = {
    "patched first": f"{PATCH}\nimport geopb as pb",
    "patched after": f"import geopb as pb\n{PATCH}",
    "not patched": "import geopb as pb",
    "gevent first": "import gevent\nimport geopb as pb",
}


@pytest.fixture(scope="module")
def patched_or_not() -> SideBySide[str, Ended]:
    code = textwrap.dedent(BOTH_SIDES)
    return SideBySide(
        {
            name: partial(run, "-W", "error", "-c", f"{imports}\n{code}")
            for name, imports in IMPORTS.items()
        }
    )


@pytest.mark.parametrize("name", IMPORTS)
def test_it_works_whether_or_not_the_process_is_patched(
    patched_or_not: SideBySide[str, Ended], name: str
) -> None:
    ended = patched_or_not[name]

    assert (ended.stdout, ended.stderr, ended.status) == ("hello\n36\n", "", 0)


PROGRAMS["import"] = """
    import logging, signal, socket, ssl, threading, time, select, sys
    before = [socket.socket, threading.Lock, time.sleep, select.select,
              sys.excepthook, signal.getsignal(signal.SIGINT),
              logging.getLogger("geopb").handlers,
              logging.getLogger("geopb").level]
    import geopb
    after = [socket.socket, threading.Lock, time.sleep, select.select,
             sys.excepthook, signal.getsignal(signal.SIGINT),
             logging.getLogger("geopb").handlers,
             logging.getLogger("geopb").level]
    from gevent import monkey
    print(before == after, threading.active_count(),
          monkey.is_module_patched("socket"))
"""


def test_importing_geopb_patches_nothing_starts_nothing_and_logs_nothing(
    programs: SideBySide[str, Ended],
) -> None:
    ended = programs["import"]

    assert (ended.stdout, ended.stderr, ended.status) == ("True 1 False\n", "", 0)


PROGRAMS["another thread"] = """
    import threading, time
    import geopb as pb

    class Root(pb.Root):
        def remote_echo(self, value):
            return value

    def in_thread():
        started = time.monotonic()
        for use in (lambda: root.callRemote("echo", 1),
                    lambda: root.callRemoteOnly("echo", 1),
                    lambda: pending.get(timeout=5),
                    lambda: client.getRootObject().get(timeout=5)):
            try:
                use()
            except RuntimeError as error:
                print(type(error).__name__, "thread" in str(error))
            else:
                print("no error")
        print(time.monotonic() - started < 2)

    with pb.serve(Root(), "127.0.0.1:0") as server:
        with pb.connect(server.address) as client:
            root = client.getRootObject().get(timeout=10)
            pending = pb.Promise()
            thread = threading.Thread(target=in_thread)
            thread.start()
            thread.join(15)
            print(root.callRemote("echo", "goes on").get(timeout=10))
"""


def test_a_call_from_another_thread_is_a_clear_error_at_once(
    programs: SideBySide[str, Ended],
) -> None:
    ended = programs["another thread"]

    assert ended.stdout.splitlines() == ["RuntimeError True"] * 4 + ["True", "goes on"]
    assert (ended.stderr, ended.status) == ("", 0)


def test_a_thread_of_its_own_may_have_a_client_of_its_own(pair: Pair) -> None:
    server, _ = pair(Doing())
    code = f"""
        import threading
        import gevent
        import geopb as pb

        def in_thread():
            with pb.connect({server.address!r}) as client:
                root = client.getRootObject().get(timeout=10)
                print(root.callRemote("echo", "from a thread").get(timeout=10))
                del root
            gevent.get_hub().destroy()

        for _ in range(2):
            thread = threading.Thread(target=in_thread)
            thread.start()
            thread.join(20)
    """
    with Program("-W", "error", *script(code)) as program:
        ended = program.wait()

    assert ended.stdout == "from a thread\n" * 2
    assert (ended.stderr, ended.status) == ("", 0)


ENDINGS = {
    "end of the script": "pass",
    "SystemExit": "raise SystemExit(0)",
    "sys.exit": "import sys; sys.exit()",
    "dropped": "del root, client",
}


@pytest.fixture(scope="module")
def endings() -> SideBySide[str, Ended]:
    """Interpreters that end with live connections, each in its way."""
    code = """
        import geopb as pb

        class Two(pb.Referenceable):
            pass

        class Root(pb.Root):
            def remote_two(self, mine):
                self.mine = mine
                return Two()

        server = pb.serve(Root(), "127.0.0.1:0")
        client = pb.connect(server.address)
        root = client.getRootObject().get(timeout=10)
        two = root.callRemote("two", Two()).get(timeout=10)
        print("done")
    """
    return SideBySide(
        {
            name: partial(run, "-W", "error", "-c", textwrap.dedent(code) + ending)
            for name, ending in ENDINGS.items()
        }
    )


@pytest.mark.parametrize("name", ENDINGS)
def test_an_interpreter_that_ends_with_live_connections_says_nothing(
    endings: SideBySide[str, Ended], name: str
) -> None:
    ended = endings[name]

    assert (ended.stdout, ended.stderr, ended.status) == ("done\n", "", 0)


def test_one_way_calls_just_before_the_end_are_sent(pair: Pair) -> None:
    seen: list[int] = []
    server, _ = pair(Doing(seen.append))
    code = f"""
        import geopb as pb
        client = pb.connect({server.address!r})
        root = client.getRootObject().get(timeout=10)
        for number in range(100):
            root.callRemoteOnly("do", number)
    """
    with Program("-W", "error", *script(code)) as program:
        assert program.wait().stderr == ""

    eventually(lambda: len(seen) == 100)
    assert seen == list(range(100))


PROGRAMS["a failure"] = """
    import geopb as pb
    promise = pb.fail(ValueError("unseen"))
    del promise
"""


def test_a_failure_that_nobody_looked_at_is_logged_at_the_end(
    programs: SideBySide[str, Ended],
) -> None:
    ended = programs["a failure"]

    assert ended.stderr.startswith("Unhandled error in Promise: builtins.ValueError")
    assert ended.stderr.count("unseen") >= 1
    assert ended.status == 0


def test_a_forked_child_gets_a_clear_error_and_does_not_disturb_its_parent() -> None:
    code = """
        import os
        import gevent
        import geopb as pb

        class Root(pb.Root):
            def remote_echo(self, value):
                return value

        with pb.serve(Root(), "127.0.0.1:0") as server:
            with pb.connect(server.address) as client:
                root = client.getRootObject().get(timeout=10)
                pid = gevent.os.fork()
                if not pid:
                    try:
                        root.callRemote("echo", 1).get(timeout=5)
                    except pb.DeadReferenceError:
                        print("dead here", flush=True)
                    except BaseException as error:
                        print("child", type(error).__name__, flush=True)
                    os._exit(0)
                gevent.os.waitpid(pid, 0)
                print(root.callRemote("echo", "goes on").get(timeout=10))
    """
    ended = run(*script(code))

    assert ended.stdout.splitlines() == ["dead here", "goes on"]


SCHEMES, PATCHED, FORKS = ["tcp", "unix"], [False, True], ["os.fork", "gevent.os.fork"]
#: A scheme, whether the process is patched, and how it forks.
Way = tuple[str, bool, str]


def run_forking(folder: Path, scheme: str, patched: bool, fork: str) -> Ended:
    """Run a server and its client in a process that forks.

    The child runs its loop, leaves `with` blocks and exits.
    """
    at = "127.0.0.1:0"
    if scheme == "unix":
        at = f"unix://{folder}/{patched}-{fork}"
    code = f"""
        from gevent import monkey
        if {patched}:
            monkey.patch_all()
        import os
        import gevent.os
        import geopb as pb

        class Root(pb.Root):
            def __init__(self):
                self.told = []
            def remote_echo(self, value):
                return value
            def remote_tell(self, value):
                self.told.append(value)

        root = Root()
        with pb.serve(root, {at!r}) as server:
            with pb.connect(server.address) as client:
                remote = client.getRootObject().get(timeout=10)
                pending = remote.callRemote("echo", bytes(4_000_000))
                for number in range(100):
                    remote.callRemoteOnly("tell", number)
                pid = {fork}()
                if not pid:
                    gevent.sleep(0.1)
                    print("leaves", flush=True)
                    raise SystemExit
                for number in range(30):
                    assert remote.callRemote("echo", number).get(timeout=5) == number
                    gevent.sleep(0.005)
                assert len(pending.get(timeout=5)) == 4_000_000
                assert gevent.os.waitpid(pid, 0)[1] == 0
                print(remote.callRemote("echo", "goes on").get(timeout=5))
                assert root.told == list(range(100)), root.told
            with pb.connect(server.address) as client:
                again = client.getRootObject().get(timeout=5)
                print(again.callRemote("echo", "and on").get(timeout=5))
    """
    return run("-W", "error", *script(code))


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> SideBySide[Way, Ended]:
    folder = tmp_path_factory.mktemp("sockets")
    return SideBySide(
        {
            way: partial(run_forking, folder, *way)
            for way in product(SCHEMES, PATCHED, FORKS)
        }
    )


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("patched", PATCHED)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_forked_child_that_goes_on_leaves_the_lines_to_its_parent(
    forking: SideBySide[Way, Ended], scheme: str, fork: str, *, patched: bool
) -> None:
    """No byte is read or sent by the child."""
    ended = forking[scheme, patched, fork]

    assert (ended.stdout.splitlines(), ended.stderr) == (
        ["leaves", "goes on", "and on"],
        "",
    )


def test_a_program_that_blocks_the_hub_is_not_taken_for_dead(pair: Pair) -> None:
    """A busy peer is silent, and stays connected."""
    server, client = pair(Doing(), keepalive=1)
    code = f"""
        import time
        import geopb as pb
        with pb.connect({server.address!r}, keepalive=1) as client:
            root = client.getRootObject().get(timeout=10)
            time.sleep(1.5)
            print(root.callRemote("echo", "still connected").get(timeout=10))
    """
    with Program("-W", "error", *script(code)) as program:
        ended = program.wait()

    assert (ended.stdout, ended.stderr) == ("still connected\n", "")
    assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1


def test_a_unix_socket_of_a_killed_server_is_taken_over(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/socket"
    with Program(*script(SERVER.replace("127.0.0.1:0", address))) as program:
        assert program.address() == address
        program.send(signal.SIGKILL)
        program.wait()
    assert (tmp_path / "socket").is_socket()

    with pb.serve(Doing(), address), pb.connect(address) as client:
        assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1
    assert not (tmp_path / "socket").exists()
