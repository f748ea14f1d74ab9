"""Who hears of what: a receipt at once, the rest on a confirmed address, once, through a real server."""

import uuid
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from factories import Town
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import batches, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Follower, Message, Report, Subscription
from city.notifications import email, fan_out, outbox, subscriptions
from city.reports import intake

pytestmark = pytest.mark.both_databases


def render(s: Session, message: Message) -> EmailMessage | None:
    if not fan_out.is_still_valid(s, message):
        return None
    letter = EmailMessage()
    letter["From"], letter["To"] = "city@town.test", message.subscription.address
    letter["Subject"] = message.kind
    letter.set_content(message.kind)
    return letter


def told(smtp: Any) -> list[tuple[str, str]]:
    return [(letter["To"], letter["Subject"]) for letter in smtp.messages]


def work(town: Town, smtp: Any, days: float = 0) -> None:
    """What the worker does in one round."""
    now = town.now + timedelta(days=days)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, now)
    outbox.send_due(town.engine, {"email": email.open_mailer(smtp.url)}, render, now)


def subscribed(town: Town, *, confirmed: bool, email: str = "Ana@Town.test", **changes: Any) -> int:
    with town.at_work() as scene:
        report = scene.report(**changes)
        row = intake.subscribe(scene.s, report, email, lang="es", at=town.now)
        row.confirmed_at = town.now if confirmed else None
        return report.case_id


def close(town: Town, case_id: int, origin: str = "live") -> None:
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case_id)
        transitions.close(
            scene.s,
            case,
            Closing("fixed", no_photo="dark"),
            by=scene.actor("dispatcher"),
            at=town.now,
            origin=origin,
        )


def test_the_receipt_of_a_report_confirms_its_address(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=False)
    work(town, smtp)
    close(town, case_id)
    work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt"), ("ana@town.test", "closed")]


def test_who_stops_after_the_receipt_hears_nothing_more(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=False)
    work(town, smtp)
    with town.at_work() as scene:
        intake.stop(scene.s, scene.s.scalars(select(Subscription)).one(), at=town.now)
    close(town, case_id)
    work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt")]


def test_a_receipt_that_did_not_go_out_confirms_nothing(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=False)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    close(town, case_id)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    with town.looking() as scene:
        assert list(scene.s.scalars(select(Message.kind))) == ["receipt"]


def test_a_followers_address_is_asked_first(town: Town, smtp: Any) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        target = subscriptions.case(scene.s, case.number)
        assert target
        subscriptions.subscribe(scene.s, target, "bea@town.test", lang="en", at=town.now)
        case_id = case.id
    work(town, smtp)
    close(town, case_id)
    work(town, smtp)
    assert told(smtp) == [("bea@town.test", "receipt")]
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).one().receipt_at is None


def test_a_number_for_texts_is_asked_first(town: Town) -> None:
    class Gateway:
        def send(self, message: EmailMessage) -> None:
            texts.append(str(message["Subject"]))

    texts: list[str] = []
    with town.at_work() as scene:
        report = scene.report()
        number = "+12025550123"
        intake.subscribe(scene.s, report, number, channel="sms", lang="en", at=town.now)
        case_id = report.case_id
    for _ in range(2):
        with town.at_work() as scene:
            fan_out.process_events(scene.s, town.now)
        outbox.send_due(town.engine, {"sms": Gateway()}, render, town.now)
        if len(texts) == 1:
            close(town, case_id)
    assert texts == ["receipt"]


def test_a_confirmed_address_hears_of_the_closing_once(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    close(town, case_id)
    for _ in range(3):
        work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt"), ("ana@town.test", "closed")]


def merge(town: Town, case_id: int, root_id: int) -> str:
    """Merges them, and gives the root's number."""
    with town.at_work() as scene:
        case, into = scene.s.get_one(Case, case_id), scene.s.get_one(Case, root_id)
        transitions.merge(scene.s, case, into, by=scene.actor("dispatcher"), at=town.now)
        return into.number


def unmerge(town: Town, case_id: int) -> None:
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case_id)
        transitions.unmerge(scene.s, case, by=scene.actor("dispatcher"), at=town.now)


def reopen(town: Town, case_id: int) -> None:
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case_id)
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=town.now)


def closings_told(smtp: Any) -> list[str]:
    return sorted(to for to, kind in told(smtp) if kind == "closed")


def test_everybody_of_merged_and_joined_cases_hears(town: Town, smtp: Any) -> None:
    root = subscribed(town, confirmed=True)
    number = merge(town, subscribed(town, confirmed=True, email="bea@town.test"), root)
    subscribed(town, confirmed=True, email="cy@town.test", join=number)
    close(town, root)
    work(town, smtp)
    assert closings_told(smtp) == ["ana@town.test", "bea@town.test", "cy@town.test"]


def test_somebody_with_several_reports_of_one_problem_hears_of_its_closing_once(
    town: Town, smtp: Any
) -> None:
    root = subscribed(town, confirmed=True)
    number = merge(town, subscribed(town, confirmed=True), root)
    subscribed(town, confirmed=True, join=number)
    close(town, root)
    work(town, smtp)
    assert closings_told(smtp) == ["ana@town.test"]


