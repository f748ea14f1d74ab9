"""Other systems hear of every public change: signed, in order, until they took it; and nothing private."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from factories import Town, statements
from sqlalchemy import select

from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Event, Report, Webhook
from city.lifecycle import Refused
from city.notifications import webhooks
from city.people import accounts

URL = "https://other.example/hear"
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


class Other:
    """The other system: what it was told, and how it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, dict[str, str]]] = []
        self.status: int | Exception = 200

    def __call__(self, _url: str, body: bytes, headers: dict[str, str]) -> int:
        if isinstance(self.status, Exception):
            raise self.status
        if 200 <= self.status < 300:
            self.calls.append((body, headers))
        return self.status

    @property
    def heard(self) -> list[tuple[str, str]]:
        told = [json.loads(body) for body, _headers in self.calls]
        return [(each["type"], each["data"]["number"]) for each in told]


@pytest.fixture
def other(town: Town) -> Other:
    with town.at_work() as scene:
        scene.report(words="before anybody listened")
    with db.transaction(town.engine) as s:
        webhooks.add(s, URL, SECRET, loopback=False, by=accounts.THE_SYSTEM, at=town.now)
    return Other()


def tell(town: Town, other: Other, **later: float) -> int:
    return webhooks.send_due(town.engine, other, town.now + timedelta(**later), "staff")


def row(town: Town) -> Webhook:
    with town.looking() as scene:
        return scene.s.scalars(select(Webhook)).one()


def close(town: Town, number: str) -> None:
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)


def test_what_happens_is_told_once_in_order(town: Town, other: Other) -> None:
    with town.at_work() as scene:
        scene.report()
    close(town, "26-000002")
    assert tell(town, other) == len(other.heard)
    assert other.heard[0] == ("case.open", "26-000002")
    assert other.heard[-1] == ("case.close", "26-000002")
    assert tell(town, other) == 0
    numbers = [json.loads(body)["seq"] for body, _headers in other.calls]
    assert numbers == sorted(numbers)


def test_a_call_is_signed_as_standard_webhooks_has_it(town: Town, other: Other) -> None:
    close(town, "26-000001")
    tell(town, other)
    body, headers = other.calls[-1]
    told = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mark = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"
    assert int(headers["webhook-timestamp"]) == int(town.now.timestamp())


@pytest.mark.parametrize("fault", [500, 404, 301, OSError("nobody there")], ids=str)
def test_who_does_not_answer_is_told_later_and_misses_nothing(
    town: Town, other: Other, fault: int | Exception
) -> None:
    other.status = fault
    close(town, "26-000001")
    assert tell(town, other) == 0
    assert row(town).tries == 1
    said = str(fault) if isinstance(fault, int) else "OSError"
    assert said in (row(town).fault or "")
    other.status = 200
    assert tell(town, other) == 0, "not before its time"
    assert tell(town, other, minutes=1) > 0
    assert ("case.close", "26-000001") in other.heard
    assert (row(town).tries, row(town).fault) == (0, None)


@pytest.mark.slow
def test_what_comes_after_waits_for_what_was_not_taken(town: Town, other: Other) -> None:
    close(town, "26-000001")
    other.status = 503
    for minutes in range(0, 300, 10):
        with town.at_work() as scene:
            scene.report()
        tell(town, other, minutes=minutes)
    other.status = 200
    while tell(town, other, days=1):
        pass
    numbers = [json.loads(body)["seq"] for body, _headers in other.calls]
    assert numbers == sorted(set(numbers))
    with town.looking() as scene:
        lines = scene.s.scalars(select(Event.seq).where(Event.kind == "open")).all()
    assert set(lines[1:]) <= set(numbers)


