"""The location card on a phone: the fix that gets better, the pole that is chosen, places as one types."""

import io
import re
from collections.abc import Callable

from live import PHONE, PHONE_WITHOUT_WORKER, Site, Slow, send_without_script, wait_until_begun
from PIL import Image
from places import at, begun, moved, send, the_case
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import resident, shared
from wording.city import STREETLIGHT

from city.db import engine as db
from city.db.models import Asset, Report

Open = Callable[..., BrowserContext]


def begun_again(open_context: Open, site: Site, pole: Asset) -> Page:
    """A form at a pole that somebody else has just reported."""
    first = begun(open_context, site, at(pole, 8))
    expect(first.get_by_role("radio", name=pole.number)).to_be_checked()
    send(first)
    first.wait_for_url(re.compile("/sent/"))
    return begun(open_context, site, at(pole, 8))


def test_the_fix_gets_better_and_never_worse_while_the_resident_goes_on(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 250))
    expect(page.get_by_role("group", name=resident.RIGHT_SPOT)).to_be_visible()
    page.context.set_geolocation(at(pole, 60, north=12))
    expect(page.locator("#place-card")).to_contain_text(resident.WITHIN_FROM_PHONE(distance="200\u00a0ft"))
    expect(page.locator("#sure")).to_have_count(0)
    expect(page.get_by_role("radio", name=pole.number)).not_to_be_checked()
    page.context.set_geolocation(at(pole, 8))
    expect(page.get_by_role("radio", name=pole.number)).to_be_checked()
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=pole.number))
    moved(page, at(pole, 40, north=200))
    assert float(page.input_value("[name=accuracy]")) == 8
    send(page)
    assert the_case(site, page) == ("asset", None, pole.number)


def test_a_fix_of_80_metres_takes_no_pole_by_itself(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun(open_context, site, at(pole, 80))
    expect(page.locator("#things label")).to_have_count(4)
    expect(page.locator("#things :checked")).to_have_count(0)
    send(page)
    assert the_case(site, page) == ("gps", 80, "")


def test_what_was_proposed_is_undone_with_one_tap(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun(open_context, site, at(pole, 8))
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=pole.number))
    page.locator("#things label").last.tap()
    expect(page.locator("#place-change")).to_contain_text(re.compile(shared.NEAR(address=r"\d")))
    expect(page.locator("#thing-0")).to_be_focused()
    moved(page, at(pole, 6))
    assert float(page.input_value("[name=accuracy]")) == 8
    expect(page.locator("#thing-0")).to_be_checked()
    send(page)
    assert the_case(site, page) == ("gps", 8, "")


def test_a_card_that_comes_late_leaves_the_box_to_who_types_in_it(
    site: Site, open_context: Open, pole: Asset
) -> None:
    context = open_context(**PHONE_WITHOUT_WORKER, geolocation=at(pole, 8), permissions=["geolocation"])
    page = context.new_page()
    slow = Slow(page, "**/report/place**", "GET")
    page.goto(site.path("/report"))
    page.locator("label.tile").first.tap()
    slow.wait()
    if not page.locator("#place").is_visible():
        page.locator("#place-change").tap()
    page.locator("#place").focus()
    page.keyboard.type("12 Ma")
    with page.expect_response("**/report/place**"):
        slow.go()
    page.wait_for_timeout(200)
    page.keyboard.type("in Street")
    expect(page.locator("#place")).to_have_value("12 Main Street")
    expect(page.locator("#place")).to_be_focused()


def test_nothing_goes_before_what_the_resident_chose(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun(open_context, site, at(pole, 90))
    other = page.locator("#things [name=asset]").nth(1)
    number = other.get_attribute("value") or ""
    page.locator("#things label").nth(1).tap()
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=number))
    moved(page, at(pole, 6, north=-2))
    assert float(page.input_value("[name=accuracy]")) == 90
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=number))
    send(page)
    assert the_case(site, page) == ("asset", None, number)


