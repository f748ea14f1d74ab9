"""What pages say for the codes of the city: states, promises, outcomes, reasons, roles.

How dates, distances and numbers are written is in localization.py.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from babel.lists import format_list
from flask import Flask
from flask_babel import gettext as _
from flask_babel import ngettext

from city.cases import sla
from city.config.city_file import Owner
from city.db.models import CaseMessage, RemoteRequest, Subscription
from city.forwarding import forwards
from city.lifecycle import (
    CANCELLED,
    CLOSED,
    MERGED,
    NOT_FIXED,
    OPEN,
    PARTNER_DONE,
    PARTNER_REFUSED,
    WAITING,
)
from city.notifications import subscriptions
from city.places import reverse_geocoder
from city.places.collection_days import Day
from pwa.web import access, states
from pwa.web.localization import (
    apart,
    clock,
    current_locale,
    day,
    distance,
    local,
    long_day,
    once_a_language,
    said,
)

HOUR, DAY, YEAR = 60, 24 * 60, 365  # in minutes, and a year in days


def init(app: Flask) -> None:
    """Gives the filters to every template."""
    filters = (
        promise, promised_day, first_promised, new_date, outcome, step, time_left, how_kept, standing, reason,
        flag_label, operation_label, photo_fault, review_reason, refusal, call_outcome, channel, scope,
        asset, asset_for_residents, owner, asset_owner, role, place, place_title,
        waits_for, wait_sign, instant, kind_name, role_does, letter, followed, hook_fault, due_detail, age,
        picked_up, delivery, reached, forwarded,
    )  # fmt: skip
    app.jinja_env.filters.update({each.__name__: each for each in filters})
    app.jinja_env.tests["of_pickups"] = subscriptions.is_of_pickups
    app.jinja_env.tests["of_duty"] = subscriptions.is_of_duty
    app.jinja_env.filters |= {"state": states.label, "stage": states.stage}


def promise(case: Any) -> str:
    """The promise in words: what a resident or a dispatcher is told. Never a status code."""
    if case.state == CLOSED:
        ended = outcome(_outcome_of(case), office=_is_office(case))
        return _("%(outcome)s %(day)s", outcome=ended, day=day(case.closed_at))
    if case.state == MERGED:
        return _("Same problem as another report")
    if case.state == CANCELLED:
        return _("Canceled")
    at = access.now()
    if case.state == WAITING:
        waits = waits_for(
            _wait_reason(case), _owner_of(case), mine=getattr(case, "mine", False), passed_to=_passed_to(case)
        )
        return f"{_late(case, at)} · {waits}" if case.standing == "late" else waits
    if case.due_at < at:
        return _late(case, at)
    if local(case.due_at).date() == local(at).date():
        return _("By %(time)s today", time=clock(case.due_at))
    return _("By %(day)s", day=_due(case, case.due_at, day))


def _late(case: Any, at: datetime) -> str:
    late = at - case.due_at
    if late < timedelta(days=1):
        hours = max(1, int(late.total_seconds() // 3600))
        return ngettext("%(num)d hour late", "%(num)d hours late", hours)
    return _days_late(late.days)


def promised_day(case: Any) -> str:
    """The promised day for a sentence: "Friday, December 4"; with its hour where working hours count."""
    return _due(case, case.due_at, long_day)


def _due(case: Any, at: datetime, written: Callable[[datetime], str]) -> str:
    return _("%(day)s at %(time)s", day=written(at), time=clock(at)) if _is_hourly(case) else written(at)


def first_promised(case: Any, *, sentence: bool = False) -> str:
    """The day that was promised at first, where it moved since because the clock stood; otherwise empty."""
    was = case.first_due or case.due_at if hasattr(case, "first_due") else sla.first_due(case)
    moved = case.due_at - was >= timedelta(minutes=1) if _is_hourly(case) else day(was) != day(case.due_at)
    return _due(case, was, long_day if sentence else day) if moved else ""


def new_date(case: Any) -> str:
    """The new date that residents were told, for a sentence; empty where there is none, or it is over too."""
    told = case.rescheduled_to
    return long_day(told) if told and told >= access.now() and case.state in OPEN else ""


def owner(case: Any) -> Owner | None:
    """Whom a PublicCase or a case waits for, as the city file has it; None where it names nobody."""
    words = _owner_of(case)
    return access.current_city().city.owner(words) if words else None


def asset_owner(thing: Any) -> Owner | None:
    """Whose an asset is, as the city file has it."""
    return access.current_city().city.owner(thing.owner)


def instant(told: str) -> datetime:
    """A moment as a line of the log has it."""
    return datetime.fromisoformat(told)


def kind_name(code: str) -> str:
    """What a service is called in the city file; its code where it has left that."""
    known = {each.code: each.names for each in access.current_city().city.services}
    return said(known[code]) if code in known else code


def waits_for(code: str | None, owner: str = "", *, mine: bool = False, passed_to: str = "") -> str:
    """What a case waits for, as residents read it; a utility by its name where the city file has it.

    `mine` says that its reporter reads it: whose answer is waited for is "you" to nobody else. `passed_to`
    is the other owner who has taken it, by Open311.
    """
    if passed_to:
        return _("Passed on to %(name)s", name=passed_to)
    if code == "resident" and mine:
        return _("Waiting for your answer")
    whose = access.current_city().city.owner(owner) if code == "utility" and owner else None
    if whose:
        return _("Waiting for %(name)s", name=whose.name)
    return _waits().get(code or "", ("", _("On hold"), ""))[1]


def outcome(code: str | None, *, office: bool = False) -> str:
    """An outcome as residents read it; of an office's case, where nothing is fixed, in words of its own."""
    words = _outcomes() | (_office_outcomes() if office else {})
    return words.get(code or "") or words[""]


