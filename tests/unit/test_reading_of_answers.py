"""Answers to a service's questions, as they are read: whoever brings them, one form is kept."""

from datetime import UTC

import pytest

from city.lifecycle import Refused
from city.questions import MOST_OF_AN_ANSWER, Choice, Question, read

WORDS = Question("more", "text", {"en": "More?"}, required=True)
SINCE = Question("since", "datetime", {"en": "Since when?"})
WEATHER = Question("weather", "multivaluelist", {"en": "Weather?"}, choices=(Choice("rain", {"en": "Rain"}),))


@pytest.mark.parametrize("answer", ["   ", "x" * (MOST_OF_AN_ANSWER + 1), "a\0b", "a\x01", "\x7f"])
def test_blanks_answer_nothing_and_what_nobody_types_is_refused(answer: str) -> None:
    with pytest.raises(Refused):
        read([WORDS], {"more": answer}, UTC)


def test_lines_of_a_text_are_kept() -> None:
    assert read([WORDS], {"more": " two\nlines\t"}, UTC) == {"more": "two\nlines"}


def test_a_moment_reads_the_same_however_often_it_is_read() -> None:
    kept = read([SINCE], {"since": "0001-01-01T00:00"}, UTC)
    assert kept == {"since": "0001-01-01T00:00:00Z"}
    assert read([SINCE], kept, UTC) == kept


def test_a_choice_that_is_named_twice_is_one() -> None:
    assert WEATHER.join(["rain, rain", "", "rain"]) == "rain"
