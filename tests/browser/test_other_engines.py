"""Where Chromium is not: the crew's app without signal, a battery that falls out; and a call at the desk."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from closings import CLOSE, CREW, KEPT, Kept, arrived, assert_once, give_jobs, pictures
from driven import FIREFOX, MINIBROWSER, XVFB, Desk, Firefox, Phone, WebKit
from live import Site
from phone import KEPT as SHELL_KEPT
from sqlalchemy import select
from wording import staff

from city.db import engine as db
from city.db.models import Contact
from city.people import accounts
from sync import enrolment

pytestmark = pytest.mark.one_database
JOBS, BEFORE_THE_KILL = 8, 3
BEGIN = (
    f"(given) => {{ window.saved = []; window.told = (ref) => window.saved.push(ref); ({CLOSE})(given); }}"
)
ENROL = """(code) => {
  document.querySelector("#code").value = code;
  document.querySelector("#code").form.requestSubmit();
}"""
# A page that goes takes its answer along: so it waits a moment. Where the answer is lost all the same, the
# next page is asked for this step again, and does nothing.
LOG_IN = """(email) => {
  if (!document.querySelector("#email")) return;
  document.querySelector("#email").value = email;
  setTimeout(() => document.querySelector("#email").form.requestSubmit(), 300);
}"""
USE_CODE = """() => {
  if (!document.querySelector("#code")) return;
  setTimeout(() => document.querySelector("#code").form.requestSubmit(), 300);
}"""
LEAVE = """() => {
  if (performance.getEntriesByType("navigation")[0].type === "reload") return;
  setTimeout(() => location.reload(), 300);
}"""
# What a hand does in a field, as the page hears it: letters, and a key.
TYPE = """([id, words]) => {
  const field = document.getElementById(id);
  field.focus();
  field.value = words;
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
}"""
PRESS = """([key, ctrlKey]) => {
  const event = new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
}"""
STANDS = "(id) => document.getElementById(id)?.textContent.trim() ?? ''"
VALUE = "(id) => document.getElementById(id)?.value ?? ''"
FOCUSED = "() => document.activeElement.id"
SEEN = "() => [location.hash, window.saved, document.body.innerText].join(' | ')"
LISTED = "() => document.querySelectorAll('a.job').length"


@pytest.fixture
def screen() -> Iterator[str]:
    """An X server that nobody sees."""
    if XVFB is None:
        pytest.skip("no Xvfb")
    read, write = os.pipe()
    command = [XVFB, "-displayfd", str(write), "-screen", "0", "400x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        yield f":{told.readline().strip()}"
    server.terminate()
    server.wait(15)


@pytest.fixture(params=["firefox", "webkit"])
def make_browser(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Firefox | WebKit]:
    if request.param == "firefox":
        if FIREFOX is None:
            pytest.skip("no Firefox")
        return lambda: Firefox(tmp_path / "phone")
    if MINIBROWSER is None:
        pytest.skip("no WebKitGTK")
    display = request.getfixturevalue("screen")

    def make() -> WebKit:
        browser = WebKit(tmp_path / "phone")
        browser.environment["DISPLAY"] = display
        return browser

    return make


@pytest.mark.parametrize(
    "make_browser", ["webkit", pytest.param("firefox", marks=pytest.mark.full)], indirect=True
)
def test_work_without_signal_survives_a_kill_and_arrives_once(
    make_browser: Callable[[], Firefox | WebKit], site: Site, tmp_path: Path
) -> None:
    refs = give_jobs(site, JOBS)
    shots = pictures(refs)
    with db.transaction(site.engine) as s:
        code = enrolment.make_code(
            s, accounts.by_email(s, CREW), by=accounts.THE_SYSTEM, at=datetime.now(UTC)
        )
    desk = Desk(site.url)
    phone = Phone(make_browser(), desk, tmp_path / "browser.log")
    try:
        phone.start("/crew")
        assert until(lambda: desk.evaluate("() => document.querySelector('#code') !== null"))
        desk.evaluate(ENROL, code)
        assert until(lambda: desk.evaluate(SHELL_KEPT))
        assert until(lambda: desk.evaluate(LISTED) >= JOBS)
        time.sleep(5)  # a browser writes some of it when it likes
        phone.kill()

        desk.signal = False
        phone.start("/crew")
        assert until(lambda: desk.evaluate(LISTED) >= JOBS)
        desk.evaluate(BEGIN, {"refs": refs, "pictures": shots})
        went = until(lambda: len(desk.evaluate("() => window.saved")) >= BEFORE_THE_KILL)
        assert went, desk.evaluate(SEEN)
        told = desk.evaluate("() => window.saved")
        phone.kill()

        phone.start("/crew")
        assert until(lambda: desk.evaluate(LISTED) > 0)
        here = kept(desk).closed()
        assert set(told) <= set(here), "what was shown as saved is on the disk"
        left = [ref for ref in refs if ref not in here]
        desk.evaluate(BEGIN, {"refs": left, "pictures": shots})
        assert until(lambda: desk.evaluate("() => window.saved") == left)
        at_last = kept(desk)
        assert at_last.closed() == dict.fromkeys(refs, 1)
        ops = [op for op in at_last.ops() if op["case"] in set(refs)]
        for photo in (photo for op in ops for photo in op["photos"]):
            assert at_last.hashes[photo["id"]] == photo["sha256"]
        assert arrived(site, refs) == 0
        phone.kill()

        desk.signal = True
        phone.start("/crew")
        assert until(lambda: arrived(site, refs) == JOBS and not kept(desk).waiting)
        assert_once(site, ops)
    finally:
        phone.kill()
        desk.close()


def test_a_call_is_found_logged_and_outlives_its_page(
    make_browser: Callable[[], Firefox | WebKit], site: Site, tmp_path: Path
) -> None:
    desk = Desk(site.url)
    machine = Phone(make_browser(), desk, tmp_path / "browser.log")

    def press(key: str, *, ctrl: bool = False) -> None:
        desk.evaluate(PRESS, [key, ctrl])

    try:
        machine.start("/login?next=/desk")
        assert until(lambda: desk.evaluate("() => document.querySelector('#email') !== null"))
        desk.evaluate(LOG_IN, "desk@demo.test")
        assert until(lambda: desk.evaluate("() => document.querySelector('#demo-code') !== null"))
        desk.evaluate(USE_CODE)
        assert until(lambda: desk.evaluate(FOCUSED) == "phone")

        desk.evaluate(TYPE, ["phone", "5550142"])
        # The field has the focus before the page's script hears any key.
        assert until(lambda: press("Enter") or desk.evaluate(FOCUSED) == "sought")
        desk.evaluate(TYPE, ["sought", "tax bill"])
        press("Enter")  # before the list is there
        assert until(lambda: "bill" in desk.evaluate(STANDS, "say")), desk.evaluate(SEEN)
        desk.evaluate(LEAVE)
        assert until(lambda: staff.CALL_DRAFT_RESTORED in desk.evaluate(STANDS, "lost")), desk.evaluate(SEEN)
        assert desk.evaluate(VALUE, "phone") == "5550142"
        press("Enter", ctrl=True)
        assert until(lambda: desk.evaluate(STANDS, "kept") == staff.CALL_ANSWERED), desk.evaluate(SEEN)
        assert desk.evaluate(VALUE, "phone") == ""
        assert desk.evaluate(FOCUSED) == "phone"
        with db.read_session(site.engine) as s:
            said = s.scalars(select(Contact).where(Contact.origin == "live")).one()
            assert (said.outcome, said.topic_code) == ("answered", "taxes")
    finally:
        machine.kill()
        desk.close()


def kept(desk: Desk) -> Kept:
    """Reads the outbox past the application."""
    return Kept(**desk.evaluate(KEPT))


def until(what: Callable[[], bool], within: float = 240) -> bool:
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
