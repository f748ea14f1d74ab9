"""What people see of a question: its field on a form, what it takes, and its answer in words.

The types themselves stand in `city/questions.py`. A type without a row here is a field for text.
"""

from contextlib import suppress
from datetime import datetime

from flask import Flask
from flask_babel import gettext as _
from markupsafe import Markup

from city.questions import Question, dependents
from pwa.web import localization

# A browser that knows no moments shows a field for text.
_FIELDS = {
    "number": Markup(r'inputmode="decimal" pattern="\s*[-+]?[0-9]*\.?[0-9]+\s*"'),
    "datetime": Markup('type="datetime-local"'),
}


def init(app: Flask) -> None:
    """Gives templates what they need to ask and to show answers."""
    app.jinja_env.filters["answered"] = answered
    app.jinja_env.globals |= {"question_field": field, "dependents": dependents}


def field(question: Question) -> Markup:
    """The attributes of its input."""
    return _FIELDS.get(question.datatype, Markup())


def takes(datatype: str) -> str:
    """What programs may send for it."""
    words = {
        "number": _("A number."),
        "datetime": _("A date and time, like 2026-05-12T13:30:00Z."),
        "singlevaluelist": _("One of the choices."),
        "multivaluelist": _("One or more of the choices."),
    }
    return words.get(datatype, _("A short text."))


def wrong(datatype: str) -> str:
    """What somebody does who typed something else."""
    words = {
        "number": _("Enter a number, like 3 or 2.5."),
        "datetime": _("Enter a date and a time."),
    }
    return words.get(datatype, _("Answer the question marked below."))


def answered(answer: str, question: Question) -> str:
    """An answer as people read it: its choices in their words, a moment on the city's clock."""
    if question.datatype == "datetime":
        with suppress(ValueError):
            return localization.moment(datetime.fromisoformat(answer))
    words = {choice.code: localization.said(choice.words) for choice in question.choices}
    return ", ".join(words.get(code, code) for code in question.chosen(answer))
