"""A city leaves its old system: open cases come along, changes follow, and a run can be undone."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from factories import SECRET, Scene, Town
from rivertown import MAPPING, NOW, put, table, take
from sqlalchemy import event, func, select

from bench import _rehearsal as rehearsal
from city import geo
from city.audit import erasure_ledger, events
from city.board import queries as board_queries
from city.board import tiles
from city.cases import board_index, duplicates, locks, not_duplicates, queries, sla, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import (
    Assignment,
    Case,
    Closure,
    Contact,
    Crew,
    Erasure,
    Event,
    EventDetail,
    IdempotencyKey,
    ImportChange,
    Imported,
    ImportRun,
    Message,
    NotDuplicate,
    Pause,
    Report,
    SecretLink,
    Subscription,
    SyncFeedRow,
    Topic,
)
from city.imports import mapping
from city.imports import runs as import_runs
from city.lifecycle import CANCELLED, CLOSED, MERGED, UNDONE, Refused
from city.lifecycle import OPEN as OPEN_STATES
from city.notifications import fan_out
from city.photos import storage
from city.reports import intake
from pwa.cli import imports

pytestmark = pytest.mark.both_databases

LATER = NOW + timedelta(days=2)
NEW_YORK = ZoneInfo("America/New_York")
OPEN = {"STATE": "Seen", "SEEN": "2026-03-03", "TEAM": "Bulbs", "MAIL": "Ann@Town.test", "NEWS": "yes"}
ENDED = (CLOSED, MERGED, CANCELLED)
DONE = {"STATE": "Closed", "CLOSED": "05/11/2026 09:00:00 AM", "DONE": "New lamp"}


@pytest.fixture(autouse=True)
def counted(town: Town) -> Iterator[None]:
    """Whatever comes, changes and is undone: at the end the board's counts are what the cases say."""
    yield
    with town.looking() as scene:
        assert board_index.differences(scene.s) == []


def test_an_open_case_comes_with_its_crew_its_due_date_and_who_wants_news(town: Town, tmp_path: Path) -> None:
    outcome = put(town, tmp_path, OPEN | {"TARGET": "06/01/2026 10:15:00 AM"})
    assert outcome.said == []
    with town.looking() as scene:
        case = scene.case("26-000001")
        held = transitions.live(case)
        (wish,) = case.reports[0].subscriptions
        assert (case.state, held and held.crew_id) == ("assigned", town.ids["lights"])
        assert case.due_at == datetime(2026, 6, 1, 14, 15, tzinfo=UTC)
        sla.refresh(case, NOW)
        assert case.due_at == datetime(2026, 6, 1, 14, 15, tzinfo=UTC)
        assert (wish.address, wish.confirmed_at) == ("ann@town.test", case.opened_at)
        (fed,) = scene.s.scalars(select(SyncFeedRow).where(SyncFeedRow.scope == f"crew:{town.ids['lights']}"))
        assert (fed.ref, fed.present) == ("26-000001", True)
        assert held is not None
        # PostgreSQL puts those of an import behind those that others are given in the same millisecond.
        late = (held.id >> 11) - int(NOW.timestamp() * 1000)
        assert late in (0, 1), "a phone names a job by its moment"
        assert events.verify(scene.s) == []


@pytest.mark.parametrize(
    ("target", "due"),
    [
        ("2026-06-01", "2026-06-01 17:00"),  # a day, which ends as ours do
        ("06/01/2026 12:00:00 AM", "2026-06-01 17:00"),
        ("06/01/2026 08:30:00 AM", "2026-06-01 08:30"),
        ("03/01/2026 08:30:00 AM", "2026-03-12 17:00"),  # before it was opened: no promise but the service's
        ("", "2026-03-12 17:00"),
    ],
)
def test_due_is_what_was_promised_over_there(town: Town, tmp_path: Path, target: str, due: str) -> None:
    put(town, tmp_path, {"TARGET": target})
    with town.looking() as scene:
        local = scene.case("26-000001").due_at.astimezone(NEW_YORK)
    assert f"{local:%Y-%m-%d %H:%M}" == due


