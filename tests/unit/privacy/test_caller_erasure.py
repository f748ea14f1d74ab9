"""Who asks to be forgotten is: number and words go, every call stays, and no backup brings them back."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from factories import LAMP, Town
from sqlalchemy import select

from city.audit import counters, erasure_ledger, events
from city.audit.erasure_ledger import Forgotten
from city.db import engine as db
from city.db.models import Caller, Contact, EventDetail, Report, Topic
from city.lifecycle import Refused
from city.operations import backup, restore
from city.people import accounts, callers, contacts
from city.people.contacts import Conversation
from city.photos import storage
from city.privacy import caller_erasure
from city.privacy.caller_erasure import Done
from city.reports import calls
from city.reports.calls import Call
from city.reports.intake import NewReport
from city.settings import Settings
from pwa.cli.main import cli

pytestmark = pytest.mark.both_databases

PHONE, OTHER = "+12035550142", "+12035550143"
SECRET = "s" * 32


@pytest.fixture(autouse=True)
def topics(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))


def called(town: Town, phone: str = PHONE, words: str = "My sister is ill", **changes: Any) -> str:
    """A call that ended; returns its key."""
    key = uuid.uuid4().hex
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "answered", words=words)
    telling = None
    if changes.get("outcome") == "case":
        said = replace(said, words="")
        telling = NewReport(key, "light-out", "phone", "en", words, LAMP)
    with town.at_work() as scene:
        call = Call(replace(said, **changes), phone, telling)
        calls.finish_call(scene.s, call, by=scene.actor("call-taker"), at=town.now, secret=SECRET)
    return key


def forgotten(town: Town, *phones: str, by: str = "administrator") -> Done | None:
    store = storage.open_store(town.settings)
    with town.at_work() as scene:
        return caller_erasure.forget(
            scene.s, phones or (PHONE,), store, town.settings.var, by=scene.actor(by), at=town.now
        )


def words(town: Town) -> str:
    with town.looking() as scene:
        said = [detail.text for detail in scene.s.scalars(select(EventDetail))]
        return " ".join(
            [*said, *scene.s.scalars(select(Report.words)), *scene.s.scalars(select(Caller.phone))]
        )


def test_number_and_words_go_and_every_call_stays(town: Town) -> None:
    called(town)
    called(town, outcome="case")
    called(town, OTHER, "Somebody else's")
    with town.looking() as scene:
        before = scene.s.scalar(select(counters.Tally.n).where(counters.Tally.facet == "line"))
    assert forgotten(town) == Done(2, 1)
    left = words(town)
    assert "sister" not in left
    assert PHONE not in left
    assert "Somebody else's" in left
    assert OTHER in left
    with town.looking() as scene:
        kept = scene.s.scalars(select(Contact).order_by(Contact.id)).all()
        assert [each.caller_id is None for each in kept] == [True, True, False]
        assert [line.kind for line, _words in events.of(scene.s, events.of_contact(kept[0].id))] == [
            "log",
            "forget",
        ]
        assert events.verify(scene.s) == counters.differences(scene.s) == []
        assert events.erased(scene.s) == 2
        assert scene.s.scalar(select(counters.Tally.n).where(counters.Tally.facet == "line")) == before
    assert forgotten(town) is None
    called(town)  # they may call again, and are new then
    assert PHONE in words(town)


def test_only_an_administrator_forgets(town: Town) -> None:
    called(town)
    for name in ("call-taker", "dispatcher", "supervisor", "manager"):
        with pytest.raises(Refused, match="not_allowed"):
            forgotten(town, by=name)
    assert PHONE in words(town)


def test_a_call_that_is_sent_again_after_it_was_forgotten_is_no_other(town: Town) -> None:
    key = called(town)
    forgotten(town)
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "answered", words="")
    with town.at_work() as scene:
        kept, _report = calls.finish_call(
            scene.s, Call(said, PHONE), by=scene.actor("call-taker"), at=town.now, secret=SECRET
        )
        assert kept.key == key


def test_a_restored_backup_forgets_again(town: Town, tmp_path: Path, elsewhere: Settings) -> None:
    called(town)
    called(town, outcome="case")
    to = tmp_path / "backups"
    folder, _manifest = backup.make(
        town.engine, town.settings, storage.open_store(town.settings), to, at=town.now
    )
    forgotten(town)
    kept = town.settings.var / erasure_ledger.NAME
    assert len([line for line in erasure_ledger.read([kept]) if isinstance(line, Forgotten)]) == 2
    assert PHONE not in kept.read_text()
    done = restore.restore(
        elsewhere, folder, storage.open_store(elsewhere), over=False, lists=[kept], at=town.now
    )
    assert done.erased_again == 3  # two calls and a report
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        assert [row.caller_id for row in s.scalars(select(Contact))] == [None, None]
        assert s.scalars(select(Caller)).all() == []
        assert not [each for each in s.scalars(select(EventDetail)) if "sister" in each.text]
        assert events.verify(s) == []
    engine.dispose()


def test_the_command_knows_the_number_however_it_is_written(
    town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called(town)
    called(town, "+15550142")  # of seven figures, before the city had an area code
    file = tmp_path / "city.toml"
    file.write_text('area_code = "203"\n' + town.settings.city.read_text())
    monkeypatch.setenv("CITYLINE_VAR", str(town.settings.var))
    monkeypatch.setenv("CITYLINE_DATABASE_URL", town.settings.database_url)
    monkeypatch.setenv("CITYLINE_CITY", str(file))
    asked = [
        CliRunner().invoke(cli, ["callers", "forget", number])
        for number in ("call me", "203 555 0142", PHONE)
    ]
    assert [each.exit_code for each in asked] == [1, 0, 0], asked
    assert "'call me' isn't a phone number" in asked[0].output
    assert "Calls kept without number and notes: 2. Reports erased with them: 0." in asked[1].output
    assert "No caller has that number." in asked[2].output
    assert "sister" not in words(town)


@pytest.mark.postgresql
def test_a_call_that_ends_while_its_number_is_forgotten_is_kept(town: Town) -> None:
    """Either waits for the other: a call would otherwise name a caller who is gone, and break."""
    for first in ("call", "forget"):
        called(town)
        faults: list[BaseException] = []

        def other(first: str = first, faults: list[BaseException] = faults) -> None:
            try:
                called(town) if first == "forget" else forgotten(town)
            except BaseException as fault:
                faults.append(fault)

        thread = threading.Thread(target=other)
        with town.at_work() as scene:
            if first == "forget":
                store = storage.open_store(town.settings)
                caller_erasure.forget(
                    scene.s, [PHONE], store, town.settings.var, by=accounts.THE_SYSTEM, at=town.now
                )
            else:
                caller = callers.record_call(scene.s, PHONE, lang="en", at=town.now)
                said = Conversation(
                    uuid.uuid4().hex, "phone", town.now - timedelta(minutes=1), 60, "taxes", "answered",
                    caller_id=caller.id,
                )  # fmt: skip
                contacts.log(scene.s, said, by=scene.actor("call-taker"), at=town.now)
            scene.s.flush()
            thread.start()
            town.await_waiting()
        thread.join(60)
        assert (faults, thread.is_alive()) == ([], False), first
    with town.looking() as scene:
        assert events.verify(scene.s) == []


@pytest.mark.postgresql
def test_a_number_is_asked_to_be_forgotten_while_silent_ones_are(town: Town) -> None:
    """Both hold callers before their calls: otherwise each would wait for the other, for ever."""
    called(town)
    later = town.now + callers.FORGET_AFTER + timedelta(days=1)

    def sweep() -> int:
        with db.transaction(town.engine) as s:
            return callers.sweep(s, later)

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            caller = callers.known(scene.s, PHONE)
            assert caller is not None
            callers.hold(scene.s, [caller.id])
            second = pool.submit(sweep)
            town.await_waiting()
            store = storage.open_store(town.settings)
            done = caller_erasure.forget(
                scene.s, [PHONE], store, town.settings.var, by=accounts.THE_SYSTEM, at=town.now
            )
        assert (done, second.result(60)) == (Done(1, 0), 0)


@pytest.mark.postgresql
def test_a_report_that_is_told_while_its_caller_is_about_to_be_forgotten_is_erased(town: Town) -> None:
    called(town)
    key = uuid.uuid4().hex
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case", words="")
    telling = NewReport(key, "light-out", "phone", "en", "My brother too", LAMP)
    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            calls.finish_call(
                scene.s, Call(said, PHONE, telling), by=scene.actor("call-taker"), at=town.now, secret=SECRET
            )
            second = pool.submit(forgotten, town)
            town.await_waiting()
        assert second.result(60) == Done(2, 1)
    assert words(town) == ""
