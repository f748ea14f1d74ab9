"""What only a verb of a case can do, done by it in the order of time, after the rest was written in bulk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Crew, Photo, Report
from city.imports import history_writer
from city.imports.history_writer import CaseHistory, Move, PhotoRow, ReportRow
from city.lifecycle import Refused
from city.people import accounts
from city.reports import closing_feedback, intake


@dataclass(frozen=True, slots=True)
class Act(Move):
    """A move that only a verb makes.

    "not fixed" is said by whoever sent `report`; "merge" leads `into` another story. A "close" may have a
    ready `reply`, as canned_replies.as_stored() keeps it.
    """

    into: CaseHistory | None = None
    reply: dict[str, Any] | None = None


def tell(
    s: Session, stories: Sequence[CaseHistory], *, now: datetime | None = None
) -> list[history_writer.Written]:
    """Lets the stories happen and returns their cases in the order given; see history_writer.write()."""
    cuts = _cuts(stories)
    early = [_until(story, cuts[story]) if story in cuts else story for story in stories]
    written = history_writer.write(s, early, now=now)
    ids = {story: each.case_id for story, each in zip(stories, written, strict=True)}
    later: list[tuple[datetime, CaseHistory, ReportRow | Move]] = []
    for story, cut in cuts.items():
        later += [(told.at, story, told) for told in story.reports if told.at >= cut]
        later += [(move.at, story, move) for move in story.moves if move.at >= cut]
    crews = {crew.id: crew for crew in s.scalars(select(Crew))}
    reports = {story: _reports(s, ids[story]) for story in cuts}
    for _, story, step in sorted(later, key=itemgetter(0)):
        case = s.get_one(Case, ids[story])
        if isinstance(step, ReportRow):
            reports[story].append(join(s, case, step, story.origin))
        else:
            into = s.get_one(Case, ids[step.into]) if isinstance(step, Act) and step.into else None
            make(s, case, step, reports[story][step.report], crews, into=into, origin=story.origin)
    return written


def _cuts(stories: Sequence[CaseHistory]) -> dict[CaseHistory, datetime]:
    """From when on the verbs tell a story: its first Act, or when another one is merged into it."""
    cuts: dict[CaseHistory, datetime] = {}
    for story in stories:
        for act in (move for move in story.moves if isinstance(move, Act)):
            for each in filter(None, (story, act.into)):
                cuts[each] = min(cuts.get(each, act.at), act.at)
    return cuts


def _until(story: CaseHistory, cut: datetime) -> CaseHistory:
    """A story as far as it is written in bulk. Its first report must come before any Act."""
    reports = [told for told in story.reports if told.at < cut]
    return replace(story, reports=reports, moves=[move for move in story.moves if move.at < cut])


def _reports(s: Session, case_id: int) -> list[Report]:
    return list(s.scalars(select(Report).where(Report.case_id == case_id).order_by(Report.id)))


def join(s: Session, case: Case, told: ReportRow, origin: str) -> Report:
    """One more report of a case. Nobody who joins so asks for news."""
    telling = intake.NewReport(
        told.key, case.service_code, told.channel, told.lang, told.words, told.place, told.answers,
        told.danger, join=case.number, at_device=told.at_device,
    )  # fmt: skip
    taken = photos_of(s, told.pictures, told.at)
    return intake.submit(s, telling, by=told.by, at=told.at, token=told.token, taken=taken, origin=origin)


def make(
    s: Session,
    case: Case,
    move: Move,
    report: Report,
    crews: dict[int, Crew],
    *,
    into: Case | None = None,
    origin: str = "live",
) -> None:
    """Makes one move by the verb of its name. Raises Refused as that does."""
    who: dict[str, Any] = {"by": move.by, "at": move.at, "origin": origin}
    phone = {**who, "at_device": move.at_device}
    taken = photos_of(s, move.pictures, move.at)
    reply = move.reply if isinstance(move, Act) else None
    closing = Closing(move.outcome, no_photo=move.no_photo, words=move.words, reply=reply, photos=taken)
    verbs: dict[str, Callable[[], object]] = {
        "accept": lambda: transitions.accept(s, case, **who),
        "assign": lambda: transitions.assign(s, case, crews[move.crew or 0], **who),
        "start": lambda: transitions.start(s, case, **phone),
        "wait": lambda: transitions.wait(s, case, move.reason, **phone),
        "make safe": lambda: transitions.make_safe(s, case, photos_taken=taken, words=move.words, **phone),
        "close": lambda: transitions.close(s, case, closing, **phone),
        "reopen": lambda: transitions.reopen(s, case, words=move.words, **who),
        "merge": lambda: _merge(s, case, into, who),
        "cancel": lambda: transitions.cancel(s, case, move.reason, **who),
        "note": lambda: transitions.note(s, case, move.words, **phone),
        "show": lambda: intake.show(s, report, **who),
        "not fixed": lambda: _not_fixed(s, report, move, taken, origin),
    }
    verbs[move.name]()


def photos_of(s: Session, pictures: Sequence[PhotoRow], at: datetime) -> list[Photo]:
    """Rows of photos whose bytes lie in the store, as a form leaves them."""
    rows = [
        Photo(
            id=each.id, staged_for=each.staged_for, upload_sha256=each.upload_sha256,
            sha256=each.sizes["full"], sizes=each.sizes, width=each.width, height=each.height,
            bytes=each.bytes, added_at=at, stored_at=at,
        )
        for each in pictures
    ]  # fmt: skip
    s.add_all(rows)
    s.flush()
    return rows


def _merge(s: Session, case: Case, into: Case | None, who: dict[str, Any]) -> None:
    if into is None:
        raise Refused("unknown_value", name="into", value=None)
    transitions.merge(s, case, into, **who)


def _not_fixed(s: Session, report: Report, move: Move, taken: Sequence[Photo], origin: str) -> None:
    closing = closing_feedback.closing_of(transitions.root_of(s, report.case))
    closing_feedback.not_fixed(
        s, report, closing, by=accounts.reporter(report.id), at=move.at, words=move.words, taken=taken,
        key=f"{report.key}-again", token="", origin=origin,
    )  # fmt: skip
