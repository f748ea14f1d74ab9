"""The board: what a dispatcher sees, every verb through its form, and the same without JavaScript."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Town, counted, jpeg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import city, shared, shown, staff

from city.board.queries import ROWS
from city.cases import queries, sla, sla_sweep, transitions
from city.cases.transitions import Closing
from city.db.models import NotDuplicate, Photo
from city.lifecycle import CANCEL_REASONS, MAX_WORDS, NO_PHOTO, NOT_FIXED, WAIT_REASONS
from city.people import accounts, sessions
from pwa.web import formatting
from sync import merge

FRAGMENT = {"HX-Request": "true"}
MOST_QUERIES = 14
MOST_QUERIES_OF_A_CASE = 35  # two of them for what was written about it, two for where it was passed on
TOO_LONG = "x" * (MAX_WORDS + 1)


@pytest.fixture
def lamp(town: Town) -> str:
    """The number of a fresh case."""
    with town.at_work() as scene:
        return scene.report(words="Dark since Sunday").case.number


@pytest.fixture
def board(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a dispatcher."""
    return log_in("dispatcher")


@pytest.fixture
def post(client: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
    """Sends a form of the board: post(url, fragment=False, **fields)."""

    def send(url: str, *, fragment: bool = False, **fields: Any) -> TestResponse:
        headers = FRAGMENT if fragment else {}
        return client.post(url, data={"csrf_token": token(), **fields}, headers=headers)

    return send


def state_of(town: Town, number: str) -> str:
    with town.looking() as scene:
        return scene.case(number).state


def html_of(response: TestResponse) -> str:
    return shown(response)


class TestWhoMayLook:
    def test_a_stranger_is_sent_to_log_in(self, client: FlaskClient, lamp: str) -> None:
        for url in ("/dispatch", f"/dispatch/cases/{lamp}", "/tiles/cases/count"):
            response = client.get(url)
            assert response.status_code == 302
            assert "/login" in response.location

    def test_a_crew_may_not_look(self, lamp: str, log_in: Callable[[str], FlaskClient]) -> None:
        assert log_in("rosa").get("/dispatch").status_code == 403

    @pytest.mark.parametrize("name", ["dispatcher", "supervisor", "call-taker", "manager", "administrator"])
    def test_staff_look_at_queue_and_case(
        self, name: str, lamp: str, log_in: Callable[[str], FlaskClient]
    ) -> None:
        browser = log_in(name)
        assert lamp in html_of(browser.get("/dispatch"))
        page = browser.get(f"/dispatch/cases/{lamp}")
        assert "Dark since Sunday" in html_of(page)
        assert page.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("name", "page"), [("manager", "/dispatch"), ("administrator", "/admin"), ("rosa", "/crew")]
    )
    def test_who_logs_in_comes_to_the_page_of_the_own_work(
        self, name: str, page: str, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        email = f"{name}@town.test"
        with town.at_work() as scene:
            person = accounts.by_email(scene.s, email)
            assert person
            link = sessions.make_link(scene.s, person, town.now, by=accounts.THE_SYSTEM)
        assert post(f"/login/link/{link}", email=email).location == page

    def test_a_manager_is_offered_nothing_to_change_and_may_keep_it_whole(
        self, lamp: str, log_in: Callable[[str], FlaskClient]
    ) -> None:
        page = html_of(log_in("manager").get(f"/dispatch/cases/{lamp}"))
        assert re.findall(r'<form[^>]* method="post"[^>]* action="([^"]*)"', page) == [
            "/logout",
            f"/dispatch/cases/{lamp}/hold",
        ]
        assert 'name="case"' not in page

    def test_what_a_role_may_not_do_is_refused_in_words(
        self, lamp: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse], town: Town
    ) -> None:
        log_in("manager")
        answer = post(f"/dispatch/cases/{lamp}/acceptance")
        assert answer.status_code == 403
        assert shared.NO_ACCESS_TITLE in html_of(answer)
        assert state_of(town, lamp) == "new"

    def test_an_unknown_case_is_not_found(self, board: FlaskClient) -> None:
        assert board.get("/dispatch/cases/26-999999").status_code == 404


