"""Office work: what no crew does, its small life, its promise, and which figures it belongs to."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, SECRET, Scene, Town
from sqlalchemy import select

from city.audit import counters, events
from city.audit.events import Actor
from city.board import queries as board_queries
from city.board import tiles
from city.board.queries import View
from city.cases import batches, board_index, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFileError
from city.db.models import Case, Contact, Department, Event, Report, Service, Tally, Topic
from city.lifecycle import MOVES, OFFICE_OUTCOMES, STATES, Refused, check, possible
from city.people import accounts, contacts
from city.people.contacts import Conversation
from city.photos import storage
from city.privacy import caller_erasure
from city.questions import Question
from city.reports import calls, closing_feedback, intake
from city.reports.calls import Call
from city.reports.intake import NewReport
from city.settings import DEFAULT_CITY

HOME = DEFAULT_CITY.read_text("utf-8")
PHONE, OTHER_PHONE = "+15550100142", "+15550100143"
CALL_TAKER, DISPATCHER = frozenset({"call-taker"}), frozenset({"dispatcher"})


@pytest.fixture(autouse=True)
def office(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(
            Department(
                code="finance", names={"en": "Finance", "es": "Finanzas"}, time_zone="America/New_York"
            )
        )
        scene.s.flush()
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="finance"))
        scene.s.add_all(
            Service(
                code=code, group="office", names={"en": "Tax question", "es": "Impuestos"},
                chips={}, is_default=False, position=9, department_code="finance", promise_days=2,
                questions=(), private=True, office=True,
            )
            for code in ("tax-question", "bill-copy")
        )  # fmt: skip


def asked(scene: Scene, **changes: Any) -> Case:
    """A case that a call-taker opened for somebody."""
    telling = NewReport(uuid.uuid4().hex, "tax-question", "phone", words="Is my bill right?")
    telling = replace(telling, **changes)
    by, token = scene.actor("call-taker"), intake.token_for(SECRET, telling.key)
    return intake.submit(scene.s, telling, by=by, at=scene.town.now, token=token).case


def called(scene: Scene, phone: str, service: str = "tax-question") -> Case:
    """A case out of a call from this number."""
    key, at = uuid.uuid4().hex, scene.town.now
    said = Conversation(key, "phone", at - timedelta(minutes=1), 60, "taxes", "case", reply_by="call")
    call = Call(said, phone, NewReport(key, service, "phone", words="Is my bill right?"))
    _contact, report = calls.finish_call(scene.s, call, by=scene.actor("call-taker"), at=at, secret=SECRET)
    assert report is not None
    return report.case


def close(scene: Scene, case: Case, by: str = "call-taker", **changes: Any) -> bool:
    closing = replace(Closing("answered", words="It is right."), **changes)
    return transitions.close(scene.s, case, closing, by=scene.actor(by), at=scene.town.now)


def town_actor(town: Town, who: str) -> Actor:
    with town.looking() as scene:
        return scene.actor(who)


def tell_again(scene: Scene, case: Case) -> Report:
    """The report of whoever says, weeks after its closing, that the case was not answered."""
    close(scene, case)
    key, late = uuid.uuid4().hex, scene.town.now + timedelta(days=20 * (1 + (case.linked_to_id or 0)))
    led_to = closing_feedback.not_fixed(
        scene.s, case.reports[0], closing_feedback.closing_of(case), by=accounts.A_RESIDENT, at=late, key=key,
        token=intake.token_for(SECRET, key),
    )  # fmt: skip
    assert led_to == "new case"
    return scene.s.scalars(select(Report).where(Report.key == key)).one()


class TestTheTable:
    @pytest.mark.parametrize("state", STATES)
    @pytest.mark.parametrize("move", [m.name for m in MOVES.values() if m.needs_crew])
    def test_what_needs_a_crew_is_refused_by_name(self, move: str, state: str) -> None:
        with pytest.raises(Refused, match="no_crew"):
            check(move, state, frozenset({"dispatcher", "supervisor", "crew"}), office=True)

    def test_call_takers_do_what_they_cannot_in_the_field(self) -> None:
        assert possible("new", CALL_TAKER, office=True) == [
            "accept", "wait", "close", "merge", "undo batch", "reclassify",
        ]  # fmt: skip
        assert possible("waiting", CALL_TAKER, office=True) == [
            "wait",
            "resume",
            "close",
            "merge",
            "undo batch",
            "reclassify",
        ]
        assert possible("closed", CALL_TAKER, office=True) == ["reopen", "merge", "undo batch"]
        assert possible("new", CALL_TAKER) == [
            "accept", "merge", "undo batch", "reclassify", "relocate",
        ]  # fmt: skip
        assert "reopen" not in possible("closed", CALL_TAKER)

    def test_dispatchers_do_all_that_needs_no_crew(self) -> None:
        assert possible("new", DISPATCHER, office=True) == [
            "accept", "wait", "close", "merge", "undo batch", "reclassify", "split", "cancel",
        ]  # fmt: skip
        assert possible("closed", DISPATCHER, office=True) == ["reopen", "merge", "undo batch", "split"]

    def test_crews_do_nothing(self) -> None:
        assert all(possible(state, frozenset({"crew"}), office=True) == [] for state in STATES)


class TestItsLife:
    def test_from_the_call_to_the_answer_and_back(self, town: Town) -> None:
        with town.at_work() as scene:
            case, by, at = asked(scene), scene.actor("call-taker"), town.now
            assert transitions.accept(scene.s, case, by=by, at=at)
            assert transitions.wait(scene.s, case, "resident", by=by, at=at)
            assert transitions.resume(scene.s, case, by=by, at=at)
            assert close(scene, case)
            assert (case.state, case.outcome, case.closures[-1].no_photo) == ("closed", "answered", None)
            assert not close(scene, case)  # twice is harmless
            assert transitions.reopen(scene.s, case, by=by, at=at)
            assert transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=at)

    @pytest.mark.parametrize("outcome", ["fixed", "not found"])
    def test_it_is_never_fixed(self, town: Town, outcome: str) -> None:
        with town.at_work() as scene, pytest.raises(Refused, match="outcome_misfits"):
            close(scene, asked(scene), outcome=outcome, no_photo="dark")

    def test_a_field_case_is_never_answered_and_a_call_taker_does_not_close_it(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            with pytest.raises(Refused, match="outcome_misfits"):
                close(scene, case, by="dispatcher")
            with pytest.raises(Refused, match="not_allowed"):
                close(scene, case, outcome="not ours")

    def test_answered_says_what(self, town: Town) -> None:
        with town.at_work() as scene:
            case = asked(scene)
            with pytest.raises(Refused, match="told_missing"):
                close(scene, case, words=" ")
            assert close(scene, case, words="", reply={"code": "told", "policy": 1, "words": {"en": "Told."}})

    @pytest.mark.parametrize("outcome", [each for each in OFFICE_OUTCOMES if each != "answered"])
    def test_its_other_ends_need_no_words(self, town: Town, outcome: str) -> None:
        with town.at_work() as scene:
            assert close(scene, asked(scene), outcome=outcome, words="")

    def test_it_waits_for_whoever_asked_only(self, town: Town) -> None:
        with town.at_work() as scene, pytest.raises(Refused, match="unknown_value"):
            transitions.wait(scene.s, asked(scene), "weather", by=scene.actor("dispatcher"), at=town.now)

    def test_no_crew_gets_it_alone_or_among_others(self, town: Town) -> None:
        with town.at_work() as scene:
            case, lamp, by = asked(scene), scene.report().case, scene.actor("dispatcher")
            with pytest.raises(Refused, match="no_crew"):
                transitions.assign(scene.s, case, scene.crew("lights"), by=by, at=town.now)
            batch = batches.act(
                scene.s, [case.number, lamp.number], "assign", {"crew": town.ids["lights"]}, by=by,
                at=town.now, sent="x",
            )  # fmt: skip
            assert (batch.done, [why for _number, why, *_rest in batch.refused]) == (1, ["no_crew"])
            assert (case.state, lamp.state) == ("new", "assigned")

    def test_office_and_field_are_never_merged(self, town: Town) -> None:
        with town.at_work() as scene:
            case, lamp, by = asked(scene), scene.report().case, scene.actor("dispatcher")
            nuisance = scene.report(service_code="nuisance").case
            for one, other in ((case, lamp), (case, nuisance), (nuisance, case)):
                with pytest.raises(Refused, match="merge_office"):
                    transitions.merge(scene.s, one, other, by=by, at=town.now)

    def test_two_are_merged_only_where_one_number_asked_alike(self, town: Town) -> None:
        with town.at_work() as scene:
            first, again, other = called(scene, PHONE), called(scene, PHONE), called(scene, OTHER_PHONE)
            unknown, by = asked(scene), scene.actor("dispatcher")
            bill = called(scene, PHONE, "bill-copy")
            for one, root in ((other, first), (unknown, first), (first, unknown), (bill, first)):
                with pytest.raises(Refused, match="merge_caller"):
                    transitions.merge(scene.s, one, root, by=by, at=town.now)
            assert transitions.merge(scene.s, again, first, by=by, at=town.now)

    def test_a_call_taker_who_is_in_a_crew_too_works_it(self, town: Town) -> None:
        with town.at_work() as scene:
            rosa = scene.actor("rosa")
            both = replace(rosa, roles=rosa.roles | CALL_TAKER)
            case, told = asked(scene), {"by": both, "at": town.now}
            assert transitions.wait(scene.s, case, "resident", **told)
            assert transitions.resume(scene.s, case, **told)
            assert transitions.close(scene.s, case, Closing("answered", words="It is right."), **told)
            assert case.closures[-1].crew_id is None
            lamp = scene.assigned("trees", place=LAMP)
            with pytest.raises(Refused, match="not_your_job"):
                transitions.wait(scene.s, lamp, "parts", **told)

    def test_its_promise_is_its_departments_and_stands_while_it_waits(self, town: Town) -> None:
        with town.at_work() as scene:
            case, by = asked(scene), scene.actor("call-taker")
            due = case.due_at
            assert due - town.now > timedelta(days=1)
            transitions.wait(scene.s, case, "resident", asked=True, by=by, at=town.now)
            transitions.resume(scene.s, case, by=by, at=town.now + timedelta(days=1))
            assert case.due_at == due + timedelta(days=1)


class TestHowItComes:
    def test_it_lies_nowhere_and_keeps_the_address_with_the_words(self, town: Town) -> None:
        with town.at_work() as scene:
            case = asked(scene, place=LAMP)
            assert (case.lat, case.quad, case.address, case.place_source) == (None, None, "", "unknown")
            assert case.reports[0].words == f"Is my bill right?\n{LAMP.label}"

    @pytest.mark.parametrize("who", [accounts.A_RESIDENT, None])
    def test_neither_residents_nor_crews_tell_of_it(self, town: Town, who: Any) -> None:
        told = NewReport("k" * 32, "tax-question", "web")
        with town.at_work() as scene, pytest.raises(Refused, match="unknown_service"):
            intake.submit(scene.s, told, by=who or scene.actor("rosa"), at=town.now, token="t")

    def test_nobody_brings_one_from_the_field_whatever_their_roles(self, town: Town) -> None:
        both = replace(town_actor(town, "rosa"), roles=frozenset({"crew", "call-taker", "dispatcher"}))
        for channel in ("crew", "web", "api"):
            told = NewReport(uuid.uuid4().hex, "tax-question", channel)
            with town.at_work() as scene, pytest.raises(Refused, match="unknown_service"):
                intake.submit(scene.s, told, by=both, at=town.now, token="t")

    def test_it_is_told_again_without_being_asked_again(self, town: Town) -> None:
        when = Question("when", "string", {"en": "When?"}, required=True)
        with town.at_work() as scene:
            scene.s.get_one(Service, "tax-question").questions = (when,)
            case = asked(scene, answers={"when": "After five"})
            asked_again = tell_again(scene, case)
            assert asked_again.answers == {"when": "After five"}
            assert closing_feedback.first_told(scene.s, asked_again) is case.reports[0]
            scene.s.get_one(Service, "tax-question").questions = (when, replace(when, code="which"))
            third = tell_again(scene, asked_again.case)
            assert third.case.linked_to_id == asked_again.case.id
            assert closing_feedback.first_told(scene.s, third) is case.reports[0]
            assert closing_feedback.first_told(scene.s, case.reports[0]) is case.reports[0]

    def test_whoever_asked_may_come_back_after_the_weeks(self, town: Town) -> None:
        with town.at_work() as scene:
            first = asked(scene)
            told = NewReport("k" * 32, "tax-question", "web")
            again = intake.submit(scene.s, told, at=town.now, token="t", linked_to=first)
            assert again.case.linked_to_id == first.id

    @pytest.mark.parametrize("way", ["call", "sms", "email", "again", "none"])
    def test_a_call_needs_a_way_back(self, town: Town, way: str) -> None:
        key = uuid.uuid4().hex
        said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case", reply_by=way)
        call = Call(said, PHONE, NewReport(key, "tax-question", "phone"), email="ana@mail.test")
        with town.at_work() as scene:
            by = scene.actor("call-taker")
            if way == "none":
                with pytest.raises(Refused, match="way_back_missing"):
                    calls.finish_call(scene.s, call, by=by, at=town.now, secret=SECRET)
                return
            contact, report = calls.finish_call(scene.s, call, by=by, at=town.now, secret=SECRET)
            assert report is not None
            assert (contact.outcome, contact.topic_code, contact.reply_by) == (contacts.CASE, "taxes", way)

    def test_a_lost_answer_makes_no_second_one_though_a_place_was_told(self, town: Town) -> None:
        key = uuid.uuid4().hex
        said = Conversation(
            key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case", reply_by="call"
        )
        telling = NewReport(key, "tax-question", "phone", words="Is it? ", about_place="12 Elm St")
        call = Call(said, PHONE, telling)
        with town.at_work() as scene:
            by = scene.actor("call-taker")
            first = calls.finish_call(scene.s, call, by=by, at=town.now, secret=SECRET)
            assert calls.finish_call(scene.s, call, by=by, at=town.now, secret=SECRET) == first
            elsewhere = replace(call, telling=replace(telling, about_place="14 Elm St"))
            with pytest.raises(Refused, match="kept_already"):
                calls.finish_call(scene.s, elsewhere, by=by, at=town.now, secret=SECRET)

    def test_a_lamp_needs_none(self, town: Town) -> None:
        key = uuid.uuid4().hex
        said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case")
        with town.at_work() as scene:
            by = scene.actor("call-taker")
            call = Call(said, "", NewReport(key, "light-out", "phone", place=LAMP))
            assert calls.finish_call(scene.s, call, by=by, at=town.now, secret=SECRET)[1]


class TestErasure:
    def test_what_the_office_told_goes_with_the_last_report(self, town: Town) -> None:
        with town.at_work() as scene:
            case = called(scene, PHONE)
            transitions.note(scene.s, case, "She owes 12", by=scene.actor("call-taker"), at=town.now)
            close(scene, case)
        with town.at_work() as scene:
            store = storage.open_store(town.settings)
            done = caller_erasure.forget(
                scene.s, [PHONE], store, town.settings.var, by=accounts.THE_SYSTEM, at=town.now
            )
            assert done == caller_erasure.Done(1, 1)
        with town.looking() as scene:
            case = scene.s.scalars(select(Case)).one()
            assert case.closures[-1].words == ""
            assert [words for _line, words in events.of(scene.s, transitions.subject(case)) if words] == []
            assert events.verify(scene.s) == []

    def test_a_lamps_closing_keeps_its_words(self, town: Town) -> None:
        with town.at_work() as scene:
            report = scene.report()
            transitions.close(
                scene.s,
                report.case,
                Closing("not ours", words="The state's."),
                by=scene.actor("dispatcher"),
                at=town.now,
            )
            store = storage.open_store(town.settings)
            by = scene.actor("dispatcher")
            assert intake.erase(scene.s, report, store, town.settings.var, by=by, at=town.now)
            assert report.case.closures[-1].words == "The state's."


class TestTheBoard:
    def test_the_views_and_their_counts_agree(self, town: Town) -> None:
        with town.at_work() as scene:
            follow_up, lamp = asked(scene), scene.report().case
            lost = scene.report(place=None).case
            numbers = follow_up.number, lamp.number, lost.number
        views = {
            View(work="office"): {numbers[0]}, View(place="none"): {numbers[2]}, View(): set(numbers),
            View(crew="none"): {numbers[1], numbers[2]}, View(work="office", place="none"): set(),
            View(work="office", crew="none"): set(), View(work="office", state="new"): {numbers[0]},
            View(work="office", standing="ok"): {numbers[0]}, View(work="office", words="bill"): {numbers[0]},
            View(group="office"): {numbers[0]},
        }  # fmt: skip
        with town.looking() as scene:
            held = board_queries.tally(scene.s, board_queries.services(scene.s))
            totals = board_queries.counts(scene.s, list(views), held, now=town.now)
            for (view, wanted), total in zip(views.items(), totals, strict=True):
                page = board_queries.queue(scene.s, view, now=town.now)
                assert {row.number for row in page.rows} == wanted, view
                assert (total.n, board_queries.count(scene.s, view, now=town.now)) == (len(wanted),) * 2, view
            assert board_index.differences(scene.s) == []

    def test_it_is_on_no_map_and_among_none_without_a_place(self, town: Town) -> None:
        with town.at_work() as scene:
            asked(scene)
            scene.report()
        with town.looking() as scene:
            for view in (View(), View(words="bill"), View(work="office"), View(age="0")):
                assert tiles.extent(scene.s, view, now=town.now).unlocated == 0, view
            assert tiles.tile(scene.s, View(work="office"), 0, 0, 0, now=town.now).placed == 0
            assert tiles.tile(scene.s, View(), 0, 0, 0, now=town.now).placed == 1

    def test_its_row_names_the_department(self, town: Town) -> None:
        with town.at_work() as scene:
            asked(scene)
            scene.report()
        with town.looking() as scene:
            rows = board_queries.queue(scene.s, View(), now=town.now).rows
            assert {row.service_code: row.office for row in rows} == {
                "light-out": None, "tax-question": {"en": "Finance", "es": "Finanzas"},
            }  # fmt: skip

    def test_a_recount_finds_the_same(self, town: Town) -> None:
        with town.at_work() as scene:
            asked(scene)
            scene.report(place=None)
        with town.at_work() as scene:
            assert board_index.recompute(scene.s, at=town.now) == 0
        with town.looking() as scene:
            assert board_index.differences(scene.s) == []


class TestTheFigures:
    def test_its_closing_counts_but_proves_nothing(self, town: Town) -> None:
        with town.at_work() as scene:
            close(scene, asked(scene))
            transitions.close(
                scene.s,
                scene.report().case,
                Closing("fixed", no_photo="dark"),
                by=scene.actor("dispatcher"),
                at=town.now,
            )
        with town.looking() as scene:
            rows = scene.s.execute(select(Tally.what, Tally.n).where(Tally.facet == "city"))
            sums = {what: n for what, n in rows if not what.startswith("after")}
            assert sums == {"opened": 2, "closed": 2, "timely": 2, "reasoned": 1, "indoors": 1}
            assert counters.differences(scene.s) == []
            lines = scene.s.scalars(select(Event).where(Event.kind == "close")).all()
            assert [line.facts.get("work") for line in lines] == ["office", None]


def edited(*changes: tuple[str, str]) -> str:
    text = HOME
    for was, now in changes:
        assert was in text
        text = text.replace(was, now, 1)
    return text


ANSWERED_TAX = 'outcome = "answered"\nservice = "tax-question"'
FIXED_LAMP = 'outcome = "fixed"\nservice = "light-out"'
TAX = '[services.tax-question]\ngroup = "office"\nwork = "office"\n'
FIELD = edited(
    (TAX, TAX.replace('work = "office"\n', "default = true\n")), (ANSWERED_TAX, FIXED_LAMP)
)  # fmt: skip


class TestTheCityFile:
    def test_larkhaven_has_some(self) -> None:
        city = city_file.parse(HOME, "larkhaven.toml")
        offices = [service for service in city.services if service.office]
        assert len(offices) == 3
        assert all(service.private and service not in city.for_residents for service in offices)
        assert "office" not in [group.code for group in city.groups_for_residents]
        assert city.of_group("office") == ()
        topic = city.topic_of(offices[0])
        assert topic is not None
        assert topic.code == "taxes"

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("default = true", "category on the report form"),
            ('chips = { en = "x", es = "x" }', "report form"),
            ('asset_kind = "pole"', "fixed in the field"),
            ("precision_m = 10", "how exactly a location is shown"),
            ("urgent = true", "needs a crew"),
            ('hazard = { en = "x", es = "x" }', "crews read it"),
            ("private = false", "always true"),
        ],
    )
    def test_what_cannot_be_is_named(self, line: str, fault: str) -> None:
        with pytest.raises(CityFileError, match=fault):
            city_file.parse(edited((TAX, f"{TAX}{line}\n")), "city.toml")

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (('work = "office"', 'work = "desk"'), "isn't one of field, office"),
            (
                ('service = "tree-on-wire"', 'service = "tax-question"'),
                "its own department gets it and no crew does",
            ),
            (('service = "tree-on-wire"', 'group = "office"'), "never go to a crew"),
            ((ANSWERED_TAX, ANSWERED_TAX.replace("answered", "fixed")), "isn't an outcome of"),
            ((FIXED_LAMP, FIXED_LAMP.replace("fixed", "answered")), "isn't an outcome of"),
        ],
    )
    def test_so_is_a_crew_or_an_end_that_it_has_not(self, change: tuple[str, str], fault: str) -> None:
        with pytest.raises(CityFileError, match=fault):
            city_file.parse(edited(change), "city.toml")

    def test_work_does_not_change_under_cases(self, town: Town) -> None:
        with town.at_work() as scene:
            config_versions.publish(scene.s, HOME, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
            asked(scene)
        with town.at_work() as scene, pytest.raises(CityFileError, match="already has cases"):
            config_versions.publish(scene.s, FIELD, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
        with town.looking() as scene:
            assert scene.s.get_one(Service, "tax-question").office
            assert scene.s.scalar(select(Contact.id)) is None
            assert scene.s.scalar(select(Report.service_code)) == "tax-question"

    def test_nor_under_one_that_is_just_being_opened(self, town: Town) -> None:
        with town.at_work() as scene:
            config_versions.publish(scene.s, HOME, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
        opened = threading.Event()

        def open_slowly() -> None:
            with town.at_work() as scene:
                asked(scene)
                scene.s.flush()
                opened.set()
                town.await_waiting()

        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(open_slowly)
            assert opened.wait(60)
            with town.at_work() as scene, pytest.raises(CityFileError, match="already has cases"):
                config_versions.publish(scene.s, FIELD, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
            opening.result()


@pytest.mark.parametrize("words", ["", "  \n", "\u200b", "\u2800"])
def test_an_answer_that_nobody_could_read_is_none(town: Town, words: str) -> None:
    with town.at_work() as scene, pytest.raises(Refused, match="told_missing"):
        close(scene, asked(scene), words=words)
