"""A newcomer follows the tutorials word for word: commands run, labels and addresses are there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from flask import Flask

from city.settings import DEFAULT_CITY

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def sentences() -> list[re.Pattern[str]]:
    """All that pages say, with anything in their gaps."""
    with (ROOT / "pwa" / "translations" / "es" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        said = [each.id for each in read_po(file) if each.id]
    flat = [one for each in said for one in (each if isinstance(each, tuple | list) else [each])]
    gaps = (re.sub(r"%\\\(\w+\\\)[sd]", ".+", re.escape(one)) for one in flat)
    return [re.compile(f"(?:{gap})[.]?") for gap in gaps]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_label_stands_on_a_page(page: Path) -> None:
    text = page.read_text("utf-8")
    own = "\n".join([DEFAULT_CITY.read_text("utf-8"), *BLOCK.findall(text)])
    known = sentences()
    labels = {" ".join(label.split()) for label in re.findall(r"\*\*([^*]+)\*\*", text)}
    assert len(labels) > 10
    lost = [
        label for label in labels
        if label not in own and not any(each.fullmatch(label) for each in known)
    ]  # fmt: skip
    assert lost == []


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_address_leads_to_a_page(app: Flask, page: Path) -> None:
    found = re.findall(r"http://127\.0\.0\.1:8311(/[^`\s)]*)", page.read_text("utf-8"))
    addresses = app.url_map.bind("127.0.0.1")
    assert found
    for path in found:
        assert addresses.match(path.partition("?")[0])


@pytest.mark.slow
def test_the_commands_of_a_city_in_an_afternoon_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorials" / "a-city-in-an-afternoon.md").read_text("utf-8")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    own = {name: value for name, value in os.environ.items() if not name.startswith("CITYLINE_")}
    said = ""
    for block in BLOCK.findall(text):
        if "bin/run" in block or block.startswith("rm "):
            continue
        done = subprocess.run(["sh", "-ec", block], cwd=tmp_path, env=own, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        said += done.stdout + done.stderr
    for told in re.findall(r'(?:says?|the terminal says) [`"]+([^`"]+[.!])["`]', text):
        assert told in said or told.startswith(("Cityline is at",)), told
    assert '"imported": 3' in said
    assert "Applied version 2 of the city file." in said
