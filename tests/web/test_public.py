"""A canary in words, photo, contact and private note never shows in anything a stranger can ask for."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from factories import SECRET, Town
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from wording import resident

from city.cases import batches, transitions
from city.cases.transitions import Closing
from city.db.models import Device, ExpectedPhoto, Report, Service, SyncOperation
from city.opendata import editions
from city.photos import photos, storage
from city.reports import intake
from city.settings import Settings

WORDS, NOTE, MAIL = "canary-words", "canary-note", "canary-mail@town.test"


@dataclass
class Told:
    number: str
    report: str
    report_id: int
    photo: str
    private: str
    merged: str
    token: str


@pytest.fixture
def told(town: Town, app: Flask, settings: Settings) -> Told:
    """One case with a canary in every place where something may hide, one private, one merged."""
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        report = scene.report(words=WORDS, taken=[scene.photo()], key="canary")
        intake.subscribe(scene.s, report, MAIL, lang="en", at=town.now)
        transitions.accept(scene.s, report.case, by=by, at=town.now)
        transitions.note(scene.s, report.case, NOTE, by=by, at=town.now)
        private = scene.report(words=WORDS, service_code="nuisance")
        merged = scene.report(words=WORDS)
        transitions.merge(scene.s, merged.case, report.case, by=by, at=town.now)
        closed = scene.report(words=WORDS).case
        transitions.close(
            scene.s,
            closed,
            Closing("fixed", words=WORDS, photos=[scene.photo("gold", "person:1")]),
            by=by,
            at=town.now,
        )
        found = Told(
            report.case.number, report.number, report.id, report.photos[0].id if report.photos else "",
            private.case.number, merged.case.number, intake.token_for(SECRET, "canary"),
        )  # fmt: skip
    store = storage.open_store(settings)
    photos.move_staged_to_storage(town.engine, store, settings.var, town.now)
    with town.looking() as scene:
        found.photo = scene.s.get_one(Report, found.report_id).photos[0].id
    return found


def addresses(app: Flask, told: Told) -> list[str]:
    """Every address that answers GET, with every number a stranger might try."""
    found = []
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        for number in (told.number, told.report, told.private, told.merged):
            found.append(filled(rule, number, told))
    queries = (
        "?lat=39.6&lon=-71.2&service=light-out",
        "?q=214+Tansy+Street",
        "?service=nuisance&lat=39.6&lon=-71.2",
        "?state=closed",
    )
    return sorted({address + query for address in found for query in ("", *queries)})


def filled(rule: Rule, number: str, told: Told) -> str:
    known = {
        "number": number,
        "photo_id": told.photo,
        "size": "full",
        "token": "0" * 32,
        "name": "x",
        "path": "x",
    }
    if rule.endpoint.startswith("follow."):
        known |= {"kind": "case", "name": number}
    parts = []
    for is_argument, part in rule._trace:
        parts.append(part if not is_argument else known.get(part, "1"))
    return "".join(parts).lstrip("|")


def files(app: Flask, town: Town) -> list[str]:
    """The addresses of a night's files, made now."""
    root = editions.place(town.settings)
    for _ in editions.make(town.engine, root, app.extensions["cityline"].city, town.now):
        pass
    edition = editions.current(root)
    assert edition is not None
    return [f"/data/files/{name}" for name in (editions.MANIFEST, *edition.files)]


@pytest.mark.slow
def test_no_public_address_tells_what_was_not_shown(
    app: Flask, town: Town, client: FlaskClient, told: Told
) -> None:
    asked = files(app, town) + addresses(app, told)
    assert "/cases.atom?state=closed" in asked
    assert any(f"/case/{told.number}" in address for address in asked)
    for address in asked:
        for prefix in ("", "/es"):
            response = client.get(prefix + address)
            body = response.get_data()
            response.close()
            # Without a worker the instance is not ready, and says so.
            assert response.status_code < 500 or address.startswith("/readyz"), address
            for canary in (WORDS, NOTE, MAIL, told.token):
                assert canary.encode() not in body, f"{canary} at {prefix}{address}"
            named = told.photo in address  # the page of an error leads to itself in other languages
            assert named or told.photo.encode() not in body, f"the photo's name at {prefix}{address}"
            assert body[:2] != b"\xff\xd8", f"a photo at {prefix}{address}"


