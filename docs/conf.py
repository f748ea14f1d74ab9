"""How Sphinx makes a site of these pages: `bin/docs`."""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "Cityline 311"
release = version = _PROJECT["version"]
copyright = "the Cityline authors, Apache 2.0"
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3  # links name a heading as on a page of the repository
exclude_patterns = ["screenshots"]

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)[^)]*\)")


def _leave_the_repository(app: Sphinx, name: str, source: list[str]) -> None:
    """A link to a file beside these pages, as the code or SECURITY.md, is its words alone on the site."""
    here = (ROOT / "docs" / name).parent
    source[0] = _LINK.sub(
        lambda found: found[0] if (here / found[2]).resolve().is_relative_to(ROOT / "docs") else found[1],
        source[0],
    )


def setup(app: Sphinx) -> None:
    app.connect("source-read", _leave_the_repository)


html_theme = "furo"
html_title = f"{project} {version}"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
