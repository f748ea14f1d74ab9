"""In which order tests are taken where several processes share them, and which stay in one process.

Long ones first, so that no core waits for one of them at the end. Those in a browser wait more than they
compute: they come evenly among all others, and not one after the other.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Tests of these files share what takes long to make: all of a file go to one process. The mark that
# pytest-xdist has for that does nothing with pytest 9.2, which no longer reads the name that it changes.
TOGETHER = {
    "tests/unit/demo/test_demo.py",  # two cities
    "tests/unit/photos/test_storage.py",  # a server of buckets
    "tests/unit/suite/test_translations.py",  # one reading of all the code
}  # fmt: skip


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, and those of a file in TOGETHER all at once."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """What goes to one process: tests of one unit do."""
    file = nodeid.partition("::")[0]
    return file if file in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    return Scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)


def mixed(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """All of them, both kinds at the same rate of their whole."""
    browser, others = [], []
    for item in items:
        (browser if item.get_closest_marker("browser") else others).append(item)
    others.sort(key=lambda item: item.get_closest_marker("slow") is None)
    places = [(n / len(kind), item) for kind in (others, browser) for n, item in enumerate(kind)]
    places.sort(key=lambda each: each[0])
    return [item for _, item in places]
