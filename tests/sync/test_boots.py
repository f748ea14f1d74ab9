"""When the server began: a start is no reason for a phone to begin anew, a memory that went back is."""

from datetime import timedelta

import pytest
from flask import Flask
from phones import Clock, Phone, make_lamp
from sqlalchemy import Engine

from city.audit import epochs
from city.settings import Settings
from pwa.app import create_app

pytestmark = pytest.mark.both_databases


def test_a_worker_that_starts_again_resets_no_phone(
    app: Flask, settings: Settings, engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange()
    for _ in range(2):
        worker = create_app(settings, now=clock)  # its start is written down like the web server's
        worker.extensions["cityline"].engine.dispose()
        for _ in range(3):
            make_lamp(engine, clock)
            assert luis.exchange()["reset"] == []


def test_the_answer_names_the_newest_start(
    app: Flask, engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    first = luis.exchange()["epoch"]
    second = epochs.start_epoch(engine, clock.tick(minutes=1))
    assert first != second
    assert luis.exchange()["epoch"] == second


def test_a_start_under_a_clock_that_runs_behind_still_follows_the_last_one(
    app: Flask, engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange()
    luis.cursors = dict.fromkeys(luis.cursors, 10_000)  # as if the database had been put back
    epochs.start_epoch(engine, clock() - timedelta(days=400))
    assert luis.exchange()["reset"] != []