def test_a_number_that_was_chosen_is_there_again_when_the_form_is(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 90))
    number = page.locator("#things [name=asset]").nth(1).get_attribute("value") or ""
    page.locator("#things label").nth(1).tap()
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=number))
    wait_until_begun(page, number)
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=number))
    expect(page.get_by_role("radio", name=number)).to_be_checked()
    send(page)
    assert the_case(site, page) == ("asset", None, number)


def test_a_number_that_was_only_proposed_is_proposed_again(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 8))
    expect(page.locator("#things [data-proposed]")).to_be_checked()
    page.fill("#words", "It hums.")
    wait_until_begun(page, "It hums.")
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#things [data-proposed]")).to_be_checked()


def test_a_vague_place_that_was_confirmed_is_not_asked_about_again(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 300))
    page.locator("label:has(#sure)").tap()
    expect(page.locator("#place-card[data-known]")).to_have_count(1)
    wait_until_begun(page, '"sure"')
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#place-card[data-known]")).to_have_count(1)
    expect(page.locator("#sure")).to_be_checked()


def test_what_may_be_the_same_is_asked_only_when_the_place_is_sure(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 300))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/report/near" in request.url else None)
    expect(page.get_by_role("group", name=resident.RIGHT_SPOT)).to_be_visible()
    expect(page.locator("#near-cases [name=seen]")).to_have_count(0)
    page.locator("label:has(#sure)").tap()
    page.wait_for_selector("#near-cases [name=seen]", state="attached")
    assert len(asked) == 1, "before and after"


