"""The log refuses change, finds it where somebody got around that, and can forget words without breaking."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from factories import SECRET, Town
from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from city.audit import events
from city.audit.events import GENESIS, chained
from city.cases import transitions
from city.db import engine as db
from city.db.models import Base, ChainTip, Event, EventDetail, EventSequence
from city.photos import photos, storage
from city.reports import intake
from city.settings import Settings

pytestmark = pytest.mark.both_databases


def lived(town: Town) -> list[str]:
    """Three cases with stories; returns their subjects."""
    with town.at_work() as scene:
        by, subjects = scene.actor("dispatcher"), []
        for words in ("Dark since Monday", "Two poles", "Flickers at night"):
            case = scene.report(words=words).case
            transitions.accept(scene.s, case, by=by, at=town.now)
            transitions.note(scene.s, case, "Called the depot", by=by, at=town.now)
            subjects.append(transitions.subject(case))
    return subjects


def faults(town: Town, kept: list[str] | None = None) -> list[str]:
    with town.looking() as scene:
        return events.verify(scene.s, kept or [])


def kept_root(town: Town) -> list[str]:
    with town.at_work() as scene:
        events.seal_day(scene.s, town.now.date())
    with town.looking() as scene:
        return list(events.daily_root_file(scene.s))


@contextmanager
def intruder(town: Town) -> Iterator[Connection]:
    """Somebody with the owner's rights who switches the guards off first."""
    engine = create_engine(town.settings.database_owner_url or town.settings.database_url, poolclass=NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for name in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER events_no_{name}"))
        else:
            connection.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
        yield connection


def rewrite(connection: Connection, subject: str, n: int) -> None:
    """Changes one line's facts and recomputes every hash from there on, head included."""
    rows = connection.execute(
        select(Event.__table__).where(Event.subject == subject).order_by(Event.n)
    ).mappings()
    prev = GENESIS
    for row in list(rows):
        event = Event(**(dict(row) | {"prev": prev}))
        if event.n == n:
            event.kind = "cancel"
        prev = chained(event)
        connection.execute(
            Event.__table__.update()
            .where(Event.__table__.c.seq == event.seq)
            .values(kind=event.kind, prev=event.prev, hash=prev)
        )
    connection.execute(
        ChainTip.__table__.update().where(ChainTip.__table__.c.subject == subject).values(hash=prev)
    )


def test_a_log_left_alone_is_whole(town: Town) -> None:
    lived(town)
    assert faults(town) == []
    assert faults(town, kept_root(town)) == []


def test_a_dropped_last_line_is_named(town: Town) -> None:
    _, subject, _ = lived(town)
    with intruder(town) as connection:
        last = connection.scalar(select(func.max(Event.n)).where(Event.subject == subject))
        connection.execute(
            text("DELETE FROM events WHERE subject = :s AND n = :n"), {"s": subject, "n": last}
        )
    assert faults(town) == [f"{subject}: its last line should be {last}, but is {last - 1}"]


def test_a_dropped_last_line_is_named_by_the_kept_root_even_when_its_head_was_mended(town: Town) -> None:
    _, subject, _ = lived(town)
    kept = kept_root(town)
    with intruder(town) as connection:
        n = connection.scalar(select(func.max(Event.n)).where(Event.subject == subject))
        connection.execute(text("DELETE FROM events WHERE subject = :s AND n = :n"), {"s": subject, "n": n})
        before = connection.execute(
            text("SELECT hash, seq FROM events WHERE subject = :s AND n = :n"), {"s": subject, "n": n - 1}
        ).one()
        connection.execute(
            text("UPDATE chain_tips SET n = :n, hash = :h, seq = :q WHERE subject = :s"),
            {"s": subject, "n": n - 1, "h": before.hash, "q": before.seq},
        )
        connection.execute(text("DELETE FROM daily_root_tips"))
        connection.execute(text("DELETE FROM daily_roots"))
    assert faults(town) == []
    found = faults(town, kept)
    assert f"{subject}: line {n} is missing, but it's in the stored root" in found


def test_a_dropped_case_is_named(town: Town) -> None:
    subject, *_ = lived(town)
    kept = kept_root(town)
    case_id = int(subject.partition(":")[2])
    with intruder(town) as connection:
        connection.execute(text("DELETE FROM events WHERE subject = :s"), {"s": subject})
        connection.execute(text("DELETE FROM chain_tips WHERE subject = :s"), {"s": subject})
        connection.execute(
            text("DELETE FROM secret_links WHERE report_id IN (SELECT id FROM reports WHERE case_id = :c)"),
            {"c": case_id},
        )
        for theirs in ("reports", "case_words"):
            connection.execute(text(f"DELETE FROM {theirs} WHERE case_id = :c"), {"c": case_id})
        connection.execute(text("DELETE FROM cases WHERE id = :c"), {"c": case_id})
    last = json.loads(next(line for line in kept if f'"{subject}"' in line))[1]
    assert f"{subject}: line {last} is missing, but it's in the stored root" in faults(town, kept)
    assert any(subject in fault and "root of" in fault for fault in faults(town)), (
        "the daily root knows it too"
    )


def test_a_dropped_case_row_is_named_without_any_root(town: Town) -> None:
    subject, *_ = lived(town)
    with intruder(town) as connection:
        connection.execute(text("DELETE FROM events WHERE subject = :s"), {"s": subject})
        connection.execute(text("DELETE FROM chain_tips WHERE subject = :s"), {"s": subject})
    assert any(fault.startswith(f"{subject} ") for fault in faults(town))


def test_a_line_rewritten_with_recomputed_hashes_is_named(town: Town) -> None:
    _, _, subject = lived(town)
    kept = kept_root(town)
    with intruder(town) as connection:
        rewrite(connection, subject, 3)
    assert any(fault.startswith(f"{subject}: line") and "root of" in fault for fault in faults(town))
    found = faults(town, kept)
    assert any(fault.startswith(f"{subject}: line") and "stored root" in fault for fault in found)


def test_a_line_rewritten_without_its_hash_is_named(town: Town) -> None:
    subject, *_ = lived(town)
    with intruder(town) as connection:
        connection.execute(text("UPDATE events SET actor = 'x' WHERE subject = :s AND n = 2"), {"s": subject})
    assert faults(town) == [f"{subject}: line 2 was rewritten"]


def test_rewritten_words_are_named_and_erased_words_are_not_a_fault(town: Town) -> None:
    subject, *_ = lived(town)
    with db.transaction(town.engine) as s:
        seqs = list(s.scalars(select(Event.seq).where(Event.subject == subject, Event.detail.is_not(None))))
        s.get_one(EventDetail, seqs[0]).text = "{}"
        s.delete(s.get_one(EventDetail, seqs[1]))
    assert faults(town) == [f"{subject}: the text of line 2 was rewritten"]
    with town.looking() as scene:
        assert events.erased(scene.s) == 1


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE events SET actor = 'x' WHERE seq = (SELECT min(seq) FROM events)",
        "DELETE FROM events WHERE seq = (SELECT min(seq) FROM events)",
        "INSERT OR REPLACE INTO events SELECT * FROM events LIMIT 1",
        "INSERT INTO events SELECT * FROM events LIMIT 1",
        "TRUNCATE events",
    ],
)
def test_the_database_itself_refuses_to_change_the_log(town: Town, attempt: str) -> None:
    lived(town)
    sqlite = town.engine.dialect.name == "sqlite"
    if ("REPLACE" in attempt and not sqlite) or ("TRUNCATE" in attempt and sqlite):
        attempt = attempt.replace("OR REPLACE ", "") if not sqlite else "DELETE FROM events"
    for url in {town.settings.database_url, town.settings.database_owner_url or town.settings.database_url}:
        engine = create_engine(url)  # without our pragmas: a stranger's tool has none
        with engine.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text(attempt))
        engine.dispose()
    assert faults(town) == []


