"""What we know of words: which of them name nothing, and which mean the same."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from city.text import stem


@cache
def little() -> frozenset[str]:
    """Words that ask and name nothing."""
    return _listed("little")


@cache
def vague() -> frozenset[str]:
    """Words that say how it is or where it is, and not what."""
    return _listed("vague")


def asks(words: Sequence[str]) -> bool:
    """Whether these words begin as a question does."""
    return any(tuple(words[: len(each)]) == each for each in _openings())


@cache
def _openings() -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(line.split()) for lines in _words()["asks"].values() for line in lines.strip().splitlines()
    )


@cache
def groups() -> dict[str, frozenset[str]]:
    """By a word, all that mean the same."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in _words()["same"]["lines"].strip().splitlines():
        for word in (group := line.split()):
            found[word].update(group)
    return {word: frozenset(group) for word, group in found.items()}


def same(langs: frozenset[str], word: str) -> Iterator[str]:
    """Other words for it, in order."""
    by_stem = _groups_by_stem(langs)
    forms = {word, *(stem(word, lang) for lang in langs)}
    yield from sorted({other for form in forms for other in by_stem.get(form, ())} - {word})


def _listed(name: str) -> frozenset[str]:
    return frozenset(word for words in _words()[name].values() for word in words.split())


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "synonyms.toml").read_text("utf-8"))


@cache
def _groups_by_stem(langs: frozenset[str]) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for word, group in groups().items():
        for each in {word, *(stem(word, lang) for lang in langs)}:
            found[each].update(group)
    return {each: frozenset(group) for each, group in found.items()}
