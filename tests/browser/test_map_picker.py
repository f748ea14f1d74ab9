"""The map picker: the pin stands still, and what is under it is the place. By finger and by keyboard."""

import re
from collections.abc import Callable

import pytest
from live import PHONE_WITHOUT_WORKER, Site, Slow, wait_until_begun
from places import at, begun, send, the_case
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import select
from wording import resident, shared

from city.db import engine as db
from city.db.models import Asset, Case

Open = Callable[..., BrowserContext]
# The longitudes of what the sheet shows from now on.
SHOWN = """() => {
  window.shown = [];
  const spot = document.querySelector("#spot");
  const note = () => window.shown.push(spot.firstElementChild?.dataset.lon);
  new MutationObserver(note).observe(spot, { childList: true });
}"""


def opened(page: Page) -> Page:
    """The form with the picker open, and everything drawn on it."""
    page.get_by_role("button", name=resident.CHOOSE_ON_MAP).tap()
    expect(page.locator("#picker .numberpin").first).to_be_visible()
    expect(title(page)).to_be_visible()
    return page


def title(page: Page) -> Locator:
    """What the place under the pin is called."""
    return page.locator("#spot h2")


def use(page: Page) -> Locator:
    return page.get_by_role("button", name=resident.USE_SPOT)


def drag(page: Page, east: float, south: float) -> None:
    """The map by so many pixels: its middle goes the other way."""
    box = page.locator("#picker .map").bounding_box()
    assert box
    x, y = box["x"] + 40, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + east, y + south, steps=8)
    page.mouse.up()


def test_a_pole_is_chosen_by_one_tap(site: Site, open_context: Open, pole: Asset) -> None:
    page = opened(begun(open_context, site, at(pole, 90)))
    number = page.locator("#picker").get_by_role("button", name=pole.number)
    number.tap()
    expect(title(page)).to_have_text(shared.POLE(number=pole.number))
    expect(number).to_have_attribute("aria-pressed", "true")
    use(page).tap()
    expect(page.locator("#picker")).to_be_hidden()
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=pole.number))
    expect(page.locator("#things")).to_have_count(0)  # which pole it is has been said
    send(page)
    assert the_case(site, page) == ("asset", None, pole.number)


def test_a_pole_that_was_chosen_before_the_kind_of_problem_stays(
    site: Site, open_context: Open, pole: Asset
) -> None:
    context = open_context(**PHONE_WITHOUT_WORKER, geolocation=at(pole, 90), permissions=["geolocation"])
    page = context.new_page()
    page.goto(site.path("/report"))
    page.wait_for_selector("#place-card[data-lat]")
    opened(page).locator("#picker").get_by_role("button", name=pole.number).tap()
    use(page).tap()
    expect(page.locator("#place-card")).to_have_attribute("data-lat", str(round(pole.lat, 6)))
    page.locator("label.tile").first.tap()
    expect(page.locator("#place-card")).to_have_attribute("data-kind", "pole")
    expect(page.locator("#place-change")).to_contain_text(shared.POLE(number=pole.number))
    expect(page.locator("#things")).to_have_count(0)
    send(page)
    assert the_case(site, page) == ("asset", None, pole.number)


