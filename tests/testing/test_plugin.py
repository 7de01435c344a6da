"""The fixtures, as pytest finds them in somebody else's tests."""

from __future__ import annotations

import os
import sys
import textwrap
import tomllib
from functools import partial
from pathlib import Path

import pytest
from gevent import subprocess

from tests.examples.programs import ROOT, SideBySide
from tests.support import run_python

pytestmark = pytest.mark.slow

#: What takes long to import and has no part in it.
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def run_pytest(
    folder: Path, files: dict[str, str], *arguments: str, **environment: str
) -> tuple[int, str]:
    """Run pytest on files of its own, in a process; return its status and output."""
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    path = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *WITHOUT, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment},
    )
    return ended.returncode, ended.stdout


def installed(folder: Path) -> None:
    """Make the folder look as if geopb, as its pyproject.toml is, were installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"geopb-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: geopb\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["pytest11"].items()
    (info / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {where}\n" for name, where in points)
    )


USING = """
    import pytest
    import geopb as pb

    made = []

    class Echoer(pb.Root):
        def remote_echo(self, text):
            return text

    def test_each_fixture(pb_pair, pb_server, pb_proxy, pb_link, pb_clock):
        pair = pb_pair(Echoer(), clock=pb_clock)
        server = pb_server(Echoer(), max_depth=30)
        proxy = pb_proxy(server.address)
        client = pb.connect(proxy.address)
        link = pb_link(clock=pb_clock)
        made.extend([pair, server, proxy, link, client])
        for each in (pair.client, client):
            root = each.getRootObject().get(timeout=5)
            assert root.callRemote("echo", "x").get(timeout=5) == "x"
        link.client_end.sendall(b"x")
        assert link.server_end.recv(1) == b"x"

    def test_all_that_the_first_one_made_has_ended():
        pair, server, proxy, link, client = made
        assert pair.link.closed
        assert not pair.server.connections
        for address in (server.address, proxy.address):
            with pytest.raises(ConnectionRefusedError):
                pb.connect(address)
        assert proxy.link.closed
        assert link.closed
        assert link.client_end.fileno() == link.server_end.fileno() == -1
        client.disconnect()
"""


NOT_USING = """
    def test_nothing_was_started():
        from gevent._hub_local import get_hub_if_exists
        import geopb.testing.plugin
        assert get_hub_if_exists() is None

    def test_it_may_be_patched_as_ever():
        from gevent import monkey
        assert not monkey.is_module_patched("socket")
        monkey.patch_all()
"""


Runs = SideBySide[str, tuple[int, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run pytest in each way that is looked at."""
    using, not_using, named, off = [tmp_path_factory.mktemp("tests") for _ in range(4)]
    for folder in (using, not_using, off):
        installed(folder)
    files = {"test_using.py": USING}
    by_name = ("-p", "geopb.testing.plugin")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    others = {"test_not_using.py": NOT_USING}
    return SideBySide(
        {
            "using": partial(run_pytest, using, files, "-q"),
            "turned off": partial(run_pytest, off, files, "-q", "-p", "no:geopb"),
            "not using": partial(run_pytest, not_using, others, "-q"),
            "named": partial(run_pytest, named, files, "-q", *by_name, **alone),
        }
    )


def test_the_fixtures_come_by_themselves_where_geopb_is_installed(runs: Runs) -> None:
    status, output = runs["using"]

    assert status == 0, output
    assert "2 passed" in output

    status, output = runs["turned off"]

    assert status == 1
    assert "fixture 'pb_pair' not found" in output


def test_tests_that_do_not_use_it_are_not_disturbed(runs: Runs) -> None:
    status, output = runs["not using"]

    assert status == 0, output
    assert "2 passed" in output


def test_the_plugin_may_be_named_where_plugins_are_not_looked_for(runs: Runs) -> None:
    status, output = runs["named"]

    assert status == 0, output


def test_testing_needs_no_pytest_and_geopb_needs_no_testing() -> None:
    code = """
        import sys
        sys.modules["pytest"] = None
        import geopb
        print("geopb.testing" in sys.modules)
        from geopb import testing
        with testing.connected_pair(geopb.Root()) as pair:
            print(pair.client.getRootObject().get(timeout=5) is not None)
    """
    ended = run_python(code)

    assert (ended.stdout, ended.stderr) == ("False\nTrue\n", "")
