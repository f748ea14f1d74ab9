"""The form for many cases after it was refused: what was wrong with which field, and all that it held."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from city.cases.corrections import CORRECTIONS
from city.lifecycle import Refused

# The panel in which an act is asked for; an act without one asks for nothing.
PANELS = {
    "assign": "assign", "wait": "wait", "raise": "priority", "lower": "priority", "close": "close",
    "tag": "tag", "untag": "tag", "merge": "merge", "reclassify": "type", "relocate": "place",
    "reschedule": "date",
}  # fmt: skip
# The field that is at fault, where a refusal does not name it itself.
FIELDS = {
    "words_too_long": "words", "bad_tag": "tag", "unknown_number": "into", "unknown_service": "service",
    "place_unclear": "place", "place_unknown": "place", "place_missing": "place", "outside_city": "place",
}  # fmt: skip
# The same, where every case was refused alike for what the form said.
ALIKE = {
    "unknown_reply": "reply", "reply_misfits": "reply", "told_missing": "words", "outcome_misfits": "outcome",
    "wait_past": "until", "wait_too_long": "until", "wait_day": "until", "office_misfits": "service",
    "date_past": "until", "date_too_far": "until",
}  # fmt: skip
NAMED = ("crew", "reason", "outcome", "no_photo")


@dataclass(frozen=True)
class Refilled:
    """A form that comes back: what it asked for, which cases, and what was wrong with which field.

    `asked` is the act as its button names it, `numbers` are the cases that were chosen, `field` is "" where
    no field is at fault. `since` is the revision as of which they were seen. `places` are those of which
    one was meant, each with its words.
    """

    asked: str
    crew: str
    numbers: Sequence[str]
    whole: bool
    mode: str
    since: str
    field: str = ""
    fault: str = ""
    places: Sequence[tuple[str, str]] = ()

    @property
    def panel(self) -> str:
        """The panel that stands open: the one with the field at fault."""
        return PANELS.get(self.asked.split(" ")[0], "") if self.field else ""

    def elsewhere(self, shown: Collection[str]) -> list[str]:
        """The chosen cases that have no row among those that are shown."""
        return [number for number in self.numbers if number not in shown]


def field_of(act: str, fault: Refused) -> str:
    """The name of the form's field that `fault` is about; "" where it is about none of them."""
    if act not in PANELS:
        return ""
    if act in CORRECTIONS and fault.code == "words_too_long":
        return ""  # why it is meant is typed with the question, and has no field of the form
    named = str(fault.facts.get("name", ""))
    field = named if named in NAMED else (FIELDS | ALIKE).get(fault.code, "")
    return "day" if act == "reschedule" and field == "until" else field


def alike(refused: Sequence[Sequence[Any]]) -> Refused | None:
    """The one fault of a field for which all of these cases were refused; None where they differ.

    `refused` are a batch's, each [number, code, facts].
    """
    codes = {code for _number, code, _facts in refused}
    return Refused(codes.pop(), **refused[0][2]) if len(codes) == 1 and codes <= ALIKE.keys() else None
