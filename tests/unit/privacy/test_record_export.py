"""All that is held of a case or a person is given to whoever has a right to it, and erased when they ask."""

import json
import re
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from factories import LAMP, SECRET, Town, texts
from sqlalchemy import select
from wording import shared, staff

from city.answers import unanswered
from city.audit import erasure_ledger, events
from city.cases import legal_holds, transitions
from city.cases.transitions import Closing
from city.config import city_file as cityfiles
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import (
    Contact,
    Device,
    EnrolmentCode,
    Event,
    LoginCode,
    Message,
    Person,
    Report,
    SavedView,
    Service,
    Subscription,
    SyncOperation,
    Topic,
)
from city.inbox import entries
from city.inbox.entries import Arrival
from city.lifecycle import Refused
from city.notifications import fan_out, subscriptions
from city.operations import backup, restore
from city.people import accounts
from city.people.contacts import Conversation
from city.photos import photos, storage
from city.privacy import data_subjects, erasure
from city.reports import calls, conversation, intake
from city.reports.calls import Call
from city.reports.intake import NewReport
from city.settings import Settings
from pwa.cli.main import cli

pytestmark = pytest.mark.both_databases

MAIL, PHONE, SPOKEN = "canary@town.test", "+12035550142", "(203) 555-0142"


@pytest.fixture
def shell(town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """A shell with this city's settings, in a folder of its own."""
    with town.at_work() as scene:
        config_versions.activate(scene.s, cityfiles.load(town.settings.city))
        scene.s.merge(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))
    for name in ("var", "database_url", "database_owner_url"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(town.settings, name)))
    monkeypatch.chdir(tmp_path)
    return CliRunner()


