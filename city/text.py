"""Text as people see it and as a search compares it: blank or not, normalized, stemmed. Pure."""

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Final

import snowballstemmer

LONGEST = 40  # letters of a word; what follows them tells nothing apart
STEMMED: Final = {
    "de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "nl": "dutch",
    "pl": "polish", "pt": "portuguese", "ru": "russian",
}  # fmt: skip

# Letters and signs by their kind that draw nothing: the fillers of Hangul, and braille without a dot.
BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
# Controls, what steers the direction or the joining of others, marks that need a letter, and spaces.
BLANK_KINDS: Final = ("C", "M", "Z")

_ONE_AT_A_TIME = threading.Lock()  # a stemmer holds the word it works on


def is_blank(words: str) -> bool:
    """Whether nobody could read anything in `words`."""
    return all(
        letter in BLANK_LETTERS or unicodedata.category(letter).startswith(BLANK_KINDS) for letter in words
    )


def normalize(told: str) -> Iterator[str]:
    """The words of a text without case, accents and signs, in any script. No stems: "Elms" is not "Elm"."""
    plain = unicodedata.normalize("NFKD", told.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for word in re.findall(r"[^\W_]+", plain.replace("'", "").replace("’", "")):
        yield word[:LONGEST]


@lru_cache(maxsize=200_000)
def stem(word: str, lang: str) -> str:
    """What a folded word has in common with its other forms; the word itself in a language of no stemmer.

    People type without accents, so stems are of folded words on both sides.
    """
    if lang not in STEMMED:
        return word
    with _ONE_AT_A_TIME:
        return str(_stemmer(lang).stemWord(word))


@cache
def _stemmer(lang: str) -> Any:
    return snowballstemmer.stemmer(STEMMED[lang])
