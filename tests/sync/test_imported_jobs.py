"""Jobs that came from an old system stand on phones like any other, and leave them when the run is undone."""

from pathlib import Path

import pytest
from phones import Clock, Phone, case_of
from rivertown import MAPPING, table
from sqlalchemy import Engine, select

from city.audit import events
from city.config import city_file
from city.db.engine import read_session, transaction
from city.db.models import SyncOperation
from city.imports import mapping
from city.imports import requests as request_imports
from city.imports import runs as import_runs
from city.settings import Settings

pytestmark = pytest.mark.both_databases


def test_an_imported_job_is_worked_on_and_an_undone_one_is_set_aside_for_a_person(
    engine: Engine, settings: Settings, luis: Phone, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "rivertown.toml"
    path.write_text(MAPPING.replace('"lights"', '"Lights 2"'))
    file, how = table(tmp_path, {"TEAM": "Bulbs"}), mapping.load(str(path))
    with transaction(engine) as s:
        request_imports.import_file(s, file, how, city_file.load(settings.city), at=clock(), secret="s" * 32)
    job = luis.job("26-000001")
    late = luis.op("close", job, outcome="not found")
    with transaction(engine) as s:
        import_runs.undo(s, 1, at=clock.tick(minutes=5))
    answer = luis.exchange(late)
    (result,) = answer["results"]
    assert (result["result"], result["why"]) == ("quarantined", "unknown_case")
    (gone,) = [row for news in answer["changes"].values() for row in news["gone"]]
    assert gone == {"kind": "job", "ref": "26-000001", "why": "cancelled"}
    with read_session(engine) as s:
        assert s.scalars(select(SyncOperation.review)).one(), "a person must look at what was done"
        assert events.verify(s) == []

    with transaction(engine) as s:
        request_imports.import_file(
            s, file, how, city_file.load(settings.city), at=clock.tick(minutes=5), secret="s" * 32
        )
    again = luis.job("26-000002")
    assert again["assignment"] != job["assignment"]
    assert luis.exchange(luis.op("close", again, outcome="not found"))["results"][0]["result"] == "applied"
    with read_session(engine) as s:
        assert case_of(s, "26-000002").state == "closed"
