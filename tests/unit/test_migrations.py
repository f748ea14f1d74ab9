"""The migrations make exactly the tables that the code was written for, guards included."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from city import db
from city.schema import Base


@pytest.fixture
def old(unmigrated: Any) -> str:
    """The address of an empty database; of its owner where there is one."""
    return str(unmigrated.owner_url or unmigrated.url)


def test_the_migrated_database_is_the_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    with db.reading(engine) as s:
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
    db.migrate(old, to="0004")
    engine = db.connect(old)
    with engine.begin() as connection:
        for line in (
            "INSERT INTO persons (id, email, name, lang) VALUES (1, 'l@x.test', 'Luis', 'en')",
            "INSERT INTO devices (id, person_id, token_hash, enrolled_at, seen_at) "
            "VALUES ('d', 1, 'h', '2026-05-01', '2026-05-01')",
            "INSERT INTO operations (id, device_id, person_id, n, t, case_ref, body_hash, result, raw, "
            "received_at) VALUES ('o', 'd', 1, 1, '', '', 'b', '{\"result\": \"quarantined\"}', '{}', "
            "'2026-05-01')",
        ):
            connection.execute(text(line))
    db.migrate(old)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT code, review, device_id FROM operations")).all() == [
            ("quarantined", "quarantined", "d")
        ]
    engine.dispose()


def test_the_ground_of_an_older_version_keeps_its_rows_and_their_indexes(old: str) -> None:
    db.migrate(old, to="0016")
    engine = db.connect(old)
    with engine.begin() as connection:
        for line in (
            "INSERT INTO streets (id, name, norm, line, kind, source_id, left_from, left_to) "
            "VALUES (4, 'Elm St', 'elm street', '[[0, 1], [0, 2]]', 'street', 'k', 1, 9)",
            "INSERT INTO addresses (id, label, norm, lat, lon, cell) VALUES (5, '1 Elm St', 'x', 1, 2, 'c')",
            "INSERT INTO crossings (id, label, norm, lat, lon) VALUES (6, 'Elm St & Oak Ave', 'x', 3, 4)",
        ):
            connection.execute(text(line))
    db.migrate(old)
    with engine.connect() as connection:
        street = connection.execute(text("SELECT name, source_id, left_to FROM streets WHERE id = 4")).one()
        address = connection.execute(text("SELECT label, cell FROM addresses WHERE id = 5")).one()
        crossing = connection.execute(text("SELECT label, lat, lon FROM crossings WHERE id = 6")).one()
        assert (tuple(street), tuple(address)) == (("Elm St", "k", 9), ("1 Elm St", "c"))
        assert tuple(crossing) == ("Elm St & Oak Ave", 3, 4)
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