class TestTheQueue:
    def test_a_view_shows_what_it_says_and_ignores_what_it_does_not_know(
        self, board: FlaskClient, town: Town
    ) -> None:
        with town.at_work() as scene:
            held = scene.assigned("lights").number
            limb = scene.report(service_code="limb-down").case.number
        page = html_of(board.get(f"/dispatch?crew={town.ids['lights']}"))
        assert held in page
        assert limb not in page
        assert limb in html_of(board.get("/dispatch?crew=none"))
        assert held not in html_of(board.get("/dispatch?group=tree"))
        everything = html_of(board.get("/dispatch?state=lost&standing=red&group=x&crew=99999999999&rows=-1"))
        assert held in everything
        assert limb in everything

    def test_a_late_case_stands_under_late(
        self,
        board: FlaskClient,
        town: Town,
        lamp: str,
        app: Flask,
        log_in: Callable[..., FlaskClient],
    ) -> None:
        with town.looking() as scene:
            due = scene.case(lamp).due_at
        app.config["NOW"] = due.replace(day=due.day + 2)
        sla_sweep.sweep(town.engine, app.config["NOW"])
        log_in("dispatcher", app.config["NOW"])
        assert lamp in html_of(board.get("/dispatch?standing=late"))
        assert lamp not in html_of(board.get("/dispatch?standing=ok"))

    def test_a_number_in_the_search_opens_its_case_even_when_it_is_closed(
        self, board: FlaskClient, town: Town, lamp: str
    ) -> None:
        with town.at_work() as scene:
            transitions.close(
                scene.s, scene.case(lamp), Closing("not found"), by=scene.actor("dispatcher"), at=town.now
            )
        for number in (lamp, f"{lamp}-a"):
            answer = board.get("/dispatch", query_string={"words": number})
            assert answer.status_code == 303
            assert answer.location == f"/dispatch/cases/{lamp}"

    def test_an_empty_view_says_what_to_do(self, board: FlaskClient) -> None:
        assert staff.NO_OPEN_CASES in html_of(board.get("/dispatch"))
        assert staff.NO_MATCHES_FOR(words="nowhere") in html_of(board.get("/dispatch?words=nowhere"))

    def test_words_that_name_a_service_lead_to_all_of_its_cases(self, board: FlaskClient) -> None:
        page = html_of(board.get("/dispatch?words=Flicker"))
        assert 'href="/dispatch?service=light-flickering">Flickering streetlight</a>' in page
        page = html_of(board.get("/es/dispatch?words=luz+parpadea"))
        assert 'href="/es/dispatch?service=light-flickering">Luz de la calle que parpadea</a>' in page
        for words in ("", "nowhere", "a", "street+x"):
            assert 'class="meant"' not in html_of(board.get(f"/dispatch?words={words}"))

    @pytest.mark.slow
    def test_the_number_of_queries_does_not_grow_with_the_cases(
        self, board: FlaskClient, town: Town, app: Flask
    ) -> None:
        sent = []
        for more in (3, 297):
            with town.at_work() as scene:
                for n in range(more):
                    scene.assigned() if n % 2 else scene.report()
            with counted(app) as statements:
                page = html_of(board.get("/dispatch"))
            sent.append(len(statements))
        assert f"1–{ROWS} of 300" in page
        assert sent[0] == sent[1] <= MOST_QUERIES

    def test_what_somebody_must_look_at_has_a_view_of_its_own_whatever_its_state(
        self, board: FlaskClient, town: Town, lamp: str
    ) -> None:
        with town.at_work() as scene:
            ended, marked = scene.report().case, scene.report().case
            transitions.cancel(scene.s, ended, "test", by=scene.actor("dispatcher"), at=town.now)
            for case in (ended, marked):
                transitions.record_fact(
                    scene.s, case, "close", by=scene.actor("rosa"), at=town.now, why="cancelled"
                )
            numbers = [ended.number, marked.number]
        page = html_of(board.get("/dispatch?review=yes"))
        assert "1–2 of 2" in page
        assert all(f'id="case-{number}"' in page for number in numbers)
        assert f'id="case-{lamp}"' not in page
        for url in ("/dispatch", "/dispatch?review=other"):
            assert re.search(rf'{staff.NEEDS_REVIEW}<data value="2">', html_of(board.get(url)))
        assert f'id="case-{numbers[0]}"' not in html_of(board.get("/dispatch?review=other"))

    def test_it_is_there_in_spanish_too(self, board: FlaskClient, lamp: str) -> None:
        page = html_of(board.get("/es/dispatch"))
        assert city.STREETLIGHT_OUT_ES in page
        assert f'href="/es/dispatch/cases/{lamp}"' in page


