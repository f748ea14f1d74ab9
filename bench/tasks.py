"""How many taps and seconds ten everyday tasks take, in a real browser, as people do them.

    bin/bench tasks [--only=join]

A tap is one press of a finger, of the mouse or of a key; of a chord each key counts. One text that is
typed counts as one tap, however long it is, and so does choosing a photo once the camera is open. Looking,
scrolling and zooming count nothing. The seconds are those of the script, which reads nothing and never
hesitates: from the first screen, loaded and with everyone logged in, until the screen says that it is done.
They tell what the product makes people wait for, not how long people take.
"""

import argparse
import json
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from bench._site import BROWSER_ARGUMENTS, ROOT, Site, browser, fill, running, say
from bench.pages import SIZES
from city.audit.events import Actor
from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Address, Case, Crew, Service
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake

CASES = 300
PATIENCE = 30_000  # ms
PHONE = SIZES["mobile"]
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
HERE = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
PICTURE = ROOT / "city" / "demo" / "photo_files" / "lamp-after.jpg"
CALLER = "5550142"
NEW_CASES = 20
KINDS = ("light-out", "limb-down", "basket-full")  # of the new cases, in turn: each is another crew's


@dataclass(frozen=True)
class Effort:
    """What a task took."""

    taps: int
    seconds: float


class Hand:
    """Somebody at a page. The clock starts with the first, and every tap is counted."""

    def __init__(self, page: Page) -> None:
        self.page, self._taps, self._began = page, 0, time.perf_counter()

    def tap(self, target: str | Locator) -> None:
        """A finger on a phone, the mouse elsewhere."""
        self._at(target).click()
        self._taps += 1

    def tap_up_to(self, target: Locator) -> None:
        """With the Shift key held down."""
        target.click(modifiers=["Shift"])
        self._taps += 2

    def press(self, chord: str) -> None:
        """A key, or several at once: "Shift+A"."""
        self.page.keyboard.press(chord)
        self._taps += chord.count("+") + 1

    def type(self, words: str) -> None:
        """A text, into what has the focus."""
        self.page.keyboard.type(words)
        self._taps += 1

    def photograph(self, target: str) -> None:
        """Opens the camera and takes what it shows."""
        with self.page.expect_file_chooser() as camera:
            self.tap(target)
        camera.value.set_files(PICTURE)
        self._taps += 1

    def drag(self, target: str, east: int, south: int) -> None:
        """Moves what a map shows by so many pixels."""
        box = self.page.locator(target).bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + east, y + south, steps=8)
        self.page.mouse.up()
        self._taps += 1

    def _at(self, target: str | Locator) -> Locator:
        return self.page.locator(target).first if isinstance(target, str) else target

    def done(self) -> Effort:
        return Effort(self._taps, time.perf_counter() - self._began)


@dataclass(frozen=True)
class Stage:
    """A city that runs, and the browser in front of it. Each page is another person's."""

    site: Site
    engine: Engine
    chromium: Browser

    def open(self, path: str, who: str = "", **options: Any) -> Page:
        """A new person's page, which is loaded; `who` logs in first. The options are a browser context's."""
        context = self.chromium.new_context(**options)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        if who:
            page.goto(f"{self.site.url}/login")
            page.fill("#email", who)
            page.keyboard.press("Enter")
            page.wait_for_selector("#demo-code")
            with page.expect_navigation():
                page.click("main form button")
        page.goto(self.site.url + path)
        page.wait_for_load_state("networkidle")
        return page

    def phone(self, path: str, who: str = "", *, located: bool = True) -> Page:
        """A phone, whose owner lets pages know where it is or refuses it."""
        where = {"geolocation": HERE, "permissions": ["geolocation"]} if located else {"permissions": []}
        return self.open(path, who, **PHONE, **where)

    def desk(self, path: str, who: str) -> Page:
        return self.open(path, who, **DESK)

    @contextmanager
    def city(self) -> Iterator[Session]:
        with db.transaction(self.engine) as s:
            yield s


def report(stage: Stage) -> Effort:
    """A resident reports a streetlight, with a photo, from where they stand."""
    hand = Hand(stage.phone("/"))
    hand.photograph("label.shutter")
    hand.tap(kind(hand.page, "Streetlight"))
    hand.page.wait_for_selector("#place-card[data-known]")
    hand.tap("#send")
    return received(hand)


def report_by_map(stage: Stage) -> Effort:
    """The same where the phone's location is refused: the place is chosen on the map."""
    hand = Hand(stage.phone("/", located=False))
    hand.photograph("label.shutter")
    hand.tap(kind(hand.page, "Streetlight"))
    hand.tap(hand.page.get_by_role("button", name="Choose on the map"))
    hand.page.locator("#picker .leaflet-tile, #picker canvas").first.wait_for()
    hand.drag("#picker .map", 60, 40)
    expect(hand.page.locator("#spot h2")).to_be_visible()
    hand.tap(hand.page.get_by_role("button", name="Use this spot"))
    expect(hand.page.locator("#picker")).to_be_hidden()
    hand.tap("#send")
    return received(hand)