def test_merging_and_separating_tells_nobody_twice_of_one_closing(town: Town, smtp: Any) -> None:
    root = subscribed(town, confirmed=True)
    merged = subscribed(town, confirmed=True, email="bea@town.test")
    merge(town, merged, root)
    close(town, root)
    for _ in range(2):
        work(town, smtp)
        unmerge(town, merged)
        work(town, smtp)
        merge(town, merged, root)
        work(town, smtp)
    assert closings_told(smtp) == ["ana@town.test", "bea@town.test"]


def test_the_next_closing_is_another_one(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    for days in (0, 1.1):  # a second one on the same day would wait: at most one a day besides closings
        close(town, case_id)
        work(town, smtp, days)
        reopen(town, case_id)
        work(town, smtp, days)
    assert [kind for _, kind in told(smtp)] == ["receipt", "closed", "reopened", "closed", "reopened"]


def test_what_was_overtaken_while_the_mail_server_was_down_is_not_said(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    work(town, smtp)
    close(town, case_id)
    reopen(town, case_id)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    with town.looking() as scene:
        held = {m.kind: fan_out.is_still_valid(scene.s, m) for m in scene.s.scalars(select(Message))}
    assert held == {"receipt": True, "closed": False, "reopened": True}


def test_who_was_separated_before_the_letter_went_hears_when_merged_again(town: Town, smtp: Any) -> None:
    root = subscribed(town, confirmed=True)
    merged = subscribed(town, confirmed=True, email="bea@town.test")
    merge(town, merged, root)
    close(town, root)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    unmerge(town, merged)
    work(town, smtp)
    assert closings_told(smtp) == ["ana@town.test"]
    merge(town, merged, root)
    work(town, smtp)
    assert closings_told(smtp) == ["ana@town.test", "bea@town.test"]


def close_as_batch(town: Town, case_id: int) -> int:
    with town.at_work() as scene:
        numbers, by = [scene.s.get_one(Case, case_id).number], scene.actor("dispatcher")
        what = {"outcome": "not found"}
        sent = batches.digest(uuid.uuid4().hex, by, "close", what, numbers)
        return batches.act(scene.s, numbers, "close", what, by=by, at=town.now, sent=sent).id


def undo_batch(town: Town, batch_id: int) -> None:
    with town.at_work() as scene:
        batches.undo(scene.s, batch_id, by=scene.actor("dispatcher"), at=town.now)


def test_an_undone_closing_is_taken_back_with_those_only_who_had_heard_of_it(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    work(town, smtp)
    batch_id = close_as_batch(town, case_id)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)  # the letter lies in the outbox
    undo_batch(town, batch_id)
    work(town, smtp)
    assert [kind for _, kind in told(smtp)] == ["receipt"], "nobody knew that it was closed"
    batch_id = close_as_batch(town, case_id)
    work(town, smtp)
    undo_batch(town, batch_id)
    work(town, smtp)
    assert [kind for _, kind in told(smtp)] == ["receipt", "closed", "reopened"]
    undo_batch(town, close_as_batch(town, case_id))
    work(town, smtp)
    assert [kind for _, kind in told(smtp)] == ["receipt", "closed", "reopened"], "they know that it is open"


def test_of_two_at_an_undone_closing_the_one_who_heard_of_it_hears_on(town: Town, smtp: Any) -> None:
    root = subscribed(town, confirmed=True)
    with town.looking() as scene:
        number = scene.s.get_one(Case, root).number
    batch_id = close_as_batch(town, root)
    work(town, smtp)
    with town.at_work() as scene:  # who wants news only now heard of no closing
        report = scene.s.scalars(select(Report).where(Report.number == f"{number}-A")).one()
        intake.subscribe(scene.s, report, "bea@town.test", lang="en", at=town.now).confirmed_at = town.now
    undo_batch(town, batch_id)
    work(town, smtp)
    assert [to for to, kind in told(smtp) if kind == "reopened"] == ["ana@town.test"]


def test_a_stopped_subscription_is_silent(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().stopped_at = town.now
    close(town, case_id)
    work(town, smtp)
    assert "closed" not in [kind for _, kind in told(smtp)]


def test_nobody_is_mailed_about_an_imported_past(town: Town, smtp: Any) -> None:
    close(town, subscribed(town, confirmed=True), origin="import")
    work(town, smtp)
    assert "closed" not in [kind for _, kind in told(smtp)]


def test_a_mail_server_that_is_down_delays_and_loses_nothing(town: Town, smtp: Any) -> None:
    smtp.answer = "451 later"
    subscribed(town, confirmed=True)
    work(town, smtp)
    with town.looking() as scene:
        message = scene.s.scalars(select(Message)).one()
        assert (message.tries, message.sent_at) == (1, None)
        assert message.fault
    smtp.answer = "250 OK"
    work(town, smtp)
    assert told(smtp) == [], "not before its time"
    work(town, smtp, days=1)
    assert told(smtp) == [("ana@town.test", "receipt")]


def test_reading_the_log_again_makes_no_second_message(town: Town, smtp: Any) -> None:
    subscribed(town, confirmed=True)
    work(town, smtp)
    with town.looking() as scene:
        lines = len(events.since(scene.s, 0))
    with db.transaction(town.engine) as s:
        assert fan_out.process_events(s, town.now) == 0
        s.get_one(Follower, fan_out.NAME).seq = 0
        assert fan_out.process_events(s, town.now) == lines
        assert s.scalar(select(func.count()).select_from(Message)) == 1


def test_one_letter_that_cannot_be_written_holds_up_no_other(town: Town, smtp: Any) -> None:
    subscribed(town, confirmed=False)
    subscribed(town, confirmed=False)

    def half(s: Session, message: Message) -> EmailMessage | None:
        if message.id == 1:
            raise KeyError("a word that is not there")
        return render(s, message)

    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    assert outbox.send_due(town.engine, {"email": email.open_mailer(smtp.url)}, half, town.now) == 1
    with town.looking() as scene:
        assert "KeyError" in (scene.s.get_one(Message, 1).fault or "")


def test_of_two_workers_that_look_at_once_one_sends(town: Town, smtp: Any) -> None:
    subscribed(town, confirmed=False)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    channels = {"email": email.open_mailer(smtp.url)}
    others: list[int] = []

    def meanwhile(s: Session, message: Message) -> EmailMessage | None:
        """The other looks while the first is about to send."""
        if not others:
            others.append(-1)
            others[0] = outbox.send_due(town.engine, channels, render, town.now)
        return render(s, message)

    assert outbox.send_due(town.engine, channels, meanwhile, town.now) == 1
    assert others == [0]
    assert told(smtp) == [("ana@town.test", "receipt")]


def test_what_was_not_tried_yet_goes_before_what_is_tried_again(town: Town, smtp: Any) -> None:
    smtp.answer = "451 later"
    subscribed(town, confirmed=False, email="ana@town.test")
    work(town, smtp)
    smtp.answer = "250 OK"
    subscribed(town, confirmed=False, email="bea@town.test")
    work(town, smtp, days=1)
    assert [to for to, _kind in told(smtp)] == ["bea@town.test", "ana@town.test"]


def test_each_channel_can_be_sent_by_itself(town: Town, smtp: Any) -> None:
    subscribed(town, confirmed=False)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    way = email.open_mailer(smtp.url)
    assert outbox.send_due(town.engine, {"push": way, "sms": way}, render, town.now) == 0
    with town.looking() as scene:
        assert scene.s.get_one(Message, 1).tries == 0, "not even tried"
    assert outbox.send_due(town.engine, {"email": way}, render, town.now) == 1


def test_a_letter_whose_sender_was_killed_is_sent_by_the_next(town: Town, smtp: Any) -> None:
    subscribed(town, confirmed=False)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    channels = {"email": email.open_mailer(smtp.url)}

    class Killed(BaseException):
        pass

    def dies(_s: Session, _message: Message) -> EmailMessage:
        raise Killed

    with pytest.raises(Killed):
        outbox.send_due(town.engine, channels, dies, town.now)
    assert outbox.send_due(town.engine, channels, render, town.now) == 0
    assert outbox.send_due(town.engine, channels, render, town.now + 2 * outbox.CLAIM) == 1
    assert told(smtp) == [("ana@town.test", "receipt")]


def test_a_lost_receipt_is_sent_again_when_asked_for(town: Town, smtp: Any) -> None:
    with town.at_work() as scene:
        report = scene.report()
        for minutes in (0, 1, 30):
            at = town.now + timedelta(minutes=minutes)
            intake.subscribe(scene.s, report, "ana@town.test", lang="es", at=at)
    work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt")] * 2


def test_who_is_merged_into_a_closed_case_hears_that_it_is_done(town: Town, smtp: Any) -> None:
    done, late = subscribed(town, confirmed=False), subscribed(town, confirmed=True)
    close(town, done)
    with town.at_work() as scene:
        case, into = scene.s.get_one(Case, late), scene.s.get_one(Case, done)
        transitions.merge(scene.s, case, into, by=scene.actor("dispatcher"), at=town.now)
    work(town, smtp)
    assert ("ana@town.test", "closed") in told(smtp)


def test_a_letter_in_the_folder_reads_as_it_lies(tmp_path: Path) -> None:
    link = "https://town.example/s/" + "x" * 150
    letter = EmailMessage()
    letter.set_content(f"Mañana: {link}\n")
    letter["Content-Language"] = "es"
    email.open_mailer(f"file:{tmp_path / 'mail'}").send(letter)
    [file] = (tmp_path / "mail" / "new").iterdir()
    written = file.read_text("utf-8")
    assert f"Mañana: {link}\n" in written
    assert "Content-Language: es\n" in written
