"""The counts of map and figures are what a recomputation says, after acts of processes that are killed."""

import os

import pytest
from sqlalchemy import Engine

from bench import kept
from city.settings import Settings

pytestmark = pytest.mark.both_databases

OPERATIONS = 100_000 if os.environ.get("CITYLINE_LONG") else 1_000


@pytest.mark.slow
@pytest.mark.full
def test_kept_counts_equal_a_recomputation_after_operations_and_kills(
    engine: Engine, settings: Settings
) -> None:
    found = kept.walked(engine, settings.database_url, OPERATIONS)
    assert found["differences"] == 0
    assert found["operations"] >= OPERATIONS
    assert found["cases"] > OPERATIONS / 20
    assert found["kills"] > 3
    assert found["contacts"] > OPERATIONS / 20
    assert found["batches"] >= found["undone"] > 0
