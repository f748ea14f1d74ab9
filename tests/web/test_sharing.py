"""A photo that another app shares, where no service worker takes it; my reports; the app's manifest."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from factories import Town, counted, jpeg
from filled import Fill
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse
from wording import resident, shared, shown

from city.db.models import Photo

BROWSER = {"Sec-Fetch-Site": "none", "Origin": "null"}
Share = Callable[..., TestResponse]


@pytest.fixture
def share(client: FlaskClient) -> Share:
    """Sends what the browser sends for its person: share([("lamp.jpg", bytes)], text="…")."""

    def send(
        photos: list[tuple[str, bytes]],
        headers: dict[str, str] = BROWSER,
        path: str = "/share",
        **told: str,
    ) -> TestResponse:
        files = [(io.BytesIO(data), name) for name, data in photos]
        return client.post(path, data={"photo": files, **told}, headers=headers)

    return send


def staged(town: Town) -> int:
    with town.looking() as scene:
        return scene.s.scalar(select(func.count()).select_from(Photo)) or 0


def test_a_shared_photo_stands_in_the_form_with_the_words(share: Share, town: Town) -> None:
    response = share([("lamp.jpg", jpeg())], title="Lamp", text="Lamp is dark", url="https://maps.example/1")
    page = response.get_data(as_text=True)
    assert response.status_code == 200
    assert page.count('class="shot split" data-id=') == 1
    assert "Lamp is dark\nhttps://maps.example/1</textarea>" in page
    assert staged(town) == 1


def test_it_is_sent_as_any_other_form(share: Share, client: FlaskClient, post: Fill, town: Town) -> None:
    page = share([("lamp.jpg", jpeg())]).get_data(as_text=True)
    found = re.search('name="key" value="([0-9a-f]{32})"', page)
    assert found
    assert post(key=found[1]).status_code in (302, 303)
    with town.looking() as scene:
        assert scene.s.scalars(select(Photo)).one().case_id is not None


def test_what_is_no_photo_is_told_and_the_good_one_stays(share: Share, town: Town) -> None:
    response = share([("notes.pdf", b"%PDF-1.7 no picture"), ("lamp.jpg", jpeg())], text="Dark")
    page = response.get_data(as_text=True)
    assert response.status_code == 422
    assert resident.PHOTO_NOT_ADDED(name="notes.pdf") in shown(page)
    assert (staged(town), ">Dark</textarea>" in page) == (1, True)


def test_more_than_a_report_takes_are_told(share: Share, town: Town) -> None:
    response = share([(f"{n}.jpg", jpeg("navy", (64 + n, 64))) for n in range(7)])
    assert response.status_code == 422
    assert staged(town) == 5


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://sister.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_a_page_elsewhere_stages_nothing(share: Share, town: Town, headers: dict[str, str]) -> None:
    assert share([("lamp.jpg", jpeg())], headers=headers).status_code == 403
    assert staged(town) == 0


def test_a_browser_that_vouches_for_nothing_finds_the_empty_form(share: Share, town: Town) -> None:
    assert share([("lamp.jpg", jpeg())], headers={}).headers["Location"] == "/report"
    assert staged(town) == 0


def test_our_own_page_may_send_it_too(share: Share, town: Town) -> None:
    assert share([("lamp.jpg", jpeg())], headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert staged(town) == 1


def test_the_address_alone_leads_to_the_form(client: FlaskClient) -> None:
    assert client.get("/es/share").headers["Location"] == "/es/report"


class TestMine:
    def test_it_lists_what_this_browser_reported(self, client: FlaskClient, post: Fill) -> None:
        assert resident.NO_REPORTS_HERE in client.get("/mine").get_data(as_text=True)
        post()
        response = client.get("/mine")
        assert response.get_data(as_text=True).count('<a class="row" href="/case/') == 1
        assert response.headers["Cache-Control"] == "no-store"

    def test_a_stranger_sees_none(self, app: Flask, client: FlaskClient, post: Fill) -> None:
        post()
        assert resident.NO_REPORTS_HERE in app.test_client().get("/mine").get_data(as_text=True)

    def test_more_reports_ask_no_more_questions(self, app: Flask, client: FlaskClient, post: Fill) -> None:
        sent = []
        for n in range(4):
            post(key=f"{n:032x}", words=f"Lamp {n}", lat=f"39.6{n}")
            with counted(app) as asked:
                client.get("/mine")
            sent.append(len(asked))
        assert sent[1] == sent[3] <= 12


class TestManifest:
    def manifest(self, client: FlaskClient, path: str) -> dict[str, Any]:
        told: dict[str, Any] = client.get(path).json
        return told

    @pytest.mark.parametrize(("lang", "prefix"), [("en", ""), ("es", "/es")])
    def test_shortcuts_speak_the_language_and_lead_somewhere(
        self, client: FlaskClient, lang: str, prefix: str
    ) -> None:
        told = self.manifest(client, f"{prefix}/manifest.webmanifest")
        assert (told["lang"], told["dir"]) == (lang, "ltr")
        names = [shared.REPORT_A_PROBLEM, resident.MY_REPORTS, shared.ANSWERS]
        spoken = {"en": names, "es": [name.es for name in names]}
        assert [each["name"] for each in told["shortcuts"]] == spoken[lang]
        for each in told["shortcuts"]:
            assert each["url"].startswith(f"{prefix}/")
            assert client.get(each["url"]).status_code == 200
            assert client.get(each["icons"][0]["src"], buffered=True).mimetype == "image/png"

    def test_a_crew_s_shortcuts_lead_to_its_day(self, client: FlaskClient) -> None:
        told = self.manifest(client, "/manifest.webmanifest?for=crew")
        assert [each["url"] for each in told["shortcuts"]] == ["/crew#today", "/crew#report"]
        assert "share_target" not in told

    def test_photos_are_shared_to_the_page_that_takes_them(self, client: FlaskClient) -> None:
        told = self.manifest(client, "/es/manifest.webmanifest")["share_target"]
        assert (told["action"], told["method"], told["enctype"]) == (
            "/es/share", "POST", "multipart/form-data",
        )  # fmt: skip
        assert told["params"]["files"][0]["name"] == "photo"
        assert "image/heic" in told["params"]["files"][0]["accept"]
