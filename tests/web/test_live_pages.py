"""What an open board is told of a city that goes on: news of its view, in few bytes and few statements."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.audit import epochs, events
from city.board import changes, presence
from city.cases import transitions
from city.cases.transitions import Closing

pytestmark = pytest.mark.both_databases

MOST_IDLE = 300  # bytes
MOST_QUERIES_WHEN_IDLE = 4  # who is logged in, and how far the log goes
MOST_QUERIES = 16


@pytest.fixture
def board(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a dispatcher."""
    return log_in("dispatcher")


@pytest.fixture
def lamp(town: Town) -> str:
    """The number of a fresh case."""
    with town.at_work() as scene:
        return scene.report().case.number


class Board:
    """The list of a view as it stands open in a browser."""

    def __init__(self, browser: FlaskClient, view: str = "") -> None:
        self.browser, self.view = browser, view
        page = browser.get(f"/dispatch?{view}").get_data(as_text=True)
        found = re.search(r'data-since="([^"]*)"', page)
        assert found
        self.since = found[1]

    def hear(self) -> dict[str, object]:
        """What the next answer says."""
        answer = self.browser.get(f"/dispatch/changes?since={self.since}&{self.view}")
        assert answer.status_code == 200
        told = answer.get_json()
        self.since = told.get("rev", self.since)
        return told


@pytest.fixture
def open_board(board: FlaskClient) -> Callable[..., Board]:
    return lambda view="": Board(board, view)


