"""Ready replies: what the city file lets staff tell residents of a closing by one key. Pure.

A closing keeps which reply was meant, in every language, so that each resident reads it in their own;
whatever staff add stays as they wrote it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from city.config.toml_table import Table, Words
from city.lifecycle import ANSWERED, MAX_WORDS, OUTCOMES, Refused, outcomes

CODE = 'code = "new-lamp"'


@dataclass(frozen=True)
class Reply:
    """One reply. `service` and `group` are empty where it fits any; `names` stand on its button."""

    code: str
    outcome: str
    service: str
    group: str
    names: Words
    words: Words


class _City(Protocol):
    @property
    def replies(self) -> tuple[Reply, ...]: ...


class _Service(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def office(self) -> bool: ...


def offered(city: _City, service: _Service, outcome: str = "") -> list[Reply]:
    """The replies that fit a case of `service`; of one outcome, or of all in the order of the form.

    What is meant for the service itself stands before what fits its whole group, and that before the rest.
    """
    fit = [
        reply
        for reply in city.replies
        if reply.service in ("", service.code)
        and reply.group in ("", service.group)
        and outcome in ("", reply.outcome)
        and _ends(reply, service)
    ]
    return sorted(fit, key=lambda r: (OUTCOMES.index(r.outcome), not r.service, not r.group))


def of_any(city: _City, services: Iterable[_Service]) -> list[Reply]:
    """The replies that fit a case of one of these services at least, in the order of the city file."""
    fit = {reply.code for service in services for reply in offered(city, service)}
    return [reply for reply in city.replies if reply.code in fit]


def _ends(reply: Reply, service: _Service) -> bool:
    """Whether such a case can end so. What fits anywhere and is no answer speaks of places and crews."""
    anywhere = not reply.service and not reply.group
    if service.office and anywhere and reply.outcome != ANSWERED:
        return False
    return reply.outcome in outcomes(office=service.office)


def chosen(city: _City, service: _Service, outcome: str, code: str) -> Reply:
    """The reply of that code. Raises Refused `unknown_reply`, or `reply_misfits` for one that is not offered.

    Without an outcome that of the reply is meant.
    """
    if not any(reply.code == code for reply in city.replies):
        raise Refused("unknown_reply")
    found = next((reply for reply in offered(city, service, outcome) if reply.code == code), None)
    if found is None:
        raise Refused("reply_misfits")
    return found


def as_stored(reply: Reply, policy: int) -> dict[str, Any]:
    """What a closing keeps of it: {code, policy, words}; `policy` is the version of the city file."""
    return {"code": reply.code, "policy": policy, "words": reply.words}


def replies_of(
    top: Table, languages: tuple[str, ...], groups: set[str], services: Mapping[str, bool]
) -> Iterator[Reply]:
    """The city file's `[[replies]]`; raises CityFileError. `services` says which ones are an office's."""
    seen: set[str] = set()
    for row in top.rows("replies"):
        code = row.text("code", CODE)
        if len(code) > 40 or code in seen:
            fault = "is already used by another reply" if code in seen else "has more than 40 characters"
            raise row.wrong("code", f"{code!r} {fault}", CODE)
        seen.add(code)
        if row.has("service") and row.has("group"):
            raise row.wrong("group", "isn't needed, because service is set too", 'only service = "light-out"')
        reply = Reply(
            code=code,
            outcome=row.one_of("outcome", OUTCOMES),
            service=row.one_of("service", set(services)) if row.has("service") else "",
            group=row.one_of("group", groups) if row.has("group") else "",
            names=row.words("names", languages),
            words=row.words("words", languages),
        )
        ends = outcomes(office=services[reply.service]) if reply.service else OUTCOMES
        if reply.outcome not in ends:
            fault = f"{reply.outcome!r} isn't an outcome of {reply.service!r}, which has {', '.join(ends)}"
            raise row.wrong("outcome", fault, f'outcome = "{ends[0]}"')
        if max(map(len, reply.words.values())) > MAX_WORDS:
            raise row.wrong("words", f"is longer than {MAX_WORDS} characters", 'words = { en = "…" }')
        row.refuse_rest()
        yield reply
