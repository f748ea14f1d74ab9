"""What a public list says of its cases, each label translated once."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from city.lifecycle import CANCELLED, CLOSED, STATES
from city.opendata.case_summaries import Outline
from city.questions import Question
from pwa.web import formatting, localization


class OutlineLabels:
    """Words that a list of a thousand needs a thousand times, put into the reader's language once."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, str]] = {}
        self._notes: dict[tuple[str, str | None], str] = {}
        self._steps: dict[tuple[str, ...], str] = {}
        self._labels: dict[tuple[str, str], str] = {}

    def names(self, each: Outline) -> tuple[str, str]:
        """Of the service and its department."""
        if each.kind.code not in self._names:
            self._names[each.kind.code] = (
                localization.said(each.kind.names), localization.said(each.kind.department)
            )  # fmt: skip
        return self._names[each.kind.code]

    def note(self, each: Outline) -> str:
        """How far it is; "" where it was told and nobody has acted yet."""
        told = (each.state, each.outcome)
        if told not in self._notes:
            self._notes[told] = _stage(*told)
        return self._notes[told]

    def step(self, kind: str, facts: Mapping[str, Any]) -> str:
        """What a public step is called."""
        told = (kind, *(str(facts.get(name) or "") for name in ("outcome", "reason", "owner", "passed_to")))
        if told not in self._steps:
            self._steps[told] = _step(*told)
        return self._steps[told]

    def label(self, each: Outline, question: Question) -> str:
        """The words of a question that is asked about its service."""
        asked = (each.kind.code, question.code)
        if asked not in self._labels:
            self._labels[asked] = localization.said(question.words)
        return self._labels[asked]


def _stage(state: str, outcome: str | None) -> str:
    if state == CLOSED:
        return formatting.outcome(outcome)
    if state == CANCELLED:
        return _("Canceled")
    step = STATES[state].step
    return formatting.public_step(step) if step else ""


def _step(kind: str, outcome: str, reason: str, owner: str, passed_to: str) -> str:
    if kind == "close":
        return formatting.outcome(outcome or None)
    if kind == "wait":
        return formatting.waits_for(reason or None, owner, passed_to=passed_to)
    return formatting.public_step(kind)
