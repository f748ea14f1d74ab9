"""Crews' phones against the real city through every fault we can think of, and proof that this sees bugs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def simulated(*options: str) -> tuple[int, dict[str, Any], str]:
    """What `bin/bench sync-sim` says: its exit code, its line, its prose."""
    jobs = ["--jobs=1"] if "PYTEST_XDIST_WORKER" in os.environ else []  # other tests have the other cores
    done = subprocess.run(
        [sys.executable, "-m", "bench.sync_sim", *options, *jobs], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_what_the_planted_bugs_replace_is_still_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.sim.plants"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_no_world_breaks_a_promise_and_everything_is_met() -> None:
    code, told, prose = simulated("--seeds=200", "--no-plants")
    assert told["violations"] == 0, prose
    assert [name for name, times in told["reached"].items() if not times] == []
    assert code == 0, prose


@pytest.mark.slow
def test_every_planted_bug_is_caught() -> None:
    _code, told, prose = simulated("--seeds=0")
    assert [name for name, seed in told["plants"].items() if seed is None] == [], prose
    assert len(told["plants"]) == 39
