"""How well the city finds the case that somebody tells of again, beside rules of a fixed distance.

    bin/bench duplicates [--quick] [--db=sqlite]

Boston's staff named pairs as one problem; the later of the two asks, and the earlier should be among the
three that are offered. Judged on April to June, with the scores of city/cases/duplicates.py, which was
fitted on January to March. A fixed rule offers the nearest open cases of the same service within 25, 50, 100
or 250 m; ours is compared with each at that rule's number of offers: `gain` is ours minus the rule, which
lies between `lo` and `hi` in 95 of 100 resamplings of the pairs. Then it is timed in a city of a million
cases on both databases; `p95_ms` is the slower one's. --quick times it among 20,000. `met` says which
targets a line meets."""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import _pairs
from bench._databases import KINDS
from bench._million import timed
from bench._pairs import HalfYear
from bench._site import say
from bench._targets import Target, judge, printed
from city.cases import duplicates

MANY, FEW = 1_000_000, 20_000
RULES = (25, 50, 100, 250)  # metres
# Better than the narrow rules beyond chance, and no worse than the wide ones.
TARGETS: dict[str, list[Target]] = {
    "ours": [("recall3", ">=", 0.85), ("per_report", "<=", 0.45), ("p95_ms", "<=", 10)],
    "25": [("lo", ">", 0)],
    "50": [("lo", ">", 0)],
    "100": [("gain", ">=", 0)],
    "250": [("gain", ">=", 0)],
}
SAMPLES = 5000
SEED = 311
# What the rules found when the target was set, on the whole half-year: recall, offers a report.
KNOWN = {25: (0.745, 0.20), 50: (0.793, 0.27), 100: (0.813, 0.40), 250: (0.831, 0.76)}


@dataclass(frozen=True)
class Offers:
    """Rows of a half-year in the order in which they are offered, at most three a telling."""

    rows: NDArray[np.int64]
    tellings: int

    @property
    def per_report(self) -> float:
        return len(self.rows) / self.tellings

    def first(self, count: int) -> "Offers":
        """The likeliest `count` of them."""
        return Offers(self.rows[:count], self.tellings)

    def found(self, half: HalfYear, named: list[tuple[int, int]]) -> NDArray[np.float64]:
        """For each pair 1 where its earlier case is among the offers, else 0."""
        offered = set(zip(half.later[self.rows].tolist(), half.earlier[self.rows].tolist(), strict=True))
        return np.array([float(pair in offered) for pair in named])


def main() -> int:
    """0 when everything was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench duplicates")
    asked.add_argument("--quick", action="store_true", help="time it with few cases")
    asked.add_argument("--db", choices=KINDS, help="time it only on this database")
    options = asked.parse_args()
    data = _pairs.folder()
    if data is None:
        print(json.dumps({"bench": "duplicates", "skipped": "CITYLINE_BENCH_DATA has no real data"}))
        return 0
    half = _pairs.read(data)
    _compare_with_known(half)
    count = FEW if options.quick else MANY
    times = {kind: timed(kind, half, count, RULES) for kind in ((options.db,) if options.db else KINDS)}
    for line in _judged(half):
        by_kind = {kind: took[str(line["rule"])] for kind, took in times.items()}
        line |= {"p95_ms": max(by_kind.values()), "p95_ms_by_db": by_kind, "among": count}
        judge(line, TARGETS[line["rule"]])
        print(printed(line))
    return 0


def _compare_with_known(half: HalfYear) -> None:
    """Whether this judges as the target was judged: says what the fixed rules find in the whole half-year."""
    for metres, (recall, per_report) in KNOWN.items():
        offers = _by_rule(half, metres, 0)
        found = offers.found(half, half.named).mean()
        say(
            f"half-year, {metres} m: {found:.3f} at {offers.per_report:.2f} offers a report "
            f"(known as {recall} at {per_report})"
        )


def _judged(half: HalfYear) -> list[dict[str, Any]]:
    """A line for ours and for each rule, on April to June."""
    start = half.april
    named = [pair for pair in half.named if pair[0] >= start]
    ranked, likely = _ours(half, start)
    chosen = ranked.first(int((likely >= duplicates.OFFERED).sum()))
    ours = chosen.found(half, named)
    same = {"bench": "duplicates", "cases": ranked.tellings, "judged": len(named)}
    lines = [same | {"rule": "ours", **_measures(chosen, ours, ours)}]
    for metres in RULES:
        rule = _by_rule(half, metres, start)
        found = rule.found(half, named)
        at_equal = ranked.first(len(rule.rows)).found(half, named)
        lines.append(same | {"rule": str(metres), **_beside(rule, found, at_equal)})
    return lines


def _beside(rule: Offers, found: NDArray[np.float64], at_equal: NDArray[np.float64]) -> dict[str, Any]:
    """What a rule found, and what ours found with as many offers."""
    gain = at_equal - found
    return _measures(rule, found, gain) | {
        "ours_then": float(at_equal.mean()), "gain": float(gain.mean())
    }  # fmt: skip


def _measures(offers: Offers, found: NDArray[np.float64], spread: NDArray[np.float64]) -> dict[str, Any]:
    """Recall, offers a report, and within what 95 of 100 resampled means of `spread` lie."""
    resample = np.random.default_rng(SEED).integers(0, len(spread), (SAMPLES, len(spread)))
    low, high = np.percentile(spread[resample].mean(axis=1), [2.5, 97.5])
    return {
        "recall3": float(found.mean()), "per_report": offers.per_report, "lo": float(low), "hi": float(high)
    }  # fmt: skip


def _ours(half: HalfYear, start: int) -> tuple[Offers, NDArray[np.float64]]:
    """What the product offers to those who tell from `start` on, and how likely each is; likeliest first."""
    rows = half.looked_at()
    rows = rows[half.later[rows] >= start]
    likely = np.array(
        [
            duplicates.likely(
                half.told[half.later[row]].problem,
                half.told[half.earlier[row]].problem,
                half.crowd_beside(int(row)),
            )
            for row in rows
        ]
    )
    best = _three_each(half, rows, np.lexsort((half.metres[rows], -likely, half.later[rows])))
    best = best[np.argsort(-likely[best], kind="stable")]
    return Offers(rows[best], len(half.told) - start), likely[best]


def _by_rule(half: HalfYear, metres: float, start: int) -> Offers:
    """The nearest open cases of the same service within `metres`, of two as near the newer."""
    service = np.unique([one.problem.service for one in half.told], return_inverse=True)[1]
    same = service[half.later] == service[half.earlier]
    rows = np.flatnonzero(half.open & same & (half.metres <= metres) & (half.later >= start))
    best = _three_each(half, rows, np.lexsort((half.days[rows], half.metres[rows], half.later[rows])))
    return Offers(rows[best], len(half.told) - start)


def _three_each(half: HalfYear, rows: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first three of each telling, where `order` sorts `rows` by telling and then by preference."""
    later = half.later[rows[order]]
    begins = np.r_[True, later[1:] != later[:-1]]
    place = np.arange(len(later))
    return order[place - np.maximum.accumulate(np.where(begins, place, 0)) < duplicates.MOST]


if __name__ == "__main__":
    sys.exit(main())
