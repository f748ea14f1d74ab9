"""Many cases are corrected at once on the board by keys alone, and put back with one."""

from collections.abc import Callable

import pytest
from closings import wait_for
from live import DESK, DESK_WITHOUT_WORKER, PHONE, Site, Slow, log_in
from places import choose_second
from places import elm as elm
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from test_screens import IN_EACH_LANGUAGE, looked_at, prefix, watched
from test_screens import faults as faults
from test_screens import keep as keep
from wording import staff

from city.db import engine as db
from city.db.models import Case

Open = Callable[..., BrowserContext]
Keep = Callable[[Page, str], None]


@pytest.fixture
def page(site: Site, elm: list[str], open_context: Open) -> Page:
    """The board with its first three cases selected by keys."""
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch?group=streetlight")
    select_three(page)
    return page


def select_three(page: Page) -> None:
    for key in "jxjxjx":
        page.keyboard.press(key)
    expect(page.locator("#rows tr[data-selected]")).to_have_count(3)


def numbers(page: Page) -> list[str]:
    return [row.get_attribute("data-number") or "" for row in page.locator("#rows tr[data-selected]").all()]


def cases(site: Site, numbers: list[str]) -> list[Case]:
    with db.read_session(site.engine) as s:
        return list(s.scalars(select(Case).where(Case.number.in_(numbers)).order_by(Case.number)))


def types(site: Site, numbers: list[str]) -> list[str]:
    return [case.service_code for case in cases(site, numbers)]


def places(site: Site, numbers: list[str]) -> list[str]:
    return [case.address for case in cases(site, numbers)]


def other_digit(page: Page, site: Site, chosen: list[str]) -> str:
    """The digit of a type that none of these cases is of."""
    were = types(site, chosen)
    buttons = page.locator("#bulk-type button[data-digit]").all()
    codes = [(each.get_attribute("value") or "").removeprefix("reclassify ") for each in buttons]
    return str(next(n for n, code in enumerate(codes, 1) if code not in were))


def test_three_keys_change_the_type_of_all_and_one_takes_that_back(site: Site, page: Page) -> None:
    chosen = numbers(page)
    were = types(site, chosen)
    page.keyboard.press("e")
    expect(page.locator("#bulk-type input[data-narrows]")).to_be_focused()
    page.keyboard.press(other_digit(page, site, chosen))
    expect(page.locator("#told .button--act")).to_be_focused()
    assert types(site, chosen) == were, "asked first"
    page.keyboard.press("Enter")
    expect(page.locator("#undo-batch")).to_be_visible()
    expect(page.locator("#bulk")).to_be_hidden()
    expect(page.locator("#rows [aria-current] a")).to_be_focused()
    assert not set(types(site, chosen)) & set(were)
    page.keyboard.press("u")
    wait_for(lambda: types(site, chosen) == were, page)


@pytest.mark.every_variant
@pytest.mark.parametrize("key", ["D", "h"])
def test_a_digit_gives_the_reason_of_a_new_date_or_a_hold(
    site: Site, open_context: Open, elm: list[str], key: str
) -> None:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "supervisor@demo.test", "/dispatch?group=streetlight")
    select_three(page)
    chosen = numbers(page)
    page.keyboard.press(key)
    expect(page.locator("#bulk details[open] button[data-digit='1']")).to_be_focused()
    page.keyboard.press("2")
    if key == "D":
        expect(page.locator("#told .button--act")).to_be_focused()
        page.keyboard.press("Enter")
    expect(page.locator("#undo-batch")).to_be_visible()
    assert all(case.rescheduled_to if key == "D" else case.state == "waiting" for case in cases(site, chosen))


def test_four_keys_and_an_address_move_them_all(site: Site, page: Page, elm: list[str]) -> None:
    chosen = numbers(page)
    were = places(site, chosen)
    page.keyboard.press("E")
    expect(page.locator("#bulk-place-words")).to_be_focused()
    page.keyboard.type("9 Elm")
    page.keyboard.press("Enter")
    label = choose_second(page, page.locator("#bulk-places li button"), elm)
    expect(page.locator("#ask-batch")).to_contain_text(label)
    expect(page.locator("#told .button--act")).to_be_focused()
    page.keyboard.press("Enter")
    wait_for(lambda: places(site, chosen) == [label] * 3, page)
    expect(page.locator("#undo-batch")).to_be_visible()
    page.keyboard.press("u")
    wait_for(lambda: places(site, chosen) == were, page)


