"""What a kind of problem asks: every answer arrives as it was given, by each way in, and reads the same."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from factories import Town
from filled import Fill
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from wording import shared

from city.config.city_file import load
from city.config.toml_table import CityFileError
from city.db.models import Address, Case, Report
from city.privacy import record_export
from city.questions import DATATYPES, Choice, Question
from city.settings import DEFAULT_CITY, Settings
from pwa.web import questions as web_questions
from sync.jobs import _answers as packed

QUESTIONS = """
[[services.light-flickering.questions]]
code = "when"
datatype = "multivaluelist"
words = { en = "When does it flicker?", es = "¿Cuándo parpadea?" }
values = [
  { code = "rain", words = { en = "In the rain", es = "Con lluvia" } },
  { code = "wind", words = { en = "In the wind", es = "Con viento" } },
  { code = "cold", words = { en = "In the cold", es = "Con frío" } },
]

[[services.light-flickering.questions]]
code = "poles"
datatype = "number"
words = { en = "How many poles?", es = "¿Cuántos postes?" }

[[services.light-flickering.questions]]
code = "since"
datatype = "datetime"
words = { en = "Since when?", es = "¿Desde cuándo?" }

[[services.light-flickering.questions]]
code = "gusts"
datatype = "string"
required = true
words = { en = "How strong was the wind?", es = "¿Qué tan fuerte era el viento?" }
hint = { en = "A guess will do", es = "Basta una idea" }
only_if = { question = "when", choices = ["wind", "cold"] }
"""
NAME = "answer-light-flickering-"
GIVEN: dict[str, Any] = {
    "service-streetlight": "light-flickering", f"{NAME}when": ["rain", "cold"], f"{NAME}poles": "2.5",
    f"{NAME}since": "2026-05-09T21:30", f"{NAME}gusts": "It whistled",
}  # fmt: skip
KEPT = {
    "when": "rain,cold",
    "poles": "2.5",
    "since": "2026-05-10T01:30:00Z",
    "gusts": "It whistled",
}  # Larkhaven is four hours behind


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "city.toml"
    before = "\n[services.light-all-day]"
    file.write_text(DEFAULT_CITY.read_text("utf-8").replace(before, f"{QUESTIONS}{before}"), "utf-8")
    return replace(settings, city=file)


def test_all_that_was_ticked_arrives(town: Town, post: Fill) -> None:
    assert post(**GIVEN).status_code == 303
    with town.looking() as scene:
        assert scene.s.scalars(select(Report.answers)).one() == KEPT


def test_a_page_in_between_hands_every_answer_on(town: Town, post: Fill, client: FlaskClient) -> None:
    post(**GIVEN, key="a" * 32)
    page = post(**GIVEN, key="b" * 32)
    assert page.status_code == 200
    assert len(re.findall(rf'name="{NAME}when" value="(rain|cold)"', page.text)) == 2


@pytest.mark.parametrize(
    ("code", "typed", "says"),
    [
        ("poles", "a few", shared.ANSWER_NUMBER), ("poles", "nan", shared.ANSWER_NUMBER),
        ("since", "last week", shared.ANSWER_MOMENT),
        ("since", "0001-01-01T00:00+23:59", shared.ANSWER_MOMENT),
    ],
)  # fmt: skip
def test_what_is_no_number_or_moment_is_asked_again_and_all_stays(
    town: Town, post: Fill, code: str, typed: str, says: str
) -> None:
    page = post(**GIVEN | {f"{NAME}{code}": typed})
    assert page.status_code == 422
    assert f'href="#{NAME}{code}"' in page.text
    assert says in page.text
    assert f'value="{typed}"' in page.text.replace("&#43;", "+")
    ticked = re.findall(rf'name="{NAME}when" value="(\w+)" checked', page.text)
    assert ticked == ["rain", "cold"]
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count(Report.id))) == 0


def test_an_answer_that_was_changed_before_it_was_sent_again_is_another_report(
    town: Town, post: Fill
) -> None:
    post(**GIVEN)
    assert post(**GIVEN | {f"{NAME}poles": "7"}).status_code == 422  # under a new key, and not dropped


def test_the_desk_asks_with_boxes_and_keeps_all(log_in: Callable[[str], FlaskClient], app: Flask) -> None:
    desk = log_in("call-taker")
    asked = {"service": "light-flickering", "ends": "case", f"{NAME}when": ["rain", "cold"]}
    page = desk.get("/desk", query_string=asked).text
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert csrf
    headers = {"HX-Request": "true"}
    part = desk.post("/desk/parts", data=asked | {"csrf_token": csrf[1]}, headers=headers).text
    boxes = re.findall(rf'type="(\w+)" name="{NAME}when" value="(\w+)"( checked)?', part)
    assert [(kind, code, bool(checked)) for kind, code, checked in boxes] == [
        ("checkbox", "rain", True), ("checkbox", "wind", False), ("checkbox", "cold", True),
    ]  # fmt: skip
    assert re.search(rf'name="{NAME}poles"[^>]*inputmode="decimal"', part)
    assert re.search(rf'name="{NAME}since"[^>]*type="datetime-local"', part)


def test_staff_read_every_answer_in_words(post: Fill, log_in: Callable[[str], FlaskClient]) -> None:
    post(**GIVEN)
    page = log_in("dispatcher").get("/dispatch/cases/26-000001").text
    assert "<b>In the rain, In the cold</b>" in page
    assert "<b>2.5</b>" in page
    assert re.search(r"Since when\? <b>[^<]*May[^<]*9[^<]*9:30", page)


def test_a_crew_reads_every_answer(app: Flask) -> None:
    questions = next(
        service.questions
        for service in app.extensions["cityline"].city.services
        if service.code == "light-flickering"
    )
    told = packed(KEPT, questions)
    assert [words["en"] for words in told[0][1:]] == ["In the rain", "In the cold"]


def test_a_code_with_a_comma_cannot_be_one_of_several(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    before, asked = "\n[services.light-all-day]", QUESTIONS.replace('"rain"', '"rain,hail"')
    file.write_text(DEFAULT_CITY.read_text("utf-8").replace(before, f"{asked}{before}"), "utf-8")
    with pytest.raises(CityFileError, match="comma"):
        load(file)


def test_what_a_choice_leads_to_is_asked_only_then(town: Town, post: Fill) -> None:
    page = post(**GIVEN | {f"{NAME}gusts": ""})
    assert page.status_code == 422
    assert f'href="#{NAME}gusts"' in page.text
    assert post(**GIVEN | {f"{NAME}gusts": "", f"{NAME}when": ["rain"]}, key="b" * 32).status_code == 303


def test_an_answer_that_nothing_leads_to_any_more_is_not_kept(town: Town, post: Fill) -> None:
    assert post(**GIVEN | {f"{NAME}when": ["rain"]}).status_code == 303
    with town.looking() as scene:
        assert scene.s.scalars(select(Report.answers)).one() == {
            code: "rain" if code == "when" else answer for code, answer in KEPT.items() if code != "gusts"
        }


def test_a_question_stands_within_the_choice_that_leads_to_it(client: FlaskClient) -> None:
    page = client.get("/report").text
    opens = re.findall(rf'data-opens="([\d ]*)"><input type="checkbox" name="{NAME}when" value="(\w+)"', page)
    assert [(code, found.split()) for found, code in opens] == [
        ("rain", []),
        ("wind", ["1"]),
        ("cold", ["1"]),
    ]
    assert re.search(rf'data-if="1">\s*<div class="field more"><label for="{NAME}gusts">', page)


def test_the_desk_keeps_all_that_was_ticked(
    town: Town, log_in: Callable[[str], FlaskClient], token: Callable[[], str]
) -> None:
    desk = log_in("call-taker")
    with town.at_work() as scene:
        scene.s.add(Address(label="52 Quincy Avenue", lat=39.6, lon=-71.2, cell="x"))
    call = {
        "csrf_token": token(), "key": "a" * 32, "do": "save", "channel": "phone", "ends": "case",
        "place": "52 Quincy Avenue", "service": "light-flickering", "lang": "en", "reply_by": "none",
    }  # fmt: skip
    sent = desk.post("/desk/calls", data=call | {k: v for k, v in GIVEN.items() if k.startswith(NAME)})
    assert sent.status_code == 303, re.findall(r"<li><a href=.#.*?</li>", sent.text)
    with town.looking() as scene:
        assert scene.s.scalars(select(Report.answers)).one() == KEPT


def test_a_record_holds_every_choice(town: Town, post: Fill) -> None:
    post(**GIVEN)
    with town.at_work() as scene:
        [case] = scene.s.scalars(select(Case))
        record = record_export.of_case(scene.s, case, by=scene.actor("administrator"), at=town.now)
    assert record.sections["reports"][0]["answers"] == KEPT


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_type_of_question_can_be_asked_answered_and_described(
    app: Flask, client: FlaskClient, datatype: str
) -> None:
    choices = (Choice("a", {"en": "A"}), Choice("b", {"en": "B"})) if DATATYPES[datatype].has_choices else ()
    question = Question("what", datatype, {"en": "What?"}, choices=choices)
    answer = {"number": "3", "datetime": "2026-05-09T21:30", "multivaluelist": "a,b"}.get(datatype, "a")
    kept = question.read(answer, UTC)
    with app.test_request_context():
        assert web_questions.answered(kept, question)
        assert web_questions.takes(datatype).endswith(".")
        assert web_questions.wrong(datatype)
