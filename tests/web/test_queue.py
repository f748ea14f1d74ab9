"""Views of the board: their pages, their orders, what is found in them, their names, and their table."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from factories import LAMP, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.board import queries as city_board
from city.board import saved_views
from city.board.queries import Total, View
from city.cases import priorities, sla, tags, transitions
from city.cases.transitions import Closing
from city.db.models import Case, Department, Service, Street
from city.lifecycle import OPEN, STATES
from city.reports import intake
from pwa.board.view_url import is_id, view_asked

pytestmark = pytest.mark.both_databases

FRAGMENT = {"HX-Request": "true"}
MOST_QUERIES = 13
STREETS = ("9 Elm Street", "10 Elm Street", "2 Elm Street", "7 Ash Lane", "")


@pytest.fixture
def board(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a dispatcher."""
    return log_in("dispatcher")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three rows; of more than two cases with the words the queue is gone through."""
    monkeypatch.setattr(city_board, "ROWS", 3)
    monkeypatch.setattr(city_board, "FEW", 2)


def numbers(page: str) -> list[str]:
    return re.findall(r'<tr id="case-([^"]+)"', page)


def html_of(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def link(page: str, rel: str) -> str:
    """Where the page leads on or back to; "" where it does not."""
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return unescape(found[1]) if found else ""


def fill(town: Town, count: int = 11) -> list[str]:
    """Open cases of all ranks and streets, some with equal due dates; the last one is closed."""
    made = []
    with town.at_work() as scene:
        dispatcher = scene.actor("dispatcher")
        for n in range(count):
            at = town.now - timedelta(days=n % 4, hours=n)
            label = STREETS[n % len(STREETS)]
            place = replace(LAMP, label=label) if label else None
            case = scene.report(at=at, place=place, danger=n % 5 == 3, words=f"lamp x{n}y").case
            if n % 5 == 4:
                transitions.wait(scene.s, case, "weather", by=dispatcher, at=town.now)
            if n % 5 == 2:
                priorities.raise_priority(scene.s, case, by=dispatcher, at=town.now)
            made.append(case.number)
        transitions.cancel(scene.s, scene.case(made[-1]), "test", by=dispatcher, at=town.now)
    return made[:-1]


def share(town: Town, count: int) -> None:
    """So many views that somebody else has shared."""
    with town.at_work() as scene:
        for n in range(count):
            args = {"age": str(n + 1), "state": OPEN[n % len(OPEN)]}
            who = town.ids["supervisor"]
            saved_views.save(scene.s, who, f"Shared {n}", args, shared=True, at=town.now)


def walk(board: FlaskClient, url: str, rel: str) -> Iterator[str]:
    while url:
        page = html_of(board.get(url))
        yield page
        url = link(page, rel)


@pytest.mark.every_variant
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("sort", ["", *city_board.SORTS])
@pytest.mark.parametrize("words", ["", "lamp"])
def test_pages_lead_through_all_cases_once_and_back_again(
    board: FlaskClient, town: Town, sort: str, words: str
) -> None:
    made = fill(town)
    asked = "&".join(f"{name}={value}" for name, value in (("sort", sort), ("words", words)) if value)
    pages = list(walk(board, f"/dispatch?{asked}", "next"))
    seen = [number for page in pages for number in numbers(page)]
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))
    assert [len(numbers(page)) for page in pages] == [3, 3, 3, 1]
    first = staff.ROWS_OF_OVER(first=1, last=3, num=3) if words else staff.ROWS_OF(first=1, last=3, num=10)
    assert first in pages[0]
    assert staff.ROWS_OF(first=10, last=10, num=10) in pages[-1]
    back = list(walk(board, link(pages[-1], "prev"), "prev"))
    assert [numbers(page) for page in back] == [numbers(page) for page in pages[-2::-1]]
    assert first in back[-1]


def test_the_orders_are_what_they_say(board: FlaskClient, town: Town) -> None:
    made = fill(town)

    def by(sort: str) -> list[Any]:
        return [at[number] for number in numbers(html_of(board.get(f"/dispatch?sort={sort}")))]

    with town.looking() as scene:
        found = {number: scene.case(number) for number in made}
    at: dict[str, Any] = {number: (case.rank, case.due_at, case.id) for number, case in found.items()}
    assert by("pressing") == sorted(at.values())
    assert by("pressing")[0][0] == 0, "danger first"
    at = {number: (case.urgent, case.opened_at, case.id) for number, case in found.items()}
    assert by("newest") == sorted(at.values(), reverse=True)
    at = {number: (not case.urgent, case.opened_at, case.id) for number, case in found.items()}
    assert by("oldest") == sorted(at.values())
    at = {number: (not case.urgent, number) for number, case in found.items()}
    assert by("number") == sorted(at.values())
    order = ["", "7 Ash Lane", "2 Elm Street", "9 Elm Street", "10 Elm Street"]
    at = {number: (not case.urgent, order.index(case.address)) for number, case in found.items()}
    assert {place for _, place in at.values()} == set(range(len(order)))
    assert by("street") == sorted(at.values())


@pytest.mark.usefixtures("few")
def test_show_more_puts_the_next_rows_behind_those_that_are_there(board: FlaskClient, town: Town) -> None:
    fill(town)
    first = html_of(board.get("/dispatch"))
    more = html_of(board.get(link(first, "next"), headers=FRAGMENT, query_string=None))
    again = html_of(board.get(link(first, "next") + "&from=1", headers=FRAGMENT))
    assert "<html" not in more
    assert 'hx-swap-oob="beforeend:#rows"' in more
    assert len(numbers(more)) == 3
    assert not set(numbers(more)) & set(numbers(first))
    assert staff.ROWS_OF(first=1, last=6, num=10) in again
    assert all("after=" not in url for url in re.findall(r'hx-get="(/dispatch/cases/[^"]*)"', more))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "after",
    [
        "x",
        "WzBd",
        "bm9uc2Vuc2U",
        "WzAsMywiYSIsImIiLCJjIl0",
        "WzAsMyw5OTk5OTk5OTk5OTk5OTk5OTk5OSwxLDFd",
        "WzAsIDUsIDIxNDc0ODM2NDcsIDUsIDVd",  # a rank that its column cannot hold
        "WzAsMS41LDAsMSwxXQ",  # one and a half rows before it
        "WzAsIDUsICJcdWQ4MDAiLCAxXQ&sort=number",  # half of a surrogate pair
        "WzAsIDUsICJcdWQ4MDAiLCAxXQ&sort=street",
        "a" * 300,
    ],
)
def test_a_place_that_is_none_is_the_beginning_and_said_once(
    board: FlaskClient, town: Town, after: str
) -> None:
    fill(town)
    page = html_of(board.get(f"/dispatch?after={after}"))
    _after, _sep, sort = after.partition("&")
    assert numbers(page) == numbers(html_of(board.get(f"/dispatch?{sort}")))
    assert shown(page).count(staff.LINK_PART_UNKNOWN) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        "state=lost",
        "crew=77",
        "crew=x",
        "area=5",
        "service=nothing",
        "age=0",
        "since=2026-02-30",
        "until=20261130",
        "since=0999-12-31",
        "channel=pigeon",
        "department=nobody",
        "age=1e9",
        "sort=best",
        "rows=500",
        "q=1",
    ],
)
def test_nonsense_in_an_address_is_left_out_and_said_once(
    board: FlaskClient, town: Town, nonsense: str
) -> None:
    made = fill(town)
    page = html_of(board.get(f"/dispatch?{nonsense}"))
    assert sorted(numbers(page)) == sorted(made)
    assert shown(page).count(staff.LINK_PART_UNKNOWN) == 1
    assert staff.LINK_PART_UNKNOWN.es in shown(board.get(f"/es/dispatch?{nonsense}"))
    assert staff.LINK_PART_UNKNOWN not in shown(board.get("/dispatch?state=new"))


def test_fields_that_a_form_leaves_empty_do_not_stand_in_the_address(board: FlaskClient) -> None:
    answer = board.get("/dispatch?state=new&crew=&sort=&words=")
    assert (answer.status_code, answer.location) == (303, "/dispatch?state=new")


@pytest.mark.parametrize("name", ["endpoint", "_scheme", "_external", "_anchor", "_method"])
def test_no_name_in_an_address_is_taken_for_an_order_of_where_to_go(board: FlaskClient, name: str) -> None:
    answer = board.get(f"/dispatch?state=&{name}=elsewhere")
    assert (answer.status_code, answer.location) == (303, f"/dispatch?{name}=elsewhere")


def test_filters_narrow_the_queue_and_its_number(board: FlaskClient, town: Town) -> None:
    fill(town)
    with town.at_work() as scene:
        tagged = scene.assigned("trees", service_code="limb-down").number
        tags.tag(scene.s, scene.case(tagged), "storm", by=scene.actor("dispatcher"), at=town.now)
        old = scene.report(at=town.now - timedelta(days=20)).case.number
    for asked, found in {
        "tag=storm": [tagged], "service=limb-down": [tagged], f"crew={town.ids['trees']}": [tagged],
        "age=14": [old], "group=tree": [tagged], f"crew={town.ids['trees']}&service=limb-down": [tagged],
        "tag=sun": [],
    }.items():  # fmt: skip
        page = html_of(board.get(f"/dispatch?{asked}"))
        assert numbers(page) == found, asked
        assert (staff.ROWS_OF(first=1, last=len(found), num=len(found)) in page) is bool(found), asked


@pytest.mark.usefixtures("few")
def test_words_are_found_among_few_and_many_open_and_ended(board: FlaskClient, town: Town) -> None:
    made = fill(town)
    assert len(list(walk(board, "/dispatch?words=lamp", "next"))) == 4
    assert len(numbers(html_of(board.get("/dispatch?words=lamp+x7y")))) == 1
    ended = html_of(board.get("/dispatch?words=lamp&state=cancelled"))
    assert len(numbers(ended)) == 1
    assert numbers(ended)[0] not in made
    with town.looking() as scene:
        there = [scene.case(number) for number in made]
    fine = [case for case in there if "Elm" in case.address and case.standing == "ok"]
    page = html_of(board.get("/dispatch?words=elm+str&standing=ok"))
    assert staff.ROWS_OF(first=1, last=min(len(fine), 3), num=len(fine)) in page


@pytest.mark.parametrize(
    "words", ["***", "“”", "💡", "' OR 1=1 --", "NEAR(", "%25", "x" * 200, "a b c d e f g h i j"]
)
def test_whatever_is_typed_is_looked_for_and_is_no_error(board: FlaskClient, town: Town, words: str) -> None:
    fill(town)
    answer = board.get("/dispatch", query_string={"words": words})
    assert answer.status_code == 200
    assert numbers(html_of(answer)) == []
    assert staff.NO_MATCHES_FOR(words=words) in shown(answer)


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({"words": "lamp"}, "/dispatch?words=lamp&amp;state=closed"),
        ({"words": "lamp", "state": "merged"}, "/dispatch?words=lamp"),
        ({"words": "lamp", "state": "closed"}, "/dispatch?words=lamp"),
    ],
)
def test_where_nothing_fits_the_same_words_are_looked_for_among_the_others(
    board: FlaskClient, asked: dict[str, str], offered: str
) -> None:
    page = html_of(board.get("/dispatch", query_string=asked))
    assert staff.NO_MATCHES_FOR(words="lamp") in page
    assert f'<a class="button" href="{offered}">' in page


@pytest.mark.slow
def test_an_empty_page_of_a_view_is_asked_with_as_many_queries_as_a_full_one(
    board: FlaskClient, town: Town, app: Flask
) -> None:
    sent = []
    for more in (3, 297):
        with town.at_work() as scene:
            for n in range(more):
                case = scene.assigned() if n % 2 else scene.report().case
                tags.tag(scene.s, case, "storm", by=scene.actor("dispatcher"), at=town.now)
        for url in ("/dispatch", "/dispatch?words=tansy", "/dispatch?tag=storm", "/dispatch?review=yes"):
            with counted(app) as statements:
                board.get(url)
            sent.append(len(statements))
            assert len(statements) <= MOST_QUERIES + 2, url  # how many have the words, and which
    assert sent[:4] == sent[4:]


class TestSavedViews:
    @pytest.fixture
    def post(self, client: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
        def send(url: str, **fields: Any) -> TestResponse:
            return client.post(url, data={"csrf_token": token(), **fields})

        return send

    def test_a_view_is_named_counted_renamed_and_removed(
        self, board: FlaskClient, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        fill(town)
        answer = post("/dispatch/views?words=lamp&state=new", name="  Dark   lamps ")
        assert answer.location == "/dispatch?state=new&words=lamp"
        page = html_of(board.get("/dispatch"))
        found = re.search(
            r'<a href="([^"]+)"[^>]*>(?:(?!</a>).)*Dark lamps<data value="(\d+)">', page, re.DOTALL
        )
        assert found
        assert unescape(found[1]) == "/dispatch?state=new&words=lamp"
        assert int(found[2]) == len(numbers(html_of(board.get(unescape(found[1])))))
        here = html_of(board.get(unescape(found[1])))
        change = re.search(r'action="([^"]+/views/\d+)\?', here)
        assert change
        post(change[1], name="Lamps")
        assert "Lamps<data" in html_of(board.get("/dispatch"))
        post(f"{change[1]}/removal")
        assert "Lamps<data" not in html_of(board.get("/dispatch"))

    def test_only_a_shared_view_is_seen_by_others_and_changed_by_nobody_else(
        self, board: FlaskClient, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
    ) -> None:
        post("/dispatch/views?state=new", name="Mine")
        post("/dispatch/views?state=waiting", name="Ours", shared="yes")
        other = log_in("call-taker")
        page = html_of(other.get("/dispatch?state=waiting"))
        assert "Ours" in page
        assert "Mine" not in page
        assert "/removal" not in page
        assert post("/dispatch/views/2", name="Stolen").status_code == 404
        assert post("/dispatch/views/2/removal").status_code == 404

    def test_a_supervisor_removes_what_somebody_shared_who_has_left(
        self, board: FlaskClient, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
    ) -> None:
        post("/dispatch/views?state=new", name="Mine")
        post("/dispatch/views?state=waiting", name="Ours", shared="yes")
        other = log_in("supervisor")
        page = html_of(other.get("/dispatch?state=waiting"))
        assert staff.REMOVE_SHARED_VIEW(name="Ours") in page
        removal = re.search(r'action="([^"]+/views/\d+/removal)', page)
        assert removal
        assert post("/dispatch/views/1/removal").status_code == 404
        assert post(removal[1]).status_code == 303
        assert "Ours" not in html_of(other.get("/dispatch?state=waiting"))

    def test_twenty_are_shared_however_many_people_share_them(
        self, board: FlaskClient, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
    ) -> None:
        for n in range(20):
            if n == 10:
                log_in("supervisor")
            assert post(f"/dispatch/views?words=w{n}", name=f"View {n}", shared="yes").status_code == 303
        answer = post("/dispatch/views?state=new", name="One more", shared="yes")
        assert answer.status_code == 422
        assert shared.TOO_MANY_SHARED_VIEWS(most=20) in shown(answer)
        assert post("/dispatch/views?state=new", name="One more").status_code == 303

    @pytest.mark.parametrize("name", ["", "   ", "x" * 61])
    def test_a_name_that_cannot_be_is_refused_beside_its_field(
        self, board: FlaskClient, post: Callable[..., TestResponse], name: str
    ) -> None:
        answer = post("/dispatch/views?state=new", name=name)
        assert answer.status_code == 422
        assert 'aria-describedby="view-fault"' in html_of(answer)
        assert "Mine" not in html_of(board.get("/dispatch"))

    def test_of_one_person_there_are_twenty(
        self, board: FlaskClient, post: Callable[..., TestResponse]
    ) -> None:
        for n in range(20):
            assert post(f"/dispatch/views?words=w{n}", name=f"View {n}").status_code == 303
        answer = post("/dispatch/views?state=new", name="One more")
        assert answer.status_code == 422
        assert shared.TOO_MANY_VIEWS(most=20) in shown(answer)

    def test_many_shared_ones_take_no_more_statements_than_one(
        self, board: FlaskClient, town: Town, app: Flask
    ) -> None:
        sent = []
        for count in (1, 19):
            share(town, count)
            with counted(app) as statements:
                page = html_of(board.get("/dispatch"))
            sent.append(len(statements))
        assert page.count("Shared ") == 20
        assert sent[0] == sent[1]

    def test_counting_them_takes_no_statement_each(
        self, board: FlaskClient, post: Callable[..., TestResponse], app: Flask
    ) -> None:
        sent = []
        for n in range(2):
            for state in (*OPEN, "closed", "merged"):
                post(f"/dispatch/views?state={state}&age={n + 1}", name=f"{state} {n}")
            with counted(app) as statements:
                board.get("/dispatch")
            sent.append(len(statements))
        assert sent[0] == sent[1]


class TestTheTable:
    def rows(self, answer: TestResponse) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(html_of(answer))))

    def test_it_holds_every_case_of_the_view_in_its_order(self, board: FlaskClient, town: Town) -> None:
        fill(town)
        answer = board.get("/dispatch/cases.csv?sort=street")
        assert answer.mimetype == "text/csv"
        assert not answer.get_data().startswith(b"\xef\xbb\xbf")
        assert 'filename="cases-2026-05-12.csv"' in answer.headers["Content-Disposition"]
        table = self.rows(answer)
        assert [row["number"] for row in table] == numbers(html_of(board.get("/dispatch?sort=street")))
        lamp = next(row for row in table if row["address"] == "2 Elm Street")
        assert (lamp["service"], lamp["state"], lamp["lat"]) == ("light-out", "new", "39.6")
        assert re.fullmatch(r"2026-05-\d\dT\d\d:\d\d:\d\d-04:00", lamp["opened_at"])

    @pytest.mark.slow
    def test_it_goes_on_beyond_one_batch(self, board: FlaskClient, town: Town) -> None:
        with town.at_work() as scene:
            for _ in range(1001):
                scene.report(place=None)
        assert len(self.rows(board.get("/dispatch/cases.csv"))) == 1001

    def test_it_takes_no_statement_a_case(self, board: FlaskClient, town: Town, app: Flask) -> None:
        sent = []
        for more in (3, 60):
            with town.at_work() as scene:
                for n in range(more):
                    case = scene.assigned() if n % 2 else scene.report().case
                    tags.tag(scene.s, case, "storm", by=scene.actor("dispatcher"), at=town.now)
            with counted(app) as statements:
                assert self.rows(board.get("/dispatch/cases.csv"))
            sent.append(len(statements))
        assert sent[0] == sent[1] < 10

    def test_it_says_priority_and_tags(self, board: FlaskClient, town: Town) -> None:
        with town.at_work() as scene:
            by: dict[str, Any] = {"by": scene.actor("dispatcher"), "at": town.now}
            plain, marked = (scene.report().case for _ in range(2))
            priorities.raise_priority(scene.s, marked, **by)
            for word in ("storm", "=sum"):
                tags.tag(scene.s, marked, word, **by)
        told = {row["number"]: row for row in self.rows(board.get("/dispatch/cases.csv"))}
        assert [told[plain.number][name] for name in ("priority", "tags")] == ["0", ""]
        assert [told[marked.number][name] for name in ("priority", "tags")] == ["1", "'=sum; storm"]

    def test_it_is_one_moment_however_long_it_is_read(self, town: Town) -> None:
        made = fill(town)
        with town.looking() as scene:
            pages = city_board.all_rows(scene.s, View(), now=town.now, at_once=3)
            seen = [case.number for case in next(pages)]
            unread = next(number for number in made if number not in seen)
            with town.at_work() as other:
                by = {"by": other.actor("dispatcher"), "at": town.now}
                moved = next(number for number in seen if not other.case(number).urgent)
                transitions.wait(other.s, other.case(moved), "weather", **by)
                priorities.raise_priority(other.s, other.case(unread), **by)
            seen += [case.number for page in pages for case in page]
        assert sorted(seen) == sorted(made)

    def test_it_says_nothing_of_people_and_nothing_that_is_calculated(
        self, board: FlaskClient, town: Town
    ) -> None:
        with town.at_work() as scene:
            report = scene.report(words="canary words", place=replace(LAMP, label="=HYPERLINK(1)"))
            intake.subscribe(scene.s, report, "canary@mail.test", lang="en", at=town.now)
        told = html_of(board.get("/dispatch/cases.csv"))
        assert "canary" not in told
        assert ",'=HYPERLINK(1)," in told

    @pytest.mark.parametrize("who", ["manager", "call-taker", "rosa"])
    def test_only_who_gives_out_work_takes_it_along(
        self, log_in: Callable[[str], FlaskClient], who: str
    ) -> None:
        assert log_in(who).get("/dispatch/cases.csv").status_code == 403


def test_what_the_kept_counts_say_is_what_the_cases_say(town: Town) -> None:
    fill(town, 23)
    with town.at_work() as scene:
        scene.assigned("trees", service_code="limb-down")
    with town.looking() as scene:
        s = scene.s
        kept = city_board.tally(s, city_board.services(s))
        asked = [
            View(), View(place="none"), View(group="tree"), View(service="light-out"), View(crew="none"),
            View(crew=str(town.ids["trees"])), *(View(state=state) for state in OPEN),
            *(View(standing=name) for name in city_board.STANDINGS), View(crew="none", standing="ok"),
            View(service="light-out", place="none"), View(group="tree", place="none"),
            View(crew="none", standing="wait", place="none"),
        ]  # fmt: skip
        for view in asked:
            rows = city_board.queue(s, view, now=town.now, limit=500).rows
            assert kept.of(view) == len(rows), view
        for view in [View(state=state) for state in STATES if state not in OPEN]:
            assert kept.of(view) is None


def test_what_must_be_looked_at_is_counted_so_far(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city_board, "MARKED", 3)
    view = View(review="yes")
    for n in range(5):
        with town.looking() as scene:
            kept = city_board.tally(scene.s, city_board.services(scene.s))
            assert city_board.counts(scene.s, [view], kept, now=town.now) == [Total(min(n, 3), more=n > 3)]
            assert city_board.count(scene.s, view, now=town.now) == n
        with town.at_work() as scene:
            scene.report().case.review = "late"


def test_a_row_says_what_its_case_does(town: Town) -> None:
    fill(town, 13)
    with town.at_work() as scene:
        s, by = scene.s, {"by": scene.actor("dispatcher"), "at": town.now}
        held, ended = scene.assigned("trees", place=scene.pole()), scene.assigned("lights")
        scene.report(join=held.number)
        for tag in ("storm", "again"):
            tags.tag(s, held, tag, **by)
        held.twin = ended
        transitions.merge(s, scene.assigned("trees"), held, **by, keep_crew=town.ids["trees"])
        transitions.close(s, ended, Closing("not found"), **by)
    with town.looking() as scene:
        s = scene.s
        views = [View(), View(state="closed"), View(state="merged")]
        rows = [row for view in views for row in city_board.queue(s, view, now=town.now).rows]
        assert len(rows) == 12 + 3
        for row in rows:
            case, last = s.get_one(Case, row.id), None
            for job in case.assignments:
                last = job
            assert row.service == case.service.names
            assert row.asset == (case.asset.number if case.asset else None)
            assert row.reports == len(case.reports)
            assert row.tags == [each.tag for each in case.tags]
            assert row.had == (last.crew.name if last else None)
            assert row.crew == (last.crew.name if last and not last.ended_at else None)
            assert row.wait_reason == sla.waits_for(case)
            both_open = case.twin is not None and {case.state, case.twin.state} <= set(OPEN)
            assert row.twin == (case.twin.number if case.twin and both_open else None)
            assert row.standing == case.standing
        assert {len(row.tags) for row in rows} == {0, 2}
        assert {row.reports for row in rows} == {1, 2}


@pytest.mark.parametrize("told", ["07", "-1", "١", "1234567890", ""])
def test_an_id_is_known_as_we_write_it_only(told: str) -> None:
    assert not is_id(told)
    assert is_id("7")


def test_days_department_and_channel_narrow_queue_map_and_counts_alike(
    board: FlaskClient, town: Town
) -> None:
    """The town's day ends five hours after UTC's."""
    late = datetime(2026, 5, 4, 3, 30, tzinfo=UTC)  # half past eleven on May 3
    with town.at_work() as scene:
        scene.s.add(Department(code="parks", names={"en": "Parks"}, time_zone="America/New_York"))
        scene.s.flush()
        scene.s.get_one(Service, "limb-down").department_code = "parks"
        evening = scene.report(at=late, channel="phone").case.number
        morning = scene.report(at=late + timedelta(hours=1), service_code="limb-down").case.number
        scene.report(join=evening, channel="web")
    for asked, expected in (
        ("since=2026-05-03&until=2026-05-03", [evening]),
        ("since=2026-05-04", [morning]),
        ("until=2026-05-03", [evening]),
        ("since=2026-05-05&until=2026-05-04", []),
        ("department=parks", [morning]),
        ("channel=phone", [evening]),
        ("channel=web", [evening, morning]),
        ("channel=phone&department=parks", []),
    ):
        assert sorted(numbers(html_of(board.get(f"/dispatch?{asked}")))) == sorted(expected), asked
        told = board.get(f"/tiles/cases/count?{asked}").get_json()
        assert told["total"] == len(expected), asked
        with town.looking() as scene, board.application.test_request_context(f"/dispatch?{asked}"):
            kept = city_board.tally(scene.s, city_board.services(scene.s))
            view = view_asked()
            assert kept.of(view) is None, asked
            assert city_board.count(scene.s, view, now=town.now) == len(expected)


@pytest.mark.parametrize("sort", ["kind", "newest", "oldest"])
def test_a_head_leads_to_its_order_and_says_that_it_is_so(board: FlaskClient, town: Town, sort: str) -> None:
    made = fill(town)
    page = html_of(board.get(f"/dispatch?sort={sort}&crew=none"))
    assert set(numbers(page)) <= set(made)
    (head,) = re.findall(r'<th [^>]*aria-sort="(\w+)"><a class="sort" href="([^"]+)"', page)
    assert head[0] == ("descending" if sort == "newest" else "ascending")
    leads = {"newest": "sort=oldest", "oldest": "sort=newest", "kind": "sort=kind"}[sort]
    assert leads in head[1]
    assert "crew=none" in head[1]


def test_a_row_tells_words_photo_and_usual_crew(board: FlaskClient, town: Town, app: Flask) -> None:
    with town.at_work() as scene:
        first = scene.report(words="Dark since Sunday", taken=[scene.photo("navy", "form:one")])
        scene.report(join=first.case.number, words="Me too", taken=[scene.photo("gold", "form:two")])
        photo = first.photos[0].id
    row = html_of(board.get("/dispatch"))
    assert "“Dark since Sunday”" in row
    assert "Me too" not in row
    assert f"/photos/{photo}" in row


def test_a_street_with_a_slip_is_offered(board: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Street(name="Weir Walk", line=[[-71.2, 39.6], [-71.2, 39.61]]))
    page = html_of(board.get("/dispatch?words=wier+walk"))
    assert re.search(r'href="[^"]*words=Weir[+ %20]*Walk"', page)