class TestTheMap:
    def test_a_case_without_a_place_has_a_view_of_its_own(
        self, board: FlaskClient, town: Town, lamp: str
    ) -> None:
        with town.at_work() as scene:
            lost = scene.report(place=None).case.number
        assert shared.WITH_NO_LOCATION(num=1) in html_of(board.get("/dispatch"))
        page = html_of(board.get("/dispatch?place=none"))
        assert lost in page
        assert "map-unlocated" not in page, "it is what they are looking at"
        assert lamp not in page


class TestTheDrawer:
    def test_page_and_fragment_hold_the_same_drawer(self, board: FlaskClient, lamp: str) -> None:
        page = board.get(f"/dispatch/cases/{lamp}")
        part = board.get(f"/dispatch/cases/{lamp}", headers=FRAGMENT)
        assert "HX-Request" in part.headers["Vary"]
        assert "<table" in html_of(page)
        assert "<table" not in html_of(part)
        for words in ("Dark since Sunday", 'id="do-close"', staff.PRIVATE_NOTE, staff.HISTORY):
            assert words in html_of(page)
            assert words in html_of(part)

    def test_it_names_no_contact(self, board: FlaskClient, town: Town, lamp: str) -> None:
        from city.reports import intake

        with town.at_work() as scene:
            report = scene.case(lamp).reports[0]
            intake.subscribe(scene.s, report, "neighbor@town.test", lang="en", at=town.now)
        page = html_of(board.get(f"/dispatch/cases/{lamp}"))
        assert staff.WANTS_UPDATES in page
        assert "neighbor@town.test" not in page

    def test_words_of_residents_are_text(self, board: FlaskClient, town: Town) -> None:
        with town.at_work() as scene:
            number = scene.report(words="<script>alert(1)</script>").case.number
        assert "<script>alert(1)" not in board.get(f"/dispatch/cases/{number}").text

    def test_a_form_can_be_asked_for_by_address(self, board: FlaskClient, lamp: str) -> None:
        page = html_of(board.get(f"/dispatch/cases/{lamp}?do=close"))
        assert re.search(r'id="do-close">', page)
        assert re.search(r'id="do-assign" hidden>', page)

    def test_the_view_is_kept_through_a_verb(
        self, board: FlaskClient, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/acceptance?crew=none&words=tansy")
        assert answer.location == f"/dispatch/cases/{lamp}?crew=none&words=tansy"

    def test_the_number_of_queries_does_not_grow_with_reports_and_twins(
        self, board: FlaskClient, town: Town, app: Flask, lamp: str
    ) -> None:
        sent = []
        for more in (1, 3):
            with town.at_work() as scene:
                for n in range(more):
                    scene.report(join=lamp, words="Me too", taken=[scene.photo("navy", f"form:a{more}{n}")])
                    scene.report(taken=[scene.photo("gold", f"form:b{more}{n}")])
                    twin = scene.report().case
                    transitions.merge(
                        scene.s, twin, scene.case(lamp), by=scene.actor("dispatcher"), at=town.now
                    )
            with counted(app) as statements:
                page = html_of(board.get(f"/dispatch/cases/{lamp}", headers=FRAGMENT))
            sent.append(len(statements))
        assert staff.REPORTS(5) in page
        assert staff.MERGED_HERE(4) in page
        assert staff.LIKELY_DUPLICATES in page
        assert sent[0] == sent[1] <= MOST_QUERIES_OF_A_CASE


class TestWhatSomebodyMustLookAt:
    @pytest.fixture
    def marked(self, town: Town, lamp: str) -> str:
        with town.at_work() as scene:
            case = scene.case(lamp)
            transitions.record_fact(
                scene.s, case, "start", by=scene.actor("rosa"), at=town.now, why="reassigned"
            )
        return lamp

    def test_the_drawer_says_why_and_once_looked_at_the_mark_is_gone(
        self, board: FlaskClient, town: Town, marked: str, post: Callable[..., TestResponse]
    ) -> None:
        why = shared.MARK_REASSIGNED
        page = html_of(board.get(f"/dispatch/cases/{marked}"))
        assert f"<b>{why}</b>" in page
        url = re.search(r'action="([^"]*/review/end)"', page)
        assert url
        answer = html_of(post(url[1], fragment=True))
        assert staff.MARKED_REVIEWED in answer
        assert f"<b>{why}</b>" not in answer
        assert f"<small>{why}</small>" in answer
        assert re.search(rf'{staff.NEEDS_REVIEW}<data value="0">', answer)
        with town.looking() as scene:
            assert scene.case(marked).review is None

    def test_who_may_not_decide_is_told_why_but_not_asked(
        self, marked: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse], town: Town
    ) -> None:
        page = html_of(log_in("call-taker").get(f"/dispatch/cases/{marked}"))
        assert shared.MARK_REASSIGNED in page
        assert "review/end" not in page
        assert post(f"/dispatch/cases/{marked}/review/end").status_code == 403
        with town.looking() as scene:
            assert scene.case(marked).review == "reassigned"

    def test_every_mark_and_every_reason_has_its_words(self, app: Flask) -> None:
        marks = {row.why for row in merge.TABLE if row.review and row.effect != merge.NOTHING}
        with app.test_request_context("/"):
            nameless = formatting.flag_label("")
            said = {mark: formatting.flag_label(mark or "") for mark in (*marks, NOT_FIXED, "sent back")}
            assert nameless not in said.values()
            assert len(set(said.values())) == len(said)
            for code in (*WAIT_REASONS, *NO_PHOTO, *CANCEL_REASONS):
                assert formatting.reason(code) != code
            for code in WAIT_REASONS:
                assert formatting.waits_for(code) != formatting.waits_for(None)


