"""The location card: which pole, how sure the phone is, where the city ends; and places as one types."""

from typing import Any

import pytest
from factories import Town
from filled import Fill, picks
from flask.testing import FlaskClient
from sqlalchemy import select
from wording import resident, shared, shown

from city import geo
from city.db.models import Address, Asset, Case, Report, Street
from city.geo import METRES_A_DEGREE, Point

LAMP = {"group": "streetlight"}
# Poles at 4, 39 and 74 m north of it, and one at 109.
HERE = {"lat": "39.6", "lon": "-71.2"}
NUMBERS = ["20-118", "20-119", "20-120", "20-121"]


@pytest.fixture
def poles(town: Town) -> Town:
    with town.at_work() as scene:
        for n, number in enumerate(NUMBERS):
            _stand(scene.s, "pole", number, 39.6 + (4 + 35 * n) / METRES_A_DEGREE)
        _stand(scene.s, "tree", "T-7", 39.6 + 2 / METRES_A_DEGREE)
        scene.s.add(_address("214 Tansy Street", 39.6))
        scene.s.add(_address("900 Heron Street", 39.65))
    return town


def _stand(
    s: Any, kind: str, number: str, lat: float, owner: str = "", address: str = "214 Tansy Street"
) -> None:
    cell = geo.cell(Point(lat, -71.2))
    s.add(Asset(kind=kind, number=number, owner=owner, lat=lat, lon=-71.2, cell=cell, address=address))


def _address(label: str, lat: float) -> Address:
    return Address(label=label, lat=lat, lon=-71.2, cell=geo.cell(Point(lat, -71.2)))


def card(client: FlaskClient, prefix: str = "", **asked: str) -> str:
    return client.get(f"{prefix}/report/place", query_string=HERE | LAMP | asked).get_data(as_text=True)


def heading(words: str) -> str:
    """Words as the card's title has them."""
    return words[:1].upper() + words[1:]


def offered(page: str) -> list[str]:
    """The numbers on the card, in their order."""
    return [
        part.partition('"')[0]
        for part in page.split('name="asset"')[1:]
        for part in [part.split('value="')[1]]
    ]


def checked(page: str) -> str | None:
    """The number that is chosen on the card; "" for none of them, None where nothing is."""
    for part in page.split('name="asset"')[1:]:
        tag = part.partition(">")[0]
        if " checked" in tag:
            return tag.split('value="')[1].partition('"')[0]
    return None


def test_the_three_nearest_are_offered_by_the_number_on_them(poles: Town, client: FlaskClient) -> None:
    page = card(client, accuracy="60")
    assert offered(page) == [*NUMBERS[:3], ""]
    assert resident.WHICH_POLE in page
    assert "<b>20-118</b> <small>13\u00a0ft" in page
    assert offered(card(client, group="tree", accuracy="60")) == ["T-7", ""]
    assert offered(card(client, group="other", accuracy="60")) == []
    assert offered(card(client, group="", accuracy="60")) == []


def test_a_good_fix_proposes_the_one_it_means_and_a_worse_one_none(poles: Town, client: FlaskClient) -> None:
    near = card(client, accuracy="8")
    assert checked(near) == "20-118"
    assert shared.POLE(number="20-118") in near
    assert resident.NEAREST_ADDRESS(address="214 Tansy Street") in near
    assert "data-proposed" in near
    for accuracy in ("20", "31", "80", ""):
        page = card(client, accuracy=accuracy)
        assert checked(page) is None, accuracy
        assert "data-proposed" not in page


def test_a_tree_is_told_by_its_address_and_its_number_is_small(poles: Town, client: FlaskClient) -> None:
    page = card(client, accuracy="8", group="tree")
    assert checked(page) == "T-7"
    assert f"<b>{resident.TREE_BY(address='214 Tansy Street')}</b> <small>T-7</small>" in page
    assert f"<b>{resident.TREE_BY(address='214 Tansy Street')}</b>\n" in page, "its title"
    with poles.at_work() as scene:
        for tree in scene.s.scalars(select(Asset).where(Asset.kind == "tree")):
            tree.address = "near 214 Tansy Street"
    assert "<b>T-7</b>" in card(client, accuracy="8", group="tree"), "nobody says what it stands by"


