"""The security log: a line of JSON for each request that was refused. Files in the var folder, no table.

A table would let whoever is refused write into the database as often as they like.
"""

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

NAME = "security.log"
MOST_BYTES = 20_000_000  # then a new file is begun, and the one before the last is forgotten

log = logging.getLogger("cityline.refusals")
_one_at_a_time = threading.Lock()


def write(var: Path, told: dict[str, Any]) -> None:
    """Adds a line; a disk that is full refuses nobody anything."""
    line = json.dumps(told, separators=(",", ":")).encode() + b"\n"
    try:
        with _one_at_a_time:
            file = os.open(var / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, line)
                full = os.fstat(file).st_size > MOST_BYTES
            finally:
                os.close(file)
            if full:
                (var / NAME).replace(var / f"{NAME}.1")
    except OSError as fault:
        log.warning("the security log can't be written: %s", fault)


def counts(var: Path, since: datetime) -> Counter[str]:
    """How often each kind of thing was refused since then, as far back as the files go."""
    return Counter(told["what"] for told in _lines(var) if datetime.fromisoformat(told["time"]) >= since)


def _lines(var: Path) -> Iterator[dict[str, Any]]:
    for name in (f"{NAME}.1", NAME):
        with suppress(FileNotFoundError), (var / name).open("rb") as file:
            for line in file:
                with suppress(ValueError):  # the last one, of a disk that was full
                    yield json.loads(line)
