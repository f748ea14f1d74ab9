"""What every page weighs on its first load, what axe finds in it, and what Lighthouse says of it.

    bin/bench pages [--quick] [--page=/cases]

--quick leaves Lighthouse out. The table at the end names what is heavier than we allow.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Response, sync_playwright
from sqlalchemy import select

from bench._site import BROWSER_ARGUMENTS, ROOT, Site, browser, say, serving
from city.db import engine as db
from city.db.models import Case, Photo, Report
from city.lifecycle import ASSIGNED, CLOSED
from city.places.lookup import Place
from city.reports import intake

CASES = 300
LANGUAGES = ("en", "es")
RUNS = 3
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
LIGHTHOUSE = ROOT / "bench" / "node_modules" / "lighthouse" / "cli" / "index.js"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
SIZES: dict[str, dict[str, Any]] = {
    "mobile": {
        "viewport": {"width": 360, "height": 740},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
    "desktop": {"viewport": {"width": 1350, "height": 940}},
}
KINDS = {"document": "html", "stylesheet": "css", "script": "js"}
INDEXED = (
    "/", "/report", "/cases", "/trash-day", "/answers", "/answers/trash-day", "/performance", "/value",
    "/data", "/data/dictionary",
)  # fmt: skip
STAFF = ("/dispatch", "/admin", "/desk", "/answers/edit")


@dataclass(frozen=True)
class Sheet:
    """A page to be measured. `who` logs in first; `link` is a secret link to be opened first."""

    path: str
    preset: str = "mobile"
    who: str = ""
    link: str = ""
    ready: str = "main"  # there when the page is complete
    themes: tuple[str, ...] = ("light", "dark")


@dataclass
class Weight:
    """Bytes of bodies as they came over the line."""

    html: int = 0
    css: int = 0
    js: int = 0
    total: int = 0


@dataclass
class Budget:
    """What missed, for the table at the end."""

    missed: list[tuple[str, str, str, str]] = field(default_factory=list)

    def most(self, where: str, what: str, measured: float | None, most: float) -> None:
        if measured is not None and measured > most:
            self.missed.append((where, what, f"{measured:,.4g}", f"at most {most:,.4g}"))

    def least(self, where: str, what: str, measured: float | None, least: float) -> None:
        if measured is not None and measured < least:
            self.missed.append((where, what, f"{measured:,.4g}", f"at least {least:,.4g}"))


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench pages")
    asked.add_argument("--quick", action="store_true", help="skip Lighthouse")
    asked.add_argument("--page", action="append", help="measure only this page and those below: --page=/case")
    options = asked.parse_args()
    budget, unmeasured = Budget(), []
    with serving("pages", CASES) as site, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=list(BROWSER_ARGUMENTS))
        sheets = [sheet for sheet in _sheets(site) if _is_asked(sheet.path, options.page)]
        held: dict[str, Any] = {}
        for sheet in sheets:
            for lang in LANGUAGES:
                for theme in sheet.themes:
                    say(f"{sheet.path} {lang} {theme}")
                    try:
                        line = _measure(chromium, site, sheet, lang, theme, held)
                        if (lang, theme) == ("en", "light") and not options.quick:
                            line |= _lighthouse(site, sheet, held, playwright)
                    except Exception as fault:  # one page that fails hides no other
                        say(f"not measured: {sheet.path} {lang} {theme}: {fault}")
                        unmeasured.append(sheet.path)
                        continue
                    print(json.dumps(line), flush=True)
                    _judge(budget, line)
        chromium.close()
    _tell(budget)
    return 1 if unmeasured or not sheets else 0


def _is_asked(path: str, pages: list[str] | None) -> bool:
    return not pages or any(path == page or path.startswith(f"{page}/") for page in pages)


def _sheets(site: Site) -> Iterator[Sheet]:
    engine = db.connect(site.settings.database_url)
    with db.transaction(engine) as s:
        closed, held = _case_in(s, CLOSED), _case_in(s, ASSIGNED)
        mine, token = _own_report(s, site)
    engine.dispose()
    yield Sheet("/")
    yield Sheet("/report")
    yield Sheet("/cases")
    yield Sheet("/trash-day")
    yield Sheet("/answers")
    yield Sheet("/answers/trash-day")
    yield Sheet("/performance")
    yield Sheet("/value")
    yield Sheet("/follow")
    yield Sheet("/mine")
    yield Sheet("/data")
    yield Sheet("/data/dictionary")
    yield Sheet(f"/case/{closed}")
    yield Sheet(f"/sent/{mine}", link=token)
    yield Sheet("/login")
    yield Sheet("/offline")
    yield Sheet("/me", who="crew1@demo.test")
    yield Sheet("/crew", who="crew1@demo.test", ready="a.job, .crewempty", themes=("light", "dark", "sun"))
    yield Sheet(
        f"/dispatch/cases/{held}", "desktop", who="dispatcher@demo.test", ready=".leaflet-container .pin"
    )
    yield Sheet("/desk", "desktop", who="desk@demo.test")
    yield Sheet("/answers/edit", "desktop", who="desk@demo.test")
    yield Sheet("/admin", "desktop", who="admin@demo.test")
    yield Sheet("/admin/records", "desktop", who="admin@demo.test")


def _case_in(s: Any, state: str) -> str:
    """A public case in this state, one with shown photos and with proof where there is one."""
    rows = s.scalars(
        select(Case.number)
        .join(Report, Report.case_id == Case.id)
        .where(Case.state == state, Case.service.has(private=False))
        .order_by(
            Report.shown_at.is_(None), ~select(Photo.id).where(Photo.report_id == Report.id).exists(), Case.id
        )
    )
    return str(next(iter(rows)))


def _own_report(s: Any, site: Site) -> tuple[str, str]:
    """A report that is ours: its number, and the token of its secret link. Taken once, then found again."""
    key = "0" * 31 + "b"
    token = intake.token_for(site.settings.secret_key, key)
    known = intake.by_token(s, token)
    if known is None:
        place = Place(39.6012, -71.2034, "pin")
        telling = intake.NewReport(key=key, service_code="light-out", channel="web", place=place)
        known = intake.submit(s, telling, at=datetime.now(UTC), token=token)
    return known.number, token


def _measure(
    chromium: Browser, site: Site, sheet: Sheet, lang: str, theme: str, held: dict[str, Any]
) -> dict[str, Any]:
    context = _context(chromium, site, sheet, theme, held)
    try:
        page = context.new_page()
        bodies: list[Response] = []
        page.on("response", lambda response: bodies.append(response))
        answer = page.goto(site.url + ("" if lang == "en" else f"/{lang}") + sheet.path)
        if answer is None or answer.status != 200:
            raise RuntimeError(f"answered {answer.status if answer else 'nothing'}")
        page.wait_for_selector(sheet.ready)
        page.wait_for_load_state("networkidle")
        weight = _weight(bodies)
        line: dict[str, Any] = {
            "bench": "pages", "page": sheet.path, "lang": lang, "theme": theme, "preset": sheet.preset,
            "html": weight.html, "css": weight.css, "js": weight.js, "total": weight.total,
            "lighthouse": None, "axe": _axe(page),
        }  # fmt: skip
        if sheet.path == "/cases":
            line["map_before"], line["map"] = _map_code(page, bodies)
        return line
    finally:
        context.close()


def _context(chromium: Browser, site: Site, sheet: Sheet, theme: str, held: dict[str, Any]) -> BrowserContext:
    """A browser that has seen nothing yet, but for the log-in or the secret link."""
    key = sheet.who or sheet.link
    if key and key not in held:
        held[key] = _state(chromium, site, sheet)
    scheme: Any = "dark" if theme == "dark" else "light"
    context = chromium.new_context(
        **SIZES[sheet.preset], color_scheme=scheme, storage_state=held.get(key), service_workers="block"
    )
    context.set_default_timeout(30_000)
    if theme == "sun":
        context.add_init_script("localStorage.setItem('cl-theme', 'sun')")
    return context


def _state(chromium: Browser, site: Site, sheet: Sheet) -> Any:
    """The cookies after the log-in, or after the secret link was opened."""
    context = chromium.new_context()
    page = context.new_page()
    if sheet.link:
        page.goto(f"{site.url}/s/{sheet.link}")
    else:
        page.goto(f"{site.url}/login")
        page.fill("#email", sheet.who)
        page.keyboard.press("Enter")
        page.wait_for_selector("#demo-code")
        with page.expect_navigation():
            page.click("main form button")
    state = context.storage_state()
    context.close()
    return state


def _weight(bodies: list[Response]) -> Weight:
    weight = Weight()
    for response in bodies:
        if response.url.startswith(("blob:", "data:")) or response.status in (204, 301, 302, 303, 304):
            continue
        told = response.header_value("content-length")
        size = int(told) if told else response.request.sizes()["responseBodySize"]
        weight.total += size
        kind = KINDS.get(response.request.resource_type)
        if kind:
            setattr(weight, kind, getattr(weight, kind) + size)
    return weight


def _axe(page: Page) -> int:
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.html)])"
    )
    for rule, nodes in found:
        say(f"  axe: {rule}: {nodes[:3]}")
    return len(found)


def _map_code(page: Page, bodies: list[Response]) -> tuple[int, int]:
    """Bytes of the map's scripts and styles before the tap, and because of it."""
    parts = ("leaflet", "protomaps", "/js/map/", "/map.css")
    before = sum(any(part in response.url for part in parts) for response in bodies)
    bodies.clear()
    page.click("case-map > button")
    page.wait_for_selector("case-map .leaflet-marker-icon")
    page.wait_for_load_state("networkidle")
    weight = _weight(bodies)
    return before, weight.js + weight.css