def test_what_was_pressed_is_sent_though_the_focus_moves_while_a_photo_goes_up(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun_again(open_context, site, pole)
    join = page.locator("#near-likely [name=join]")
    join.wait_for()
    photo = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(photo, "JPEG")
    slow = Slow(page, "**/report/photos")
    page.locator("#more-photos").set_input_files(
        {"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()}
    )
    slow.wait()
    join.tap()
    expect(page.locator("#send")).to_contain_text(resident.SENDING_PHOTO)
    page.locator("textarea").first.focus()
    slow.go()
    page.wait_for_url(re.compile("/sent/"))
    with db.read_session(site.engine) as s:
        told = s.scalars(select(Report.case_id).order_by(Report.id.desc()).limit(2)).all()
    assert told[0] == told[1]


def test_what_is_probably_the_same_stands_in_sight_above_send(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun_again(open_context, site, pole)
    join = page.locator("#near-likely [name=join]")
    expect(join).to_be_in_viewport()
    above, below = join.bounding_box(), page.locator("#send").bounding_box()
    assert above
    assert below
    assert above["y"] + above["height"] <= below["y"]
    dock = page.locator(".dock").bounding_box()
    assert dock
    assert dock["height"] <= 200, "little of the form is covered"
    page.locator("label.tile").nth(1).tap()
    expect(join).to_have_count(0)


def test_what_comes_to_stand_above_send_covers_no_focus(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun_again(open_context, site, pole)
    page.locator("#place-change").tap()
    page.fill("#place", pole.number)
    page.get_by_role("button", name=shared.FIND).tap()
    page.locator("#near-likely [name=join]").wait_for()
    expect(page.locator("#place-change")).to_be_focused()
    page.wait_for_timeout(300)
    card, dock = page.locator("#place-change").bounding_box(), page.locator(".dock").bounding_box()
    assert card
    assert dock
    assert card["y"] + card["height"] <= dock["y"]


def test_another_tile_offers_other_things(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun(open_context, site, at(pole, 8))
    expect(page.get_by_role("group", name=resident.WHICH_POLE)).to_be_visible()
    page.locator("label.tile").nth(3).tap()
    expect(page.locator("#things")).to_have_count(0)
    expect(page.locator("#place-change")).to_contain_text(resident.WITHIN_FROM_PHONE(distance="26\u00a0ft"))


def test_refused_the_box_takes_the_focus_and_says_why(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/report"))
    page.locator("[data-locate]").tap()
    expect(page.locator("#place")).to_be_focused()
    expect(page.locator("#place-news")).to_contain_text(resident.NOT_LOCATED)


def test_refused_on_the_way_here_nothing_takes_the_focus_from_what_is_asked_first(
    site: Site, open_context: Open
) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/"))
    page.locator("#no-photo").tap()
    expect(page.locator("#place-news")).to_contain_text(resident.NOT_LOCATED)
    page.wait_for_timeout(300)  # so that it would have the focus by now
    expect(page.locator("#place")).not_to_be_focused()


def test_outside_the_city_the_card_says_so(site: Site, open_context: Open) -> None:
    hartford = {"latitude": 41.76, "longitude": -72.67, "accuracy": 8}
    page = begun(open_context, site, hartford, "/es/report")
    expect(page.locator("#place-e")).to_contain_text(shared.OUTSIDE_CITY.es)
    expect(page.locator("#place-card[data-known]")).to_have_count(0)


def test_a_place_is_chosen_from_the_list_by_keyboard(site: Site, open_context: Open) -> None:
    page = open_context(permissions=[]).new_page()
    page.goto(site.path("/report"))
    page.get_by_role("radio", name=STREETLIGHT, exact=True).check()
    page.focus("#place")
    box = page.get_by_role("combobox", name=resident.ADDRESS_BOX)
    expect(box).to_be_focused()
    page.keyboard.type("214 ta")
    lines = page.get_by_role("option")
    expect(lines.first).to_contain_text("214 Tansy Street")
    expect(page.locator("#place-said")).to_contain_text(resident.MATCHING_PLACES(num=""))
    page.keyboard.press("Escape")
    expect(lines).to_have_count(0)
    expect(box).to_have_value("214 ta")
    page.keyboard.type("n")
    lines.first.wait_for()
    page.keyboard.press("ArrowDown")
    expect(lines.first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", lines.first.get_attribute("id") or "-")
    page.keyboard.press("Enter")
    expect(page.locator("#place-change")).to_contain_text("214 Tansy Street")
    expect(page.locator("#place-change")).to_be_focused()
    page.locator("#things [name=asset]").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=""))
    expect(page.locator("#thing-1")).to_be_focused()


def test_what_was_chosen_from_the_list_is_asked_about_no_more_though_its_point_was_worked_out(
    site: Site, open_context: Open
) -> None:
    page = open_context(permissions=[]).new_page()
    page.goto(site.path("/report"))
    page.get_by_role("radio", name=STREETLIGHT, exact=True).check()
    page.focus("#place")
    expect(page.get_by_role("combobox", name=resident.ADDRESS_BOX)).to_be_focused()
    page.keyboard.insert_text("12 wharf")  # at once: where keys come slowly each asks anew
    page.get_by_role("option", name="12 Wharfside").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#place-change")).to_contain_text("12 Wharfside")
    expect(page.locator("#place-card[data-known]")).to_have_count(1)
    expect(page.get_by_role("group", name=resident.RIGHT_SPOT)).to_have_count(0)
    wait_until_begun(page, "12 Wharfside")
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#place-card[data-known]")).to_have_count(1)
    page.wait_for_selector("#near-cases [name=seen]", state="attached")
    page.locator("#send").click()
    assert the_case(site, page)[0] == "address"
    page.goto(site.path("/report"))
    page.get_by_role("radio", name=STREETLIGHT, exact=True).check()
    page.fill("#place", "12 Wharfside")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name=resident.RIGHT_SPOT)).to_be_visible()


def test_a_place_is_chosen_from_the_list_by_finger(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/report"))
    page.locator("#place").tap()
    page.locator("#place").press_sequentially("214 ta")
    page.get_by_role("option", name="214 Tansy Street").first.tap()
    expect(page.locator("#place-change")).to_contain_text("214 Tansy Street")


def test_without_script_the_numbers_are_a_step_of_the_form(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = open_context(**PHONE, java_script_enabled=False).new_page()
    page.goto(site.path("/report"))
    page.locator("label.tile", has_text=STREETLIGHT).click()
    page.fill("#place", pole.address)
    page.get_by_role("button", name=shared.FIND).click()
    page.locator("#things label", has_text=pole.number).click()
    send_without_script(page)
    assert the_case(site, page) == ("asset", None, pole.number)
