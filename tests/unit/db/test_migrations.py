"""The migrations make exactly the tables that the code was written for, guards included."""

import json
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, select, text

from city.cases import board_index
from city.cases import search as case_search
from city.db import engine as db
from city.db.models import Base, Case

pytestmark = pytest.mark.both_databases

WEST = {"type": "Polygon", "coordinates": [[[-72, 39], [-71, 39], [-71, 40], [-72, 39]]]}


def differences(connection: Connection) -> list[Any]:
    """Where the tables are not the schema's; the search's own indexes are unknown to SQLAlchemy."""

    def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
        return not (name or "").startswith(
            (
                "words_open",
                "words_ended",
                "ix_case_words_open",
                "ix_case_words_ended",
                "words_answers",
                "ix_answer_words_stems",
            )
        )

    context = MigrationContext.configure(connection, opts={"include_name": is_ours})
    return list(compare_metadata(context, Base.metadata))


@pytest.fixture
def old(unmigrated: Any) -> str:
    """The address of an empty database; of its owner where there is one."""
    return str(unmigrated.owner_url or unmigrated.url)


# The department and the kind of problem that cases of an older version need.
A_SERVICE = (
    "INSERT INTO departments (code, names, time_zone) VALUES ('works', '{}', 'UTC')",
    'INSERT INTO services (code, "group", names, chips, is_default, position, department_code, '
    "promise_days, questions, precision_m, private, urgent) VALUES "
    "('light', 'light', '{}', '{}', true, 1, 'works', 3, '[]', 0, false, false)",
)


def at_version(url: str, version: str, *lines: str) -> Engine:
    """A database as that migration left it, with these statements done in it."""
    db.migrate(url, to=version)
    engine = db.connect(url)
    with engine.begin() as connection:
        for line in lines:
            connection.exec_driver_sql(line)
    return engine


def test_the_migrated_database_is_the_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        assert differences(connection) == []
    with db.read_session(engine) as s:
        assert db.is_current(s)


def test_the_guards_of_the_log_are_there_after_every_migration(engine: Engine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    asked = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'" if sqlite else "SELECT tgname FROM pg_trigger"
    )
    with engine.connect() as connection:
        found = {name for (name,) in connection.execute(text(asked)) if name.startswith("events_no_")}
    wanted = {"update", "delete", "replace"} if sqlite else {"change", "truncate"}
    assert found == {f"events_no_{name}" for name in wanted}


def test_what_an_older_version_kept_is_there_after_the_migrations(old: str) -> None:
    engine = at_version(
        old,
        "0004",
        "INSERT INTO persons (id, email, name, lang) VALUES (1, 'l@x.test', 'Luis', 'en')",
        "INSERT INTO devices (id, person_id, token_hash, enrolled_at, seen_at) "
        "VALUES ('d', 1, 'h', '2026-05-01', '2026-05-01')",
        "INSERT INTO operations (id, device_id, person_id, n, t, case_ref, body_hash, result, raw, "
        "received_at) VALUES ('o', 'd', 1, 1, '', '', 'b', '{\"result\": \"quarantined\"}', '{}', "
        "'2026-05-01')",
    )
    db.migrate(old)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT code, review, device_id FROM operations")).all() == [
            ("quarantined", "quarantined", "d")
        ]
    engine.dispose()


def test_a_city_without_topics_has_one_for_each_department_and_another_keeps_its_own(old: str) -> None:
    engine = at_version(
        old,
        "0039",
        "INSERT INTO departments (code, names, time_zone) VALUES ('works', '{\"en\": \"Works\"}', 'UTC')",
    )
    db.migrate(old)
    rows = text("SELECT code, department_code, CAST(names AS TEXT) FROM topics")
    with engine.connect() as connection:
        assert connection.execute(rows).all() == [("works", "works", '{"en": "Works"}')]
    engine.dispose()


def test_the_ground_of_an_older_version_keeps_its_rows_and_their_indexes(old: str) -> None:
    engine = at_version(
        old,
        "0016",
        "INSERT INTO streets (id, name, norm, line, kind, source_id, left_from, left_to) "
        "VALUES (4, 'Elm St', 'elm street', '[[0, 1], [0, 2]]', 'street', 'k', 1, 9)",
        "INSERT INTO addresses (id, label, norm, lat, lon, cell) VALUES (5, '1 Elm St', 'x', 1, 2, 'c')",
        "INSERT INTO crossings (id, label, norm, lat, lon) VALUES (6, 'Elm St & Oak Ave', 'x', 3, 4)",
    )
    db.migrate(old)
    with engine.connect() as connection:
        street = connection.execute(text("SELECT name, source_id, left_to FROM streets WHERE id = 4")).one()
        address = connection.execute(text("SELECT label, cell FROM addresses WHERE id = 5")).one()
        crossing = connection.execute(text("SELECT label, lat, lon FROM crossings WHERE id = 6")).one()
        assert (tuple(street), tuple(address)) == (("Elm St", "k", 9), ("1 Elm St", "c"))
        assert tuple(crossing) == ("Elm St & Oak Ave", 3, 4)
        assert differences(connection) == []
    engine.dispose()


