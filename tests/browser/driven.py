"""Browsers that no tool drives: a portal before the city puts a script into every page, which asks the test
for its next step. So they run with a disk of their own, and can be killed like a phone.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Condition
from typing import Any

from portal import REQUEST_LOST, Portal, say

PATIENCE = 120.0  # seconds for one step
ASK_AGAIN = 2.0
ASKS = b"""(async () => {
  const page = Math.random();
  for (let n = 0; ; n++) {
    const { id, step } = await import(`/driven/${page}/${n}.js`);
    if (!id) continue;
    const value = (value) => ({ id, value: value ?? null });
    const told = await Promise.resolve().then(step).then(value, (fault) => ({ id, fault: String(fault) }));
    await fetch(`/driven/${page}`, { method: "POST", body: JSON.stringify(told) });
  }
})();"""
INTO_PAGES = b'<script src="/driven/script.js"></script></head>'
NOTHING = b"export const id = 0;"
# Nothing is asked, fetched or restored at a start.
FIREFOX_SETTINGS = {
    "app.normandy.enabled": False, "app.update.auto": False, "browser.aboutwelcome.enabled": False,
    "browser.sessionstore.resume_from_crash": False, "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore", "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "toolkit.startup.max_resumed_crashes": -1,
}  # fmt: skip
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
MINIBROWSER = next(iter(sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))), None)
XVFB = shutil.which("Xvfb")


class Desk(Portal):
    """The portal that hands steps to the page that opened last, and takes what came of them."""

    def __init__(self, city: str) -> None:
        self._changed = Condition()
        self._page, self._step, self._given, self._told = "", b"", b"", dict[int, Any]()
        self._count = 0
        super().__init__(city)

    @property
    def signal(self) -> bool:
        return not self.answer

    @signal.setter
    def signal(self, there: bool) -> None:
        self.answer = "" if there else REQUEST_LOST

    def evaluate(self, script: str, given: Any = None) -> Any:
        """What `script`, a function, returns there. Raises AssertionError for what it throws."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            self._count += 1
            mine = self._count
            call = f"({script})({json.dumps(given)})"
            self._given = b""
            self._step = f"export const id = {mine};\nexport const step = () => {call};".encode()
            self._changed.notify_all()
            while mine not in self._told:
                assert self._changed.wait(deadline - time.monotonic()), f"no page did {script[:300]}"
            told = self._told.pop(mine)
        assert "fault" not in told, told["fault"]
        return told["value"]

    def forget(self) -> None:
        """The page is gone; the next step waits for another."""
        with self._changed:
            self._page, self._step, self._given = "", b"", b""
            self._changed.notify_all()

    def answers_itself(self, to: BaseHTTPRequestHandler, body: bytes) -> bool:
        if not to.path.startswith("/driven/"):
            return False
        page, _, n = to.path.removeprefix("/driven/").removesuffix(".js").partition("/")
        if to.command == "POST":
            told = json.loads(body)
            with self._changed:
                self._told[told["id"]] = told
                if told["id"] == self._count:
                    self._given = b""
                self._changed.notify_all()
            say(to, 200, b"{}", "application/json")
        else:
            say(to, 200, self._next(page, n) if n else ASKS, "text/javascript")
        return True

    def passes_on(self, kind: str, told: bytes) -> bytes:
        return told.replace(b"</head>", INTO_PAGES, 1) if kind == "text/html" else told

    def asks(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name.lower() != "accept-encoding"}

    def _next(self, page: str, n: str) -> bytes:
        deadline = time.monotonic() + ASK_AGAIN
        with self._changed:
            if n == "0":  # a step that the page before took along as it went is asked of this one
                self._page, self._step = page, self._step or self._given
            while not (self._step and page == self._page):
                if not self._changed.wait(deadline - time.monotonic()):
                    return NOTHING
            step, self._step = self._step, b""
            self._given = step
        return step


class Firefox:
    """Started without a window, with its profile as a phone's disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in FIREFOX_SETTINGS.items()]
        (folder / "user.js").write_text("\n".join(lines))
        self.command = [str(FIREFOX), "--headless", "--no-remote", "--profile", str(folder)]
        self.environment = {"HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}


class WebKit:
    """WebKitGTK's own small browser, on a screen that nobody sees."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.command = [str(MINIBROWSER), f"--cookies-file={folder / 'cookies'}"]
        self.environment = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "GDK_BACKEND": "x11"}


class Phone:
    """One of these browsers as a crew's phone."""

    def __init__(self, browser: Firefox | WebKit, desk: Desk, log: Path) -> None:
        self._browser, self._desk, self._log = browser, desk, log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, path: str) -> None:
        command = [*self._browser.command, self._desk.url + path]
        environment = os.environ | self._browser.environment
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL to the browser and all that it started."""
        if self._running:
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait(15)
            self._running = None
        self._desk.forget()