def join(stage: Stage) -> Effort:
    """A neighbor reads of a streetlight that is out, and has the same problem."""
    number = public_case(stage)
    hand = Hand(stage.phone(f"/case/{number}"))
    hand.tap(hand.page.get_by_role("button", name="I have this too"))
    return received(hand, number)


def follow(stage: Stage) -> Effort:
    """A neighbor wants to hear of a case by email."""
    hand = Hand(stage.phone(f"/case/{public_case(stage)}"))
    hand.tap(hand.page.get_by_role("link", name="Follow this report"))
    hand.tap("#email")
    hand.type("ana@mail.test")
    hand.tap(hand.page.get_by_role("button", name="Email me updates"))
    expect(hand.page.get_by_text("Check your email.")).to_be_visible()
    return hand.done()


def not_fixed(stage: Stage) -> Effort:
    """Whoever reported it reads that it is fixed, and it is not."""
    hand = Hand(own_closed_case(stage))
    hand.tap(hand.page.get_by_role("link", name="Not fixed"))
    hand.tap(hand.page.get_by_role("button", name="No, it's not fixed"))
    hand.page.wait_for_url("**said=reopened")
    return hand.done()


def close(stage: Stage) -> Effort:
    """A crew closes a job with a photo."""
    number = job(stage)
    hand = Hand(crew_phone(stage))
    hand.tap(f'a.job[href="#job/{number}"]')
    hand.tap("[data-done]")
    return fixed_with_photo(hand)


def report_and_close(stage: Stage) -> Effort:
    """A crew meets a streetlight that is out, reports it and closes it at once."""
    job(stage)
    hand = Hand(crew_phone(stage))
    hand.tap('a[href="#report"]')
    hand.tap(kind(hand.page, "Streetlight"))
    hand.page.wait_for_selector('[data-if="here"]:not([hidden])')
    hand.tap(hand.page.get_by_role("button", name="Report and close"))
    return fixed_with_photo(hand)


def triage(stage: Stage) -> Effort:
    """A dispatcher gives twenty new cases, of three kinds, each to its usual crew."""
    numbers = new_cases(stage)
    page = stage.desk("/dispatch?state=new&crew=none&sort=newest", "dispatcher@demo.test")
    hand = Hand(page)
    hand.tap(f"#case-{numbers[-1]} input[name=case]")  # of the demo's own some are dangers, and stand before
    hand.tap_up_to(page.locator(f"#case-{numbers[0]} input[name=case]"))
    expect(page.locator("#bulk-count")).to_contain_text(str(NEW_CASES))
    hand.press("Shift+A")
    expect(page.locator("#undo-batch button")).to_be_visible()
    effort = hand.done()
    must_have_crews(stage, numbers)
    return effort


def answer_call(stage: Stage) -> Effort:
    """A call-taker answers a question about a tax bill."""
    hand = Hand(stage.desk("/desk", "desk@demo.test"))
    hand.press("Enter")
    hand.type("tax bill")
    expect(hand.page.locator('#found [data-answer="tax-bill-missing"]')).to_be_visible()
    hand.press("Enter")
    expect(hand.page.locator("#say blockquote")).to_be_visible()
    hand.press("Control+Enter")
    expect(hand.page.locator("#kept .said")).to_be_visible()
    return hand.done()


def call_to_case(stage: Stage) -> Effort:
    """A caller tells of a streetlight that is out, and it becomes a case."""
    with stage.city() as s:
        street = s.scalars(select(Address.label).where(Address.label.like("% Street")).order_by(Address.id))
        address = next(iter(street)).removesuffix(" Street")
    hand = Hand(stage.desk("/desk", "desk@demo.test"))
    hand.type(CALLER)
    hand.press("Enter")
    hand.type("light out")
    expect(hand.page.locator('#found [data-service="light-out"]')).to_be_visible()
    hand.press("Enter")
    expect(hand.page.locator("#place")).to_be_focused()
    hand.type(address)
    expect(hand.page.locator("#place-lines > li").first).to_contain_text(address)
    hand.press("ArrowDown")
    hand.press("Enter")
    hand.press("Control+Enter")
    expect(hand.page.locator("#kept .num")).to_be_visible()
    return hand.done()


def kind(page: Page, name: str) -> Locator:
    return page.locator("label.tile", has_text=name).first


def received(hand: Hand, number: str = "") -> Effort:
    """On the receipt, of a report of this case where there is a number."""
    hand.page.wait_for_url(re.compile(f"/sent/{number}"))
    expect(hand.page.locator(".verdict")).to_be_visible()
    return hand.done()


