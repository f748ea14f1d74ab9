"""Every regular expression of ours over hostile words: twice as many cost at most three times as much."""

import ast
import importlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import hostile
import pytest

ROOT: Final = Path(__file__).parents[3]
ASKS: Final = ("search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn")
# What stands for the names that a pattern takes out of its function.
HERE: Final[dict[str, Any]] = {
    "count": 64, "item": b"\0\1", "narrow": "d+", "parts": re.split("(%.)", "%m/%d/%Y %I:%M:%S %p"),
}  # fmt: skip
CLEAR = 0.002  # seconds, from which on two of them can be compared
MOST = 3.0  # times as much for twice as many


class Pattern(NamedTuple):
    """One that stands in the code, and what is asked of it there."""

    where: str
    itself: re.Pattern[Any]
    asks: tuple[str, ...]


def patterns() -> Iterator[Pattern]:
    """Whatever the three rooms hand to `re`. One with a name is asked what any of that name is, anywhere."""
    trees = {
        path.relative_to(ROOT): ast.parse(path.read_text())
        for room in ("pwa", "sync", "city")
        for path in sorted((ROOT / room).rglob("*.py"))
    }
    asked = defaultdict(set)
    for node in (each for tree in trees.values() for each in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and node.attr in ASKS:
            asked[ast.unparse(node.value).rpartition(".")[2]].add(node.attr)
    for path, tree in trees.items():
        names = {
            id(node.value): ast.unparse(getattr(node, "targets", [getattr(node, "target", None)])[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
        }
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            room, _, ask = ast.unparse(call.func).rpartition(".")
            if room == "re" and ask in (*ASKS, "compile"):
                given = [
                    ast.unparse(each) for each in (*call.args[1:], *(word.value for word in call.keywords))
                ]
                made = ", ".join([ast.unparse(call.args[0]), *(each for each in given if "re." in each)])
                known = vars(importlib.import_module(".".join(path.with_suffix("").parts)))
                asks = {ask} if ask != "compile" else asked[names.get(id(call), "")]
                itself = eval(f"re.compile({made})", {**known, **HERE})
                yield Pattern(f"{path}:{call.lineno}", itself, tuple(sorted(asks)) or ("search",))


def slow(pattern: re.Pattern[Any], asks: tuple[str, ...] = ("search",)) -> str:
    """Over what it takes too long, and how much longer than over half of it; "" where nothing is found."""
    said = pattern.pattern
    encoded = (lambda words: words) if isinstance(said, str) else (lambda words: words.encode("latin1"))
    plain = said if isinstance(said, str) else said.decode("latin1")
    for ask, words in product(asks, hostile.words(plain)):
        for letters in hostile.LENGTHS:
            whole = partial(_ask, pattern, ask, encoded(words.long(letters)))
            if cost(whole) >= CLEAR:
                half = partial(_ask, pattern, ask, encoded(words.long(letters // 2)))
                if (more := times(whole, half)) > MOST:
                    return f"{ask} over {letters} letters of {words}: {more:.1f} times as much as over half"
    return ""


def _ask(pattern: re.Pattern[Any], ask: str, text: Any) -> None:
    found = pattern.sub(text[:0], text) if ask in ("sub", "subn") else getattr(pattern, ask)(text)
    if ask == "finditer":
        list(found)


def cost(does: Callable[[], object]) -> float:
    """Seconds of the processor."""
    began = time.process_time()
    does()
    return time.process_time() - began


def times(whole: Callable[[], object], half: Callable[[], object]) -> float:
    """How much longer one takes than the other: of fifteen times in turn the least of each, which has
    nothing else in it.
    """
    took = [(cost(whole), cost(half)) for _ in range(15)]
    return min(each for each, _ in took) / min(each for _, each in took)


@pytest.mark.parametrize(
    ("pattern", "ask"),
    [
        (r"(T.*) (\d\d:?\d\d)$", "sub"), (r"\S+@\S+", "search"), (r"\]\([^)]*\)", "sub"),
        (r"^\d+\S*\s", "match"), (r"\d(?!\d*(st|nd)\b)", "search"), ("https?://[^/]+.*!", "fullmatch"),
        (r"\s+$", "search"), ("(a+)+b", "match"), ("(a|ab?)*c", "match"), (r"^(\w+\s?)*$", "search"),
    ],
)  # fmt: skip
def test_a_pattern_that_takes_too_long_is_found(pattern: str, ask: str) -> None:
    assert slow(re.compile(pattern), (ask,))


@pytest.mark.slow
def test_twice_as_many_hostile_words_cost_a_pattern_at_most_three_times_as_much() -> None:
    all_ = list(patterns())
    assert len(all_) > 80, "it no longer finds them"
    assert {
        f"{each.where} {each.itself.pattern!r}": wrong
        for each in all_
        if (wrong := slow(each.itself, each.asks))
    } == {}
