"""What tests look for is what the product says."""

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest
import wording
from voice import spoken
from wording import Plural, Sentence, city

from city.settings import DEFAULT_CITY

NAMES = sorted(found.name for found in iter_modules(wording.__path__))


def entries(name: str) -> dict[str, Sentence | Plural]:
    module = import_module(f"wording.{name}")
    return {key: value for key, value in vars(module).items() if isinstance(value, Sentence | Plural)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_a_sentence_that_tests_look_for_is_one_that_the_product_says(name: str) -> None:
    said = {sentence.words for sentence in spoken()}
    found = entries(name)
    english = {
        key: (each.one, each.many) if isinstance(each, Plural) else (each,) for key, each in found.items()
    }
    assert {key: words for key, words in english.items() if not set(words) <= said} == {}


def test_a_sentence_has_one_name() -> None:
    names: dict[str, list[str]] = {}
    for name in NAMES:
        for key, each in entries(name).items():
            assert re.fullmatch(r"[A-Z][A-Z0-9_]*", key), key
            names.setdefault(each.one if isinstance(each, Plural) else each, []).append(f"{name}.{key}")
    assert [several for several in names.values() if len(several) > 1] == []


def test_a_name_of_the_demo_city_is_one_of_its_own() -> None:
    file = DEFAULT_CITY.read_text("utf-8")
    names = {key: value for key, value in vars(city).items() if key.isupper()}
    assert names
    assert {key: name for key, name in names.items() if f'"{name}"' not in file} == {}
