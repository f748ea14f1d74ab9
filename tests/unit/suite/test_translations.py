"""Every sentence of the pages exists in every language, and no catalogue says what nobody asks for."""

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tests.voice import KEYWORDS

ROOT = Path(__file__).parents[3]
CATALOGUES = ROOT / "pwa" / "translations"
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%")

LANGUAGES = sorted(path.name for path in CATALOGUES.iterdir() if path.is_dir())

# Words that are right to be the same as in English. Keep it short: most copies are forgotten work.
SAME_AS_ENGLISH = {"es": {"Cityline", "No", "Cityline 311"}}


@cache
def sentences() -> set[str]:
    """The English of all sentences in code and templates; of a plural its singular."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    found = extract_from_dir(
        ROOT / "pwa", [(each["pattern"], each["method"]) for each in mappings], keywords=KEYWORDS
    )
    return {_english(message) for _, _, message, _, _ in found}


@pytest.fixture
def asked() -> set[str]:
    return sentences()


@pytest.fixture(params=LANGUAGES)
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    with (CATALOGUES / request.param / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=request.param)


def test_every_language_of_the_demo_city_has_a_catalogue() -> None:
    languages = tomllib.loads((ROOT / "city" / "config" / "larkhaven.toml").read_text())["languages"]
    assert set(languages) - {"en"} <= set(LANGUAGES)


def test_nothing_is_missing(catalogue: Catalog, asked: set[str]) -> None:
    said = {_english(message.id) for message in catalogue if all(_strings(message))}
    assert sorted(asked - said) == []


def test_nothing_is_said_twice_over(catalogue: Catalog) -> None:
    twice = [
        words
        for message in catalogue
        for words in _strings(message)
        if len(words) > 8 and words[: len(words) // 2] == words[len(words) // 2 :]
    ]
    assert twice == []


def test_nothing_is_left_over(catalogue: Catalog, asked: set[str]) -> None:
    assert sorted({_english(message.id) for message in catalogue if message.id} - asked) == []


def test_nothing_is_a_guess(catalogue: Catalog) -> None:
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []


def test_nothing_is_a_copy_of_the_english(catalogue: Catalog) -> None:
    allowed = SAME_AS_ENGLISH.get(str(catalogue.locale), set())
    copies = {
        _english(message.id)
        for message in catalogue
        if message.id and _english(message.id) in _strings(message) and _has_words(_english(message.id))
    }
    assert sorted(copies - allowed) == []


def test_placeholders_survive(catalogue: Catalog) -> None:
    wrong = [
        (message.id, text)
        for message in catalogue
        for text in _strings(message)
        # A singular may say "one" in place of its number; nothing may ask for what it is not given.
        if message.id and not _placeholders(text) <= _placeholders(*_ids(message))
    ]
    wrong += [
        (message.id, _strings(message)[-1])
        for message in catalogue
        if message.id and not _placeholders(_ids(message)[-1]) <= _placeholders(_strings(message)[-1])
    ]
    assert wrong == []


def _ids(message: Message) -> tuple[str, ...]:
    return message.id if isinstance(message.id, tuple) else (message.id,)


def _strings(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


def _placeholders(*texts: str) -> set[str]:
    return {name for text in texts for name in PLACEHOLDER.findall(text)}


def _english(message: object) -> str:
    """The one string that stands for a message: of singular and plural the singular."""
    return str(message[0]) if isinstance(message, tuple | list) else str(message)


def _has_words(text: str) -> bool:
    return any(letter.isalpha() for letter in PLACEHOLDER.sub("", text))