def test_after_five_days_it_is_given_up_until_somebody_begins_again(town: Town, other: Other) -> None:
    other.status = 410
    close(town, "26-000001")
    for days in range(7):
        tell(town, other, days=days)
    assert row(town).dead_at == town.now + timedelta(days=6)
    other.status = 200
    assert tell(town, other, days=8) == 0
    with town.at_work() as scene:
        webhooks.begin_again(scene.s.scalars(select(Webhook)).one(), at=town.now)
    assert tell(town, other, days=8) > 0
    assert ("case.close", "26-000001") in other.heard


def test_a_slow_one_does_not_keep_the_next_waiting_for_all_it_has_to_hear(
    town: Town, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TURN", 0.0)
    with db.transaction(town.engine) as s:
        webhooks.add(s, URL + "/2", SECRET, loopback=False, by=accounts.THE_SYSTEM, at=town.now)
    for _ in range(2):
        with town.at_work() as scene:
            scene.report()
    asked: list[str] = []

    def slow(url: str, body: bytes, headers: dict[str, str]) -> int:
        asked.append(url)
        return other(url, body, headers)

    for _ in range(3):
        webhooks.send_due(town.engine, slow, town.now, "staff")
    assert asked == [URL, URL + "/2"] * 2
    assert other.heard == [(kind, n) for n in ("26-000002", "26-000003") for kind in ["case.open"] * 2]


def test_a_kill_after_the_call_repeats_it_under_the_same_name(town: Town, other: Other) -> None:
    close(town, "26-000001")

    class Killed(BaseException):
        pass

    def dies(url: str, body: bytes, headers: dict[str, str]) -> int:
        other(url, body, headers)
        raise Killed

    with pytest.raises(Killed):
        webhooks.send_due(town.engine, dies, town.now, "staff")
    tell(town, other)
    names = [headers["webhook-id"] for _body, headers in other.calls]
    assert names[0] == names[1]
    assert len(set(names)) == len(names) - 1


def test_nothing_private_is_told(town: Town, other: Other) -> None:
    with town.at_work() as scene:
        scene.report(service_code="nuisance", words="my neighbor")
        report: Report = scene.report(words="canary of the words")
        case, by = report.case, scene.actor("dispatcher")
        transitions.note(scene.s, case, "canary of a note", by=by, at=town.now)
        transitions.close(
            scene.s, case, Closing("fixed", no_photo="dark", words="canary of the end"), by=by, at=town.now
        )
    tell(town, other)
    told = b"".join(body for body, _headers in other.calls)
    assert b"canary" not in told
    assert {number for _type, number in other.heard} == {"26-000003"}, "a private service is not told"


def test_an_imported_past_is_passed_over(town: Town, other: Other) -> None:
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.s.scalars(select(Case)).one()
        transitions.close(
            scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now, origin="import"
        )
    assert tell(town, other) == 0
    assert other.heard == []


@pytest.mark.parametrize(
    ("url", "secret", "code"),
    [
        ("http://other.example/", "", "not_public"), ("https://10.0.0.7/", "", "not_public"),
        ("https://localhost/", "", "not_public"), (URL, "whsec_short", "bad_secret"),
        (URL, "whsec_" + "A" * 400, "bad_secret"), (URL, "no base64 ñ", "bad_secret"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(town: Town, url: str, secret: str, code: str) -> None:
    with pytest.raises(Refused, match=code), db.transaction(town.engine) as s:
        webhooks.add(s, url, secret, loopback=False, by=accounts.THE_SYSTEM, at=town.now)


def test_adding_twice_is_one_with_the_newer_secret(town: Town, other: Other) -> None:
    with db.transaction(town.engine) as s:
        made = webhooks.add(s, URL, "", loopback=False, by=accounts.THE_SYSTEM, at=town.now).secret
    assert made.startswith("whsec_")
    assert row(town).secret == made != SECRET


@pytest.mark.slow
def test_a_round_asks_little_of_the_database(town: Town, other: Other) -> None:
    for _ in range(30):
        with town.at_work() as scene:
            scene.report()
    with statements(town.engine) as sent:
        told = tell(town, other)
    assert told == 30
    assert len([each for each in sent if each.startswith("SELECT")]) <= 20 + told
