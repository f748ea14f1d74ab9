"""The reporter's own report: the browser that opened its secret link holds it. For residents' pages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, g, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.db.models import Case, Report
from city.lifecycle import CLOSED, REOPEN_DAYS
from city.notifications import satisfaction
from city.reports import closing_feedback, intake
from pwa.web import access
from pwa.web.fragments import go


@dataclass(frozen=True)
class Rating:
    """The question of satisfaction about a report's last closing; `score` is None until it is answered."""

    cycle: int
    until: datetime
    score: int | None


def rating(s: Session, mine: Report) -> Rating | None:
    """What the report's page asks; None where nothing was closed, or too long ago."""
    closing = satisfaction.asks(s, mine, queries.root_of(s, mine.case), at=access.now())
    if closing is None:
        return None
    return Rating(closing.cycle, satisfaction.last_day(closing), satisfaction.given(s, mine, closing))


def open_secret_link(token: str, endpoint: str, *, score: int | None = None) -> Response:
    """Opens a secret link: the browser keeps the token, the address forgets it and goes on to `endpoint`."""
    g.personal = True
    with access.reading() as s:
        mine = access.or_404(intake.by_token(s, token))
        # One browser may hold the links of several reports at one case.
        number = mine.case.number if endpoint == "case.page" else mine.number
        own = mine.number
    return access.remember_link(go(url_for(endpoint, number=number, score=score)), own, token)


def named(s: Session, number: str) -> Report:
    """The visitor's own report at the case of this number; raises NotFound for everybody else."""
    return access.or_404(report(s, access.or_404(queries.by_number(s, number)), number))


def report(s: Session, case: Case, number: str) -> Report | None:
    """The visitor's own report at the case; that of this very number, where the browser holds its link."""
    g.personal = True
    token = access.token_of(number)
    named = intake.by_token(s, token) if token else None
    return named if named and named.number == number else access.own_report(s, case)


def sent(s: Session, number: str) -> Report:
    """The report of this very number, where the browser holds its link; raises NotFound otherwise."""
    g.personal = True
    token = access.token_of(number)
    mine = intake.by_token(s, token) if token else None
    return access.or_404(mine if mine and mine.number == number else None)


def expires(s: Session, sight: PublicCase, mine: Report | None) -> datetime | None:
    """Until when "not fixed" opens this very case again."""
    if mine is None or sight.state != CLOSED:
        return None
    told = closing_feedback.told_at(s, mine, s.get_one(Case, sight.id))
    return told + timedelta(days=REOPEN_DAYS) if told else None


def flash_text(led_to: str, *, office: bool) -> str:
    """What a "not fixed" led to, in words; of an office's case what a "not answered" did."""
    answered = {
        "reopened": _("Thank you. We reopened your question, and someone will get back to you."),
        "new-case": _(
            "Thank you. We answered this a while ago, so we opened a new report with its own date."
        ),
    }
    words = {
        "written": _("Sent. Only the city can see it."),
        "reopened": _("Thank you. We reopened your report, and a dispatcher will review it."),
        "joined": _("Thank you. This report was already open again. We added your comment."),
        "review": _("Thank you. This has come back before, so a supervisor is looking into it."),
        "new-case": _("Thank you. We fixed this a while ago, so we opened a new report with its own date."),
    } | (answered if office else {})
    return words.get(led_to, "")
