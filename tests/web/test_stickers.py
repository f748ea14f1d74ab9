"""Sheets of QR stickers, and where one that is scanned leads."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import Town
from flask import Flask
from flask.testing import FlaskClient

from city.db.models import Asset
from pwa.cli import stickers
from pwa.cli.main import cli


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


def test_the_command_makes_the_same_sheet_as_a_file(
    app: Flask, client: FlaskClient, log_in: Callable[[str], FlaskClient], pole: str
) -> None:
    log_in("administrator")
    page = client.get("/admin/stickers?kind=pole&street=elm").text
    sheet, count = stickers.drawn(app, "pole", " elm ", "en")
    code = sheet[sheet.index("<svg") : sheet.index("</svg>")]
    assert count == 1
    assert code in page, "the same address behind both"
    assert "link" not in sheet, "it needs no file of the server's"
    spanish, _ = stickers.drawn(app, "pole", "", "es")
    assert f"Poste {pole}" in spanish
    assert code not in spanish, "it opens the report in Spanish"
    assert stickers.drawn(app, "pole", "nowhere", "en")[1] == 0


def test_the_command_says_what_it_cannot_do(environment: dict[str, str], pole: str, tmp_path: Path) -> None:
    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, ["stickers", *words], env=environment)

    assert "Kinds in this city: pole, tree" in run("house").output
    assert "--lang" in run("pole", "--lang", "xx").output
    assert "Nothing with that" in run("pole", "--street", "nowhere").output
    done = run("tree", "-o", str(tmp_path / "trees.html"))
    assert (done.exit_code, "trees.html: 1." in done.output) == (0, True)
    assert f"Tree {pole}" in (tmp_path / "trees.html").read_text()
    assert run("tree", "-o", str(tmp_path / "no" / "such.html")).exit_code == 1
