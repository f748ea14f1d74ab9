"""What an empty text is: one that shows nobody anything, whatever stands in it. Pure."""

import unicodedata
from typing import Final

# Letters and signs by their kind that draw nothing: the fillers of Hangul, and braille without a dot.
BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
# Controls, what steers the direction or the joining of others, marks that need a letter, and spaces.
BLANK_KINDS: Final = ("C", "M", "Z")


def is_blank(words: str) -> bool:
    """Whether nobody could read anything in `words`."""
    return all(
        letter in BLANK_LETTERS or unicodedata.category(letter).startswith(BLANK_KINDS) for letter in words
    )
