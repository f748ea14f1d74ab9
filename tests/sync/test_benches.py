"""The benches of field sync run and say all that they promise to; what they measure is not judged here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.both_databases, pytest.mark.full]

ROOT = Path(__file__).parents[2]
KEYS = {"bench", "db", "requests", "bytes_up", "bytes_down", "seconds", "per_s", "p99_ms", "met"}


@pytest.mark.slow
def test_sync_measures_everything_and_judges_it() -> None:
    lines = _run("bench.sync", "--quick", "--db=sqlite")
    assert [line["bench"] for line in lines] == [
        f"sync.{name}" for name in ("pull_1000", "push_1000", "one", "idle", "trickle")
    ]
    for line in lines:
        assert set(line) >= KEYS
        assert line["met"]
    pull, push, one, idle, _trickle = lines
    assert (pull["requests"], push["requests"], one["requests"], idle["requests"]) == (1, 2, 1, 1)
    assert all(met for line in lines for name, met in line["met"].items() if "bytes" in name), lines


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_cursor_misses_nothing_and_the_simpler_one_does(kind: str) -> None:
    (line,) = _run("bench.sync_gap", "--cases=160", f"--db={kind}")
    assert (line["db"], line["writers"], line["missed"]) == (kind, 8, 0)
    assert line["control_missed"] > 0


def _run(module: str, *options: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-m", module, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.browser
def test_a_full_phone_sends_all_that_it_kept() -> None:
    (line,) = _run("bench.sync_phone", "--quick")
    assert (line["kept"], line["arrived"], line["photos_missing"]) == (60, 60, 0)
    assert line["full_saved_p95_ms"] > 0
    assert set(line["met"]) == {"saved_p95_ms<=100", "full_saved_p95_ms<=100", "photo_ms<=1500"}
