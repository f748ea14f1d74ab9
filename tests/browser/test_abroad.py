"""A language that nobody speaks, from right to left, on a phone: everything has its place."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pseudo
import pytest
from closings import give_jobs
from live import PHONE, Site, log_in
from playwright.sync_api import BrowserContext, Page
from sqlalchemy import Engine

from city.config import versions as config_versions
from city.db import engine as db
from city.people import accounts

pytestmark = pytest.mark.one_database

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = "async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.html)])"
TANSY = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
Open = Callable[..., BrowserContext]
PUBLIC = (
    "/", "/cases", "/mine", "/answers", "/answers?q=trash", "/trash-day", "/login", "/no-such-page", "/value",
    "/performance", "/data", "/data/dictionary",
)  # fmt: skip
# What is wrong with a page: it hangs over a side, words stick out of what they stand in, an icon with a
# direction points against it, a control of the map lies off the screen or below something else.
FAULTS = """() => {
  const found = [];
  const page = document.scrollingElement;
  if (document.dir !== "rtl" || document.documentElement.lang !== "ar") found.push("not its language");
  const hangs = page.scrollWidth - page.clientWidth;
  if (hangs > 0) found.push(`${hangs} px over the side`);
  const seen = (each) =>
    each.checkVisibility() && !each.closest(".unseen, .skip") && getComputedStyle(each).clipPath === "none";
  const inside = (box, words) => words.left > box.left - 3 && words.right < box.right + 3;
  const holders = "button, .button, .tile, .chip, summary, h1, h2, .promise, .job, label";
  const named = (each) => each?.outerHTML.slice(0, 100);
  for (const each of document.querySelectorAll(holders)) {
    if (!seen(each) || each.closest(".gridbox, .queue, .leaflet-container")) continue;
    const texts = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      const words = range.getBoundingClientRect();
      if (!words.width || !seen(texts.currentNode.parentElement)) continue;
      const screen = { left: 0, right: innerWidth };
      const isInline = getComputedStyle(each).display === "inline";
      const held = inside(screen, words) && (isInline || inside(each.getBoundingClientRect(), words));
      if (!held) found.push(`words stick out: ${named(each)}`);
    }
  }
  for (const icon of document.querySelectorAll(".icon--turns")) {
    const turned = getComputedStyle(icon).transform.startsWith("matrix(-1");
    if (seen(icon) && !turned) found.push("an icon does not turn");
  }
  for (const control of document.querySelectorAll("#picker .knobs button, #picker .pad button")) {
    if (!seen(control)) continue;
    control.scrollIntoView({ block: "center" });
    const { left, top, width, height } = control.getBoundingClientRect();
    const hit = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!hit || !control.contains(hit)) found.push(`${named(control)} lies below ${named(hit)}`);
  }
  return [...new Set(found)];
}"""


@pytest.fixture(scope="session")
def translations(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pseudo.catalogue(tmp_path_factory.mktemp("languages") / "translations"))


@pytest.fixture
def abroad(
    request: pytest.FixtureRequest, engine: Engine, translations: str, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """Larkhaven, which speaks it since its newest city file."""
    text = pseudo.city((pseudo.ROOT / "city" / "config" / "larkhaven.toml").read_text())
    with db.transaction(engine) as s:
        config_versions.publish(s, text, "abroad", by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    monkeypatch.setenv("CITYLINE_TRANSLATIONS", translations)
    site: Site = request.getfixturevalue("site")
    return site


def looked_at(page: Page, wrong: list[str]) -> None:
    page.wait_for_load_state("networkidle")
    wrong += [f"{page.url}: {fault}" for fault in page.evaluate(FAULTS)]


@pytest.mark.full
def test_everything_has_its_place(abroad: Site, open_context: Open) -> None:
    wrong: list[str] = []
    page = open_context(**PHONE, geolocation=TANSY, permissions=["geolocation"]).new_page()
    for path in PUBLIC:
        page.goto(abroad.path(f"/ar{path}"))
        looked_at(page, wrong)
        if path in ("/", "/value"):
            page.evaluate(AXE.read_text())
            wrong += [str(each) for each in page.evaluate(VIOLATIONS)]
    page.goto(abroad.path("/ar/report"))
    page.locator("label.tile").first.tap()
    page.wait_for_selector("#place-card b")
    looked_at(page, wrong)
    page.locator("[data-map]").tap()
    page.wait_for_selector(".numberpin")
    page.locator("[data-do=pad]").tap()
    looked_at(page, wrong)
    page.locator("[data-do=close]").tap()
    page.locator("#send").tap()
    page.wait_for_url(re.compile("/sent/"))
    looked_at(page, wrong)
    assert not wrong, "\n".join(wrong)


def test_a_crew_s_day(abroad: Site, open_context: Open) -> None:
    wrong: list[str] = []
    page = open_context(**PHONE, geolocation=TANSY, permissions=["geolocation"]).new_page()
    [lamp] = give_jobs(abroad, 1)
    log_in(page, abroad, "crew1@demo.test", "/ar/crew")
    page.wait_for_selector("a.job")
    said = page.locator("#sync, #tabs, h1").all_inner_texts()
    assert not re.search("[a-z]{2,}", " ".join(said)), said  # the phone puts these words together itself
    for screen, mark in (
        ("today", "[data-list]"), (f"job/{lamp}", "[data-done]"), (f"close/{lamp}", "[data-camera]"),
        (f"wait/{lamp}", 'input[value="utility"]'), ("outbox", "button[data-sync]"),
        ("setup", "[data-check]"), ("report", "#place"),
    ):  # fmt: skip
        page.goto(abroad.path(f"/ar/crew#{screen}"))
        page.wait_for_selector(f"#main {mark}", state="attached")
        page.wait_for_timeout(300)
        looked_at(page, wrong)
    page.goto(abroad.path("/ar/crew#today"))
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap a.pin")
    looked_at(page, wrong)
    assert not wrong, "\n".join(wrong)


def test_the_desks(abroad: Site, open_context: Open) -> None:
    wrong: list[str] = []
    for who, paths in (
        ("dispatcher", ["/dispatch", "/me", "/dispatch/crews", "/dispatch/field-work"]),
        ("desk", ["/desk"]),
        ("admin", ["/admin", "/admin/crews", "/admin/phones", "/admin/keys", "/admin/mail", "/answers/edit",
                   "/answers/edit/pay-property-tax"]),
    ):  # fmt: skip
        page = open_context(**PHONE).new_page()
        log_in(page, abroad, f"{who}@demo.test", f"/ar{paths[0]}")
        for path in paths:
            page.goto(abroad.path(f"/ar{path}"))
            looked_at(page, wrong)
    assert not wrong, "\n".join(wrong)
