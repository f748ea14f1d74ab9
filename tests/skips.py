"""A skip that tests/skips.txt does not allow fails the run; every skip is named with its reason."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

SKIPS = Path(__file__).parent / "skips.txt"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip that nobody allowed is a failure: it says "tested" of something that was not."""
    surprises = [skip for skip in _skipped(session.config) if not _allowed(skip)]
    if surprises and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Names what was skipped and why, below the closing line."""
    for skip in _skipped(config):
        print(f"skipped{'' if _allowed(skip) else ' (not allowed by tests/skips.txt)'}: {skip}")


def _skipped(config: pytest.Config) -> list[str]:
    """Lines of node id, colon and reason."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    found = reporter.stats.get("skipped", []) if reporter else []
    return [f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}" for report in found]


def _allowed(skip: str) -> bool:
    lines = (line.strip() for line in SKIPS.read_text().splitlines())
    return any(fnmatch(skip, line) for line in lines if line and not line.startswith("#"))
