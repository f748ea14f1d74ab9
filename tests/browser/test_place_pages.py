"""The pages of a pole and of an address, as staff use them: by keys alone, on any screen, on paper."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from live import DESK, Site, log_in
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import func, select
from wording import staff

from city.db import engine as db
from city.db.models import Asset, Case

Open = Callable[..., BrowserContext]
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = "async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.html)])"
OVERHANG = "() => Math.max(0, document.scrollingElement.scrollWidth - innerWidth)"


@pytest.fixture
def places(site: Site) -> list[str]:
    """The addresses of the pages: the thing with most cases, one without any, an address, three that ask."""
    with db.read_session(site.engine) as s:
        counted = select(Case.asset_id, func.count().label("n")).group_by(Case.asset_id).subquery()
        asked = select(Asset).outerjoin(counted, counted.c.asset_id == Asset.id)
        busy = s.scalars(asked.where(counted.c.n > 0).order_by(counted.c.n.desc())).first()
        bare = s.scalars(asked.where(counted.c.n.is_(None)).order_by(Asset.id)).first()
        assert busy
        assert bare
        return [
            f"/dispatch/asset/{busy.number}?of={busy.id}", f"/dispatch/asset/{bare.number}?of={bare.id}",
            f"/dispatch/address?q={bare.address}", "/dispatch/asset/99-999999", "/dispatch/address",
            "/dispatch/address?q=nowhere",
        ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_pages_fit_every_screen_and_axe_finds_nothing(
    site: Site, open_context: Open, places: list[str], scheme: str
) -> None:
    page = open_context(**DESK, color_scheme=scheme).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    wrong = []
    for width in (320, 360, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        for place in places:
            page.goto(site.path(("/es" if width == 360 else "") + place))
            if page.evaluate(OVERHANG):
                wrong.append(f"{place} hangs over at {width}")
            page.evaluate(AXE.read_text())
            wrong += [f"{place} {width} {each}" for each in page.evaluate(VIOLATIONS)]
    assert wrong == []


def test_keys_lead_to_the_next_one_back_and_to_a_new_case(
    site: Site, open_context: Open, places: list[str]
) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path(places[1]))
    name = page.locator("h1").inner_text()
    there = page.locator("[rel=next]").get_attribute("href") or ""
    page.keyboard.press("j")
    page.wait_for_url(site.path(there))
    expect(page.locator("h1")).not_to_have_text(name)
    page.keyboard.press("k")
    page.wait_for_url(re.compile(re.escape(places[1]).replace(r"\?", r"\?")))
    expect(page.locator("h1")).to_have_text(name)
    page.keyboard.press("/")
    page.keyboard.type("jkn")
    expect(page.locator("#q")).to_have_value("jkn")
    page.locator("h1").click()
    page.keyboard.press("n")
    page.wait_for_url(re.compile("/desk"))
    expect(page.locator("#place")).not_to_have_value("")


def test_without_a_script_bars_and_pages_are_there_and_paper_has_the_cases(
    site: Site, open_context: Open, places: list[str]
) -> None:
    page = open_context(**DESK, java_script_enabled=False).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path(places[0]))
    assert page.locator(".yearbars li").count() >= 1
    last = page.locator(".yearbars li").last
    assert re.match(r"\d+", last.inner_text())
    expect(page.get_by_role("link", name=staff.NEW_CASE_HERE)).to_be_visible()
    expect(page.locator("#print")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".views")).to_be_hidden()
    expect(page.get_by_role("link", name=staff.NEW_CASE_HERE)).to_be_hidden()
    expect(page.get_by_role("heading", name=staff.ALL_CASES_NEWEST)).to_be_visible()
    expect(page.locator(".past").first).to_be_visible()
