"""Sheets of QR stickers, and where one that is scanned leads."""

from collections.abc import Callable

import pytest
from factories import Town
from flask.testing import FlaskClient

from city.db.models import Asset


@pytest.fixture
def pole(town: Town) -> str:
    with town.at_work() as scene:
        for kind, number, address in (("pole", "77-001", "9 Elm Street"), ("tree", "77-001", "3 Oak Street")):
            scene.s.add(
                Asset(
                    kind=kind, number=number, lat=39.6, lon=-71.2, cell="x", address=address, retired_at=None
                )
            )
    return "77-001"


def test_a_sheet_has_a_sticker_each(
    client: FlaskClient, log_in: Callable[[str], FlaskClient], pole: str
) -> None:
    assert client.get("/admin/stickers").status_code == 302
    log_in("administrator")
    page = client.get("/admin/stickers?kind=pole&street=elm").text
    assert page.count('class="qr"') == 1
    assert f"Pole {pole}" in page
    assert client.get("/admin/stickers?kind=pole&street=77-0").text.count('class="qr"') == 1
    assert 'class="qr"' not in client.get("/admin/stickers?kind=pole&street=%25").text
    assert client.get("/admin/stickers?kind=nonsense").status_code == 200


def test_a_scanned_sticker_opens_the_report_with_kind_and_place(client: FlaskClient, pole: str) -> None:
    answer = client.get(f"/a/pole/{pole}")
    assert answer.status_code == 303
    form = client.get(answer.headers["Location"])
    assert 'name="robots" content="noindex"' in form.text
    assert f'value="{pole}" checked' in form.text or f'value="{pole}"' in form.text
    assert "9 Elm Street" in form.text
    assert "3 Oak Street" in client.get(client.get(f"/a/tree/{pole}").headers["Location"]).text


@pytest.mark.parametrize("path", ["/a/pole/nothing", "/a/house/77-001", "/a/pole/"])
def test_a_sticker_of_nothing_is_no_page(client: FlaskClient, pole: str, path: str) -> None:
    assert client.get(path).status_code == 404
