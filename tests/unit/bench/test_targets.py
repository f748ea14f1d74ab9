"""The benches of photos and duplicates say which of their targets they meet."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import _targets, duplicates

ROOT = Path(__file__).parents[3]


def _run(module: str, data: str, *options: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"CITYLINE_BENCH_DATA": data},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_says_what_it_meets_and_what_it_misses(capsys: pytest.CaptureFixture[str]) -> None:
    line: dict[str, Any] = {"bench": "photos", "crashed": 0, "accepted": 68, "lo": 0.0}
    _targets.judge(line, [("crashed", "<=", 0), ("accepted", ">=", 69), ("lo", ">", 0)])
    assert line["met"] == {"crashed<=0": True, "accepted>=69": False, "lo>0": False}
    assert capsys.readouterr().err == (
        "photos: accepted is 68, but should be >= 69\nphotos: lo is 0, but should be > 0\n"
    )


def test_a_near_miss_meets_no_target_by_being_rounded() -> None:
    found = np.ones(10_000)
    ours = found.copy()
    ours[:4] = 0
    line = {"bench": "duplicates"} | duplicates._beside(duplicates.Offers(np.arange(4), 9), found, ours)
    _targets.judge(line, [("gain", ">=", 0), ("gain", ">=", -0.0004), ("ours_then", ">=", 0.9997)])
    assert line["met"] == {"gain>=0": False, "gain>=-0.0004": True, "ours_then>=0.9997": False}
    said = json.loads(_targets.printed(line))
    assert (said["gain"], said["per_report"], said["met"]) == (-0.0004, 0.4444, line["met"])


@pytest.mark.parametrize("name", ["photos", "duplicates"])
@pytest.mark.slow
def test_without_the_data_of_a_real_city_nothing_is_judged(name: str) -> None:
    (line,) = _run(f"bench.{name}", "")
    assert set(line) == {"bench", "skipped"}


@pytest.mark.slow
def test_real_photos_meet_their_targets(real_data: Path) -> None:
    (line,) = _run("bench.photos", str(real_data))
    assert set(line["met"]) >= {"accepted>=69", "crashed<=0", "metadata_bytes<=0", "ratio_12mp<=1.3"}
    assert all(met for name, met in line["met"].items() if not name.startswith("ratio")), line


@pytest.mark.slow
def test_a_real_half_year_meets_its_targets(real_data: Path) -> None:
    lines = _run("bench.duplicates", str(real_data), "--quick", "--db=sqlite")
    assert [line["rule"] for line in lines] == ["ours", "25", "50", "100", "250"]
    assert all(met for line in lines for name, met in line["met"].items() if "_ms" not in name), lines
