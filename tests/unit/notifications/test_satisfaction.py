"""Who is asked how satisfied they are, what they may answer, and what is left once they are forgotten."""

from datetime import timedelta

import pytest
from factories import Scene, Town
from sqlalchemy import select, update

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Event, Follower, Report, SatisfactionAnswer
from city.lifecycle import Refused
from city.notifications import fan_out, satisfaction
from city.people import accounts
from city.photos import storage
from city.reports import closing_feedback, intake

pytestmark = pytest.mark.both_databases


def close(scene: Scene, case: Case, days: float = 0) -> None:
    at = scene.town.now + timedelta(days=days)
    done = Closing("fixed", no_photo="dark")
    transitions.close(scene.s, case, done, by=scene.actor("dispatcher"), at=at)


def answers(scene: Scene) -> list[tuple[int | None, str, str, int | None]]:
    rows = scene.s.scalars(select(SatisfactionAnswer).order_by(SatisfactionAnswer.id))
    return [(row.report_id, row.department_code, row.month, row.score) for row in rows]


def confirmed(scene: Scene, report: Report, email: str) -> None:
    wish = intake.subscribe(scene.s, report, email, lang="en", at=scene.town.now)
    intake.confirm(scene.s, wish, at=scene.town.now)


def test_whom_a_page_or_a_message_reaches_is_asked_once(town: Town) -> None:
    with town.at_work() as scene:
        web = scene.report()
        silent = scene.report(channel="phone")
        heard = scene.report(channel="phone")
        confirmed(scene, heard, "ana@example.com")
        for each in (silent, heard):
            transitions.merge(scene.s, each.case, web.case, by=scene.actor("dispatcher"), at=town.now)
        close(scene, web.case)
    for _again in range(2):
        with town.at_work() as scene:
            scene.s.execute(update(Follower).values(seq=0))
            fan_out.process_events(scene.s, town.now)
    with town.looking() as scene:
        assert sorted(row[0] or 0 for row in answers(scene)) == [web.id, heard.id]
        assert {row[1:] for row in answers(scene)} == {("works", "2026-05", None)}


def test_an_answer_may_be_changed_for_14_days(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        close(scene, report.case)
        satisfaction.answer(scene.s, report, 1, 2, at=town.now)
        satisfaction.answer(scene.s, report, 1, 5, at=town.now + timedelta(days=14))
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        report = scene.s.get_one(Report, report.id)
        assert answers(scene) == [(report.id, "works", "2026-05", 5)]
        with pytest.raises(Refused) as late:
            satisfaction.answer(scene.s, report, 1, 1, at=town.now + timedelta(days=14, seconds=1))
        assert late.value.code == "too_late_to_rate"
        assert answers(scene)[0][3] == 5


def test_each_closing_has_an_answer_of_its_own(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        close(scene, report.case)
        closing, by = closing_feedback.closing_of(report.case), accounts.reporter(report.id)
        closing_feedback.not_fixed(scene.s, report, closing, by=by, at=town.now, key="k", token="t" * 32)
        assert report.case.state == "accepted"
        satisfaction.answer(scene.s, report, 1, 1, at=town.now)  # whoever sent it back has an opinion too
        close(scene, report.case, 1)
        with pytest.raises(Refused) as old:
            satisfaction.answer(scene.s, report, 1, 5, at=town.now)
        assert old.value.code == "not_that_closing"
        satisfaction.answer(scene.s, report, 2, 4, at=town.now)
        assert [row[3] for row in answers(scene)] == [1, 4]


@pytest.mark.parametrize("score", [0, 6, -1])
def test_no_other_score_is_taken(score: int, town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        close(scene, report.case)
        with pytest.raises(Refused) as refused:
            satisfaction.answer(scene.s, report, 1, score, at=town.now)
        assert refused.value.code == "unknown_score"
        assert answers(scene) == []


def test_an_open_case_is_not_rated(town: Town) -> None:
    with town.at_work() as scene:
        with pytest.raises(Refused) as refused:
            satisfaction.answer(scene.s, scene.report(), 1, 5, at=town.now)
        assert refused.value.code == "not_that_closing"


def test_erasure_leaves_the_figure_and_nobody_behind_it(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        close(scene, report.case)
        satisfaction.answer(scene.s, report, 1, 2, at=town.now)
        var = town.settings.var
        by = scene.actor("administrator")
        intake.erase(scene.s, report, storage.open_store(town.settings), var, by=by, at=town.now)
        row = scene.s.scalars(select(SatisfactionAnswer)).one()
        scene.s.refresh(row)
        assert (row.report_id, row.case_id, row.said_at, row.score) == (None, None, None, 2)
        assert satisfaction.asks(scene.s, report, report.case, at=town.now) is None


def test_the_log_knows_no_answer(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        close(scene, report.case)
        before = scene.s.scalars(select(Event.seq)).all()
        satisfaction.answer(scene.s, report, 1, 2, at=town.now)
        assert scene.s.scalars(select(Event.seq)).all() == before


def test_an_imported_past_asks_nobody(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        done, by = Closing("fixed", no_photo="dark"), scene.actor("dispatcher")
        transitions.close(scene.s, report.case, done, by=by, at=town.now, origin="import")
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        assert answers(scene) == []
