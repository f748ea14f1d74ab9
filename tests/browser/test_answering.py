"""Finding an answer in a browser: while it is typed, by keyboard alone, and without a script."""

from collections.abc import Callable

import pytest
from live import Site
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import select
from wording import resident

from city.db import engine as db
from city.db.models import FailedSearch

Open = Callable[..., BrowserContext]


def test_answers_are_there_while_somebody_types_and_the_box_keeps_its_words(
    site: Site, open_context: Open
) -> None:
    page = open_context().new_page()
    page.goto(site.path("/answers"))
    page.locator("#q").focus()
    with page.expect_response("**/answers?q=birth%20certifi*"):  # those of fewer letters may come first
        page.keyboard.type("birth certifi")
    expect(page.locator("#found a").first).to_have_text("Get a birth certificate")
    assert page.locator("#q").input_value() == "birth certifi"
    assert page.url == site.path("/answers"), "what is half typed stands in no address"
    for _ in range(2):  # the button, then the first answer
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Get a birth certificate")
    page.locator("button[value=no]").click()
    expect(page.locator("#helpful-title")).to_have_text(resident.THANKS_NOT_HELPFUL)


def test_without_a_script_the_same_is_there_with_enter(site: Site, open_context: Open) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto(site.path("/es/answers"))
    page.locator("#q").fill("acta de nacimento")
    page.keyboard.press("Enter")
    expect(page.locator("#found a").first).to_have_text("Pedir un acta de nacimiento")


@pytest.mark.every_variant
@pytest.mark.parametrize("scripts", [True, False])
def test_a_question_without_an_answer_reaches_who_could_write_one(
    site: Site, open_context: Open, scripts: bool
) -> None:
    page = open_context(java_script_enabled=scripts).new_page()
    page.goto(site.path("/answers"))
    page.locator("#q").fill("zeppelin moorings")
    page.keyboard.press("Enter")
    if not scripts:
        page.get_by_role("button", name=resident.MISSING_BUTTON).click()
    expect(page.locator("#found")).to_contain_text(resident.THANKS_UNANSWERED)
    with db.read_session(site.engine) as s:
        asked = s.scalars(select(FailedSearch.asked).where(FailedSearch.words == "zeppelin moorings")).all()
        assert asked == [1]
