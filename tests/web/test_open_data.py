"""The page of open data, its files and its dictionary, as anybody opens them."""

import csv
import gzip
import hashlib
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import resident

from city.audit import events
from city.db.models import Area, Street
from city.opendata import editions
from city.opendata.editions import Edition
from pwa.metrics import data_dictionary

PLAIN = {"Accept-Encoding": "identity"}
PACKED = {"Accept-Encoding": "gzip, br"}


@pytest.fixture
def edition(app: Flask, town: Town) -> Edition:
    """The files of a town with a case, a pole, a neighborhood and a street."""
    with town.at_work() as scene:
        scene.report(place=scene.pole())
        square = {"type": "Polygon", "coordinates": [[[-71, 39], [-70, 39], [-70, 40], [-71, 39]]]}
        scene.s.add(Area(kind="area", name="Old Harbor", geometry=square))
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.6], [-71.1, 39.6]]))
    return make(app, town)


def make(app: Flask, town: Town) -> Edition:
    root = editions.place(town.settings)
    for _ in editions.make(town.engine, root, app.extensions["cityline"].city, town.now):
        pass
    found = editions.current(root)
    assert found is not None
    return found


def test_before_the_first_night_the_page_says_so_and_no_file_is_there(client: FlaskClient) -> None:
    assert resident.FIRST_FILES_COMING in client.get("/data").get_data(as_text=True)
    assert resident.FIRST_FILES_COMING.es in client.get("/es/data").get_data(as_text=True)
    assert client.get("/data/files/manifest.json").status_code == 404


def test_the_page_leads_to_every_file_and_says_its_hash(client: FlaskClient, edition: Edition) -> None:
    page = client.get("/data").get_data(as_text=True)
    for name, file in edition.files.items():
        assert f'href="/data/files/{name}"' in page
        assert file.sha256 in page
    assert "CC0 1.0" in page
    assert 'href="/data/files/manifest.json"' in page


def test_the_page_asks_the_database_no_more_with_more_files(
    app: Flask, town: Town, client: FlaskClient
) -> None:
    sent = []
    for years in (1, 5):
        with town.at_work() as scene:
            for year in range(years):
                scene.report(at=town.now - timedelta(days=365 * year))
        make(app, town)
        with counted(app) as statements:
            client.get("/data")
        sent.append(len(statements))
    assert sent[0] == sent[1] <= 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_comes_as_the_manifest_says_packed_on_the_way_or_not(
    client: FlaskClient, edition: Edition, packed: bool
) -> None:
    for name, file in edition.files.items():
        response = client.get(f"/data/files/{name}", headers=PACKED if packed else PLAIN)
        data = response.get_data()
        response.close()
        assert response.status_code == 200
        assert response.headers.get("Content-Encoding") == ("gzip" if packed else None)
        assert response.content_length == len(data)
        whole = gzip.decompress(data) if packed else data
        assert hashlib.sha256(whole).hexdigest() == file.sha256
        assert response.mimetype == file.mimetype
        assert response.headers["Content-Disposition"] == f"attachment; filename={name}"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.last_modified == edition.made_at
        assert "Accept-Encoding" in response.headers["Vary"]


