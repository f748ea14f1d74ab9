"""The bench of the gazetteer says all that it promises to, and reaches its marks on a real city."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
KEYS = {"bench", "kind", "n", "found", "wrong", "median_m", "p95_m", "p95_ms", "p95_cpu_ms", "met"}


def _run(data: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.geocode", "--quick"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"CITYLINE_BENCH_DATA": data},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_without_the_data_of_a_real_city_it_says_so() -> None:
    (line,) = _run("")
    assert (line["bench"], "CITYLINE_BENCH_DATA" in line["skipped"]) == ("geocode", True)


@pytest.mark.slow
def test_a_real_city_is_found(real_data: Path) -> None:
    lines = _run(str(real_data))
    assert [line["kind"] for line in lines] == ["forward", "typo", "reverse"]
    for line in lines:
        assert set(line) >= KEYS
        assert all(met for name, met in line["met"].items() if "_ms" not in name), line
    assert lines[0]["as_stated"] >= 0.95, "what an answer claims of itself holds 19 times of 20"
