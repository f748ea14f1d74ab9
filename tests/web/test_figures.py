"""The public figures: the source's own on the page and in the file; periods, and what is assumed."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sourcecity
from click.testing import CliRunner
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete
from wording import resident, shown

from city.audit import events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Tally
from city.metrics import publications
from city.people import accounts, contacts
from city.people.contacts import Conversation
from city.settings import Settings
from pwa.cli.main import cli
from pwa.metrics import labels as metric_labels

pytestmark = pytest.mark.both_databases

SCALE = 100
YEAR = sourcecity.SECOND


@pytest.fixture
def app(town: Town, app: Flask) -> Flask:
    """The city of the source, on a morning of the year after."""
    with town.at_work() as scene:
        number = scene.report().case.number
    sourcecity.fill(town.engine, number, SCALE)
    app.config["NOW"] = datetime(YEAR + 1, 2, 3, 15, tzinfo=UTC)
    return app


def page(client: FlaskClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, address
    return answer.get_data(as_text=True)


def rows(client: FlaskClient, address: str) -> dict[str, dict[str, str]]:
    answer = client.get(address)
    assert answer.mimetype == "text/csv"
    return {row["figure"]: row for row in csv.DictReader(io.StringIO(answer.get_data(as_text=True)))}


def test_the_source_stands_on_the_page(client: FlaskClient) -> None:
    told = page(client, f"/value?period={YEAR}")
    assert '<data value="1000">1,000</data>' in told
    assert resident.MORE_THAN_A_YEAR_EARLIER(percent=6) in told
    assert "$2.00</data>" in told
    assert resident.PER_CONTACT(money="$2,000") in told
    assert 'data value="0.105"' in told
    assert resident.TOP_TOPIC(topic="Taxes", share="32%") in told


def test_the_source_stands_in_the_file(client: FlaskClient) -> None:
    told = rows(client, f"/value.csv?period={YEAR}")
    contacts, taxes = told["line.contacts"], told["topic.taxes.contacts"]
    assert (contacts["value"], contacts["a year before"]) == ("1000", "940")
    assert int(taxes["value"]) - int(taxes["a year before"]) == 50
    assert (told["line.follow_up"]["value"], told["line.cost_per_contact"]["value"]) == ("0.105", "2")
    assert contacts["query"].startswith("SELECT count(*) FROM events WHERE subject LIKE 'contact:%'")
    assert {row["of"] for row in rows(client, f"/value.csv?period={YEAR}&table=topic").values()} >= {"Taxes"}


def test_pages_say_what_they_do_not_know(client: FlaskClient) -> None:
    assert resident.COST_UNKNOWN in shown(page(client, f"/value?period={YEAR - 1}"))
    assert resident.NO_CONTACTS in page(client, "/value?period=2011")
    assert resident.NO_CASES_IN_PERIOD in page(client, "/performance?period=2011")


@pytest.mark.parametrize("address", ["/value", "/performance", "/value.csv", "/performance.csv"])
def test_a_period_that_is_none_is_no_page(client: FlaskClient, address: str) -> None:
    for wrong in ("2099", "x", "2026-13", f"{YEAR + 1}-02", "'"):
        page(client, f"{address}?period={wrong}", 404)
    if address.endswith(".csv"):
        page(client, f"{address}?table=persons", 404)


def test_what_is_assumed_can_be_changed_and_what_is_no_number_is_said(client: FlaskClient) -> None:
    told = page(client, f"/value?period={YEAR}")
    assert 'name="minutes-finance" value="6"' in told
    more = page(client, f"/value?period={YEAR}&minutes-finance=12&share=50&hourly-clerk=99")
    assert spared(more) == spared(told) != spared(page(client, f"/value?period={YEAR}&share=50"))
    assert 'name="hourly-clerk" value="99"' in more
    wrong = page(client, f"/value?period={YEAR}&minutes-finance=-3&share=lots&full_time=1750", 422)
    assert (
        'name="minutes-finance" value="-3" inputmode="numeric" autocomplete="off" aria-invalid="true"'
        in wrong
    )
    assert resident.NOT_A_WHOLE_NUMBER(typed="lots", low=0, high=100) in shown(wrong)
    assert 'name="full_time" value="1750"' in wrong
    assert resident.ASSUMPTION_NOT_VALID in shown(wrong)
    page(client, f"/value?share={'9' * 500}&minutes-finance=<b>", 422)


def spared(told: str) -> str:
    """The hours that the tax office would need, as the page says them."""
    return told.partition("<dt>Taxes and payments</dt><dd>")[2].partition("</dd>")[0]


def test_a_page_of_figures_asks_a_few_questions_whatever_it_shows(app: Flask, client: FlaskClient) -> None:
    page(client, "/value")
    for address, most in ((f"/value?period={YEAR}", 8), (f"/performance?period={YEAR}", 10)):
        with counted(app) as asked:
            page(client, address)
        assert len(asked) <= most, asked


def test_the_month_that_is_not_over_is_told_of_the_whole_city_and_marked(
    app: Flask, client: FlaskClient, town: Town
) -> None:
    app.config["NOW"] = datetime(2026, 8, 20, 15, tzinfo=UTC)
    for day, count in (
        (datetime(2026, 6, 10, 15, tzinfo=UTC), 2),
        (datetime(2026, 8, 11, 15, tzinfo=UTC), 5),
    ):
        for n in range(count):
            with town.at_work() as scene:
                place = scene.report(at=day, service_code="nuisance" if n % 2 else "light-out").case
                done = Closing("not found", words="looked")
                transitions.close(scene.s, place, done, by=scene.actor("dispatcher"), at=day)
    told = page(client, "/performance?period=now")
    assert resident.MONTH_NOT_OVER in told
    assert resident.SO_FAR(month="August") in told
    assert '<data value="5">5</data>' in told, "opened in August, and closed"
    assert "By service" not in told
    assert "Nuisance" not in told
    assert resident.MONTH_NOT_OVER.es in page(client, "/es/performance?period=now")
    assert resident.OPEN_CIRCLE(month="August 2026") in told
    assert "trace--open" in page(client, "/performance?period=2026"), "a line of its own"
    assert resident.MONTH_NOT_OVER not in page(client, "/performance?period=2026")
    for address in ("/performance.csv?period=now", "/value?period=now", "/performance?period=2026-08"):
        page(client, address, 404)


def test_the_services_are_drawn_in_the_order_of_their_share(
    client: FlaskClient, town: Town, app: Flask
) -> None:
    app.config["NOW"] = datetime(2026, 8, 20, 15, tzinfo=UTC)
    with town.at_work() as scene:
        for code, late in (("light-out", timedelta(days=9)), ("limb-down", timedelta(0))):
            day = datetime(2026, 7, 1, 15, tzinfo=UTC)
            case = scene.report(at=day, service_code=code).case
            done = Closing("not found", words="looked")
            transitions.close(scene.s, case, done, by=scene.actor("dispatcher"), at=day + late)
    told = page(client, "/performance?period=2026")
    assert "done on time most often" in told
    drawing = told[told.index("done on time most often") :]
    assert drawing.index("(100%)") < drawing.index("Streetlight out") < drawing.index("(0%)")


def beside(town: Town) -> None:
    """What corrections and waits did in July, of a public type and of two private ones."""
    with town.at_work() as scene:
        for code, again, kept, held in (
            ("light-out", 40, 20, 30), ("home-nuisance", 12, 11, 2), ("tax-question", 20, 10, 9),
        ):  # fmt: skip
            whats = {
                "closed": 60, "restarted": again, "kept again": kept, "new date": 7, "new date kept": 6,
                "paused utility": held, "seconds utility": held * 86400, "held utility 10": held,
            }  # fmt: skip
            for facet, value in (("service", code), ("city", "")):
                for what, n in whats.items():
                    held_now = scene.s.get(Tally, (facet, "2026-07", what, value))
                    if held_now:
                        held_now.n += n
                    else:
                        scene.s.add(Tally(facet=facet, month="2026-07", what=what, value=value, n=n))
                scene.s.flush()


def test_corrections_and_waits_have_lines_of_their_own_and_small_numbers_stay_hidden(
    app: Flask, client: FlaskClient, town: Town
) -> None:
    app.config["NOW"] = datetime(2026, 8, 20, 15, tzinfo=UTC)
    assert resident.BESIDE_TITLE not in page(client, "/performance?period=2026")
    beside(town)
    told = shown(page(client, "/performance?period=2026"))
    assert resident.COUNTED_AGAIN(num=72, kept=41) in told
    assert resident.NEW_DATES(num=21, kept=18) in told
    assert "Waiting for the utility: 41 cases paused, 41 days in all. Half were paused for 1.0 day" in told
    assert resident.COUNTED_AGAIN.es(num=72, kept=41) in shown(page(client, "/es/performance?period=2026"))
    file = rows(client, "/performance.csv?period=2026")
    for what, sum_, lamp in (
        ("restarted", "72", "40"), ("kept_again", "41", "20"), ("paused_utility", "41", "30"),
        ("paused_utility_days", "41", "30"),
    ):  # fmt: skip
        assert file[f"city.{what}"]["value"] == file[f"month.2026-07.{what}"]["value"] == sum_
        assert file[f"service.light-out.{what}"]["value"] == lamp
        for private in ("home-nuisance", "tax-question"):
            row = file[f"service.{private}.{what}"]
            assert (row["value"], row["hidden"]) == ("", "true"), row
    assert file["city.restarted"]["query"].startswith("SELECT count(*) FROM events WHERE")
    assert "paused_utility" not in page(client, "/performance.csv?period=2025")
    with counted(app) as asked:
        page(client, "/performance?period=2026")
    with town.at_work() as scene:
        scene.s.execute(delete(Tally).where(Tally.month == "2026-07", Tally.what != "closed"))
    with counted(app) as without:
        assert resident.BESIDE_TITLE not in page(client, "/performance?period=2026")
    assert len(asked) == len(without), (asked, without)


def test_the_month_that_is_not_over_tells_them_of_the_whole_city_alone(
    app: Flask, client: FlaskClient, town: Town
) -> None:
    app.config["NOW"] = datetime(2026, 7, 20, 15, tzinfo=UTC)
    beside(town)
    told = shown(page(client, "/performance?period=now"))
    assert resident.COUNTED_AGAIN(num=72, kept=41) in told
    assert "Streetlight out" not in told


def test_both_pages_stand_in_spanish(client: FlaskClient) -> None:
    assert resident.VALUE_TITLE.es in page(client, f"/es/value?period={YEAR}")
    assert resident.PERFORMANCE_TITLE.es in page(client, f"/es/performance?period={YEAR + 1}-01")


def test_the_command_prints_what_the_pages_show(
    app: Flask, client: FlaskClient, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYLINE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("CITYLINE_VAR", str(settings.var))
    ran = CliRunner().invoke(cli, ["insights", "--period", str(YEAR)])
    assert ran.exit_code == 0, ran.output
    printed = json.loads(ran.stdout)
    assert printed["insights"] == str(YEAR)
    told = {figure["id"]: figure for figure in printed["value"]}
    assert (told["line.contacts"]["value"], told["line.contacts"]["before"]) == (1000, 940)
    assert told["line.cost_per_contact"]["value"] == 2.0
    assert told["topic.taxes.contacts"]["value"] - told["topic.taxes.contacts"]["before"] == 50
    on_page = rows(client, f"/value.csv?period={YEAR}")
    assert {key: figure["query"] for key, figure in told.items()} == {
        k: v["query"] for k, v in on_page.items()
    }
    file = tmp_path / "figures.csv"
    assert CliRunner().invoke(cli, ["insights", "--period", str(YEAR), str(file)]).exit_code == 0
    written = {row["figure"]: row for row in csv.DictReader(file.read_text("utf-8").splitlines())}
    assert written["line.follow_up"]["value"] == "0.105"
    for wrong in (["--period", "2999"], ["--period", "x"], [str(tmp_path)]):
        ran = CliRunner().invoke(cli, ["insights", *wrong])
        assert ran.exit_code in (1, 2)
        assert "Traceback" not in ran.output


def test_a_page_says_what_was_published_and_what_has_changed_since(
    app: Flask, client: FlaskClient, town: Town
) -> None:
    at = datetime(YEAR + 1, 1, 1, 15, tzinfo=UTC)
    city = app.extensions["cityline"].city
    publications.publish_completed_months(town.engine, city, at, by=accounts.THE_SYSTEM)
    first = f"December 2025: {resident.PUBLISHED_VERSION(number=1, day='Thu, Jan 1')}"
    assert first in " ".join(page(client, f"/value?period={YEAR}").split())
    told = Conversation("late", "phone", datetime(YEAR, 12, 30, 15, tzinfo=UTC), 60, "taxes", "answered")
    with town.at_work() as scene:
        contacts.log(scene.s, told, by=sourcecity.TAKER, at=at)
    publications.publish_completed_months(town.engine, city, at + timedelta(days=1), by=accounts.THE_SYSTEM)
    later = page(client, f"/value?period={YEAR}-12")
    assert resident.PUBLISHED_VERSION(number=2, day="Fri") in later
    assert "<code>topic.taxes.contacts</code>" in later


def test_the_daily_roots_are_public(client: FlaskClient, town: Town) -> None:
    assert resident.FIRST_DAY_NOT_OVER in shown(page(client, "/data"))
    with town.at_work() as scene:
        root = events.seal_day(scene.s, date(YEAR + 1, 2, 2))
        assert root is not None
        sha = root.hash
    assert sha in page(client, "/data")
    (row,) = csv.DictReader(io.StringIO(page(client, "/data/roots.csv")))
    assert (row["day"], row["root"]) == (f"{YEAR + 1}-02-02", sha)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (1234567.89, "1234567.89"),
        (123456.7, "123456.7"),
        (0.5, "0.5"),
        (7, "7"),
        (1 / 3, "0.333333"),
        (1e9, "1000000000"),
    ],
)
def test_a_file_has_every_figure_in_full(value: float | None, written: str) -> None:
    assert metric_labels.plain(value) == written
