"""Mail by a real SMTP and LMTP connection: an answer goes to its case, all else to the inbox, once."""

import smtplib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from factories import Town
from pictures import plain
from sqlalchemy import func, select

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import CaseMessage, InboxEntry, Photo, Recording, Report, Subscription
from city.inbox import entries, mail, reception, reply_address
from city.inbox.mail_server import MailServer
from city.inbox.reception import ANSWER, WAITS, Place, Text
from city.lifecycle import WAITING
from city.reports import conversation, intake
from city.settings import Settings

OURS = "311@larkhaven.test"
DAY = timedelta(days=1)


@pytest.fixture
def place(town: Town, settings: Settings) -> Place:
    return Place(
        town.engine, settings.var, settings.secret_key, OURS, "cityline@larkhaven.test", ("en", "es")
    )


@pytest.fixture(params=["smtp", "lmtp"])
def server(request: pytest.FixtureRequest, place: Place) -> Iterator[MailServer]:
    made = MailServer(f"{request.param}://127.0.0.1:0", lambda: place)
    made.start()
    yield made
    made.stop()


def client(server: MailServer) -> smtplib.SMTP:
    kind = smtplib.LMTP if "Lmtp" in server._kind.__name__ else smtplib.SMTP
    return kind("127.0.0.1", server.port)


def told(town: Town, **changes: object) -> tuple[int, int]:
    """The ids of a report of an assigned case and of a question about it that was handed over."""
    with town.at_work() as scene:
        report = scene.assigned(**changes).reports[0]
        question = conversation.ask(scene.s, report, "Which pole?", by=scene.actor("dispatcher"), at=town.now)
        conversation.hand_over(scene.s, question, at=town.now)
        return report.id, question.id


def letter(
    words: str, *, to: str = OURS, sender: str = "Ana <ana@example.org>", **heads: str
) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, heads.pop("subject", "Re: A question")
    made["Message-ID"] = heads.pop("id", f"<{abs(hash(words))}@example.org>")
    for name, value in heads.items():
        made[name.replace("_", "-")] = value
    made.set_content(words)
    return made


def signed(place: Place, report_id: int) -> str:
    return reply_address.signed(OURS, place.secret, reply_address.REPORT, report_id)


def count(town: Town, kind: type) -> int:
    with town.looking() as scene:
        return scene.s.scalar(select(func.count()).select_from(kind)) or 0


def test_a_reply_by_mail_is_the_answer_and_the_clock_runs_again(
    town: Town, place: Place, server: MailServer
) -> None:
    report_id, question = told(town)
    sent = letter(
        "The one by the gate.\n\nOn Tue, May 12, 2026 at 9:00 AM Cityline <c@x.test> wrote:\n> Which pole?\n",
        to=signed(place, report_id), sender="somebody.else@example.org",
    )  # fmt: skip
    sent.add_attachment(plain(size=(640, 480)), maintype="image", subtype="jpeg", filename="pole.jpg")
    for _again in range(2):  # a mail server that missed our word sends it again
        with client(server) as smtp:
            smtp.send_message(sent)
    with town.looking() as scene:
        case = scene.s.get_one(Report, report_id).case
        answer = scene.s.scalars(select(CaseMessage).where(CaseMessage.answers_id == question)).one()
        assert (answer.words, answer.channel, len(answer.photos)) == ("The one by the gate.", "email", 1)
        assert case.state != WAITING
        assert scene.s.scalar(select(func.count()).select_from(InboxEntry)) == 0


def test_what_nobody_signed_waits_in_the_inbox(town: Town, place: Place, server: MailServer) -> None:
    report_id, _question = told(town)
    forged = signed(place, report_id).replace("+r", "+r1")
    with client(server) as smtp:
        smtp.send_message(letter("It's the second one", to=forged))
        smtp.send_message(letter("The lamp behind the library is out", subject="Streetlight"))
    with town.looking() as scene:
        first, second = entries.waiting(scene.s)
        assert (first.words, first.notes, first.report_id) == (
            "It's the second one", [reception.BAD_SIGNATURE], None
        )  # fmt: skip
        assert (second.subject, second.sender, second.sender_name, second.notes) == (
            "Streetlight", "ana@example.org", "Ana", []
        )  # fmt: skip
    assert count(town, CaseMessage) == 1  # the question alone


