"""Answers out of a file: new ones are published, others revised, what is wrong stands in the side file."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Town

from city.answers import article_files, articles
from city.audit import events
from city.config import city_file
from city.config import versions as config_versions
from city.db.models import Article
from city.imports.readers import Outcome, TooManyRejected, Unusable
from city.people import accounts
from pwa.cli.main import cli

GOOD = """
[pay-tax]
department = "finance"
topic = "taxes"
review_on = 2027-01-31
services = ["pothole"]

[pay-tax.en]
title = "Pay your tax"
body = "Twice a **year**."
script = "Twice a year."

[dog-license]
department = "clerk"
topic = "dogs"
review_on = 2027-06-01
es = { title = "Licencia", body = "Cada junio.", script = "Cada junio." }
"""
TEXT = 'en = { title = "x", body = "x", script = "x" }'
HEAD = 'department = "clerk"\ntopic = "dogs"\n'
DAY = "review_on = 2027-06-01\n"


@pytest.fixture
def city(town: Town) -> Town:
    with town.at_work() as scene:
        config_versions.activate(scene.s, city_file.load(town.settings.city))
    return town


def take(town: Town, path: Path, most: int | None = None) -> Outcome:
    with town.at_work() as scene:
        return article_files.import_articles(
            scene.s, path, by=accounts.THE_SYSTEM, at=town.now, max_rejected=most
        )


def rejected(path: Path) -> list[list[str]]:
    with path.with_name(f"{path.name}.rejected.csv").open(newline="") as file:
        return [row[:2] for row in list(csv.reader(file))[1:]]


def test_a_file_is_published_and_the_second_time_changes_nothing(city: Town, tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(GOOD)
    first = take(city, path)
    assert (first.read, first.imported, first.unchanged, first.side_file) == (2, 2, 0, None)
    with city.looking() as scene:
        tax = articles.by_slug(scene.s, "pay-tax")
        assert tax is not None
        assert (tax.department_code, tax.services, str(tax.review_on)) == (
            "finance",
            ["pothole"],
            "2027-01-31",
        )
        lines = [line for line, _ in events.of(scene.s, f"answer:{tax.id}")]
        assert [(line.kind, line.origin, line.actor) for line in lines] == [("publish", "import", "system")]
    again = take(city, path)
    assert (again.read, again.imported, again.unchanged) == (2, 0, 2)
    path.write_text(GOOD.replace("Twice a year.", "Once a year."))
    later = take(city, path)
    assert (later.imported, later.unchanged, later.more) == (1, 1, {"updated": 1})
    with city.looking() as scene:
        assert {answer.slug: answer.version for answer in articles.published(scene.s)} == {
            "pay-tax": 2, "dog-license": 1,
        }  # fmt: skip


def test_what_was_retired_here_stays_so(city: Town, tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(GOOD)
    take(city, path)
    with city.at_work() as scene:
        tax = articles.by_slug(scene.s, "pay-tax")
        assert isinstance(tax, Article)
        articles.retire(scene.s, tax, by=scene.actor("manager"), at=city.now)
    outcome = take(city, path)
    assert (outcome.imported, outcome.unchanged) == (0, 2)
    assert rejected(path) == [["2", "was retired here and stays retired"]]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (f"[Bad_Name]\n{HEAD}{DAY}{TEXT}", "lowercase letters"),
        (f'[x]\ndepartment = "none"\ntopic = "dogs"\n{DAY}{TEXT}', "the department 'none' isn't"),
        (f'[x]\ndepartment = "clerk"\ntopic = "none"\n{DAY}{TEXT}', "the topic 'none' isn't"),
        (f'[x]\n{HEAD}{DAY}services = ["none"]\n{TEXT}', "the service 'none' isn't"),
        (f'[x]\n{HEAD}{DAY}services = "pothole"\n{TEXT}', "a list of codes"),
        (f"[x]\n{HEAD}{TEXT}", "review_on must be a date"),
        (f'[x]\n{HEAD}review_on = "soon"\n{TEXT}', "review_on must be a date"),
        (f"[x]\n{HEAD}{DAY}", "at least one language"),
        (f'[x]\n{HEAD}{DAY}klingon2 = {{ title = "x", body = "x", script = "x" }}', "isn't a language code"),
        (f'[x]\n{HEAD}{DAY}en = {{ title = "x", body = "x" }}', "title, body, and script"),
        (f'[x]\n{HEAD}{DAY}en = {{ title = "x", body = 3, script = "x" }}', "text in quotes"),
        (
            f'[x]\n{HEAD}{DAY}en = {{ title = "x", body = "x", script = "x", note = "x" }}',
            "'note' isn't a known key of 'en'",
        ),
        (f'[x]\n{HEAD}{DAY}departement = "x"\n{TEXT}', "'departement' isn't a known key"),
        (
            f'[x]\n{HEAD}{DAY}en = {{ title = "{"x" * 201}", body = "x", script = "x" }}',
            "longer than 200 characters",
        ),
        (f"[x]\n{HEAD}{DAY}{TEXT}".replace('body = "x"', 'body = "<script>x"'), "contains HTML"),
        ("x = 3", "isn't an answer"),
        (f'[x]\n{HEAD}{DAY}en = {{ title = "a\\u0000b", body = "x", script = "x" }}', "a zero byte"),
    ],
)
def test_what_is_wrong_is_told_by_its_line_and_the_others_are_taken(
    city: Town, tmp_path: Path, table: str, fault: str
) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(f"{table}\n{GOOD}")
    outcome = take(city, path)
    assert (outcome.read, outcome.imported, outcome.rejected) == (3, 2, 1)
    [[line, reason]] = rejected(path)
    assert line == "1"
    assert fault in reason


def test_too_many_rejected_keep_nothing(city: Town, tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(f"{GOOD}\n[x]\n{HEAD}{TEXT}")
    with pytest.raises(TooManyRejected):
        take(city, path, 0)
    with city.looking() as scene:
        assert articles.published(scene.s) == []


def test_a_file_that_is_none_is_said_in_words(city: Town, tmp_path: Path) -> None:
    broken, packed = tmp_path / "broken.toml", tmp_path / "packed.toml"
    broken.write_text("[pay-tax\n")
    packed.write_bytes(b"\x1f\x8b\xff\xfe")
    for path, fault in ((broken, "line 1"), (packed, "UTF-8"), (tmp_path / "none.toml", "No such file")):
        with pytest.raises(Unusable, match=fault):
            take(city, path)


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with its mark"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_what_editors_write_is_read(city: Town, tmp_path: Path, coding: str, ending: str) -> None:
    path = tmp_path / "answers.toml"
    words = GOOD.replace("Cada junio.", "Cada año.\\n").replace("\n", ending)
    mark = "\ufeff" if "with" in coding else ""
    path.write_bytes(f"{mark}{words}".encode(coding.partition(" ")[0]))
    assert take(city, path).imported == 2
    with city.looking() as scene:
        dog = articles.by_slug(scene.s, "dog-license")
        assert dog is not None
        assert articles.texts(scene.s, dog)["es"].script == "Cada año."


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            GOOD.replace("Cada", "Año: cada").encode("cp1252"),
            r"line 17: isn't UTF-8 \(byte 0xf1\).*WINDOWS-1252",
        ),
        (GOOD.encode("utf-16-le"), r"line 2: contains a zero byte\. Save it as UTF-8"),
        (GOOD.encode("utf-16")[:-1], r"isn't UTF-8"),
        (GOOD.replace("Twice a year.", "Twice\0a year.").encode(), r"line 11: contains a zero byte"),
        (b"\xef\xbb\xbf" + GOOD.replace("[pay-tax]", "[pay-tax").encode(), r"line 2"),
    ],
)
def test_what_no_editor_should_write_is_named_by_line_and_remedy(
    city: Town, tmp_path: Path, data: bytes, says: str
) -> None:
    path = tmp_path / "answers.toml"
    path.write_bytes(data)
    with pytest.raises(Unusable, match=says):
        take(city, path)


def test_the_command_ends_with_a_line_of_json(
    city: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYLINE_VAR", str(city.settings.var))
    monkeypatch.setenv("CITYLINE_DATABASE_URL", city.settings.database_url)
    monkeypatch.setenv("CITYLINE_DATABASE_OWNER_URL", city.settings.database_owner_url)
    path = tmp_path / "answers.toml"
    path.write_text(f"{GOOD}\n[x]\n{HEAD}{TEXT}")
    ran = CliRunner().invoke(cli, ["import", "answers", str(path)])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "import": "answers", "read": 3, "imported": 2, "rejected": 1, "unlocated": 0, "unchanged": 0,
        "side_file": f"{path}.rejected.csv",
    }  # fmt: skip
    ran = CliRunner().invoke(cli, ["import", "answers", str(tmp_path / "none.toml")])
    assert ran.exit_code == 2
    assert json.loads(ran.stdout.splitlines()[-1])["error"].startswith("none.toml: can't be read")