def test_erasing_a_report_forgets_its_words_and_photos_and_the_chain_still_verifies(
    town: Town, settings: Settings
) -> None:
    store = storage.open_store(settings)
    secret = "Ask for Benita at the blue door"
    with town.at_work() as scene:
        report = scene.report(words=secret, taken=[scene.photo()])
        intake.subscribe(scene.s, report, "benita@town.test", lang="es", at=town.now)
        other = scene.report(words="Also dark here", join=report.case.number)
        report_id, key, other_id = report.id, report.key, other.id
    photos.move_staged_to_storage(town.engine, store, settings.var, town.now)
    kept = kept_root(town)
    with town.at_work() as scene:
        report = scene.s.get_one(type(report), report_id)
        assert intake.erase(
            scene.s,
            report,
            store,
            settings.var,
            by=scene.actor("dispatcher"),
            at=town.now + timedelta(days=1),
        )
    assert faults(town, kept) == []
    assert not list(settings.var.rglob("*.jpg"))
    with town.looking() as scene:
        assert intake.by_token(scene.s, intake.token_for(SECRET, key)) is None
        assert scene.s.get_one(type(report), other_id).words == "Also dark here"
        assert events.erased(scene.s) >= 1
    dump = everything(town.engine)
    assert "Also dark here" in dump
    assert secret not in dump
    assert "benita" not in dump


def test_seq_follows_the_clock_and_the_clock_moves_only_with_the_log(town: Town) -> None:
    lived(town)
    with town.looking() as scene:
        seqs = list(scene.s.scalars(select(Event.seq).order_by(Event.seq)))
        assert seqs == sorted(set(seqs))
        assert seqs[-1] <= (scene.s.scalar(select(EventSequence.n)) or 0)


def everything(engine: Engine) -> str:
    """Every value of every table, as one text."""
    with engine.connect() as connection:
        return "\n".join(
            str(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in connection.execute(table.select())
        )
