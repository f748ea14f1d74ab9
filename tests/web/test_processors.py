"""The web server's threads on PostgreSQL share one processor, as only one of them computes in Python."""

import os
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from factories import jpeg
from servers import servers_at, serving

from city.settings import Settings

pytestmark = pytest.mark.both_databases

# Where it may run: as the server begins, in a thread that it starts, after a photo; and where its decoder.
SERVES = """
import os, pathlib, sys, threading
from city.photos import processing
from pwa.app import serve

def told(where, process=0):
    print(where, *sorted(os.sched_getaffinity(process)))

def works():
    told("thread")
    processing.process(pathlib.Path(sys.argv[1]).read_bytes())
    told("decoded")
    told("decoder", processing._decoder._process.pid)

serve()
told("server")
thread = threading.Thread(target=works)
thread.start()
thread.join()
"""


@pytest.mark.slow
def test_only_on_postgresql_one_processor_serves_and_photos_are_decoded_on_the_others(
    environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    picture = tmp_path / "street.jpg"
    picture.write_bytes(jpeg())
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(picture)], env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours = frozenset(os.sched_getaffinity(0))
    seen = {}
    for line in done.stdout.splitlines():
        where, *where_it_may = line.split()
        seen[where] = frozenset(map(int, where_it_may))
    worked = seen.pop("decoder")
    assert seen.keys() == {"server", "thread", "decoded"}
    (served,) = set(seen.values())
    if settings.database_url.startswith("postgresql"):
        assert (len(served), worked) == (1, ours - served or served)
    else:
        assert (served, worked) == (ours, ours)


@pytest.mark.postgresql
def test_all_threads_that_answer_are_kept_to_the_same_processor(environment: dict[str, str]) -> None:
    with serving(environment) as port:
        for _ in range(5):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60).status == 200
        (server,) = children_of(servers_at(str(port)))
        threads = where_its_threads_may_run(server)
    kept = {allowed for allowed in threads if allowed.isdigit()}
    elsewhere = [allowed for allowed in threads if not allowed.isdigit()]
    assert len(kept) == 1
    assert len(elsewhere) <= 1  # one that was there before our code, and waits for signals


def children_of(processes: list[int]) -> list[int]:
    """Those of them that another one of them began."""
    parents = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] for pid in processes}
    return [pid for pid, parent in parents.items() if int(parent) in processes]


def where_its_threads_may_run(process: int) -> list[str]:
    """Of each of its threads as Linux writes it: "0" or "0-1"."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # it has ended
            lines = (task / "status").read_text().splitlines()
            found += [line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:")]
    return found
