"""How Sphinx makes a site of these pages: `bin/docs`."""

import tomllib
from pathlib import Path

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

html_theme = "furo"
html_title = f"{project} {version}"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
