"""Acting on many: the form with and without JavaScript, what is asked first, what went and what not, Undo."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Town, counted
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.board import changes
from city.cases import batches, tags, transitions
from city.cases.transitions import Closing
from city.db.models import Area, Batch, Crew, Event, Person
from pwa.board import batch_summary
from pwa.web import errors

FRAGMENT = {"HX-Request": "true"}
UNDO_BY_KEY = re.compile(r'id="undo-batch" data-key="\d+".*?<kbd[^>]*>u</kbd>', re.DOTALL)


@pytest.fixture
def three(town: Town) -> list[str]:
    """The numbers of three fresh cases, two streetlights and a limb."""
    with town.at_work() as scene:
        made = [scene.report(), scene.report(), scene.report(service_code="limb-down")]
        return [report.case.number for report in made]


@pytest.fixture
def post(
    log_in: Callable[[str], FlaskClient], client: FlaskClient, token: Callable[[], str]
) -> Callable[..., TestResponse]:
    """Sends a form as a dispatcher: post(url, fragment=False, by="dispatcher", **fields)."""

    def send(url: str, *, fragment: bool = True, by: str = "dispatcher", **fields: Any) -> TestResponse:
        log_in(by)
        headers = FRAGMENT if fragment else {}
        return client.post(url, data={"csrf_token": token(), **fields}, headers=headers)

    return send


def html_of(response: TestResponse) -> str:
    return shown(response)


def states(town: Town, numbers: list[str]) -> list[str]:
    with town.looking() as scene:
        return [scene.case(number).state for number in numbers]


def count_of(town: Town, kind: str) -> int:
    with town.looking() as scene:
        return scene.s.scalar(select(func.count()).select_from(Event).where(Event.kind == kind)) or 0


def test_why_cases_were_left_out_is_put_in_words_once_a_reason(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    words = errors.words
    monkeypatch.setattr(errors, "words", lambda fault: asked.append(fault.code) or words(fault))
    rows = [[f"26-{n:06d}", "wrong_state", {"state": "closed"}] for n in range(50, 0, -1)]
    rows += [["x", "unknown_number", {}]]
    with app.test_request_context():
        g.person = Person(name="Dana")  # to staff it is a case
        left_out = batch_summary.refused(rows)
    assert sorted(asked) == ["unknown_number", "wrong_state"]
    assert left_out == [
        (shared.UNKNOWN_NUMBER, ["x"]),
        (shared.WRONG_STATE(state="closed"), [f"26-{n:06d}" for n in range(1, 51)]),
    ]


def test_the_selected_go_to_a_crew_and_the_answer_says_so_with_its_undo(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    answer = post(
        "/dispatch/batch", key="k", crew=town.ids["lights"], case=three[:1], cases=" ".join(three[1:]),
        shown=" ".join(three),
    )  # fmt: skip
    page = html_of(answer)
    assert shared.CASES_ASSIGNED(3, crew="lights") in page
    assert page.count("<template>") == 3
    assert states(town, three) == ["assigned"] * 3
    undo = re.findall(r'action="(/dispatch/batch/\d+/undo)"', page)[0]
    page = html_of(post(undo, shown=" ".join(three)))
    assert shared.CASES_PUT_BACK(3) in page
    assert page.count("<template>") == 3
    assert states(town, three) == ["new"] * 3
    assert shared.UNDONE_ALREADY in html_of(post(undo))
    assert count_of(town, "undo batch") == 3


def test_those_that_may_not_move_are_named_with_the_reason(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(three[1]), "test", by=scene.actor("dispatcher"), at=town.now)
    asked = {"crew": town.ids["lights"], "cases": " ".join([*three, "26-999999"])}
    answer = post("/dispatch/batch", key="all", mode="all", **asked)
    assert answer.status_code == 422
    assert shared.BATCH_REFUSED in html_of(answer)
    assert three[1] in html_of(answer)
    assert states(town, three) == ["new", "cancelled", "new"]
    page = html_of(post("/dispatch/batch", key="rest", **asked))
    assert shared.CASES_ASSIGNED(2, crew="lights") in page
    assert f'{shared.WRONG_STATE(state="canceled")} <span class="num">{three[1]}</span>' in page
    assert f'{shared.UNKNOWN_NUMBER} <span class="num">26-999999</span>' in page
    assert states(town, three) == ["assigned", "cancelled", "assigned"]


def since_of(client: FlaskClient) -> str:
    """As of which revision the board is that this browser reads now."""
    return re.findall(r'name="since"[^>]* value="([^"]+)"', shown(client.get("/dispatch")))[0]


@pytest.fixture
def seen(three: list[str], log_in: Callable[[str], FlaskClient]) -> str:
    """As of which revision a dispatcher read the board, with the three on it."""
    assert three
    return since_of(log_in("dispatcher"))


def test_what_changed_after_the_page_was_read_stays_as_it_is(
    town: Town,
    three: list[str],
    post: Callable[..., TestResponse],
    seen: str,
    log_in: Callable[[str], FlaskClient],
) -> None:
    with town.at_work() as scene:
        scene.report(join=three[0], danger=True)
        crew = scene.s.get_one(Crew, town.ids["lights"])
        transitions.assign(scene.s, scene.case(three[1]), crew, by=scene.actor("supervisor"), at=town.now)
        scene.report(join=three[2], service_code="limb-down")  # which stops nobody
    asked = {"act": "close", "outcome": "not found", "words": "Nobody there.", "cases": " ".join(three)}
    asking = html_of(post("/dispatch/batch", key="ask", since=seen, **asked))
    assert f'name="since" value="{seen}"' in asking
    page = html_of(post("/dispatch/batch", key="k", since=seen, sure="3", **asked))
    assert states(town, three) == ["new", "assigned", "closed"]
    for number in three[:2]:
        assert re.search(re.escape(shared.CHANGED_SINCE_CHOSEN) + f".*>{number}<", page), number
    answer = post("/dispatch/batch", key="all", mode="all", since=seen, sure="3", **asked)
    assert answer.status_code == 422
    post("/dispatch/batch", key="now", since=since_of(log_in("dispatcher")), sure="3", **asked)
    assert states(town, three) == ["closed", "closed", "closed"]


def test_a_case_that_stays_out_keeps_the_crew_that_it_was_given(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        by = scene.actor("supervisor")
        transitions.assign(scene.s, scene.case(three[1]), scene.crew("trees"), by=by, at=town.now)
    post("/dispatch/batch", key="k", crew=town.ids["lights"], since=seen, cases=" ".join(three))
    with town.looking() as scene:
        crews = [transitions.live(scene.case(number)) for number in three]
        assert [job.crew.name if job else "" for job in crews] == ["lights", "trees", "lights"]


def test_danger_that_came_by_a_merge_is_news_too(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        wire = scene.report(danger=True).case
        by = scene.actor("supervisor")
        transitions.merge(scene.s, wire, scene.case(three[0]), by=by, at=town.now)
        transitions.merge(scene.s, scene.report().case, scene.case(three[1]), by=by, at=town.now)
    asked = {"act": "close", "outcome": "not found", "words": "Nobody there.", "cases": " ".join(three)}
    post("/dispatch/batch", key="k", since=seen, sure="3", **asked)
    assert states(town, three) == ["new", "closed", "closed"]


def test_none_is_merged_into_a_case_that_changed(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        by = scene.actor("supervisor")
        transitions.close(scene.s, scene.case(three[0]), Closing("not found"), by=by, at=town.now)
    asked = {"act": "merge oldest", "cases": " ".join(three[:2]), "sure": "2"}
    page = html_of(post("/dispatch/batch", key="k", since=seen, **asked))
    assert re.search(re.escape(shared.CHANGED_SINCE_CHOSEN) + f".*>{three[1]}<", page)
    assert states(town, three) == ["closed", "new", "new"]


def test_a_case_that_was_opened_meanwhile_was_chosen_after_that(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        newest = scene.report().case.number
    post("/dispatch/batch", key="k", act="accept", since=seen, cases=f"{three[0]} {newest}")
    assert states(town, [three[0], newest]) == ["accepted", "accepted"]


def test_a_page_that_is_too_old_moves_no_case(
    town: Town,
    three: list[str],
    post: Callable[..., TestResponse],
    seen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "STALE", 2)
    with town.at_work() as scene:
        for _ in range(3):
            scene.report()
    page = html_of(post("/dispatch/batch", act="accept", since=seen, cases=" ".join(three)))
    assert shared.CHANGED_SINCE_CHOSEN in page
    assert states(town, three) == ["new", "new", "new"]


def test_what_somebody_did_themselves_is_known_to_them(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    post("/dispatch/batch", key="first", act="accept", since=seen, cases=" ".join(three))
    post("/dispatch/batch", key="then", crew=town.ids["lights"], since=seen, cases=" ".join(three))
    assert states(town, three) == ["assigned", "assigned", "assigned"]


@pytest.mark.parametrize("since", ["999999-{epoch}", "1-another", "one", "-"])
def test_a_page_of_another_past_moves_no_case(
    town: Town,
    three: list[str],
    post: Callable[..., TestResponse],
    log_in: Callable[[str], FlaskClient],
    since: str,
) -> None:
    epoch = since_of(log_in("dispatcher")).partition("-")[2]
    page = html_of(
        post("/dispatch/batch", act="accept", since=since.format(epoch=epoch), cases=" ".join(three))
    )
    assert shared.CHANGED_SINCE_CHOSEN in page
    assert states(town, three) == ["new", "new", "new"]
    post("/dispatch/batch", key="tag", act="tag", tag="storm", since=since, cases=" ".join(three))
    with town.looking() as scene:
        assert [tag.tag for tag in scene.case(three[0]).tags] == ["storm"], "which hurts nobody"


def test_two_clicks_are_one_batch(town: Town, three: list[str], post: Callable[..., TestResponse]) -> None:
    for _ in range(2):
        page = html_of(post("/dispatch/batch", key="k", act="accept", cases=" ".join(three)))
        assert shared.CASES_ACCEPTED(3) in page
    assert count_of(town, "accept") == 3


def test_somebody_elses_form_key_leads_to_nothing_of_theirs(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    post("/dispatch/batch", key="k", act="accept", cases=three[0])
    page = html_of(post("/dispatch/batch", by="call-taker", key="k", act="accept", cases=three[0]))
    assert shared.NEEDED_NO_CHANGE(1) in page
    assert "/undo" not in page


def test_closing_is_asked_once_with_the_services(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    asked = {
        "key": "k",
        "act": "close",
        "outcome": "not found",
        "words": "Nobody there.",
        "cases": " ".join(three),
    }
    page = html_of(post("/dispatch/batch", **asked))
    assert staff.CLOSE_CASES(3, outcome=shared.NOT_FOUND) in page
    assert re.search(r"<b class=\"num\">2</b>.*<b class=\"num\">1</b>", page, re.S)
    assert states(town, three) == ["new"] * 3
    fields = dict(re.findall(r'name="(key|act|outcome|words|cases|mode|sure)" value="([^"]*)"', page))
    page = html_of(post("/dispatch/batch", **fields))
    assert shared.CASES_CLOSED(3, outcome=shared.NOT_FOUND) in page
    assert states(town, three) == ["closed"] * 3
    with town.looking() as scene:
        assert {scene.case(number).closures[0].words for number in three} == {"Nobody there."}


def test_fixed_needs_the_reason_why_there_is_no_photo(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    answer = post("/dispatch/batch", key="k", act="close", outcome="fixed", cases=" ".join(three), sure="3")
    assert shared.EVIDENCE_MISSING in html_of(answer)
    assert states(town, three) == ["new"] * 3


def test_merging_goes_into_the_oldest_or_into_the_one_named(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    asked = html_of(post("/dispatch/batch", key="q", act="merge oldest", cases=" ".join(three[:2])))
    assert staff.MERGE_CASES(2, number=three[0]) in asked
    page = html_of(post("/dispatch/batch", key="k", act="merge oldest", cases=" ".join(three[:2]), sure="2"))
    assert shared.CASES_MERGED(1, number=three[0]) in page
    page = html_of(post("/dispatch/batch", key="k", act="merge", into=three[0], cases=three[2], sure="1"))
    assert shared.CASES_MERGED(1, number=three[0]) in page
    assert states(town, three) == ["new", "merged", "merged"]
    answer = post("/dispatch/batch", key="k", act="merge", into="", cases=three[2], sure="1")
    assert shared.UNKNOWN_NUMBER in html_of(answer)


@pytest.mark.parametrize(
    ("fields", "said", "after"),
    [
        ({"act": "wait weather"}, shared.CASES_ON_HOLD(3, reason=shared.WEATHER), "waiting"),
        ({"act": "raise"}, shared.CASES_RAISED(3), "new"),
        ({"act": "tag", "tag": "Storm May"}, shared.CASES_TAGGED(3, tag="storm may"), "new"),
    ],
)
def test_waiting_priority_and_tags(
    town: Town,
    three: list[str],
    post: Callable[..., TestResponse],
    fields: dict[str, str],
    said: str,
    after: str,
) -> None:
    assert said in html_of(post("/dispatch/batch", key="k", cases=" ".join(three), **fields))
    assert states(town, three) == [after] * 3


def test_all_of_a_view_is_done_unless_it_holds_another_number_by_now(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    page = html_of(post("/dispatch/batch?crew=none", key="k", act="accept", all="2"))
    assert staff.VIEW_CHANGED(3) in page
    assert states(town, three) == ["new"] * 3
    assert shared.CASES_ACCEPTED(3) in html_of(
        post("/dispatch/batch?crew=none", key="k", act="accept", all="2", sure="3")
    )
    assert shared.NEEDED_NO_CHANGE(3) in html_of(
        post("/dispatch/batch?crew=none", key="k2", act="accept", all="3")
    )


def test_more_than_five_thousand_are_too_many(post: Callable[..., TestResponse], town: Town) -> None:
    numbers = " ".join(f"26-{n:06d}" for n in range(batches.MOST + 1))
    answer = post("/dispatch/batch", key="k", act="accept", cases=numbers)
    assert shared.TOO_MANY_CASES(asked="5,001", most="5,000") in html_of(answer)
    assert count_of(town, "accept") == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"act": "accept"}, shared.NOTHING_CHOSEN),
        ({"act": "dance", "cases": "26-000001"}, shared.UNKNOWN_VALUE),
        ({"crew": "x", "cases": "26-000001"}, shared.UNKNOWN_VALUE),
        ({"act": "tag", "tag": "x" * 41, "cases": "26-000001"}, shared.BAD_TAG(most=40)),
    ],
)
def test_nonsense_is_said_in_words(
    three: list[str], post: Callable[..., TestResponse], fields: dict[str, str], said: str
) -> None:
    answer = post("/dispatch/batch", key="k", **fields)
    assert answer.status_code == 422
    assert said in html_of(answer)


@pytest.mark.parametrize("address", ["batch/{}/undo", "views/{}", "views/{}/removal"])
def test_an_id_that_no_row_can_have_is_of_no_page(post: Callable[..., TestResponse], address: str) -> None:
    assert post(f"/dispatch/{address.format('9' * 30)}").status_code == 404


def test_spanish_says_it_too(three: list[str], post: Callable[..., TestResponse]) -> None:
    page = html_of(post("/es/dispatch/batch", key="k", act="accept", cases=" ".join(three)))
    assert shared.CASES_ACCEPTED.es(3) in page


def test_whoever_may_not_do_it_reads_why(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    answer = post("/dispatch/batch", by="call-taker", key="k", crew=town.ids["lights"], cases=three[0])
    assert shared.NOT_ALLOWED in html_of(answer)
    post("/dispatch/batch", key="k", crew=town.ids["lights"], cases=three[0])
    with town.looking() as scene:
        batch = scene.s.scalars(select(Batch)).one()
    answer = post(f"/dispatch/batch/{batch.id}/undo", by="call-taker")
    assert shared.NOT_ALLOWED in html_of(answer)
    assert states(town, three)[0] == "assigned"


def test_without_javascript_a_page_says_it_and_the_board_offers_the_undo(
    town: Town, three: list[str], post: Callable[..., TestResponse], client: FlaskClient
) -> None:
    answer = post("/dispatch/batch?crew=none", fragment=False, crew=town.ids["lights"], case=three)
    assert answer.status_code == 303
    page = html_of(client.get(answer.location))
    assert shared.CASES_ASSIGNED(3, crew="lights") in page
    assert '"/dispatch?crew=none"' in page
    page = html_of(client.get("/dispatch"))
    assert shared.CASES_ASSIGNED(3, crew="lights") in page
    undo = re.findall(r'action="(/dispatch/batch/\d+/undo)"', page)[0]
    assert post(undo, fragment=False).status_code == 303
    assert shared.CASES_ASSIGNED(3, crew="lights") not in html_of(client.get("/dispatch"))
    assert states(town, three) == ["new"] * 3


def test_undo_that_was_left_standing_says_how_long_ago_that_was_and_takes_no_key(
    town: Town, three: list[str], post: Callable[..., TestResponse], client: FlaskClient, app: Flask
) -> None:
    page = html_of(post("/dispatch/batch", key="k", act="accept", cases=" ".join(three)))
    assert f'data-key="{batch_summary.SHOWN_FOR.seconds}"' in page
    assert UNDO_BY_KEY.search(page)
    assert UNDO_BY_KEY.search(client.get("/dispatch").text)
    app.config["NOW"] = town.now + timedelta(minutes=15)
    board = client.get("/dispatch").text
    assert shared.CASES_ACCEPTED(3) in shown(board)
    assert staff.AGO(age="15 min") in shown(board)
    assert 'id="undo-batch"' in board
    assert not UNDO_BY_KEY.search(board)


def test_what_was_done_to_one_case_and_taken_back_names_it(
    three: list[str], post: Callable[..., TestResponse]
) -> None:
    page = html_of(post("/dispatch/batch", key="k", act="accept", cases=three[0]))
    assert shared.CASE_ACCEPTED(number=three[0]) in page
    undo = re.findall(r'action="(/dispatch/batch/\d+/undo)"', page)[0]
    assert shared.CASE_PUT_BACK(number=three[0]) in html_of(post(undo))


def test_the_answer_needs_as_many_queries_for_ten_as_for_two(
    town: Town, app: Flask, post: Callable[..., TestResponse]
) -> None:
    sent = []
    for many in (2, 10):
        with town.at_work() as scene:
            chosen = " ".join(scene.report().case.number for _ in range(many))
        with counted(app) as statements:
            post("/dispatch/batch", key="k", act="accept", cases=chosen, shown=chosen)
        sent.append(len(statements))
    assert sent[0] == sent[1]


class TestChoosing:
    @pytest.fixture
    def board(self, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
        return log_in("dispatcher")

    @pytest.fixture
    def spread(self, town: Town) -> list[str]:
        """Three cases in a row to the north, about 110 m apart, and one of which nobody knows where."""
        from dataclasses import replace

        with town.at_work() as scene:
            places = [replace(LAMP, lat=LAMP.lat + n / 1000) for n in range(3)]
            return [scene.report(place=place).case.number for place in (*places, None)]

    def test_by_box_shape_distance_and_all(self, board: FlaskClient, spread: list[str]) -> None:
        def asked(query: str) -> tuple[list[str], int]:
            answer = board.get(f"/dispatch/choose?{query}").get_json()
            return sorted(answer["numbers"]), answer["total"]

        assert asked("") == (spread, 4)
        assert asked("box=39.5999,-71.2001,39.6011,-71.1999") == (spread[:2], 2)
        assert asked("polygon=39.5999,-71.2001;39.5999,-71.1999;39.6005,-71.1999;39.6005,-71.2001") == (
            spread[:1],
            1,
        )
        assert asked(f"near={spread[1]}&metres=115") == (spread[:3], 3)
        assert asked(f"near={spread[0]}&metres=115") == (spread[:2], 2)
        assert asked("crew=none&group=tree") == ([], 0)

    def test_a_shape_that_crosses_itself_holds_what_either_loop_holds(
        self, board: FlaskClient, spread: list[str]
    ) -> None:
        bow = "39.5999,-71.2001;39.6021,-71.1999;39.6021,-71.2001;39.5999,-71.1999"
        assert sorted(board.get(f"/dispatch/choose?polygon={bow}").get_json()["numbers"]) != []

    def test_the_neighborhood_of_a_case(self, board: FlaskClient, town: Town, spread: list[str]) -> None:
        answer = board.get(f"/dispatch/choose?beside={spread[0]}")
        assert answer.status_code == 422
        assert answer.get_json()["error"] == shared.NO_AREA
        with town.at_work() as scene:
            area = Area(
                kind="neighborhood", name="North End", geometry={"type": "Polygon", "coordinates": []}
            )
            scene.s.add(area)
            scene.s.flush()
            for number in spread[:2]:
                scene.case(number).area_id = area.id
        assert sorted(board.get(f"/dispatch/choose?beside={spread[0]}").get_json()["numbers"]) == spread[:2]

    @pytest.mark.parametrize(
        "query",
        [
            "polygon=", "polygon=1,2;3,4", "polygon=a,b;c,d;e,f", "polygon=1,2;1,2;1,2",
            "polygon=91,0;0,0;0,1",
            "polygon=nan,0;0,0;0,1", "box=1,2,3", "box=1,2,3,inf", "near=26-999999", "near=%00",
            "polygon=" + ";".join(f"39.{n},-71.{n}" for n in range(501)),
        ],
    )  # fmt: skip
    def test_nonsense_is_said_in_words(self, board: FlaskClient, spread: list[str], query: str) -> None:
        answer = board.get(f"/dispatch/choose?{query}")
        assert answer.status_code in (400, 422)
        if answer.status_code == 422:
            assert answer.get_json()["error"]

    @pytest.mark.parametrize("metres", ["0", "-1", "5001", "x", "nan"])
    def test_metres_that_make_no_circle(self, board: FlaskClient, spread: list[str], metres: str) -> None:
        assert board.get(f"/dispatch/choose?near={spread[0]}&metres={metres}").status_code == 422

    def test_nothing_is_near_what_lies_nowhere(self, board: FlaskClient, spread: list[str]) -> None:
        answer = board.get(f"/dispatch/choose?near={spread[3]}")
        assert answer.get_json()["error"] == shared.NO_PLACE

    def test_only_open_ones_are_chosen(self, board: FlaskClient, town: Town, spread: list[str]) -> None:
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            transitions.cancel(scene.s, scene.case(spread[0]), "test", by=by, at=town.now)
            tags.tag(scene.s, scene.case(spread[1]), "x", by=by, at=town.now)
        assert sorted(board.get("/dispatch/choose").get_json()["numbers"]) == spread[1:]
        assert board.get("/dispatch/choose?state=cancelled").get_json() == {"numbers": [], "total": 0}


def ticked(page: str) -> list[str]:
    """The numbers of the rows whose box is ticked."""
    return re.findall(r'name="case" value="([^"]+)" form="bulk" checked', page)


def test_a_refused_form_comes_back_as_it_was_filled_with_the_error_beside_its_field(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    words = "x" * 4001
    answer = post(
        "/dispatch/batch?crew=none", fragment=False, act="close", outcome="not found", words=words,
        mode="all", case=three[:2], sure="2",
    )  # fmt: skip
    assert answer.status_code == 422
    page = html_of(answer)
    assert sorted(ticked(page)) == sorted(three[:2])
    assert re.search(r'<details [^>]*id="bulk-close" open', page)
    assert re.search(r'name="outcome" value="not found" checked', page)
    assert re.search(r'name="mode" value="all" checked', page)
    assert f">{words}</textarea>" in page
    said = shared.TOO_LONG(most="4,000")
    assert re.search(r'id="bulk-words-fault" role="alert">' + re.escape(said), page)
    assert page.count(said) == 1
    assert re.search(r'id="bulk-words"[^>]* aria-describedby="bulk-words-fault" aria-invalid="true"', page)
    assert states(town, three) == ["new"] * 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"act": "close"}, "outcome"),
        ({"act": "close", "outcome": "fixed"}, "no_photo"),
        ({"act": "close", "outcome": "not found", "reply": "none-such"}, "reply"),
        ({"act": "wait"}, "reason"),
        ({"act": "assign"}, "crew"),
        ({"act": "tag", "tag": ""}, "tag"),
        ({"act": "merge", "into": "26-999999"}, "into"),
    ],
)
def test_each_field_has_its_own_place_for_its_fault(
    three: list[str], post: Callable[..., TestResponse], fields: dict[str, str], field: str
) -> None:
    asked: dict[str, Any] = {"case": three[:1], "sure": "1", **fields}
    page = html_of(post("/es/dispatch/batch", fragment=False, **asked))
    assert re.search(rf'id="bulk-{field}-fault" role="alert">[^<]+<', page)
    assert len(re.findall(r"-fault\" role=\"alert\">", page)) == 1
    assert ticked(page) == three[:1]
    assert f'data-field="{field}"' in html_of(post("/dispatch/batch", **asked))


def test_a_form_that_comes_back_keeps_chosen_cases_that_have_no_row(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(three[2]), "test", by=scene.actor("dispatcher"), at=town.now)
    asked = {"act": "tag", "tag": "", "case": three[:1], "cases": three[2], "since": seen}
    page = html_of(post("/dispatch/batch", fragment=False, **asked))
    assert staff.NOT_IN_LIST(1) in page
    assert f'name="cases" value="{three[2]}" checked' in page
    assert f'id="bulk-since" value="{seen}"' in page, "nobody has seen it since"
    page = html_of(post("/dispatch/batch", fragment=False, **asked | {"cases": ["", three[1]]}))
    assert sorted(ticked(page)) == sorted(three[:2])
    assert f'id="bulk-since" value="{seen}"' not in page


def test_where_every_chosen_case_changed_meanwhile_the_form_comes_back(
    town: Town, three: list[str], post: Callable[..., TestResponse], seen: str
) -> None:
    with town.at_work() as scene:
        scene.report(join=three[0], danger=True)
    crew = town.ids["lights"]
    asked = {"crew": crew, "case": three[:1], "since": seen}
    page = html_of(post("/dispatch/batch", key="a", fragment=False, **asked))
    assert shared.CHANGED_SINCE_CHOSEN in page
    assert ticked(page) == three[:1]
    assert f'name="crew" value="{crew}" data-digit="1" aria-current="true"' in page
    (since,) = re.findall(r'id="bulk-since" value="([^"]+)"', page)
    assert since != seen
    again = post("/dispatch/batch", key="b", fragment=False, **asked | {"since": since})
    assert again.status_code == 303
    assert states(town, three)[:1] == ["assigned"]


def test_more_cases_than_can_be_changed_are_said_before_the_form(
    three: list[str], log_in: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST", 2)
    monkeypatch.setattr(batches, "MOST_MERGED", 1)
    page = shown(log_in("dispatcher").get("/dispatch"))
    assert re.search(r'id="bulk-most" data-most="2" data-always>' + staff.AT_MOST_CHANGED(most=2), page)
    assert staff.AT_MOST_MERGED(most=1) in page
    assert 'id="bulk-all"' not in page
