"""What corrections and waits did to due dates: the figures say it, and the log alone says the same."""

from datetime import date, timedelta

import pytest
import sourcecity
from factories import Scene, Town
from sqlalchemy.orm import Session
from test_metrics import wrong

from city.audit import counters
from city.cases import batches, corrections, sla, transitions
from city.cases.transitions import Closing
from city.config import versions as config_versions
from city.db.models import Case, Service, Tally
from city.metrics import metrics
from city.metrics.metrics import Figures
from city.metrics.periods import period

pytestmark = pytest.mark.both_databases

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MAY = period("2026-05", date(2026, 7, 2))


def figures_of(s: Session, own: set[str] = frozenset()) -> Figures:
    return metrics.sla_metrics(s, sourcecity.city(), MAY, own=own)


def told(town: Town, *whats: str) -> list[object]:
    """These figures of the city, after the sums and every proof were found right."""
    with town.looking() as scene:
        assert counters.differences(scene.s) == []
        figures = figures_of(scene.s)
        assert wrong(scene.s, figures) == []
        return [figures.of("city", "", what).value for what in whats]


PAUSES = ("paused_utility", "paused_utility_days", "paused_utility_half", "paused_resident_days")


def waited(scene: Scene, case: Case, reason: str, begins: float, ends: float) -> None:
    """It waits from so many days after the town's now to so many."""
    by, now = scene.actor("dispatcher"), scene.town.now
    until, asked = now + (ends + 1) * DAY, reason == "resident"
    transitions.wait(scene.s, case, reason, until=until, asked=asked, by=by, at=now + begins * DAY)
    transitions.resume(scene.s, case, by=by, at=now + ends * DAY)


def closed(scene: Scene, case: Case, after: float) -> None:
    at = scene.town.now + after * DAY
    transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=at)


def test_a_closing_says_for_how_long_its_clock_had_stood_and_for_what(town: Town) -> None:
    with town.at_work() as scene:
        first, second, third = (scene.report().case for _ in range(3))
        waited(scene, first, "utility", 0, 2)
        waited(scene, first, "resident", 3, 3.5)
        waited(scene, first, "utility", 4, 5)
        closed(scene, first, 6)
        waited(scene, second, "utility", 0, 1)
        closed(scene, second, 2)
        waited(scene, third, "utility", 0, 9)  # is not closed
    assert told(town, *PAUSES) == [2, 4.0, 1.0, 0.5]