def time_left(case: Any) -> str:
    """Short, for the queue: "1 day late", "2 hr left", "Fri, Dec 4", "Utility", "1 day late · Utility"."""
    if case.state == WAITING:
        waits = _passed_to(case) or reason(_wait_reason(case) or "") or _("On hold")
        back = case.wait_until if hasattr(case, "wait_until") else sla.waits_until(case)
        if back:
            waits = _("%(reason)s until %(day)s", reason=waits, day=day(back))
        return f"{_time_left(case)} · {waits}" if case.standing == "late" else waits
    if case.state in (CLOSED, MERGED, CANCELLED):
        return promise(case)
    return _time_left(case)


def _time_left(case: Any) -> str:
    span = case.due_at - access.now()
    minutes = max(1, int(abs(span).total_seconds() // 60))
    if span < timedelta():
        if minutes < HOUR:
            return ngettext("%(num)d min late", "%(num)d min late", minutes)
        if minutes < DAY:
            return ngettext("%(num)d hr late", "%(num)d hr late", minutes // HOUR)
        return _days_late(minutes // DAY)
    if minutes < HOUR:
        return ngettext("%(num)d min left", "%(num)d min left", minutes)
    if minutes < DAY:
        return ngettext("%(num)d hr left", "%(num)d hr left", minutes // HOUR)
    return day(case.due_at)


def _days_late(days: int) -> str:
    if days >= YEAR:
        return ngettext("%(num)d year late", "%(num)d years late", days // YEAR)
    return ngettext("%(num)d day late", "%(num)d days late", days)


def due_detail(case: Any) -> str:
    """What time_left() does not say of the promise: the day where it tells a span, the span where a day."""
    if case.state not in OPEN:
        return day(case.closed_at) if case.closed_at else ""
    left = case.due_at - access.now()
    if case.rescheduled_to:
        return _("New: %(day)s", day=day(case.rescheduled_to))
    if case.state == WAITING:
        return _("Due %(day)s", day=day(case.due_at))
    if timedelta() <= left < timedelta(days=1):
        return _("By %(time)s", time=clock(case.due_at))
    if left < timedelta():
        return _("Due %(day)s", day=day(case.due_at))
    return ngettext("%(num)d day left", "%(num)d days left", left.days)


def age(at: datetime) -> str:
    """How long ago that was, short, for a list: "11 min", "15 hr", "3 days", "2 yr"."""
    minutes = max(0, int((access.now() - at).total_seconds() // 60))
    if minutes < HOUR:
        return ngettext("%(num)d min", "%(num)d min", minutes)
    if minutes < DAY:
        return ngettext("%(num)d hr", "%(num)d hr", minutes // HOUR)
    if minutes < YEAR * DAY:
        return ngettext("%(num)d day", "%(num)d days", minutes // DAY)
    return ngettext("%(num)d yr", "%(num)d yr", minutes // DAY // YEAR)


def how_kept(seconds: float) -> str:
    """How a promise was kept: "Done 3 hours early" or "Done 2 days late"."""
    hours, days = int(abs(seconds) // 3600), int(abs(seconds) // 86400)
    if seconds >= 0:
        if days:
            return ngettext("Done %(num)d day early", "Done %(num)d days early", days)
        if hours:
            return ngettext("Done %(num)d hour early", "Done %(num)d hours early", hours)
        return _("Done on time")
    if days:
        return ngettext("Done %(num)d day late", "Done %(num)d days late", days)
    return ngettext("Done %(num)d hour late", "Done %(num)d hours late", max(hours, 1))


def public_step(kind: str, *, office: bool = False) -> str:
    """A stop of a case's story as residents and other programs read it: one of queries.PUBLIC_STEPS."""
    return _public_steps(office).get(kind, kind)


def step(kind: str, *, office: bool = False) -> str:
    """A stop of a case's story as staff read it; of an office's case in its own words."""
    words = _public_steps(office) | {
        "open": _("Case opened"),
        "report": _("Report received"),
        "join": _("Reported by another resident"),
        "accept": _("Accepted"),
        "unassign": _("Crew unassigned"),
        "take on": _("A crew took the job"),
        "take back": _("The crew undid its last step"),
        "pause": _("Crew paused"),
        "at risk": _("Due soon"),
        "late": _("The due date passed"),
        "escalate": _("Well past due. A supervisor needs to review it."),
        "ring": _("No one has accepted this dangerous case"),
        "review": _("A supervisor is reviewing this"),
        "reviewed": _("Reviewed"),
        "merge": _("Merged into another case"),
        "merged in": _("Another case was merged into this one"),
        "unmerge": _("Separated"),
        "merged out": _("A merged case was separated"),
        "tell apart": _("Marked as not a duplicate"),
        "one again": _("Possible duplicate of a similar case"),
        "undo batch": _("Undone"),
        "raise priority": _("Set to high priority"),
        "lower priority": _("Set to normal priority"),
        "tag": _("Tag added"),
        "untag": _("Tag removed"),
        "note": _("Note"),
        "show": _("Description and photos made public"),
        "hide": _("Description and photos hidden"),
        "subscribe": _("Added contact info for updates"),
        "confirm news": _("Confirmed updates"),
        "stop news": _("Stopped updates"),
        "erase": _("A report was erased"),
        "redact": _("Part of a photo was covered permanently"),
        "hold": _("Legal hold placed: nothing in this case can be removed"),
        "lift hold": _("Legal hold lifted"),
        "clear": _("Description, photos, and addresses removed under the retention schedule"),
        "forget addresses": _("Contact info for updates was removed under the retention schedule"),
        "export record": _("Record exported"),
        "recorded": _("Crew update saved as a note"),
        "no evidence": _("The photo never arrived"),
        "photo came": _("A photo arrived"),
        "photo failed": _("A photo didn't arrive or can't be read"),
        "promise": _("Due date changed in the old system"),
        "place": _("The old system changed the location"),
        "service": _("The old system changed the type of problem"),
        "undo": _("An import change was undone"),
        "reclassify": _("Type of problem changed"),
        "relocate": _("Location changed"),
        "proposed": _("A crew says the type or location is wrong"),
        "proposal withdrawn": _("The crew took that back"),
        "reschedule": _("New date"),
        "split": _("Report moved to its own case"),
        "ask": _("Question sent"),
        "answer": _("Reporter answered"),
        "add": _("Reporter wrote"),
        "update": _("Update sent"),
        "undelivered": _("A question couldn't be delivered"),
        "remind": _("Reminder sent"),
        "forward": _("To be passed on to"),
        "passed on": _("Taken by"),
        "forward refused": _("Not taken by"),
        "forward unclear": _("Not known if it arrived at"),
        "forward ended": _("No longer followed at"),
        "handed back": _("Handed back by"),
        "partner accepted": _("Partner accepted the job"),
        PARTNER_DONE: _("Partner says it's done"),
        "partner sent back": _("Sent back to the partner"),
        "partner told": _("Message to the partner"),
        "partner unreached": _("The partner's email came back"),
    }
    return words.get(kind, kind)


def _public_steps(office: bool) -> dict[str, str]:
    words = {
        "open": _("Reported"),
        "join": _("A neighbor reported this too"),
        "accept": _("The city reviewed the report"),
        "assign": _("Crew assigned"),
        "start": _("Crew on site"),
        "wait": _("On hold"),
        "resume": _("No longer on hold"),
        "make safe": _("Made safe for now"),
        "needs parts": _("Waiting for parts"),
        "close": _("Closed"),
        "take back": _("The crew corrected its last update"),
        "undo batch": _("The city corrected its last update"),
        "restore": _("No longer canceled"),
        "reopen": _("Reopened"),
        "not fixed": _("A resident says it isn't fixed"),
        "fixed confirmed": _("A resident confirmed it's fixed"),
        "cancel": _("Canceled"),
        "reclassify": _("The city corrected the type of problem"),
        "relocate": _("The city corrected the location"),
        "reschedule": _("The city gave a new date"),
        "split": _("One report became its own case"),
        "clear": _("Description and photos removed under the retention schedule"),
    }
    if not office:
        return words
    return words | {
        "open": _("Asked"),
        "accept": _("The city reviewed the question"),
        "not fixed": _("A resident says it isn't answered"),
        "fixed confirmed": _("A resident confirmed it's answered"),
    }


def photo_fault(code: str) -> str:
    """Why a photo is not here that a crew took or another program named, for staff."""
    words = {
        "late": _("Not received after three days. We're still asking for it."),
        "not_a_photo": _("The file isn't a photo."),
        "broken": _("The file is damaged and can't be read."),
        "too_large": _("The file is larger than 20 MB."),
        "too_many_pixels": _("The image is too large to open safely."),
        "photo_attached": _("It already belongs to another case."),
        "too_many": _("The report already has five photos."),
        "bad_url": _("The link doesn't lead to a photo."),
        "private_address": _("The address points inside a private network, so we didn't open it."),
        "no_answer": _("No answer from the address."),
        "too_many_redirects": _("The address redirects too many times."),
    }
    return words.get(code, "")


def standing(code: str) -> str:
    """How a promise stands, in the words beside its color and shape."""
    return _standings().get(code, "")


def without_place(count: str) -> str:
    """How many cases of a view have no place."""
    return _("%(num)s with no location", num=count)


def map_words() -> dict[str, str]:
    """What a map calls its pins, by standing; of the others the script fills in NUMBER and WORST."""
    words = {name: standing(name) for name in ("late", "risk", "ok", "wait")} | {"done": _("Closed")}
    words["unlocated"] = without_place("NUMBER")
    words["hidden"] = _("%(num)s more aren't on the map. Narrow your filters to see them.", num="NUMBER")
    return words | {"several": _("%(num)s cases, most urgent: %(standing)s", num="NUMBER", standing="WORST")}


def reason(code: str) -> str:
    """A reason that staff choose, as its chip says it."""
    return _reasons().get(code, code)


def flag_label(code: str) -> str:
    """Why somebody must look at a case, for staff. What a crew sent meanwhile stands in its history."""
    words = {
        NOT_FIXED: _("A resident says this isn't fixed. Decide what happens next."),
        "sent back": _("Residents say this still isn't fixed. Decide what happens next."),
        "reopened": _("A crew sent an update from before the case was reopened."),
        "cancelled": _("A crew sent an update after the case was canceled."),
        "merged": _("A crew sent an update for a case that was merged into this one."),
        "closed": _("A crew sent an update after the case was closed."),
        "danger": _(
            "A crew can't continue here now. It's dangerous, so the case isn't on hold. Decide what happens."
        ),
        "step_back": _("A crew's update no longer matches this case."),
        "not_your_job": _("A crew sent an update for a job it wasn't assigned."),
        "reassigned": _("A crew sent an update after the job went to another crew."),
        "unassigned": _("A crew sent an update after the job was unassigned."),
        "held": _("A crew's update depends on an earlier one that never arrived."),
        "photo": _("A photo from the crew didn't arrive within three days or can't be read."),
        "too_late": _("A crew wants to undo an update, but the case has moved on."),
        "erased": _(
            "This arrived after the reports were erased, so we didn't keep its description or photos."
        ),
        "late": _("This case is well past its due date. Decide what happens next."),
        "corrected": _("A crew closed this before hearing that its type or location had changed."),
        "proposed": _("A crew says the type or location is wrong. Decide whether to change it."),
        "wait over": _("Its hold is over. Decide what happens next."),
        "replied": _("The reporter wrote. Read it, then decide what happens next."),
        "undelivered": _("A question couldn't be delivered. Find another way to ask."),
        "forward refused": _("The other owner didn't take this case. Decide what happens next."),
        "forward unclear": _("The other owner may have this case. Look there before you send it again."),
        "handed back": _("The other owner says this isn't theirs. Decide what happens next."),
        "closed elsewhere": _("The other owner closed this while a crew has it. Decide what happens next."),
        PARTNER_DONE: _("A partner says this is done. Check it, then close it or send it back."),
        PARTNER_REFUSED: _("A partner gave this back. Decide what happens next."),
        "partner unreached": _(
            "Email to the partner isn't getting through. Call them or assign someone else."
        ),
        "no evidence": _("The closing photo didn't arrive within three days, so it counts as no photo."),
    }
    return words.get(code, _("This case needs review."))


def operation_label(t: str) -> str:
    """What a phone's operation asks, for staff."""
    words = {
        "start": _("Start"), "pause": _("Pause"), "resume": _("Resume"), "wait": _("Put on hold"),
        "close": _("Close"), "make_safe": _("Made safe"), "needs_parts": _("Needs parts"),
        "note": _("Note"), "photo": _("Photo"), "time": _("Time spent"), "report": _("Report"),
        "withdraw": _("Undo"), "propose": _("Another type or location"),
    }  # fmt: skip
    return words.get(t, _("Unreadable update"))


def review_reason(why: str) -> str:
    """Why what a phone sent was not done, for staff; flag_label() where it is a case's mark too."""
    words = {
        "author": _("The person who sent this wasn't on that crew. A supervisor can approve it."),
        "revoked": _("This came from a revoked phone. A supervisor can approve it."),
        "deposited": _(
            "The person who sent this hasn't logged in on that phone for three days. A supervisor can "
            "approve it."
        ),
        "quarantined": _("We couldn't read it, or it was rejected. It's kept here exactly as received."),
    }
    return words.get(why) or flag_label(why)


def refusal(why: str) -> str:
    """What was wrong with work that was set aside, for staff."""
    words = {
        "malformed": _("It can't be read."),
        "unknown_type": _("It's a type we don't recognize."),
        "too_old": _("The app version that sent it is too old."),
        "too_large": _("It's too large."),
        "another_body": _("A different update with the same ID came in earlier."),
        "unknown_case": _("It refers to a case we don't have."),
        "unknown_assignment": _("It refers to a job from a different case."),
        "unknown_value": _("It contains a choice that isn't offered."),
        "evidence_missing": _("It's marked fixed, but has no photo and no reason why."),
        "words_too_long": _("The text is too long."),
        **dict.fromkeys(
            ("wait_past", "wait_too_long", "wait_day"),
            _("The day on which its hold was to end isn't possible."),
        ),
        "unknown_service": _("The city has no such type of problem for crews."),
        "outside_city": _("The location is outside the city."),
        "no_crew": _("This is office work. Crews don't handle it."),
        "fault": _("Cityline couldn't process it. Tell your system administrator."),
    }
    return words.get(why) or flag_label(why)


def channel(code: str) -> str:
    """How a report came in."""
    words = {
        "web": _("on the web"),
        "phone": _("by phone"),
        "voicemail": _("by voicemail"),
        "counter": _("in person"),
        "email": _("by email"),
        "sms": _("by text"),
        "form": _("by another form"),
        "crew": _("by a crew"),
        "api": _("by another app"),
    }
    return words.get(code, code)


def forwarded(row: RemoteRequest) -> str:
    """How far a case is that was passed on to another owner, for staff."""
    name = row.endpoint.name
    words = {
        "queued": _("We'll send it to %(name)s within a minute.", name=name),
        "sending": _("Sent to %(name)s. We don't know yet if it arrived.", name=name),
        "numbering": _("%(name)s has it, and will give it a number.", name=name),
        "unclear": _("It may have reached %(name)s. Look there before you send it again.", name=name),
        "refused": _("%(name)s didn't take it.", name=name),
        "ended": _("We no longer follow it at %(name)s.", name=name),
    }
    if row.state == "ended" and row.status in forwards.CLOSED_WORDS:
        return _("%(name)s closed it.", name=name)
    if row.state == "queued" and row.fault:
        return _("%(name)s doesn't answer. We'll keep trying.", name=name)
    if row.state == "followed":
        if row.is_ours:
            return _("Passed on to %(name)s", name=name)
        return _("Came from %(name)s", name=name)
    return words[row.state]


def delivery(line: CaseMessage) -> str:
    """How a message of a conversation came, or whether its reader has it."""
    if line.kind in ("answer", "add"):
        return {"email": _("by email"), "sms": _("by text")}.get(line.channel, _("on the web"))
    if line.kind == "update":
        return _("to everyone") if line.is_public else _("to everyone who reported it")
    if line.failed:
        return _("couldn't be delivered")
    return _("delivered") if line.handed_over_at else _("not read yet")


def reached(one: Any) -> str:
    """How a question would reach the reporter of a report, of its `ways`."""
    words = {"email": _("email"), "sms": _("text"), "push": _("notification"), "page": _("their page")}
    ways = [words[each] for each in one.ways]
    if not ways:
        return _("Can't be reached")
    if one.ways == ["page"]:
        return _("Only on their page, when they open it")
    return _("By %(ways)s", ways=", ".join(ways))


def scope(code: str) -> str:
    """What a key of another program may do."""
    return {"report": _("send reports"), "update": _("update their status")}.get(code, code)


def call_outcome(code: str | None) -> str:
    """How a call ended, in a word."""
    words = {
        "answered": _("Answered"),
        "case": _("Case"),
        "transferred": _("Transferred"),
        "dropped": _("Dropped"),
    }
    return words.get(code or "", code or "")


def asset(found: Any) -> str:
    """A thing of the city by the number on it."""
    words = {
        "pole": _("Pole %(number)s", number=found.number),
        "tree": _("Tree %(number)s", number=found.number),
        "basket": _("Trash can %(number)s", number=found.number),
    }
    return str(words.get(found.kind, found.number))


def asset_for_residents(found: Any) -> str:
    """The same for a resident: nobody knows a tree by its number, so it is the one by an address."""
    told = reverse_geocoder.read(found.address)
    if found.kind != "tree" or not told.name or not told.exact or told.other:
        return asset(found)
    return _("Tree by %(address)s", address=apart(told.name))


def place(words: str | None) -> str:
    """Where it is, as the log has it, in the visitor's language: "cerca de 12 Elm St"."""
    told = reverse_geocoder.read(words or "")
    name = apart(told.name)
    if told.other:
        return _("%(street)s at %(other)s", street=name, other=apart(told.other))
    if told.metres > reverse_geocoder.BESIDE_METRES:
        return _("about %(distance)s from %(place)s", distance=distance(told.metres), place=name)
    return name if told.exact else _("near %(place)s", place=name)


def place_title(words: str) -> str:
    """The same for a point that a phone told, which is never quite at an address; as a title."""
    told = reverse_geocoder.read(words)
    if told.exact and not told.other:
        return _("Near %(address)s", address=apart(told.name))
    title = place(words)
    return title[:1].upper() + title[1:]


@once_a_language
def _standings() -> dict[str, str]:
    return {"late": _("Late"), "risk": _("Due soon"), "ok": _("On time"), "wait": _("On hold")}


@once_a_language
def _outcomes() -> dict[str, str]:
    """Every outcome; under "" what is said of any other end."""
    return {
        "answered": _("Answered"),
        "fixed": _("Fixed"),
        "not found": _("We checked and found nothing"),
        "not ours": _("Not the city's responsibility"),
        "no action": _("Closed with no action"),
        "": _("Closed"),
    }


@once_a_language
def _office_outcomes() -> dict[str, str]:
    return {"not ours": _("Not a city question"), "no action": _("Closed without an answer")}


@once_a_language
def _reasons() -> dict[str, str]:
    return {
        "unsafe": _("Unsafe"),
        "dark": _("Too dark"),
        "nothing to see": _("Nothing to show"),
        "withdrawn": _("Withdrawn by the resident"),
        "spam": _("Not a real report"),
        "test": _("Test"),
    } | {wait: words[0] for wait, words in _waits().items()}


@once_a_language
def _waits() -> dict[str, tuple[str, str, str]]:
    """Every reason to wait: as a chip, as residents read it, and its sign."""
    return {
        "utility": (_("Utility"), _("Waiting for the utility"), "lightbulb"),
        "parts": (_("Parts"), _("Waiting for parts"), "package"),
        "weather": (_("Weather"), _("Waiting for the weather"), "sun"),
        "crew": (_("Crew"), _("Waiting for a crew"), "users"),
        "resident": (_("Resident"), _("Waiting for the resident"), "user"),
    }


def wait_sign(code: str) -> str:
    """The icon of a reason to wait."""
    return _waits()[code][2]


@once_a_language
def _hook_answers() -> dict[str, str]:
    return {
        "401": _("The other system refused access (%(status)s)."),
        "403": _("The other system refused access (%(status)s)."),
        "404": _("Nothing is at that address anymore (%(status)s)."),
        "410": _("Nothing is at that address anymore (%(status)s)."),
        "429": _("The other system is getting too many requests (%(status)s)."),
        "3xx": _("The address redirects somewhere else (%(status)s). Add the new address instead."),
        "4xx": _("The other system couldn't read our request (%(status)s)."),
        "5xx": _("The other system is down or overloaded (%(status)s)."),
    }


def _is_hourly(case: Any) -> bool:
    """Of a PublicCase or of the case itself."""
    return bool(case.hourly if hasattr(case, "hourly") else case.promise_hours)


def _wait_reason(case: Any) -> str | None:
    """Of a PublicCase or of the case itself."""
    return case.wait_reason if hasattr(case, "wait_reason") else sla.waits_for(case)


def _owner_of(case: Any) -> str:
    """The same, whom it waits for."""
    return case.owner if hasattr(case, "owner") else sla.owner_waited_for(case)


def _passed_to(case: Any) -> str:
    """Who has taken it; a row of a list does not know."""
    if hasattr(case, "passed_to"):
        return str(case.passed_to)
    return "" if hasattr(case, "wait_reason") else sla.passed_to(case)


def _is_office(case: Any) -> bool:
    """Of a row of the board, a PublicCase or the case itself."""
    return bool(case.office if hasattr(case, "office") else case.service.office)


def _outcome_of(case: Any) -> str | None:
    proof = getattr(case, "proof", None)
    return proof.outcome if proof else getattr(case, "outcome", None)


def role(code: str) -> str:
    """What somebody is."""
    words = {
        "crew": _("Crew"),
        "supervisor": _("Supervisor"),
        "dispatcher": _("Dispatcher"),
        "call-taker": _("Call-taker"),
        "manager": _("Manager"),
        "administrator": _("Administrator"),
    }
    return words.get(code, code)


def role_does(code: str) -> str:
    """What that role is for, in one line."""
    words = {
        "crew": _("does jobs in the field, on a phone"),
        "supervisor": _("assigns work and reviews reopened cases"),
        "dispatcher": _("runs the dispatch board"),
        "call-taker": _("answers calls and takes reports"),
        "manager": _("sees the board and their departments' figures, and manages legal holds"),
        "administrator": _("gives people, phones, and programs access"),
    }
    return words.get(code, "")


def letter(kind: str) -> str:
    """What a message was about."""
    words = {
        "receipt": _("Confirmation"), "confirmed": _("Copy of the report"),
        "closed": _("Closed"), "reopened": _("Reopened"),
        "changed": _("Status changed"), "late": _("Running late"),
        "digest": _("Neighborhood or street summary"),
        "pickup": _("Trash day reminder"),
    }  # fmt: skip
    kind = kind.partition(" ")[0]  # a reminder's has its day behind it
    return words.get(kind, kind)


def stream(what: str) -> str:
    """What is collected: trash, recycling or yard waste."""
    words = {"trash": _("trash"), "recycling": _("recycling"), "yard": _("yard waste")}
    return words[what]


def streams(day: Day) -> str:
    """What is collected on a day, within a sentence: "trash and recycling"."""
    return str(format_list([stream(each) for each in day.streams], locale=current_locale()))


def picked_up(day: Day) -> str:
    """ "Trash and recycling"."""
    named = streams(day)
    return named[:1].upper() + named[1:]


def hook_fault(fault: str) -> str:
    """What became of the last call to another system, for staff; `fault` is as webhooks.py keeps it."""
    status = fault.removeprefix("it answered ")
    if status != fault:
        known = _hook_answers().get(status) or _hook_answers().get(f"{status[:1]}xx")
        return (known or _("The other system answered %(status)s.")) % {"status": status}
    kind = fault.rpartition(" ")[2]
    if "Timeout" in kind:
        return _("The other system took too long to answer.")
    return {
        "NotPublic": _("The name points inside a private network, so we didn't send to it."),
        "SSLError": _("The certificate doesn't match its name."),
    }.get(kind, _("The other system isn't answering."))


def followed(row: Subscription) -> str:
    """What a wish is about: "report 26-004821", the name of an area or street, "trash day (West bank)"."""
    if subscriptions.is_of_pickups(row):
        return _("trash day (%(area)s)", area=row.place_name)
    if subscriptions.is_of_duty(row):
        return _("danger while you're on duty")
    if row.report:
        return _("report %(number)s", number=row.report.case.number)
    return _("report %(number)s", number=row.case.number) if row.case else row.place_name
