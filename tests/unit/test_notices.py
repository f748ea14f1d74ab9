"""Who hears of what: a receipt at once, the rest on a confirmed address, once, through a real server."""

from datetime import timedelta
from email.message import EmailMessage
from typing import Any

from factories import Town
from sqlalchemy import select
from sqlalchemy.orm import Session

from city import cases, db, delivery, events, notices, reports
from city.schema import Case, Message, Subscription


def render(_s: Session, message: Message) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"] = "city@town.test", message.subscription.email
    letter["Subject"] = message.kind
    letter.set_content(message.kind)
    return letter


def told(smtp: Any) -> list[tuple[str, str]]:
    return [(letter["To"], letter["Subject"]) for letter in smtp.messages]


def work(town: Town, smtp: Any, days: float = 0) -> None:
    """What the worker does in one round."""
    now = town.now + timedelta(days=days)
    with db.transaction(town.engine) as s:
        notices.follow(s, now)
    delivery.send_due(town.engine, delivery.open_mailer(smtp.url), render, now)


def subscribed(town: Town, *, confirmed: bool, **changes: Any) -> int:
    with town.at_work() as scene:
        report = scene.report(**changes)
        row = reports.subscribe(scene.s, report, "Ana@Town.test", lang="es", at=town.now)
        row.confirmed_at = town.now if confirmed else None
        return report.case_id


def close(town: Town, case_id: int, origin: str = "live") -> None:
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case_id)
        cases.close(
            scene.s, case, by=scene.actor("dispatcher"), at=town.now, outcome="fixed", no_photo="dark",
            origin=origin,
        )  # fmt: skip


def test_an_unconfirmed_address_gets_its_receipt_and_nothing_more(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=False)
    work(town, smtp)
    close(town, case_id)
    work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt")]


def test_a_confirmed_address_hears_of_the_closing_once(town: Town, smtp: Any) -> None:
    case_id = subscribed(town, confirmed=True)
    close(town, case_id)
    for _ in range(3):
        work(town, smtp)
    assert told(smtp) == [("ana@town.test", "receipt"), ("ana@town.test", "closed")]


def test_everybody_of_merged_and_joined_cases_hears(town: Town, smtp: Any) -> None:
    root = subscribed(town, confirmed=True)
    merged = subscribed(town, confirmed=True)
    with town.at_work() as scene:
        case, into = scene.s.get_one(Case, merged), scene.s.get_one(Case, root)
        cases.merge(scene.s, case, into, by=scene.actor("dispatcher"), at=town.now)
        number = into.number
    subscribed(town, confirmed=True, join=number)
    close(town, root)
    work(town, smtp)
    assert [kind for _, kind in told(smtp)].count("closed") == 3


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
        assert notices.follow(s, town.now) == 0
    assert lines >= 3