def test_nothing_is_relayed_and_no_machine_is_answered(town: Town, place: Place, server: MailServer) -> None:
    report_id, _question = told(town)
    with client(server) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.send_message(letter("Buy", to="victim@example.net"))
        for heads in (
            {"Auto_Submitted": "auto-replied"}, {"List_Id": "<l.example>"}, {"Precedence": "bulk"},
            {"X_Autoreply": "yes"},
        ):  # fmt: skip
            smtp.send_message(letter("I'm on vacation", to=signed(place, report_id), **heads))
        smtp.sendmail("", [signed(place, report_id)], letter("Undelivered").as_bytes())
        smtp.send_message(letter("Loop", sender=OURS))
    assert (count(town, CaseMessage), count(town, InboxEntry)) == (1, 0)


def test_too_large_is_refused_as_it_comes(town: Town, server: MailServer) -> None:
    with client(server) as smtp:
        smtp.ehlo_or_helo_if_needed()
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            smtp.sendmail("a@example.org", [OURS], b"Subject: x\r\n\r\n" + b"x" * (mail.MOST_BYTES + 1))
    assert refused.value.smtp_code == 552
    assert count(town, InboxEntry) == 0


def test_an_answer_that_comes_too_late_is_read_by_the_desk(town: Town, place: Place) -> None:
    report_id, _question = told(town)
    with town.at_work() as scene:
        case = scene.s.get_one(Report, report_id).case
        transitions.close(scene.s, case, Closing("no action"), by=scene.actor("dispatcher"), at=town.now)
    done = take(place, letter("Still dark", to=signed(place, report_id)), at=town.now + 15 * DAY)
    assert done.what == WAITS
    with town.looking() as scene:
        (entry,) = entries.waiting(scene.s)
        assert (entry.report_id, entry.words, entry.notes) == (report_id, "Still dark", ["too_late_to_write"])


def test_a_recording_that_a_telephone_sends_is_a_voicemail(town: Town, place: Place) -> None:
    sent = letter("", subject="Voice message from 555 0110")
    sent.add_attachment(b"RIFF....WAVE", maintype="audio", subtype="wav", filename="msg.wav")
    assert take(place, sent).what == WAITS
    with town.looking() as scene:
        (entry,) = entries.waiting(scene.s)
        kept = entries.recording(scene.s, entry.id)
        assert entry.channel == entries.VOICEMAIL
        assert kept is not None
        assert (kept.kind, bytes(kept.sound)) == ("audio/wav", b"RIFF....WAVE")
    assert count(town, Recording) == 1


def take(place: Place, sent: EmailMessage, at: datetime | None = None) -> reception.Outcome:
    to = [str(sent["To"])]
    return reception.take_mail(
        place, sent.as_bytes(), to=to, envelope_from="x@example.org", at=at or datetime.now(UTC)
    )


def wants_texts(town: Town, report_id: int, number: str, lang: str = "en") -> None:
    with town.at_work() as scene:
        report = scene.s.get_one(Report, report_id)
        row = intake.subscribe(scene.s, report, number, channel="sms", lang=lang, at=town.now)
        intake.confirm(scene.s, row, at=town.now)


def test_a_text_answers_the_newest_question_and_any_other_waits(town: Town, place: Place) -> None:
    report_id, question = told(town)
    wants_texts(town, report_id, "+15555550163")
    answer = Text("SM1", "+1 555 555 0163", "The one by the gate")
    assert reception.take_text(place, answer, at=town.now).what == ANSWER
    assert reception.take_text(place, answer, at=town.now).what == ANSWER  # the gateway tries again
    assert (
        reception.take_text(place, Text("SM2", "+15555550163", "Couch on 40 Mill"), at=town.now).what == WAITS
    )
    assert reception.take_text(place, Text("SM3", "+15555550199", "Hello"), at=town.now).what == WAITS
    with town.looking() as scene:
        (line,) = scene.s.scalars(select(CaseMessage).where(CaseMessage.answers_id == question))
        assert (line.words, line.channel) == ("The one by the gate", "sms")
        assert [each.words for each in entries.waiting(scene.s)] == ["Couch on 40 Mill", "Hello"]


