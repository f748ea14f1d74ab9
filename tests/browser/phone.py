"""A crew's phone with its own disk: it can be killed, started again, and have no signal."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from live import PATIENCE, PHONE, Site
from playwright.sync_api import BrowserContext, BrowserType, Error, Page

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Chromium without a window has no home screen to be opened from.
INSTALLED = """
  const asked = window.matchMedia.bind(window);
  const yes = Object.assign(new EventTarget(), { matches: true });
  window.matchMedia = (query) => (query === "(display-mode: standalone)" ? yes : asked(query));
"""
KEPT = """async () => {
  await navigator.serviceWorker.ready;
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    const shells = await Promise.all(["/crew", "/es/crew"].map((shell) => cache.match(shell)));
    if (name.startsWith("cityline-crew-") && shells.every(Boolean)) return true;
  }
  return false;
}"""


class Van:
    """One phone: `folder` is its disk, which outlives the browser. `script` runs before each page's own."""

    def __init__(
        self, browser: BrowserType, chromium: str, folder: Path, site: Site, script: str = ""
    ) -> None:
        def start() -> BrowserContext:
            context = browser.launch_persistent_context(
                folder, executable_path=chromium, args=ARGUMENTS, **PHONE
            )
            if script:
                context.add_init_script(script)
            return context

        self._start: Callable[[], BrowserContext] = start
        self._folder, self._site = folder, site
        self.context = self._start()
        self.page: Page = self.context.pages[0]
        self.page.set_default_timeout(PATIENCE)

    def kill(self) -> None:
        """As when a battery falls out: SIGKILL to the browser, which nobody asked first."""
        for pid in self._pids():
            with suppress(ProcessLookupError):  # the others leave with the first
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self._pids() and time.monotonic() < deadline:
            time.sleep(0.05)
        with suppress(Error):  # which finds nobody there any more
            self.context.close()

    def start(self, *, signal: bool, path: str = "/crew", quota: int = 0) -> Page:
        """The browser again on the same disk, at the crew's page.

        With a `quota` the city's pages may keep so many bytes. It is set before the first of them opens: a
        browser remembers for a while how much room there was.
        """
        for left in self._folder.glob("Singleton*"):
            left.unlink()
        self.context = self._start()
        self.context.set_offline(not signal)
        self.page = self.context.pages[0]
        self.page.set_default_timeout(PATIENCE)
        if quota:
            told = {"origin": self._site.url, "quotaSize": quota}
            self.context.new_cdp_session(self.page).send("Storage.overrideQuotaForOrigin", told)
        self.page.goto(self._site.path(path))
        return self.page

    def install(self) -> None:
        """The page takes itself for the installed app, as from the home screen."""
        self.context.add_init_script(INSTALLED)

    def wait_until_kept(self) -> None:
        """Until the next start needs no signal."""
        deadline = time.monotonic() + 90
        while not self.page.evaluate(KEPT):
            assert time.monotonic() < deadline, "the worker never kept the shell"
            time.sleep(0.1)

    def _pids(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                told = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
            except OSError:
                continue
            if f"--user-data-dir={self._folder}".encode() in told:
                found.append(int(entry.name))
        return found
