"""A month's figures are lines of the log: a difference is a new version, and a changed byte is named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sourcecity
from factories import Town
from sqlalchemy import Connection, NullPool, create_engine, delete, text

from city.audit import counters, events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Area, Tally
from city.metrics import publications
from city.metrics.periods import Period
from city.metrics.publications import Version
from city.people import accounts, contacts
from city.people.contacts import Conversation

pytestmark = pytest.mark.both_databases

SCALE = 1000
DECEMBER = f"{sourcecity.SECOND}-12"
JANUARY = datetime(sourcecity.SECOND + 1, 1, 2, 15, tzinfo=UTC)


@pytest.fixture
def asked(town: Town) -> Town:
    with town.at_work() as scene:
        number = scene.report().case.number
    sourcecity.fill(town.engine, number, SCALE)
    return town


def publish(town: Town, at: datetime = JANUARY) -> list[str]:
    return publications.publish_completed_months(
        town.engine, sourcecity.city(SCALE), at, by=accounts.THE_SYSTEM
    )


def versions(town: Town) -> list[Version]:
    with town.looking() as scene:
        return publications.versions(scene.s, Period(DECEMBER, (DECEMBER,)))


def logged_late(town: Town) -> None:
    """A call of December that comes in January."""
    began = datetime(sourcecity.SECOND, 12, 30, 15, tzinfo=UTC)
    told = Conversation("late", "phone", began, 60, "taxes", "answered")
    with town.at_work() as scene:
        contacts.log(scene.s, told, by=sourcecity.TAKER, at=JANUARY + timedelta(days=1))


@contextmanager
def intruder(town: Town) -> Iterator[Connection]:
    """Somebody who owns the database."""
    engine = create_engine(town.settings.database_owner_url or town.settings.database_url, poolclass=NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER events_no_update"))
        else:
            connection.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
        yield connection
    engine.dispose()


def test_the_month_that_is_over_is_published_once(asked: Town) -> None:
    assert publish(asked) == [DECEMBER]
    assert publish(asked, JANUARY + timedelta(days=1)) == []
    (version,) = versions(asked)
    assert (version.month, version.number, version.at, version.changed) == (DECEMBER, 1, JANUARY, [])
    with asked.looking() as scene:
        ((line, _),) = events.of(scene.s, f"figure:{DECEMBER}")
        assert line.facts["values"] == publications.of_month(scene.s, sourcecity.city(SCALE), DECEMBER)
        assert line.facts["values"]["line.contacts"] > 0


def test_open_cases_of_which_nothing_was_written_are_counted_as_silent(asked: Town) -> None:
    long_ago, lately = JANUARY - timedelta(days=40), JANUARY - timedelta(days=10)
    with asked.at_work() as scene:
        quiet, moved, closed = (scene.report(at=long_ago).case for _ in range(3))
        transitions.note(scene.s, moved, "Seen", by=scene.actor("dispatcher"), at=lately)
        transitions.close(scene.s, closed, Closing("not found"), by=scene.actor("dispatcher"), at=long_ago)
    publish(asked)
    (version,) = versions(asked)
    assert (version.silent, quiet.state) == (1, "new")


def test_a_later_difference_is_a_new_version_that_says_what_changed(asked: Town) -> None:
    publish(asked)
    logged_late(asked)
    assert publish(asked, JANUARY + timedelta(days=1)) == [DECEMBER]
    second, first = versions(asked)
    assert (first.number, second.number) == (1, 2)
    changed = {name: (was, now) for name, was, now in second.changed}
    was, now = changed["topic.taxes.contacts"]
    assert now - was == 1
    assert "topic.trash.contacts" not in changed


def test_a_worker_that_slept_for_months_publishes_each_of_them(asked: Town) -> None:
    publish(asked)
    later = datetime(sourcecity.SECOND + 1, 4, 1, 15, tzinfo=UTC)
    year = sourcecity.SECOND + 1
    assert publish(asked, later) == [f"{year}-01", f"{year}-02", f"{year}-03"]


def test_a_published_figure_that_was_changed_is_found_and_named(asked: Town) -> None:
    publish(asked)
    with intruder(asked) as connection:
        line = connection.execute(
            text("SELECT seq, facts FROM events WHERE subject = :name"), {"name": f"figure:{DECEMBER}"}
        ).one()
        words = line.facts if isinstance(line.facts, str) else json.dumps(line.facts, separators=(",", ":"))
        n = words.index('"line.contacts":') + len('"line.contacts":')
        changed = words[:n] + ("9" if words[n] != "9" else "8") + words[n + 1 :]
        connection.execute(
            text("UPDATE events SET facts = :facts WHERE seq = :seq"), {"facts": changed, "seq": line.seq}
        )
    with asked.looking() as scene:
        assert events.verify(scene.s) == [f"figure:{DECEMBER}: line 1 was rewritten"]


def test_one_changed_letter_of_a_contact_is_named_by_the_chain_and_by_the_sums(asked: Town) -> None:
    with intruder(asked) as connection:
        line = connection.execute(
            text("SELECT seq, subject, facts FROM events WHERE subject LIKE 'contact:%' ORDER BY seq LIMIT 1")
        ).one()
        words = line.facts if isinstance(line.facts, str) else json.dumps(line.facts, separators=(",", ":"))
        connection.execute(
            text("UPDATE events SET facts = :facts WHERE seq = :seq"),
            {"facts": words.replace('"taxes"', '"taxed"'), "seq": line.seq},
        )
    with asked.looking() as scene:
        assert events.verify(scene.s) == [f"{line.subject}: line 1 was rewritten"]
        found = counters.differences(scene.s)
        assert any("topic 2024-01 answered taxed is 0, but the log says 1" in each for each in found)


def test_a_line_that_cannot_be_counted_any_more_is_named(asked: Town) -> None:
    with intruder(asked) as connection:
        seq = connection.scalar(text("SELECT min(seq) FROM events WHERE subject LIKE 'contact:%'"))
        connection.execute(text("UPDATE events SET facts = '{}' WHERE seq = :seq"), {"seq": seq})
    with asked.looking() as scene:
        assert f"figures: line {seq} of the log can't be counted" in counters.differences(scene.s)


def test_a_city_in_which_nothing_happened_publishes_nothing(town: Town) -> None:
    assert publish(town) == []


def test_no_version_says_what_a_figure_was_that_is_hidden_since(town: Town) -> None:
    """Five cases of one area and six of another are told. A late line makes one few: then none of both is."""
    may = "2026-05"
    period, june = Period(may, (may,)), datetime(2026, 6, 1, 15, tzinfo=UTC)
    areas = two_areas(town)
    count(town, may, dict(zip(areas, (5, 6), strict=True)))
    publish(town, june)
    count(town, may, {areas[1]: 1})
    publish(town, june + timedelta(days=1))
    with town.looking() as scene:
        newest, _first = publications.versions(scene.s, period)
    assert (f"area.{areas[1]}.opened", 6, 7) in newest.changed
    count(town, may, {areas[0]: -1})
    assert publish(town, june + timedelta(days=2)) == [may]
    with town.looking() as scene:
        for version in publications.versions(scene.s, period)[:2]:
            told = {name: (was, now) for name, was, now in version.changed}
            assert told[f"area.{areas[1]}.opened"] == (None, None), version.number
        ((line, _), *_rest) = reversed(events.of(scene.s, f"figure:{may}"))
        assert [f"area.{areas[0]}.opened", None, None] in line.facts["changed"]


def two_areas(town: Town) -> list[int]:
    with town.at_work() as scene:
        scene.s.execute(delete(Area))
        more = [Area(name=name, kind="area", geometry={}) for name in ("Here", "Elsewhere")]
        scene.s.add_all(more)
        scene.s.flush()
        return [area.id for area in more]


def count(town: Town, month: str, opened: dict[int, int]) -> None:
    """So many more cases are opened in each area."""
    with town.at_work() as scene:
        for area, more in opened.items():
            key = ("area", month, "opened", str(area))
            row = scene.s.get(Tally, key)
            if row is None:
                facet, month, what, value = key
                scene.s.add(Tally(facet=facet, month=month, what=what, value=value, n=more))
            else:
                row.n += more
