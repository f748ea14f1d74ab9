"""What the city asks about a kind of problem. A question reads an answer, checks it and says how it is kept.

An answer is text: the code of a choice, several joined by commas, a number, a moment in UTC, or words. A type
of question stands in the table here, and what people see of it in `pwa/web/questions.py`. Pure.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

from city.lifecycle import Refused

Words = Mapping[str, str]  # language → words

MOST_OF_AN_ANSWER: Final = 500  # letters
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # what nobody types; lines and tabs are fine
MOST_DEPENDENTS: Final = (
    6  # questions that hang on the choices of one: the sheet of the forms has as many rules
)
_PLUS: Final = re.compile(r" (\d\d:?\d\d)$")  # of a zone, which came through an address


class Datatype(NamedTuple):
    """A type of question, as Open311 names it. `read` gives an answer as it is kept, or raises ValueError."""

    has_choices: bool = False
    is_several: bool = False
    read: Callable[[str, tzinfo], str] = lambda answer, zone: answer


def _number(answer: str, zone: tzinfo) -> str:
    if not math.isfinite(float(answer)):
        raise ValueError(answer)
    return answer


def _moment(answer: str, zone: tzinfo) -> str:
    """In UTC; on the city's clock where nobody named a zone."""
    moment = datetime.fromisoformat(_PLUS.sub(r"+\1", answer) if "T" in answer else answer)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    try:
        moment = moment.astimezone(UTC)
        return f"{moment.year:04}{moment:-%m-%dT%H:%M:%SZ}"  # %Y alone does not fill up the years before 1000
    except OverflowError as error:
        raise ValueError(answer) from error


DATATYPES: Final[Mapping[str, Datatype]] = {
    "string": Datatype(),
    "text": Datatype(),
    "number": Datatype(read=_number),
    "datetime": Datatype(read=_moment),
    "singlevaluelist": Datatype(has_choices=True),
    "multivaluelist": Datatype(has_choices=True, is_several=True),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a list."""

    code: str
    words: Words


@dataclass(frozen=True, slots=True)
class Condition:
    """A question is asked only where an earlier one was answered with one of these choices."""

    question: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `hint` says how to answer it, by language; None where nothing needs to be said."""

    code: str
    datatype: str
    words: Words
    required: bool = False
    choices: tuple[Choice, ...] = ()
    only_if: Condition | None = None
    hint: Words | None = None

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Question":
        """The question that `to_json()` wrote."""
        choices = tuple(Choice(**each) for each in kept["choices"])
        on = kept["only_if"]
        only_if = Condition(on["question"], tuple(on["choices"])) if on else None
        return cls(**{**kept, "choices": choices, "only_if": only_if})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_several(self) -> bool:
        """Whether more than one choice may be taken."""
        return DATATYPES[self.datatype].is_several

    def chosen(self, answer: str) -> list[str]:
        """The codes of the choices that an answer names, or the answer itself where there are no choices."""
        return answer.split(",") if self.is_several else [answer]

    def join(self, given: Iterable[str]) -> str:
        """One answer out of what came under one name: `a` and `b`, or `a,b`, each once; "" for nothing."""
        parts = (part.strip() for each in given for part in self.chosen(each))
        return ",".join(dict.fromkeys(part for part in parts if part))

    def read(self, answer: str, zone: tzinfo) -> str:
        """The answer as it is kept; `zone` counts for a moment without one of its own.

        Raises Refused `answer_unknown` for no choice of it, `answer_wrong` for what its type does not take.
        """
        if len(answer) > MOST_OF_AN_ANSWER or _CONTROL.search(answer):
            raise Refused("answer_wrong", question=self.code, datatype=self.datatype)
        codes = {choice.code for choice in self.choices}
        if codes and not codes.issuperset(self.chosen(answer)):
            raise Refused("answer_unknown", question=self.code, choices=[each.code for each in self.choices])
        try:
            return DATATYPES[self.datatype].read(answer, zone)
        except ValueError as error:
            raise Refused("answer_wrong", question=self.code, datatype=self.datatype) from error


def asked(questions: Iterable[Question], answers: Mapping[str, str]) -> Iterator[Question]:
    """The questions that these answers lead to: one with a condition only where its choice was taken."""
    chosen: dict[str, list[str]] = {}
    for question in questions:
        condition = question.only_if
        if condition and not set(condition.choices).intersection(chosen.get(condition.question, ())):
            continue
        chosen[question.code] = question.chosen(answers.get(question.code, ""))
        yield question


def dependents(questions: Sequence[Question], question: Question) -> list[Question]:
    """The questions whose condition is about this one, in their order."""
    return [each for each in questions if each.only_if and each.only_if.question == question.code]


def read(questions: Iterable[Question], answers: Mapping[str, str], zone: tzinfo) -> dict[str, str]:
    """All answers as they are kept, without those to questions that these answers do not lead to.

    Raises Refused as Question.read() does, and `answer_missing`, each with its `question`.
    """
    kept = {}
    for question in asked(questions, answers):
        answer = answers.get(question.code, "").strip()
        if answer:
            kept[question.code] = question.read(answer, zone)
        elif question.required:
            raise Refused("answer_missing", question=question.code)
    return kept
