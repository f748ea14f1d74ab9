"""A crew's phone from a cold start without signal: what was saved before the power went arrives once."""

import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from closings import give_jobs, kept
from live import Site, log_in
from phone import Van
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select
from wording import crew, shared

from city.audit import events
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Case, Closure, SyncOperation
from city.people import accounts

DOCK = "form .button--act"
CAMERA_TAPS = 2
CREW = "crew1@demo.test"
ROWS = """(name) => new Promise((resolve) => {
  const open = indexedDB.open("mirror");
  open.onsuccess = () => {
    const all = open.result.transaction(name).objectStore(name).getAll();
    all.onsuccess = () => { open.result.close(); resolve(all.result); };
  };
})"""
PACKED = f"""async () => {{
  const rows = {ROWS};
  const [jobs, photos, maps] = [await rows("jobs"), await rows("photos"), await rows("map")];
  const wanted = new Set(jobs.flatMap(({{ job }}) => (job.told ?? []).flatMap((each) => each.photos ?? [])));
  return {{
    jobs: jobs.length, photos: photos.length, wanted: wanted.size, map: maps[0]?.data.byteLength ?? 0,
  }};
}}"""
WITH_PHOTO = f"""async () => {{
  const jobs = await ({ROWS})("jobs");
  return jobs.find(({{ job }}) => (job.told ?? []).some((each) => each.photos?.length)).job.ref;
}}"""
# How many colours the drawn map has: one is an empty sheet.
COLOURS = """() => {
  const seen = new Set();
  for (const canvas of document.querySelectorAll(".crewmap canvas")) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4 * 97) seen.add(data.slice(i, i + 4).join());
  }
  return seen.size;
}"""
LOADED = "() => performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)"


def ready(van: Van, site: Site) -> str:
    """The phone at its jobs, kept for a start without signal. Returns the number of an open job."""
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    van.wait_until_kept()
    return number_of(van.page)


def number_of(page: Page) -> str:
    href = page.locator('li[data-stop="now"] a.job').get_attribute("href") or ""
    return href.removeprefix("#job/")


def close(page: Page, number: str) -> None:
    page.locator(f'a.job[href="#job/{number}"]').tap()
    page.locator("[data-done]").tap()
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator("form .button--act").tap()
    page.wait_for_selector("#undo:not([hidden])")


def closings(site: Site, number: str) -> list[str]:
    """What the city holds of the closing: its operations, and how the case's present cycle ended.

    A case of the demo may have been closed and reopened before, as the hour falls.
    """
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        told = [
            op.result["result"]
            for op in s.scalars(select(SyncOperation).where(SyncOperation.case_ref == number))
        ]
        ended = select(Closure.outcome).where(Closure.case_id == case.id, Closure.cycle == case.cycle)
        return [*told, *s.scalars(ended)]


def wait_for(what: Callable[[], bool], within: float = 120) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_closing_survives_a_kill_and_arrives_exactly_once(van: Van, site: Site) -> None:
    number = ready(van, site)
    van.kill()
    page = van.start(signal=False)
    page.wait_for_selector("a.job")
    assert not page.evaluate("fetch('/healthz').then(() => true, () => false)"), "there is no signal"
    close(page, number)
    van.kill()

    page = van.start(signal=False)
    expect(page.locator(f'a.job[href="#job/{number}"]')).to_contain_text(crew.NOT_SENT_YET(what=shared.FIXED))
    expect(page.locator("#sync")).to_contain_text(crew.TO_SEND(count=1))
    assert closings(site, number) == []

    van.context.set_offline(False)
    log_in(page, site, CREW, "/crew")
    wait_for(lambda: closings(site, number) == ["applied", "fixed"])
    van.kill()
    page = van.start(signal=True)  # the answer may have been lost with the power: then it is sent again
    log_in(page, site, CREW, "/crew")
    expect(page.locator("#sync")).to_contain_text(crew.ALL_SENT)
    assert closings(site, number) == ["applied", "fixed"]
    with db.read_session(site.engine) as s:
        assert events.verify(s) == []


def test_from_today_closing_takes_four_taps_and_with_a_photo_seven(van: Van, site: Site) -> None:
    """Of the seven two are the camera's own: shutter and "use this". Without signal, from a cold start."""
    ready(van, site)
    van.kill()
    page = van.start(signal=False)
    page.wait_for_selector("a.job")
    page.evaluate("window.taps = 0; addEventListener('pointerup', () => window.taps++, true)")

    first = number_of(page)
    for step in (f'a.job[href="#job/{first}"]', "[data-done]", 'label:has([value="fixed:dark"])', DOCK):
        page.locator(step).tap()
    page.wait_for_selector("#undo:not([hidden])")
    assert page.evaluate("window.taps") == 4
    expect(page.locator(f'a.job[href="#job/{first}"]')).to_contain_text(crew.NOT_SENT_YET(what=shared.FIXED))

    page.evaluate("window.taps = 0")
    second = number_of(page)
    page.locator(f'a.job[href="#job/{second}"]').tap()
    page.locator("[data-done]").tap()
    with page.expect_file_chooser() as camera:
        page.locator("label.tile--lead").tap()
    camera.value.set_files("city/demo/photo_files/lamp-before.jpg")
    page.get_by_text(crew.PHOTOS(1)).first.wait_for()
    page.locator(DOCK).tap()
    expect(page.locator(f'a.job[href="#job/{second}"]')).to_contain_text(crew.NOT_SENT_YET(what=shared.FIXED))
    assert page.evaluate("window.taps") + CAMERA_TAPS <= 7
    expect(page.locator("#sync")).to_contain_text(crew.TO_SEND(count=2))