def test_nobody_but_staff_hears_anything(
    client: FlaskClient, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    assert client.get("/dispatch/changes?since=0-").status_code == 302
    assert log_in("rosa").get("/dispatch/changes?since=0-").status_code == 403


def test_where_nothing_happened_the_answer_is_short_and_cheap(
    open_board: Callable[..., Board], lamp: str, app: Flask
) -> None:
    here = open_board("group=streetlight&standing=ok&words=tansy")
    here.hear()
    with counted(app) as statements:
        answer = here.browser.get(f"/dispatch/changes?since={here.since}&{here.view}")
    assert len(answer.data) <= MOST_IDLE
    assert set(answer.get_json()) == {"rev", "at"}
    assert len(statements) <= MOST_QUERIES_WHEN_IDLE
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_new_report_is_counted_and_brings_no_row(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    here = open_board()
    with town.at_work() as scene:
        number = scene.report().case.number
    told = here.hear()
    assert told["fresh"] == [number]
    assert number not in str(told["rows"])
    assert "fresh" not in here.hear()


def test_a_case_that_changed_within_the_view_comes_as_the_row_that_the_list_shows(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    here = open_board()
    with town.at_work() as scene:
        transitions.assign(
            scene.s, scene.case(lamp), scene.crew("lights"), by=scene.actor("supervisor"), at=town.now
        )
    told = here.hear()
    assert told["fresh"] == []
    assert told["gone"] == {}
    page = here.browser.get("/dispatch").get_data(as_text=True)
    row = re.search(rf'<tr id="case-{lamp}".*?</tr>', page, re.S)
    assert row
    assert str(told["rows"]).strip() == row[0]


def test_what_left_the_view_is_gone_and_says_why(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    with town.at_work() as scene:
        second, third = (scene.report().case.number for _ in range(2))
    unassigned, late = open_board("crew=none"), open_board("standing=late")
    with town.at_work() as scene:
        by = scene.actor("supervisor")
        transitions.assign(scene.s, scene.case(lamp), scene.crew("trees"), by=by, at=town.now)
        by = scene.actor("dispatcher")
        transitions.close(scene.s, scene.case(second), Closing("not found"), by=by, at=town.now)
        transitions.merge(scene.s, scene.case(third), scene.case(lamp), by=by, at=town.now)
    assert unassigned.hear()["gone"] == {
        lamp: staff.GONE_ASSIGNED(crew="trees"),
        second: staff.GONE_CLOSED(name="Dispatcher"),
        third: staff.GONE_MERGED(number=lamp),
    }
    told = late.hear()
    assert (told["fresh"], told["rows"]) == ([], "")


def test_what_comes_into_a_narrow_view_is_new_there_and_a_note_on_it_is_not(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    crew, everything = open_board(f"crew={town.ids['lights']}"), open_board()
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.assign(scene.s, scene.case(lamp), scene.crew("lights"), by=by, at=town.now)
    assert crew.hear()["fresh"] == [lamp]
    assert everything.hear()["fresh"] == []
    with town.at_work() as scene:
        transitions.note(
            scene.s, scene.case(lamp), "Ladder needed", by=scene.actor("dispatcher"), at=town.now
        )
    told = crew.hear()
    assert told["fresh"] == []
    assert lamp in str(told["rows"])


def test_a_reopened_case_is_new_in_the_list_of_all_that_is_open(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.close(scene.s, scene.case(lamp), Closing("not found"), by=by, at=town.now)
    here = open_board()
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(lamp), by=scene.actor("dispatcher"), at=town.now)
    assert here.hear()["fresh"] == [lamp]


@pytest.mark.parametrize(
    "since", ["", "x", "-", "-1-", "9" * 40, "1e3-", "99999-", "0-nobody", "0-" + "a" * 99, "٣-"]
)
def test_a_revision_that_leads_nowhere_asks_to_load_the_list_again(
    board: FlaskClient, lamp: str, since: str
) -> None:
    answer = board.get("/dispatch/changes", query_string={"since": since})
    assert answer.get_json()["reset"] is True


def test_a_revision_from_before_a_restore_asks_to_load_the_list_again(
    open_board: Callable[..., Board], town: Town, lamp: str
) -> None:
    epochs.start_epoch(town.engine, town.now)
    here = open_board()
    epochs.start_epoch(town.engine, town.now + timedelta(minutes=1))
    assert "rev" in here.hear(), "a start that lost nothing is no reason"
    seq, _dash, _epoch = here.since.partition("-")
    here.since = f"{seq}-{'0' * 16}"  # an epoch that this database has never seen
    assert here.hear()["reset"] is True


def test_a_revision_too_old_to_follow_asks_to_load_the_list_again(
    open_board: Callable[..., Board], lamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_board()
    seq, _dash, epoch = here.since.partition("-")
    monkeypatch.setattr(changes, "STALE", 1)
    here.since = f"{int(seq) - 2}-{epoch}"
    assert here.hear()["reset"] is True


def test_of_more_than_it_tells_an_answer_says_only_that_they_are_many(
    open_board: Callable[..., Board], town: Town, lamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_board()
    monkeypatch.setattr(changes, "MOST", 2)
    with town.at_work() as scene:
        for _ in range(3):
            scene.report()
    told = here.hear()
    assert told["many"] is True
    assert "rows" not in told
    assert set(here.hear()) == {"rev", "at"}


def test_the_number_of_queries_does_not_grow_with_what_changed(
    open_board: Callable[..., Board], town: Town, app: Flask, lamp: str
) -> None:
    sent = []
    for more in (2, 40):
        with town.at_work() as scene:
            numbers = [scene.report().case.number for _ in range(more)]
        here = open_board("crew=none")
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            for number in numbers[::2]:
                transitions.note(scene.s, scene.case(number), "Look", by=by, at=town.now)
            for number in numbers[1::2]:
                transitions.assign(scene.s, scene.case(number), scene.crew("lights"), by=by, at=town.now)
        with counted(app) as statements:
            told = here.hear()
        assert len(told["gone"]) == more / 2  # type: ignore[arg-type]
        sent.append(len(statements))
    assert sent[0] == sent[1] <= MOST_QUERIES


def test_the_counts_of_the_saved_views_can_be_asked_alone(board: FlaskClient, lamp: str) -> None:
    page = board.get("/dispatch/views").get_data(as_text=True)
    assert re.search(rf'{staff.UNASSIGNED_VIEW}<data value="1">', page)
    assert "<table" not in page


def test_it_is_told_in_spanish_on_the_spanish_board(board: FlaskClient, town: Town, lamp: str) -> None:
    here = Board(board)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.close(scene.s, scene.case(lamp), Closing("not found"), by=by, at=town.now)
    told = board.get(f"/es/dispatch/changes?since={here.since}").get_json()
    assert told["gone"] == {lamp: staff.GONE_CLOSED.es(name="Dispatcher")}


class TestAConflict:
    """Two tabs of one dispatcher will do: who else it was changes nothing."""

    @pytest.fixture
    def post(self, client: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
        """Sends a form of the drawer: post(number, verb, fragment=False, **fields)."""

        def send(number: str, verb: str, *, fragment: bool = False, **fields: Any) -> TestResponse:
            headers = {"HX-Request": "true"} if fragment else {}
            url = f"/dispatch/cases/{number}/{verb}"
            return client.post(url, data={"csrf_token": token(), **fields}, headers=headers)

        return send

    def seen(self, board: FlaskClient, number: str) -> str:
        page = board.get(f"/dispatch/cases/{number}").get_data(as_text=True)
        found = re.search(r'name="seen" value="(\d+)"', page)
        assert found
        return found[1]

    def given(self, town: Town, number: str, crew: str = "trees") -> None:
        with town.at_work() as scene:
            by = scene.actor("supervisor")
            transitions.assign(scene.s, scene.case(number), scene.crew(crew), by=by, at=town.now)

    def crew_of(self, town: Town, number: str) -> str:
        with town.looking() as scene:
            held = transitions.live(scene.case(number))
            return held.crew.name if held else ""

    @pytest.mark.parametrize("fragment", [False, True])
    def test_it_does_nothing_and_shows_both_versions_and_who_made_the_other(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse], fragment: bool
    ) -> None:
        seen = self.seen(board, lamp)
        self.given(town, lamp)
        answer = post(lamp, "assignment", fragment=fragment, seen=seen, crew=town.ids["lights"])
        page = re.sub(r"\s+", " ", answer.get_data(as_text=True))
        assert answer.status_code == 409
        assert self.crew_of(town, lamp) == "trees"
        assert shared.OVERTAKEN in page
        was = f"{staff.WHEN_YOU_OPENED_IT}</dt><dd>{shared.NEW}<br>{staff.NOT_ASSIGNED}</dd>"
        assert was in page
        assert re.search(rf"{staff.NOW}</dt><dd>[^<]+<br>trees</dd>", page)
        assert re.search(rf"<li><b>{shared.STEP_ASSIGNED}</b> trees <small>[^<]* · Supervisor</small>", page)
        assert staff.ASSIGN_IT_TO(crew="lights") in page

    def test_a_report_of_danger_that_came_meanwhile_says_so(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        with town.at_work() as scene:
            scene.report(join=lamp, danger=True)
        answer = post(lamp, "closure", seen=seen, outcome="not found", words="Nothing there")
        page = answer.get_data(as_text=True)
        assert answer.status_code == 409
        news = page[page.index('id="errors"') : page.index(staff.DO_IT_ANYWAY_BUTTON)]
        assert re.search(rf"<li><b>{shared.STEP_JOINED}</b> <span class=\"many many--danger\">", news)

    def test_all_the_same_does_it_unless_the_case_changed_again(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        old = self.seen(board, lamp)
        self.given(town, lamp)
        page = post(lamp, "assignment", seen=old, crew=town.ids["lights"]).get_data(as_text=True)
        form = page[page.index('id="errors"') : page.index(staff.DO_IT_ANYWAY_BUTTON)]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        fields.pop("csrf_token")
        assert fields["crew"] == str(town.ids["lights"])
        assert fields["seen"] != old
        assert post(lamp, "assignment", **fields).status_code == 303
        assert self.crew_of(town, lamp) == "lights"
        self.given(town, lamp)
        assert post(lamp, "assignment", **fields).status_code == 409

    def test_the_words_of_a_closing_stay_in_its_form(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        self.given(town, lamp)
        answer = post(lamp, "closure", seen=seen, outcome="not found", words="Nothing there")
        page = answer.get_data(as_text=True)
        assert answer.status_code == 409
        assert re.search(r'id="do-close">', page)
        assert ">Nothing there</textarea>" in page
        assert '<button class="button" type="submit" form="f-close">' in page

    def test_what_cannot_be_done_any_more_says_so_and_gives_the_words_back(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            transitions.cancel(scene.s, scene.case(lamp), "spam", by=by, at=town.now)
        page = post(lamp, "closure", seen=seen, outcome="not found", words="Nothing there").get_data(
            as_text=True
        )
        assert staff.CANNOT_BE_DONE in shown(page)
        assert staff.YOU_WROTE(words="Nothing there") in page
        assert staff.DO_IT_ANYWAY_BUTTON not in page

    def test_what_is_only_added_stops_nobody_and_a_note_never_conflicts(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        with town.at_work() as scene:
            transitions.note(scene.s, scene.case(lamp), "Ladder", by=scene.actor("dispatcher"), at=town.now)
            scene.report(join=lamp, words="Mine too")
        assert post(lamp, "acceptance", seen=seen).status_code == 303
        page = board.get(f"/dispatch/cases/{lamp}").get_data(as_text=True)
        form = page[page.index('action="/dispatch/cases/' + lamp + "/note") :]
        assert 'name="seen"' not in form[: form.index("</form>")]

    def test_who_wants_what_is_so_already_meets_no_conflict(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        self.given(town, lamp, "lights")
        assert post(lamp, "assignment", seen=seen, crew=town.ids["lights"]).status_code == 303

    def test_of_two_at_the_same_moment_the_second_is_shown_what_the_first_did(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        seen = self.seen(board, lamp)
        with ThreadPoolExecutor(1) as pool:
            with town.at_work() as scene:
                by = scene.actor("supervisor")
                transitions.assign(scene.s, scene.case(lamp), scene.crew("trees"), by=by, at=town.now)
                later = pool.submit(post, lamp, "assignment", seen=seen, crew=town.ids["lights"])
                town.await_waiting()
            assert later.result().status_code == 409
        assert self.crew_of(town, lamp) == "trees"

    @pytest.mark.parametrize("seen", ["", "x", "-1", "9" * 30])
    def test_a_stamp_that_is_none_asks_nothing(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse], seen: str
    ) -> None:
        assert post(lamp, "acceptance", seen=seen).status_code == 303

    def test_a_stamp_from_a_story_that_a_restore_took_away_is_a_conflict(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        assert post(lamp, "acceptance", seen=40).status_code == 409

    def test_a_merge_from_the_card_of_a_twin_asks_for_the_case_that_is_open(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            later = scene.report().case.number
        seen = self.seen(board, lamp)
        self.given(town, lamp)
        answer = post(later, "merge", seen=seen, open=lamp, into=lamp)
        assert answer.status_code == 409
        page = answer.get_data(as_text=True)
        assert staff.MERGE_IT_INTO(number=lamp) in page
        assert f'action="/dispatch/cases/{later}/merge"' in page[page.index('id="errors"') :]
        fields = {"seen": self.seen(board, lamp), "open": lamp, "into": lamp}
        assert post(later, "merge", **fields).status_code == 303


class TestTwoAtOneCase:
    @pytest.fixture
    def hear(
        self, app: Flask, town: Town, client: FlaskClient, log_in: Callable[..., FlaskClient]
    ) -> Callable[..., dict[str, Any]]:
        """What somebody's open board is told so many seconds from now: hear("manager", number, 5)."""

        def ask(name: str, number: str, later: int = 0) -> dict[str, Any]:
            app.config["NOW"] = town.now + timedelta(seconds=later)
            browser = log_in(name, app.config["NOW"])
            answer = browser.get(f"/dispatch/changes?since={Board(browser).since}&open={number}")
            told: dict[str, Any] = answer.get_json()
            return told

        return ask

    def test_they_see_each_other_until_one_has_gone(
        self, hear: Callable[..., dict[str, Any]], lamp: str
    ) -> None:
        assert "else" not in hear("dispatcher", lamp)
        assert hear("supervisor", lamp, 5)["else"] == ["Dispatcher"]
        assert hear("dispatcher", lamp, 10)["else"] == ["Supervisor"]
        assert hear("dispatcher", lamp, 40)["else"] == ["Supervisor"]
        assert "else" not in hear("dispatcher", lamp, 51)

    def test_it_leaves_no_line_in_the_log_and_is_written_every_twenty_seconds_at_most(
        self, hear: Callable[..., dict[str, Any]], town: Town, lamp: str, asked: list[str]
    ) -> None:
        hear("dispatcher", lamp)
        asked.clear()
        hear("dispatcher", lamp, 5)
        assert not [statement for statement in asked if "INTO viewers" in statement]
        hear("dispatcher", lamp, 25)
        assert len([statement for statement in asked if "INTO viewers" in statement]) == 1
        with town.looking() as scene:
            story = events.of(scene.s, transitions.subject(scene.case(lamp)))
        assert [line.kind for line, _words in story] == ["open", "report"]

    def test_the_answer_stays_short(self, hear: Callable[..., dict[str, Any]], lamp: str) -> None:
        for name in ("manager", "supervisor", "call-taker"):
            hear(name, lamp)
        told = hear("dispatcher", lamp)
        assert told["else"] == ["Call-Taker", "Manager", "Supervisor"]
        assert len(json.dumps(told)) <= MOST_IDLE

    def test_of_a_case_that_is_not_there_nothing_is_kept(
        self, hear: Callable[..., dict[str, Any]], lamp: str
    ) -> None:
        for number in ("26-999999", "x" * 500, "'"):
            assert "else" not in hear("dispatcher", number)

    def test_the_worker_forgets_who_looks_no_more(
        self, hear: Callable[..., dict[str, Any]], town: Town, lamp: str
    ) -> None:
        hear("dispatcher", lamp)
        hear("supervisor", lamp, 40)
        with town.at_work() as scene:
            assert presence.sweep(scene.s, town.now + timedelta(seconds=50)) == 1
            assert presence.sweep(scene.s, town.now + timedelta(seconds=50)) == 0
