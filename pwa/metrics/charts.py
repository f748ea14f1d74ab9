"""Where the bars and lines of a drawing stand: geometry for SVG. No words, no database.

Every drawing comes twice and the style sheet shows one: `roomy` for desks, `narrow` for phones, where words
would else be too small to read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = (1, 2, 5, 10)
APART = 17  # between the words of two lines, which may end at one height


@dataclass(frozen=True)
class Bar:
    """One row of a bar drawing: a quiet part, and after it the part that matters."""

    label: str
    told: str
    text_x: float
    text_y: float
    x: float
    y: float
    quiet: float
    loud_x: float
    loud: float
    end: float


@dataclass(frozen=True)
class Bars:
    """A drawing of bars, `width` by `height`; `thick` is a bar."""

    kind: str
    width: int
    height: int
    thick: int
    rows: list[Bar]


@dataclass(frozen=True)
class Trace:
    """One line of a drawing: its path, where it ends, and at what height its words stand."""

    path: str
    x: float
    y: float
    text_y: float


@dataclass(frozen=True)
class Lines:
    """A drawing of lines: heights with their words, places along with theirs, and the traces."""

    kind: str
    width: int
    height: int
    right: int
    heights: list[tuple[float, str]]
    along: list[tuple[float, str]]
    traces: list[Trace | None]


Row = tuple[str, float, float, str]  # label, the quiet part, the one that matters, what is told of both


def bars(rows: Sequence[Row]) -> list[Bars]:
    """The rows as bars, roomy and narrow."""
    most = max((quiet + loud for _, quiet, loud, _ in rows), default=0) or 1
    return [
        Bars(
            "roomy",
            560,
            31 * len(rows),
            24,
            [_bar(row, n, most, 218, 262, 31, 3) for n, row in enumerate(rows)],
        ),
        Bars(
            "narrow",
            300,
            46 * len(rows),
            16,
            [_bar(row, n, most, 0, 232, 46, 20) for n, row in enumerate(rows)],
        ),
    ]


def lines(along: Sequence[str], series: Sequence[Sequence[float | None]], told: Sequence[str]) -> list[Lines]:
    """Series over the same places along, in steps from 0, of which `told` has the words: see heights()."""
    return [
        _lines("roomy", along, series, told, 560, 256, 440),
        _lines("narrow", along, series, told, 300, 220, 196),
    ]


def heights(most: float) -> list[float]:
    """From 0 in four to six even steps to at least `most`."""
    raw = (most or 1) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(each * power for each in STEPS if each * power >= raw)
    return [step * n for n in range(math.ceil((most or 1) / step - 1e-9) + 1)]


def _bar(row: Row, n: int, most: float, x: int, room: int, pitch: int, above: int) -> Bar:
    label, quiet, loud, told = row
    first, second = (max(2.0, part / most * room) if part else 0.0 for part in (quiet, loud))
    gap = 2 if first and second else 0
    end = x + first + gap + second
    y = n * pitch + above
    text_x, text_y = (x - 10, y + 16) if x else (0, n * pitch + 13)
    return Bar(
        label, told, text_x, text_y, x, y, round(first, 1), round(x + first + gap, 1), round(second, 1),
        round(end + 7, 1),
    )  # fmt: skip


def _lines(
    kind: str, along: Sequence[str], series: Sequence[Sequence[float | None]], told: Sequence[str],
    width: int, height: int, right: int,
) -> Lines:  # fmt: skip
    left, top, bottom = 56, 12, height - 28
    most = len(told) - 1
    xs = [left + 6 + (right - left - 6) * n / max(1, len(along) - 1) for n in range(len(along))]
    step = (bottom - top) / most
    every = max(1, math.ceil(len(along) / (12 if kind == "roomy" else 4)))
    places = [(round(x, 1), word) for n, (x, word) in enumerate(zip(xs, along, strict=True)) if not n % every]
    scaled = [[None if v is None else bottom - v * step for v in values] for values in series]
    return Lines(
        kind, width, height, right, [(round(bottom - n * step, 1), word) for n, word in enumerate(told)],
        places, _traces(xs, scaled),
    )  # fmt: skip


def _traces(xs: Sequence[float], series: Sequence[Sequence[float | None]]) -> list[Trace | None]:
    """Each series as a line; None for one without a value. Words stand in the order of the lines' ends."""
    points = [
        [(round(x, 1), round(y, 1)) for x, y in zip(xs, ys, strict=True) if y is not None] for ys in series
    ]
    ends = {n: each[-1][1] for n, each in enumerate(points) if each}
    below, heights = -math.inf, {}
    for n in sorted(ends, key=lambda n: ends[n]):
        below = heights[n] = max(ends[n] + 5, below + APART)
    return [
        Trace("M" + "L".join(f"{x} {y}" for x, y in each), *each[-1], round(heights[n], 1)) if each else None
        for n, each in enumerate(points)
    ]