class TestTheVerbs:
    def test_what_is_wrong_with_a_form_stands_in_it(
        self, board: FlaskClient, post: Callable[..., TestResponse], lamp: str
    ) -> None:
        page = html_of(post(f"/dispatch/cases/{lamp}/closure", fragment=True, outcome="fixed"))
        assert page.count('id="errors"') == 1
        assert page.index('id="do-close"') < page.index('id="errors"') < page.index('id="f-close"')

    def test_where_the_form_is_gone_it_stands_above_the_case(
        self, board: FlaskClient, post: Callable[..., TestResponse], lamp: str, town: Town
    ) -> None:
        with town.at_work() as scene:
            case = scene.case(lamp)
            transitions.cancel(scene.s, case, CANCEL_REASONS[0], by=scene.actor("dispatcher"), at=town.now)
        page = html_of(post(f"/dispatch/cases/{lamp}/closure", fragment=True, outcome="fixed"))
        assert page.count('id="errors"') == 1
        assert 'id="do-close"' not in page

    def test_a_reopened_case_says_so_in_its_row_and_its_drawer(
        self, board: FlaskClient, post: Callable[..., TestResponse], lamp: str
    ) -> None:
        said = []
        for _cycle in range(2):
            close = {"outcome": "fixed", "no_photo": NO_PHOTO[0]}
            assert post(f"/dispatch/cases/{lamp}/closure", **close).status_code == 303
            assert post(f"/dispatch/cases/{lamp}/reopening").status_code == 303
            said.append(html_of(board.get(f"/dispatch/cases/{lamp}")))
        assert [page.count(f'class="many">{shared.REOPENED}<') for page in said] == [2, 0]
        assert said[1].count(f'class="many">{staff.REOPENED_TIMES(n=2)}<') == 2

    def test_assigning_answers_with_drawer_row_and_counts(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/assignment", fragment=True, crew=town.ids["lights"])
        page = html_of(answer)
        assert answer.status_code == 200
        assert staff.ASSIGNED_TO(crew="lights") in page
        assert re.search(rf'<template>\s*<tr id="case-{lamp}"[^>]*hx-swap-oob="true"', page)
        assert re.search(r'<nav class="views" id="views"[^>]*hx-swap-oob="true"', page)
        assert state_of(town, lamp) == "assigned"

    def test_a_row_is_answered_only_where_the_page_has_it(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        asked = {"fragment": True, "crew": town.ids["lights"]}
        page = html_of(post(f"/dispatch/cases/{lamp}/assignment", listed="26-999999", **asked))
        assert "<template>" not in page
        assert re.search(r'<nav class="views" id="views"[^>]*hx-swap-oob="true"', page)
        page = html_of(post(f"/dispatch/cases/{lamp}/assignment/end", fragment=True, listed=f"x {lamp}"))
        assert page.count("<template>") == 1

    def test_without_javascript_the_case_stands_open_beside_the_queue(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/assignment", crew=town.ids["lights"])
        assert answer.status_code == 303
        assert staff.ASSIGNED_TO(crew="lights") in html_of(board.get(answer.location))

    def test_danger_is_put_on_hold_by_a_supervisor_alone(
        self, log_in: Callable[[str], FlaskClient], town: Town, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            wire = scene.report(danger=True).case.number
        page = html_of(log_in("dispatcher").get(f"/dispatch/cases/{wire}"))
        assert 'id="do-wait"' not in page
        answer = post(f"/dispatch/cases/{wire}/wait", fragment=True, reason="weather")
        assert answer.status_code == 422
        assert staff.DANGER_WAITS in html_of(answer)
        assert state_of(town, wire) == "new"
        assert 'id="do-wait"' in html_of(log_in("supervisor").get(f"/dispatch/cases/{wire}"))
        assert post(f"/dispatch/cases/{wire}/wait", reason="utility").status_code == 303
        assert state_of(town, wire) == "waiting"

    def test_a_supervisor_who_is_asked_to_look_can_act(
        self, log_in: Callable[[str], FlaskClient], town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            other = scene.report().case.number
            transitions.ask_supervisor(scene.s, scene.case(lamp), by=scene.actor("dispatcher"), at=town.now)
        page = html_of(log_in("supervisor").get(f"/dispatch/cases/{lamp}"))
        for form in ("do-close", "do-wait", "do-merge", "do-assign", "do-cancel"):
            assert f'id="{form}"' in page
        base = f"/dispatch/cases/{lamp}"
        for path, fields, state in (
            ("wait", {"reason": "parts"}, "waiting"), ("resume", {}, "accepted"),
            ("closure", {"outcome": "no action"}, "closed"), ("reopening", {}, "accepted"),
            ("merge", {"into": other}, "merged"), ("unmerge", {}, "accepted"),
        ):  # fmt: skip
            assert post(f"{base}/{path}", **fields).status_code == 303, path
            assert state_of(town, lamp) == state

    def test_a_case_that_waits_says_how_late_it_was(self, board: FlaskClient, town: Town, lamp: str) -> None:
        with town.at_work() as scene:
            case = scene.case(lamp)
            case.opened_at = case.clock_from = town.now - timedelta(days=40)
            sla.refresh(case, town.now)
            transitions.wait(
                scene.s, case, "parts", by=scene.actor("dispatcher"), at=town.now - timedelta(days=1)
            )
        page = html_of(board.get(f"/dispatch/cases/{lamp}?standing=late"))
        row = re.search(rf'<tr id="case-{lamp}".*?</tr>', page, re.S)
        assert row
        assert re.search(r"days late · [^<]*Parts", row[0])

    def test_a_crew_that_does_not_exist_is_refused(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        for crew in ("", "0", "x", "9" * 30):
            assert post(f"/dispatch/cases/{lamp}/assignment", crew=crew).status_code == 422
        assert state_of(town, lamp) == "new"

    def test_a_case_goes_through_its_life(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        base = f"/dispatch/cases/{lamp}"
        steps: list[tuple[str, dict[str, Any], str]] = [
            ("acceptance", {}, "accepted"),
            ("assignment", {"crew": town.ids["trees"]}, "assigned"),
            ("wait", {"reason": "utility"}, "waiting"),
            ("resume", {}, "assigned"),
            ("assignment/end", {}, "accepted"),
            ("closure", {"outcome": "fixed", "no_photo": "dark", "words": "New lamp"}, "closed"),
            ("reopening", {"words": "Off again"}, "accepted"),
            ("cancellation", {"reason": "test"}, "cancelled"),
        ]
        for verb, fields, state in steps:
            assert post(f"{base}/{verb}", **fields).status_code == 303, verb
            assert state_of(town, lamp) == state
        page = html_of(board.get(base))
        for words in (
            "New lamp",
            "Off again",
            shared.WAITING_FOR_UTILITY,
            shared.TOO_DARK,
            shared.CANCEL_REASON_TEST,
            "trees",
            "Dispatcher",
        ):
            assert words in page

    def test_a_wrong_choice_keeps_the_form_open_and_what_was_written(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/closure", fragment=True, outcome="fixed", words="Almost lost")
        page = html_of(answer)
        assert answer.status_code == 422
        assert shared.EVIDENCE_MISSING in page
        assert "Almost lost</textarea>" in page
        assert re.search(r'id="do-close">', page)
        assert re.search(r'value="fixed" checked', page)
        assert state_of(town, lamp) == "new"

    @pytest.mark.parametrize(
        ("verb", "field", "more"),
        [("note", "note", {}), ("closure", "words", {"outcome": "fixed", "no_photo": "dark"})],
    )
    def test_words_that_are_too_long_are_refused_and_kept_whole(
        self,
        verb: str,
        field: str,
        more: dict[str, str],
        board: FlaskClient,
        town: Town,
        lamp: str,
        post: Callable[..., TestResponse],
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/{verb}", **more, **{field: TOO_LONG})
        assert answer.status_code == 422
        assert shared.TOO_LONG(most="4,000") in html_of(answer)
        assert f"{TOO_LONG}</textarea>" in html_of(answer)
        assert state_of(town, lamp) == "new"

    def test_a_line_end_is_one_letter_and_words_of_the_full_length_fit(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        post(f"/dispatch/cases/{lamp}/closure", outcome="not found")
        words = "x\r\n" * (MAX_WORDS // 2 - 1) + "xx"
        assert post(f"/dispatch/cases/{lamp}/reopening", words=TOO_LONG).status_code == 422
        assert post(f"/dispatch/cases/{lamp}/reopening", words=words).status_code == 303

    def test_closing_with_photos_keeps_them_as_evidence(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        pictures = [(io.BytesIO(jpeg(colour)), f"{colour}.jpg") for colour in ("navy", "gold")]
        answer = post(f"/dispatch/cases/{lamp}/closure", outcome="fixed", photos=pictures)
        assert answer.status_code == 303
        with town.looking() as scene:
            case = scene.case(lamp)
            proof = queries.evidence(scene.s, case, case.cycle)
            stored = scene.s.scalars(select(Photo.stored_at)).all()
        assert len(proof) == 2
        assert all(stored)
        page = html_of(board.get(answer.location))
        assert all(f"/photos/{photo}/thumb.jpg" in page for photo in proof)
        assert board.get(f"/photos/{proof[0]}/full.jpg").mimetype == "image/jpeg"

    def test_the_same_photo_may_prove_two_cases_and_two_cycles(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            other = scene.report().case.number
        for number in (lamp, other):
            picture = (io.BytesIO(jpeg()), "same.jpg")
            assert (
                post(f"/dispatch/cases/{number}/closure", outcome="fixed", photos=picture).status_code == 303
            )
        post(f"/dispatch/cases/{lamp}/reopening")
        picture = (io.BytesIO(jpeg()), "same.jpg")
        assert post(f"/dispatch/cases/{lamp}/closure", outcome="fixed", photos=picture).status_code == 303
        with town.looking() as scene:
            assert len(queries.evidence(scene.s, scene.case(lamp), 2)) == 1

    def test_a_file_that_is_no_photo_is_refused_in_words(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(
            f"/dispatch/cases/{lamp}/closure", outcome="fixed", photos=(io.BytesIO(b"%PDF-1.7"), "a.jpg")
        )
        assert answer.status_code == 422
        assert shared.NOT_A_PHOTO in html_of(answer)
        assert state_of(town, lamp) == "new"

    def test_a_note_is_kept_and_an_empty_one_is_not(
        self, board: FlaskClient, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        assert post(f"/dispatch/cases/{lamp}/note", note=" ").status_code == 422
        assert "Ask for the key" in html_of(
            post(f"/dispatch/cases/{lamp}/note", fragment=True, note="Ask for the key")
        )

    def test_one_key_shows_all_reports_and_hides_them_again(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            scene.report(join=lamp, words="Me too")
        assert staff.PUBLIC_NOW in html_of(post(f"/dispatch/cases/{lamp}/shown", fragment=True, shown="yes"))
        with town.looking() as scene:
            assert all(report.shown_at for report in scene.case(lamp).reports)
        post(f"/dispatch/cases/{lamp}/shown", shown="no")
        with town.looking() as scene:
            assert not any(report.shown_at for report in scene.case(lamp).reports)


class TestMerging:
    def test_a_near_case_is_offered_merged_and_separated_again(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            twin = scene.report(place=replace(LAMP, lat=LAMP.lat + 0.0001)).case.number
        page = html_of(board.get(f"/dispatch/cases/{lamp}"))
        assert staff.POSSIBLE_DUPLICATES(1) in page
        assert f'action="/dispatch/cases/{twin}/merge"' in page
        answer = html_of(post(f"/dispatch/cases/{twin}/merge", fragment=True, into=lamp, open=lamp))
        assert f'data-number="{lamp}"' in answer
        assert staff.MERGED_HERE(1) in answer
        assert f'<tr id="case-{twin}"' in answer
        assert state_of(town, twin) == "merged"
        answer = html_of(post(f"/dispatch/cases/{twin}/unmerge", fragment=True, open=lamp))
        assert staff.SEPARATE_AGAIN(number=twin) in answer
        assert state_of(town, twin) == "new"

    def test_what_is_probably_one_problem_is_said_in_queue_and_drawer_until_it_is_merged(
        self, board: FlaskClient, town: Town, app: Flask, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            place = scene.pole()
            first, later = (scene.report(place=place).case.number for _ in range(2))
        said = staff.LIKELY_DUPLICATE_OF(number=f'<span class="num">{first}</span>')
        with counted(app) as statements:
            assert html_of(board.get("/dispatch")).count(said) == 1
        assert len(statements) <= MOST_QUERIES
        for number in (first, later):
            page = html_of(board.get(f"/dispatch/cases/{number}", headers=FRAGMENT))
            assert staff.LIKELY_DUPLICATES in page
            assert f'action="/dispatch/cases/{later}/merge"' in page
        answer = html_of(post(f"/dispatch/cases/{later}/merge", fragment=True, into=first, open=later))
        assert f'data-number="{first}"' in answer
        assert said not in html_of(board.get("/dispatch"))

    def test_two_that_look_alike_are_told_apart_and_that_is_taken_back(
        self, board: FlaskClient, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            place = scene.pole()
            first, later = (scene.report(place=place).case.number for _ in range(2))
        answer = html_of(post(f"/dispatch/cases/{later}/apart", fragment=True, other=first, open=later))
        assert staff.MARKED_APART in answer
        assert f'<tr id="case-{first}"' in answer
        assert staff.LIKELY_DUPLICATE_OF(number="") not in html_of(board.get("/dispatch"))
        for number in (first, later):
            page = html_of(board.get(f"/dispatch/cases/{number}"))
            assert staff.LIKELY_DUPLICATES not in page
            assert staff.LOOKS_SIMILAR in page
            assert shared.STEP_TOLD_APART in page
        post(f"/dispatch/cases/{first}/one-again", other=later)
        assert staff.LIKELY_DUPLICATE_OF(number="") in html_of(board.get("/dispatch"))
        assert staff.LOOKS_SIMILAR not in html_of(board.get(f"/dispatch/cases/{later}"))

    @pytest.mark.usefixtures("board")
    @pytest.mark.parametrize("other", ["", "26-999999", "itself"])
    def test_a_case_is_told_apart_only_from_another(
        self, town: Town, lamp: str, post: Callable[..., TestResponse], other: str
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/apart", other=lamp if other == "itself" else other)
        assert answer.status_code == 422
        with town.looking() as scene:
            assert not list(scene.s.scalars(select(NotDuplicate)))

    def test_two_crews_at_work_are_a_question(
        self, board: FlaskClient, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            one, other = scene.assigned("lights").number, scene.assigned("trees").number
        answer = post(f"/dispatch/cases/{one}/merge", fragment=True, into=other, open=other)
        page = html_of(answer)
        assert answer.status_code == 422
        assert staff.KEEP_CREW(crew="lights") in page
        assert staff.KEEP_CREW(crew="trees") in page
        nobody = post(
            f"/dispatch/cases/{one}/merge", fragment=True, into=other, open=other, keep_crew="9" * 5000
        )
        assert (nobody.status_code, staff.KEEP_CREW(crew="trees") in html_of(nobody)) == (422, True)
        keep = town.ids["lights"]
        assert post(f"/dispatch/cases/{one}/merge", into=other, open=other, keep_crew=keep).status_code == 303
        with town.looking() as scene:
            held = transitions.live(scene.case(other))
            assert held is not None
            assert held.crew_id == keep

    def test_a_number_that_is_none_is_refused_in_words(
        self, board: FlaskClient, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(f"/dispatch/cases/{lamp}/merge", into="26-777777")
        assert answer.status_code == 422
        assert shared.UNKNOWN_NUMBER in html_of(answer)
        assert 'value="26-777777"' in html_of(answer)

    def test_a_case_is_not_merged_into_itself(
        self, board: FlaskClient, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        assert post(f"/dispatch/cases/{lamp}/merge", into=lamp).status_code == 422


class TestErasing:
    def test_it_says_what_goes_before_anything_goes(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        url = f"/dispatch/cases/{lamp}/erasure"
        asked = board.get(url, query_string={"report": f"{lamp}-A"})
        assert "Dark since Sunday" in html_of(asked)
        assert staff.CANNOT_UNDO in html_of(asked)
        answer = post(url, report=f"{lamp}-A")
        assert answer.status_code == 303
        page = html_of(board.get(answer.location))
        assert "Dark since Sunday" not in page
        assert staff.REPORT_ERASED(number=f"{lamp}-A") in page

    def test_a_report_of_another_case_is_not_found(
        self, board: FlaskClient, town: Town, lamp: str, post: Callable[..., TestResponse]
    ) -> None:
        with town.at_work() as scene:
            other = scene.report().number
        assert post(f"/dispatch/cases/{lamp}/erasure", report=other).status_code == 404
        with town.looking() as scene:
            assert scene.case(other[:-2]).reports[0].erased_at is None

    def test_an_administrator_may_erase_too(
        self, town: Town, lamp: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
    ) -> None:
        page = html_of(log_in("administrator").get(f"/dispatch/cases/{lamp}"))
        assert f"/dispatch/cases/{lamp}/erasure?report={lamp}-A" in page
        assert post(f"/dispatch/cases/{lamp}/erasure", report=f"{lamp}-A").status_code == 303
        with town.looking() as scene:
            assert scene.case(lamp).reports[0].erased_at

    def test_nobody_else_is_asked(self, town: Town, lamp: str, log_in: Callable[[str], FlaskClient]) -> None:
        browser = log_in("call-taker")
        assert "erasure" not in html_of(browser.get(f"/dispatch/cases/{lamp}"))
        assert browser.get(f"/dispatch/cases/{lamp}/erasure?report={lamp}-A").status_code == 403