@pytest.mark.parametrize("headers", [PLAIN, PACKED, {}])
@pytest.mark.parametrize("name", ["cases-2026.csv", "cases-2026.csv.gz", "manifest.json"])
def test_whoever_has_it_already_is_told_so(
    client: FlaskClient, edition: Edition, name: str, headers: dict[str, str]
) -> None:
    first = client.get(f"/data/files/{name}", headers=headers)
    first.close()
    tag = first.headers["ETag"]
    again = client.get(f"/data/files/{name}", headers={**headers, "If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")
    since = client.get(
        f"/data/files/{name}", headers={**headers, "If-Modified-Since": first.headers["Last-Modified"]}
    )
    assert since.status_code == 304
    again.close()
    since.close()


def test_each_form_of_a_file_has_a_tag_of_its_own(client: FlaskClient, edition: Edition) -> None:
    tags = set()
    for name, headers in (("contacts.csv", PLAIN), ("contacts.csv", PACKED), ("contacts.csv.gz", PLAIN)):
        response = client.get(f"/data/files/{name}", headers=headers)
        response.close()
        tags.add(response.headers["ETag"])
    assert len(tags) == 3


def test_packed_it_comes_as_it_lies_on_the_disk(client: FlaskClient, edition: Edition) -> None:
    response = client.get("/data/files/cases-2026.csv.gz")
    assert response.get_data() == edition.path("cases-2026.csv").read_bytes()
    assert response.mimetype == "application/gzip"
    assert "Content-Encoding" not in response.headers
    response.close()


@pytest.mark.parametrize(
    "name",
    [
        "nothing.csv", "cases-1999.csv", "current", "manifest.json.gz", "..", "../current", "%2e%2e/current",
        "..%2fcurrent", "%2e%2e%2f%2e%2e%2fcityline.db", "....//current", "cases-2026.csv.gz.gz", ".gz",
        "cases-2026.csv%00.gz", "CASES-2026.CSV",
    ],
)  # fmt: skip
def test_another_name_leads_nowhere(client: FlaskClient, edition: Edition, name: str) -> None:
    response = client.get(f"/data/files/{name}")
    assert response.status_code in (404, 308)
    if response.status_code == 308:  # two slashes are made one
        assert client.get(response.headers["Location"]).status_code == 404


def test_a_new_edition_may_take_the_place_of_one_that_somebody_reads(
    app: Flask, town: Town, client: FlaskClient, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make(app, town)
    assert not edition.folder.exists()
    told = iter([edition, new])
    monkeypatch.setattr(editions, "current", lambda _root: next(told))
    response = client.get("/data/files/contacts.csv", headers=PLAIN)
    assert response.status_code == 200
    response.close()


def test_the_dictionary_has_every_column_of_every_file_and_no_other(app: Flask, edition: Edition) -> None:
    with app.test_request_context():
        tables = data_dictionary.tables()
    assert set(tables) == {file.kind for file in edition.files.values()}
    for name, file in edition.files.items():
        table = tables[file.kind]
        columns = [column.name for column in table.columns]
        text = gzip.decompress(edition.path(name).read_bytes()).decode()
        if file.mimetype == "text/csv":
            assert next(csv.reader(io.StringIO(text))) == columns
        else:
            shapes = json.loads(text)["features"]
            assert shapes
            for shape in shapes:
                assert list(shape["properties"]) == [name for name in columns if name not in table.places]


def test_values_in_the_files_are_those_of_the_dictionary(app: Flask, edition: Edition) -> None:
    with app.test_request_context():
        tables = data_dictionary.tables()
    for name, file in edition.files.items():
        text = gzip.decompress(edition.path(name).read_bytes()).decode()
        if file.mimetype == "text/csv":
            rows = list(csv.DictReader(io.StringIO(text)))
        else:
            rows = [shape["properties"] for shape in json.loads(text)["features"]]
        for column in (each for each in tables[file.kind].columns if each.values):
            assert {row[column.name] or "" for row in rows} <= {"", *column.values}, (name, column.name)


@pytest.mark.parametrize("prefix", ["", "/es"])
def test_the_dictionary_is_a_page_and_json(client: FlaskClient, prefix: str) -> None:
    page = client.get(f"{prefix}/data/dictionary").get_data(as_text=True)
    told = client.get(f"{prefix}/data/dictionary.json").get_json()["tables"]
    for table in told:
        assert f'id="{table["kind"]}"' in page
        for column in table["columns"]:
            assert f"<code>{column['name']}</code>" in page
    assert [table["kind"] for table in told][:2] == ["cases", "requests"]


def test_it_names_only_verbs_that_the_log_knows(app: Flask, town: Town) -> None:
    with app.test_request_context():
        sources = {c.source for table in data_dictionary.tables().values() for c in table.columns}
    words = {word for source in sources for word in source.split(", ")}
    code = "".join(path.read_text("utf-8") for path in Path(events.__file__).parents[1].rglob("*.py"))
    told = {resident.SOURCE_CITY_FILE, resident.SOURCE_AREAS, resident.SOURCE_EVERY_CHANGE}
    for word in words - {"", *told}:
        assert re.search(rf'"{re.escape(word)}"', code), word
