"""Quiet hours: no phone rings at night for the city's sake, by the city's own clocks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import Town

from city.cases import transitions
from city.cases.transitions import Closing
from city.config import city_file, quiet_hours
from city.db import engine as db
from city.db.models import Message, Subscription
from city.notifications import fan_out, outbox
from city.reports import intake

HARTFORD = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("span", "at", "holds"),
    [
        ("21:00-08:00", "20:59", False), ("21:00-08:00", "21:00", True), ("21:00-08:00", "00:00", True),
        ("21:00-08:00", "07:59", True), ("21:00-08:00", "08:00", False), ("12:30-14:00", "12:29", False),
        ("12:30-14:00", "13:00", True), ("12:30-14:00", "14:00", False),
    ],
)  # fmt: skip
def test_it_is_quiet_by_the_citys_clocks(span: str, at: str, holds: bool) -> None:
    hours = quiet_hours.parse(span, HARTFORD)
    assert hours is not None
    for day in ("2026-01-12", "2026-03-08", "2026-07-12"):  # the second has an hour less
        moment = datetime.fromisoformat(f"{day} {at}").replace(tzinfo=HARTFORD).astimezone(UTC)
        assert hours.holds(moment) is holds


@pytest.mark.parametrize("words", ["21-8", "21:00", "21:00-21:00", "25:00-08:00", "21:00-24:00", "night"])
def test_what_is_no_span_is_told(words: str, settings: Any) -> None:
    assert quiet_hours.parse(words, HARTFORD) is None
    text = settings.city.read_text().replace('quiet = "21:30-07:30"', f'quiet = "{words}"')
    with pytest.raises(city_file.CityFileError, match=r"news\.quiet"):
        city_file.parse(text, "city.toml")


def wished(town: Town, channel: str, *, danger: bool = False, confirmed: bool = True) -> None:
    """Somebody who wants to hear of a case that is closed in the next moment."""
    with town.at_work() as scene:
        report = scene.report(danger=danger)
        wish = Subscription(
            report_id=report.id, channel=channel, address=f"{channel} {danger}", lang="en",
            asked_at=town.now, confirmed_at=town.now if confirmed else None,
        )  # fmt: skip
        scene.s.add(wish)
        by = scene.actor("dispatcher")
        transitions.close(scene.s, report.case, Closing("fixed", no_photo="dark"), by=by, at=town.now)


def test_texts_and_notifications_wait_for_the_morning_but_for_danger(town: Town) -> None:
    for channel in ("email", "push", "sms"):
        wished(town, channel)
    wished(town, "push", danger=True)
    with town.at_work() as scene:
        intake.subscribe(scene.s, scene.report(), "+15550100142", channel="sms", lang="en", at=town.now)
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
    heard: list[str] = []

    class Way:
        def send(self, what: str) -> None:
            heard.append(what)

    def render(_s: Any, message: Message) -> str:
        return f"{message.kind} {message.subscription.address}"

    ways = dict.fromkeys(("email", "push", "sms"), Way())
    outbox.send_due(town.engine, ways, render, town.now, quiet=True)
    assert heard == ["closed email False", "closed push True", "receipt +15550100142"]
    outbox.send_due(town.engine, ways, render, town.now + timedelta(hours=9))
    assert heard[3:] == ["closed push False", "closed sms False"]
