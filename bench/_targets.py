"""What a line is held to: which targets it meets is written into it, and what it misses is said."""

import json
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
        line["met"][f"{key}{sign}{bound:g}"] = holds = bool(SIGNS[sign](line[key], bound))
        if not holds:
            say(f"{line['bench']}: {key} is {line[key]:g}, but should be {sign} {bound:g}")


def printed(line: dict[str, Any]) -> str:
    """The line as JSON, its figures rounded: only after judge(), or a near miss would meet its target."""
    return json.dumps(_rounded(line))


def _rounded(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _rounded(one) for key, one in told.items()}
    return round(told, 4 if abs(told) < 1 else 2) if isinstance(told, float) else told
