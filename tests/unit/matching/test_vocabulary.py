"""What typed words mean among names: parts, slips, phrases, vague words, and what is underlined."""

import pytest

from city.matching import names, vocabulary
from city.matching.names import Names
from city.matching.vocabulary import BODY, CALLED, TITLE

LIGHT = names.name(
    "light", {TITLE: {"en": "Streetlight out", "es": "Luz apagada"}, CALLED: {"en": "lamp, burned out"}}
)
POWER = names.name("power", {TITLE: {"en": "Power company"}, CALLED: {"es": "se fue la luz, apagón"}})
WALK = names.name("walk", {TITLE: {"en": "Broken sidewalk"}, BODY: {"en": "Streets"}})
NAMES = Names([LIGHT, POWER, WALK])


def best(typed: str) -> str | None:
    found = NAMES.scores(NAMES.vocabulary.terms_of_a_name(typed), least=0.3)
    return max(found, key=lambda key: found[key], default=None)


def told(typed: str) -> bool:
    return any(term.tells for term in NAMES.vocabulary.terms_of_a_name(typed))


@pytest.mark.parametrize(
    "typed", ["light out", "ligth out", "strretlight", "LAMP", "luz", "street light", "burned"]
)
def test_a_name_is_found_by_a_part_of_it_another_word_and_a_slip(typed: str) -> None:
    assert best(typed) == "light"


def test_a_phrase_that_is_said_whole_goes_before_a_word_of_a_name() -> None:
    assert best("se fue la luz en mi casa") == "power"
    assert best("no hay luz") == "light"


def test_nothing_is_told_by_words_that_name_nothing() -> None:
    assert not told("its broken")
    assert not told("i have a question 214")
    assert not told("zebra")
    assert told("broken lamp")


def test_a_slip_in_a_short_word_tells_nothing() -> None:
    assert told("lamp")
    assert not told("lanp")


def test_what_names_nothing_pulls_less_than_what_does() -> None:
    score = NAMES.scores(NAMES.vocabulary.terms_of_a_name("lamp tansy"), least=0)["light"]
    assert 0.5 < score < NAMES.scores(NAMES.vocabulary.terms_of_a_name("lamp"), least=0)["light"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("light", "Street[light] out"),
        ("lights", "[Streetlight] out"),
        ("street", "[Street]light out"),
        ("out", "Streetlight [out]"),
        ("zebra", "Streetlight out"),
    ],
)
def test_the_letters_that_were_typed_are_marked(typed: str, shown: str) -> None:
    terms = NAMES.vocabulary.terms_of_a_name(typed)
    pieces = vocabulary.marked("Streetlight out", terms, "en")
    assert "".join(f"[{words}]" if is_typed else words for words, is_typed in pieces) == shown


def test_two_vocabularies_together_know_the_words_of_both() -> None:
    one, other = Names([LIGHT]).vocabulary, Names([WALK]).vocabulary
    both = vocabulary.together(one, other)
    assert both is vocabulary.together(one, other)
    assert both.count == one.count + other.count
    assert {term.word for term in both.terms("lamp sidewalk") if term.stems} == {"lamp", "sidewalk"}


def test_no_word_is_too_long_and_no_sign_a_command() -> None:
    for typed in ("", "?!", "x" * 5000, "¹lamp", "a" * 40 + " " * 300, "🗑️", "'; DROP"):
        assert best(typed) in (None, "light")