def test_all_that_the_shell_loads_is_on_the_phone(van: Van, site: Site) -> None:
    ready(van, site)
    loaded = {path for path in van.page.evaluate(LOADED) if path.startswith("/static/")}
    kept = set(
        van.page.evaluate(
            """async () => {
              const name = (await caches.keys()).find((each) => each.startsWith("cityline-crew-"));
              return (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname);
            }"""
        )
    )
    assert loaded - kept == set()
    assert {"/crew", "/es/crew"} <= kept


def test_a_phone_that_died_between_two_languages_keeps_the_other_at_the_next_start(
    van: Van, site: Site
) -> None:
    ready(van, site)
    van.page.evaluate(
        """async () => {
          for (const name of await caches.keys()) await (await caches.open(name)).delete("/es/crew");
        }"""
    )
    van.page.reload()
    van.wait_until_kept()


def test_a_new_release_waits_for_the_next_start_and_takes_the_queue_along(van: Van, site: Site) -> None:
    number = ready(van, site)
    # The closing stays until the next start, however long all this takes.
    van.context.route("**/sync/v1/exchange", lambda route: route.abort())
    van.context.set_offline(True)
    close(van.page, number)
    old = van.page.evaluate("document.body.dataset.release")
    renew(site)
    van.context.set_offline(False)
    van.page.evaluate("navigator.serviceWorker.getRegistration().then((found) => found.update())")
    # The new release is fetched whole before it is offered, on a busy machine for a while.
    van.page.wait_for_selector("#newer:not([hidden])", timeout=60_000)
    assert van.page.evaluate("document.body.dataset.release") == old, "never under a running page"
    van.context.set_offline(True)
    van.kill()

    page = van.start(signal=False)
    page.wait_for_selector("a.job")
    for _ in range(5):  # a worker that wakes up late takes its turn at the start after
        if page.evaluate("document.body.dataset.release") != old:
            break
        page.reload()
        page.wait_for_selector("a.job")
    wait_for_another_release(page, old)
    expect(page.locator("#sync")).to_contain_text(crew.TO_SEND(count=1))
    van.context.set_offline(False)
    log_in(page, site, CREW, "/crew")
    wait_for(lambda: closings(site, number) == ["applied", "fixed"])