def test_a_private_service_is_not_there_at_all(
    app: Flask, town: Town, client: FlaskClient, told: Told
) -> None:
    assert client.get(f"/case/{told.private}").status_code == 404
    near = "/report/near?lat=39.6&lon=-71.2&service=nuisance"
    for address in ("/", near, "/cases.atom", *files(app, town)):
        assert told.private not in client.get(address).get_data(as_text=True), address


def test_a_service_that_becomes_private_leaves_every_list_and_file(
    app: Flask, town: Town, client: FlaskClient, told: Told
) -> None:
    lists = ("/cases", "/cases.atom", "/open311/v2/requests.csv")
    held = [a for a in (*lists, *files(app, town)) if told.number in client.get(a).get_data(as_text=True)]
    assert {*lists, "/data/files/cases-2026.csv", "/data/files/requests-2026.csv"} <= {*held}
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").private = True
    for address in (*lists, *files(app, town)):
        assert told.number not in client.get(address).get_data(as_text=True), address


@pytest.mark.parametrize("verb", ["show", "erase", "cancel", "hide"])
def test_no_file_has_words_or_photos_whatever_becomes_of_a_report(
    app: Flask, town: Town, client: FlaskClient, told: Told, verb: str
) -> None:
    """Whoever has a file keeps it: what is shown today may be hidden or erased tomorrow."""
    with town.at_work() as scene:
        s, by, report = scene.s, scene.actor("dispatcher"), scene.s.get_one(Report, told.report_id)
        intake.show(s, report, by=by, at=town.now)
        if verb == "erase":
            store = storage.open_store(town.settings)
            intake.erase(s, report, store, town.settings.var, by=by, at=town.now)
        if verb == "cancel":
            transitions.cancel(s, report.case, "withdrawn", by=by, at=town.now)
        if verb == "hide":
            intake.hide(s, report, by=by, at=town.now)
    for address in files(app, town):
        body = client.get(address).get_data(as_text=True)
        for canary in (WORDS, NOTE, MAIL, told.token, told.photo):
            assert canary not in body, f"{canary} at {address}"
    shown = WORDS in client.get("/cases.atom").get_data(as_text=True)
    assert shown == (verb == "show")


def test_what_staff_showed_is_public_and_can_be_hidden_again(
    town: Town, client: FlaskClient, told: Told
) -> None:
    for verb, status in ((intake.show, 200), (intake.hide, 404)):
        with town.at_work() as scene:
            verb(scene.s, scene.s.get_one(Report, told.report_id), by=scene.actor("dispatcher"), at=town.now)
        page = client.get(f"/case/{told.number}").get_data(as_text=True)
        assert (WORDS in page) is (status == 200)
        photo = client.get(f"/photos/{told.photo}/full.jpg")
        assert photo.status_code == status
        kept = "private, max-age=3600" if status == 200 else "no-store"
        assert photo.headers["Cache-Control"] == kept
        assert client.get(f"/photos/{told.photo}").status_code == status


def test_the_photo_of_a_closing_is_public_until_that_is_undone(
    town: Town, client: FlaskClient, told: Told
) -> None:
    with town.at_work() as scene:
        case, by = scene.case(told.number), scene.actor("dispatcher")
        intake.show(scene.s, scene.s.get_one(Report, told.report_id), by=by, at=town.now)
        proof, was = scene.photo("khaki", "form:proof"), transitions.snapshot(case)
        transitions.close(scene.s, case, Closing("fixed", photos=[proof]), by=by, at=town.now)
        what = {"outcome": "fixed"}
        batch = batches.keep_single(scene.s, case, "close", what, was, by=by, at=town.now).id
        address = f"/photos/{proof.id}/full.jpg"
    assert client.get(address).status_code == 200
    with town.at_work() as scene:
        batches.undo(scene.s, batch, by=scene.actor("dispatcher"), at=town.now)
    assert client.get(address).status_code == 404