def test_the_clock_stands_for_a_promise_of_over_there_as_for_ours(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {"TARGET": "06/01/2026 10:00:00 AM"})
    due = datetime(2026, 6, 1, 14, tzinfo=UTC)
    with town.at_work() as scene:
        case, by = scene.case("26-000001"), scene.actor("dispatcher")
        transitions.wait(scene.s, case, "utility", by=by, at=NOW)
        transitions.resume(scene.s, case, by=by, at=NOW + timedelta(days=3))
        assert case.due_at == due + timedelta(days=3)
        scene.report(
            service_code="rivertown:lamp-out", danger=True, join=case.number,
            place=intake.Place(39.6, -71.2, "pin"), at=NOW + timedelta(days=3),
        )  # fmt: skip
        assert case.urgent
        assert case.due_at < due, "danger does not wait for anybody's promise"


def test_a_reopened_case_is_due_when_they_say(town: Town, tmp_path: Path) -> None:
    again = {"CLOSED": "2026-03-04", "AGAIN": "2026-03-09"}
    put(town, tmp_path, again | {"TARGET": "06/01/2026 10:00:00 AM"})
    with town.looking() as scene:
        assert scene.case("26-000001").due_at == datetime(2026, 6, 1, 14, tzinfo=UTC)


def test_a_crew_that_is_not_here_is_told_and_comes_with_the_next_run(town: Town, tmp_path: Path) -> None:
    rows = OPEN | {"TEAM": "Ladders"}, {"ID": "102", "TEAM": "Ladders"}, {"ID": "103", "TEAM": "L", **DONE}
    outcome = put(town, tmp_path, *rows)
    assert outcome.more["without_crew"] == 2
    assert outcome.said[0].startswith(
        "There's no crew 'Ladders' here, so 2 of its open cases were imported without one."
    )
    with town.at_work() as scene:
        assert scene.case("26-000001").state == "accepted"
    text = MAPPING.replace('Bulbs = "lights"', 'Ladders = "lights"')
    again = put(town, tmp_path, *rows, text=text)
    assert (again.more["updated"], again.unchanged, again.said) == (2, 1, [])
    with town.looking() as scene:
        assert [scene.case(f"26-00000{n}").state for n in (1, 2)] == ["assigned", "assigned"]


def test_jobs_of_one_moment_have_ids_of_their_own(town: Town, tmp_path: Path) -> None:
    jobs = [{"ID": str(n), "TEAM": "Bulbs"} for n in range(6)]
    put(town, tmp_path, *jobs[:3], *({"ID": str(n)} for n in range(3, 6)))
    assert put(town, tmp_path, *jobs).more["updated"] == 3
    with town.looking() as scene:
        assert len(set(scene.s.scalars(select(Assignment.id)))) == 6


def test_a_crew_of_ours_needs_no_line_in_the_mapping(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {"TEAM": "trees"})
    with town.looking() as scene:
        assert scene.case("26-000001").assignments[0].crew_id == town.ids["trees"]


def test_only_who_consented_over_there_hears_of_a_closing_here(town: Town, tmp_path: Path) -> None:
    put(
        town, tmp_path, OPEN, OPEN | {"ID": "102", "MAIL": "bo@town.test", "NEWS": "no"},
        OPEN | {"ID": "103", "MAIL": "not an address"}, OPEN | DONE | {"ID": "104", "MAIL": "cy@town.test"},
    )  # fmt: skip
    with town.at_work() as scene:
        assert fan_out.process_events(scene.s, NOW) > 0
        assert scene.s.scalars(select(Message)).all() == []
        assert scene.s.scalars(select(Subscription.address).order_by(Subscription.id)).all() == [
            "ann@town.test", "bo@town.test",
        ]  # fmt: skip
        for number in ("26-000001", "26-000002", "26-000003"):
            close(scene, scene.case(number))
    with town.at_work() as scene:
        fan_out.process_events(scene.s, LATER)
        (message,) = scene.s.scalars(select(Message))
        assert (message.kind, message.subscription.address) == ("closed", "ann@town.test")
        report = scene.case("26-000001").reports[0]
        assert intake.by_token(scene.s, intake.token_for(SECRET, report.key)) is report
        assert len(scene.s.scalars(select(SecretLink)).all()) == 1


def test_an_imported_address_can_be_erased_and_stays_erased(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, OPEN)
    with town.at_work() as scene:
        store, var = storage.open_store(town.settings), town.settings.var
        report = scene.case("26-000001").reports[0]
        intake.erase(scene.s, report, store, var, by=scene.actor("dispatcher"), at=NOW)
    again = put(town, tmp_path, OPEN | {"WORDS": "No light. Call Ann"}, at=LATER)
    assert again.more["touched"] == 1
    with town.at_work() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []
        assert scene.case("26-000001").reports[0].words == ""
    assert canaries(town, "ann@town.test") == []


