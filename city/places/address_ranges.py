"""House numbers along a street: which side of a block bears them, and where on it one must be. Pure.

Everything lies on a plane in metres, x east and y north.
"""

import math
from dataclasses import dataclass
from typing import Final

from shapely.geometry import LineString
from shapely.geometry import Point as Spot

FRONT_METRES: Final = 12.0  # from the middle of a street to the front of a house
AHEAD_METRES: Final = 1.0
# How far the middle of a lot lies from where its number was worked out, 19 times of 20: some metres back from
# the street, and a part of the block along it. Judged against the 19,000 lots of bin/bench geocode, by the
# length of their blocks.
LOT_METRES: Final = 30.0
BLOCK_SHARE: Final = 0.28


@dataclass(frozen=True)
class Range:
    """The numbers on one side of a block, from its line's beginning to its end; they may fall."""

    first: int
    last: int

    @property
    def step(self) -> int:
        """2 where the side has only even or only odd numbers."""
        return 1 if (self.first - self.last) % 2 else 2

    @property
    def places(self) -> int:
        """How many numbers the side has."""
        return abs(self.last - self.first) // self.step + 1

    def fits(self, number: int) -> bool:
        """Whether the number is of this side's kind, even or odd; it may lie beyond its ends."""
        return self.step == 1 or (number - self.first) % 2 == 0

    def away(self, number: int) -> int:
        """By how much the number lies beyond the ends; 0 between them."""
        return max(min(self.first, self.last) - number, number - max(self.first, self.last), 0)

    def share(self, number: int) -> float:
        """How far along the block it stands, from 0 to 1: every number has as much room as the next one."""
        return min(max((abs(number - self.first) // self.step + 0.5) / self.places, 0.0), 1.0)

    def number(self, share: float) -> int:
        """The number that stands so far along the block."""
        n = min(int(share * self.places), self.places - 1) * self.step
        return self.first + (n if self.last >= self.first else -n)


@dataclass(frozen=True)
class Block:
    """A piece of a street between two corners. A side without a range has no numbers that are known."""

    line: LineString
    left: Range | None = None
    right: Range | None = None

    def away(self, number: int) -> int | None:
        """By how much a number lies beyond its side's ends, 0 where it stands here; None where it cannot."""
        return min((side.away(number) for side, _ in self._sides() if side.fits(number)), default=None)

    def spot(self, number: int) -> Spot:
        """In front of the house with this number, which `away` knows: beside the line, on its own side."""
        beyond, sign, side = self._side(number)
        near_end = (
            min(max(number, min(side.first, side.last)), max(side.first, side.last)) if beyond else number
        )
        along = side.share(near_end) * self.line.length
        here, ahead = self._heading(along)
        length = math.hypot(ahead.x - here.x, ahead.y - here.y) or 1.0
        off = sign * FRONT_METRES / length
        at = self.line.interpolate(along)
        return Spot(at.x - (ahead.y - here.y) * off, at.y + (ahead.x - here.x) * off)

    def metres(self, number: int) -> float:
        """How far from spot() the middle of the lot may be, 19 times of 20.

        A long block says less than a short one; and beyond a side's ends each number may need as much room
        as one between them has.
        """
        beyond, _, side = self._side(number)
        length = float(self.line.length)
        return LOT_METRES + BLOCK_SHARE * length + beyond / side.step * length / side.places

    def number(self, at: Spot) -> int | None:
        """The number of the house that must stand beside `at`; None where that side has no numbers."""
        along = self.line.project(at)
        here, ahead = self._heading(along)
        left = (ahead.x - here.x) * (at.y - here.y) - (ahead.y - here.y) * (at.x - here.x) >= 0
        side = self.left if left else self.right
        return side.number(along / self.line.length if self.line.length else 0.5) if side else None

    def _side(self, number: int) -> tuple[int, int, Range]:
        """By how much the number lies beyond the side that fits it best, 1 for left or -1, and that side."""
        fitting = [(side.away(number), sign, side) for side, sign in self._sides() if side.fits(number)]
        return min(fitting, key=lambda one: one[0])

    def _sides(self) -> list[tuple[Range, int]]:
        return [(side, sign) for side, sign in ((self.left, 1), (self.right, -1)) if side]

    def _heading(self, along: float) -> tuple[Spot, Spot]:
        """Two points around `along`, by which the line's direction there is known."""
        before, after = max(along - AHEAD_METRES, 0.0), min(along + AHEAD_METRES, self.line.length)
        return self.line.interpolate(before), self.line.interpolate(after)