def test_what_waits_for_the_city_itself_is_not_paused(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        for day, reason in enumerate(("parts", "weather", "crew")):
            waited(scene, case, reason, day, day + 0.9)
        closed(scene, case, 4)
    with town.looking() as scene:
        assert not [cell for cell in figures_of(scene.s).cells if "paused" in cell]


def test_a_wait_that_is_open_when_the_work_is_done_ends_with_it(town: Town) -> None:
    """The closing comes late from a phone: the clock stood until the work was done."""
    now = town.now
    with town.at_work() as scene:
        case = scene.assigned()
        crew = scene.actor("rosa")
        transitions.wait(scene.s, case, "utility", by=crew, at=now + DAY)
        transitions.close(
            scene.s, case, Closing("not found"), by=crew, at=now + 6 * DAY, at_device=now + 3 * DAY
        )
    assert told(town, *PAUSES[:3]) == [1, 2.0, 2.0]


def test_a_wait_that_was_undone_counts_for_nothing(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        numbers, by = [case.number], scene.actor("dispatcher")
        batches.act(scene.s, numbers, "wait", {"reason": "utility"}, by=by, at=town.now, sent="one")
    undone(town, 0.25)
    with town.at_work() as scene:
        closed(scene, scene.case(case.number), 2)
    assert told(town, "closed", "paused_utility") == [1, None]


def test_a_resumption_that_was_undone_is_one_wait(town: Town) -> None:
    by_then = town.now + DAY
    with town.at_work() as scene:
        case = scene.report().case
        by = scene.actor("dispatcher")
        transitions.wait(scene.s, case, "utility", by=by, at=town.now)
        scene.s.flush()
        was = batches.snapshot(case, "resume")
        transitions.resume(scene.s, case, by=by, at=by_then)
        batches.keep_single(scene.s, case, "resume", {}, was, by=by, at=by_then)
    undone(town, 24.25)
    with town.at_work() as scene:
        closed(scene, scene.case(case.number), 3)
    assert told(town, *PAUSES[:3]) == [1, 3.0, 3.0]


def undone(town: Town, hours: float) -> None:
    with town.at_work() as scene:
        newest = scene.s.query(batches.Batch).order_by(batches.Batch.id.desc()).first()
        batches.undo(scene.s, newest.id, by=scene.actor("dispatcher"), at=town.now + hours * HOUR)


def test_each_cycle_counts_its_own_waits(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        waited(scene, case, "utility", 0, 1)
        closed(scene, case, 2)
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=town.now + 3 * DAY)
        closed(scene, case, 4)
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=town.now + 5 * DAY)
        waited(scene, case, "utility", 6, 8)
        closed(scene, case, 9)
    assert told(town, "closed", *PAUSES[:3]) == [3, 2, 3.0, 1.0]


def test_a_merged_case_counts_when_it_is_closed_itself(town: Town) -> None:
    with town.at_work() as scene:
        case, root = scene.report().case, scene.report().case
        by = scene.actor("dispatcher")
        transitions.wait(scene.s, case, "utility", until=town.now + 9 * DAY, by=by, at=town.now)
        transitions.merge(scene.s, case, root, by=by, at=town.now + DAY)
        closed(scene, root, 2)
    assert told(town, "closed", "paused_utility") == [1, None]
    with town.at_work() as scene:
        case = scene.case(case.number)
        transitions.unmerge(scene.s, case, by=scene.actor("dispatcher"), at=town.now + 3 * DAY)
        closed(scene, case, 4)  # it waits again, as if it had never stopped
    assert told(town, "closed", *PAUSES[:2]) == [2, 1, 4.0]


def test_a_promise_that_counts_again_was_paused_since_then_alone(town: Town) -> None:
    with town.at_work() as scene:
        met, missed, early = (scene.report(service_code="limb-down").case for _ in range(3))
        waited(scene, met, "utility", 0, 1)
        lamp = scene.s.get_one(Service, "light-out")
        for case in (met, missed):
            corrections.reclassify(scene.s, case, lamp, by=scene.actor("dispatcher"), at=town.now + 9 * DAY)
        corrections.reclassify(scene.s, early, lamp, by=scene.actor("dispatcher"), at=town.now + HOUR)
        waited(scene, met, "utility", 9.5, 10)
        closed(scene, met, 11)
        closed(scene, missed, 17)
        closed(scene, early, 1)
    assert told(town, "closed", "restarted", "kept_again", *PAUSES[:2]) == [3, 2, 1, 1, 0.5]
    with town.looking() as scene:
        figures = figures_of(scene.s)
        assert figures.of("city", "", "on_time").value == pytest.approx(1 / 3)
        for what, n in (("restarted", 2), ("kept_again", 1), ("paused_utility_days", 0.5)):
            assert figures.of("month", "2026-05", what).value == n


def test_time_that_two_waits_share_counts_once(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        for reason, begins, ends in (("utility", 0, 2), ("resident", 1, 3), ("closed", 2.5, 4)):
            at, until = (town.now + days * DAY for days in (begins, ends))
            case.pauses.append(sla.Pause(why=reason, began_at=at, ended_at=until, stops_clock=True))
        assert sla.paused_seconds(case) == {"utility": 2 * 86400, "resident": 86400}


def many(s: Session, counts: dict[str, dict[str, int]]) -> None:
    """So many of each service in May, and their sum."""
    whats = {what for each in counts.values() for what in each}
    rows = [("service", code, what, n) for code, each in counts.items() for what, n in each.items()]
    rows += [("city", "", what, sum(each.get(what, 0) for each in counts.values())) for what in whats]
    s.add_all(
        Tally(facet=facet, month="2026-05", what=what, value=value, n=n) for facet, value, what, n in rows
    )


RESTARTED = {
    "light-out": {"closed": 90, "restarted": 40, "kept again": 20},
    "home-nuisance": {"closed": 30, "restarted": 12, "kept again": 11},
    "tax-question": {"closed": 40, "restarted": 20, "kept again": 10},
    "permit-status": {"closed": 50, "restarted": 30, "kept again": 15},
}


def hidden(figures: Figures, what: str) -> set[str]:
    return {row for row in figures.rows("service") if figures.of("service", row, what).hidden}


def test_few_that_were_not_kept_hide_how_many_there_were(town: Town) -> None:
    """Of twelve eleven were kept: the one that was not hides behind the next larger, in both columns."""
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        many(scene.s, RESTARTED)
    with town.looking() as scene:
        figures = figures_of(scene.s)
        for what in ("restarted", "kept_again"):
            assert hidden(figures, what) == {"home-nuisance", "tax-question"}
            assert figures.of("service", "light-out", what).value
            assert figures.of("city", "", what).value == (102 if what == "restarted" else 56)
            assert figures.of("department", "finance", what).hidden
        assert hidden(figures, "on_time") == set()
        own = figures_of(scene.s, {"homes"})
        assert own.of("service", "home-nuisance", "restarted").only_you
        assert own.of("service", "tax-question", "restarted").hidden


def paused(n: int) -> dict[str, int]:
    return {"closed": 50, "paused utility": n, "seconds utility": n * 86400, "held utility 10": n}


def test_how_long_few_were_paused_is_hidden_with_them(town: Town) -> None:
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        many(scene.s, {"home-nuisance": paused(2), "tax-question": paused(9), "permit-status": paused(11)})
    with town.looking() as scene:
        figures = figures_of(scene.s)
        for what in ("paused_utility", "paused_utility_days", "paused_utility_half"):
            assert hidden(figures, what) == {"home-nuisance", "tax-question"}
            assert figures.of("service", "permit-status", what).value == (1 if what[-1] == "f" else 11)
            assert figures.of("city", "", what).value == (1 if what[-1] == "f" else 22)


def test_a_line_of_its_own_is_hidden_where_the_closings_are(town: Town) -> None:
    """Eight of eight were paused: it would say that the eight that hide a small number are no more."""
    few = {"closed": 1}
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        many(
            scene.s,
            {"home-nuisance": few, "tax-question": paused(8) | {"closed": 8}, "permit-status": paused(30)},
        )
    with town.looking() as scene:
        figures = figures_of(scene.s)
        assert hidden(figures, "closed") == {"home-nuisance", "tax-question"}
        assert hidden(figures, "paused_utility") == {"home-nuisance", "tax-question"}


def test_a_new_date_has_its_own_line_and_excuses_nothing(town: Town) -> None:
    with town.at_work() as scene:
        kept, missed = scene.report().case, scene.report().case
        for case in (kept, missed):
            corrections.reschedule(
                scene.s, case, "weather", town.now + 8 * DAY, by=scene.actor("supervisor"), at=town.now
            )
        closed(scene, kept, 7)
        closed(scene, missed, 9)
    assert told(town, "closed", "on_time", "new_date", "new_date_kept") == [2, 0, 2, 1]