def test_words_that_came_later_go_with_an_erasure_as_well(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {"STAFF": "Fuse"})
    put(town, tmp_path, {"WORDS": "No light\nRing Ann", "STAFF": "Fuse"}, at=LATER)
    assert canaries(town, "Ring Ann") == ["event_details"]
    with town.at_work() as scene:
        store, var = storage.open_store(town.settings), town.settings.var
        report = scene.case("26-000001").reports[0]
        intake.erase(scene.s, report, store, var, by=scene.actor("dispatcher"), at=LATER)
    assert canaries(town, "Ring Ann", "No light") == []
    assert canaries(town, "Fuse") == ["event_details"], "what staff wrote is not the reporter's"


def test_what_was_erased_before_a_restore_lost_it_is_not_imported_again(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, OPEN)
    with town.at_work() as scene:
        key = scene.case("26-000001").reports[0].key
        import_runs.undo(scene.s, 1, at=NOW)  # as if the database were older than the import
        scene.s.add(Erasure(key=erasure_ledger.hashed(key), at=NOW, seqs=[], photos=[]))
    again = put(town, tmp_path, OPEN, {"ID": "102"})
    assert (again.imported, again.rejected) == (1, 1)
    assert "its report was erased here" in Path(str(again.side_file)).read_text()


CHANGES: dict[str, tuple[dict[str, str], dict[str, str], str, list[str]]] = {
    "closed": (OPEN, OPEN | DONE, "closed", ["close"]),
    "seen": ({}, {"STATE": "Seen", "SEEN": "05/11/2026 09:00:00 AM"}, "accepted", ["accept"]),
    "given": ({}, {"TEAM": "Bulbs"}, "assigned", ["assign"]),
    "given to others": (OPEN, OPEN | {"TEAM": "trees"}, "assigned", ["assign"]),
    "taken away": (OPEN, OPEN | {"TEAM": ""}, "accepted", ["unassign"]),
    "withdrawn": (OPEN, OPEN | {"STATE": "Withdrawn"}, "cancelled", ["cancel"]),
    "restored": ({"STATE": "Withdrawn"}, {}, "accepted", ["restore"]),
    "reopened": (
        DONE,
        {"STATE": "Open", "CLOSED": DONE["CLOSED"], "AGAIN": "05/12/2026 08:00:00 AM"},
        "accepted",
        ["reopen"],
    ),
    "reopened and closed again": (
        DONE | {"CLOSED": "2026-05-01"},
        DONE | {"CLOSED": "2026-05-10", "AGAIN": "2026-05-05"},
        "closed",
        ["reopen", "close"],
    ),
    "closed and reopened in between": (
        {},
        {"CLOSED": "2026-05-05", "AGAIN": "2026-05-07"},
        "accepted",
        ["close", "reopen"],
    ),
    "promised anew": ({}, {"TARGET": "06/03/2026 09:00:00 AM"}, "new", ["promise"]),
    "words added": ({}, {"WORDS": "No light\nStill none"}, "new", ["note"]),
    "staff wrote": ({"STAFF": "Sent Jo"}, {"STAFF": "Sent Jo\nFuse"}, "new", ["note"]),
    "moved": ({}, {"LAT": "39.61"}, "new", ["place"]),
    "found": ({"LAT": "", "LON": ""}, {"LAT": "39.61"}, "new", ["place"]),
    "lost": ({}, {"LAT": "39.65", "LON": "-71.25", "AREA": "Somewhere"}, "new", ["place"]),
    "told by another address": (OPEN, OPEN | {"STREET": "", "AREA": "New Port"}, "assigned", ["place"]),
    "another kind of problem": (OPEN, OPEN | {"TYPE": "Wire down"}, "assigned", ["service"]),
    "moved and closed": (OPEN, OPEN | DONE | {"LAT": "39.61"}, "closed", ["place", "close"]),
    "wants news": ({}, {"MAIL": "ann@town.test", "NEWS": "yes"}, "new", ["subscribe"]),
    "wants no news": (OPEN, OPEN | {"NEWS": "no"}, "assigned", ["stop news"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_delta_brings_what_changed_and_its_undoing_takes_it_back(
    town: Town, tmp_path: Path, change: str
) -> None:
    before, after, state, kinds = CHANGES[change]
    put(town, tmp_path, before, {"ID": "102"})
    first = rows_of(town)
    with town.looking() as scene:
        lines = len(queries.case_events(scene.s, scene.case("26-000001")))
    outcome = put(town, tmp_path, after, {"ID": "102"}, {"ID": "103"}, at=LATER)
    assert outcome.counts() | {"outside": 0} == {
        "read": 3, "imported": 1, "rejected": 0, "unlocated": 0, "unchanged": 1, "updated": 1, "outside": 0,
    }  # fmt: skip
    second = rows_of(town)
    assert second != first
    with town.at_work() as scene:
        case = scene.case("26-000001")
        story = queries.case_events(scene.s, case)[lines:]
        assert (case.state, [line.kind for line, _words in story]) == (state, kinds)
        assert {line.origin for line, _words in story} == {"import"}
        assert events.verify(scene.s) == []
        fan_out.process_events(scene.s, LATER)
        assert scene.s.scalars(select(Message)).all() == []
    assert put(town, tmp_path, after, {"ID": "102"}, {"ID": "103"}, at=LATER).unchanged == 3

    with town.at_work() as scene:
        assert import_runs.undo(scene.s, 2, at=LATER) == import_runs.Undone(removed=1, put_back=1)
    assert rows_of(town) == first
    with town.looking() as scene:
        assert events.verify(scene.s) == []
        story = queries.case_events(scene.s, scene.case("26-000001"))
        assert story[-1][0].kind == "undo"
        assert not any(words for _line, words in story[lines:]), "neither words nor places"
    assert put(town, tmp_path, after, {"ID": "102"}, {"ID": "103"}, at=LATER).more["updated"] == 1
    again = rows_of(town)
    assert [again[number][:-1] for number in first] == [second[number][:-1] for number in first]


def test_a_delta_and_a_fresh_import_come_to_the_same(town: Town, tmp_path: Path) -> None:
    names = list(CHANGES)
    put(town, tmp_path, *(CHANGES[name][0] | {"ID": str(n)} for n, name in enumerate(names)))
    later = [CHANGES[name][1] | {"ID": str(n)} for n, name in enumerate(names)]
    put(town, tmp_path, *later, at=LATER)
    by_delta = states(town)
    with town.at_work() as scene:
        for run in (2, 1):
            import_runs.undo(scene.s, run, at=LATER)
    put(town, tmp_path, *later, at=LATER)
    afresh = states(town)
    # Whether a case that was withdrawn and is new again was read, only the delta knows.
    assert by_delta.pop(names.index("restored")) == ("accepted", None)
    assert afresh.pop(names.index("restored")) == ("new", None)
    assert by_delta == afresh


def test_a_case_that_came_to_another_place_or_kind_follows_the_rules_of_both(
    town: Town, tmp_path: Path
) -> None:
    put(town, tmp_path, OPEN)
    put(town, tmp_path, OPEN | {"LAT": "39.61", "AREA": "New Port", "TYPE": "Wire down"}, at=LATER)
    with town.looking() as scene:
        case = scene.case("26-000001")
        assert (case.lat, case.lon, case.address) == (39.61, -71.2, "New Port")
        assert case.cell == geo.cell(geo.Point(39.61, -71.2))
        assert case.service.names == {"en": "Wire down"}
        report = case.reports[0]
        assert (report.lat, report.address) == (39.6, "Old Port"), "a report stays as it was told"
        told = [words for line, words in queries.case_events(scene.s, case) if line.kind == "place"]
        assert told == [{"address": "New Port", "lat": 39.61, "lon": -71.2}]
        (fed,) = scene.s.scalars(select(SyncFeedRow).where(SyncFeedRow.scope == f"crew:{town.ids['lights']}"))
        assert fed.present, "the crew hears of it"
        assert queries.public(scene.s, now=LATER, number="26-000001")[0].address == "New Port"


def test_only_what_was_added_becomes_a_note_however_often(town: Town, tmp_path: Path) -> None:
    for words in ("No light", "No light\nStill none", "No light\nStill none\nNow sparks", "All anew"):
        put(town, tmp_path, {"WORDS": words}, at=LATER)
    with town.looking() as scene:
        case = scene.case("26-000001")
        assert case.reports[0].words == "Dark\nNo light", "a report stays as it was told"
        notes = [words["note"] for line, words in queries.case_events(scene.s, case) if line.kind == "note"]
    assert notes == ["Still none", "Now sparks", "Dark\nAll anew"]
    with town.looking() as scene:
        (sight,) = queries.public(scene.s, now=NOW, number="26-000001")
        assert sight.tellings == []


def by_note(scene: Scene, case: Case) -> None:
    transitions.note(scene.s, case, "Seen it", by=scene.actor("dispatcher"), at=NOW)


def by_showing(scene: Scene, case: Case) -> None:
    intake.show(scene.s, case.reports[0], by=scene.actor("dispatcher"), at=NOW)


def close(scene: Scene, case: Case) -> None:
    transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=LATER)


TOUCHES = [by_note, by_showing, close]


@pytest.mark.parametrize("touch", TOUCHES)
def test_what_people_here_have_touched_is_left_alone_and_told(
    town: Town, tmp_path: Path, touch: Callable[[Scene, Case], None]
) -> None:
    put(town, tmp_path, OPEN, {"ID": "102"})
    with town.at_work() as scene:
        touch(scene, scene.case("26-000001"))
    before = rows_of(town)
    later = OPEN | {"TEAM": "trees"}, {"ID": "102"}
    for _ in range(2):
        outcome = put(town, tmp_path, *later, at=LATER)
        assert (outcome.unchanged, outcome.more["touched"], "updated" in outcome.more) == (1, 1, False)
        edited = "changed in the other system, but people here have edited it, so it wasn't updated."
        assert outcome.said == [f"26-000001 ('101') {edited}"]
        side = Path(str(outcome.side_file)).read_text().splitlines()
        assert side[1].startswith(f'2,"26-000001 {edited}",')
        assert len(side) == 2
    assert rows_of(town) == before
    with town.at_work() as scene, pytest.raises(Refused) as refused:
        import_runs.undo(scene.s, 1, at=LATER)
    assert (refused.value.code, refused.value.facts) == ("run_touched", {"numbers": ["26-000001"]})
    assert rows_of(town) == before


def test_who_stopped_the_news_here_is_not_signed_up_again(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, OPEN)
    with town.at_work() as scene:
        (wish,) = scene.case("26-000001").reports[0].subscriptions
        intake.stop(scene.s, wish, at=NOW)
    outcome = put(town, tmp_path, OPEN | {"TEAM": "trees"}, at=LATER)
    assert outcome.more["updated"] == 1, "the case itself nobody has touched"
    with town.at_work() as scene:
        (wish,) = scene.case("26-000001").reports[0].subscriptions
        assert wish.stopped_at == NOW
        with pytest.raises(Refused, match="run_touched"):  # a new import would sign them up again
            import_runs.undo(scene.s, 2, at=LATER)


@pytest.mark.parametrize(
    ("stops", "stopped"),
    [((), False), (("before",), True), (("between",), True), (("before", "between"), True)],
)
def test_a_consent_given_again_over_there_counts_unless_it_was_stopped_here(
    town: Town, tmp_path: Path, stops: tuple[str, ...], stopped: bool
) -> None:
    def by_its_reader(when: str) -> None:
        with town.at_work() as scene:
            (wish,) = scene.case("26-000001").reports[0].subscriptions
            if when in stops:
                intake.stop(scene.s, wish, at=NOW)

    put(town, tmp_path, OPEN)
    by_its_reader("before")
    put(town, tmp_path, OPEN | {"NEWS": "no"}, at=LATER)
    by_its_reader("between")
    put(town, tmp_path, OPEN, at=LATER)
    with town.at_work() as scene:
        (wish,) = scene.case("26-000001").reports[0].subscriptions
        assert (wish.stopped_at is not None) == stopped
        close(scene, scene.case("26-000001"))
    with town.at_work() as scene:
        fan_out.process_events(scene.s, LATER)
        assert len(scene.s.scalars(select(Message)).all()) == (0 if stopped else 1)


def test_a_case_that_somebody_called_about_is_not_undone(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {})
    with town.at_work() as scene:
        case = scene.case("26-000001")
        scene.s.add(Topic(code="lights", names={"en": "Lights"}, department_code="works"))
        scene.s.flush()
        scene.s.add(
            Contact(
                key="k", channel="phone", began_at=NOW, seconds=60, topic_code="lights", lang="en",
                outcome="case", case_id=case.id,
            )
        )  # fmt: skip
    with town.at_work() as scene, pytest.raises(Refused, match="run_touched"):
        import_runs.undo(scene.s, 1, at=LATER)


def test_what_a_run_brought_is_gone_when_it_is_undone(town: Town, tmp_path: Path) -> None:
    with town.at_work() as scene:
        assert scene.report().case.number == "26-000001"
    before = rows_of(town)
    put(town, tmp_path, OPEN, DONE | {"ID": "102", "STAFF": "Fuse"}, {"ID": "103", "STATE": "Withdrawn"})
    with town.at_work() as scene:
        assert import_runs.undo(scene.s, 1, at=LATER) == import_runs.Undone(removed=3, put_back=0)
    with town.looking() as scene:
        s = scene.s
        assert s.scalars(select(Case.state).order_by(Case.id)).all() == ["new", *["undone"] * 3]
        for kind in (Imported, Subscription, Closure, Assignment, Pause):
            assert s.scalars(select(kind)).all() == [], kind
        assert [len(s.scalars(select(kind)).all()) for kind in (Report, IdempotencyKey, SecretLink)] == [
            1,
            1,
            1,
        ]
        assert s.scalars(select(Case.address).where(Case.state == "undone").distinct()).all() == [""]
        assert queries.by_number(s, "26-000002") is queries.by_reference(s, "26-000002") is None
        assert queries.public(s, now=NOW, number="26-000002") == []
        assert [sight.number for sight in queries.public(s, now=NOW)] == ["26-000001"]
        assert board_queries.count(s, board_queries.View(), now=NOW) == 1
        everywhere = queries.public_counts(s, states=(*OPEN_STATES, *ENDED)).values()
        assert sum(count for count, _passed in everywhere) == 1
        assert sum(tiles.extent(s, board_queries.View(state=state), now=NOW).total for state in ENDED) == 0
        (fed,) = s.scalars(select(SyncFeedRow).where(SyncFeedRow.scope == f"crew:{town.ids['lights']}"))
        assert (fed.ref, fed.present) == ("26-000002", False)
        assert events.verify(s) == []
        assert [line.facts for line in s.scalars(select(Event).where(Event.subject == "import:1"))][-1] == {
            "run": 1, "removed": 3, "put_back": 0,
        }  # fmt: skip
    assert canaries(town, "Fuse", "No light", "ann@town.test") == []
    assert rows_of(town) == before
    put(town, tmp_path, OPEN, DONE | {"ID": "102", "STAFF": "Fuse"}, {"ID": "103", "STATE": "Withdrawn"})
    with town.looking() as scene:
        assert scene.s.scalars(select(Case.number).where(Case.state != "undone").order_by(Case.id)).all() == [
            "26-000001", "26-000005", "26-000006", "26-000007",
        ]  # fmt: skip
        assert events.verify(scene.s) == []


def test_an_imported_case_bears_no_mark_and_its_drawer_lists_what_may_be_the_same(
    town: Town, tmp_path: Path
) -> None:
    put(town, tmp_path, {}, {"ID": "102"})
    with town.looking() as scene:
        later = scene.case("26-000002")
        assert later.twin_id is None
        assert [found.number for found in duplicates.candidates_for_case(scene.s, later)] == ["26-000001"]
    with town.at_work() as scene:
        first, later, by = scene.case("26-000001"), scene.case("26-000002"), scene.actor("dispatcher")
        for verb in (not_duplicates.mark_not_duplicate, not_duplicates.unmark_not_duplicate):
            assert verb(scene.s, first, later, by=by, at=NOW)
            assert (first.twin_id, later.twin_id) == (None, None)


def test_what_was_told_apart_hears_of_changes_and_can_be_undone(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, OPEN)
    put(town, tmp_path, {"ID": "102"})
    with town.at_work() as scene:
        one, other, by = scene.case("26-000001"), scene.case("26-000002"), scene.actor("dispatcher")
        not_duplicates.mark_not_duplicate(scene.s, one, other, by=by, at=NOW)
    outcome = put(town, tmp_path, OPEN | DONE, at=LATER)
    with town.at_work() as scene:
        assert (outcome.said, scene.case("26-000001").state) == ([], CLOSED)
        import_runs.undo(scene.s, 3, at=LATER)
        assert scene.case("26-000001").state == "assigned"
        assert duplicates.is_not_duplicate(scene.s, scene.case("26-000001"))
    for run in (2, 1):
        with town.at_work() as scene:
            import_runs.undo(scene.s, run, at=LATER)
            assert not scene.s.scalars(select(NotDuplicate)).all()
    with town.looking() as scene:
        assert events.verify(scene.s) == []


def test_what_seemed_to_repeat_an_undone_case_repeats_nothing(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {})
    with town.at_work() as scene:
        live = scene.report().case
        live.twin_id = scene.case("26-000001").id
    with town.at_work() as scene:
        import_runs.undo(scene.s, 1, at=LATER)
    with town.looking() as scene:
        assert scene.case("26-000002").twin_id is None


def test_undoing_takes_its_cases_in_the_order_in_which_verbs_do(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {})
    put(town, tmp_path, OPEN, {"ID": "102"})

    def undo() -> None:
        with town.at_work() as scene:
            import_runs.undo(scene.s, 2, at=LATER)

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            locks.lock(scene.s, scene.case("26-000001"))
            undoing = pool.submit(undo)
            town.await_waiting()
            locks.lock(scene.s, scene.case("26-000002"))
        undoing.result()
    assert len(rows_of(town)) == 1


def test_undoing_names_the_cases_that_it_takes(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, OPEN, {"ID": "102"})
    with town.at_work() as scene:
        asked: list[str] = []
        event.listen(scene.s.connection(), "before_cursor_execute", lambda *told: asked.append(told[2]))
        import_runs.undo(scene.s, 1, at=LATER)
    assert not [each for each in asked if "FROM imported" in each and " OR cases." in each], "reads all"


def test_no_move_leads_from_a_case_that_was_undone(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {})
    with town.at_work() as scene:
        import_runs.undo(scene.s, 1, at=LATER)
    with town.at_work() as scene:
        case = scene.s.scalars(select(Case)).one()
        for verb in (transitions.accept, transitions.reopen, transitions.restore):
            with pytest.raises(Refused, match="wrong_state"):
                verb(scene.s, case, by=scene.actor("dispatcher"), at=LATER)
        with pytest.raises(Refused, match="wrong_state"):
            transitions.merge(scene.s, scene.report().case, case, by=scene.actor("dispatcher"), at=LATER)


@pytest.mark.parametrize(
    ("run", "code"), [(9, "unknown_run"), (1, "run_built_on"), (3, "run_undone")]
)  # fmt: skip
def test_a_run_that_cannot_be_undone_says_why(town: Town, tmp_path: Path, run: int, code: str) -> None:
    put(town, tmp_path, {})
    put(town, tmp_path, {"STATE": "Seen"})
    put(town, tmp_path, {"STATE": "Seen"}, {"ID": "102"})
    with town.at_work() as scene:
        import_runs.undo(scene.s, 3, at=LATER)
    with town.at_work() as scene, pytest.raises(Refused, match=code):
        import_runs.undo(scene.s, run, at=LATER)


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(town, tmp_path, OPEN)
    before = rows_of(town)
    file = table(tmp_path, OPEN | DONE, {"ID": "102"}, {"ID": ""}, {"ID": "103", "TEAM": "Ladders"})
    how, there = str(tmp_path / "rivertown.toml"), sorted(tmp_path.glob("*.*"))
    assert imports.requests(town.engine, town.settings, file, how, None, dry_run=True) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    said = json.loads(last)
    assert said.pop("dry_run") is True
    assert "line 4: has no number" in lines
    assert any("no crew 'Ladders'" in line for line in lines)
    assert said["side_file"] is None
    assert sorted(tmp_path.glob("*.*")) == there
    assert rows_of(town) == before
    with db.read_session(town.engine) as s:
        assert s.scalar(select(func.count()).select_from(ImportRun)) == 1
    assert imports.requests(town.engine, town.settings, file, how, None) == 0
    real = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {**real, "side_file": None} == said


def test_runs_are_listed_and_undone_from_the_command_line(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(number: int) -> tuple[int, dict[str, object]]:
        code = imports.undo(town.engine, number)
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    put(town, tmp_path, {}, {"ID": "102"})
    put(town, tmp_path, {"STATE": "Seen"}, {"ID": "102"})
    with town.at_work() as scene:
        by_note(scene, scene.case("26-000002"))
    assert run(2) == (0, {"import": "undo", "run": 2, "removed": 0, "put_back": 1})
    code, said = run(1)
    assert (code, said["error"], said["touched"]) == (1, "run_touched", ["26-000002"])
    imports.runs(town.engine, town.settings)
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.startswith("2  rivertown  ")
    assert "1 unchanged, 1 updated" in newest
    assert "undone" in newest
    assert "2 imported" in oldest
    assert "undone" not in oldest


@pytest.mark.slow
def test_a_cut_over_is_rehearsed_with_a_real_city(town: Town, real_data: Path, tmp_path: Path) -> None:
    rows = rehearsal.table(real_data)
    how = mapping.load(str(rehearsal.mapping(tmp_path)))
    first = list(rehearsal.as_of(rows, rehearsal.FIRST))
    second = list(rehearsal.as_of(rows, rehearsal.SECOND))
    file = tmp_path / "export.csv"
    with town.at_work() as scene:
        for name in rehearsal.CREWS:
            scene.s.add(Crew(name=name))

    def run(export: list[rehearsal.Row], day: datetime) -> dict[str, int]:
        outcome = take(town, rehearsal.export(export, file), how, at=day)
        assert outcome.read == len(export)
        counts = outcome.counts()
        parts = ("imported", "rejected", "unchanged", "updated", "touched")
        assert counts["read"] == sum(counts.get(part, 0) for part in parts)
        return counts

    day_one, day_two = rehearsal.FIRST, rehearsal.SECOND
    assert run(first, day_one)["imported"] == len(first)
    assert run(first, day_one)["unchanged"] == len(first)
    before = rows_of(town)
    check_against(town, first)
    delta = run(second, day_two)
    assert delta["imported"] == len(second) - len(first)
    assert delta["updated"] > 400
    assert run(second, day_two)["unchanged"] == len(second)
    after = rows_of(town)
    check_against(town, second)
    with town.at_work() as scene:
        undone = import_runs.undo(scene.s, 3, at=day_two)
        assert undone == import_runs.Undone(delta["imported"], delta["updated"])
    assert rows_of(town) == before
    assert run(second, day_two) == delta
    again = rows_of(town)
    assert [again[number][:-1] for number in before] == [after[number][:-1] for number in before]
    with town.at_work() as scene:
        for number in (5, 1):
            import_runs.undo(scene.s, number, at=day_two)
    assert run(second, day_two)["imported"] == len(second)
    check_against(town, second)
    with db.read_session(town.engine) as s:
        assert events.verify(s) == []


def check_against(town: Town, export: list[rehearsal.Row]) -> None:
    with db.read_session(town.engine) as s:
        assert rehearsal.differences(s, export) == []


def rows_of(town: Town) -> dict[str, list[object]]:
    """Everything of every case that an import may bring or change, by its number."""
    with db.read_session(town.engine) as s:
        found: dict[str, list[object]] = {}
        for case in s.scalars(select(Case).where(Case.state != UNDONE).order_by(Case.id)):
            wishes = select(Subscription).join(Report, Report.id == Subscription.report_id)
            found[case.number] = [
                case.state, case.lat, case.lon, case.cell, case.place_source, case.service_code,
                case.promise_days, case.cycle, case.due_at, case.risk_at,
                case.closed_at, case.outcome, case.address,
                [(row.crew_id, row.ended_at, row.ended_why) for row in case.assignments],
                [(row.why, row.began_at, row.ended_at) for row in case.pauses],
                [(row.cycle, row.outcome, row.closed_at) for row in case.closures],
                [(row.words, row.shown_at, row.erased_at) for row in case.reports],
                [
                    (row.address, row.confirmed_at, row.stopped_at)
                    for row in s.scalars(wishes.where(Report.case_id == case.id).order_by(Subscription.id))
                ],
                list(s.scalars(select(ImportChange.run_id).where(ImportChange.case_id == case.id))),
            ]  # fmt: skip
    return found


def states(town: Town) -> dict[int, tuple[str, datetime | None]]:
    with db.read_session(town.engine) as s:
        asked = select(Imported.ref, Case.state, Case.closed_at).join(Case, Case.id == Imported.case_id)
        return {int(ref): (state, closed_at) for ref, state, closed_at in s.execute(asked)}


def canaries(town: Town, *words: str) -> list[str]:
    """The tables in which any of these words still stands."""
    found = []
    with db.read_session(town.engine) as s:
        for kind, column in ((EventDetail, EventDetail.text), (Subscription, Subscription.address)):
            found += [
                kind.__tablename__
                for word in words
                if s.scalars(select(column).where(column.contains(word))).all()
            ]
    return found
