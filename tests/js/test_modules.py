"""Runs the tests of the browser's pure modules in Node: one Python test a file."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.js")))
@pytest.mark.slow
def test_in_node(node: str, file: str) -> None:
    done = subprocess.run([node, "--test", HERE / file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
