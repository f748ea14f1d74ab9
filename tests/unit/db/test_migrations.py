"""The migrations make exactly the tables that the code was written for, guards included."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from city.db import engine as db
from city.db.models import Base

pytestmark = pytest.mark.both_databases


def differences(connection: Connection) -> list[Any]:
    """Where the tables are not the schema's; the search's own indexes are unknown to SQLAlchemy."""

    def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
        return not (name or "").startswith(
            (
                "words_open",
                "words_ended",
                "ix_case_words_open",
                "ix_case_words_ended",
                "words_articles",
                "ix_article_words_stems",
            )
        )

    context = MigrationContext.configure(connection, opts={"include_name": is_ours})
    return list(compare_metadata(context, Base.metadata))


@pytest.fixture
def old(unmigrated: Any) -> str:
    """The address of an empty database; of its owner where there is one."""
    return str(unmigrated.owner_url or unmigrated.url)


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


def test_a_database_of_before_the_first_release_is_refused_and_stays(old: str) -> None:
    db.migrate(old)
    engine = db.connect(old)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0044'"))
    with pytest.raises(db.BeforeFirst):
        db.migrate(old)
    with engine.connect() as connection:
        assert not db.is_newer(connection)
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0044"
        assert connection.execute(text("SELECT n FROM event_sequence")).scalar() == 0
    engine.dispose()


def test_migrations_lead_on_from_the_first_release_and_in_one_line() -> None:
    scripts = list(ScriptDirectory(str(db.MIGRATIONS)).walk_revisions())
    assert scripts[-1].revision == db.FIRST
    assert sorted((each.revision for each in scripts), reverse=True) == [each.revision for each in scripts]
