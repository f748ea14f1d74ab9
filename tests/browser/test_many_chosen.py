"""At the dispatcher's desk: the actions it takes to give a case to a crew, and twenty near each other."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from live import DESK, DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import select
from sqlalchemy.orm import Session
from wording import shared, staff

from city.cases import transitions
from city.db import engine as db
from city.db.models import Asset, Case, Service
from city.geo import Point, cells_around, flat_distance
from city.people import accounts
from city.places import nearby_assets
from city.places.lookup import Place

Open = Callable[..., BrowserContext]
NEAR = 20


@dataclass
class Hand:
    """Whoever sits there: every key, click and drag counts as an action."""

    page: Page
    actions: list[str] = field(default_factory=list)

    def press(self, key: str) -> None:
        self.actions.append(key)
        self.page.keyboard.press(key)

    def drag(self, corners: list[tuple[float, float]]) -> None:
        self.actions.append("drag")
        mouse = self.page.mouse
        mouse.move(*corners[0])
        mouse.down()
        for corner in [*corners[1:], corners[0]]:
            mouse.move(*corner, steps=4)
        mouse.up()


@pytest.fixture
def crowd(site: Site) -> list[str]:
    """The numbers of twenty new cases within 100 m of each other, and no other open case within 250 m."""
    with db.transaction(site.engine) as s:
        service = s.scalars(select(Service).where(Service.group == "trash")).first()
        middle = lonely(s)
        assert service
        found = []
        for n in range(NEAR):
            place = Place(
                middle.lat + (n % 5 - 2) * 0.0003,
                middle.lon + (n // 5 - 2) * 0.0003,
                "pin",
                "By the river",
                5.0,
            )
            case = transitions.open_case(s, service, place, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
            assert flat_distance(place.point, middle) < 100
            found.append(case.number)
        return found


def lonely(s: Session) -> Point:
    """A pole of the city's with no open case near it, on whichever day the city was filled."""
    for pole in s.scalars(select(Asset).where(Asset.kind == "pole", Asset.owner == "")):
        near = select(Case.id).where(
            Case.closed_at.is_(None), Case.cell.in_(cells_around(Point(pole.lat, pole.lon), 330))
        )
        if s.scalars(near).first() is None:
            return nearby_assets.place_of(pole).point
    raise AssertionError("no such place in Larkhaven")


def at_the_desk(site: Site, open_context: Open, number: str) -> Hand:
    """The board of everything, with this case in the drawer and in the middle of the map."""
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path(f"/dispatch/cases/{number}"))
    expect(page.locator("#map .leaflet-marker-icon").first).to_be_visible()
    expect(page.locator(".drawer")).to_have_attribute("data-number", number)
    page.evaluate("document.activeElement?.blur()")
    return Hand(page)


def tag_all(hand: Hand) -> None:
    """All twenty, by a word and Enter in its field."""
    hand.press("R")
    expect(hand.page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=20))
    hand.press("t")
    hand.page.locator("#bulk-tag-word").fill("storm")
    hand.page.keyboard.press("Enter")
    expect(hand.page.locator("#told")).to_contain_text(shared.CASES_TAGGED(20, tag="storm"))


def held_by(site: Site, numbers: list[str]) -> set[int | None]:
    with db.read_session(site.engine) as s:
        return set(s.scalars(select(Case.crew_id).where(Case.number.in_(numbers))))


def test_one_case_goes_to_a_crew_by_three_keys(site: Site, open_context: Open) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch?crew=none")
    hand = Hand(page)
    for key in ("j", "a", "1"):
        hand.press(key)
    expect(page.locator(".drawer .said")).to_contain_text(re.compile(staff.ASSIGNED_TO(crew=".+")))
    assert len(hand.actions) <= 4


def test_twenty_near_each_other_go_to_a_crew_without_dragging_by_three_keys(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    hand.press("R")
    expect(hand.page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=20))
    for key in ("a", "1"):
        hand.press(key)
    told = hand.page.locator("#told")
    expect(told).to_contain_text(shared.CASES_ASSIGNED(20, crew=""))
    assert len(hand.actions) <= 5
    assert len(held_by(site, crowd)) == 1
    hand.page.reload()
    expect(told).to_contain_text(shared.CASES_ASSIGNED(20, crew=""))
    hand.press("u")
    expect(told).to_contain_text(shared.CASES_PUT_BACK(20))
    assert held_by(site, crowd) == {None}


