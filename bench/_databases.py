"""An empty, migrated database of each kind that keeps its word at a power cut, for one bench."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._postgres import PostgresServer
from city.db import engine as db

KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Database:
    """`owner_url` is empty on SQLite, which knows no roles."""

    url: str
    owner_url: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """As an installation names it."""
        return {"CITYLINE_DATABASE_URL": self.url, "CITYLINE_DATABASE_OWNER_URL": self.owner_url}


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Database]:
    """SQLite's lies in `folder`, PostgreSQL's in a throwaway server; both begin empty, as does `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'cityline.db'}"
        db.migrate(url)
        yield Database(url)
        return
    server = PostgresServer(durable=True)
    try:
        server.start()
        app, owner = server.url("cityline_app", "migrated"), server.url("cityline_owner", "migrated")
        db.migrate(owner, app)
        yield Database(app, owner)
    finally:
        server.stop()
