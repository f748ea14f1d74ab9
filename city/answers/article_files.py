"""Answers out of a file: a TOML table an answer, in it a table a language. Faults are said by their line.

[pay-property-tax]
department = "finance"
topic = "taxes"
review_on = 2027-01-31
services = ["pothole"]

[pay-property-tax.en]
title = "Pay your property tax"
body = "Due **twice** a year."
script = "It is due twice a year."
"""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from city import files
from city.answers import articles
from city.answers.articles import Draft, Text
from city.audit.events import Actor
from city.config import toml_table
from city.imports.readers import Outcome, Row, SideFile, Told, TooManyRejected, Unusable
from city.lifecycle import Refused

MOST_BYTES: Final = 64_000_000
SAVE: Final = "Save it as UTF-8. To convert a Windows file: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
KEYS: Final = ("department", "topic", "review_on", "services")
PARTS: Final = ("title", "body", "script")
EXAMPLE: Final = 'department = "finance"'
# In words what publish() and revise() refuse.
FAULTS: Final = {
    "bad_slug": "names can only have lowercase letters, numbers, and single hyphens",
    "unknown_department": "the department {department!r} isn't in the city file",
    "unknown_topic": "the topic {topic!r} isn't in the city file",
    "unknown_service": "the service {service!r} isn't in the city file",
    "unknown_value": "{value!r} isn't a language code",
    "empty_text": "at least one language is needed, each with title, body, and script",
    "markup": "the {lang} text contains HTML or an unsafe link: {found}",
    "words_too_long": "the {lang} text is longer than {most} characters",
}


def import_articles(
    s: Session,
    path: Path,
    *,
    by: Actor,
    at: datetime,
    max_rejected: int | None = None,
    told: Told | None = None,
) -> Outcome:
    """Publishes what is new in the file, revises what it says otherwise, and leaves all else alone.

    Answers that were retired here stay so. Rejected ones are written to a file beside it, with line and
    reason. Raises Unusable where it cannot be read, TooManyRejected beyond `max_rejected`.
    """
    whole = _read(path)
    lines = whole.lines()
    side, outcome = SideFile(path.with_name(f"{path.name}.rejected.csv"), "line"), Outcome()
    try:
        for slug, values in whole.values.items():
            outcome.read += 1
            row = Row(lines.get(slug, 0), {"slug": slug, "answer": str(values)})
            try:
                _import_article(s, slug, values, outcome, row, side, by, at)
            except Refused as refused:
                outcome.rejected += 1
                side.write(row, _fault(refused))
                if max_rejected is not None and outcome.rejected > max_rejected:
                    raise TooManyRejected(outcome) from None
            if told:
                told(outcome.read, len(whole.values))
    finally:
        outcome.side_file = side.close()
    return outcome


def _read(path: Path) -> toml_table.Table:
    try:
        text = files.text(path, MOST_BYTES)
        if "\0" in text:
            raise Unusable(
                f"{path.name}, line {_line(text, text.index(chr(0)))}", f"contains a zero byte. {SAVE}"
            )
        return toml_table.read(text, path.name, EXAMPLE)
    except OSError as error:
        raise Unusable(path.name, f"can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        raise Unusable(f"{path.name}, line {line}", f"isn't UTF-8 (byte {byte:#04x}). {SAVE}") from error
    except toml_table.CityFileError as error:
        raise Unusable("not valid TOML", str(error)) from error


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _import_article(
    s: Session, slug: str, values: Any, outcome: Outcome, row: Row, side: SideFile, by: Actor, at: datetime
) -> None:
    draft = _draft(values)
    there = articles.by_slug(s, slug)
    if there is None:
        articles.publish(s, slug, draft, by=by, at=at, origin="import")
        outcome.imported += 1
    elif there.state == articles.RETIRED:
        outcome.unchanged += 1
        side.leave(row, "was retired here and stays retired")
    elif articles.revise(s, there, draft, seen=there.version, by=by, at=at, origin="import"):
        outcome.imported += 1
        outcome.more["updated"] = outcome.more.get("updated", 0) + 1
    else:
        outcome.unchanged += 1


def _draft(values: Any) -> Draft:
    """What a table says; raises Refused `unfit` with the fault in words."""
    if not isinstance(values, Mapping):
        raise Refused("unfit", fault="this isn't an answer. Write [its-name] above it")
    texts = {lang: _text(lang, words) for lang, words in values.items() if isinstance(words, Mapping)}
    if strange := [key for key in values if key not in (*KEYS, *texts)]:
        raise Refused("unfit", fault=f"{strange[0]!r} isn't a known key")
    day = values.get("review_on")
    if not isinstance(day, date) or isinstance(day, datetime):
        raise Refused("unfit", fault="review_on must be a date without quotes, like 2027-01-31")
    services = values.get("services", [])
    if not isinstance(services, list) or not all(isinstance(code, str) for code in services):
        raise Refused("unfit", fault='services must be a list of codes, like ["pothole"]')
    named = {key: _word(values, key) for key in ("department", "topic")}
    return Draft(named["department"], named["topic"], day, texts, tuple(services))


def _text(lang: str, words: Mapping[str, Any]) -> Text:
    if strange := [key for key in words if key not in PARTS]:
        raise Refused("unfit", fault=f"{strange[0]!r} isn't a known key of {lang!r}")
    return Text(*(_word(words, part) for part in PARTS))


def _word(values: Mapping[str, Any], key: str) -> str:
    word = values.get(key, "")
    if not isinstance(word, str):
        raise Refused("unfit", fault=f"{key} must be text in quotes")
    if "\0" in word:
        raise Refused("unfit", fault=f"{key} contains a zero byte (\\u0000), which databases can't store")
    return word


def _fault(refused: Refused) -> str:
    if refused.code == "unfit":
        return str(refused.facts["fault"])
    return FAULTS.get(refused.code, refused.code).format(**{"lang": "", **refused.facts})
