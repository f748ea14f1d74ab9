"""What the form asks of danger: both answers are there, and neither loses anything."""

from collections.abc import Callable

from live import PHONE, Site
from playwright.sync_api import BrowserContext, expect
from wording import shared

Open = Callable[..., BrowserContext]


def test_yes_says_what_to_do_first_and_no_goes_on(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/report"))
    question, dock = page.locator(".danger"), page.locator(".dock")
    expect(question.locator(".stop-back")).to_be_hidden()
    question.locator("label", has_text=shared.YES).tap()
    expect(question.locator(".stop-back")).to_be_visible()
    expect(dock).to_be_hidden()
    question.locator("label", has_text=shared.NO).tap()
    expect(question.locator(".stop-back")).to_be_hidden()
    expect(dock).to_be_visible()
    expect(question.get_by_role("radio", name=shared.NO)).to_be_checked()


def test_a_problem_that_is_dangerous_answers_yes_by_itself(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/report"))
    page.locator("label.tile").first.tap()
    page.locator(".asks .chip--danger").first.tap()
    expect(page.locator(".danger .stop-back")).to_be_visible()
    expect(page.locator(".danger").get_by_role("radio", name=shared.YES)).to_be_checked()


def test_without_script_both_answers_work(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE, java_script_enabled=False).new_page()
    page.goto(site.path("/report"))
    expect(page.locator(".danger .stop-back")).to_be_hidden()
    page.locator(".danger label", has_text=shared.YES).click()
    expect(page.locator(".danger .stop-back")).to_be_visible()
    page.locator(".danger label", has_text=shared.NO).click()
    expect(page.locator(".danger .stop-back")).to_be_hidden()
