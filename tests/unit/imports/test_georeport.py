"""Open311 lists of other servers: JSON and XML become the same rows, and what is no list is refused."""

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from factories import Town
from rivertown import take
from sqlalchemy import func, select

from city.audit import events
from city.db import engine as db
from city.db.models import Case, ImportRun
from city.imports import georeport, mapping, readers
from city.imports.readers import Unusable

ONE: dict[str, Any] = {
    "service_request_id": "638344", "status": "closed", "status_notes": "Lamp & fuse replaced",
    "service_name": "Streetlight out", "service_code": "006", "description": "Dark\nfor a week",
    "agency_responsible": None, "requested_datetime": "2026-03-02T08:05:00-05:00",
    "updated_datetime": "2026-03-04T22:00:00Z", "expected_datetime": "2026-03-09T17:00:00.000-04:00",
    "address": "12 Prospect St", "lat": 39.6, "long": -71.2,
}  # fmt: skip
TWO = {**ONE, "service_request_id": "638345", "status": "open", "updated_datetime": None}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["json", "wrapped", "xml"])
def test_a_list_becomes_cases_in_whatever_form_it_comes(
    town: Town, tmp_path: Path, form: str, packed: bool
) -> None:
    file = tmp_path / "requests"  # its name says nothing
    data = written(form, [ONE, TWO]).encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    outcome = take(town, file, mapping.load("open311"))
    assert (outcome.read, outcome.imported) == (2, 2)
    with town.looking() as scene:
        closed, still = scene.case("26-000001"), scene.case("26-000002")
        assert (closed.state, still.state) == ("closed", "new")
        assert closed.opened_at == datetime(2026, 3, 2, 13, 5, tzinfo=UTC)
        assert closed.closed_at == datetime(2026, 3, 4, 22, tzinfo=UTC)
        assert still.due_at == datetime(2026, 3, 9, 21, tzinfo=UTC)
        assert (closed.lat, closed.lon, closed.address) == (39.6, -71.2, "12 Prospect St")
        assert closed.reports[0].words == "Dark\nfor a week"
        assert closed.closures[0].words == "Lamp & fuse replaced"
        assert closed.service.names == {"en": "Streetlight out"}
        assert events.verify(scene.s) == []
    assert take(town, file, mapping.load("open311")).unchanged == 2


def test_what_a_request_lacks_is_told_with_its_place(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "requests.json"
    lacking: list[Any] = [ONE, {"service_request_id": "7", "status": "open"}, 5, {**TWO, "status": "lost"}]
    file.write_text(json.dumps([*lacking, {**ONE, "description": "otherwise"}]))
    outcome = take(town, file, mapping.load("open311"))
    assert (outcome.read, outcome.imported, outcome.rejected) == (5, 1, 4)
    said = Path(str(outcome.side_file)).read_text().splitlines()
    assert said[0] == "request,reason,row"
    for line, reason in zip(
        said[1:],
        [
            "2,has no service",
            "3,isn't a request",
            "4,'lost' isn't in the mapping's states",
            "5,the number '638344' is already in request 1",
        ],
        strict=True,
    ):
        assert line.replace('"', "").startswith(reason)


def test_a_time_without_a_zone_is_the_city_s_own(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([{**TWO, "requested_datetime": "2026-03-02T08:05:00"}]))
    take(town, file, mapping.load("open311"))
    with town.looking() as scene:
        assert scene.case("26-000001").opened_at == datetime(2026, 3, 2, 13, 5, tzinfo=UTC)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is empty: it has no requests"),
        ("<service_requests></service_requests>", "is empty: it has no requests"),
        ('[{"code": 404, "description": "not found"}]', "is an error message: '404 not found'"),
        ("<errors><error><code>403</code><description>no key</description></error></errors>",
         "is an error message: '403 no key'"),
        ('[{"service_code": "006"}]', "None has a service_request_id. The first has service_code"),
        ("[1, 2]", "lists no requests"),
        ('{"service_requests": {"a": 1}}', "without a list of requests"),
        ('[{"service_request_id": "1",', "line 1, column 29: is broken JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ("<services><service/></services>", "with <services> at the top"),
        ("<service_requests><reply/></service_requests>", "has a <reply> among its requests"),
        ("<service_requests>\n<request><status>", "line 2, column 18: is broken XML"),
        ("<service_requests>" + "<a>" * 1_000, "is nested deeper than 20 levels"),
        (f'<?xml version="1.0"?>{BOMB}<service_requests>&b;</service_requests>', "declares a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><service_requests/>', "declares a document type"),
        ('<?xml version="1.0" encoding="nonsense"?><service_requests/>', "unknown encoding"),
        (json.dumps([{"service_request_id": n, f"own_{n}": n} for n in range(200)]), "200 different fields"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_and_nothing_is_imported(
    town: Town, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "requests"
    file.write_text(text)
    with pytest.raises(Unusable) as refused:
        take(town, file, mapping.load("open311"))
    assert said in str(refused.value)
    with db.read_session(town.engine) as s:
        assert s.scalar(select(func.count()).select_from(ImportRun)) == 0


def test_a_small_file_that_unpacks_to_anything_is_refused(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (georeport, readers):
        monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    file = tmp_path / "requests"
    for text in ("<service_requests>" + " " * 2_000_000, '[{"service_request_id": "' + "1" * 2_000_000):
        file.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(Unusable, match="unpacks to more than 1 MB"):
            take(town, file, mapping.load("open311"))


def test_a_real_server_s_answers(town: Town, real_data: Path, tmp_path: Path) -> None:
    folder, how = real_data / "open311" / "sanfrancisco", mapping.load("open311")
    file = Path(shutil.copy(folder / "service_requests.xml", tmp_path))
    outcome = take(town, file, how)
    assert (outcome.read, outcome.imported) == (2, 2)
    one = Path(shutil.copy(folder / "get_service_request.xml", tmp_path))
    assert take(town, one, how).unchanged == 1
    with db.read_session(town.engine) as s:
        assert s.scalars(select(Case.state).order_by(Case.id)).all() == ["closed", "new"]
    for name in ("services.xml", "service_requests_empty.xml", "get_service_request_not_found.xml"):
        with pytest.raises(Unusable):
            take(town, Path(shutil.copy(folder / name, tmp_path)), how)


def written(form: str, requests: list[dict[str, Any]]) -> str:
    if form == "json":
        return json.dumps(requests)
    if form == "wrapped":
        return json.dumps({"service_requests": requests})
    fields = "".join(
        "<request>"
        + "".join(f"<{name}>{escape(str(value or ''))}</{name}>" for name, value in one.items())
        + "</request>"
        for one in requests
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<service_requests>{fields}</service_requests>'