def test_what_was_proposed_can_be_undone(poles: Town, client: FlaskClient) -> None:
    page = card(client, accuracy="8", asset="")
    assert checked(page) == ""
    assert shared.NEAR(address="214 Tansy Street") in page


def test_a_point_is_told_in_the_visitors_language(poles: Town, client: FlaskClient) -> None:
    off = {"lat": str(39.6 - 40 / METRES_A_DEGREE), "accuracy": "20", "group": "other"}
    assert heading(shared.ABOUT_FROM(distance="130\u00a0ft", place="214 Tansy Street")) in card(client, **off)
    assert heading(shared.ABOUT_FROM.es(distance="130\u00a0ft", place="214 Tansy Street")) in card(
        client, "/es", **off
    )
    beside = off | {"lat": str(39.6 - 20 / METRES_A_DEGREE)}
    assert shared.NEAR.es(address="214 Tansy Street") in card(client, "/es", **beside)


def test_a_whole_street_is_asked_about_before_it_counts(poles: Town, client: FlaskClient, post: Fill) -> None:
    with poles.at_work() as scene:
        scene.s.add(Street(name="Tansy Street", line=[[-71.21, 39.6], [-71.19, 39.6]]))
    page = card(client, place="tansy street", group="other")
    assert resident.RIGHT_SPOT in page
    assert resident.LARGE_PLACE in shown(page)
    assert offered(card(client, place="tansy street")) == [], (
        "the middle of a street says nothing of its poles"
    )
    assert post(place="tansy street").status_code == 422
    assert post(place="tansy street", sure="1").status_code == 303
    assert the_case(poles).address == "Tansy Street"
    told = client.get("/report/suggest", query_string={"q": "tans"}).json
    [street] = told["places"]
    assert (street["words"], street["place"], street["vague"]) == ("Tansy Street", "Tansy Street", True)


