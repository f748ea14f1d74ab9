"""What tests look for on screens, by name: the only place where a test knows a sentence of the product.

A module an audience: `resident`, `staff`, `crew`, `messages` (email, texts, notifications), `shared` (states,
outcomes, errors); `city` has names out of the demo city's file. Each entry is the English of one sentence as
code and templates pass it to gettext, placeholders included; unit/suite/test_wording.py fails for one that
no page says any more. So a test that asserts a sentence's absence cannot go on passing after it was reworded.

    assert shown(answer).count(resident.FIX_BY(day="Friday, May 15")) == 1
    page.get_by_role("button", name=staff.ASSIGN)
    assert resident.FIX_BY.es(day="viernes, 15 de mayo") in shown(answer)
"""

from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from werkzeug.test import TestResponse

from pwa.web.localization import filled

TRANSLATIONS = Path(__file__).parents[2] / "pwa" / "translations"


class Sentence(str):
    """One sentence of the product, as gettext knows it. Called with its facts it is what the page shows."""

    __slots__ = ()

    def __call__(self, **facts: Any) -> str:
        told = {name: f"{fact:,}" if type(fact) is int else fact for name, fact in facts.items()}
        return filled(self.replace(")d", ")s"), told)

    @property
    def es(self) -> "Sentence":
        """The same in Spanish; of a plural, its singular."""
        message = catalogue("es").get(self)
        assert message is not None, self
        assert message.string, self
        return Sentence(message.string if isinstance(message.string, str) else message.string[0])


class Plural:
    """A sentence that depends on a number, which it calls `num` unless told otherwise."""

    def __init__(self, one: str, many: str, *, number: str = "num") -> None:
        self.one, self.many, self.number = Sentence(one), Sentence(many), number

    def __call__(self, n: int, **facts: Any) -> str:
        return (self.one if n == 1 else self.many)(**{self.number: n} | facts)

    def es(self, n: int, **facts: Any) -> str:
        """The same in Spanish."""
        message = catalogue("es").get((self.one, self.many))
        assert message is not None, self.one
        assert isinstance(message.string, tuple), self.one
        return Sentence(message.string[n != 1])(**{self.number: n} | facts)


@cache
def catalogue(language: str) -> Catalog:
    """The sentences of a language."""
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def shown(answer: TestResponse | str) -> str:
    """A page's source with its entities as people read them: `We&#39;ll` is "We'll"."""
    return unescape(answer if isinstance(answer, str) else answer.get_data(as_text=True))
