"""The documentation says what the code does: settings, commands, moves, links."""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
import sentences

from city import lifecycle, settings
from city.imports import mapping
from city.settings import Settings
from pwa.cli.main import cli
from sync import merge, protocol

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_every_setting_has_its_row() -> None:
    assert _variables() == [f"CITYLINE_{field.name.upper()}" for field in fields(Settings)]


def test_no_page_names_a_setting_that_is_not_there() -> None:
    known = {*_variables(), "CITYLINE_BENCH_DATA"}
    named = {name for page in PAGES for name in re.findall(r"CITYLINE_[A-Z_]+[A-Z]", page.read_text())}
    assert named <= known


def test_examples_of_settings_can_be_used(tmp_path: Path) -> None:
    examples = {row[0].strip("`"): row[-1] for row in _table("reference/settings.md", "variable")}
    # Four name places of a server's own, and two are recipes.
    for name in ("VAR", "CITY", "POSTGRES_BIN", "TRANSLATIONS", "SECRET_KEY", "VAPID_KEY"):
        del examples[f"CITYLINE_{name}"]
    quoted = {name: example.strip("`") for name, example in examples.items()}
    settings.read(quoted | {"CITYLINE_VAR": str(tmp_path)})


def test_every_command_has_its_row() -> None:
    rows = (CODE.match(row[0]) for row in _table("reference/commands.md", "command"))
    told = {}
    for row in rows:
        assert row is not None
        name = re.split(r"\[|--", row[1].removeprefix("cityline "))[0]
        words = [word for word in name.split() if word.islower()]
        told[" ".join(words)] = set(re.findall(r"--[a-z-]+", row[1]))
    assert told == dict(_commands(cli, ()))


def test_one_file_alone_knows_htmx_as_the_floor_plan_says() -> None:
    asked = re.compile(r"HX-|htmx_flask")
    pages = (ROOT / "pwa").rglob("*.py")
    assert [page.name for page in pages if asked.search(page.read_text("utf-8"))] == ["fragments.py"]


def test_the_table_of_moves_is_the_codes() -> None:
    told = [tuple(row) for row in _table("reference/glossary.md", "move")]
    assert told == [
        (
            move.name, ", ".join(move.sources), move.to or "the state it had", ", ".join(move.roles),
            "the same" if move.office is None else ", ".join(move.office) or "nobody",
        )
        for move in lifecycle.MOVES.values()
    ]  # fmt: skip


def test_sync_names_every_kind_and_every_result() -> None:
    assert [row[0].strip("`") for row in _table("reference/sync.md", "kind")] == list(protocol.TYPES)
    assert [row[0].strip("`") for row in _table("reference/sync.md", "result")] == list(protocol.RESULTS)


def test_the_conflict_table_is_the_codes() -> None:
    told = [row[1].strip("`") for row in _table("reference/sync.md", "meanwhile")]
    assert told == [row.result for row in merge.TABLE]


def test_every_column_and_part_of_a_mapping_has_its_row() -> None:
    rows = {row[0].strip("`"): row[1] for row in _table("how-to/imports.md", "key")}
    named = [code for code in CODE.findall(rows["[columns]"]) if code.isalpha()]
    assert sorted(named) == sorted([*mapping.COLUMNS, *mapping.MORE_COLUMNS])
    assert set(CODE.findall(rows["[states]"])) == set(mapping.STATES)
    assert set(CODE.findall(rows["[channels]"])) == set(mapping.CHANNELS)
    tops = {row for key in rows for row in re.findall(r"[a-z_]+", key)}
    for path in mapping.MAPPINGS.glob("*.toml"):
        top = tomllib.loads(path.read_text())
        assert set(top) <= tops
        assert set(top["services"]) <= set(CODE.findall(rows["[services]"])) | {"groups"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def _variables() -> list[str]:
    return [row[0].strip("`") for row in _table("reference/settings.md", "variable")]


def _table(page: str, first: str) -> list[list[str]]:
    """The cells of the table whose head begins with `first`."""
    lines = iter((ROOT / "docs" / page).read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
            yield " ".join((*path, name)), {o for o in options if o.startswith("--")}


def test_the_diagrams_are_those_of_their_script() -> None:
    spec = importlib.util.spec_from_file_location("diagrams", ROOT / "docs" / "diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    diagrams = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(diagrams)
    drawn = {name: diagrams.svg(each) for name, each in diagrams.DIAGRAMS.items()}
    assert drawn == {path.stem: path.read_text("utf-8") for path in diagrams.IMAGES.glob("*.svg")}


@pytest.mark.parametrize("page", sentences.pages(), ids=lambda page: page.stem)
def test_every_page_has_a_way_on(page: Path) -> None:
    if page.parent != ROOT and page.name != "index.md":
        assert re.search(r"^Next: .*\]\(", page.read_text("utf-8"), re.MULTILINE)


def test_sentences_are_short() -> None:
    every = [count for page in sentences.pages() for count in sentences.sentences(page.read_text("utf-8"))]
    assert len(every) > 1000
    assert sum(every) / len(every) < sentences.MOST
