"""The bench of overload runs and says all that it promises; what a busy machine changes is not judged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEYS = {"bench", "db", "what", "p99_ratio", "refused_share", "healthz_max_ms", "letter_s", "failed", "met"}


@pytest.mark.slow
@pytest.mark.full
def test_slow_forms_are_cut_off_and_residents_see_their_pages() -> None:
    command = [sys.executable, "-m", "bench.overload", "--quick", "--db=sqlite", "--only=slow_bodies"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = map(json.loads, done.stdout.splitlines())
    assert set(line) >= KEYS
    assert (line["failed"], line["refused_share"]) == (0, 0)