def test_the_cases_of_an_older_version_are_counted(old: str) -> None:
    engine = at_version(
        old,
        "0018",
        *A_SERVICE,
        "INSERT INTO crews (id, name) VALUES (4, 'Lights')",
        f"INSERT INTO areas (id, kind, name, geometry) VALUES (5, 'area', 'West', '{json.dumps(WEST)}')",
    )
    with engine.begin() as connection:
        for id_, state, lat, lon in (
            (1, "new", 39.6, -71.2), (2, "assigned", 39.6, -70), (3, "waiting", None, None),
            (4, "closed", 39.6, -71.2),
        ):  # fmt: skip
            connection.execute(
                text(
                    "INSERT INTO cases (id, number, service_code, state, cycle, version, lat, lon, "
                    "place_source, address, urgent, origin, opened_at, clock_from, promise_days, due_at, "
                    "risk_at, follow_on) "
                    "VALUES (:id, :id, 'light', :state, 1, 1, :lat, :lon, 'pin', '', false, 'live', "
                    "'2026-05-01 00:00:00.000000', '2026-05-01 00:00:00.000000', 3, "
                    "'2026-05-04 00:00:00.000000', '2026-05-03 00:00:00.000000', false)"
                ),
                {"id": id_, "state": state, "lat": lat, "lon": lon},
            )
        connection.execute(
            text(
                "INSERT INTO assignments (id, case_id, crew_id, cycle, given_at) "
                "VALUES (9, 2, 4, 1, '2026-05-01')"
            )
        )
    db.migrate(old)
    with db.read_session(engine) as s:
        assert board_index.differences(s) == []
        stands = s.execute(text("SELECT standing, rank, crew_id, area_id FROM cases ORDER BY id")).all()
        assert stands == [
            ("late", 2, None, 5),
            ("late", 2, 4, None),
            ("wait", 3, None, None),
            ("done", 4, None, 5),
        ]
    engine.dispose()


def test_the_letters_of_an_older_version_know_which_closing_they_told(old: str) -> None:
    """So that nobody is told of it again, and fourteen days count from the letter."""
    day = "'2026-05-01 00:00:00.000000'"
    told = f"'system', {day}, 'live'"
    engine = at_version(
        old,
        "0018",
        *A_SERVICE,
        *(
            "INSERT INTO cases (id, number, service_code, state, cycle, version, place_source, address, "
            "urgent, origin, opened_at, clock_from, promise_days, due_at, risk_at, follow_on) VALUES "
            f"({id_}, '26-{id_}', 'light', '{state}', 2, 1, 'pin', '', false, 'live', {day}, {day}, 3, "
            f"{day}, {day}, false)"
            for id_, state in ((1, "closed"), (2, "merged"))
        ),
        *(
            "INSERT INTO closures (id, case_id, cycle, outcome, words, done_at, closed_at) "
            f"VALUES ({6 + cycle}, 1, {cycle}, 'fixed', '', {day}, {day})"
            for cycle in (1, 2)
        ),
        "INSERT INTO reports (id, number, case_id, key, service_code, channel, lang, words, answers, "
        "place_source, address, danger, taken_at, origin) VALUES "
        f"(3, '26-1-A', 1, 'k', 'light', 'web', 'en', '', '{{}}', 'pin', '', false, {day}, 'live')",
        "INSERT INTO subscriptions (id, report_id, email, lang, asked_at) "
        f"VALUES (4, 3, 'ana@x.test', 'en', {day})",
        *(
            "INSERT INTO events (seq, subject, n, kind, actor, at, origin, facts, photos, prev, hash) "
            f"VALUES ({seq}, '{subject}', {seq}, '{kind}', {told}, '{json.dumps(facts)}', '[]', '', '')"
            for seq, subject, kind, facts in (
                (1, "case:1", "close", {"cycle": 1}),
                (2, "case:2", "merge", {"into": "26-1", "closed": True}),
                (3, "case:1", "reopen", {"cycle": 2}),
            )
        ),
        *(
            "INSERT INTO messages (id, event_seq, subscription_id, kind, tries) "
            f"VALUES ({seq}, {seq}, 4, '{kind}', 1)"
            for seq, kind in ((1, "closed"), (2, "closed"), (3, "reopened"))
        ),
    )
    db.migrate(old)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id, closure_id FROM messages ORDER BY id")).all()
        assert [tuple(row) for row in found] == [(1, 7), (2, 8), (3, None)]
    engine.dispose()


