"""A resident reports a problem: with one photo, without one, twice, near another one, in danger."""

import gzip
import io
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Town, jpeg
from filled import FAR, HERE, KEY, Fill
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from wording import resident, shared, shown, staff

from city.db.models import Address, Asset, Case, Event, Photo, RateLimitHit, Report
from city.photos import photos, processing
from city.reports import intake


def photo(name: str = "p.jpg", colour: str = "navy") -> tuple[io.BytesIO, str]:
    return io.BytesIO(jpeg(colour)), name


def value_of(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def the_report(town: Town) -> Report:
    with town.looking() as scene:
        report = scene.s.scalars(select(Report)).one()
        assert report.case.service
        assert report.photos is not None
        return report


def count(town: Town, what: type) -> int:
    with town.looking() as scene:
        return scene.s.scalar(select(func.count()).select_from(what)) or 0


def test_a_tile_and_a_fix_are_enough(town: Town, post: Fill) -> None:
    sent = post()
    assert (sent.status_code, sent.headers["Location"]) == (303, "/sent/26-000001-A")
    report = the_report(town)
    assert (report.case.service_code, report.channel, report.lang) == ("light-out", "web", "en")
    assert (report.case.place_source, report.case.lat, report.case.accuracy_m) == ("gps", 39.61, 12.0)


def test_the_receipt_tells_number_promise_and_link(client: FlaskClient, post: Fill) -> None:
    page = client.get(post().headers["Location"])
    text = page.get_data(as_text=True)
    assert page.headers["Cache-Control"] == "no-store"
    assert "26-000001-A" in text
    assert resident.FIX_BY(day="Friday, May\u00a015") in shown(text)
    link = re.search(r'value="http[^"]*(/s/[0-9a-f]{32})"', text)
    assert link
    assert client.get(link[1]).headers["Location"] == "/case/26-000001"


def test_the_receipt_is_for_the_reporter_only(app: Flask, post: Fill) -> None:
    where = post().headers["Location"]
    assert app.test_client().get(where).status_code == 404


def test_a_chip_names_the_service_and_its_questions(town: Town, post: Fill) -> None:
    post(**{"group": "tree", "service-tree": "limb-down", "answer-limb-down-blocked": "partly"})
    report = the_report(town)
    assert (report.service_code, report.answers) == ("limb-down", {"blocked": "partly"})


def test_a_chip_left_over_from_another_tile_counts_for_nothing(town: Town, post: Fill) -> None:
    post(**{"group": "trash", "service-streetlight": "wire-down"})
    assert the_report(town).service_code == "basket-full"


def test_sending_twice_takes_one_report(town: Town, post: Fill) -> None:
    first, second = post(photo=photo()), post(photo=photo())
    assert first.headers["Location"] == second.headers["Location"]
    assert (count(town, Report), count(town, Case)) == (1, 1)
    assert len(the_report(town).photos) == 1


def test_whoever_only_knows_the_key_of_a_form_gets_no_link(app: Flask, town: Town, post: Fill) -> None:
    post()
    stranger = app.test_client()
    csrf = value_of(stranger.get("/report").text, "csrf_token")
    answer = stranger.post(
        "/report", data={"csrf_token": csrf, "key": KEY, "group": "streetlight", "do": "send"} | FAR
    )
    assert answer.status_code == 422
    assert value_of(answer.text, "key") != KEY
    assert not [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("cl_report_")]
    assert stranger.get("/sent/26-000001-A").status_code == 404


def test_a_browser_that_lost_the_answer_is_still_led_to_its_receipt(
    client: FlaskClient, town: Town, post: Fill
) -> None:
    lost = post()
    client.delete_cookie("cl_report_26-000001-A")
    assert post().headers["Location"] == lost.headers["Location"]
    client.delete_cookie("cl_report_26-000001-A")
    with town.at_work() as scene:
        scene.s.query(RateLimitHit).delete()  # an hour later
    later = post()
    assert (later.status_code, resident.FIRST_REPORT_SENT(number="26-000001-A") in later.text) == (422, True)
    assert count(town, Report) == 1


@pytest.mark.parametrize(
    "changes", [{"words": "and another thing"}, {"group": "trash"}, {"lat": "39.62"}, {"photo": "gold"}]
)
def test_a_form_that_comes_back_with_something_else_is_a_second_report(
    town: Town, post: Fill, changes: dict[str, Any]
) -> None:
    post(photo=photo())
    if "photo" in changes:
        changes = {"photo": photo(colour=changes["photo"])}
    answer = post(**changes)
    assert answer.status_code == 422
    assert resident.FIRST_REPORT_SENT(number="26-000001-A") in answer.text
    again = post(**(changes | {"key": value_of(answer.text, "key"), "photo": None, "seen": ""}))
    assert again.headers["Location"] == "/sent/26-000002-A"
    with town.looking() as scene:
        taken = [len(report.photos) for report in scene.s.scalars(select(Report).order_by(Report.id))]
    assert taken == [1, 1 if "photo" in changes else 0]


def test_the_form_is_never_brought_back_from_a_cache(client: FlaskClient, town: Town) -> None:
    page = client.get("/report")
    assert page.headers["Cache-Control"] == "no-store"
    assert "noindex" not in page.text


def test_a_photo_goes_ahead_and_is_sent_with_the_report(
    town: Town, client: FlaskClient, token: Callable[[], str], post: Fill
) -> None:
    upload = {"key": KEY, "photo": photo(), "csrf_token": token()}
    answer = client.post("/report/photos", data=upload)
    told = answer.get_json()
    assert answer.status_code == 200
    assert re.fullmatch(resident.UPLOADED(size=r"\d+"), told["words"])
    assert client.get(told["url"]).mimetype == "image/jpeg"
    assert KEY not in told["url"]  # which stands in the logs of whatever is between us
    assert client.get(told["url"].partition("?")[0] + "?form=" + "f" * 32).status_code == 404
    assert client.get(told["url"].partition("?")[0]).status_code == 404
    post()
    report = the_report(town)
    assert [p.id for p in report.photos] == [told["id"]]


def test_where_too_many_photos_arrive_nothing_of_a_report_is_lost(
    town: Town, client: FlaskClient, token: Callable[[], str], post: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "_room", threading.BoundedSemaphore(1))
    with processing._room:
        answer = client.post("/report/photos", data={"key": KEY, "photo": photo(), "csrf_token": token()})
        assert (answer.status_code, int(answer.headers["Retry-After"])) == (503, 60)
        page = post(photo=photo(), words="Dark corner")
    assert page.status_code == 422
    assert resident.TOO_MANY_PHOTOS in shown(page)
    assert "Dark corner" in page.text
    assert post(photo=photo(), words="Dark corner").status_code == 303
    assert len(the_report(town).photos) == 1


def test_a_photos_address_in_the_form_is_for_its_reporter_only_once_it_is_sent(
    app: Flask, town: Town, client: FlaskClient, token: Callable[[], str], post: Fill
) -> None:
    upload = {"key": KEY, "photo": photo(), "csrf_token": token()}
    url = client.post("/report/photos", data=upload).get_json()["url"]
    stranger = app.test_client()
    assert stranger.get(url).status_code == 200
    post()
    assert (stranger.get(url).status_code, client.get(url).status_code) == (404, 200)
    client.delete_cookie("cl_report_26-000001-A")
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("stale", [False, True])
def test_a_form_whose_photos_were_swept_says_so_and_keeps_the_rest(
    town: Town, post: Fill, stale: bool
) -> None:
    drawn = post(do="start", photo=photo(), words="It hums.").text
    assert value_of(drawn, "staged") != ""
    photos.sweep(town.engine, town.settings.var, town.now + timedelta(hours=25))
    told = {"words": "It hums.", "staged": value_of(drawn, "staged")}
    answer = post(**told, **({"csrf_token": "old"} if stale else {}))
    assert answer.status_code == 422
    assert resident.PHOTOS_GONE in answer.text
    assert "It hums." in answer.text
    assert count(town, Report) == 0
    assert 'name="staged"' not in answer.text.partition("<template")[0]
    assert post(words="It hums.", photo=photo()).status_code == 303
    assert (len(the_report(town).photos), the_report(town).words) == (1, "It hums.")


def test_photos_that_are_sent_or_just_taken_off_are_not_missed(
    client: FlaskClient, town: Town, post: Fill
) -> None:
    drawn = post(do="start", photo=photo()).text
    name = value_of(drawn, "staged")
    assert resident.PHOTOS_GONE not in post(do=f"remove {name}", staged=name).text
    name = value_of(post(do="start", photo=photo()).text, "staged")
    first = post(staged=name)
    assert (first.status_code, post(staged=name).headers["Location"]) == (303, first.headers["Location"])


def test_photos_swept_while_a_near_case_is_asked_about_are_missed(town: Town, post: Fill) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    asked = post(**HERE, photo=photo()).text
    photos.sweep(town.engine, town.settings.var, town.now + timedelta(hours=25))
    again = post(**HERE, seen=value_of(asked, "seen"), staged=value_of(asked, "staged"))
    assert (again.status_code, resident.PHOTOS_GONE in again.text) == (422, True)


def test_a_photo_taken_off_is_not_sent(
    town: Town, client: FlaskClient, token: Callable[[], str], post: Fill
) -> None:
    page = post(do="start", photo=photo()).get_data(as_text=True)
    photo_id = re.findall(r'value="remove ([0-9a-f-]{36})"', page)[0]
    stranger = {"key": "f" * 32, "csrf_token": token()}
    client.post(f"/report/photos/{photo_id}/remove", data=stranger)
    assert count(town, Photo) == 1
    assert client.post(f"/report/photos/{photo_id}/remove", data=stranger | {"key": KEY}).status_code == 204
    assert count(town, Photo) == 0
    assert f"remove {photo_id}" not in post(do="remove " + photo_id).get_data(as_text=True)


def test_without_script_home_leads_to_the_form_with_its_photo(town: Town, client: FlaskClient) -> None:
    home = client.get("/").get_data(as_text=True)
    start = {"csrf_token": value_of(home, "csrf_token"), "key": value_of(home, "key"), "do": "start"}
    page = client.post("/report", data=start | {"photo": photo()})
    assert page.status_code == 200
    assert f'alt="{resident.YOUR_PHOTO}"' in page.get_data(as_text=True).partition("<template")[0]
    filled = start | {"do": "send", "group": "streetlight", "place": "Pole 20-118"}
    with town.at_work() as scene:
        scene.s.add(
            Asset(kind="pole", number="20-118", lat=39.605, lon=-71.2, cell="x", address="5 Pell Street")
        )
    sent = client.post("/report", data=filled)
    assert sent.status_code == 303
    report = the_report(town)
    assert (report.place_source, report.address, len(report.photos)) == ("asset", "5 Pell Street", 1)


def test_without_script_a_near_case_is_asked_about_once(town: Town, post: Fill) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    asked = post(**HERE, photo=photo())
    page = asked.get_data(as_text=True)
    assert asked.status_code == 200
    assert resident.SAME_PROBLEM_BUTTON in page
    assert count(town, Report) == 1
    assert post(**HERE, seen=value_of(page, "seen")).headers["Location"] == "/sent/26-000002-A"


def test_the_quick_form_is_never_held_up_by_a_near_case(
    town: Town, client: FlaskClient, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    data = {"csrf_token": token(), "key": KEY, "group": "streetlight"} | HERE
    sent = client.post("/report", data=data, headers={"HX-Request": "true"})
    assert sent.headers["HX-Redirect"] == "/sent/26-000002-A"


def test_the_same_problem_joins_the_case(town: Town, client: FlaskClient, post: Fill) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    sent = post(**HERE, join="26-000001")
    assert sent.headers["Location"] == "/sent/26-000001-B"
    assert count(town, Case) == 1
    assert resident.ADDED_TO_REPORT in client.get(sent.headers["Location"]).get_data(as_text=True)


def test_the_lamp_beside_the_chosen_one_is_another_case(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        poles = [
            Asset(kind="pole", number=f"20-{n}", lat=39.6, lon=-71.2 + n / 4000, cell="x", address="")
            for n in range(2)
        ]
        scene.s.add_all(poles)
        scene.s.flush()
        one, beside = (pole.id for pole in poles)
        scene.report(place=replace(LAMP, source="asset", asset_id=one))
    for asset, found in ((one, True), (beside, False), ("", True), ("nonsense", True), ("9" * 30, True)):
        asked = HERE | {"service": "light-out", "asset": str(asset)}
        assert ("26-000001" in client.get("/report/near", query_string=asked).text) is found


def test_near_cases_come_as_a_fragment_without_what_is_private(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP, words="secret words")
        scene.report(place=LAMP, service_code="nuisance")
    for service, found in (
        ("light-out", True),
        ("nuisance", False),
        ("limb-down", False),
        ("nonsense", False),
    ):
        page = client.get("/report/near", query_string=HERE | {"service": service}).get_data(as_text=True)
        assert ("26-000001" in page) is found
        assert "26-000002" not in page
        assert "secret words" not in page


def test_what_is_probably_the_same_stands_above_send_and_holds_nothing_up(
    town: Town, client: FlaskClient, post: Fill, log_in: Callable[[str], FlaskClient]
) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
        scene.report(place=replace(LAMP, lat=LAMP.lat + 0.0002), at=town.now - timedelta(days=20))
    fragment = client.get("/report/near", query_string=HERE | {"service": "light-out"}).text
    others, likely = fragment.split('<div id="near-likely" hx-swap-oob="innerHTML">')
    assert ("26-000001" in likely, "26-000002" in likely) == (True, False)
    assert re.findall(r'name="join" value="([\d-]+)"', others) == ["26-000002"]
    assert 'name="seen" value="26-000001 26-000002"' in others
    assert resident.ONE_OF_THESE in likely
    page = client.get("/report").text
    assert page.index('id="near-likely"') < page.index('id="send"')
    assert page.index('class="dock"') < page.index('id="near-likely"')
    assert post(**HERE, seen="26-000001 26-000002").status_code == 303
    board = log_in("dispatcher").get("/dispatch?sort=newest").text
    row = re.search(r'<tr id="case-26-000003".*?</tr>', board, re.S)
    assert row
    assert staff.LIKELY_DUPLICATE_OF(number='<span class="num">26-000001</span>') in row[0]


def test_the_location_card_says_where_one_is(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.s.add(Address(label="214 Tansy Street", lat=39.6, lon=-71.2, cell="x"))
    card = client.get("/report/place", query_string=HERE).get_data(as_text=True)
    assert shared.NEAR(address="214 Tansy Street") in card
    assert resident.WITHIN_FROM_PHONE(distance="40\u00a0ft") in shown(card)
    card = client.get("/report/place", query_string={"q": "214 tansy st"}).get_data(as_text=True)
    assert 'data-lat="39.6"' in card
    card = client.get("/report/place", query_string=HERE | {"accuracy": "300"}).get_data(as_text=True)
    assert resident.YES_THIS_SPOT in card


def test_a_vague_fix_wants_a_yes(town: Town, post: Fill) -> None:
    asked = post(accuracy="300")
    assert asked.status_code == 422
    assert resident.YES_THIS_SPOT in asked.get_data(as_text=True)
    assert post(accuracy="300", sure="1").status_code == 303


def test_after_the_call_an_urgent_report_needs_no_tile(town: Town, post: Fill) -> None:
    assert post(group=None, danger="1", do=None).status_code == 303
    report = the_report(town)
    assert report.danger
    assert report.case.urgent


def test_an_urgent_report_is_not_held_up_by_what_is_near(town: Town, post: Fill) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    assert post(**HERE, danger="1").headers["Location"] == "/sent/26-000002-A"


def test_a_wire_asks_to_call_first_and_keeps_everything(town: Town, post: Fill) -> None:
    warned = post(**{"service-streetlight": "wire-down", "words": "it sparks", "photo": photo()})
    page = shown(warned)
    assert warned.status_code == 200
    assert page.index(f"{shared.CALL(number=911)}</a>") < page.index(resident.CALLED_SEND_TOO)
    assert "it sparks" in page
    assert count(town, Report) == 0
    assert (
        post(**{"service-streetlight": "wire-down", "words": "it sparks", "danger": "1"}).status_code == 303
    )
    assert len(the_report(town).photos) == 1


def test_of_two_tabs_that_send_one_form_in_the_same_moment_neither_loses_its_words(
    town: Town, post: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(words="from the first tab").status_code == 303
    seen = intake.by_token
    looks: list[object] = []

    def by_token(s: Session, token: str) -> Report | None:
        looks.append(token)
        return None if len(looks) == 1 else seen(s, token)  # it looked before the first tab had written

    monkeypatch.setattr(intake, "by_token", by_token)
    second = post(words="from the second tab", seen="")
    assert resident.FIRST_REPORT_SENT(number="26-000001-A") in shown(second)
    assert "from the second tab" in second.text
    assert the_report(town).words == "from the first tab"


def test_every_language_has_its_own_form(town: Town, client: FlaskClient, token: Callable[[], str]) -> None:
    data = {"csrf_token": token(), "key": KEY, "group": "streetlight"} | FAR
    sent = client.post("/es/report", data=data)
    assert sent.headers["Location"] == "/es/sent/26-000001-A"
    assert the_report(town).lang == "es"


def test_htmx_is_sent_on_by_a_header(client: FlaskClient, token: Callable[[], str], town: Town) -> None:
    data = {"csrf_token": token(), "key": KEY, "group": "streetlight"} | FAR
    sent = client.post("/report", data=data, headers={"HX-Request": "true"})
    assert (sent.status_code, sent.headers["HX-Redirect"]) == (200, "/sent/26-000001-A")
    assert "cl_report_26-000001-A=" in sent.headers["Set-Cookie"]


def test_home_shows_the_nearest_as_page_and_as_fragment(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.report(place=LAMP)
    assert resident.RECENT_REPORTS in client.get("/").get_data(as_text=True)
    whole = client.get("/", query_string=HERE).get_data(as_text=True)
    part = client.get("/", query_string=HERE, headers={"HX-Request": "true"})
    assert resident.HOME_TITLE in whole
    assert resident.HOME_TITLE not in part.get_data(as_text=True)
    for page in (whole, part.get_data(as_text=True)):
        assert resident.NEAR_YOU in page
        assert "4\u00a0ft" in page
    assert "HX-Request" in part.headers["Vary"]


@pytest.mark.parametrize(("address", "most"), [("/", 8), ("/report", 2), ("/case/26-000001", 16)])
def test_pages_ask_the_database_as_often_for_many_as_for_one(
    town: Town, client: FlaskClient, asked: list[str], address: str, most: int
) -> None:
    counts = []
    for rounds in (1, 6):
        with town.at_work() as scene:
            for n in range(rounds):
                taken = [scene.photo("navy", f"form:{rounds}-{n}")]
                number = scene.report(place=LAMP, taken=taken).case.number
                scene.report(place=LAMP, join=number)
        client.get(address)
        asked.clear()
        client.get(address)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= most


def test_pages_stay_small(client: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        for _ in range(5):
            scene.report(place=LAMP)
    assert len(gzip.compress(client.get("/").data)) < 13_000
    assert len(gzip.compress(client.get("/report").data)) < 13_000


def test_the_log_tells_of_the_report_without_its_words(town: Town, post: Fill) -> None:
    post(words="my name is on it")
    with town.looking() as scene:
        lines = scene.s.scalars(select(Event)).all()
    assert [line.kind for line in lines] == ["open", "report"]
    assert "my name" not in str([line.facts for line in lines])


def test_a_form_left_without_sending_leaves_nothing_after_a_day(town: Town, post: Fill) -> None:
    post(do="start", photo=photo())
    assert photos.sweep(town.engine, town.settings.var, town.now + timedelta(hours=25)) == 1
    assert count(town, Photo) == 0
