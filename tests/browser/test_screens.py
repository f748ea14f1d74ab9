"""Every screen in both languages, every theme and both sizes: nothing wrong for axe, no broken word, nothing
off the side.

A page is opened once and looked at in one theme after the other: what differs between them is style alone.
`bin/test` looks at each screen in one theme, at the next in another; all at each in `bin/test --full`.

With CITYLINE_SCREENSHOTS=docs/screenshots the pictures are kept there.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from closings import give_jobs
from live import DESK, PHONE, Site, log_in
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from sqlalchemy import select
from wording import crew

from city.db import engine as db
from city.db.models import Case, Device, ImportRun, Photo, Report, SecretLink
from city.people import accounts
from city.reports import intake

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
TANSY = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
NARROW: dict[str, Any] = {"viewport": {"width": 320, "height": 640}}
# Spanish takes more room, so it is looked at every time; English before a release.
IN_EACH_LANGUAGE = pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.full)])
IN_EACH_THEME = bool(os.environ.get("CITYLINE_FULL") or os.environ.get("CITYLINE_SCREENSHOTS"))
THEMES = ("light", "dark")
SUN_TOO = (*THEMES, "sun")
VIOLATIONS = """async only => {
  const found = await axe.run(only ? { runOnly: only } : {});
  return found.violations.map(v => [v.id, v.nodes.map(n => n.html)]);
}"""
HANG = """() => {
  const page = document.scrollingElement;
  return page.scrollWidth - page.clientWidth;
}"""
# Words that a line ends within. A hash, an address or a key of a file may: nobody reads those as words.
BROKEN = """() => {
  const broken = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent.closest("script, style, template, textarea, code, .leaflet-container, .unseen")) continue;
    if (!parent.checkVisibility()) continue; // in a part that is closed: it has another width once it is open
    if (parent.getBoundingClientRect().width < 3 || node.data.includes("://")) continue;
    for (const { index, 0: word } of node.data.matchAll(/\\p{L}+/gu)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const lines = [...range.getClientRects()].filter(each => each.width > 0);
      const tops = lines.map(each => Math.round(each.top));
      if (new Set(tops).size > 1) broken.push(word);
    }
  }
  return broken;
}"""
# What gloves would miss: under 64 px, and under 72 where it is the screen's main button. A map's pins reach
# further than they look.
TOO_SMALL = """() => [...document.querySelectorAll("a, button, summary, label:has(input), .input")]
  .filter(each => each.getClientRects().length && !each.closest(".leaflet-container, .unseen, .skip"))
  .map(each => [each, each.getBoundingClientRect(), each.matches(".button--act") ? 72 : 64])
  .filter(([, { width, height }, least]) => width < 63.5 || height < least - .5)
  .map(([each, { width, height }]) => `${each.outerHTML.slice(0, 90)} ${width} x ${height}`)"""
# Chooses the sun theme as the crew's set-up does, or takes it back, and ends what still moves.
CHOOSE = """theme => {
  if (theme === "sun") {
    localStorage.setItem("cl-theme", theme);
    document.documentElement.dataset.theme = theme;
  } else {
    localStorage.removeItem("cl-theme");
    delete document.documentElement.dataset.theme;
  }
  const moving = () => document.getAnimations().filter(each => each instanceof CSSTransition);
  for (let left = moving(); left.length; left = moving()) left.forEach(each => each.finish());
  return getComputedStyle(document.documentElement).colorScheme;
}"""

Open = Callable[..., BrowserContext]
Keep = Callable[[Page, str], None]


@pytest.fixture
def keep() -> Keep:
    """Keeps a picture where the environment says so."""
    folder = os.environ.get("CITYLINE_SCREENSHOTS")

    def picture(page: Page, name: str) -> None:
        if folder:
            page.wait_for_timeout(300)  # until nothing moves any more
            page.screenshot(path=Path(folder) / f"{name}.png")

    return picture


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """Errors that a page wrote to the console; there must be none."""
    found: list[str] = []
    yield found
    assert found == []


def watched(page: Page, faults: list[str]) -> Page:
    def note(message: ConsoleMessage) -> None:
        # An answer 404 or 422 that a test asks for is written there too.
        # axe, which comes from nowhere, tries styles that our policy refuses.
        ours = message.location["url"] != ""
        if message.type == "error" and ours and "status of 4" not in message.text:
            faults.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    return page


def looked_at(page: Page, name: str, keep: Keep, themes: tuple[str, ...] = THEMES) -> None:
    """In every theme axe finds nothing, nothing hangs over the side, and the picture is kept.

    After the first theme axe looks at contrast alone: nothing else that it knows differs between themes.
    The page stays in the last theme, so that what is opened next starts in it.
    """
    if not IN_EACH_THEME:
        themes = (themes[crc32(name.encode()) % len(themes)],)
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE.read_text())
    for n, theme in enumerate(themes):
        scheme = "dark" if theme == "dark" else "light"
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CHOOSE, theme) == scheme
        keep(page, f"{name}-{theme}")
        found = page.evaluate(VIOLATIONS, ["color-contrast"] if n else None)
        assert found == [], f"{name}-{theme}: {found}"
        assert page.evaluate(BROKEN) == [], f"{name}-{theme}: broken inside a word"
        wide = page.evaluate(HANG)
        assert wide <= 0, f"{name}-{theme}: {wide} px hang over the side"


def prefix(lang: str) -> str:
    return "" if lang == "en" else f"/{lang}"


@IN_EACH_LANGUAGE
def test_what_residents_see(site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str) -> None:
    context = open_context(**PHONE, geolocation=TANSY, permissions=["geolocation"])
    page = watched(context.new_page(), faults)
    at = site.path(prefix(lang))
    page.goto(at + "/")
    looked_at(page, f"home-{lang}", keep)
    page.locator("input[type=file][capture]").set_input_files("city/demo/photo_files/lamp-before.jpg")
    page.locator("label.tile").first.tap()
    page.wait_for_selector("#place-card b")
    looked_at(page, f"report-{lang}", keep)
    page.locator("[data-map]").tap()
    page.wait_for_selector(".numberpin")
    looked_at(page, f"report-map-{lang}", keep)
    page.set_viewport_size({"width": 320, "height": 180})
    looked_at(page, f"report-map-low-{lang}", keep)
    page.set_viewport_size(PHONE["viewport"])
    page.locator("[data-do=close]").tap()
    page.locator("#place-change").tap()
    page.fill("#place", "")
    page.locator("#place").press_sequentially("214")
    page.wait_for_selector("[role=option]")
    looked_at(page, f"report-typing-{lang}", keep)
    page.keyboard.press("Escape")
    page.locator("[data-locate]").tap()
    page.fill("#words", "x" * 5000)
    page.locator("#send").tap()
    page.wait_for_selector("#errors")
    looked_at(page, f"report-error-{lang}", keep)
    page.fill("#words", "")
    page.locator("#send").tap()
    page.wait_for_url(re.compile("/sent/"))
    looked_at(page, f"sent-{lang}", keep)
    for state in ("closed", "waiting", "assigned", "new"):
        number = case_in(site, state)
        page.goto(f"{at}/case/{number}")
        looked_at(page, f"case-{state}-{lang}", keep)
    secret = secret_of(site, case_in(site, "closed"))
    for question in ("fixed", "not-fixed"):
        page.goto(f"{at}/s/{secret}/{question}")
        looked_at(page, f"{question}-{lang}", keep)
    for path, name in (
        ("/cases", "cases"), ("/cases?state=closed", "cases-closed"), ("/cases?before=1", "cases-empty"),
        ("/login", "login"), ("/no-such-page", "not-found"), ("/offline", "offline"),
        ("/trash-day", "trash-day"), ("/trash-day?lat=39.5975&lon=-71.2056", "trash-day-told"),
        ("/trash-day?lat=41&lon=-71.2", "trash-day-outside"), ("/answers", "answers"),
        ("/answers?q=trahs+day", "answers-found"), ("/answers?q=zeppelin", "answers-none"),
        ("/follow", "follow"), ("/follow/area/Eastbank", "follow-area"),
        (f"/follow/case/{case_in(site, 'assigned')}", "follow-case"),
        ("/answers?topic=taxes", "answers-topic"), ("/answers/trash-day", "answer"), ("/mine", "mine"),
    ):  # fmt: skip
        page.goto(at + path)
        looked_at(page, f"{name}-{lang}", keep)


@IN_EACH_LANGUAGE
def test_what_the_figures_show(
    site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str
) -> None:
    for size, device in (("desk", DESK), ("phone", PHONE)):
        page = watched(open_context(**device).new_page(), faults)
        for path in ("/value", "/performance", "/data", "/data/dictionary"):
            page.goto(site.path(prefix(lang) + path))
            for summary in page.locator("summary").all():
                summary.click()
            for table in page.locator(".grid--tall").all() if size == "phone" else []:
                assert table.evaluate(
                    "table => table.parentElement.scrollWidth <= table.parentElement.clientWidth"
                )
            looked_at(page, f"{path[1:].replace('/', '-')}-{size}-{lang}", keep, SUN_TOO)


@IN_EACH_LANGUAGE
def test_what_dispatchers_see(
    site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str
) -> None:
    page = watched(open_context(**DESK).new_page(), faults)
    log_in(page, site, "dispatcher@demo.test", prefix(lang) + "/dispatch")
    page.wait_for_selector(".leaflet-container .pin")
    page.keyboard.press("j")
    page.wait_for_selector(".drawer h2")
    looked_at(page, f"board-{lang}", keep)
    page.keyboard.press("c")
    page.wait_for_selector("#do-close:not([hidden])")
    looked_at(page, f"board-close-{lang}", keep)
    page.goto(site.path(prefix(lang) + "/dispatch?words=nothing-like-it"))
    looked_at(page, f"board-empty-{lang}", keep)
    page.goto(site.path(prefix(lang) + "/me"))
    looked_at(page, f"me-{lang}", keep)
    page.goto(site.path(prefix(lang) + photo_to_cover(site)))
    page.locator("#boxes input").first.fill("10")
    looked_at(page, f"redaction-{lang}", keep)
    phone = watched(open_context(**PHONE).new_page(), faults)
    log_in(phone, site, "dispatcher@demo.test", prefix(lang) + "/dispatch")
    looked_at(phone, f"board-phone-{lang}", keep)
    phone.goto(site.path(prefix(lang) + photo_to_cover(site)))
    looked_at(phone, f"redaction-phone-{lang}", keep)


@IN_EACH_LANGUAGE
def test_what_call_takers_see(
    site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str
) -> None:
    for size, options in (("desk", DESK), ("phone", PHONE)):
        page = watched(open_context(**options).new_page(), faults)
        log_in(page, site, "desk@demo.test", prefix(lang) + "/desk")
        looked_at(page, f"calls-{size}-{lang}", keep, SUN_TOO)
        page.locator("#sought").press_sequentially("tree")
        page.wait_for_selector('#found [role="option"]')
        looked_at(page, f"calls-list-{size}-{lang}", keep, SUN_TOO)
        page.keyboard.press("Enter")
        page.wait_for_selector("#say blockquote")
        looked_at(page, f"calls-problem-{size}-{lang}", keep, SUN_TOO)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#errors")
        looked_at(page, f"calls-wrong-{size}-{lang}", keep, SUN_TOO)


@IN_EACH_LANGUAGE
def test_what_administrators_see(
    site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str
) -> None:
    with db.transaction(site.engine) as s:
        worker, now = accounts.by_email(s, "crew1@demo.test"), datetime.now(UTC)
        assert worker
        s.merge(
            Device(
                id="an-old-phone", person_id=worker.id, token_hash="x", enrolled_at=now, seen_at=now,
                waiting={"ops": 12, "photos": 3},
            )
        )  # fmt: skip
        counts = {"imported": 118, "updated": 402, "unchanged": 22_890, "touched": 9, "rejected": 1}
        s.add(ImportRun(source="new-haven", began_at=now, ended_at=now, counts=counts))
        s.add(ImportRun(source="new-haven", began_at=now, ended_at=now, counts={}, undone_at=now))
    page = watched(open_context(**DESK).new_page(), faults)
    log_in(page, site, "admin@demo.test", prefix(lang) + "/admin")
    at = site.path(prefix(lang) + "/admin")
    looked_at(page, f"admin-people-{lang}", keep)
    page.locator("#email").fill("no address")
    page.locator("main .button--act").click()
    page.wait_for_selector("#errors")
    looked_at(page, f"admin-error-{lang}", keep)
    page.goto(at)
    page.locator(".list a").first.click()
    page.wait_for_load_state()
    looked_at(page, f"admin-person-{lang}", keep)
    for room in ("crews", "phones", "keys", "city-file", "imports", "mail"):
        page.goto(f"{at}/{room}")
        looked_at(page, f"admin-{room}-{lang}", keep)
    for room in ("", "/pay-property-tax", "/pay-property-tax/history", "/new"):
        page.goto(site.path(f"{prefix(lang)}/answers/edit{room}"))
        looked_at(page, f"answers-edit{room.replace('/', '-')}-{lang}", keep, SUN_TOO)
    page.locator("main button[value=preview]").click()
    page.locator("main button.button--act").click()
    page.wait_for_selector("#errors")
    looked_at(page, f"answers-edit-error-{lang}", keep, SUN_TOO)
    page.set_viewport_size({"width": 320, "height": 640})
    for room in ("", "/crews", "/phones", "/city-file", "/imports"):
        page.goto(at + room)
        looked_at(page, f"admin-narrow{room.replace('/', '-')}-{lang}", keep)


@IN_EACH_LANGUAGE
def test_what_managers_see(site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str) -> None:
    number = case_in(site, "accepted")
    for size, options in (("desk", DESK), ("phone", PHONE)):
        page = watched(open_context(**options).new_page(), faults)
        log_in(page, site, "manager@demo.test", prefix(lang) + "/dispatch")
        page.goto(site.path(f"{prefix(lang)}/dispatch/cases/{number}?do=hold"))
        page.wait_for_selector("#do-hold:not([hidden])")
        looked_at(page, f"hold-{size}-{lang}", keep)
        page.locator("#hold-reason").fill("Records request 26-118")
        page.locator("#do-hold button").click()
        page.wait_for_selector('form[action*="/hold/end"]')
        looked_at(page, f"held-{size}-{lang}", keep)
        page.goto(site.path(prefix(lang) + "/admin/records"))
        looked_at(page, f"records-{size}-{lang}", keep, SUN_TOO)
        page.goto(site.path(f"{prefix(lang)}/dispatch/cases/{number}"))
        page.locator('form[action*="/hold/end"] button').click()
        page.wait_for_selector('form[action*="/hold/end"]', state="detached")


def gloved(page: Page, name: str, keep: Keep) -> None:
    """As `looked_at`, in the sun too; and everything is large enough for gloves."""
    looked_at(page, name, keep, SUN_TOO)
    assert page.evaluate(TOO_SMALL) == [], name


@IN_EACH_LANGUAGE
def test_what_crews_see(site: Site, open_context: Open, keep: Keep, faults: list[str], lang: str) -> None:
    where: dict[str, Any] = {"geolocation": TANSY, "permissions": ["geolocation"]}
    page = watched(open_context(**PHONE, **where).new_page(), faults)
    [danger] = give_jobs(site, 1, "wire-down")
    [lamp] = give_jobs(site, 1)  # the demo's own jobs may all wait
    log_in(page, site, "crew1@demo.test", prefix(lang) + "/crew")
    page.wait_for_selector("a.job")
    expect(page.locator(f'a.job[href="#job/{danger}"] .hazard')).to_be_visible()
    expect(page.locator(f'a.job[href="#job/{lamp}"]')).to_be_visible()
    expect(page.locator(f'a.job[href="#job/{lamp}"] .hazard')).to_be_hidden()
    gloved(page, f"crew-today-{lang}", keep)
    page.goto(site.path(f"{prefix(lang)}/crew#job/{danger}"))
    expect(page.locator(".hazards")).to_contain_text({"en": "30 feet", "es": "30 pies"}[lang])
    gloved(page, f"crew-hazards-{lang}", keep)
    page.goto(site.path(f"{prefix(lang)}/crew#today"))
    page.reload()
    page.wait_for_selector("a.job")
    assert page.evaluate("document.documentElement.dataset.theme") == "sun"
    page.locator(f'a.job[href="#job/{lamp}"]').tap()
    page.wait_for_selector("[data-done]")
    gloved(page, f"crew-job-{lang}", keep)
    page.locator("[data-wait]").tap()
    page.locator('label.tile:has(input[value="utility"])').tap()
    gloved(page, f"crew-wait-{lang}", keep)
    page.locator("[data-back]").tap()
    page.locator("[data-done]").tap()
    page.locator("form .button--act").tap()
    page.wait_for_selector(".dock .errors:not([hidden])")
    gloved(page, f"crew-close-error-{lang}", keep)
    page.locator("label.tile").first.tap()
    gloved(page, f"crew-close-{lang}", keep)
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator("form .button--act").tap()
    page.wait_for_selector("#undo:not([hidden])")
    page.locator('#tabs a[href="#outbox"]').tap()
    page.wait_for_selector(".entry [data-withdraw]")
    gloved(page, f"crew-outbox-{lang}", keep)
    page.locator('#tabs a[href="#setup"]').tap()
    page.wait_for_selector("[data-install]")
    gloved(page, f"crew-setup-{lang}", keep)
    page.evaluate("navigator.storage.persist = async () => false")
    page.locator("[data-keep]").tap()
    refused = crew.STORAGE_NOT_GUARANTEED if lang == "en" else crew.STORAGE_NOT_GUARANTEED.es
    expect(page.locator("[data-fill=refused]")).to_contain_text(refused)
    gloved(page, f"crew-setup-refused-{lang}", keep)
    page.locator('#tabs a[href="#today"]').tap()
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap a.pin")
    gloved(page, f"crew-map-{lang}", keep)
    page.locator('#tabs a[href="#today"]').tap()
    page.locator('a[href="#report"]').tap()
    page.wait_for_selector('[data-if="here"]:not([hidden])')
    page.locator("form .button--act").tap()
    page.wait_for_selector(".dock .errors:not([hidden])")
    gloved(page, f"crew-report-error-{lang}", keep)
    page.locator('label.tile:has(input[name="group"])').nth(1).tap()
    page.locator('label.chip:has(input[name="answer-limb-down-blocked"])').first.wait_for()
    gloved(page, f"crew-report-questions-{lang}", keep)
    page.locator('label.tile:has(input[name="group"])').first.tap()
    page.locator('label.chip:has(input[value="wire-down"])').tap()
    gloved(page, f"crew-report-{lang}", keep)
    page.locator('button[value="close"]').tap()
    page.wait_for_selector('input[value="fixed:photo"]')
    gloved(page, f"crew-report-close-{lang}", keep)
    nobody = watched(open_context(**PHONE).new_page(), faults)
    nobody.goto(site.path(prefix(lang) + "/crew"))
    nobody.wait_for_selector("#code")
    gloved(nobody, f"crew-welcome-{lang}", keep)


# Root font in px, by width: a narrow phone; text doubled, as WCAG asks it; both, for the worst day.
SIZES = ((320, 16), (640, 32), (320, 32))


def hangs(page: Page, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[str]:
    """Where something lies beyond the side, at each size, read from the left and from the right."""
    found = []
    fonts = page.context.new_cdp_session(page)
    for width, text in sizes:
        page.set_viewport_size({"width": width, "height": 640})
        fonts.send("Page.setFontSizes", {"fontSizes": {"standard": text, "fixed": text}})
        for direction in ("rtl", "ltr"):
            page.evaluate("direction => { document.documentElement.dir = direction }", direction)
            wide = page.evaluate(HANG)
            if wide > 0:
                found.append(f"{page.url} at {width} px, text {text} px, {direction}: {wide} px")
    fonts.send("Page.setFontSizes", {"fontSizes": {"standard": 16, "fixed": 13}})
    fonts.detach()
    return found


@IN_EACH_LANGUAGE
def test_nothing_residents_see_hangs_over_the_side(site: Site, open_context: Open, lang: str) -> None:
    page = open_context(**NARROW).new_page()
    found = []
    paths = [
        "/", "/report", "/cases", "/cases?state=closed", "/cases?group=tree&before=1", "/login", "/offline",
        "/no-such-page", "/trash-day?lat=39.5975&lon=-71.2056", "/answers", "/answers?q=trash",
        "/answers/trash-day", "/answers/pay-property-tax",
        "/no-such-page", "/trash-day?lat=39.5975&lon=-71.2056", "/value", "/value?share=many", "/performance",
        "/data", "/data/dictionary", "/follow", "/follow/area/Eastbank",
        f"/follow/case/{case_in(site, 'assigned')}",
        *(f"/case/{case_in(site, state)}" for state in ("closed", "waiting", "assigned")),
    ]  # fmt: skip
    for path in paths:
        page.goto(site.path(prefix(lang) + path))
        found += hangs(page)
    page.goto(site.path(prefix(lang) + "/report"))
    page.fill("#words", "x" * 5000)
    page.locator("#send").click()
    page.wait_for_selector("#errors")
    found += hangs(page)
    assert found == []


@pytest.mark.every_variant
@pytest.mark.parametrize(
    ("who", "paths"),
    [
        ("dispatcher", ["/dispatch", "/dispatch?words=nothing-like-it", "/me"]),
        ("desk", ["/desk", "/desk?saved=answered"]),
        (
            "admin",
            [
                "/admin",
                "/admin/crews",
                "/admin/phones",
                "/admin/keys",
                "/admin/imports",
                "/admin/mail",
                "/admin/records",
                "/answers/edit",
                "/answers/edit/pay-property-tax",
                "/answers/edit/pay-property-tax/history",
            ],
        ),
    ],
)
@IN_EACH_LANGUAGE
def test_nothing_staff_see_hangs_over_the_side(
    site: Site, open_context: Open, who: str, paths: list[str], lang: str
) -> None:
    page = open_context(**NARROW).new_page()
    found = []
    log_in(page, site, f"{who}@demo.test", paths[0])
    if who == "dispatcher":
        paths = [*paths, f"/dispatch/cases/{case_in(site, 'assigned')}?do=close"]
    for path in paths:
        page.goto(site.path(prefix(lang) + path))
        found += hangs(page, SIZES[:2])  # a desk is nobody's worst day
    assert found == []


@IN_EACH_LANGUAGE
def test_nothing_crews_see_hangs_over_the_side(site: Site, open_context: Open, lang: str) -> None:
    page = open_context(**NARROW).new_page()
    found = []
    log_in(page, site, "crew1@demo.test", "/crew")
    page.goto(site.path(prefix(lang) + "/crew"))
    page.wait_for_selector("a.job")
    found += hangs(page)
    page.locator('[data-stop="now"] a.job').click()
    page.wait_for_selector("[data-done]")
    found += hangs(page)
    page.locator("[data-wait]").click()
    page.wait_for_selector('input[value="utility"]')
    found += hangs(page)
    page.locator("[data-back]").click()
    page.locator("[data-done]").click()
    page.locator("label.tile").first.click()
    found += hangs(page)
    page.goto(site.path(f"{prefix(lang)}/crew#report"))
    page.locator('label.tile:has(input[name="group"])').first.click()
    page.locator('label.chip:has(input[value="wire-down"])').click()
    found += hangs(page)
    for view, mark in (("outbox", "button[data-sync]"), ("setup", "[data-check]")):
        page.goto(site.path(f"{prefix(lang)}/crew#{view}"))
        page.wait_for_selector(f"#main {mark}", state="attached")
        found += hangs(page)
    assert found == []


def photo_to_cover(site: Site) -> str:
    """The address where parts of a resident's photo are covered."""
    with db.read_session(site.engine) as s:
        sent = select(Photo.id, Case.number).join(Case, Case.id == Photo.case_id)
        photo, number = s.execute(sent.where(Photo.report_id.is_not(None))).first() or ("", "")
    return f"/dispatch/cases/{number}/photos/{photo}/redaction"


def case_in(site: Site, state: str) -> str:
    """The number of a public case in this state, one with shown photos first."""
    with db.read_session(site.engine) as s:
        asked = (
            select(Case.number)
            .join(Report, Report.case_id == Case.id)
            .where(Case.state == state, Case.service.has(private=False))
            .order_by(Report.shown_at.is_(None), Case.id)
        )
        return s.scalars(asked).first() or ""


def secret_of(site: Site, number: str) -> str:
    """A secret link of the first report of a case, made anew."""
    token = f"look-{os.urandom(8).hex()}"
    with db.transaction(site.engine) as s:
        report = s.scalars(
            select(Report).join(Case, Case.id == Report.case_id).where(Case.number == number)
        ).first()
        assert report is not None
        link = SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=datetime.now(UTC))
        s.add(link)
    return token
