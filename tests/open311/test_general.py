"""What holds for every answer of the API: formats, errors, discovery, services."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from wording import shared

from city.db.models import Service

Get = Callable[..., Any]
Xml = Callable[..., Element]
PATHS = ("/discovery", "/v2/discovery", "/v2/services", "/v2/services/pole-damaged", "/v2/requests")


@pytest.mark.parametrize("path", PATHS)
def test_every_address_answers_in_both_formats_with_its_type_and_declaration(
    client: FlaskClient, path: str
) -> None:
    in_json, in_xml = (client.get(f"/open311{path}.{form}") for form in ("json", "xml"))
    assert in_json.content_type == "application/json; charset=utf-8"
    assert in_xml.content_type == "text/xml; charset=utf-8"
    assert in_xml.get_data(as_text=True).startswith("<?xml version='1.0' encoding='utf-8'?>")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("text/xml", "text/xml"),
        ("*/*", "text/xml"),
        ("text/html", "text/xml"),
        ("", "text/xml"),
    ],
)
def test_without_a_suffix_accept_decides_and_else_it_is_xml(
    client: FlaskClient, accept: str, kind: str
) -> None:
    assert client.get("/open311/v2/services", headers={"Accept": accept}).mimetype == kind


def test_xml_has_no_namespaces_and_no_attributes(town: Town, xml: Xml) -> None:
    with town.at_work() as scene:
        scene.report(words="<b>&amp;")
    for path in PATHS:
        for element in xml(path, extensions="true").iter():
            assert "{" not in element.tag
            assert not element.attrib


def test_a_list_is_an_array_even_of_one_or_none(town: Town, get: Get) -> None:
    assert get("/v2/requests") == []
    with town.at_work() as scene:
        number = scene.report().case.number
    assert [each["service_request_id"] for each in get("/v2/requests")] == [number]
    assert len(get(f"/v2/requests/{number}")) == 1


def test_ids_and_codes_are_strings_flags_booleans_and_places_numbers_or_null(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        scene.report()
        scene.report(place=None)
    nowhere, somewhere = get("/v2/requests")
    assert (somewhere["lat"], somewhere["long"]) == (39.6, -71.2)
    assert (nowhere["lat"], nowhere["long"], nowhere["address"]) == (None, None, None)
    for each in (nowhere, somewhere):
        assert isinstance(each["service_request_id"], str)
        assert isinstance(each["service_code"], str)
    assert {each["metadata"] for each in get("/v2/services")} == {True, False}
    question, *_more = get("/v2/services/pole-damaged")["attributes"]
    assert (question["required"], question["variable"]) == (False, True)


def test_an_empty_argument_is_an_absent_one(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        scene.report()
    nothing = dict.fromkeys(
        (
            "service_code",
            "status",
            "start_date",
            "end_date",
            "page",
            "page_size",
            "jurisdiction_id",
            "updated_after",
        ),
        "",
    )
    assert len(get("/v2/requests", **nothing)) == 1


def test_a_jurisdiction_is_optional_and_an_unknown_one_is_404(get: Get, send: Get) -> None:
    assert get("/v2/services", jurisdiction_id="Larkhaven") == get("/v2/services")
    [fault] = get("/v2/services", expect=404, jurisdiction_id="elsewhere.gov")
    assert "elsewhere.gov" in fault["description"]
    [fault] = send(expect=404, jurisdiction_id="elsewhere.gov")
    assert fault["code"] == 404


@pytest.mark.parametrize("form", ["json", "xml"])
def test_what_nobody_can_type_is_refused_in_words(client: FlaskClient, form: str) -> None:
    response = client.get(f"/open311/v2/services.{form}?jurisdiction_id=%00")
    assert response.status_code == 400
    assert shared.CANNOT_BE_READ in response.get_data(as_text=True)


def test_reading_needs_no_key_and_a_wrong_one_is_ignored(get: Get) -> None:
    assert get("/v2/requests", api_key="nonsense") == []


def test_pages_of_any_site_may_read(client: FlaskClient) -> None:
    response = client.get("/open311/v2/services.json", headers={"Origin": "https://app.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    refused = client.post("/open311/v2/requests.json", headers={"Origin": "https://app.example"})
    assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/open311/nothing.json", 404),
        ("get", "/open311/v2/requests/a/b/c.json", 404),
        ("get", "/open311/v2/requests/26-000001.json", 404),
        ("get", "/open311/v2/services/nothing.json", 404),
        ("delete", "/open311/v2/services.json", 405),
        ("post", "/open311/v2/services.json", 405),
    ],
)
@pytest.mark.parametrize("form", ["json", "xml"])
def test_every_error_is_a_list_in_the_format_asked_for(
    client: FlaskClient, method: str, path: str, status: int, form: str
) -> None:
    response = client.open(path.replace(".json", f".{form}"), method=method.upper())
    assert response.status_code == status
    if form == "json":
        [fault] = response.get_json()
        assert fault["code"] == status
        assert fault["description"]
    else:
        assert f"<errors><error><code>{status}</code><description>" in response.get_data(as_text=True)
    if status == 405:
        assert "GET" in response.headers["Allow"]


def test_a_body_of_another_kind_is_415_and_one_too_large_413(app: Flask, client: FlaskClient) -> None:
    [fault] = client.post("/open311/v2/requests.json", json={"a": 1}).get_json()
    assert fault["code"] == 415
    assert "multipart/form-data" in fault["description"]
    xml = client.post("/es/open311/v2/requests.xml", data="<a/>", content_type="text/xml")
    assert shared.SEND_AS_FORM.es in xml.get_data(as_text=True)
    app.config["MAX_CONTENT_LENGTH"] = 100
    response = client.post("/open311/v2/requests.json", data={"description": "x" * 200})
    assert (response.status_code, response.get_json()[0]["code"]) == (413, 413)


def test_a_fault_of_ours_is_told_in_the_standard_form(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["TESTING"] = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("city.opendata.case_summaries.listed", lambda *_, **__: 1 / 0)
    response = client.get("/open311/v2/requests.json")
    assert (response.status_code, response.get_json()[0]["code"]) == (500, 500)


def test_characters_that_xml_forbids_are_left_out(town: Town, xml: Xml) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").names = {"en": "Light\x1b\x0bout\ufffe"}
        scene.report()
    [name] = xml("/v2/requests").iter("service_name")
    assert name.text == "Lightout"


def test_discovery_names_the_specification_by_its_very_letters(get: Get, xml: Xml) -> None:
    told = get("/discovery")
    assert get("/v2/discovery") == told
    assert set(told) == {"changeset", "contact", "key_service", "endpoints"}
    assert len(told["endpoints"]) >= 2
    for endpoint in told["endpoints"]:
        assert endpoint["specification"] == "http://wiki.open311.org/GeoReport_v2"
        assert endpoint["url"].endswith("/open311/v2")
        assert endpoint["type"] == "production"
        assert endpoint["formats"] == ["text/xml", "application/json"]
    assert datetime.fromisoformat(told["changeset"]) < datetime.now(UTC)
    assert len(list(xml("/discovery").iter("format"))) == 2 * len(told["endpoints"])


def test_a_demo_says_that_it_is_a_test(app: Flask, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city.people.accounts.is_demo", lambda _: True)
    assert {each["type"] for each in get("/discovery")["endpoints"]} == {"test"}


def test_the_endpoint_of_another_language_speaks_it(client: FlaskClient, get: Get) -> None:
    spanish = client.get("/es/open311/v2/services.json").get_json()
    names = {each["service_code"]: each["service_name"] for each in spanish}
    assert (
        names["light-out"] != {e["service_code"]: e["service_name"] for e in get("/v2/services")}["light-out"]
    )


def test_services_have_all_members_and_keywords_always(get: Get, xml: Xml) -> None:
    for each in get("/v2/services"):
        assert set(each) == {
            "service_code", "service_name", "description", "metadata", "type", "keywords", "group",
        }  # fmt: skip
        assert each["type"] in ("realtime", "batch", "blackbox")
        assert each["keywords"]
    assert xml("/v2/services").tag == "services"


def test_metadata_is_true_exactly_where_there_are_attributes(get: Get) -> None:
    for each in get("/v2/services"):
        assert each["metadata"] == bool(get(f"/v2/services/{each['service_code']}")["attributes"])


def test_a_definition_names_its_questions_in_order_with_their_choices(get: Get, xml: Xml) -> None:
    told = get("/v2/services/pole-damaged")
    assert told["service_code"] == "pole-damaged"
    question, then = told["attributes"]
    assert (question["code"], question["datatype"], question["order"]) == ("blocked", "singlevaluelist", 1)
    assert question["description"] == "Is the sidewalk blocked?"
    assert (then["required"], then["datatype_description"]) == (False, "A door is about 3 feet wide.")
    assert [value["key"] for value in question["values"]] == ["yes", "partly", "no"]
    assert [e.text for e in xml("/v2/services/pole-damaged").iter("key")] == ["yes", "partly", "no"]


def test_an_unknown_service_is_404(get: Get) -> None:
    [fault] = get("/v2/services/nothing", expect=404)
    assert "nothing" in fault["description"]