def test_other_words_are_looked_up_anew_where_places_stood_to_choose_from(page: Page, elm: list[str]) -> None:
    page.keyboard.press("E")
    expect(page.locator("#bulk-place-words")).to_be_focused()
    page.keyboard.type("9 Elm")
    page.keyboard.press("Enter")
    expect(page.locator("#bulk-places li button").first).to_be_focused()
    field = page.locator("#bulk-place-words")
    field.fill(elm[0])
    field.press("Enter")
    expect(page.locator("#ask-batch")).to_contain_text(elm[0])


def test_what_is_wrong_is_said_beside_the_place_and_the_words_stay(page: Page) -> None:
    page.keyboard.press("E")
    expect(page.locator("#bulk-place-words")).to_be_focused()
    page.keyboard.type("Nowhere at all 999")
    page.keyboard.press("Enter")
    expect(page.locator("#bulk-place-fault")).to_be_visible()
    expect(page.locator("#bulk-place-words")).to_be_focused()
    expect(page.locator("#bulk-place-words")).to_have_value("Nowhere at all 999")
    expect(page.locator("#rows tr[data-selected]")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator("#bulk-place summary")).to_be_focused()


def test_no_leaves_all_as_it_is_and_the_cases_selected(site: Site, page: Page) -> None:
    chosen = numbers(page)
    were = types(site, chosen)
    page.keyboard.press("e")
    page.keyboard.press(other_digit(page, site, chosen))
    expect(page.locator("#told .button--act")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-batch")).to_have_count(0)
    expect(page.locator("#rows tr[data-selected]")).to_have_count(3)
    assert types(site, chosen) == were


@pytest.mark.parametrize("status", [500, 400])
def test_an_order_that_fails_says_so_and_can_be_sent_again(site: Site, page: Page, status: int) -> None:
    chosen = numbers(page)
    were = types(site, chosen)
    page.keyboard.press("e")
    page.keyboard.press(other_digit(page, site, chosen))
    yes = page.locator("#told .button--act")
    expect(yes).to_be_focused()
    page.locator("#ask-why").fill("Seen on the photo")
    slow = Slow(page, "**/dispatch/batch*")
    yes.click()
    slow.wait()
    expect(yes).to_be_disabled()
    assert types(site, chosen) == were
    slow.go(status)
    expect(page.locator("#live")).to_contain_text(staff.WENT_WRONG)
    expect(page.locator("#ask-why")).to_have_value("Seen on the photo")
    expect(yes).to_be_enabled()
    yes.click()
    wait_for(lambda: not set(types(site, chosen)) & set(were), page)


@pytest.mark.every_variant
@IN_EACH_LANGUAGE
@pytest.mark.parametrize(("size", "options"), [("desk", DESK), ("phone", PHONE)])
def test_nothing_is_wrong_with_what_is_seen(
    site: Site, elm: list[str], open_context: Open, keep: Keep, faults: list[str], lang: str, size: str,
    options: dict[str, object],
) -> None:  # fmt: skip
    page = watched(open_context(**options).new_page(), faults)
    log_in(page, site, "dispatcher@demo.test", prefix(lang) + "/dispatch")
    for box in page.locator("#rows input[name=case]").all()[:3]:
        box.check()
    page.keyboard.press("e")
    looked_at(page, f"bulk-type-{size}-{lang}", keep)
    page.locator("#bulk-type li button").nth(16).click()
    expect(page.locator("#ask-why")).to_be_visible()
    looked_at(page, f"bulk-ask-{size}-{lang}", keep)
    page.locator("[data-no]").first.click()
    page.keyboard.press("E")
    expect(page.locator("#bulk-place-words")).to_be_focused()
    page.keyboard.type("9 Elm")
    page.keyboard.press("Enter")
    expect(page.locator("#bulk-places li button")).to_have_count(len(elm))
    looked_at(page, f"bulk-places-{size}-{lang}", keep)
