"""The web server's threads on PostgreSQL share one processor, as only one of them computes in Python."""

import os
import subprocess
import sys
from pathlib import Path

from factories import jpeg
from flask import Flask

from city.settings import Settings

# On how many it may run: as the server begins, in a thread that it starts, while that unpacks, and after.
SERVES = """
import os, sys, threading
from city import developing, processors
from pwa.app import serve

def told(where):
    print(where, len(os.sched_getaffinity(0)))

def works():
    told("thread")
    unpacked = developing._unpacked
    developing._unpacked = lambda data: (told("unpacking"), unpacked(data))[1]
    developing.develop(open(sys.argv[1], "rb"))
    told("after")

serve()
told("server")
thread = threading.Thread(target=works)
thread.start()
thread.join()
"""


def test_only_on_postgresql_one_processor_serves_and_photos_are_unpacked_on_any(
    app: Flask, settings: Settings, tmp_path: Path
) -> None:
    picture = tmp_path / "street.jpg"
    picture.write_bytes(jpeg())
    told = {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_DATABASE_OWNER_URL": settings.database_owner_url,
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(picture)],
        env=os.environ | {name: value for name, value in told.items() if value},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    all_, one = len(os.sched_getaffinity(0)), 1 if settings.database_url.startswith("postgresql") else None
    seen = dict(line.split() for line in done.stdout.splitlines())
    wanted = {"server": one or all_, "thread": one or all_, "unpacking": all_, "after": one or all_}
    assert seen == {where: str(count) for where, count in wanted.items()}
