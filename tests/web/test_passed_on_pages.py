"""A case that was passed on: the form on the board, and what its reporter and strangers read of it."""

import pytest
from factories import SECRET, Town
from flask.testing import FlaskClient
from sqlalchemy import select
from test_conversations import Staff
from test_conversations import dispatcher as dispatcher

from city.db.models import Endpoint, RemoteRequest
from city.forwarding import forwards
from city.forwarding.client import Found
from city.reports import intake


@pytest.fixture
def endpoint(town: Town) -> int:
    with town.at_work() as scene:
        row = Endpoint(
            name="Ashford & Sons", url="https://b.example/v2", services={"light-out": "SL"}, made_at=town.now,
            next_try_at=town.now, offered=[],
        )  # fmt: skip
        scene.s.add(row)
        scene.s.flush()
        return row.id


@pytest.fixture
def number(town: Town) -> str:
    with town.at_work() as scene:
        return scene.report(key="k" * 32).case.number


def test_from_the_board_to_the_residents_page(
    town: Town,
    dispatcher: Staff,
    client: FlaskClient,
    endpoint: int,
    number: str,
) -> None:
    assert 'name="endpoint"' in dispatcher.get(f"/dispatch/cases/{number}?do=forward").text
    path = f"/dispatch/cases/{number}/forward"
    assert dispatcher.post(path, {"words": "Dark"}).status_code == 422
    assert dispatcher.post(path, {"endpoint": endpoint, "words": "Dark"}).status_code == 303
    assert dispatcher.post(path, {"endpoint": endpoint, "words": "Dark"}).status_code == 422

    with town.at_work() as scene:
        row = scene.s.scalars(select(RemoteRequest)).one()
        forwards.taken(scene.s, row, "AS-17", at=town.now)
        forwards.seen(scene.s, row, Found("AS-17", "open", notes="<b>Monday</b>"), at=town.now)
    client.get(f"/s/{intake.token_for(SECRET, 'k' * 32)}")
    for page in (
        client.get(f"/case/{number}").text,
        client.application.test_client().get(f"/case/{number}").text,
    ):
        assert "Ashford &amp; Sons" in page
        assert "AS-17" in page
        assert "&lt;b&gt;Monday&lt;/b&gt;" in page
    drawer = dispatcher.get(f"/dispatch/cases/{number}").text
    assert "AS-17" in drawer
    assert 'name="endpoint"' not in drawer
