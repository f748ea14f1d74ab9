"""The app on the home screen: photos shared into it, its shortcuts, how it gets there, its number."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from closings import give_jobs
from live import PHONE, Site, log_in, wait_until_begun
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import func, select
from wording import resident, shared

from city.db import engine as db
from city.db.models import Photo, Report

pytestmark = pytest.mark.one_database

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = "async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.html)])"
LAMP = "city/demo/photo_files/lamp-before.jpg"
Open = Callable[..., BrowserContext]

# Sends what a phone's share menu would: a form of no page of ours, to the address that the manifest names.
SHARE = """([action, words]) => {
  document.body.innerHTML = `<form method=post enctype=multipart/form-data action="${action}">
    <input type=file name=photo multiple><input name=text></form>`;
  document.querySelector("[name=text]").value = words;
}"""
# What the page says to the app's icon.
ICON = """() => {
  globalThis.told = [];
  navigator.setAppBadge = async (n) => void globalThis.told.push(n);
  navigator.clearAppBadge = async () => void globalThis.told.push(0);
}"""
UNREAD = "async () => Array(Number(sessionStorage.getItem('unread'))).fill(1)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
FIREFOX = "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
OFFERED = """() => {
  const offer = new Event("beforeinstallprompt", { cancelable: true });
  offer.prompt = async () => void (globalThis.asked = (globalThis.asked ?? 0) + 1);
  dispatchEvent(offer);
}"""


def installed(page: Page, site: Site, path: str = "/") -> None:
    page.goto(site.path(path))
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")


def share(page: Page, action: str, files: list[Any], words: str = "") -> None:
    page.evaluate(SHARE, [action, words])
    page.locator("[name=photo]").set_input_files(files)
    page.evaluate("() => document.forms[0].submit()")
    page.wait_for_url(re.compile("/report"))


def count(site: Site, of: type[Photo] | type[Report]) -> int:
    with db.read_session(site.engine) as s:
        return s.scalar(select(func.count()).select_from(of)) or 0


def test_a_shared_photo_comes_into_the_form_with_signal_or_without(site: Site, open_context: Open) -> None:
    for offline in (True, False):  # last with signal: what is restored then goes ahead, whenever it arrives
        context = open_context(**PHONE)
        page = context.new_page()
        installed(page, site)
        context.set_offline(offline)
        before = count(site, Photo)
        share(page, "/share", [LAMP], "Lamp is dark https://maps.example/1")
        expect(page.locator(".shot")).to_have_count(1)
        expect(page.locator(".shot small")).to_have_text(resident.PHOTO_NOT_UPLOADED)
        expect(page.locator("#words")).to_have_value("Lamp is dark https://maps.example/1")
        page.wait_for_url(re.compile("/report$"))
        assert count(site, Photo) == before  # nothing goes to the city before Send
        page.reload()  # it is on the phone, and once
        expect(page.locator(".shot")).to_have_count(1)
        expect(page.locator("#words")).to_have_value("Lamp is dark https://maps.example/1")


def test_it_comes_to_what_was_begun_and_goes_with_send(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    installed(page, site, "/es/report")
    page.locator("label.tile").first.tap()
    page.fill("#words", "Se prende y se apaga.")
    wait_until_begun(page, "Se prende y se apaga.")
    before = count(site, Photo), count(site, Report)
    share(page, "/es/share", [LAMP], "Calle Tansy")
    expect(page.locator("#words")).to_have_value("Se prende y se apaga.\nCalle Tansy")
    expect(page.locator(".shot")).to_have_count(1)
    page.wait_for_url(re.compile("/report$"))  # by then it is kept
    page.locator("#send").tap()
    page.wait_for_selector("#errors")  # no place yet: nothing is lost, and nothing is there twice
    expect(page.locator(".shot")).to_have_count(1)
    page.fill("#place", "214 Tansy Street")
    page.locator("#send").tap()
    page.wait_for_url(re.compile("/sent/"))
    assert (count(site, Photo), count(site, Report)) == (before[0] + 1, before[1] + 1)


def test_what_is_no_photo_or_too_much_is_told(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    installed(page, site)
    pdf = {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    lamp = {"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": Path(LAMP).read_bytes()}
    share(page, "/share", [pdf, lamp])
    expect(page.locator(".shot")).to_have_count(1)
    expect(page.locator("#trouble")).to_contain_text(resident.ONLY_PHOTOS)
    share(page, "/share", [lamp] * 5)
    expect(page.locator("#trouble")).to_contain_text(resident.PHOTOS_LIMIT(most=5))
    expect(page.locator(".shot")).to_have_count(5)


@pytest.mark.full  # 20 MB through the browser take half a minute
def test_a_photo_that_is_too_large_is_told(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    installed(page, site)
    lamp = {"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": Path(LAMP).read_bytes()}
    share(page, "/share", [lamp])
    expect(page.locator(".shot")).to_have_count(1)
    large = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8" + bytes(20_000_000)}
    share(page, "/share", [large])
    expect(page.locator("#trouble")).to_contain_text(resident.PHOTO_TOO_LARGE)
    expect(page.locator(".shot")).to_have_count(1)  # the first one's still


def test_a_page_elsewhere_puts_nothing_into_the_form(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    installed(page, site)
    page.route("http://evil.localhost/", lambda route: route.fulfill(body="<p>", content_type="text/html"))
    page.goto("http://evil.localhost/")
    page.evaluate(SHARE, [site.path("/share"), "planted"])
    with page.expect_navigation() as gone:
        page.evaluate("() => document.forms[0].submit()")
    assert gone.value is not None
    assert gone.value.status == 403
    page.goto(site.path("/report#shared"))
    page.wait_for_url(re.compile("/report$"))
    expect(page.locator("#words")).to_have_value("")


def test_chromium_finds_no_fault_in_the_manifests(site: Site, open_context: Open) -> None:
    context = open_context(**PHONE)
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    for path in ("/", "/es/", "/crew", "/es/crew"):
        page.goto(site.path(path))
        told = cdp.send("Page.getAppManifest")
        assert told["errors"] == [], path
        manifest = json.loads(told["data"])
        assert manifest["scope"] == "/"
        assert len(manifest["shortcuts"]) >= 2
        for icon in [*manifest["icons"], *manifest.get("screenshots", [])]:
            if icon["type"] == "image/png":
                size = page.evaluate(
                    "async (src) => { const i = new Image(); i.src = src; await i.decode();"
                    " return `${i.naturalWidth}x${i.naturalHeight}`; }",
                    icon["src"],
                )
                assert size == icon["sizes"]


def sent(page: Page, site: Site) -> None:
    page.goto(site.path("/report"))
    page.locator("label.tile").first.tap()
    page.fill("#place", "214 Tansy Street")
    page.locator("#send").tap()
    page.wait_for_url(re.compile("/sent/"))


def test_the_way_onto_the_home_screen_is_told_once_and_after_the_first_report(
    site: Site, open_context: Open
) -> None:
    for agent, words in ((IPHONE, shared.TAP_SHARE), (FIREFOX, shared.OPEN_FIREFOX_MENU)):
        page = open_context(**PHONE, user_agent=agent).new_page()
        page.goto(site.path("/"))
        expect(page.locator("install-hint")).to_have_count(0)
        sent(page, site)
        expect(page.locator("install-hint")).to_contain_text(words, use_inner_text=True)
        page.evaluate(AXE.read_text())
        assert page.evaluate(VIOLATIONS) == []
        page.locator("[data-dismiss]").tap()
        expect(page.locator("install-hint")).to_be_hidden()
        page.reload()
        page.wait_for_load_state("networkidle")
        expect(page.locator("install-hint")).to_be_hidden()


def test_chromium_asks_by_our_button_and_the_installed_app_not_at_all(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    sent(page, site)
    expect(page.locator("install-hint")).to_be_hidden()  # no offer, no hint
    page.evaluate(OFFERED)
    page.locator("[data-install]").tap()
    expect(page.locator("install-hint")).to_be_hidden()
    assert page.evaluate("() => globalThis.asked") == 1
    there = open_context(**PHONE, user_agent=IPHONE).new_page()
    there.add_init_script("navigator.standalone = true")
    sent(there, site)
    there.wait_for_load_state("networkidle")
    expect(there.locator("install-hint")).to_be_hidden()


def test_the_crew_s_icon_counts_what_waits(site: Site, open_context: Open) -> None:
    context = open_context(**PHONE)
    page = context.new_page()
    page.add_init_script(f"({ICON})()")
    [lamp] = give_jobs(site, 1)
    log_in(page, site, "crew1@demo.test", "/crew")
    page.wait_for_selector("a.job")
    page.wait_for_function("() => globalThis.told.at(-1) === 0")
    context.set_offline(True)
    page.goto(site.path(f"/crew#close/{lamp}"))
    page.locator("label.tile").first.tap()
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator("form .button--act").tap()
    page.wait_for_function("() => globalThis.told.at(-1) === 1")
    page.wait_for_selector("#main [data-list]")
    expect(page.locator("install-hint")).to_have_count(0)  # nothing has arrived yet
    context.set_offline(False)
    page.evaluate("() => dispatchEvent(new Event('online'))")
    page.wait_for_function("() => globalThis.told.at(-1) === 0", timeout=120_000)
    page.locator('#tabs a[href="#outbox"]').tap()
    page.locator('#tabs a[href="#today"]').tap()
    page.evaluate(OFFERED)
    expect(page.locator("[data-install]")).to_be_visible()


def test_a_resident_s_icon_counts_unread_news_and_loses_the_number_with_them(
    site: Site, open_context: Open
) -> None:
    page = open_context(**PHONE).new_page()
    page.add_init_script(f"({ICON})(); ServiceWorkerRegistration.prototype.getNotifications = {UNREAD}")
    page.goto(site.path("/"))
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    for n in (2, 0):
        page.evaluate("(n) => sessionStorage.setItem('unread', n)", n)
        page.reload()
        page.wait_for_function("(n) => globalThis.told.at(-1) === n", arg=n)
