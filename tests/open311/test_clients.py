"""Clients of the standard as people use them, from the registry and unchanged, against a running server."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import georeport
import pytest
from chicagorequests import Downloader
from civicbot.http import HttpTransport, RateLimiter
from civicbot.open311 import Open311Client
from civicbot.registry import Endpoint
from factories import Town
from flask import Flask
from sender import KEY
from werkzeug.serving import make_server

from city.places.lookup import Place

# They are not ours to mend: what their own libraries warn of is let be.
pytestmark = pytest.mark.filterwarnings("ignore")
FORMATS = ("json", "xml")


@pytest.fixture
def told(town: Town, app: Flask) -> list[str]:
    """The numbers of two cases, the newer one first."""
    with town.at_work() as scene:
        first = scene.report(service_code="pole-damaged", answers={"blocked": "yes"})
        second = scene.report(place=Place(39.61, -71.2, "pin"), at=town.now + timedelta(seconds=1))
        return [second.case.number, first.case.number]


@pytest.fixture
def address(app: Flask, told: list[str], now: datetime) -> Iterator[str]:
    app.config["NOW"] = now + timedelta(minutes=1)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/open311/v2"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_georeport_reads_everything(address: str, told: list[str], form: str) -> None:
    client = georeport.GeoReport(address, output_format=form, api_key="ignored")
    services = client.get_service_list()
    assert "light-out" in [each["service_code"] for each in services]
    assert client.get_service_definition("pole-damaged")["service_code"] == "pole-damaged"
    assert [each["service_request_id"] for each in client.get_service_requests()] == told
    both = client.get_service_requests(service_request_id=",".join(told))
    assert [each["service_request_id"] for each in both] == told
    open_ones = client.get_service_requests(
        service_code="light-out,pole-damaged", status="open", start_date="2026-05-01T00:00:00Z",
        end_date="2026-05-31T00:00:00Z",
    )  # fmt: skip
    assert len(open_ones) == 2
    assert client.get_service_request(told[0])["service_request_id"] == told[0]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Any:
    """It was written for Python 2, whose one name it imports is lent to it; it itself stays as it is."""
    monkeypatch.setattr(itertools, "ifilter", filter, raising=False)
    import three

    return three


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_three_reads_everything(three: Any, address: str, told: list[str], form: str) -> None:
    client = three.Three(address, format=form)
    # Its own reading of XML asks of a dict what only Python 2's gave; the bytes themselves are looked at.
    convert = {"convert": form == "json"}

    def has(found: Any, words: str) -> bool:
        return words in (found.decode() if isinstance(found, bytes) else str(found))

    discovery = client.get("discovery", **convert)
    assert has(discovery, "http://wiki.open311.org/GeoReport_v2")
    assert has(client.services(**convert), "light-out")
    assert has(client.services("pole-damaged", **convert), "blocked")
    assert has(client.requests(**convert), told[0])
    assert has(client.requests("light-out", status="open", count=1, **convert), told[0])
    between = client.requests(between=["05-01-2026", "05-31-2026"], **convert)
    assert has(between, told[1])
    assert has(client.request(told[1], **convert), told[1])
    assert has(client.token("nobody-knows-it-here", **convert), "404")


def test_three_sends_a_request_with_a_photo(three: Any, address: str, town: Town, tmp_path: Any) -> None:
    from factories import jpeg

    picture = tmp_path / "a.jpg"
    picture.write_bytes(jpeg())
    client = three.Three(address, api_key=KEY)
    with picture.open("rb") as media:
        [answer] = client.post(
            "light-out", lat="39.62", long="-71.2", name="Jane Doe", phone="555-5555",
            description="Dark.", address="214 Tansy Street", media=media,
        )  # fmt: skip
    assert client.request(answer["service_request_id"])[0]["status"] == "open"


@pytest.fixture
def civicbot(address: str) -> Callable[[str], Open311Client]:
    endpoint = Endpoint("town", "Town", address, write=True)
    transport = HttpTransport(rate_limiter=RateLimiter(0.0))
    return lambda form: Open311Client(endpoint, transport, fmt=form)


def test_civicbot_reads_and_sends(civicbot: Callable[[str], Open311Client], told: list[str]) -> None:
    client = civicbot("json")
    assert "light-out" in [each["service_code"] for each in client.list_services()]
    assert client.get_service_definition("pole-damaged")["attributes"][0]["code"] == "blocked"
    assert [each["service_request_id"] for each in client.list_requests(page_size=1)] == told[:1]
    assert len(client.list_requests(service_request_ids=told)) == 2
    found = client.get_request(told[0])
    assert found is not None
    assert found["service_request_id"] == told[0]
    sent = client.create_request(
        "pole-damaged", dry_run=False, confirm="SEND", api_key=KEY, validate_remote=True, lat=39.63,
        lng=-71.2, description="Bent.", attributes={"blocked": "partly"}, email="jane@town.test",
    )  # fmt: skip
    number = sent.response[0]["service_request_id"]
    assert client.get_request(number)["service_request_id"] == number  # type: ignore[index]


def test_civicbot_knows_json_only_and_gets_xml_where_it_asks_for_it(
    civicbot: Callable[[str], Open311Client],
) -> None:
    client = civicbot("xml")
    data = client.http.get_bytes(client._url("services"), client._params())
    assert data.startswith(b"<?xml")


@pytest.mark.parametrize("extra", [{}, {"request_type": ["light-out", "pole-damaged"]}])
def test_chicagorequests_downloads_a_day(
    address: str, told: list[str], town: Town, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where Chicago's own server stands is all that is set from outside.
    monkeypatch.setattr(Downloader, "BASE_URL", f"{address}/requests.json")
    day = town.now.replace(hour=0), town.now.replace(hour=23)
    assert [each["service_request_id"] for each in Downloader(**extra)(day)] == told
    changed = Downloader(**extra, updated_start_date=day[0].isoformat(), updated_end_date=day[1].isoformat())
    assert [each["service_request_id"] for each in changed(day)] == told
    assert Downloader(**extra)((datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))) == []