def test_no_number_stands_under_the_pin_and_from_afar_numbers_are_told_of(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = opened(begun(open_context, site, at(pole, 30, 6)))
    page.wait_for_timeout(300)
    pin = page.locator(".droppin").bounding_box()
    assert pin
    for number in page.locator("#picker .numberpin > span").all():
        box = number.bounding_box()
        assert box
        beside = box["x"] + box["width"] <= pin["x"] or box["x"] >= pin["x"] + pin["width"]
        assert beside or box["y"] + box["height"] <= pin["y"] + 8 or box["y"] >= pin["y"] + pin["height"] - 8
    expect(page.get_by_text(resident.ZOOM_FOR_NUMBERS)).to_be_hidden()
    for _ in range(4):
        page.keyboard.press("-")
        page.wait_for_timeout(400)
    expect(page.get_by_text(resident.ZOOM_FOR_NUMBERS)).to_be_visible()


def wait_until_told(page: Page) -> None:
    """Until the sheet tells of the place that the form says, and of none before it."""
    for name in ("lat", "lon"):
        said = float(page.input_value(f"#report [name={name}]"))
        expect(page.locator("#spot > *")).to_have_attribute(f"data-{name}", str(said))


def test_arrow_keys_move_the_place_and_the_address_follows(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 90))
    expect(page.locator("#things label")).to_have_count(4)
    opens = page.get_by_role("button", name=resident.CHOOSE_ON_MAP)
    opens.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#picker .numberpin").first).to_be_visible()
    expect(page.get_by_role("region", name=shared.MAP)).to_be_focused()
    before = title(page).inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.input_value("[name=pinned]") == "1", "at once, whatever the city's answer takes"
    assert float(page.input_value("#report [name=lon]")) > pole.lon
    expect(title(page)).not_to_have_text(before)
    wait_until_told(page)
    expect(page.locator("#picker-said")).to_contain_text(title(page).inner_text())
    page.get_by_role("button", name=resident.MOVE_WITH_BUTTONS).press("Enter")
    east = float(page.input_value("#report [name=lon]"))
    page.get_by_role("button", name=resident.RIGHT).press("Enter")
    assert float(page.input_value("#report [name=lon]")) > east
    page.get_by_role("region", name=shared.MAP).focus()
    wait_until_told(page)
    said = title(page).inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#picker")).to_be_hidden()
    expect(opens).to_be_focused()
    expect(page.locator("#place-change b")).to_have_text(said)
    lat, lon = page.input_value("#report [name=lat]"), page.input_value("#report [name=lon]")
    send(page)
    assert the_case(site, page) == ("pin", None, "")
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).order_by(Case.id.desc()).limit(1)).one()
        assert (case.lat, case.lon) == (float(lat), float(lon))


