"""A dispatcher who is faster than the line: every answer comes late, and none of them where it does harm."""

import re
from collections.abc import Callable

import pytest
from live import DESK_WITHOUT_WORKER, Site, Slow, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import shared, staff

from city.db import engine as db
from city.db.models import Case, Crew

Open = Callable[..., BrowserContext]


@pytest.fixture
def page(site: Site, open_context: Open) -> Page:
    """The queue of what no crew has, its first case open."""
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch?crew=none")
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, 0))
    return page


def number_of(page: Page, nth: int) -> str:
    return page.locator("#rows tr").nth(nth).get_attribute("data-number") or ""


def crew_of(site: Site, number: str) -> int | None:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Case.crew_id).where(Case.number == number)).one()


def give(page: Page) -> None:
    """Two keys give the open case to the first crew."""
    page.keyboard.press("a")
    page.keyboard.press("1")


def test_who_goes_on_before_the_answer_acts_on_the_next_case(site: Site, page: Page) -> None:
    first, second = number_of(page, 0), number_of(page, 1)
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    opening = Slow(page, f"**/dispatch/cases/{second}*", "GET")
    page.keyboard.press("j")
    opening.wait()
    with page.expect_response("**/assign**"):
        verb.go()
    give(page)
    opening.go()
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    expect(page.locator("#rows [aria-current]")).to_have_attribute("data-number", second)
    expect(page.locator(".drawer .said")).to_contain_text(re.compile(staff.ASSIGNED_TO(crew=".+")))
    assert crew_of(site, first) is not None
    assert crew_of(site, second) is not None


def test_where_the_next_case_does_not_come_no_key_acts_on_the_one_before(site: Site, page: Page) -> None:
    first, second = number_of(page, 0), number_of(page, 1)
    page.route(f"**/dispatch/cases/{second}*", lambda route: route.abort())
    page.keyboard.press("j")
    give(page)
    expect(page.locator("#live")).to_contain_text(staff.NO_ANSWER)
    expect(page.locator("#do-assign")).to_be_hidden()
    assert crew_of(site, first) is None


def test_a_key_for_a_case_that_was_left_is_not_done_to_the_next(site: Site, page: Page) -> None:
    second = number_of(page, 1)
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    page.keyboard.press("a")  # once more, for which the answer is waited for
    page.keyboard.press("j")
    verb.go()
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    page.wait_for_timeout(300)
    expect(page.locator("#do-assign")).to_be_hidden()
    assert crew_of(site, second) is None


def test_every_key_that_is_typed_ahead_is_served(site: Site, page: Page) -> None:
    numbers = [number_of(page, nth) for nth in range(4)]
    for key in ("a", "1", "j") * 3 + ("a", "1"):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    expect(page.locator("#told")).to_contain_text(numbers[-1])
    assert all(crew_of(site, number) for number in numbers)


def test_a_key_that_can_do_nothing_says_so_and_what_was_typed_after_it_is_not_done(
    site: Site, page: Page
) -> None:
    first = number_of(page, 0)
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    for key in ("o", "c", "1"):  # an open case cannot be reopened
        page.keyboard.press(key)
    verb.go()
    expect(page.locator("#live")).to_contain_text(staff.KEY_CANT)
    expect(page.locator("#do-close")).to_be_hidden()
    assert crew_of(site, first) is not None


def test_undo_takes_back_the_last_act_though_another_case_is_open(site: Site, page: Page) -> None:
    first, second = number_of(page, 0), number_of(page, 1)
    give(page)
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    assert crew_of(site, first) is not None
    page.keyboard.press("u")
    expect(page.locator("#told")).to_contain_text(shared.CASE_PUT_BACK(number=first))
    assert crew_of(site, first) is None


def test_words_that_are_typed_before_their_form_is_here_are_no_commands(site: Site, page: Page) -> None:
    first = number_of(page, 0)
    verb = Slow(page, "**/show**")
    page.keyboard.press("p")
    verb.wait()
    page.keyboard.press("n")
    page.keyboard.type("a 1")
    verb.go()
    page.locator("#do-note textarea").wait_for()
    expect(page.locator("#do-note textarea")).to_be_focused()
    expect(page.locator("#do-note textarea")).to_have_value("a 1")
    assert crew_of(site, first) is None


def test_a_verb_that_never_ends_holds_up_no_other_case(page: Page) -> None:
    second = number_of(page, 1)
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    page.locator(".drawer [data-do=note]").click()
    page.locator(f"#case-{second} a").click()
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    page.keyboard.press("n")
    page.keyboard.type("The pole is bent.")
    expect(page.locator("#do-note textarea")).to_have_value("The pole is bent.")


def test_escape_ends_what_is_about_to_open(page: Page) -> None:
    opening = Slow(page, f"**/dispatch/cases/{number_of(page, 1)}*", "GET")
    page.keyboard.press("j")
    opening.wait()
    page.keyboard.press("Escape")
    opening.go()
    page.wait_for_timeout(300)
    expect(page.locator("#drawer")).to_be_hidden()


def test_after_escape_in_mid_stride_the_next_case_takes_keys(page: Page) -> None:
    second = number_of(page, 1)
    page.keyboard.down("j")
    page.keyboard.down("j")  # held: its case is fetched only when the keys rest
    page.keyboard.press("Escape")
    page.keyboard.up("j")
    expect(page.locator("#drawer")).to_be_hidden()
    page.locator(f"#case-{second} a").click()
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    page.keyboard.press("n")
    expect(page.locator("#do-note")).to_be_visible()


