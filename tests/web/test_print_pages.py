"""Cases on paper: those that were chosen, or the view as it is filtered."""

import re
from collections.abc import Callable

import pytest
from factories import Town
from flask.testing import FlaskClient
from wording import shown, staff

from pwa.pages.dispatch import saved_views


@pytest.fixture
def three(town: Town) -> list[str]:
    """The numbers of three fresh cases, two streetlights and a limb."""
    with town.at_work() as scene:
        made = [scene.report(), scene.report(), scene.report(service_code="limb-down")]
        return [report.case.number for report in made]


def printed(page: str) -> list[str]:
    return re.findall(r'<small><span class="num">(26-\d+)</span>', page)


def test_the_chosen_cases_are_printed_and_no_others(
    three: list[str], log_in: Callable[[str], FlaskClient], token: Callable[[], str]
) -> None:
    client = log_in("dispatcher")
    board = shown(client.get("/dispatch?crew=none"))
    assert 'formaction="/dispatch/print?crew=none"' in board
    fields = {"csrf_token": token(), "case": three[:1], "cases": three[2]}
    page = shown(client.post("/dispatch/print?crew=none", data=fields))
    assert printed(page) == [three[0], three[2]]
    assert f"<h1>{staff.SELECTED(num=2)}</h1>" in page
    assert '"/dispatch?crew=none"' in page
    page = shown(client.post("/dispatch/print", data=fields | {"all": "3"}))
    assert sorted(printed(page)) == three, "all of the view were meant"


def test_without_a_choice_the_list_is_printed_as_it_is_filtered(
    three: list[str],
    log_in: Callable[[str], FlaskClient],
    token: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = log_in("manager")
    page = shown(client.get("/dispatch?service=limb-down"))
    assert 'href="/dispatch/print?service=limb-down"' in page
    page = shown(client.get("/dispatch/print?service=limb-down"))
    assert printed(page) == three[2:]
    assert printed(shown(client.post("/dispatch/print", data={"csrf_token": token()}))) != []
    monkeypatch.setattr(saved_views, "MOST_PRINTED", 2)
    page = shown(client.get("/dispatch/print"))
    assert len(printed(page)) == 2
    assert staff.PRINT_FIRST(most=2) in page
    page = shown(client.get("/es/dispatch/print?place=none"))
    assert printed(page) == []
    assert staff.NOTHING_HERE.es in page
