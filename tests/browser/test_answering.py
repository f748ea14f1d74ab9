"""Finding an answer in a browser: while it is typed, by keyboard alone, and without a script."""

from collections.abc import Callable

from live import Site
from playwright.sync_api import BrowserContext, expect

Open = Callable[..., BrowserContext]


def test_answers_are_there_while_somebody_types_and_the_box_keeps_its_words(
    site: Site, open_context: Open
) -> None:
    page = open_context().new_page()
    page.goto(site.path("/answers"))
    page.locator("#q").focus()
    page.keyboard.type("birth certifi")
    expect(page.locator("#found a").first).to_have_text("Get a birth certificate")
    assert page.locator("#q").input_value() == "birth certifi"
    assert page.url == site.path("/answers"), "what is half typed stands in no address"
    for _ in range(2):  # the button, then the first answer
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Get a birth certificate")
    page.locator("button[value=no]").click()
    expect(page.locator("#helpful-title")).to_contain_text("Thank you")


def test_without_a_script_the_same_is_there_with_enter(site: Site, open_context: Open) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto(site.path("/es/answers"))
    page.locator("#q").fill("acta de nacimento")
    page.keyboard.press("Enter")
    expect(page.locator("#found a").first).to_have_text("Pedir un acta de nacimiento")
