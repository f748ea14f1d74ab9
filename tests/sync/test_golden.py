"""Version 1 of the protocol as it was first spoken: a request and its answer of every kind, kept for ever.

A file in tests/golden/sync is never changed once it is committed, except for a name of the city file. New
ones are added. An answer may hold more than it did, and never less. tests/js/golden.test.js reads the same
files with the phone's own code.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from phones import OURS, Clock, Phone
from sqlalchemy import Engine, update

from city.db import engine as db
from city.db.models import Assignment
from sync.protocol import TYPES

pytestmark = pytest.mark.both_databases

FILES = sorted((Path(__file__).parents[1] / "golden" / "sync").glob("*.json"))
# What counts the changes of this database, and what is another one each time.
COUNTED, RANDOM = ("to", "version", "safe"), ("epoch", "link")


def holds(kept: Any, told: Any, name: str = "") -> bool:
    """Whether `told` says all that `kept` does."""
    if isinstance(kept, dict):
        return all(key in told and holds(value, told[key], key) for key, value in kept.items())
    if isinstance(kept, list):
        return len(kept) == len(told) and all(map(holds, kept, told))
    if name in COUNTED or name in RANDOM:
        return type(kept) is type(told)
    return bool(kept == told)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_first_phones_are_still_understood(
    file: Path, app: Flask, engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    golden = json.loads(file.read_text())
    with db.transaction(engine) as s:
        s.execute(update(Assignment).values(id=1))  # the only one, and the number that the files know it by
    clock.tick(minutes=1)
    http, device = luis.http, luis.device
    if golden["as"] == "resident":
        http = app.test_client()
        device = http.post("/sync/v1/resident", headers=OURS).json["device"]
    for body in golden["first"]:
        assert http.post("/sync/v1/exchange", json=body | {"device": device}, headers=OURS).status_code == 200
    told = http.post("/sync/v1/exchange", json=golden["request"] | {"device": device}, headers=OURS)
    assert told.status_code == 200
    assert holds(golden["answer"], told.json), told.json


def test_every_kind_of_work_has_a_file() -> None:
    kept = [json.loads(file.read_text()) for file in FILES]
    assert {op["t"] for each in kept for op in each["request"]["ops"]} == set(TYPES)


def test_less_than_was_said_is_noticed() -> None:
    assert holds({"a": [1], "to": 5}, {"a": [1], "to": 9, "more": True})
    assert not holds({"a": [1]}, {"a": [2]})
    assert not holds({"a": [1]}, {"a": []})
    assert not holds({"a": 1}, {})