def test_the_reporter_sees_the_own_words_and_photo_at_once(
    town: Town, app: Flask, client: FlaskClient, told: Told
) -> None:
    opened = client.get(f"/s/{told.token}")
    assert (opened.status_code, opened.headers["Location"]) == (303, f"/case/{told.number}")
    page = client.get(f"/case/{told.number}")
    assert WORDS in page.get_data(as_text=True)
    assert NOTE not in page.get_data(as_text=True)
    assert page.headers["Cache-Control"] == "no-store"
    photo = client.get(f"/photos/{told.photo}/full.jpg")
    assert (photo.status_code, photo.headers["Cache-Control"]) == (200, "no-store")
    page = client.get(f"/photos/{told.photo}")
    assert f'href="/case/{told.number}"' in page.text
    assert resident.BACK_TO(number=told.number) in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_a_photo_that_is_not_public_is_kept_by_no_browser(
    log_in: Callable[[str], FlaskClient], told: Told
) -> None:
    for name in ("dispatcher", "manager"):
        photo = log_in(name).get(f"/photos/{told.photo}/full.jpg")
        assert (photo.status_code, photo.headers["Cache-Control"]) == (200, "no-store")
        assert photo.headers["X-Robots-Tag"] == "noindex"


def test_a_strangers_photo_is_nobodys_until_it_is_sent(
    town: Town, log_in: Callable[[str], FlaskClient]
) -> None:
    with town.at_work() as scene:
        device = Device(id="d", token_hash="h", enrolled_at=town.now, seen_at=town.now)
        scene.s.add(device)
        scene.s.flush()
        operation = SyncOperation(
            id="o", device_id="d", n=1, t="report", case_ref="", body_hash="b", result={}, raw="{}",
            review="author", received_at=town.now,
        )  # fmt: skip
        scene.s.add(operation)
        unsent, phones, declared = (
            scene.photo(color, staged_for=name)
            for color, name in (("red", "form:x"), ("gold", "phone:d:1"), ("navy", "phone:d:2"))
        )
        scene.s.flush()
        scene.s.add(
            ExpectedPhoto(
                operation_id="o", id="2", device_id="d", sha256="x", bytes=1, position=0,
                declared_at=town.now, photo_id=declared.id,
            )
        )  # fmt: skip
        ids = [photo.id for photo in (unsent, phones, declared)]
    for name, statuses in (
        ("manager", [404, 404, 404]), ("administrator", [404, 404, 404]), ("supervisor", [404, 404, 200]),
    ):  # fmt: skip
        browser = log_in(name)
        assert [browser.get(f"/photos/{each}/page.jpg").status_code for each in ids] == statuses, name


def test_a_crew_sees_the_photos_of_its_own_jobs_alone(
    town: Town, log_in: Callable[[str], FlaskClient], told: Told
) -> None:
    rosa, address = log_in("rosa"), f"/photos/{told.photo}/page.jpg"
    assert rosa.get(address).status_code == 404
    for crew, status in (("trees", 404), ("lights", 200), ("trees", 404)):
        with town.at_work() as scene:
            case = scene.s.get_one(Report, told.report_id).case
            transitions.assign(scene.s, case, scene.crew(crew), by=scene.actor("dispatcher"), at=town.now)
        assert rosa.get(address).status_code == status, crew
    assert log_in("call-taker").get(address).status_code == 200


def test_staff_see_the_words_in_the_drawer(log_in: Callable[[str], FlaskClient], told: Told) -> None:
    drawer = log_in("dispatcher").get(f"/dispatch/cases/{told.number}").get_data(as_text=True)
    assert WORDS in drawer
    assert NOTE in drawer