def crew_phone(stage: Stage) -> Page:
    page = stage.phone("/crew", "crew1@demo.test")
    page.wait_for_selector("a.job")
    return page


def fixed_with_photo(hand: Hand) -> Effort:
    """The last screen of a closing, until the phone has kept it."""
    hand.photograph('label:has(input[value="fixed:photo"])')
    hand.page.wait_for_selector("[data-drop]")
    hand.tap("form .button--act")
    hand.page.wait_for_selector("#undo:not([hidden])")
    return hand.done()


def told(stage: Stage, s: Session) -> tuple[Case, str]:
    """The case of a streetlight where the phones stand, just reported, and the token of the report's link."""
    key = secrets.token_hex(16)
    token = intake.token_for(stage.site.settings.secret_key, key)
    place = Place(HERE["latitude"], HERE["longitude"], "pin", "By the river", 5.0)
    telling = intake.NewReport(key=key, service_code="light-out", channel="web", place=place)
    return intake.submit(s, telling, at=datetime.now(UTC), token=token).case, token


def public_case(stage: Stage) -> str:
    """The number of a case that a neighbor reported."""
    with stage.city() as s:
        return str(told(stage, s)[0].number)


def job(stage: Stage) -> str:
    """The number of a case that the crew is to do."""
    with stage.city() as s:
        case, crew = told(stage, s)[0], s.scalars(select(Crew).where(Crew.name == "Lights 2")).one()
        transitions.assign(s, case, crew, by=dispatcher(s), at=datetime.now(UTC))
        return str(case.number)


def own_closed_case(stage: Stage) -> Page:
    """The page of a closed case, on the phone of its reporter."""
    with stage.city() as s:
        case, token = told(stage, s)
        closing = Closing("fixed", no_photo="dark")
        transitions.close(s, case, closing, by=dispatcher(s), at=datetime.now(UTC))
        number = case.number
    page = stage.phone(f"/s/{token}")
    page.goto(f"{stage.site.url}/case/{number}")
    page.wait_for_load_state("networkidle")
    return page


def new_cases(stage: Stage) -> list[str]:
    """The numbers of twenty new cases, the newest of the city."""
    with stage.city() as s:
        numbers = []
        for n in range(NEW_CASES):
            place = Place(39.59 + n / 1000, -71.2, "pin", "By the river", 5.0)
            service = s.get_one(Service, KINDS[n % len(KINDS)])
            case = transitions.open_case(s, service, place, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
            numbers.append(str(case.number))
        return numbers


def dispatcher(s: Session) -> Actor:
    person = accounts.by_email(s, "dispatcher@demo.test")
    assert person
    return accounts.actor(person)


def must_have_crews(stage: Stage, numbers: list[str]) -> None:
    """Raises RuntimeError where one of these cases has no crew, or all have the same."""
    with stage.city() as s:
        crews = list(s.scalars(select(Case.crew_id).where(Case.number.in_(numbers))))
    if None in crews or len(set(crews)) != len(KINDS):
        raise RuntimeError(f"the cases went to {crews}")


TASKS: dict[str, Callable[[Stage], Effort]] = {
    "report": report,
    "report-by-map": report_by_map,
    "join": join,
    "follow": follow,
    "not-fixed": not_fixed,
    "close": close,
    "report-and-close": report_and_close,
    "triage": triage,
    "answer-call": answer_call,
    "call-to-case": call_to_case,
}


def main(tasks: dict[str, Callable[[Stage], Effort]] = TASKS) -> int:
    """0 when everything that was asked for was done."""
    asked = argparse.ArgumentParser(prog="bin/bench tasks")
    asked.add_argument("--only", action="append", choices=tasks, help="measure only this task: --only=join")
    names = asked.parse_args().only or list(tasks)
    took: dict[str, Effort] = {}
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        fill(var, CASES)
        with running(var, CITYLINE_REPORTS_AN_HOUR="1000") as site, sync_playwright() as playwright:
            site.settle()
            chromium = playwright.chromium.launch(executable_path=browser(), args=list(BROWSER_ARGUMENTS))
            engine = db.connect(site.settings.database_url)
            stage = Stage(site, engine, chromium)
            for name in names:
                try:
                    took[name] = tasks[name](stage)
                except Exception as fault:  # one task that fails hides no other
                    say(f"not done: {name}: {fault}")
                    continue
                line = {"bench": "tasks", "task": name, "taps": took[name].taps}
                print(json.dumps(line | {"seconds": round(took[name].seconds, 2)}), flush=True)
            engine.dispose()
            chromium.close()
    say(f"{'task':18}{'taps':>5}{'seconds':>9}")
    for name, effort in took.items():
        say(f"{name:18}{effort.taps:5}{effort.seconds:9.1f}")
    return 0 if len(took) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
