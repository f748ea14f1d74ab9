"""A language that nobody speaks, for tests: Arabic letters, from right to left, half as long again.

What a person reads in it and what is still English are told apart by their letters alone.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo

from tests.voice import KEYWORDS

ROOT: Final = Path(__file__).parents[1]
CODE: Final = "ar"  # a locale that Babel and browsers know to run from right to left, with six plural forms
# What a translator leaves as it is: placeholders, markup, entities, what scripts fill in.
KEPT: Final = re.compile(r"(%\(\w+\)[sd]|%%|<[^>]*>|&#?\w+;|\{\w+\}|\bNUMBER\b)")
LETTERS: Final = dict(zip("abcdefghijklmnopqrstuvwxyz", "ابجدهوزحطيكلمنسعفصقرشتثخذض", strict=True))
LONGER: Final = 1.4
RLM: Final = "\u200f"


def words(text: str) -> str:
    """A sentence as the catalogue has it; placeholders, markup and entities stay as they are."""
    told = "".join(part if KEPT.fullmatch(part) else _spelt(part) for part in KEPT.split(text))
    return RLM + told + " ه" * round(len(KEPT.sub("", text)) * (LONGER - 1) / 2)


def catalogue(folder: Path) -> Path:
    """Writes the compiled catalogue of every sentence of the pages below `folder`; gives `folder`."""
    made = Catalog(locale=CODE)
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(each["pattern"], each["method"]) for each in mappings]
    for _, _, message, _, context in extract_from_dir(ROOT / "pwa", methods, keywords=KEYWORDS):
        if isinstance(message, tuple):
            forms = [words(message[0]), *[words(message[1])] * (made.num_plurals - 1)]
            made.add((message[0], message[1]), tuple(forms), context=context)
        else:
            made.add(message, words(message), context=context)
    file = folder / CODE / "LC_MESSAGES" / "messages.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        write_mo(out, made)
    return folder


def city(text: str) -> str:
    """A city file with every name in this language too: what is the city's own is told apart as well."""
    named = re.sub(
        r'\ben = ("(?:[^"\\]|\\.)*")', lambda found: f"{found[0]}, {CODE} = {_quoted(found[1])}", text
    )
    spoken = named.replace('languages = ["en", "es"]', f'languages = ["en", "es", "{CODE}"]')
    return spoken.replace('name = "Larkhaven"', 'name = "Приморск"')


def _quoted(words: str) -> str:
    return '"' + "".join(LETTERS.get(letter, letter) for letter in words[1:-1].lower()) + '"'


def _spelt(text: str) -> str:
    return "".join(LETTERS.get(letter, letter) for letter in text.lower())