@pytest.mark.parametrize(("stop", "start", "lang"), [("STOP", "Start", "en"), ("Alto.", "EMPEZAR", "es")])
def test_stop_ends_all_texts_and_start_begins_them_again(
    town: Town, place: Place, stop: str, start: str, lang: str
) -> None:
    report_id, _question = told(town)
    wants_texts(town, report_id, "+15555550163", lang)
    said = reception.take_text(place, Text("1", "+15555550163", stop), at=town.now)
    assert (said.what, said.lang) == (reception.STOPPED, lang)
    assert stopped(town) == [True]
    said = reception.take_text(place, Text("2", "+15555550163", start), at=town.now)
    assert (said.what, stopped(town)) == (reception.STARTED, [False])
    assert count(town, InboxEntry) == 0


def stopped(town: Town) -> list[bool]:
    with town.looking() as scene:
        return [each.stopped_at is not None for each in scene.s.scalars(select(Subscription))]


def test_the_inbox_asks_back_and_the_answer_comes_to_the_same_entry(town: Town, place: Place) -> None:
    take(place, letter("The lamp behind the library is out", subject="Streetlight"))
    with town.at_work() as scene:
        (entry,) = entries.waiting(scene.s)
        entries.write_back(scene.s, entry, "Which one?", asks=True, by=scene.actor("call-taker"), at=town.now)
        number = entry.id
    address = reply_address.signed(OURS, place.secret, reply_address.ENTRY, number)
    for _again in range(2):
        assert take(place, letter("The left one.", to=address)).what == WAITS
    with town.looking() as scene:
        (entry,) = entries.waiting(scene.s)
        assert (entry.id, entry.asked_at) == (number, None)
        assert entry.words == "The lamp behind the library is out\n\nThe left one."


def test_a_full_inbox_loses_nothing_and_a_flood_of_one_stops_nobody_else(
    town: Town, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MOST_OF_ONE", 2)
    monkeypatch.setattr(entries, "MOST_WAITING", 3)
    for n in range(2):
        take(place, letter(f"Mail {n}"))
    with pytest.raises(entries.Full):
        take(place, letter("Mail 2"))
    take(place, letter("Another", sender="b@example.org"))
    with pytest.raises(entries.Full):
        take(place, letter("One more", sender="c@example.org"))
    assert count(town, InboxEntry) == 3


def test_what_is_settled_is_forgotten_a_month_later(town: Town, place: Place) -> None:
    sent = letter("The lamp is out")
    sent.add_attachment(plain(size=(640, 480)), maintype="image", subtype="jpeg", filename="pole.jpg")
    take(place, sent)
    with town.at_work() as scene:
        (entry,) = entries.waiting(scene.s)
        assert len(entries.pictures(scene.s, entry)) == 1
        entry.settled_at = town.now
    with town.at_work() as scene:
        assert entries.sweep(scene.s, place.var, town.now + 29 * DAY) == 0
        assert entries.sweep(scene.s, place.var, town.now + 31 * DAY) == 1
        entry = scene.s.scalars(select(InboxEntry)).one()
        assert (entry.words, entry.sender, entry.subject) == ("", "", "")
    assert count(town, Photo) == 0


def test_reply_addresses_are_signed_for_one_thing_alone(place: Place) -> None:
    address = signed(place, 17)
    assert reply_address.read(address.upper(), OURS, place.secret) == ("r", 17)
    assert len(address.partition("@")[0]) <= 64  # RFC 5321
    other = replace(place, secret="x" * 32)
    for wrong in (address.replace("r17", "r18"), address.replace("r17", "e17"), signed(other, 17), OURS):
        assert reply_address.read(wrong, OURS, place.secret) is None
