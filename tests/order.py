"""In which order tests are taken where several processes share them.

Long ones first, so that no core waits for one of them at the end. Those in a browser wait more than they
compute: they come evenly among all others, and not one after the other.
"""

from collections.abc import Iterable

import pytest


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