def test_a_number_on_a_long_block_is_asked_about_before_it_counts(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        ends = {"left_from": 1, "left_to": 999, "right_from": None, "right_to": None}
        scene.s.add(Street(name="Mill Road", line=[[-71.217, 39.6], [-71.182, 39.6]], **ends))
    page = card(client, place="401 mill road", group="other")
    assert resident.RIGHT_SPOT in page
    assert resident.HOUSE_NOT_ON_MAP(distance="0.5\u00a0mi") in shown(page)
    assert "data-known" not in page
    assert post(place="401 mill road").status_code == 422
    assert post(place="401 mill road", sure="1").status_code == 303
    case = the_case(poles)
    assert (case.address, case.accuracy_m) == ("401 Mill Road", 870.0)


def test_what_is_suggested_and_chosen_is_taken_and_asked_about_no_more(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        ends = {"left_from": 1, "left_to": 999, "right_from": None, "right_to": None}
        scene.s.add(Street(name="Mill Road", line=[[-71.217, 39.6], [-71.182, 39.6]], **ends))
    [told] = client.get("/report/suggest", query_string={"q": "401 mi"}).json["places"]
    assert told["place"] == "401 Mill Road"
    page = card(client, place=told["place"], pick=told["pick"], group="other")
    assert resident.RIGHT_SPOT not in page
    assert "data-known" in page
    assert picks(page) == [told["pick"]], "it goes along with Send"
    assert post(place=told["place"], pick=told["pick"]).status_code == 303
    case = the_case(poles)
    assert (case.address, case.accuracy_m) == ("401 Mill Road", 870.0)


def test_of_two_poles_with_one_number_the_one_that_was_chosen_of_the_suggestions_is_meant(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        _stand(scene.s, "pole", NUMBERS[0], 39.62, owner="Harbor Electric", address="9 Heron Street")
    found = client.get("/report/suggest", query_string={"q": NUMBERS[0]}).json["places"]
    [other] = [each for each in found if "9 Heron Street" in each["words"]]
    assert post(place=other["place"], pick=other["pick"]).status_code == 303
    assert the_asset(poles).owner == "Harbor Electric"


def test_a_whole_street_that_was_picked_is_still_asked_about(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        scene.s.add(Street(name="Wintergreen Avenue", line=[[-71.21, 39.6], [-71.19, 39.6]]))
    [pick] = picks(card(client, place="Wint Ave", group="other"))
    assert resident.RIGHT_SPOT in card(client, place="Wint Ave", pick=pick, group="other")
    assert post(place="Wint Ave", pick=pick).status_code == 422


def test_a_typed_number_means_a_thing_of_the_services_kind(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    """The tree has the lamp's place, but is not its pole; a number that both have is the pole's."""
    assert post(place="T-7").status_code == 303
    assert (the_case(poles).asset_id, the_case(poles).place_source) == (None, "address")
    with poles.at_work() as scene:
        _stand(scene.s, "tree", NUMBERS[1], 39.61)
    page = card(client, place=NUMBERS[1], lat="", lon="")
    assert f'data-lat="{39.6 + 39 / METRES_A_DEGREE}"' in page
    assert shared.WHICH_ONE not in page


def test_of_two_poles_with_one_number_the_phone_says_which_and_without_it_one_is_asked(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        _stand(scene.s, "pole", NUMBERS[0], 39.62, owner="Harbor Electric")
    assert shared.WHICH_ONE in card(client, place=NUMBERS[0], lat="", lon="")
    assert shared.WHICH_ONE in card(client, place=NUMBERS[0], accuracy="3000")
    assert shared.WHICH_ONE in card(client, place=NUMBERS[0], lat="39.61", accuracy="8"), (
        "neither stands there"
    )
    assert shared.WHICH_ONE not in card(client, place=NUMBERS[0], lat="39.6201", accuracy="8")
    assert post(place=NUMBERS[0], lat="39.6201", lon="-71.2", accuracy="8").status_code == 303
    asset = the_asset(poles)
    assert (asset.owner, asset.number) == ("Harbor Electric", NUMBERS[0])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_what_was_picked_stays_it_when_the_kind_of_problem_changes(
    poles: Town, client: FlaskClient, post: Fill, n: int
) -> None:
    ways = ["1 Pole Way", "2 Pole Way", "3 Pole Way"]
    with poles.at_work() as scene:
        _stand(scene.s, "tree", "77", 39.61, address=ways[0])
        _stand(scene.s, "pole", "77", 39.62, address=ways[1])
        _stand(scene.s, "pole", "77", 39.63, "Harbor Electric", ways[2])
    offered = picks(card(client, place="77", group="other"))
    assert len(offered) == 3
    assert f"<b>{ways[n]}</b>" in card(client, place="77", group="other", pick=offered[n])
    sent = post(place="77", pick=offered[n])
    if n == 0:
        assert sent.status_code == 422, "the tree is no lamp's pole: it is asked which one is"
        assert picks(sent.get_data(as_text=True)) == offered[1:]
    else:
        assert the_case(poles).address == ways[n]


def test_of_two_doors_at_one_point_the_one_that_was_picked_is_meant(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        scene.s.add_all(_address(f"5 Mill Lane, {side}", 39.61) for side in ("North", "South"))
    offered = picks(card(client, place="5 Mill Lane"))
    assert post(place="5 Mill Lane", pick=offered[1]).status_code == 303
    assert the_case(poles).address == "5 Mill Lane, South"


def test_a_street_that_was_cut_short_is_offered_and_never_taken_for_it(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    with poles.at_work() as scene:
        scene.s.add(_address("12 Wintergreen Avenue", 39.61))
    page = card(client, place="12 Wint Ave", group="other")
    assert shared.PLACE_UNKNOWN in shown(page)
    assert resident.ONE_OF_THESE in page
    assert page.count('name="pick"') == 1
    assert "data-known" not in page
    assert resident.ONE_OF_THESE.es in card(client, "/es", place="12 Wint Ave")
    assert 'name="pick"' not in card(client, place="12 Wonder Ave")
    assert 'name="pick"' not in card(client, place="20-11"), "a number that is cut short is no pole"
    assert post(place="12 Wint Ave").status_code == 422
    assert post(place="12 Wint Ave", pick="1").status_code == 422
    assert post(place="12 Wint Ave", pick=picks(page)[0]).status_code == 303
    assert the_case(poles).address == "12 Wintergreen Avenue"


def test_a_pole_is_suggested_by_its_number_with_what_it_is(poles: Town, client: FlaskClient) -> None:
    told = client.get("/es/report/suggest", query_string={"q": "20-119"}).json
    words = f"{shared.POLE.es(number='20-119')}, 214 Tansy Street"
    [pole] = told["places"]
    assert (pole["words"], pole["place"], pole["vague"]) == (words, "20-119", False)


def test_a_choice_is_the_place_however_vague_the_phone_is(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    page = card(client, accuracy="140", asset="20-119")
    assert checked(page) == "20-119"
    assert resident.RIGHT_SPOT not in page
    assert f'data-lat="{39.6 + 39 / METRES_A_DEGREE}"' in page
    assert post(**HERE, accuracy="140", asset="20-119").status_code == 303
    case = the_case(poles)
    assert (case.place_source, case.asset.number if case.asset else "") == ("asset", "20-119")
    assert the_report(poles).place_source == "asset"


@pytest.mark.parametrize("accuracy", ["8", "30", "80"])
def test_without_a_choice_no_report_is_given_a_pole(poles: Town, post: Fill, accuracy: str) -> None:
    assert post(**HERE, accuracy=accuracy).status_code == 303
    case, report = the_case(poles), the_report(poles)
    assert (case.place_source, case.accuracy_m, case.asset_id) == ("gps", float(accuracy), None)
    assert (report.place_source, report.accuracy_m) == ("gps", float(accuracy))


@pytest.mark.parametrize("asset", ["20-119", "T-7", "x", "", "20-118' OR 1"])
def test_a_number_that_does_not_stand_there_is_no_choice(poles: Town, post: Fill, asset: str) -> None:
    """Of another kind, of another place, of nothing at all."""
    assert post(lat="39.62", lon="-71.2", accuracy="12", asset=asset).status_code == 303
    assert the_case(poles).asset_id is None


def test_a_number_chosen_for_one_place_does_not_follow_to_another(poles: Town, post: Fill) -> None:
    assert post(place="900 Heron Street", asset="20-118").status_code == 303
    assert (the_case(poles).place_source, the_case(poles).address) == ("address", "900 Heron Street")


def test_without_script_the_place_is_found_by_a_button_and_a_number_chosen(poles: Town, post: Fill) -> None:
    found = post(do="find", place="214 tansy st", lat=None, lon=None, accuracy=None)
    page = found.get_data(as_text=True)
    assert found.status_code == 200
    assert offered(page) == [*NUMBERS[:3], ""]
    assert checked(page) is None
    sent = post(place="214 tansy st", asset="20-118", lat=None, lon=None, accuracy=None)
    assert sent.status_code == 303
    assert the_case(poles).asset_id is not None


def test_the_button_says_what_is_wrong_with_the_place(poles: Town, post: Fill) -> None:
    for place, told in (("nowhere 1", shared.PLACE_UNKNOWN), ("", shared.PLACE_MISSING)):
        found = post(do="find", place=place, lat=None, lon=None, accuracy=None)
        assert found.status_code == 422
        assert told in shown(found)


def test_a_vague_fix_is_asked_about_before_it_counts(poles: Town, client: FlaskClient, post: Fill) -> None:
    page = card(client, accuracy="300")
    assert resident.RIGHT_SPOT in page
    assert resident.LOCATION_OFF_BY(distance="0.2\u00a0mi") in page
    assert "data-known" not in page
    assert "data-known" in card(client, accuracy="300", sure="1")
    assert resident.RIGHT_SPOT not in card(client, accuracy="100")
    asked = post(**HERE, accuracy="300")
    assert asked.status_code == 422
    assert 'href="#sure"' in asked.get_data(as_text=True)
    assert post(**HERE, accuracy="300", sure="1").status_code == 303


def test_where_the_photo_was_taken_is_said_of_the_place_and_kept_with_it(
    poles: Town, client: FlaskClient, post: Fill
) -> None:
    page = card(client, accuracy="8", pinned="photo", group="other")
    assert resident.FROM_PHOTO in page
    assert 'name="pinned" value="photo"' in page
    assert 'name="accuracy" value="8.0"' in page
    assert checked(card(client, accuracy="8", pinned="photo")) == "20-118", "it proposes what a fix would"
    assert "data-known" in card(client, accuracy="", pinned="photo"), "most cameras say no more"
    assert resident.PHOTO_OFF_BY(distance="0.2\u00a0mi") in shown(
        card(client, accuracy="300", pinned="photo")
    )
    lost = card(client, accuracy="8", pinned="photo", lat="39.61", group="other")
    assert resident.PHOTO_PLACE in lost, "where no address is near"
    assert resident.FROM_PHOTO.es in card(client, "/es", pinned="photo", group="other")
    assert post(**HERE, accuracy="8", pinned="photo").status_code == 303
    case, report = the_case(poles), the_report(poles)
    assert (case.place_source, case.accuracy_m) == ("photo", 8.0)
    assert report.place_source == "photo"


def test_a_photo_from_elsewhere_is_outside_the_city_like_any_other_point(
    poles: Town, client: FlaskClient
) -> None:
    page = card(client, lat="41.76", lon="-72.67", accuracy="8", pinned="photo")
    assert shared.OUTSIDE_CITY in shown(page)
    assert "data-known" not in page


def test_a_phone_outside_the_city_is_told_whom_to_ask(poles: Town, client: FlaskClient, post: Fill) -> None:
    page = card(client, lat="41.76", lon="-72.67", accuracy="8")
    assert shared.OUTSIDE_CITY in shown(page)
    assert "data-known" not in page
    assert post(lat="41.76", lon="-72.67", accuracy="8").status_code == 422


def test_the_card_speaks_spanish(poles: Town, client: FlaskClient) -> None:
    page = card(client, "/es", accuracy="8")
    assert shared.POLE.es(number="20-118") in page
    assert resident.WHICH_POLE.es in page
    assert resident.NONE_OF_THESE.es in page


@pytest.mark.parametrize("extra", [0, 40])
def test_the_card_asks_the_database_as_often_for_many_poles_as_for_few(
    poles: Town, client: FlaskClient, asked: list[str], extra: int
) -> None:
    with poles.at_work() as scene:
        for n in range(extra):
            _stand(scene.s, "pole", f"x-{n}", 39.6 - (40 + 2 * n) / METRES_A_DEGREE)
    card(client, accuracy="8")
    asked.clear()
    card(client, accuracy="8")
    assert len(asked) <= 4


def test_places_are_suggested_as_one_types(poles: Town, client: FlaskClient) -> None:
    answer = client.get("/report/suggest", query_string={"q": "214 ta"})
    pick = "39.6,-71.2:214 Tansy Street"
    told = {"words": "214 Tansy Street", "place": "214 Tansy Street", "pick": pick, "vague": False}
    assert answer.json == {"places": [told]}
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    for few in ("", "2", "zz zz", "214 tansy street" + " x" * 40):
        assert client.get("/report/suggest", query_string={"q": few}).json == {"places": []}


def test_what_is_typed_stands_in_no_log(
    poles: Town, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    client.get("/report/suggest", query_string={"q": "my aunt's house"})
    assert "aunt" not in caplog.text


def test_suggestions_have_a_limit_of_their_own(poles: Town, client: FlaskClient) -> None:
    codes = {client.get("/report/suggest", query_string={"q": "21"}).status_code for _ in range(301)}
    assert codes == {200, 429}


def the_report(town: Town) -> Report:
    with town.looking() as scene:
        return scene.s.scalars(select(Report)).one()


def the_asset(town: Town) -> Asset:
    with town.looking() as scene:
        return scene.s.scalars(select(Asset).join(Case, Case.asset_id == Asset.id)).one()


def the_case(town: Town) -> Case:
    with town.looking() as scene:
        case = scene.s.scalars(select(Case)).one()
        assert case.asset is None or case.asset.number
        return case
