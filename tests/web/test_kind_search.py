"""A city with 150 kinds of problem: found by words, by what is reported, in groups; also without scripts."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import manykinds
import pytest
from factories import LAMP, Town, jpeg, statements
from filled import HERE
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from wording import resident, shared, shown

from city.config import city_file
from city.config import versions as config_versions
from city.db.models import Report
from city.geo import Point
from city.settings import DEFAULT_CITY
from pwa.resident import problem_kinds

KEY = "c" * 32
MOST_QUERIES = 3


@pytest.fixture
def many(app: Flask, town: Town, tmp_path: Path) -> Flask:
    """The application of a city with 150 kinds."""
    city = city_file.load(manykinds.write(tmp_path))
    with town.at_work() as scene:
        config_versions.activate(scene.s, city)
    held = app.extensions["cityline"]
    held.city = replace(city, languages=held.city.languages)
    return app


@pytest.fixture
def send(many: Flask, client: FlaskClient, token: Callable[[], str]) -> Callable[..., str]:
    """Presses a button of the form: send(do="kinds", kind_words="rats")."""

    def press(**fields: str) -> str:
        sent = client.post("/report", data={"csrf_token": token(), "key": KEY, **fields})
        return sent.headers.get("Location") or shown(sent)

    return press


def found(client: FlaskClient, words: str, path: str = "/report/kinds", **asked: str) -> list[str]:
    """The codes of the lines under the box, in order."""
    page = client.get(path, query_string={"q": words, **asked}).get_data(as_text=True)
    return re.findall(r'value="kind ([\w-]+)"', page)


def lines(page: str) -> str:
    """What stands under the box."""
    return page.split('id="kind-lines"')[1].split('id="kind-all"')[0]


def test_a_small_city_keeps_its_tiles(client: FlaskClient) -> None:
    page = client.get("/report").get_data(as_text=True)
    assert page.count('<label class="tile">') == 4
    assert "kind-words" not in page
    assert "kinds.css" not in page


def test_it_is_found_in_either_language_and_with_slips(many: Flask, client: FlaskClient) -> None:
    for words, code in (
        ("rats", "animals-0-0"), ("ratas", "animals-0-0"), ("hydrant", "water-0-0"), ("mice", manykinds.RATS),
        ("watter main", "water-1-0"), ("graffitti", "signs-2-0"), ("semaforo", "lights-1-0"),
        ("street light out", "lights-0-0"), ("elevator", "buildings-1-1"), ("pothol", "streets-0-0"),
    ):  # fmt: skip
        assert found(client, words)[0] == code, words


def test_every_kind_is_found_by_its_own_name(many: Flask) -> None:
    city = many.extensions["cityline"].city
    assert len(city.for_residents) == manykinds.KINDS
    missed = {
        words
        for service in city.for_residents for words in service.names.values()
        if service not in problem_kinds.find(city, words).services[:3]
    }  # fmt: skip
    assert missed == set()


def test_what_matches_is_underlined_and_a_slip_is_read_right(many: Flask, client: FlaskClient) -> None:
    page = client.get("/report/kinds?q=watter").get_data(as_text=True)
    assert "<mark>Water</mark> main" in page
    assert resident.KINDS_MATCH(3, words="water") in shown(page)
    page = client.get("/report/kinds?q=rodents").get_data(as_text=True)
    assert "“<mark>rodents</mark>”" in page, "another word for it says why it was found"


@pytest.mark.parametrize("words", ["zzzzqqq", "<script>", "%", "'", "\u202e", "x" * 3000, "🗑️"])
def test_something_else_never_fails(many: Flask, client: FlaskClient, words: str) -> None:
    answer = client.get("/report/kinds", query_string={"q": words})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert found(client, words)[-1] == "other-4-2"


def test_six_are_offered_first_with_what_they_rest_on(many: Flask, client: FlaskClient, town: Town) -> None:
    page = client.get("/report").get_data(as_text=True)
    assert len(re.findall(r'<button class="tile"', page)) == problem_kinds.SUGGESTED
    assert resident.KINDS_COMMON in shown(page)
    with town.at_work() as scene:
        for n in range(3):
            scene.report(service_code="cars-1-0", at=town.now - timedelta(days=n))
    with many.test_request_context(), town.looking() as scene:
        known = problem_kinds.suggest(scene.s, many.extensions["cityline"].city, LAMP.point)
        assert known.services[0].code == "cars-1-0"
        assert known.why == resident.KINDS_NEAR
        far = problem_kinds.suggest(scene.s, many.extensions["cityline"].city, Point(39.59, -71.21))
        assert far.why != resident.KINDS_NEAR


def test_of_a_private_kind_nothing_is_told_about_a_spot(many: Flask, town: Town) -> None:
    held = many.extensions["cityline"]
    services = [replace(each, private=each.code == "cars-1-0") for each in held.city.services]
    held.city = replace(held.city, services=tuple(services))
    with town.at_work() as scene:
        for n in range(4):
            scene.report(service_code="cars-1-0", at=town.now - timedelta(days=n))
    with many.test_request_context(), town.looking() as scene:
        assert problem_kinds.suggest(scene.s, held.city, LAMP.point).why != resident.KINDS_NEAR


def test_danger_is_in_the_lists_way_and_all_stand_in_groups(many: Flask, client: FlaskClient) -> None:
    page = client.get("/report").get_data(as_text=True)
    assert page.index('id="kind-lines"') < page.index('class="danger') < page.index('id="kind-all"')
    assert page.count('class="kindgroup"') == len(manykinds.GROUPS)
    assert resident.ALL_KINDS(num=str(manykinds.KINDS)) in shown(page)
    listed = re.findall(r'<li><button class="kind"[^>]*value="kind ([\w-]+)"', page)
    assert len(set(listed)) == manykinds.KINDS


def test_without_a_script_it_is_searched_chosen_and_sent_and_nothing_is_lost(
    send: Callable[..., str], client: FlaskClient, town: Town, token: Callable[[], str]
) -> None:
    typed = {"words": "Since Sunday", **HERE}
    page = send(do="kinds", kind_words="hidrant", **typed)
    assert f'value="kind {manykinds.HYDRANT}"' in lines(page)
    assert "Since Sunday" in page
    page = send(do=f"kind {manykinds.HYDRANT}", kind_words="hidrant", **typed)
    assert f'name="kind" value="{manykinds.HYDRANT}"' in page
    assert re.search(rf'<div data-of="{manykinds.HYDRANT}">', page), "its question is asked"
    assert re.search(r'<div id="kind-choice"[^>]* hidden>', page)
    page = send(do="kind", kind=manykinds.HYDRANT, **typed)
    assert 'name="kind" value=""' in page, "another one can be chosen"
    answer = {f"answer-{manykinds.HYDRANT}-open": "yes"}
    assert send(do="send", kind=manykinds.HYDRANT, **answer, **HERE).startswith("/sent/")
    with town.looking() as scene:
        report = scene.s.scalars(select(Report)).one()
        assert (report.service_code, report.answers) == (manykinds.HYDRANT, {"open": "yes"})


def test_a_photo_stays_while_the_kind_is_looked_for(
    many: Flask, client: FlaskClient, token: Callable[[], str]
) -> None:
    data = {"csrf_token": token(), "key": KEY, "do": "kinds", "kind_words": "rats",
            "photo": (io.BytesIO(jpeg("navy")), "p.jpg")}  # fmt: skip
    page = client.post("/report", data=data).get_data(as_text=True)
    assert 'name="staged"' in page
    assert 'value="kind animals-0-0"' in page


def test_whoever_chose_nothing_is_told_and_sees_what_was_looked_for(send: Callable[..., str]) -> None:
    page = send(do="send", kind_words="rats", **HERE)
    assert shared.CHOOSE_TYPE in shown(page)
    assert 'value="kind animals-0-0"' in lines(page)


def test_danger_needs_no_kind(send: Callable[..., str], town: Town) -> None:
    assert send(danger="1", do="send", **HERE).startswith("/sent/")
    with town.looking() as scene:
        assert scene.s.scalars(select(Report)).one().service_code == "other-4-2"


def test_an_urgent_kind_is_warned_of_before_it_is_sent(send: Callable[..., str]) -> None:
    page = send(do="send", kind=manykinds.DANGER, **HERE)
    assert re.search(r'name="hurt" value="yes" checked', page)


def test_the_cost_of_a_search_is_known(many: Flask, client: FlaskClient, town: Town) -> None:
    found(client, "rats")
    with statements(town.engine) as sent:
        found(client, "hydrant")
    assert len(sent) <= MOST_QUERIES, sent


def test_the_generated_city_is_larger_than_tiles_hold_and_larkhaven_is_not() -> None:
    assert not city_file.load(DEFAULT_CITY).has_many_kinds