def test_twenty_near_each_other_go_to_a_crew_by_a_line_around_them(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    page = hand.page
    page.locator(".pin[aria-current]").wait_for()
    expect(page.locator("#map .leaflet-pan-anim")).to_have_count(0)
    pin, box = page.locator(".pin[aria-current]").bounding_box(), page.locator("#map").bounding_box()
    assert pin
    assert box
    reach = 170  # px: more than 100 m at the zoom of a street
    x, y = pin["x"] + pin["width"] / 2, pin["y"] + pin["height"] / 2
    corners = [(x + dx * reach, y + dy * reach) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    inside = [
        (max(box["x"] + 2, cx), min(max(box["y"] + 2, cy), box["y"] + box["height"] - 2))
        for cx, cy in corners
    ]
    hand.press("l")
    hand.drag(inside)
    expect(page.locator("#bulk-count")).to_contain_text(staff.SELECTED(num=""))
    for key in ("a", "1"):
        hand.press(key)
    expect(page.locator("#told")).to_contain_text(shared.CASES_ASSIGNED.many(n="", crew=""))
    assert len(hand.actions) <= 5
    assert None not in held_by(site, crowd)
    hand.press("u")
    expect(page.locator("#told")).to_contain_text(shared.CASES_PUT_BACK.many(n=""))


def test_a_range_of_rows_is_selected_and_the_count_survives_what_is_not_shown(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    label = page.locator("#bulk-count")
    for key in ("j", "x", "j", "j", "X"):
        page.keyboard.press(key)
    expect(label).to_have_text(staff.SELECTED(num=3))
    page.locator("#rows input[name=case]").nth(5).click(modifiers=["Shift"])
    expect(label).to_have_text(staff.SELECTED(num=6))
    page.keyboard.press("x")
    expect(label).to_have_text(staff.SELECTED(num=5))
    page.goto(site.path("/dispatch?rows=700"))
    expect(label).to_have_text(staff.SELECTED(num=5))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#bulk")).to_be_hidden()


def test_closing_many_is_asked_once_and_undone(site: Site, open_context: Open, crowd: list[str]) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    page = hand.page
    hand.press("R")
    expect(page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=20))
    hand.press("c")
    page.locator("#bulk-close .chip", has_text=shared.NOT_FOUND).click()
    page.locator("#bulk-close").get_by_role("button", name=staff.CLOSE_MANY).click()
    told = page.locator("#told")
    expect(told).to_contain_text(staff.CLOSE_CASES(20, outcome=shared.NOT_FOUND))
    expect(told.get_by_role("button", name=staff.YES_GO_AHEAD)).to_be_focused()
    page.keyboard.press("Enter")
    expect(told).to_contain_text(shared.CASES_CLOSED(20, outcome=shared.NOT_FOUND))
    page.keyboard.press("u")
    expect(told).to_contain_text(shared.CASES_PUT_BACK(20))
    with db.read_session(site.engine) as s:
        assert set(s.scalars(select(Case.state).where(Case.number.in_(crowd)))) == {"new"}


def test_enter_in_a_field_does_what_stands_beside_it_and_the_open_case_shows_it(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    page = hand.page
    tag_all(hand)
    expect(page.locator("#case-title")).to_contain_text("storm")
    with db.read_session(site.engine) as s:
        assert set(s.scalars(select(Case.crew_id).where(Case.number.in_(crowd)))) == {None}
    page.locator("#choose summary").click()
    page.keyboard.press("Escape")
    expect(page.locator("#choose")).not_to_have_attribute("open", "")


def test_enter_does_nothing_to_many_without_javascript(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    page = open_context(**DESK, java_script_enabled=False).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path("/dispatch?crew=none&sort=newest"))
    page.locator(f"#case-{crowd[0]} input[type=checkbox]").check()
    bar = page.get_by_role("form", name=staff.SELECTED_CASES)
    bar.locator("summary", has_text=staff.TAG).click()
    page.locator("#bulk-tag-word").fill("storm")
    page.locator("#bulk-tag-word").press("Enter")
    expect(page.locator("#bulk-tag-word")).to_have_value("storm")
    with db.read_session(site.engine) as s:
        assert s.scalars(select(Case.crew_id).where(Case.number == crowd[0])).one() is None


def test_without_javascript_two_boxes_and_a_crew_give_both_cases_to_it(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    page = open_context(**DESK, java_script_enabled=False).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path("/dispatch?crew=none&sort=newest"))
    chosen = crowd[:2]
    for number in chosen:
        page.locator(f"#case-{number} input[type=checkbox]").check()
    bar = page.get_by_role("form", name=staff.SELECTED_CASES)
    bar.locator("summary", has_text=staff.ASSIGN).click()
    bar.get_by_role("button", name="Clean 1").click()
    expect(page.locator("#told")).to_contain_text(shared.CASES_ASSIGNED(2, crew=""))
    assert None not in held_by(site, chosen)
    assert held_by(site, crowd[2:]) == {None}


def test_the_open_case_shows_a_batch_that_an_earlier_question_already_told_of(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    page = hand.page
    asked: list[Route] = []
    page.route("**/dispatch/changes**", lambda route: route.continue_() if asked else asked.append(route))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    for _ in range(3000):
        if asked:
            break
        page.wait_for_timeout(20)
    tag_all(hand)
    asked[0].continue_()
    expect(page.locator("#case-title")).to_contain_text("storm")


def test_what_has_no_row_was_seen_as_of_then_and_not_as_of_the_last_news(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch?group=tree")
    live, since = page.locator("#live"), page.locator("#bulk-since")
    page.locator("#rows input[name=case]").first.check()
    then = since.input_value()
    page.evaluate(
        """(number) => {
          const kept = JSON.parse(sessionStorage.getItem("cityline.chosen"));
          kept.numbers.push(number); // as a shape drawn on the map chooses it
          sessionStorage.setItem("cityline.chosen", JSON.stringify(kept));
        }""",
        crowd[0],
    )
    with db.transaction(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == crowd[1])).one()
        chief = accounts.actor(accounts.by_email(s, "supervisor@demo.test"))
        transitions.accept(s, case, by=chief, at=datetime.now(UTC))
    page.reload()
    expect(live).not_to_have_attribute("data-since", then)
    expect(since).to_have_value(then)
    page.locator("#bulk-clear").click()
    page.locator("#rows input[name=case]").first.check()
    expect(since).to_have_value(live.get_attribute("data-since") or "")


def test_a_refused_form_says_it_beside_the_field_and_keeps_what_was_typed(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    hand = at_the_desk(site, open_context, crowd[10])
    page = hand.page
    hand.press("R")
    expect(page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=20))
    hand.press("c")
    words = "We looked twice."
    page.locator("#bulk-words").fill(words)
    page.locator("#bulk").get_by_role("button", name=staff.CLOSE_MANY).click()
    expect(page.locator("#bulk-outcome-fault")).to_have_text(shared.UNKNOWN_VALUE)
    expect(page.locator("#told")).not_to_contain_text(shared.UNKNOWN_VALUE)
    first = page.locator("#bulk [name=outcome]").first
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#bulk-words")).to_have_value(words)
    expect(page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=20))
    page.locator("#bulk [name=outcome][value='not found']").check(force=True)
    page.locator("#bulk").get_by_role("button", name=staff.CLOSE_MANY).click()
    expect(page.locator("#ask-batch")).to_be_visible()
    expect(page.locator("#bulk-outcome-fault")).to_be_hidden()
    assert set(held_by(site, crowd)) == {None}


def test_without_javascript_a_refused_form_comes_back_and_goes_on(
    site: Site, open_context: Open, crowd: list[str]
) -> None:
    page = open_context(**DESK, java_script_enabled=False).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path("/dispatch?crew=none&sort=newest"))
    boxes = [page.locator(f"#case-{number} input[type=checkbox]") for number in crowd[:2]]
    for box in boxes:
        box.check()
    bar = page.get_by_role("form", name=staff.SELECTED_CASES)
    bar.locator("summary", has_text=staff.TAG).click()
    bar.get_by_role("button", name=staff.ADD_TAG).click()
    expect(page.locator("#bulk-tag-fault")).to_be_visible()
    for box in boxes:
        expect(box).to_be_checked()
    page.locator("#bulk-tag-word").fill("storm")
    bar.get_by_role("button", name=staff.ADD_TAG).click()
    expect(page.locator("#told")).to_contain_text(shared.CASES_TAGGED(2, tag="storm"))


def test_more_than_can_be_changed_is_said_before_anything_is_filled_in(
    site: Site, open_context: Open
) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.locator("#rows input[name=case]").first.check()
    expect(page.locator("#bulk-accept")).to_be_visible()
    page.evaluate(
        """() => {
          const kept = JSON.parse(sessionStorage.getItem("cityline.chosen"));
          for (let n = 0; n < 5000; n++) kept.numbers.push(`99-${String(n).padStart(6, "0")}`);
          sessionStorage.setItem("cityline.chosen", JSON.stringify(kept));
        }"""
    )
    page.reload()
    expect(page.locator("#bulk-most")).to_have_text(staff.AT_MOST_CHANGED(most="5,000"))
    expect(page.locator("#bulk-accept")).to_be_hidden()
    expect(page.locator("#bulk summary").first).to_be_hidden()
    page.keyboard.press("c")
    expect(page.locator("#bulk-words")).to_be_hidden()
    page.locator("#bulk-clear").click()
    page.locator("#rows input[name=case]").first.check()
    expect(page.locator("#bulk-accept")).to_be_visible()
    expect(page.locator("#bulk-most")).to_be_hidden()


@pytest.mark.parametrize("js", [True, False])
def test_chosen_rows_are_printed_alone(site: Site, open_context: Open, crowd: list[str], js: bool) -> None:
    context = open_context(**DESK, java_script_enabled=js)
    page = context.new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.goto(site.path("/dispatch?crew=none&sort=newest"))
    rows = page.locator("#rows tr:visible")
    many = rows.count()
    page.emulate_media(media="print")
    expect(rows).to_have_count(many)
    page.emulate_media(media="screen")
    for number in crowd[:2]:
        page.locator(f"#case-{number} input[type=checkbox]").check()
    page.emulate_media(media="print")
    expect(rows).to_have_count(2)
    page.emulate_media(media="screen")
    with context.expect_page() as opened:
        page.locator("#bulk-print").click()
    paper = opened.value
    expect(paper.locator("tbody tr")).to_have_count(2)
    expect(paper.locator("tbody")).to_contain_text(crowd[1])
    expect(page.locator(f"#case-{crowd[0]} input[type=checkbox]")).to_be_checked()
    paper.emulate_media(media="print")
    expect(paper.get_by_role("link")).to_have_count(1)  # the city's name
