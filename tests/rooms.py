"""Names product files that lie in no room, rooms that grew too large, and scripts that import in a circle.

docs/explanation/floor-plan.md has the rooms; circles in Python are for import-linter.
"""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from os.path import normpath
from pathlib import Path, PurePath
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MOST: Final = 20  # files in a room: more than that nobody reads at a glance
NOT_OURS: Final = ("city/db/migrations/", "pwa/static/vendor/")  # not laid out by us
IMPORTED: Final = re.compile(
    r'^(?![ ]*(?://|/?\*)).*?(?:from|import)[ (]"(\.{1,2}/[\w./-]+\.js)"', re.MULTILINE
)
# Modules that may lie beside the rooms. Those of city/ stand in its import contract.
BESIDE: Final = {"pwa": {"app", "worker", "openapi"}, "pwa/static/js": {"app", "theme"}}


def astray(files: list[str]) -> list[str]:
    """What is wrong with these paths, a line each."""
    beside = BESIDE | {"city": _root_of_city()}
    faults = [
        f"{path}: lies in no room"
        for path in map(PurePath, files)
        if path.stem != "__init__" and path.stem not in beside.get(str(path.parent), {path.stem})
    ]
    rooms = Counter(str(PurePath(path).parent) for path in files if not path.endswith("__init__.py"))
    return faults + [
        f"{room}: {count} files, {MOST} at most" for room, count in rooms.items() if count > MOST
    ]


def circle(texts: dict[str, str]) -> list[str]:
    """The first circle among scripts by their paths: what imports the next, at once or later."""
    imports = {
        path: {normpath(PurePath(path).parent / found) for found in IMPORTED.findall(text)}
        for path, text in texts.items()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as found:
        return [f"{' imports '.join(reversed(found.args[1]))}: a circle"]
    return []


def product() -> list[str]:
    """The product's Python and JavaScript, migrations and other projects' code left out."""
    told = subprocess.run(
        ["git", "ls-files", "city", "sync", "pwa"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        path
        for path in told.stdout.split()
        if path.endswith((".py", ".js"))
        and not path.startswith(("city/db/migrations/", "pwa/static/vendor/"))
    ]


def _root_of_city() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each.get("containers") == ["city"])
    named = {name for layer in layers for name in layer.split(" | ")}
    return {name for name in named if (ROOT / "city" / f"{name}.py").is_file()}


if __name__ == "__main__":
    files = product()
    found = astray(files) + circle({f: (ROOT / f).read_text() for f in files if f.endswith(".js")})
    print("\n".join(found))
    sys.exit(bool(found))