FOUND = [
    ("elm street", ["26-000001"]), ("main stre", ["26-000002"]), ("farola jose", ["26-000001"]),
    ("ana x.test", ["26-000001"]), ("101000777", ["26-000002"]), ("L-0042", ["26-000001"]),
    ("26-000001-A", ["26-000001"]), ("1", ["26-000001"]), ("taken back", []),
]  # fmt: skip


def test_the_cases_of_an_older_version_are_found_by_what_was_told(old: str) -> None:
    """By words, streets, poles, people and the numbers of another system; by migrations of their own."""
    day = "'2026-05-01 00:00:00.000000'"
    engine = at_version(
        old,
        "0027",
        *A_SERVICE,
        "INSERT INTO assets (id, kind, number, owner, lat, lon, cell, address) "
        "VALUES (5, 'pole', 'L-0042', '', 1, 2, 'c', '')",
        *(
            "INSERT INTO cases (id, number, service_code, state, cycle, version, place_source, address, "
            "asset_id, urgent, origin, opened_at, clock_from, promise_days, due_at, risk_at, follow_on, "
            f"rank) VALUES ({id_}, '26-00000{id_}', 'light', '{state}', 1, 1, 'pin', '{address}', "
            f"{asset}, false, 'live', {day}, {day}, 3, {day}, {day}, false, {rank})"
            for id_, state, address, asset, rank in (
                (1, "new", "12 Elm St", 5, 2),
                (2, "closed", "3 Main St.", "NULL", 4),
                (3, "undone", "", "NULL", 4),
            )
        ),
        *(
            "INSERT INTO reports (id, number, case_id, key, service_code, channel, lang, words, answers, "
            "place_source, address, danger, taken_at, origin) VALUES "
            f"({id_}, '26-00000{id_}-A', {id_}, 'k{id_}', 'light', 'web', 'en', '{words}', '{{}}', "
            f"'pin', '', false, {day}, 'live')"
            for id_, words in ((1, "La farola de José"), (2, "Flickers"), (3, "Taken back"))
        ),
        "INSERT INTO subscriptions (id, report_id, email, lang, asked_at) "
        f"VALUES (4, 1, 'ana@x.test', 'en', {day})",
        f"INSERT INTO import_runs (id, source, began_at, counts) VALUES (1, 'old', {day}, '{{}}')",
        "INSERT INTO imported (source, ref, run_id, case_id, digest) VALUES ('old', '101000777', 1, 2, '')",
    )
    db.migrate(old)
    with db.read_session(engine) as s:
        for typed, numbers in FOUND:
            found = {
                s.scalars(select(Case.number).where(Case.id == id_)).one()
                for live in (True, False)
                for id_ in s.scalars(case_search.ids(s, case_search.terms(typed), live=live))
            }
            assert sorted(found) == numbers, typed
    with db.transaction(engine) as s:
        assert case_search.recompute(s) == 0
    engine.dispose()


@pytest.mark.slow
def test_danger_that_an_older_version_let_wait_comes_first_again(old: str) -> None:
    day = "'2026-05-01'"
    rows = (
        (1, "waiting", "true", "wait", 3),
        (2, "waiting", "false", "wait", 3),
        (3, "new", "true", "ok", 0),
    )
    engine = at_version(
        old,
        "0039",
        *A_SERVICE,
        *(
            "INSERT INTO cases (id, number, service_code, state, cycle, version, place_source, address, "
            "urgent, origin, opened_at, clock_from, promise_days, due_at, risk_at, follow_on, raised, "
            "standing, rank) "
            f"VALUES ({id_}, '{id_}', 'light', '{state}', 1, 1, 'pin', '', {urgent}, "
            f"'live', {day}, {day}, 3, {day}, {day}, false, false, '{standing}', {rank})"
            for id_, state, urgent, standing, rank in rows
        ),
    )
    db.migrate(old)
    with db.read_session(engine) as s:
        assert s.execute(text("SELECT rank FROM cases ORDER BY id")).scalars().all() == [0, 3, 0]
    engine.dispose()