def _lighthouse(site: Site, sheet: Sheet, held: dict[str, Any], playwright: Playwright) -> dict[str, Any]:
    """The median of three runs, each with a browser of its own."""
    state = held.get(sheet.who or sheet.link)
    cookies = state["cookies"] if state else []
    told: list[dict[str, Any]] = []
    failed = 0
    while len(told) < RUNS:
        try:
            told.append(_one_run(site.url + sheet.path, sheet.preset, cookies, playwright))
        except (RuntimeError, subprocess.TimeoutExpired) as fault:
            failed += 1  # Lighthouse itself fails now and then
            if failed > 2:
                raise
            say(f"  once more: {str(fault)[:120]}")
    scores = {
        name: round(statistics.median(run["categories"][name]["score"] for run in told) * 100)
        for name in CATEGORIES
    }
    _say_why(told[0])

    def value(name: str) -> float:
        return float(statistics.median(run["audits"][name]["numericValue"] for run in told))

    return {
        "lighthouse": scores,
        "lcp_ms": round(value("largest-contentful-paint")),
        "cls": round(value("cumulative-layout-shift"), 4),
        "tbt_ms": round(value("total-blocking-time")),
    }


def _one_run(address: str, preset: str, cookies: list[Any], playwright: Playwright) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        profile, answer = Path(folder, "profile"), Path(folder, "answer.json")
        if cookies:
            # In the browser's own jar, where every request of the page finds them; kept beyond its end.
            until = time.time() + 3600
            context = playwright.chromium.launch_persistent_context(
                str(profile), executable_path=browser(), args=list(BROWSER_ARGUMENTS)
            )
            kept: Any = [{**each, "expires": until} for each in cookies]
            context.add_cookies(kept)
            context.close()
        flags = (
            f"--headless=new --password-store=basic --user-data-dir={profile} {' '.join(BROWSER_ARGUMENTS)}"
        )
        command = [
            "node", str(LIGHTHOUSE), address, "--output=json", f"--output-path={answer}", "--quiet",
            f"--only-categories={','.join(CATEGORIES)}", f"--chrome-flags={flags}",
            "--max-wait-for-load=45000", *(["--preset=desktop"] if preset == "desktop" else []),
        ]  # fmt: skip
        environment = os.environ | {"CHROME_PATH": browser(), "TMPDIR": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        if done.returncode or not answer.is_file():
            raise RuntimeError(f"lighthouse: {done.stderr[-600:]}")
        found: dict[str, Any] = json.loads(answer.read_text())
    if found.get("runtimeError"):
        raise RuntimeError(found["runtimeError"]["message"])
    if urlsplit(found["finalDisplayedUrl"]).path != urlsplit(address).path:
        raise RuntimeError(f"lighthouse was sent to {found['finalDisplayedUrl']}")
    return found


def _say_why(run: dict[str, Any]) -> None:
    """Names the audits that cost points."""
    for name in CATEGORIES:
        for ref in run["categories"][name]["auditRefs"]:
            audit = run["audits"][ref["id"]]
            if ref["weight"] and audit["score"] is not None and audit["score"] < 0.9:
                say(f"  {name}: {ref['id']} {audit['score']} {audit.get('displayValue', '')}")
                for item in audit.get("details", {}).get("items", [])[:3]:
                    if "node" in item:
                        say(f"    {item['node']['snippet']}")


def _judge(budget: Budget, line: dict[str, Any]) -> None:
    path, where = line["page"], f"{line['page']} {line['lang']} {line['theme']}"
    staff = path.startswith(STAFF)
    budget.most(where, "axe", line["axe"], 0)
    if path == "/":
        budget.most(where, "html", line["html"], 13_000)
    budget.most(where, "css", line["css"], 20_000 if staff or path == "/crew" else 12_000)
    if not staff and path != "/crew":
        budget.most(where, "total", line["total"], 60_000)
        budget.most(where, "js", line["js"], 25_000)
    budget.most(where, "requests for the map before the tap", line.get("map_before"), 0)
    budget.most(where, "map code", line.get("map"), 95_000)
    scores = line["lighthouse"]
    if not scores:
        return
    budget.least(where, "performance", scores["performance"], 90 if staff else 95)
    budget.least(where, "accessibility", scores["accessibility"], 100)
    budget.least(where, "best practices", scores["best-practices"], 100)
    if path in INDEXED:
        budget.least(where, "SEO", scores["seo"], 100)
    budget.most(where, "cumulative shift", line["cls"], 0.05)
    if line["preset"] == "mobile":
        budget.most(where, "largest contentful paint, ms", line["lcp_ms"], 1800)


def _tell(budget: Budget) -> None:
    if not budget.missed:
        say("Everything is within its budget.")
        return
    say("Over budget:")
    rows = [("page", "what", "measured", "budget"), *budget.missed]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