def test_the_middle_is_the_place_as_soon_as_the_map_was_dragged_and_going_back_keeps_it(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = opened(begun(open_context, site, at(pole, 90)))
    drag(page, 120, 60)
    assert page.input_value("[name=pinned]") == "1"
    lon = page.input_value("#report [name=lon]")
    assert float(lon) < pole.lon
    page.keyboard.press("Escape")
    expect(page.locator("#picker")).to_be_hidden()
    expect(page.locator("#place-change")).to_contain_text(resident.CHOSEN_ON_MAP)
    wait_until_begun(page, lon)
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#place-change")).to_contain_text(resident.CHOSEN_ON_MAP)
    assert page.input_value("#report [name=lon]") == lon


def test_zooming_moves_no_place_and_a_late_answer_is_not_shown(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = opened(begun(open_context, site, at(pole, 90)))
    page.get_by_role("button", name=resident.ZOOM_IN).tap()
    page.wait_for_timeout(500)  # so that a place would have been taken by now
    assert page.input_value("[name=pinned]") == ""
    slow = Slow(page, "**/report/spot**", "GET")
    drag(page, 120, 60)
    slow.wait()
    first = float(page.input_value("#report [name=lon]"))
    page.evaluate(SHOWN)
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    slow.go()
    expect(page.locator("#picker")).not_to_have_attribute("data-moves", "")
    assert float(page.input_value("#report [name=lon]")) < first
    wait_until_told(page)
    assert str(first) not in page.evaluate("window.shown")


@pytest.mark.parametrize("knows_kind", [True, False])
def test_an_open_report_is_chosen_on_the_map_and_joined(
    site: Site, open_context: Open, pole: Asset, knows_kind: bool
) -> None:
    first = begun(open_context, site, at(pole, 8))
    expect(first.get_by_role("radio", name=pole.number)).to_be_checked()
    send(first)
    first.wait_for_url(re.compile("/sent/"))
    number = first.url.rpartition("/")[2].rpartition("-")[0]

    context = open_context(**PHONE_WITHOUT_WORKER, geolocation=at(pole, 20, 12), permissions=["geolocation"])
    page = context.new_page()
    page.goto(site.path("/report"))
    if knows_kind:
        page.locator("label.tile").first.tap()
    page.wait_for_selector("#place-card[data-lat]")
    opened(page)
    page.locator(f'#picker a.pin[data-number="{number}"]').press("Enter")
    expect(page.locator("#spot .nearby")).to_contain_text(resident.REPORTED_HERE)
    page.locator("#picker").get_by_role("button", name=resident.SAME_PROBLEM_BUTTON).tap()
    page.wait_for_url(re.compile(f"/sent/{number}-B"))


def test_the_nearest_report_is_a_row_before_anything_is_sent(
    site: Site, open_context: Open, pole: Asset
) -> None:
    first = begun(open_context, site, at(pole, 8))
    expect(first.get_by_role("radio", name=pole.number)).to_be_checked()
    send(first)
    first.wait_for_url(re.compile("/sent/"))
    page = opened(begun(open_context, site, at(pole, 20, 12)))
    row = page.locator("#spot button.nearby")
    number = row.get_attribute("data-case") or ""
    row.tap()
    expect(page.locator('#spot [name="join"]')).to_have_attribute("value", number)


def test_a_place_is_looked_for_by_its_address(site: Site, open_context: Open, pole: Asset) -> None:
    page = opened(begun(open_context, site, at(pole, 90)))
    box = page.locator("#picker").get_by_label(resident.ADDRESS_BOX).first
    box.tap()
    box.press_sequentially("214 ta")
    page.get_by_role("option", name="214 Tansy Street").first.tap()
    expect(title(page)).to_have_text("214 Tansy Street")
    use(page).tap()
    expect(page.locator("#place-change")).to_contain_text("214 Tansy Street")
    send(page)
    assert the_case(site, page)[0] == "address"


def test_without_map_and_signal_pin_ring_and_poles_are_there(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = begun(open_context, site, at(pole, 90))
    page.route("**/basemap.pmtiles", lambda route: route.abort())
    opened(page)
    page.context.set_offline(True)
    expect(page.locator("#picker .fixring")).to_be_visible()
    expect(page.locator("#picker .droppin")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#spot")).to_contain_text(resident.SPOT_COUNTS)
    page.fill("#picker-q", pole.number)
    page.keyboard.press("Enter")
    expect(page.locator(f'#picker [data-thing="{pole.number}"]')).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("new FormData(document.querySelector('#report')).get('asset')") == pole.number
    expect(use(page)).to_be_visible()


def test_a_map_that_does_not_load_leaves_the_search(site: Site, open_context: Open, pole: Asset) -> None:
    page = begun(open_context, site, at(pole, 90))
    page.route("**/leaflet.js", lambda route: route.abort())
    page.get_by_role("button", name=resident.CHOOSE_ON_MAP).tap()
    expect(page.get_by_role("alert").filter(has_text=resident.MAP_WONT_LOAD)).to_be_visible()
    page.fill("#picker-q", "214 Tansy Street")
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("214 Tansy Street")
    use(page).tap()
    expect(page.locator("#place-change")).to_contain_text("214 Tansy Street")


def test_outside_the_city_nothing_is_used_and_one_tap_leads_back(
    site: Site, open_context: Open, pole: Asset
) -> None:
    page = opened(begun(open_context, site, at(pole, 20)))
    inside = page.input_value("#report [name=lat]")
    for _ in range(4):
        page.get_by_role("button", name=resident.ZOOM_OUT).tap()
        page.wait_for_timeout(400)
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    expect(title(page)).to_have_text(resident.SPOT_OUTSIDE(city="Larkhaven"))
    expect(use(page)).to_be_hidden()
    page.get_by_role("button", name=resident.MOVE_PIN_BACK).tap()
    expect(use(page)).to_be_visible()
    assert page.input_value("#report [name=lat]")[:6] == inside[:6]
