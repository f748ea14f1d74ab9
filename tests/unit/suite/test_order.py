"""Long tests come first, and those in a browser among all others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from order import TOGETHER, mixed, unit_of

ROOT = Path(__file__).parents[3]


def marked(name: str, *marks: str) -> Any:
    return SimpleNamespace(name=name, get_closest_marker=lambda mark: mark if mark in marks else None)


def test_long_ones_come_first_and_browsers_evenly_among_the_rest() -> None:
    browsers = [marked(f"b{n}", "browser", "slow") for n in range(2)]
    quick = [marked(f"q{n}") for n in range(4)]
    long = [marked(f"l{n}", "slow") for n in range(2)]
    assert [item.name for item in mixed([*browsers, *quick, *long])] == [
        "l0", "b0", "l1", "q0", "q1", "b1", "q2", "q3",
    ]  # fmt: skip


def test_one_kind_alone_keeps_its_order() -> None:
    assert [item.name for item in mixed([marked("a"), marked("b")])] == ["a", "b"]
    assert mixed([]) == []


def test_tests_of_files_that_share_much_stay_together() -> None:
    assert [file for file in TOGETHER if not (ROOT / file).is_file()] == []
    file = min(TOGETHER)
    assert unit_of(f"{file}::test_a[1]") == unit_of(f"{file}::TestB::test_c")
    assert unit_of("tests/unit/test_x.py::test_a[1]") != unit_of("tests/unit/test_x.py::test_a[2]")