def test_a_case_beside_an_empty_list_is_closed_and_takes_keys(site: Site, page: Page) -> None:
    page.goto(site.path(f"/dispatch/cases/{number_of(page, 0)}?words=zyxwvu"))
    expect(page.locator(".empty")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("#do-note")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()


def test_keys_follow_where_a_link_of_the_case_leads(site: Site, page: Page) -> None:
    other = number_of(page, 3)
    url = f"/dispatch/cases/{other}"
    page.evaluate(
        """(url) => {
          const link = document.createElement("a");
          link.href = url;
          link.id = "leads";
          link.textContent = url;
          link.setAttribute("hx-get", url);
          document.querySelector("#looking").after(link);
          htmx.process(link);
        }""",
        url,
    )
    slow = Slow(page, f"**{url}*", "GET")
    page.locator("#leads").click()
    slow.wait()
    page.keyboard.press("n")
    slow.go()
    expect(page.locator(".drawer")).to_have_attribute("data-number", other)
    expect(page.locator("#do-note")).to_be_visible()


def test_a_verb_that_fails_after_its_case_was_left_is_told(page: Page) -> None:
    first, second = number_of(page, 0), number_of(page, 1)
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", second)
    verb.go(500)
    expect(page.locator("#live")).to_contain_text(staff.CASE_WENT_WRONG(number=first))


def test_a_note_is_not_begun_in_a_drawer_that_is_about_to_go(page: Page) -> None:
    verb = Slow(page, "**/assign**")
    give(page)
    verb.wait()
    page.locator(".drawer [data-do=note]").click()
    expect(page.locator("#do-note")).to_be_hidden()
    verb.go()
    page.locator("#do-note textarea").wait_for()
    page.keyboard.type("The pole is bent.")
    expect(page.locator("#do-note textarea")).to_have_value("The pole is bent.")


def test_what_is_chosen_while_a_batch_is_under_way_stays_chosen(page: Page) -> None:
    rows = [page.locator("#rows tr").nth(n) for n in range(2)]
    fresh = sum(row.get_by_text("Priority", exact=True).count() == 0 for row in rows)  # the demo raised some
    assert fresh
    batch = Slow(page, "**/batch**")
    for key in ("x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=2))
    page.keyboard.press("!")
    page.keyboard.press("1")
    batch.wait()
    third = number_of(page, 2)
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk-count")).to_have_text(staff.SELECTED(num=3))
    batch.go()
    expect(page.locator("#told")).to_contain_text(shared.CASES_RAISED(fresh))
    expect(page.locator("#bulk-count")).to_have_text(staff.ONE_SELECTED)
    expect(page.locator("#rows [data-selected]")).to_have_attribute("data-number", third)
    expect(page.locator("#rows [aria-current] a")).to_be_focused()


def test_a_batch_that_asks_takes_the_keyboard_from_nobody_who_writes(page: Page) -> None:
    batch = Slow(page, "**/batch**")
    for key in ("x", "j", "x", "c"):
        page.keyboard.press(key)
    page.locator("#bulk-close .chip", has_text=shared.NOT_FOUND).click()
    page.locator("#bulk-close").get_by_role("button", name=staff.CLOSE_MANY).click()
    batch.wait()
    page.locator("#q").click()
    batch.go()
    asked = staff.CLOSE_CASES(2, outcome=shared.NOT_FOUND)
    expect(page.locator("#told")).to_contain_text(asked)
    expect(page.locator("#q")).to_be_focused()


def test_among_many_crews_the_name_is_typed(site: Site, page: Page) -> None:
    with db.transaction(site.engine) as s:
        s.add_all(Crew(name=f"Harbor {n}") for n in range(1, 12))
    first = number_of(page, 0)
    page.reload()
    page.keyboard.press("a")
    field = page.locator("#do-assign input[data-narrows]")
    expect(field).to_be_focused()
    field.type("harbor 7")
    expect(page.locator("#do-assign .crews li:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".drawer .said")).to_have_text(staff.ASSIGNED_TO(crew="Harbor 7"))
    with db.read_session(site.engine) as s:
        assert s.scalars(select(Crew.name).where(Crew.id == crew_of(site, first))).one() == "Harbor 7"


def test_rows_stay_as_dense_as_they_were_chosen(page: Page) -> None:
    row = page.locator("#rows tr").nth(3)
    before = row.bounding_box()
    page.locator("#density").click()
    after = row.bounding_box()
    assert before and after  # noqa: PT018
    assert after["height"] <= 36 < before["height"]
    page.reload()
    expect(page.locator("#density")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".queue[data-compact]")).to_be_visible()


def test_each_selected_case_goes_to_its_usual_crew(site: Site, page: Page) -> None:
    chosen = [page.locator("#rows tr").nth(nth) for nth in range(3)]
    numbers = [row.get_attribute("data-number") or "" for row in chosen]
    for row in chosen:
        row.locator("input[name=case]").check()
    page.keyboard.press("A")
    expect(page.locator("#told")).to_contain_text("usual")
    given = [crew_of(site, number) for number in numbers]
    page.keyboard.press("u")
    expect(page.locator("#told")).to_contain_text(re.compile("put back"))
    assert any(given)
    assert not any(crew_of(site, number) for number in numbers)
