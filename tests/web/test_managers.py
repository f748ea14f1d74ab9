"""Managers read private cases and small numbers of the departments they answer for, and no others."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from city.cases import search, tags, transitions
from city.db.models import Area, Case, Department, Person, Service, Tally
from city.people import accounts, departments
from pwa.web import access

pytestmark = pytest.mark.both_databases

WORDS, TAG, NOTE, STREET = "zebrawords", "zebratag", "zebranote", "Zebra"


@pytest.fixture
def private(town: Town) -> dict[str, str]:
    """A private case of Works with everything that must not be read, and a public one beside it."""
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        scene.s.add(Department(code="health", names={"en": "Health"}, time_zone="America/New_York"))
        photo = scene.photo("teal")
        report = scene.report(
            service_code="nuisance", words=f"It is {WORDS} again", taken=[photo], place=scene.pole()
        )
        case = report.case
        case.address = f"12 {STREET} Street"
        case.area_id = scene.s.scalars(select(Area.id)).first()
        transitions.note(scene.s, case, NOTE, by=by, at=town.now)
        tags.tag(scene.s, case, TAG, by=by, at=town.now)
        search.mark_changed(scene.s, case.id)
        public = scene.report(words="A plain lamp").case
        last = scene.report(words="A plain lamp too").case
        return {
            "last": last.number, "number": case.number,
            "public": public.number, "photo": photo.id, "area": str(case.area_id),
            "lat": f"{case.lat:.4f}" if case.lat is not None else "",
        }  # fmt: skip


def give(town: Town, *codes: str) -> None:
    with town.at_work() as scene:
        manager = scene.s.get_one(Person, town.ids["manager"])
        accounts.change(
            scene.s, manager, name=manager.name, lang="en", roles=["manager"], crews=[], departments=codes,
            by=scene.actor("administrator"), at=town.now,
        )  # fmt: skip


def reachable(app: Flask, private: dict[str, str]) -> list[str]:
    """Every address that a manager can open, with the private case in each place, and asked for its words."""
    found = []
    for rule in app.url_map.iter_rules():
        roles = access.roles_for(rule.endpoint)
        if "GET" not in (rule.methods or ()) or not {"manager", "anybody"} & set(roles):
            continue
        if rule.endpoint in ("shell.readyz", "account.log_out"):
            continue
        path = re.sub(r"<number>", private["number"], rule.rule)
        path = re.sub(r"<photo_id>", private["photo"], path)
        path = re.sub(r"<size>", "page", path)
        path = re.sub(r"<natural:[^>]*>", "0", path)
        found.append(re.sub(r"<[^>]*>", "x", path))
    number, public = private["number"], private["public"]
    asked = [
        "", f"?words={WORDS}", f"?words={NOTE}", f"?words={STREET}", f"?tag={TAG}", "?sort=street",
        "?service=nuisance", "?department=works", f"?area={private['area']}", "?channel=web", "?sort=newest",
    ]  # fmt: skip
    found += [f"/dispatch{query}" for query in asked] + [f"/dispatch/print{query}" for query in asked]
    found += [
        f"/dispatch/print?case={number}",
        "/dispatch/asset/20-118",
        f"/dispatch/address?q=12+{STREET}+Street",
        "/dispatch/address?q=214+Tansy+Street",
        f"/dispatch/cases/{public}",
        f"/dispatch/cases/{number}?do=hold",
    ]
    return found


@pytest.mark.parametrize("codes", [(), ("health",)])
def test_what_is_private_to_another_department_is_read_nowhere(
    app: Flask,
    town: Town,
    log_in: Callable[..., FlaskClient],
    private: dict[str, str],
    codes: tuple[str, ...],
) -> None:
    give(town, *codes)
    manager = log_in("manager")
    paths = reachable(app, private)
    assert len(paths) > 60
    for path in paths:
        answer = manager.get(path, buffered=True, follow_redirects=True)
        assert answer.status_code < 500, path
        body = answer.get_data(as_text=True)
        asked = path.partition("?")[2]
        # What somebody looks for stands in the box again, and in the name of the view.
        for canary in (WORDS, TAG, NOTE, STREET):
            if canary not in asked:
                assert canary not in body, f"{canary} on {path}"
        if path.startswith(("/dispatch/asset/", "/dispatch/address")):
            assert private["number"] not in body, f"the case on {path}"
        if private["photo"] not in path:
            assert private["photo"] not in body, f"the photo on {path}"
    assert manager.get(f"/photos/{private['photo']}/page.jpg").status_code == 404


@pytest.mark.parametrize("query", [f"words={WORDS}", f"words={STREET}", f"tag={TAG}"])
def test_a_search_does_not_find_what_is_sealed(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str], query: str
) -> None:
    row = f'id="case-{private["number"]}"'
    give(town, "health")
    board = log_in("manager").get(f"/dispatch?{query}").text
    assert row not in board
    assert "0 cases" in board
    give(town, "works")
    assert row in log_in("manager").get(f"/dispatch?{query}").text


def test_what_a_sealed_case_was_merged_into_tells_none_of_it(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        mine, root, last = (scene.case(private[name]) for name in ("number", "public", "last"))
        transitions.merge(scene.s, mine, root, by=by, at=town.now)
        transitions.merge(scene.s, root, last, by=by, at=town.now)
    for code, found in (("health", False), ("works", True)):
        give(town, code)
        manager = log_in("manager")
        board = manager.get(f"/dispatch?words={WORDS}").text
        assert (f'id="case-{private["last"]}"' in board) == found
        for name in ("public", "last"):
            drawer = manager.get(f"/dispatch/cases/{private[name]}").text
            assert private["photo"] not in drawer or found
            assert WORDS not in drawer or found, name


def test_a_manager_reads_what_is_private_to_their_own_department(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    give(town, "works", "health")
    manager = log_in("manager")
    drawer = manager.get(f"/dispatch/cases/{private['number']}").text
    assert WORDS in drawer
    assert NOTE in drawer
    assert TAG in drawer
    assert manager.get(f"/photos/{private['photo']}/page.jpg").status_code == 200
    give(town)
    assert WORDS not in manager.get(f"/dispatch/cases/{private['number']}").text, "taken away at once"


def test_the_case_itself_is_still_counted_and_can_be_held(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    manager, number = log_in("manager"), private["number"]
    board = manager.get("/dispatch").text
    assert f'id="case-{number}"' in board
    assert "Private case" in board
    page = manager.get("/login").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = manager.post(
        f"/dispatch/cases/{number}/hold", data={"csrf_token": token, "hold": "Request 26-1"},
        follow_redirects=True,
    )  # fmt: skip
    assert answer.status_code == 200
    assert "Lift legal hold" in answer.text
    records = manager.get("/admin/records").text
    assert number in records
    assert "Request 26-1" not in records


def test_the_map_places_nothing_that_is_sealed(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    give(town, "health")
    manager = log_in("manager")
    sealed = manager.get("/tiles/cases/0/0/0")
    told = manager.get("/tiles/cases/count").get_json()
    give(town, "works")
    whole = manager.get("/tiles/cases/0/0/0", headers={"If-None-Match": sealed.headers["ETag"]})
    assert whole.status_code == 200, "what the browser kept is not what may be seen now"
    assert whole.get_json()["placed"] == sealed.get_json()["placed"] + 1
    assert told["total"] == manager.get("/tiles/cases/count").get_json()["total"]


@pytest.mark.parametrize("name", ["dispatcher", "supervisor", "call-taker", "administrator"])
def test_others_read_what_they_read_before(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str], name: str
) -> None:
    assert WORDS in log_in(name).get(f"/dispatch/cases/{private['number']}").text
    with town.looking() as scene:
        assert departments.sealed(scene.s, scene.actor(name)) == ()


def test_an_administrator_gives_departments_and_the_log_keeps_it(
    town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    admin, number = log_in("administrator"), town.ids["manager"]
    page = admin.get(f"/admin/people/{number}").text
    token, seen = (
        page.partition(f'name="{name}" value="')[2].partition('"')[0].replace("&#34;", '"')
        for name in ("csrf_token", "seen")
    )
    form = {
        "csrf_token": token, "seen": seen, "name": "Mona", "lang": "en", "role": "manager",
        "department": ["works", "health"],
    }  # fmt: skip
    assert admin.post(f"/admin/people/{number}", data=form).status_code == 303
    with town.looking() as scene:
        assert scene.actor("manager").departments == {"works", "health"}
    wrong = admin.post(f"/admin/people/{number}", data=form | {"department": "nowhere"})
    assert wrong.status_code == 422


def test_departments_open_nothing_to_whoever_is_no_manager(town: Town, private: dict[str, str]) -> None:
    with town.at_work() as scene:
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        rosa.departments = departments.known(scene.s, ["works"])
        assert departments.own(accounts.actor(rosa)) == frozenset()
        assert scene.s.scalars(select(Case).where(Case.number == private["number"])).one()


def test_small_numbers_are_the_managers_alone(
    app: Flask, town: Town, log_in: Callable[..., FlaskClient], private: dict[str, str]
) -> None:
    """The page of figures tells them; no file does, and nobody else's page."""
    month = f"{town.now.replace(day=1) - timedelta(days=1):%Y-%m}"
    page, file = (f"{path}?period={month}" for path in ("/performance", "/performance.csv"))
    with town.looking() as scene:
        code = scene.s.scalars(select(Service.department_code).where(Service.code == "home-nuisance")).one()
    with town.at_work() as scene:
        counts = (("service", "home-nuisance", 3), ("service", "nuisance", 9), ("city", "", 12))
        for facet, value, n in counts:
            row = Tally(facet=facet, month=month, what="opened", value=value, n=n)
            scene.s.merge(row)
    give(town, code)
    stranger = app.test_client()
    public, public_file = stranger.get(page), stranger.get(file)
    assert public.status_code == 200
    assert "Only you see this" not in public.text
    assert "hidden" in public.text
    manager = log_in("manager")
    own = manager.get(page)
    assert "Only you see this" in own.text
    assert "no-store" in own.headers["Cache-Control"]
    assert manager.get(file).text == public_file.text
    own_token = re.compile(r'<meta name="csrf" content="[^"]*">')  # each second brings another
    assert own_token.search(public.text)
    assert own_token.sub("", stranger.get(page).text) == own_token.sub("", public.text)
    give(town)
    assert "Only you see this" not in log_in("manager").get(page).text
