"""A real server that ends at a point of its work, as a power cut would. Run by test_crash.py, never imported.

The points are laid around the program from outside: nothing of it knows of them.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from city.audit import events
from city.db import engine as db
from city.settings import read
from pwa.app import create_app
from sync import push, uploads


def dies(whole: Any, name: str, *, after: bool) -> None:
    """Ends the process before or after the first call of that function."""
    real: Callable[..., Any] = getattr(whole, name)

    def fatal(*args: Any, **told: Any) -> Any:
        if after:
            real(*args, **told)
        os._exit(9)

    setattr(whole, name, fatal)


def before_rename() -> None:
    """Ends the process between the bytes of a photo and their name."""
    real = Path.rename

    def fatal(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            os._exit(9)
        return real(self, target)

    Path.rename = fatal  # type: ignore[method-assign]


POINTS: dict[str, Callable[[], None]] = {
    "nowhere": lambda: None,
    "after the row": lambda: dies(push, "_store", after=True),
    "before the clock": lambda: dies(db, "next_sequence", after=False),
    "before the commit": lambda: dies(events, "_seal", after=True),
    "after the commit": lambda: dies(push, "in_transaction", after=True),
    "after a piece": lambda: dies(uploads, "append", after=True),
    "before a photo is staged": lambda: dies(uploads, "finish", after=False),
    "before the rename": before_rename,
}

if __name__ == "__main__":
    app = create_app(read())
    POINTS[sys.argv[1]]()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()
