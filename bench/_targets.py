"""What a line is held to: which targets it meets is written into it, and what it misses is said."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

from bench._site import say

SIGNS: dict[str, Callable[[Any, Any], bool]] = {"<=": operator.le, ">=": operator.ge, ">": operator.gt}

Target = tuple[str, str, float]  # a key of the line, how it is compared, its bound


def judge(line: dict[str, Any], targets: Iterable[Target]) -> None:
    """Adds `met`: of each target, such as "crashed<=0", whether it is met."""
    line["met"] = {}
    for key, sign, bound in targets:
        line["met"][f"{key}{sign}{bound:g}"] = holds = SIGNS[sign](line[key], bound)
        if not holds:
            say(f"{line['bench']}: {key} is {line[key]:g}, wanted {sign} {bound:g}")
