"""The migrations make exactly the tables that the code was written for, guards included."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from city import db
from city.schema import Base


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
