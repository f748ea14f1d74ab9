"""Whoever is killed, and whenever: each case that is passed on is there once, and ends alike."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import factories
import forwardkills
import pytest
from factories import LAMP, Town
from sqlalchemy import select

from city.db import engine as db
from city.db.models import Case, Endpoint, RemoteRequest, Report
from city.forwarding import endpoints, forwards
from city.lifecycle import CLOSED
from city.people import accounts

pytestmark = pytest.mark.both_databases

KEY = "a-key-of-the-neighbors-0123456789"


@pytest.mark.parametrize(
    ("kills", "cases"), [(20, 12), pytest.param(200, 60, marks=pytest.mark.full)], ids=["daily", "full"]
)
def test_each_case_is_there_once_whoever_is_killed(
    town: Town, tmp_path: Path, kills: int, cases: int
) -> None:
    var = tmp_path / "b"
    var.mkdir()
    url = f"sqlite:///{var / 'b.db'}"
    db.migrate(url)
    other = db.connect(url)
    closer = factories.furnish(other)["dispatcher"]
    with db.transaction(other) as s:
        accounts.make_key(s, "A", key=KEY, by=accounts.THE_SYSTEM, at=town.now, hourly=10_000)
    other.dispose()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with town.at_work() as scene:
        row = endpoints.save(
            scene.s, None, name="Ashford", url=f"http://127.0.0.1:{port}/open311/v2", api_key=KEY,
            services={"light-out": "light-out"}, loopback=True, by=scene.actor("administrator"), at=town.now,
        )  # fmt: skip
        row.repeats = True  # as a test of it says while it is up
    for n in range(cases):  # far enough apart to be no duplicates
        with town.at_work() as scene:
            case = scene.report(place=replace(LAMP, lat=39.55 + n * 0.002)).case
            forwards.forward(
                scene.s, case, scene.s.scalars(select(Endpoint)).one(), f"The lamp {n}",
                here="https://a.example", secret="s" * 32, by=scene.actor("dispatcher"), at=town.now,
            )  # fmt: skip
    address = town.engine.url.render_as_string(hide_password=False)
    town.engine.dispose()
    told = tmp_path / "told.json"
    told.write_text(
        json.dumps(
            {
                "a": address,
                "b": url,
                "b_var": str(var),
                "port": port,
                "closer": closer,
                "seed": kills,
                "kills": kills,
                "pause": 0.4,
                "now": (town.now + timedelta(minutes=1)).isoformat(),
            }
        )
    )
    done = subprocess.run(
        [sys.executable, forwardkills.__file__, str(told)], capture_output=True, text=True, timeout=400,
        env=os.environ | {"PYTHONPATH": str(Path(forwardkills.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    other = db.connect(url)
    with db.read_session(other) as s:
        theirs = {report.number: report.case for report in s.scalars(select(Report))}
        outcomes = {number: (case.state, case.outcome) for number, case in theirs.items()}
        words = sorted(report.words.partition("\n")[0] for report in s.scalars(select(Report)))
    other.dispose()
    assert words == sorted(f"The lamp {n}" for n in range(cases)), done.stderr
    with town.looking() as scene:
        rows = list(scene.s.scalars(select(RemoteRequest)))
        ours = {row.their_id: scene.s.get_one(Case, row.case_id) for row in rows}
        assert {number: (case.state, case.outcome) for number, case in ours.items()} == outcomes
        assert {case.state for case in ours.values()} == {CLOSED}
    town.is_right()
