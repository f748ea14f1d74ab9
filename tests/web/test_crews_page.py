"""The crews of today: what they hold, and what their phones say of themselves."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import shown, staff

from city.cases import transitions
from city.db.models import Device

MOST_QUERIES = 12


@pytest.fixture
def board(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    return log_in("dispatcher")


def has_phone(town: Town, name: str, **says: Any) -> None:
    """Somebody of the cast has a phone that was heard now, and said so of itself."""
    told = {"seen_at": town.now, "release": "5.1", "waiting": {}, "pack": {}} | says
    with town.at_work() as scene:
        scene.s.add(
            Device(id=str(uuid.uuid4()), person_id=town.ids[name], token_hash=uuid.uuid4().hex,
                   enrolled_at=town.now, **told)
        )  # fmt: skip


def words_of(browser: FlaskClient, path: str = "/dispatch/crews") -> str:
    page = shown(browser.get(path))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<main") :]))


def test_each_crew_says_what_it_holds_and_leads_to_it(board: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        scene.assigned()
        waits = scene.assigned()
        transitions.wait(scene.s, waits, "weather", by=scene.actor("dispatcher"), at=town.now)
    page = board.get("/dispatch/crews").get_data(as_text=True)
    assert staff.JOBS(2) in page
    assert f'href="/dispatch?crew={town.ids["lights"]}&amp;standing=wait"' in page
    assert staff.NO_JOB_NOW in page


def test_a_phone_says_when_it_was_heard_what_waits_on_it_and_what_is_packed(
    board: FlaskClient, town: Town
) -> None:
    at = int(town.now.timestamp())
    has_phone(
        town, "rosa", waiting={"ops": 2, "photos": 1, "oldest": at - 600},
        pack={"at": at - 3600, "jobs": 12, "photos": 30, "of": 31, "map": 1},
    )  # fmt: skip
    page = words_of(board)
    waits = f"{staff.UPDATES(2)}, {staff.PHOTOS(1)}"
    packed = f"{staff.JOBS(12)}, {staff.PHOTOS_PACKED(here=30, all=31)}, {staff.MAP_PACKED}"
    for told in ("Rosa", waits, packed, "5.1", "Tom", staff.NO_PHONE):
        assert told in page
    assert staff.NOT_SYNCING not in page
    assert staff.JOBS.es(12) in words_of(board, "/es/dispatch/crews")


@pytest.mark.parametrize(("waiting", "hours", "warns"), [(1, 4, True), (1, 3, False), (0, 48, False)])
def test_only_a_phone_with_work_on_it_that_says_nothing_for_hours_is_warned_of(
    board: FlaskClient, town: Town, waiting: int, hours: int, warns: bool
) -> None:
    has_phone(town, "rosa", waiting={"ops": waiting}, seen_at=town.now - timedelta(hours=hours))
    page = words_of(board)
    assert (staff.PHONES_NOT_SYNCED(1) in page) is warns
    assert (staff.NOT_SYNCING in page) is warns


def test_a_phone_that_was_shut_out_is_nobodys(board: FlaskClient, town: Town) -> None:
    has_phone(town, "rosa", release="4.0", revoked_at=town.now)
    assert "4.0" not in words_of(board)


@pytest.mark.parametrize("pack", [{}, {"at": 0}, {"at": 2**39}, {"jobs": 3}])
def test_a_receipt_that_makes_no_sense_is_none(board: FlaskClient, town: Town, pack: dict[str, Any]) -> None:
    has_phone(town, "rosa", pack=pack)
    assert staff.NO_PHONE_INFO in words_of(board)


def test_a_crew_does_not_open_it(log_in: Callable[[str], FlaskClient]) -> None:
    assert log_in("rosa").get("/dispatch/crews").status_code == 403


def test_the_number_of_queries_does_not_grow_with_crews_phones_and_jobs(
    board: FlaskClient, town: Town, app: Flask
) -> None:
    sent = []
    for more in (1, 20):
        for _ in range(more):
            has_phone(town, "rosa")
            has_phone(town, "tom")
        with town.at_work() as scene:
            for n in range(more):
                scene.assigned("lights" if n % 2 else "trees")
        with counted(app) as statements:
            board.get("/dispatch/crews")
        sent.append(len(statements))
    assert sent[0] == sent[1] <= MOST_QUERIES
