"""A Cityline to be measured: its database under var/bench/, its server and worker, and a browser in front."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from city import settings as city_settings
from city.settings import Settings

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# --disable-dev-shm-usage: in a container the shared memory is often too small for a page's pictures.
BROWSER_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PROGRAM = str(Path(sys.executable).with_name("cityline"))
STARTED_WITHIN = 60.0
SETTLED = 5.0  # seconds in which the worker computes next to nothing
SETTLED_WITHIN = 60.0  # where others share the machine, its idle rounds alone may cost more than that


@dataclass(frozen=True)
class Site:
    """A running Cityline: its address and its settings."""

    url: str
    settings: Settings
    web: int = 0  # the web server's process
    worker: int = 0  # the worker's

    def cpu_seconds(self) -> float:
        """What the web server has computed so far: other programs on the machine do not change it much."""
        return _computed(self.web)

    def settle(self) -> None:
        """Waits until the worker has done what it found at its start, which it does only once.

        After about a minute it says that this is not so, and lets the bench begin.
        """
        before, deadline = _computed(self.worker), time.monotonic() + SETTLED_WITHIN
        while time.monotonic() < deadline:
            time.sleep(SETTLED)
            now = _computed(self.worker)
            if now - before < SETTLED / 10:
                return
            before = now
        say("The worker is still busy, so what follows is measured while it runs.")


def _computed(process: int) -> float:
    """Seconds of CPU of a process and its children so far."""
    ours, ticks = {process}, 0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(stat.parent.name)
        if pid in ours or int(fields[1]) in ours:
            ours.add(pid)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def say(words: str) -> None:
    """Progress, which is no measurement."""
    print(words, file=sys.stderr, flush=True)


def browser() -> str:
    """The path of a Chromium; ends the bench where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or sys.exit("This bench needs Chromium, but none was found.")


@contextmanager
def serving(name: str, cases: int) -> Iterator[Site]:
    """The demo city with so many cases, kept as var/bench/`name`, behind the real server and worker."""
    var = ROOT / "var" / "bench" / name
    _fill(var, cases)
    with running(var) as site:
        yield site


@contextmanager
def running(var: Path, **settings: str) -> Iterator[Site]:
    """The real server and worker over what lies in `var`; `settings` are those of docs/reference/settings.md.

    All who read sit at one address here, so that their network has no limit.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = {"CITYLINE_BASE_URL": url, "CITYLINE_READS_A_MINUTE": "0"} | settings
    environment = _environment(var, **settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child outlives a bench that is ended
    with (var / "bench.log").open("wb") as log:
        children = [
            subprocess.Popen([PROGRAM, *words], env=environment, stdout=log, stderr=log)
            for words in (["web", "--port", str(port)], ["work"])
        ]
        try:
            _wait_for(f"{url}/readyz", var / "bench.log")
            yield Site(url, city_settings.read(environment), *(child.pid for child in children))
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(60)


def fill(var: Path, cases: int, **settings: str) -> None:
    """Makes the demo city with so many cases in an empty database."""
    command = [PROGRAM, "demo", "--cases", str(cases)]
    subprocess.run(command, env=_environment(var, **settings), stdout=sys.stderr, check=True)


def _environment(var: Path, **settings: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("CITYLINE_")}
    return others | {"CITYLINE_VAR": str(var)} | settings


def _fill(var: Path, cases: int) -> None:
    """Builds the database, unless the one that is there was built by this very code."""
    sources = [path for path in (ROOT / "city").rglob("*") if path.suffix in (".py", ".toml", ".jpg")]
    made_by = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    stamp = var / "made-by"
    wanted = f"{made_by} {cases}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"Building {var.relative_to(ROOT)} with {cases} cases")
    shutil.rmtree(var, ignore_errors=True)
    fill(var, cases)
    stamp.write_text(wanted)


def _wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError as fault:
            if time.monotonic() > deadline:
                sys.exit(f"{address}: {fault}\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
