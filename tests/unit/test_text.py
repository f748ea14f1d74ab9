"""What counts as a text that says nothing."""

import pytest

from city.text import is_blank

NOTHING = [
    "", "  \n", "\u200b", "\u2800", "\u3164", "\u00ad", "\ufeff", "\u202e\u202c", "\u115f\u1160\uffa0",
    "\u0301", "\ufe0f", "\u00a0",
]  # fmt: skip


@pytest.mark.parametrize("words", NOTHING)
def test_nobody_could_read_it(words: str) -> None:
    assert is_blank(words)


@pytest.mark.parametrize("words", ["It is right.", "ñ", "\u00ad7", "👍", "سلام", "예", "."])
def test_somebody_could(words: str) -> None:
    assert not is_blank(words)
