"""The commands of records: `cityline retention`, `erase PERSON` and `export record CASE|PERSON`."""

import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask, render_template
from flask_babel import gettext as _
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from city import files
from city.cases import queries
from city.config import versions as config_versions
from city.config.city_file import CityFile
from city.config.retention_schedule import Period
from city.db import engine as db
from city.db.models import Case
from city.lifecycle import Refused
from city.operations import restore
from city.people import accounts, callers
from city.photos import photos, storage
from city.photos.storage import Store
from city.privacy import data_subjects, erasure, record_export, retention
from city.privacy.erasure import Gone
from city.privacy.record_export import Record
from city.settings import Settings, read
from pwa.cli.progress import Progress
from pwa.web import access, formatting, localization, states

A_ZIP = click.Path(dir_okay=False, path_type=Path)
WHO = "Use an email address, a phone number, a report number (26-000007-A), or person:7."
# Of one, and of none or several.
WHAT = {
    "contacts": ("case: contact info {go}", "cases: contact info {go}"),
    "words": ("case: text and photos {go}", "cases: text and photos {go}"),
    "private": ("private case: text and photos {go}", "private cases: text and photos {go}"),
    "calls": ("call: number and notes {go}", "calls: number and notes {go}"),
    "messages": ("sent or failed message: {go}", "sent or failed messages: {go}"),
    "phones": ("phone that stopped syncing: {go}", "phones that stopped syncing: {go}"),
    "followers": (
        "unconfirmed or unsubscribed follower address: {go}",
        "unconfirmed or unsubscribed follower addresses: {go}",
    ),
}  # fmt: skip


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Show what would be removed without removing it.")
def keep_to_schedule(dry_run: bool) -> None:
    """Remove what's past its retention date. The worker does this every day."""
    settings, engine, city = _opened()
    now = datetime.now(UTC)
    if dry_run:
        with db.read_session(engine) as s:
            counts = retention.due(s, city.retention, now)
    else:
        store = storage.open_store(settings)
        with closing(Progress("records")) as told:
            counts = retention.carry_out(engine, settings.var, city.retention, now, told=told).gone
        try:
            photos.purge_owed(engine, store, now)
        except storage.StoreDown as fault:
            raise click.ClickException(f"{fault}. The worker will delete the photo files later.") from None
    periods = {name: f"kept {_period(period)}" for name, period in city.retention.classes()}
    for name, count in counts.items():
        one, several = WHAT[name]
        what = (one if count == 1 else several).format(go="would be removed" if dry_run else "removed")
        click.echo(f"{count:8} {what} ({periods.get(name, 'regardless of the city file')})")
    if not periods:
        click.echo(
            "The city file has no [retention]. Everything else is kept forever, except the numbers of "
            f"callers who haven't called for {callers.FORGET_AFTER.days} days."
        )


@click.command("erase")
@click.argument("person")
def erase(person: str) -> None:
    """Erase what the city has about PERSON: reports, calls, addresses, and a disabled account."""
    settings, engine, city = _opened()
    store, at = storage.open_store(settings), datetime.now(UTC)
    try:
        with db.transaction(engine) as s:
            if not data_subjects.is_name(person) and queries.by_number(s, person.strip()):
                raise click.ClickException(f"{person} is a case. This command erases a person's data. {WHO}")
            found = _found(s, person, city)
            gone = erasure.erase(s, found, store, settings.var, by=accounts.THE_SYSTEM, at=at)
    except storage.StoreDown as fault:
        raise click.ClickException(f"{fault}. Run it again when photo storage is available.") from None
    click.echo(_what_went(gone))
    if gone.account_stays:
        click.echo(
            "The account stays while they work here. Remove their access at /admin, then run this again."
        )
    if gone.held:
        raise click.ClickException(
            f"Legal hold, nothing removed: {', '.join(gone.held)}. Run this again after it's lifted."
        )


@click.command("record")
@click.argument("what", metavar="CASE|PERSON")
@click.option("-o", "--output", "to", type=A_ZIP, help="Zip file to write. Default: record-….zip")
@click.option("--lang", help="Language of the page. Default: the city's main language.")
@click.option("--public", "is_public", is_flag=True, help="For a case: only public information.")
@click.option(
    "--unconfirmed", is_flag=True, help="For a person: include reports whose address wasn't confirmed."
)
def export(what: str, to: Path | None, lang: str | None, is_public: bool, unconfirmed: bool) -> None:
    """Export everything the city has about a case or a person to a zip: a page, JSON, and photos.

    For a person: reports with their confirmed address, and reports from their calls.
    """
    from pwa.app import create_app

    settings, engine, city = _opened()
    if lang and lang not in city.languages:
        raise click.ClickException(f"--lang must be one of {', '.join(city.languages)}.")
    now = datetime.now(UTC)
    if to and to.exists():
        raise click.ClickException(f"{to} already exists. Choose another file name with -o.")
    publish = (settings.publish or city.publish) if is_public else None
    with db.transaction(engine) as s:
        record = _record(s, what, city, publish=publish, unconfirmed=unconfirmed, now=now)
    # The log has it before anybody does, and nobody waits for the photos.
    kind = "public-" if record.is_public else ""
    file = to or Path(f"record-{kind}{record.name}-{now:%Y%m%dT%H%M%SZ}.zip")
    app, store = create_app(settings), storage.open_store(settings)
    try:
        missing = write(file, record, app, store, settings, lang or city.languages[0])
    except (OSError, storage.StoreDown) as fault:
        raise click.ClickException(f"{fault}. Nothing was written.") from None
    finally:
        app.extensions["cityline"].engine.dispose()
    for name in missing:
        click.echo(f"missing: {name} is in the database but not in photo storage", err=True)
    counts = ", ".join(f"{name}: {len(rows)}" for name, rows in record.sections.items() if rows)
    click.echo(f"{file} ({counts}). {_what_it_holds(record)}")


