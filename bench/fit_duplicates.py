"""Fits the numbers under [fitted] of city/cases/duplicates.toml, and prints them.

    bin/bench fit-duplicates

A plain logistic regression over what was told in January to March: of all open cases within reach of a
telling, which did staff name as the same? Its likelihoods are of being named, and staff name fewer than
there are.
"""

import argparse
import json
import sys
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bench import _pairs
from bench._pairs import HalfYear
from bench._site import say
from city.cases import duplicates

RIDGE = 1.0  # keeps a number small that the pairs say little about
ROUNDS = 60


def main() -> int:
    """0 when it was fitted, or when there is nothing to fit on."""
    asked = argparse.ArgumentParser(prog="bin/bench fit-duplicates")
    asked.add_argument("--quick", action="store_true", help="changes nothing: this takes half a minute")
    asked.parse_args()
    data = _pairs.folder()
    if data is None:
        print(json.dumps({"bench": "fit-duplicates", "skipped": "CITYLINE_BENCH_DATA has no real data"}))
        return 0
    half = _pairs.read(data)
    rows = half.looked_at()
    rows = rows[half.later[rows] < half.april]
    names = set(half.named)
    same = np.array([pair in names for pair in _ends(half, rows)])
    say(f"fit-duplicates: {half.april} tellings, {len(rows)} looked at, {int(same.sum())} of them named")
    facts = np.array([facts_of(half, int(row)) for row in rows])
    weights = fitted(facts, same)
    say(f"on = {datetime.now(UTC):%Y-%m-%d}")
    for name, weight in zip(duplicates.NAMES, weights, strict=True):
        say(f"{name} = {weight:.3f}")
    line = {"bench": "fit-duplicates", "tellings": half.april, "pairs": len(rows), "named": int(same.sum())}
    print(
        json.dumps(
            line | {name: round(float(w), 3) for name, w in zip(duplicates.NAMES, weights, strict=True)}
        )
    )
    return 0


def facts_of(half: HalfYear, row: int) -> tuple[float, ...]:
    """What the product's score is made of, for one row."""
    later, earlier = half.later[row], half.earlier[row]
    return duplicates.facts(half.told[later].problem, half.told[earlier].problem, half.crowd_beside(row))


def fitted(facts: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The weights of a logistic regression by Newton's steps; the first fact, the 1, is held by no ridge."""
    middle, spread = facts.mean(axis=0), facts.std(axis=0)
    middle[0], spread[0] = 0.0, 1.0
    scaled = (facts - middle) / spread
    ridge = np.diag([0.0] + [RIDGE] * (facts.shape[1] - 1))
    weights = np.zeros(facts.shape[1])
    for _ in range(ROUNDS):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (same - likely) - ridge @ weights
        bend = (scaled * (likely * (1 - likely))[:, None]).T @ scaled + ridge
        step = np.linalg.solve(bend, slope)
        weights += step * min(1.0, 2 / np.abs(step).max())  # a full first step would overshoot
        if np.abs(step).max() < 1e-9:
            break
    weights /= spread
    weights[0] -= weights[1:] @ middle[1:]
    return weights


def _ends(half: HalfYear, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(half.later[rows].tolist(), half.earlier[rows].tolist(), strict=True))


if __name__ == "__main__":
    sys.exit(main())
