"""Two cities whose processes are killed while one passes cases on to the other. Run as a program: see main().

The parent has imported everything and opens no database, so that a killed side is there again by a fork.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from werkzeug.serving import make_server

from city import settings as city_settings
from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Person, RemoteRequest
from city.forwarding import following, forwards, sending
from city.forwarding.client import Client
from city.lifecycle import OPEN
from city.people import accounts
from pwa.app import create_app

OUTCOMES = ("fixed", "not found", "no action")
LONGEST = 240.0  # seconds for all of it


def main(told: dict[str, Any]) -> None:
    """Kills either side `kills` times, then lets them come to an end. `told` is what the test says."""
    chance, began = random.Random(told["seed"]), time.time()
    sides: dict[str, tuple[Callable[..., None], int]] = {}
    for name, work in (("sender", _send), ("taker", _take), ("staff", _close)):
        sides[name] = (work, _fork(work, told, began))
    try:
        for _ in range(told["kills"]):
            time.sleep(chance.uniform(0.0, told["pause"]))
            name = chance.choice(("sender", "sender", "taker", "staff"))
            work, pid = sides[name]
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sides[name] = (work, _fork(work, told, began))
        while not _is_done(told) and time.time() - began < LONGEST:
            time.sleep(0.2)
    finally:
        for _work, pid in sides.values():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _fork(work: Callable[..., None], told: dict[str, Any], began: float) -> int:
    if pid := os.fork():
        return pid
    try:
        work(told, began)
    except BaseException as fault:
        print(f"{work.__name__}: {fault!r}", file=sys.stderr, flush=True)
    os._exit(1)


def _is_done(told: dict[str, Any]) -> bool:
    """Looked at by a process of its own, so that this one may fork on."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    engine = db.connect(told["a"])
    with db.read_session(engine) as s:
        left = s.scalars(select(RemoteRequest.id).where(RemoteRequest.state != forwards.ENDED)).first()
    os._exit(0 if left is None else 1)


def _send(told: dict[str, Any], began: float) -> None:
    """The first city's worker. An hour of its clock goes by in a second, so that nothing waits for long."""
    engine, start = db.connect(told["a"]), datetime.fromisoformat(told["now"])
    here = sending.Here("https://a.example", "at_once", lambda photo: f"https://a.example/{photo}")
    while True:
        now = start + timedelta(hours=time.time() - began)
        client = Client(loopback=True, seconds=3)
        sending.send_due(engine, client, here, now)
        following.follow_due(engine, client, now)
        time.sleep(0.01)


def _take(told: dict[str, Any], _began: float) -> None:
    """The second city's web server."""
    environment = {"CITYLINE_VAR": told["b_var"], "CITYLINE_DATABASE_URL": told["b"]}
    settings = replace(city_settings.read(environment), base_url=f"http://127.0.0.1:{told['port']}")
    now = datetime.fromisoformat(told["now"])
    app = create_app(settings, now=lambda: now)
    make_server("127.0.0.1", told["port"], app, threaded=True).serve_forever(poll_interval=0.01)


def _close(told: dict[str, Any], _began: float) -> None:
    """The second city's staff: ends what came in, one after the other."""
    engine, now = db.connect(told["b"]), datetime.fromisoformat(told["now"])
    while True:
        time.sleep(0.05)
        with db.transaction(engine) as s:
            case = s.scalars(select(Case).where(Case.state.in_(OPEN)).order_by(Case.id).limit(1)).first()
            if case is None:
                continue
            by = accounts.actor(s.get_one(Person, told["closer"]))
            outcome = OUTCOMES[case.id % len(OUTCOMES)]
            transitions.close(s, case, Closing(outcome, no_photo="dark"), by=by, at=now)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
