"""The list of cases as an Atom feed: the same cases, and well formed whatever somebody typed."""

from typing import Final
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import city, resident, shown

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Service
from city.reports import intake

ATOM: Final = "{http://www.w3.org/2005/Atom}"


def feed(client: FlaskClient, address: str = "/cases.atom") -> Element:
    response = client.get(address)
    assert response.status_code == 200
    assert response.mimetype == "application/atom+xml"
    found: Element = fromstring(response.get_data())
    return found


def text(of: Element, name: str) -> str:
    return of.findtext(f"{ATOM}{name}") or ""


def links(of: Element) -> dict[str | None, str | None]:
    return {link.get("rel"): link.get("href") for link in of.findall(f"{ATOM}link")}


def numbers(found: Element) -> list[str]:
    return [text(entry, "id").rpartition("/")[2] for entry in found.findall(f"{ATOM}entry")]


def closed(town: Town, number: str) -> None:
    with town.at_work() as scene:
        transitions.close(
            scene.s, scene.case(number), Closing("not found"), by=scene.actor("dispatcher"), at=town.now
        )


def test_it_has_all_that_the_standard_asks_for(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.report()
    found = feed(client)
    base = town.settings.base_url
    assert found.tag == f"{ATOM}feed"
    assert text(found, "id") == links(found)["self"] == f"{base}/cases.atom"
    assert links(found)["alternate"] == f"{base}/cases"
    assert text(found, "title") == resident.FEED_TITLE(city="Larkhaven")
    assert found.findtext(f"{ATOM}author/{ATOM}name") == "Larkhaven"
    (entry,) = found.findall(f"{ATOM}entry")
    assert text(entry, "id") == links(entry)["alternate"] == f"{base}/case/26-000001"
    assert text(entry, "title") == f"{city.STREETLIGHT_OUT}, 214 Tansy Street"
    assert text(entry, "published") == text(entry, "updated") == text(found, "updated")
    assert text(entry, "updated") == "2026-05-12T13:30:00+00:00"
    assert entry.findtext("{http://www.georss.org/georss}point") == "39.600000 -71.200000"


def test_without_a_case_it_is_a_feed_too(client: FlaskClient) -> None:
    found = feed(client, "/cases.atom?state=closed")
    assert numbers(found) == []
    assert text(found, "updated")


def test_each_view_of_the_list_has_one(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        lamp, limb, first, last = (
            scene.report(service_code=code).case.number
            for code in ("light-out", "limb-down", "light-out", "light-out")
        )
    for number in (last, first):
        closed(town, number)
    with town.at_work() as scene:
        scene.case(first).closed_at = town.now.replace(hour=20)
    for question, found in {
        "": [limb, lamp],
        "?group=tree": [limb],
        "?state=closed": [first, last],
        "?state=closed&group=tree": [],
        "?state=odd": [limb, lamp],
    }.items():
        page = client.get(f"/cases{question}").get_data(as_text=True)
        assert numbers(feed(client, f"/cases.atom{question}")) == found
        own = links(feed(client, f"/cases.atom{question}"))["self"] or ""
        address = own.removeprefix(town.settings.base_url).replace("&", "&amp;")
        assert 'type="application/atom+xml" title="' in page
        assert f'href="{address}"' in page


def test_a_kind_of_problem_that_is_not_there_is_no_feed_of_all_others(client: FlaskClient) -> None:
    wrong = client.get("/cases.atom?group=nope")
    assert wrong.status_code == 422
    assert resident.UNKNOWN_TYPE(code="nope") in shown(wrong)


def test_in_another_language_its_words_and_links_are_in_that_one_and_its_entries_the_same(
    town: Town, client: FlaskClient
) -> None:
    with town.at_work() as scene:
        scene.report()
    (here,), (there,) = (
        feed(client, f"{prefix}/cases.atom").findall(f"{ATOM}entry") for prefix in ("", "/es")
    )
    assert text(here, "id") == text(there, "id")
    assert (links(there)["alternate"] or "").endswith("/es/case/26-000001")
    assert text(there, "title").startswith(city.STREETLIGHT_OUT_ES)
    assert feed(client, "/es/cases.atom").get("{http://www.w3.org/XML/1998/namespace}lang") == "es"


def test_it_has_the_newest_fifty_in_as_many_statements_as_one(
    app: Flask, town: Town, client: FlaskClient
) -> None:
    sent = []
    for count in (1, 60):
        with town.at_work() as scene:
            for _ in range(count):
                scene.report()
        with counted(app) as statements:
            found = feed(client)
        sent.append(len(statements))
    assert len(numbers(found)) == 50
    assert sent[0] == sent[1] <= 7


def test_whoever_has_it_already_is_told_so_until_something_happens(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    first = client.get("/cases.atom", headers={"Accept-Encoding": "br"})
    known = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": "br"}
    assert client.get("/cases.atom", headers=known).status_code == 304
    closed(town, number)
    assert client.get("/cases.atom", headers=known).status_code == 200


def test_whatever_somebody_typed_it_can_be_read(town: Town, client: FlaskClient) -> None:
    odd = "<b>&amp;]]> \x0b\x1f \ufffe 🦉"
    with town.at_work() as scene:
        report = scene.report(words=odd)
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        report.case.address = odd
    (entry,) = feed(client).findall(f"{ATOM}entry")
    assert "<b>&amp;]]>" in text(entry, "summary")
    assert "🦉" in text(entry, "title")
    assert text(entry, "summary").startswith("26-000001: Reported.")


def test_words_stand_there_while_they_are_shown_only(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        report_id = scene.report(words="canary").id
    by_turns = []
    for verb in (intake.show, intake.hide):
        with town.at_work() as scene:
            report = scene.s.get_one(intake.Report, report_id)
            verb(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        by_turns.append("canary" in client.get("/cases.atom").get_data(as_text=True))
    assert by_turns == [True, False]


@pytest.mark.parametrize("what", ["private", "undone"])
def test_what_nobody_may_know_of_is_not_in_it(town: Town, client: FlaskClient, what: str) -> None:
    with town.at_work() as scene:
        case: Case = scene.report().case
        if what == "private":
            scene.s.get_one(Service, case.service_code).private = True
        else:
            case.state = "undone"
    assert numbers(feed(client)) == []


def test_a_place_is_told_as_roughly_as_the_service_wants(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, scene.report().case.service_code).precision_m = 500
    (entry,) = feed(client).findall(f"{ATOM}entry")
    assert "214" not in text(entry, "title")
    assert entry.findtext("{http://www.georss.org/georss}point") != "39.600000 -71.200000"
