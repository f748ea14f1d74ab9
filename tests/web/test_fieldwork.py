"""Work that phones sent and that was not done: staff see it, count it as done, release it or put it away."""

import json
import re
import uuid
from collections.abc import Callable

from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import city, shared, shown, staff

from city.audit import events
from city.cases import transitions
from city.db.models import Device
from sync import merge, protocol, push

MOST_QUERIES = 12


def test_field_work_is_shown_counted_as_done_released_and_put_away(
    town: Town, log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        job, number = case.assignments[-1].id, case.number
        transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=town.now)
    ids = sent_by_rosa(town, number, job)
    browser = log_in("dispatcher")
    assert staff.FIELD_WORK_TITLE in browser.get("/dispatch").text
    page = shown(browser.get("/dispatch/field-work"))
    assert all(
        told in page for told in ("Rosa", number, staff.MARK_DONE_BUTTON, "New lamp.", shared.QUARANTINED)
    )
    rows = page.split("<tr>")[2:]
    (closing,) = (row for row in rows if "New lamp." in row)
    (junk,) = (row for row in rows if shared.QUARANTINED in row)
    assert "Rosa · lights" in closing
    assert all(
        told in closing
        for told in (
            city.STREETLIGHT_OUT,
            "214 Tansy Street",
            staff.NO_PHOTO_REASON(reason=shared.TOO_DARK),
            staff.PHONE_CLOCK(time="Today at 9:30\xa0am"),
        )
    )
    assert "Rosa · <span" in junk
    assert staff.PHONE_CLOCK(time="") not in junk
    assert staff.APPROVE_BUTTON not in page
    form = {"csrf_token": token()}
    done = browser.post(f"/dispatch/field-work/{ids['closing']}/done", data=form)
    assert done.headers["Location"] == "/dispatch/field-work?said=done"
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.outcome, case.review) == ("closed", "fixed", None)
        assert case.closures[-1].crew_id == town.ids["lights"]
        assert events.verify(scene.s) == []
    assert browser.post(f"/dispatch/field-work/{ids['start']}/done", data=form).status_code == 422
    supervisor = log_in("supervisor")
    form = {"csrf_token": token()}
    assert supervisor.post(f"/dispatch/field-work/{ids['start']}/release", data=form).status_code == 303
    assert supervisor.post(f"/dispatch/field-work/{ids['junk']}/dismissal", data=form).status_code == 303
    page = shown(supervisor.get("/dispatch/field-work"))
    assert shared.MARK_CLOSED in page
    assert shared.QUARANTINED not in page


def test_whose_job_it_was_is_said_only_where_it_is_a_job_of_that_case(
    town: Town, log_in: Callable[[str], FlaskClient]
) -> None:
    with town.at_work() as scene:
        case, other = scene.assigned(), scene.assigned(crew="trees")
        number, job = case.number, other.assignments[-1].id
        transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=town.now)
    sent_by_rosa(town, number, job)
    page = log_in("dispatcher").get("/dispatch/field-work").text
    assert "Rosa · <span" in page
    assert "trees" not in page


def sent_by_rosa(town: Town, number: str, job: int) -> dict[str, str]:
    """A closing after the case was cancelled, a deposited start, and something unreadable."""
    rosa, device = town.ids["rosa"], str(uuid.uuid4())
    with town.at_work() as scene:
        scene.s.add(Device(id=device, person_id=rosa, token_hash="x", enrolled_at=town.now, seen_at=town.now))
        by = scene.actor("rosa")
    op = {
        "n": 1, "v": 1, "case": number, "assignment": job, "cycle": 1, "photos": [],
        "device_time": town.now.isoformat(),
    }  # fmt: skip
    said = {"outcome": "fixed", "no_photo": "dark", "words": "New lamp."}
    told = {
        "closing": op | {"id": str(uuid.uuid4()), "t": "close", "data": said},
        # By a clock that the city's own zone has no time for.
        "start": op | {"id": str(uuid.uuid4()), "t": "start", "device_time": "0001-01-01T00:30:00Z"},
        "junk": {"id": str(uuid.uuid4()), "t": "explode"},
    }
    for name, each in told.items():
        sender = push.Sender(device, by, deposit="revoked" if name == "start" else "")
        push.push(town.engine, sender, [protocol.reread(json.dumps(each))], town.now)
    return {name: str(each["id"]) for name, each in told.items()}


def test_the_number_of_queries_does_not_grow_with_the_work(
    town: Town, app: Flask, log_in: Callable[[str], FlaskClient]
) -> None:
    browser, sent = log_in("dispatcher"), []
    for more in (1, 4):
        for _ in range(more):
            with town.at_work() as scene:
                case, other = scene.assigned(crew="lights"), scene.assigned(crew="lights")
                job, number = case.assignments[-1].id, case.number
                transitions.merge(
                    scene.s,
                    case,
                    other,
                    by=scene.actor("dispatcher"),
                    at=town.now,
                    keep_crew=town.ids["lights"],
                )
            sent_by_rosa(town, number, job)
        with counted(app) as statements:
            page = shown(browser.get("/dispatch/field-work"))
        sent.append(len(statements))
    assert page.count(f">{staff.DISMISS_BUTTON}<") == 15
    assert staff.CLOSE_TOO_BUTTON(number=other.number) in page
    assert sent[0] == sent[1] <= MOST_QUERIES


def test_a_phone_has_words_for_whatever_becomes_of_work(client: FlaskClient) -> None:
    said = set(re.findall(r'data-word="state\.([\w.]+)"', client.get("/crew").text))
    assert set(protocol.RESULTS) <= said
    told = {f"{row.result}.{row.why}" for row in merge.TABLE if row.why}
    told |= {f"recorded.{why}" for why in ("withdrawn", "erased", "too_late", "dismissed", "held")}
    told |= {"deposited.login", "deposited.revoked", "applied.counted", "applied.joined", "merged.done"}
    as_the_result_says = {"recorded.step_back", "recorded.not_your_job", "recorded.held", "merged.closed"}
    assert told - said == as_the_result_says
