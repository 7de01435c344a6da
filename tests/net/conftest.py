"""A throw-away certificate authority for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.net.certificates import Certificates, make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of this run, which nobody else trusts."""
    return make(tmp_path_factory.mktemp("certificates"))
