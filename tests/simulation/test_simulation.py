"""Crews' phones against the real city through every fault we can think of, and proof that this sees bugs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import mutations

ROOT = Path(__file__).parent.parent.parent

# A plant that is dropped makes the proof weaker in silence: so all are named here once more.
PLANTED = """
    401-ages back-from-here back-unmarked back-unmet bad-blocks-rest clear-before-store clear-on-401
    clear-on-500 clear-on-portal counter-id cursor-before-changes danger-sinks danger-waits
    desk-is-crew epoch-ignored expire-unsent feed-row-forgotten id-cursor no-due-time
    old-name-forgotten photo-by-name photo-unchecked reassign-keeps-data reclassify-loses-closing
    relocate-keeps-old-crew report-photo-astray report-taken-by-nobody result-lost revocation-clears
    revoked-photo-first revoked-photo-refused revoked-trusted sent-unnoted signout-wipes
    stale-cycle-closes stale-memory twin-applied-twice two-tabs undo-lost undo-restores-too-much
    undone-followed undone-report-begun unreadable-for-ever unreadable-untold upgrade-drops
    wait-forgets-until withdraw-forgets withdrawn-late withdrawn-untold wrong-user-queue
"""


PARTS = 3  # so that all cores have some of them


def simulated(*options: str) -> tuple[int, dict[str, Any], str]:
    """What `bin/bench sync-sim` says: its exit code, its line, its prose."""
    jobs = ["--jobs=1"] if "PYTEST_XDIST_WORKER" in os.environ else []  # other tests have the other cores
    done = subprocess.run(
        [sys.executable, "-m", "bench.sync_sim", *options, *jobs], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_no_planted_bug_is_dropped_or_added_unnamed() -> None:
    assert sorted(mutations.PLANTS) == PLANTED.split()


def test_what_the_planted_bugs_replace_is_still_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutations"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_no_world_breaks_a_promise() -> None:
    code, told, prose = simulated("--seeds=20", "--no-plants")
    assert told["violations"] == 0, prose
    assert code == 0, prose


@pytest.mark.slow
@pytest.mark.full
def test_no_world_of_many_breaks_a_promise_and_everything_is_met() -> None:
    code, told, prose = simulated("--seeds=200", "--no-plants")
    assert told["violations"] == 0, prose
    assert [name for name, times in told["reached"].items() if not times] == []
    assert code == 0, prose


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_planted_bug_is_caught(part: int) -> None:
    planted = PLANTED.split()[part::PARTS]
    _code, told, prose = simulated("--seeds=0", *[f"--plant={name}" for name in planted])
    assert [name for name, seed in told["plants"].items() if seed is None] == [], prose
    assert sorted(told["plants"]) == planted
