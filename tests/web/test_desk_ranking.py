"""The list under the desk's box: its first line is right, or none is first; what callers say, counted."""

import html
import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from factories import Town, statements
from flask.testing import FlaskClient
from wording import shown, staff

from city.answers import articles
from city.answers.articles import Draft, Text
from city.config import city_file
from city.config import versions as config_versions
from city.settings import DEFAULT_CITY

ROOT = Path(__file__).parents[2]
QUERIES = tomllib.loads((ROOT / "tests" / "golden" / "desk_queries.toml").read_text("utf-8"))
ARTICLES = tomllib.loads((ROOT / "city" / "demo" / "answers.toml").read_text("utf-8"))
RIGHT = 0.95  # of all; the others have nothing first
MOST_QUERIES = 10
WHAT = ("case", "answer", "office", "service")


@pytest.fixture
def desk(town: Town, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """A call-taker's browser, where all that the demo's desk knows is known."""
    with town.at_work() as scene:
        config_versions.activate(scene.s, city_file.load(DEFAULT_CITY))
        for slug, row in ARTICLES.items():
            texts = {lang: Text(**row[lang]) for lang in ("en", "es")}
            leads_to = tuple(row.get("services", ()))
            draft = Draft(row["department"], row["topic"], date(2027, 1, 1), texts, leads_to)
            articles.publish(scene.s, slug, draft, by=scene.actor("call-taker"), at=town.now)
    return log_in("call-taker")


def listed(desk: FlaskClient, typed: str, path: str = "/desk/found", **asked: str) -> str:
    return desk.get(path, query_string={"q": typed, **asked}).get_data(as_text=True)


def lines(page: str) -> list[str]:
    """What each line leads to: "service light-out"."""
    found = []
    for line in re.findall(r'<li role="option"[^>]*>', page):
        data = dict(re.findall(r'data-(\w+)="([^"]*)"', line))
        found.append(next(f"{what} {data[what]}" for what in WHAT if what in data))
    return found


def first(page: str) -> str:
    """The line that is chosen for the call-taker."""
    return lines(page)[0] if "data-sure" in page else "nothing"


def test_the_first_line_is_right_or_nothing_is_first(
    desk: FlaskClient, record_property: Callable[[str, object], None]
) -> None:
    wanted = QUERIES["first"]
    found = {typed: first(listed(desk, typed)) for typed in wanted}
    wrong = {typed: line for typed, line in found.items() if line not in [*wanted[typed], "nothing"]}
    right = sum(line in wanted[typed] for typed, line in found.items())
    record_property("first lines that are right", f"{right} of {len(wanted)}")
    assert wrong == {}
    assert right >= RIGHT * len(wanted), {typed for typed, line in found.items() if line not in wanted[typed]}


def test_what_was_missed_before_is_first() -> None:
    assert len(QUERIES["first"]) >= 60 + len(QUERIES["known"])
    assert set(QUERIES["known"]) <= set(QUERIES["first"])


def test_every_line_that_must_be_first_is_one_of_the_city() -> None:
    city = city_file.load(DEFAULT_CITY)
    known = {f"service {each.code}" for each in city.services} | {f"answer {slug}" for slug in ARTICLES}
    known |= {f"office {each.code}" for each in (*city.departments, *city.elsewhere)} | {"nothing"}
    assert {line for lines in QUERIES["first"].values() for line in lines} <= known


def test_each_line_says_what_it_is_and_what_was_typed_is_underlined(desk: FlaskClient) -> None:
    page = listed(desk, "light out")
    assert "Street<mark>light</mark> <mark>out</mark>" in page
    assert staff.A_PROBLEM in shown(page)
    assert staff.AN_ANSWER in shown(page)
    page = html.unescape(listed(desk, "colchon en la banqueta"))
    assert "“<mark>colchón</mark>”" in page, "another word for it says why it was found"


def test_an_office_is_shown_with_its_number_and_its_hours(desk: FlaskClient) -> None:
    page = listed(desk, "parking ticket")
    assert first(page) == "office parking"
    assert "(555) 555-0124" in page
    assert staff.A_TRANSFER in shown(page)


def test_where_no_line_is_sure_none_is_chosen_and_it_says_so(desk: FlaskClient) -> None:
    page = listed(desk, "residential parking")
    assert lines(page)
    assert "data-sure" not in page
    assert staff.NO_CLEAR_MATCH in shown(page)


def test_an_open_case_is_a_line_by_its_street_and_by_its_number(desk: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        number, street = report.case.number, report.address.split()[1]
    page = listed(desk, f"light out {street.lower()}")
    assert lines(page)[:2] == ["service light-out", f"case {number}"]
    assert f"<mark>{street}</mark>" in page
    assert first(listed(desk, number.lower())) == f"case {number}"


def test_what_an_answer_leads_to_is_offered_with_it(desk: FlaskClient) -> None:
    assert "service tax-question" in lines(listed(desk, "lost my tax bill"))


def test_the_cost_of_the_list_is_known(desk: FlaskClient, town: Town) -> None:
    listed(desk, "light")
    with statements(town.engine) as sent:
        listed(desk, "light out tansy")
    assert len(sent) <= MOST_QUERIES, sent