def write(file: Path, record: Record, app: Flask, store: Store, settings: Settings, lang: str) -> list[str]:
    """Writes a record as a zip, whole or not at all; returns the photos that nobody has.

    Raises OSError, StoreDown.
    """
    missing = []
    with files.atomic_write(file) as made, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("record.html", page(app, record, lang))
        told = json.dumps(_as_json(record), default=_plain, ensure_ascii=False, indent=1)
        out.writestr("record.json", told)
        for name, photo in record.photos.items():
            try:
                out.writestr(name, photos.read(store, settings.var, photo, "full"), zipfile.ZIP_STORED)
            except KeyError:
                missing.append(name)
    return missing


def page(app: Flask, record: Record, lang: str) -> str:
    """The record as a page that needs nothing else, in a language of the city."""
    with app.test_request_context(environ_overrides={"cityline.lang": lang}):
        sections = [(_titles()[name], rows) for name, rows in record.sections.items() if rows]
        title = (
            _("Record for case %(number)s", number=record.name) if record.is_case else _("Personal record")
        )
        return render_template(
            "records/record.html", title=title, record=record, sections=sections, said=_said(lang),
            labels=_labels(), made=_said(lang)(access.now()),
        )  # fmt: skip


def _opened() -> tuple[Settings, Engine, CityFile]:
    settings = read()
    restore.refuse_unfinished(settings.var)
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.read_session(engine) as s:
        return settings, engine, config_versions.active(s, settings.city)


def _what_went(gone: Gone) -> str:
    if gone.is_nothing:
        return "Nothing was erased." if gone.held or gone.account_stays else "There was nothing to erase."
    counts = {
        "Reports": gone.reports,
        "calls kept without number and notes": gone.calls,
        "contact info for updates, with what they followed": gone.wishes,
        "account": int(gone.account),
        "messages to the desk": gone.letters,
    }
    return f"Erased. {'; '.join(f'{name}: {count}' for name, count in counts.items())}."


def _record(
    s: Session, what: str, city: CityFile, *, publish: str | None, unconfirmed: bool, now: datetime
) -> Record:
    """What is asked for; `publish` is the setting of that name where it is only what everybody may know."""
    case = None if data_subjects.is_name(what) else queries.by_reference(s, what)
    if case and unconfirmed:
        raise click.ClickException(
            "--unconfirmed only works for a person. A case always includes all its reports."
        )
    if publish is not None:
        return _public(s, what, case, publish, now)
    if case:
        return record_export.of_case(s, case, by=accounts.THE_SYSTEM, at=now)
    found = _found(s, what, city)
    return record_export.of_person(s, found, unconfirmed=unconfirmed, by=accounts.THE_SYSTEM, at=now)


def _public(s: Session, words: str, case: Case | None, publish: str, now: datetime) -> Record:
    if case is None:
        raise click.ClickException(f"--public needs a case number, and {words!r} isn't one.")
    record = record_export.for_anybody(s, case, publish=publish, at=now)
    if record is None:
        raise click.ClickException(f"Case {case.number} is private. None of it is public.")
    return record


def _found(s: Session, words: str, city: CityFile) -> data_subjects.Subject:
    try:
        found = data_subjects.find(s, words, city)
    except Refused:
        raise click.ClickException(f"Can't find {words!r}. {WHO}") from None
    if not found.is_known:
        raise click.ClickException(f"The city has nothing about {words!r}. {WHO}")
    return found


def _what_it_holds(record: Record) -> str:
    if record.is_public:
        return "It contains only public information about the case."
    words = "It contains personal data. Review it before you share it."
    if not record.unconfirmed:
        return words
    left = (
        "They're included."
        if record.has_unconfirmed
        else "They're not included. To include them, add --unconfirmed."
    )
    return f"{words}\nReports with this address, unconfirmed: {record.unconfirmed}. {left}"


