"""Two tabs have one outbox and send at once: the city takes each thing once, politeness or not."""

from pathlib import Path

import pytest
from closings import CREW, LATER, arrived, assert_once, close_all, give_jobs, kept, wait_for
from live import Site, log_in
from phone import Van
from playwright.sync_api import Browser, Request

# And the first photo of one tab waits for that of the other, which may have been asked a moment later.
RUDE = """
  Object.defineProperty(navigator, "locks", { value: undefined });
  const { fetch: real } = window, line = new BroadcastChannel("both");
  const other = new Promise((come) => (line.onmessage = come));
  window.fetch = async (url, ...more) => {
    if (String(url).includes("/sync/v1/photos/")) {
      const told = setInterval(() => line.postMessage("here"), 50);
      await other;
      setTimeout(() => clearInterval(told), 1000);
    }
    return real.call(window, url, ...more);
  };
"""


@pytest.mark.parametrize(
    "script", [f"{LATER};(() => {{{RUDE}}})()", LATER], ids=["at once", "one after the other"]
)
def test_two_tabs_with_one_outbox(
    browser: Browser, chromium: str, tmp_path: Path, site: Site, script: str
) -> None:
    van = Van(browser.browser_type, chromium, tmp_path / "phone", site, script)
    try:
        refs = give_jobs(site, 8)
        log_in(van.page, site, CREW, "/crew")
        van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
        van.wait_until_kept()
        van.context.set_offline(True)
        tabs = [van.page, van.context.new_page()]
        tabs[1].goto(site.path("/crew"))
        tabs[1].wait_for_selector("a.job")
        ops = close_all(tabs[0], refs)
        senders = set()

        def note(request: Request) -> None:
            if "/sync/v1/photos/" in request.url:
                senders.add(request.frame.page)

        van.context.on("request", note)
        for tab in tabs:
            tab.evaluate("window.later(11)")
        van.context.set_offline(False)
        for tab in tabs:
            tab.evaluate("window.dispatchEvent(new Event('online'))")
        wait_for(lambda: arrived(site, refs) == len(refs) and not kept(tabs[0]).waiting, tabs[0])
        assert len(senders) == (2 if RUDE in script else 1)
        assert_once(site, ops)
    finally:
        van.kill()