@pytest.fixture
def told(town: Town, shell: CliRunner) -> str:
    """A closed case of which one person told on the web and by phone, and a neighbor too; its number."""
    key, said_key = uuid.uuid4().hex, uuid.uuid4().hex
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        report = scene.report(
            key=key, words="canary words", place=replace(LAMP, label="14 Tansy Street"),
            taken=[scene.photo("gold", f"form:{key}")],
        )  # fmt: skip
        own = intake.subscribe(scene.s, report, MAIL, lang="en", at=town.now)
        intake.confirm(scene.s, own, at=town.now)
        intake.subscribe(scene.s, report, PHONE, channel="sms", lang="en", at=town.now)
        intake.notify(
            scene.s, report, "https://push.test/canary", {"p256dh": "canary", "auth": "x"}, lang="en",
            at=town.now,
        )  # fmt: skip
        intake.want_picture(scene.s, report, "https://pictures.test/canary.jpg", at=town.now)
        other = scene.report(words="Another's words", join=report.case.number)
        intake.subscribe(scene.s, other, "neighbor@town.test", lang="en", at=town.now)
        transitions.note(scene.s, report.case, "A note of staff", by=by, at=town.now)
        question = conversation.ask(scene.s, report, "canary question?", by=by, at=town.now)
        conversation.reply(
            scene.s, report, "canary answer", to=question.id, by=accounts.reporter(report.id), at=town.now
        )
        letter = Arrival("e" * 64, "email", MAIL, "canary name", "canary subject", "canary letter")
        entry = entries.take(scene.s, letter, at=town.now)
        entries.write_back(scene.s, entry, "canary reply", asks=True, by=by, at=town.now)
        transitions.close(
            scene.s, report.case, Closing("fixed", no_photo="dark", words="Done"), by=by, at=town.now
        )
        number = report.case.number
        asked = Conversation(
            said_key, "phone", town.now - timedelta(minutes=2), 60, "taxes", "answered", words="canary call"
        )
        calls.finish_call(
            scene.s, Call(asked, PHONE), by=scene.actor("call-taker"), at=town.now, secret=SECRET
        )
    photos.move_staged_to_storage(town.engine, storage.open_store(town.settings), town.settings.var, town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        for message in scene.s.scalars(select(Message)):
            message.fault, message.next_try_at = f"no such mailbox {message.subscription.address}", None
    return number


def holding(town: Town, *canaries: str) -> list[str]:
    with town.looking() as scene:
        return sorted({name for name, value in texts(scene.s) if any(each in value for each in canaries)})


def by_phone(town: Town, words: str = "told by phone") -> str:
    """A call from PHONE in which a report was told; its key."""
    key = uuid.uuid4().hex
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case")
    with town.at_work() as scene:
        telling = NewReport(key, "light-out", "phone", "en", words, LAMP)
        by = scene.actor("call-taker")
        calls.finish_call(scene.s, Call(said, PHONE, telling), by=by, at=town.now, secret=SECRET)
    return key


def opened(file: Path) -> tuple[str, dict[str, Any], list[str]]:
    with zipfile.ZipFile(file) as held:
        told = json.loads(held.read("record.json"))
        return held.read("record.html").decode(), told, sorted(held.namelist())


class TestExporting:
    def test_a_case_is_told_whole(self, town: Town, shell: CliRunner, told: str, tmp_path: Path) -> None:
        done = shell.invoke(cli, ["export", "record", told, "-o", "case.zip"])
        assert done.exit_code == 0, done.output
        assert "personal data" in done.output
        page, held, names = opened(tmp_path / "case.zip")
        for words in ("canary words", "Another's words", "A note of staff", "14 Tansy Street", MAIL, "Done"):
            assert words in page or words.replace("'", "&#39;") in page
            assert words in json.dumps(held, ensure_ascii=False)
        assert [case["number"] for case in held["cases"]] == [told]
        # Three receipts, a copy of the report, a question by two ways, and two letters of the closing.
        # Two more told of the crew.
        assert len(held["messages"]) == 10
        photo = held["reports"][0]["photos"][0]
        assert photo in names
        assert f'src="{photo}"' in page

    def test_a_merged_case_comes_with_its_root(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            twin = scene.report(words="Told of it too").case
            transitions.merge(scene.s, twin, scene.case(told), by=scene.actor("dispatcher"), at=town.now)
            number = twin.number
        shell.invoke(cli, ["export", "record", told, "-o", "case.zip"])
        _page, held, _names = opened(tmp_path / "case.zip")
        assert [case["number"] for case in held["cases"]] == [told, number]
        assert "Told of it too" in [report["words"] for report in held["reports"]]

    @pytest.mark.parametrize("who", [MAIL.upper(), SPOKEN, "26-000001-a"])
    def test_a_person_reads_what_is_held_of_them_and_of_nobody_else(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path, who: str
    ) -> None:
        with town.at_work() as scene:
            text = scene.s.scalars(select(Subscription).where(Subscription.channel == "sms")).one()
            intake.confirm(scene.s, text, at=town.now)
        done = shell.invoke(cli, ["export", "record", who, "-o", "mine.zip"])
        assert done.exit_code == 0, done.output
        page, held, names = opened(tmp_path / "mine.zip")
        assert "canary words" in page
        assert held["reports"][0]["state"] == "closed"
        assert [name for name in names if name.startswith("photos/")] == held["reports"][0]["photos"]
        for words in ("Another", "neighbor@", "A note of staff"):
            assert words not in page
            assert words not in json.dumps(held, ensure_ascii=False)
        assert ("canary call" in page) is (who == SPOKEN)

    def test_the_log_says_that_it_was_taken_out(self, town: Town, shell: CliRunner, told: str) -> None:
        shell.invoke(cli, ["export", "record", told])
        shell.invoke(cli, ["export", "record", SPOKEN, "--unconfirmed"])
        shell.invoke(cli, ["export", "record", told, "--public"])  # everybody may read that
        with town.looking() as scene:
            lines = scene.s.scalars(select(Event).where(Event.kind == "export record")).all()
            subjects_ = [line.subject.partition(":")[0] for line in lines]
            assert subjects_ == ["case", "case", "contact"]
            assert events.verify(scene.s) == []

    def test_what_somebody_left_under_anothers_address_is_not_handed_to_them(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            for words in ("A stranger's words", "More of a stranger's"):
                other = scene.report(words=words)
                intake.subscribe(scene.s, other, MAIL, lang="en", at=town.now)
        done = shell.invoke(cli, ["export", "record", MAIL, "-o", "mine.zip"])
        assert "unconfirmed: 2. They're not included. To include them, add --unconfirmed." in done.output
        page, held, _names = opened(tmp_path / "mine.zip")
        assert staff.RECORD_UNCONFIRMED_LEFT_OUT(2) in page
        assert held["unconfirmed"] == {"reports": 2, "are_told": False}
        assert "stranger" not in page + json.dumps(held)
        assert [report["words"] for report in held["reports"]] == ["canary words"]

        done = shell.invoke(cli, ["export", "record", MAIL, "--unconfirmed", "-o", "all.zip"])
        assert "unconfirmed: 2. They're included." in done.output
        page, held, _names = opened(tmp_path / "all.zip")
        assert staff.RECORD_UNCONFIRMED_TOLD(2) in page
        assert held["unconfirmed"] == {"reports": 2, "are_told": True}
        assert len(held["reports"]) == 3

    def test_a_report_told_by_phone_needs_no_confirmation(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        by_phone(town)
        done = shell.invoke(cli, ["export", "record", SPOKEN, "-o", "mine.zip"])
        assert "unconfirmed: 1. They're not included" in done.output  # whose news somebody had texted there
        page, held, _names = opened(tmp_path / "mine.zip")
        assert [report["words"] for report in held["reports"]] == ["told by phone"]
        assert staff.RECORD_UNCONFIRMED_LEFT_OUT(1) in page

    def test_of_a_case_for_everybody_comes_what_everybody_may_know(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            shown = scene.report(words="Shown to all", taken=[scene.photo("teal", "form:shown")])
            transitions.merge(scene.s, shown.case, scene.case(told), by=by, at=town.now)
            intake.show(scene.s, shown, by=by, at=town.now)
            twin = shown.case.number
            photo = shown.photos[0].sha256
        photos.move_staged_to_storage(
            town.engine, storage.open_store(town.settings), town.settings.var, town.now
        )
        done = shell.invoke(cli, ["export", "record", told, "--public", "-o", "case.zip"])
        assert done.exit_code == 0, done.output
        assert "It contains only public information about the case." in done.output
        assert "personal data" not in done.output
        page, held, names = opened(tmp_path / "case.zip")
        assert [(case["number"], case["merged_into"]) for case in held["cases"]] == [
            (told, None),
            (twin, told),
        ]
        assert [report["words"] for report in held["reports"]] == ["Shown to all"]
        assert [name for name in names if name.startswith("photos/")] == [f"photos/{photo}.jpg"]
        assert {"open", "close"} <= {step["what"] for step in held["story"]}
        assert staff.RECORD_IS_PUBLIC in page
        who = (PHONE, "neighbor@", shared.DISPATCHER_ROLE, staff.RECORD_CONTACTS, "addresses")
        for words in ("canary", "Another's", "A note of staff", *who):
            assert words not in page
            assert words not in json.dumps(held, ensure_ascii=False)

    def test_nobody_reads_why_a_case_was_cancelled_nor_a_day_while_it_waits(
        self, town: Town, shell: CliRunner, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            spam, waiting = scene.report().case, scene.report().case
            transitions.cancel(scene.s, spam, "spam", by=by, at=town.now)
            transitions.wait(scene.s, waiting, "parts", by=by, at=town.now)
            numbers = spam.number, waiting.number
        told = []
        for number in numbers:
            done = shell.invoke(cli, ["export", "record", number, "--public", "-o", f"{number}.zip"])
            assert done.exit_code == 0, done.output
            told.append(opened(tmp_path / f"{number}.zip"))
        (page, of_spam, _), (_page, of_waiting, _) = told
        assert shared.CANCELED_AS_SPAM not in page
        assert [step["facts"] for step in of_spam["story"] if step["what"] == "cancel"] == [{}]
        assert [step["facts"] for step in of_waiting["story"] if step["what"] == "wait"] == [
            {"reason": "parts"}
        ]
        assert [case["due_at"] for case in of_waiting["cases"]] == [None]

    def test_what_was_merged_into_a_case_that_is_private_now_gives_it_no_record(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            twin = scene.report().case
            transitions.merge(scene.s, twin, scene.case(told), by=scene.actor("dispatcher"), at=town.now)
            scene.case(told).service_code = "nuisance"
        done = shell.invoke(cli, ["export", "record", told, "--public"])
        assert (done.exit_code, "is private" in done.output) == (1, True), done.output
        assert list(tmp_path.glob("*.zip")) == []

    def test_a_place_that_is_told_coarsely_is_coarse_for_everybody(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        with town.at_work() as scene:
            scene.s.get_one(Service, "light-out").precision_m = 500
        shell.invoke(cli, ["export", "record", told, "--public", "-o", "case.zip"])
        page, held, _names = opened(tmp_path / "case.zip")
        assert held["cases"][0]["address"] == "Tansy Street"
        assert held["cases"][0]["lat"] != LAMP.lat
        assert "14 Tansy" not in page

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (["nuisance", "--public"], "is private"),
            ([MAIL, "--public"], "--public needs a case number"),
            (["case", "--unconfirmed"], "--unconfirmed only works for a person"),
        ],
    )
    def test_what_goes_not_together_is_said(
        self, town: Town, shell: CliRunner, tmp_path: Path, asked: list[str], said: str
    ) -> None:
        with town.at_work() as scene:
            numbers = {
                "nuisance": scene.report(service_code="nuisance").case.number,
                "case": scene.report().case.number,
            }
        done = shell.invoke(cli, ["export", "record", numbers.get(asked[0], asked[0]), *asked[1:]])
        assert (done.exit_code, said in done.output) == (1, True), done.output
        assert list(tmp_path.glob("*.zip")) == []

    def test_a_colleague_reads_their_account_and_what_they_did(
        self, town: Town, shell: CliRunner, told: str, tmp_path: Path
    ) -> None:
        done = shell.invoke(cli, ["export", "record", "dispatcher@town.test", "--lang", "es", "-o", "me.zip"])
        assert done.exit_code == 0, done.output
        page, held, _names = opened(tmp_path / "me.zip")
        assert held["account"][0]["email"] == "dispatcher@town.test"
        assert {"note", "close"} <= {deed["what"] for deed in held["deeds"]}
        assert '<html lang="es">' in page

    def test_a_file_that_is_there_stays(self, shell: CliRunner, told: str, tmp_path: Path) -> None:
        (tmp_path / "case.zip").write_text("mine")
        done = shell.invoke(cli, ["export", "record", told, "-o", "case.zip"])
        assert (done.exit_code, "already exists" in done.output) == (1, True)
        assert (tmp_path / "case.zip").read_text() == "mine"
        assert list(tmp_path.glob("*.part")) == []

    def test_a_photo_that_nobody_has_is_named(self, town: Town, shell: CliRunner, told: str) -> None:
        for file in town.settings.var.rglob("*.jpg"):
            file.unlink()
        done = shell.invoke(cli, ["export", "record", told])
        assert (done.exit_code, "missing: photos/" in done.output) == (0, True)

    @pytest.mark.parametrize(
        "who", ["nobody@town.test", "26-999999", "12 cats", "person:99", "(203) 555-9999"]
    )
    @pytest.mark.parametrize("command", [["erase"], ["export", "record"]])
    def test_whom_nobody_knows_is_said(self, shell: CliRunner, command: list[str], who: str) -> None:
        done = shell.invoke(cli, [*command, who])
        assert done.exit_code == 1
        assert "Use an email address" in done.output


class TestErasing:
    def test_a_case_is_no_person(self, shell: CliRunner, told: str) -> None:
        done = shell.invoke(cli, ["erase", told])
        assert (done.exit_code, f"{told} is a case. This command erases a person's data." in done.output) == (
            1, True,
        )  # fmt: skip
        assert "Use an email address" in done.output

    def test_it_says_what_went_and_where_nothing_did(self, town: Town, shell: CliRunner) -> None:
        with town.at_work() as scene:
            about = subscriptions.case(scene.s, scene.report().case.number)
            assert about
            subscriptions.subscribe(scene.s, about, "reader@town.test", lang="en", at=town.now)
            quiet = scene.report(words="canary").number
        done = shell.invoke(cli, ["erase", "reader@town.test"])
        assert done.output == (
            "Erased. Reports: 0; calls kept without number and notes: 0; contact info for updates, with what "
            "they followed: 1; account: 0; messages to the desk: 0.\n"
        )
        assert shell.invoke(cli, ["erase", quiet]).output.startswith("Erased. Reports: 1;")
        assert shell.invoke(cli, ["erase", quiet]).output == "There was nothing to erase.\n"

    def test_nothing_of_a_person_is_left_in_any_column_or_photo(
        self, town: Town, shell: CliRunner, told: str
    ) -> None:
        with town.at_work() as scene:
            report = scene.case(told).reports[0]
            scene.s.add(Device(id="d", token_hash="h", enrolled_at=town.now, seen_at=town.now))
            scene.s.flush()
            scene.s.add(
                SyncOperation(
                    id=str(uuid.UUID(report.key)), device_id="d", n=1, t="report", case_ref="", body_hash="b",
                    result={}, raw='{"words": "canary words"}', review="quarantined", received_at=town.now,
                )
            )  # fmt: skip
            scene.s.add(LoginCode(email=MAIL, seed="x", made_at=town.now))
            unanswered.record(scene.s, f"who answers {MAIL} or {PHONE}", "en", town.now)
        assert holding(town, "canary words", "canary call", MAIL, PHONE, "push.test", "pictures.test")
        for who in (MAIL, SPOKEN):
            done = shell.invoke(cli, ["erase", who])
            assert done.exit_code == 0, done.output
        assert holding(town, "canary", MAIL, PHONE, "push.test", "pictures.test") == []
        assert holding(town, "Another's words") == ["event_details.text", "reports.words"]
        assert not list(town.settings.var.rglob("*.jpg"))
        with town.looking() as scene:
            assert events.verify(scene.s) == []
            assert scene.s.scalars(select(Contact)).one().outcome == "answered"

    def test_who_left_is_a_number_from_then_on(self, town: Town, shell: CliRunner) -> None:
        with town.at_work() as scene:
            at, by = town.now, scene.actor("administrator")
            person = accounts.add(scene.s, "canary@city.test", "Canary Doe", ["dispatcher"], by=by, at=at)
            own = {"person_id": person.id, "made_at": at}
            scene.s.add(SavedView(name="canary", args={"q": "canary"}, **own))
            scene.s.add(EnrolmentCode(code_hash="x", **own))
            scene.s.add(LoginCode(email=person.email, seed="x", made_at=at))
            scene.s.add(
                Device(
                    id="d", person_id=person.id, token_hash="h", enrolled_at=at, seen_at=at, release="canary"
                )
            )
            transitions.note(scene.s, scene.report().case, "A note", by=accounts.actor(person), at=at)
            number = person.id
        done = shell.invoke(cli, ["erase", "canary@city.test"])
        assert (done.exit_code, "The account stays while they work here" in done.output) == (0, True)
        assert done.output.startswith("Nothing was erased.\n")
        assert holding(town, "canary")
        with town.at_work() as scene:
            accounts.disable(scene.s, scene.s.get_one(Person, number), by=scene.actor("administrator"), at=at)
        assert shell.invoke(cli, ["erase", "canary@city.test"]).exit_code == 0
        assert holding(town, "canary", "Canary") == []
        with town.looking() as scene:
            left = scene.s.get_one(Person, number)
            assert (left.name, left.roles, left.crews) == (f"#{number}", [], [])
            assert (
                scene.s.scalars(select(Event).where(Event.actor == f"person:{number}")).one().kind == "note"
            )

    def test_who_left_is_a_number_after_a_restore_too(
        self, town: Town, shell: CliRunner, tmp_path: Path, elsewhere: Settings
    ) -> None:
        with town.at_work() as scene:
            at, by = town.now, scene.actor("administrator")
            person = accounts.add(scene.s, "canary@city.test", "Canary Doe", ["dispatcher"], by=by, at=at)
            number = person.id
        folder, _manifest = backup.make(
            town.engine, town.settings, storage.open_store(town.settings), tmp_path / "backups", at=town.now
        )
        with town.at_work() as scene:
            accounts.disable(scene.s, scene.s.get_one(Person, number), by=scene.actor("administrator"), at=at)
        assert shell.invoke(cli, ["erase", f"person:{number}"]).exit_code == 0
        kept = town.settings.var / erasure_ledger.NAME
        assert "canary" not in kept.read_text()
        done = restore.restore(
            elsewhere, folder, storage.open_store(elsewhere), over=False, lists=[kept], at=town.now
        )
        assert done.erased_again == 1
        engine = db.connect(elsewhere.database_url)
        with db.read_session(engine) as s:
            left = s.get_one(Person, number)
            assert (left.name, left.disabled_at) == (f"#{number}", town.now)
            assert not [name for name, value in texts(s) if "canary" in value]
        engine.dispose()

    def test_what_somebody_followed_is_forgotten_after_a_restore_too(
        self, town: Town, shell: CliRunner, tmp_path: Path, elsewhere: Settings
    ) -> None:
        with town.at_work() as scene:
            abouts = [subscriptions.Target("street", "Tansy Street", place="street:tansy street")]
            abouts += [subscriptions.case(scene.s, scene.report().case.number) or abouts[0]]
            for address in (MAIL, "neighbor@town.test"):
                for about in abouts:
                    wish = subscriptions.subscribe(scene.s, about, address, lang="en", at=town.now)
                    intake.confirm(scene.s, wish, at=town.now)
        folder, _manifest = backup.make(
            town.engine, town.settings, storage.open_store(town.settings), tmp_path / "backups", at=town.now
        )
        assert shell.invoke(cli, ["erase", MAIL]).exit_code == 0
        kept = town.settings.var / erasure_ledger.NAME
        assert len(kept.read_text().splitlines()) == 1
        assert "canary" not in kept.read_text()
        store = storage.open_store(elsewhere)
        done = restore.restore(elsewhere, folder, store, over=False, lists=[kept], at=town.now)
        assert done.erased_again == 1
        done = restore.restore(elsewhere, folder, store, over=True, at=town.now)  # and once more, without
        assert done.erased_again == 1
        engine = db.connect(elsewhere.database_url)
        with db.read_session(engine) as s:
            assert list(s.scalars(select(Subscription.address))) == ["neighbor@town.test"] * 2
            assert not [name for name, value in texts(s) if "canary" in value]
        engine.dispose()

    def test_whoever_has_the_number_of_a_forgotten_wish_or_asked_anew_keeps_theirs(self, town: Town) -> None:
        salt, then = "ab" * 16, town.now.isoformat()
        about = subscriptions.Target("street", "Tansy Street", place="street:tansy street")
        with town.at_work() as scene:
            other = subscriptions.subscribe(scene.s, about, "neighbor@town.test", lang="en", at=town.now)
            anew = subscriptions.subscribe(
                scene.s, about, MAIL, lang="en", at=town.now + timedelta(seconds=1)
            )
            key = erasure_ledger.slowly_hashed(MAIL, salt)
            line = erasure_ledger.Unfollowed((other.id, anew.id, anew.id + 1), salt, key, then)
            assert not erasure.unfollow_again(scene.s, line)
            assert len(scene.s.scalars(select(Subscription)).all()) == 2

    @pytest.mark.postgresql
    def test_a_wish_that_is_made_meanwhile_is_no_less_than_nothing(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forget_wishes = intake.forget_wishes

        def forget_and_wish(*told: Any) -> int:
            gone = forget_wishes(*told)
            with town.at_work() as scene:
                about = subscriptions.Target("street", "Tansy Street", place="street:tansy street")
                subscriptions.subscribe(scene.s, about, MAIL, lang="en", at=town.now)
            return gone

        monkeypatch.setattr(intake, "forget_wishes", forget_and_wish)
        with town.at_work() as scene:
            subject = data_subjects.Subject((MAIL,))
            store, by = storage.open_store(town.settings), scene.actor("administrator")
            gone = erasure.erase(scene.s, subject, store, town.settings.var, by=by, at=town.now)
            assert gone.wishes == 0

    def test_a_hold_that_is_placed_in_this_very_moment_is_named(
        self, town: Town, shell: CliRunner, told: str
    ) -> None:
        with ThreadPoolExecutor(1) as hands:
            with town.at_work() as scene:
                scene.hold(scene.case(told))
                scene.s.flush()
                erasing = hands.submit(shell.invoke, cli, ["erase", MAIL])
                town.await_waiting()
            done = erasing.result()
        assert (done.exit_code, f"Legal hold, nothing removed: {told}" in done.output) == (1, True)
        assert holding(town, "canary words")

    def test_what_is_on_hold_is_named_and_the_rest_goes(
        self, town: Town, shell: CliRunner, told: str
    ) -> None:
        with town.at_work() as scene:
            scene.hold(scene.case(told))
            free = scene.report(words="canary elsewhere")
            intake.subscribe(scene.s, free, MAIL, lang="en", at=town.now)
        done = shell.invoke(cli, ["erase", MAIL])
        assert (done.exit_code, told in done.output) == (1, True)
        assert holding(town, "canary elsewhere") == []
        assert holding(town, "canary words")
        with town.at_work() as scene:
            legal_holds.lift(
                scene.s, scene.case(told), town.settings.var, by=scene.actor("manager"), at=town.now
            )
        assert shell.invoke(cli, ["erase", MAIL]).exit_code == 0
        assert holding(town, "canary words") == []

    @pytest.mark.parametrize("role", ["dispatcher", "manager", "call-taker"])
    def test_only_an_administrator_or_the_command_line_erases_a_person(
        self, town: Town, told: str, role: str
    ) -> None:
        store, city = storage.open_store(town.settings), cityfiles.load(town.settings.city)
        with town.looking() as scene:
            found, by = data_subjects.find(scene.s, MAIL, city), scene.actor(role)
        with town.at_work() as scene, pytest.raises(Refused, match="not_allowed"):
            erasure.erase(scene.s, found, store, town.settings.var, by=by, at=town.now)


class TestTheSchedule:
    def test_the_command_says_what_would_go_and_then_does_it(
        self, town: Town, shell: CliRunner, told: str
    ) -> None:
        silent = re.sub(r"\n\[retention\]\n.*?\n\n", "\n", town.settings.city.read_text("utf-8"), flags=re.S)
        with town.at_work() as scene:
            config_versions.publish(scene.s, silent, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
        with town.at_work() as scene:
            about = subscriptions.case(scene.s, scene.report().case.number)
            assert about
            subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
        for option, said in ((["--dry-run"], "would be removed"), ([], "removed")):
            first, last = shell.invoke(cli, ["retention", *option]).stdout.splitlines()
            assert first == (
                f"       1 unconfirmed or unsubscribed follower address: {said} (regardless of the city file)"
            )
            assert last.endswith("except the numbers of callers who haven't called for 400 days.")
        assert holding(town, "never@") == []
        text = f'{silent}\n[retention]\nwords = "30 days"\ncalls = "100 years"\n'
        with town.at_work() as scene:
            config_versions.publish(scene.s, text, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
            # It was closed on the test's own day in May; the command goes by the clock of the machine.
        done = shell.invoke(cli, ["retention", "--dry-run"])
        assert done.output.splitlines() == [
            "       1 case: text and photos would be removed (kept 30 days)",
            "       0 calls: number and notes would be removed (kept 100 years)",
            "       0 unconfirmed or unsubscribed follower addresses: would be removed "
            "(regardless of the city file)",
        ]
        assert holding(town, "canary words")
        done = shell.invoke(cli, ["retention"])
        assert "1 case: text and photos removed" in done.output
        assert holding(town, "canary words") == []
        assert not list(town.settings.var.rglob("*.jpg"))


def test_a_report_by_phone_is_known_by_the_number_it_came_from(town: Town, shell: CliRunner) -> None:
    key = by_phone(town, "canary words")
    with town.looking() as scene:
        found = data_subjects.find(scene.s, SPOKEN, cityfiles.load(town.settings.city))
        assert [report.words for report in found.reports] == ["canary words"]
        same = data_subjects.find(scene.s, f"{found.reports[0].number}", cityfiles.load(town.settings.city))
        assert [call.key for call in found.calls] == [call.key for call in same.calls] == [key]
    assert shell.invoke(cli, ["erase", SPOKEN]).exit_code == 0
    assert holding(town, "canary", PHONE) == []
    with town.looking() as scene:
        assert scene.s.scalars(select(Report.erased_at)).one()