def test_a_tap_takes_the_new_release_at_once(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    old = page.evaluate("document.body.dataset.release")
    renew(site)
    page.evaluate("navigator.serviceWorker.getRegistration().then((found) => found.update())")
    page.locator("#newer button").tap(timeout=90_000)  # the whole release is fetched first
    page.wait_for_selector("a.job")
    wait_for_another_release(page, old)
    expect(page.locator("#newer")).to_be_hidden()


def test_jobs_photos_and_map_are_packed_and_shown_without_signal(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    page.goto(site.path("/crew#setup"))
    expect(page.locator("[data-install]")).to_be_visible()
    expect(page.locator("[data-check=jobs]")).to_contain_text(crew.MAP_MISSING)
    van.install()
    page.reload()
    expect(page.locator("[data-check=jobs]")).to_contain_text(crew.MAP_READY, timeout=120_000)
    told = page.evaluate(PACKED)
    assert min(told["jobs"], told["photos"]) > 0
    assert told["photos"] == told["wanted"]
    assert told["map"] > 10_000
    van.kill()

    page = van.start(signal=False)
    page.wait_for_selector("a.job")
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap a.pin")
    wait_for(lambda: page.evaluate(COLOURS) > 3)
    page.locator('#tabs a[href="#today"]').tap()
    ref = page.evaluate(WITH_PHOTO)
    page.goto(site.path(f"/crew#job/{ref}"))
    image = page.locator("[data-photos] img").first
    image.wait_for()
    wait_for(lambda: bool(image.evaluate("image => image.complete && image.naturalWidth > 0")))


SHUT_ONCE = """
  const { get } = IDBObjectStore.prototype;
  let open = false;
  IDBObjectStore.prototype.get = function (key) {
    if (key !== "who" || open) return get.call(this, key);
    open = true;
    throw new DOMException("the browser took the handle away", "UnknownError");
  };
"""


def test_a_disk_that_fails_once_at_the_start_does_not_end_the_page(van: Van, site: Site) -> None:
    ready(van, site)
    van.context.add_init_script(SHUT_ONCE)
    van.page.reload()
    van.page.wait_for_selector("a.job")


def test_whoever_logs_out_elsewhere_leaves_no_jobs_behind_and_all_of_the_work(van: Van, site: Site) -> None:
    number = ready(van, site)
    page = van.page
    van.context.set_offline(True)
    # The city hears nothing of it meanwhile: this is about what stays on the phone.
    van.context.route("**/sync/v1/exchange", lambda route: route.abort())
    close(page, number)
    before = kept(page).ops()
    assert "close" in {op["t"] for op in before}
    van.context.set_offline(False)
    page.goto(site.path("/me"))
    page.get_by_role("button", name=shared.LOG_OUT).tap()
    page.wait_for_url(site.path("/"))
    assert page.evaluate(f"({ROWS})('jobs')") == []
    page.goto(site.path("/crew"))
    page.wait_for_selector("#code")
    expect(page.locator("a.job")).to_have_count(0)
    assert kept(page).ops() == before


def test_a_closing_opened_before_any_job_is_on_the_phone_comes_with_the_jobs(van: Van, site: Site) -> None:
    (number,) = give_jobs(site, 1)
    log_in(van.page, site, CREW, "/me")
    van.page.goto(site.path(f"/crew#close/{number}"))
    expect(van.page.locator("form:has([data-camera])")).to_be_visible()


def test_a_form_stays_as_it_was_first_drawn(van: Van, site: Site) -> None:
    """The end of an exchange draws the screen too, as the crew opens the form or has filled it in."""
    ready(van, site)
    (number,) = give_jobs(site, 1)
    page = van.page
    page.reload()
    page.wait_for_selector(f'a.job[href="#job/{number}"]')
    page.evaluate(
        """(hash) => {
          window.forms = [];
          new MutationObserver(() => {
            const form = document.querySelector("#main form:has([data-camera])");
            if (form && !window.forms.includes(form)) window.forms.push(form);
          }).observe(document.querySelector("#main"), { childList: true });
          location.hash = hash;
          for (let n = 0; n < 5; n++) window.dispatchEvent(new HashChangeEvent("hashchange"));
        }""",
        f"#close/{number}",
    )
    page.wait_for_selector("form:has([data-camera])")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.evaluate("document.querySelector('.skip').click()")
    with page.expect_response("**/sync/v1/exchange"):
        page.evaluate("window.dispatchEvent(new Event('online'))")
    page.wait_for_timeout(1_000)
    expect(page.locator('input[value="fixed:dark"]')).to_be_checked()
    assert page.evaluate("window.forms.length") == 1


def test_an_address_that_a_hand_spoiled_opens_the_days_jobs(van: Van, site: Site) -> None:
    ready(van, site)
    page, faults = van.page, list[str]()
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    for spoiled in ("__proto__/x", "constructor", "job/%E0%A4%A", "%"):
        page.goto("about:blank")
        page.goto(site.path(f"/crew#{spoiled}"))
        page.wait_for_selector("a.job")
        page.evaluate("location.hash = '#outbox'")
        page.wait_for_selector("a.job", state="detached")
        page.evaluate("hash => { location.hash = hash; }", f"#{spoiled}")
        page.wait_for_selector("a.job")
        expect(page.locator("#tabs [aria-current=page]")).to_have_attribute("href", "#today")
    assert faults == []


def wait_for_another_release(page: Page, old: str) -> None:
    """Until another release is shown; while the page begins anew, none is."""
    body = page.locator(f"body[data-release]:not([data-release='{old}'])")
    expect(body).to_have_count(1)


def renew(site: Site) -> None:
    """Another release on the running server: the city changes its colour."""
    text, before = site.settings.city.read_text().replace("#0e4a86", "#7a1f5c"), worker_of(site)
    with db.transaction(site.engine) as s:
        config_versions.publish(s, text, "city.toml", by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    # The server looks every few seconds, and who asks in that very moment is still told of the old one.
    until = time.monotonic() + 30
    while worker_of(site) == before:
        assert time.monotonic() < until, "the server does not take it up"
        time.sleep(0.5)


def worker_of(site: Site) -> bytes:
    with urllib.request.urlopen(site.path("/sw.js")) as answer:
        return answer.read()


def test_the_jobs_go_with_a_log_out_whose_answer_is_lost(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    van.context.route("**/sync/v1/exchange", lambda route: route.abort())
    page.goto(site.path("/me"))
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.request.url)
        route.fetch(max_redirects=0)  # the city has ended the session
        return route.abort()

    van.context.route("**/logout", lose)
    with (
        page.expect_navigation(),
        page.expect_event("requestfailed", lambda asked: asked.url.endswith("/logout")),
    ):
        page.get_by_role("button", name=shared.LOG_OUT).tap()
    page.wait_for_selector("h1")
    assert lost
    van.context.unroute("**/sync/v1/exchange")
    page.goto(site.path("/crew"))
    expect(page.locator("#code")).to_be_visible()
    expect(page.locator("#sync")).to_be_hidden()  # nothing waits here, and nothing can be sent
    assert page.evaluate(f"({ROWS})('jobs')") == []