def _as_json(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = dict(record.sections)
    if record.unconfirmed:
        told["unconfirmed"] = {"reports": record.unconfirmed, "are_told": record.has_unconfirmed}
    return told


def _period(period: Period) -> str:
    count, unit = (period.years, "year") if period.years else (period.days, "day")
    return f"{count} {unit if count == 1 else f'{unit}s'}"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _titles() -> dict[str, str]:
    return {
        "cases": _("Case"),
        "reports": _("Reports"),
        "addresses": _("Contact info for updates"),
        "closings": _("How it ended"),
        "objections": _("Reported as not fixed"),
        "satisfaction": _("How satisfied they said they were"),
        "calls": _("Calls"),
        "messages": _("Messages"),
        "conversation": _("What they and the city wrote each other"),
        "inbox": _("What they wrote to the desk"),
        "story": _("History"),
        "account": _("Account"),
        "logins": _("Logins"),
        "phones": _("Phones"),
        "duty": _("On duty"),
        "views": _("Saved views"),
        "deeds": _("This person's activity"),
    }


def _labels() -> dict[str, str]:
    """What the parts of a record are called. A code that has no word here stands for itself."""
    return {
        "account": _("Account"),
        "accuracy_m": _("Accuracy in meters"),
        "address": _("Address"),
        "answers": _("Answers"),
        "args": _("Requested change"),
        "asked_at": _("Requested on"),
        "asset": _("Pole, tree, or trash can"),
        "at": _("When"),
        "began_at": _("Began on"),
        "case": _("Case"),
        "channel": _("Channel"),
        "choices": _("Suggested answers"),
        "cleared_at": _("Removed under the retention schedule"),
        "closed_at": _("Closed"),
        "confirmed_at": _("Confirmed"),
        "crew": _("Crew"),
        "crews": _("Crews"),
        "cycle": _("Cycle"),
        "danger": _("Danger"),
        "department": _("Department"),
        "disabled_at": _("No access"),
        "done_at": _("Done"),
        "due_at": _("Due on"),
        "email": _("Email"),
        "enrolled_at": _("Since"),
        "erased": _("Text erased"),
        "ended_at": _("Finished"),
        "ended_why": _("Reason it ended"),
        "erased_at": _("Erased"),
        "facts": _("Details"),
        "fault": _("Response from the other system"),
        "from": _("Sender"),
        "given_at": _("Issued"),
        "kind": _("Type"),
        "lang": _("Language"),
        "lat": _("Latitude"),
        "led_to": _("Resulted in"),
        "lon": _("Longitude"),
        "merged_into": _("Merged into"),
        "n": _("Line"),
        "name": _("Name"),
        "no_photo": _("Reason for no photo"),
        "now": _("Status after"),
        "number": _("Number"),
        "old_number": _("Number in the old system"),
        "on_hold": _("Under legal hold"),
        "opened_at": _("Opened on"),
        "outcome": _("Outcome"),
        "phone": _("Phone"),
        "quoted": _("Quoted"),
        "reason": _("Reason"),
        "release": _("App version"),
        "replies": _("Replies"),
        "reply": _("Saved reply"),
        "reply_by": _("Prefers updates by"),
        "report": _("Report"),
        "revoked_at": _("Revoked"),
        "roles": _("Roles"),
        "said_at": _("Said on"),
        "seconds": _("Seconds"),
        "seen_at": _("Last seen"),
        "sent_at": _("Sent"),
        "service": _("Service"),
        "shared": _("Shared"),
        "shown_at": _("Made public"),
        "started_at": _("Started on"),
        "state": _("Status"),
        "stopped_at": _("Unsubscribed on"),
        "subject": _("About"),
        "tags": _("Tags"),
        "taken_at": _("Received on"),
        "topic": _("Topic"),
        "until": _("Until"),
        "urgent": _("Danger"),
        "waits": _("On hold"),
        "was": _("Status before"),
        "what": _("What"),
        "who": _("Who"),
        "words": _("Text"),
    }


def _said(lang: str) -> Any:
    """How a value stands on the page under its name; "" leaves it out."""
    labels = _labels()
    codes: dict[str, Callable[[str], str]] = {
        "channel": formatting.channel,
        "lang": localization.language_name,
        "no_photo": formatting.reason,
        "now": states.label,
        "outcome": formatting.outcome,
        "reason": formatting.reason,
        "state": states.label,
        "was": states.label,
        "what": formatting.step,
    }

    def said(value: Any, name: str = "") -> str:
        if value is None or value is False or value in ("", [], {}):
            return ""
        if value is True:
            return _("Yes")
        if isinstance(value, datetime):
            day = localization.full_date(localization.local(value).date())
            return _("%(day)s at %(time)s", day=day, time=localization.clock(value))
        if isinstance(value, dict):
            if lang in value and all(isinstance(each, str) for each in value.values()):
                return str(value[lang])  # words of the city, in every language
            parts = ((key, said(each, key)) for key, each in value.items())
            return " · ".join(f"{labels.get(key, key)}: {told}" for key, told in parts if told)
        if isinstance(value, list):
            return "\n".join(filter(None, (said(each) for each in value)))
        return codes[name](value) if name in codes else str(value)

    return said
