"""Every regular expression of our scripts over hostile words, in Node; test_patterns.py does so in Python."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import hostile
import pytest

HERE, SCRIPTS = Path(__file__).parent, Path(__file__).parents[2] / "pwa" / "static" / "js"
# A pattern stands where a value may, and begins with no blank: a comment and a division are none.
LITERAL: Final = re.compile(
    r"(?<=[(=:,!&|?\[\s])/(?![*/\s])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+)/([dgimsuvy]*)"
)
CLEAR = 10  # milliseconds


def slow(node: str, patterns: list[tuple[str, str, str]]) -> Any:
    """Which of (where, source, flags) take too long, and over what."""
    asked = [[*each, hostile.words(each[1])] for each in patterns]
    told = json.dumps({"clear": CLEAR, "most": 3, "lengths": hostile.LENGTHS, "patterns": asked})
    done = subprocess.run(
        [node, HERE / "hostile.js"], input=told, capture_output=True, text=True, timeout=300, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_pattern_that_takes_too_long_is_found(node: str) -> None:
    assert len(slow(node, [("a", r"^\S*\d\S*$", ""), ("b", "(a+)+b", ""), ("c", r"\s+$", "g")])) == 3


@pytest.mark.slow
def test_twice_as_many_hostile_words_cost_a_pattern_at_most_three_times_as_much(node: str) -> None:
    scripts = {path.name: path.read_text() for path in sorted(SCRIPTS.rglob("*.js"))}
    patterns = [(name, *found.groups()) for name, text in scripts.items() for found in LITERAL.finditer(text)]
    assert len(patterns) > 10, "it no longer finds them"
    assert not [name for name, text in scripts.items() if "RegExp(" in text]
    assert slow(node, patterns) == {}
