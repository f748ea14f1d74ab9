"""Other people's files are exactly those that VENDOR.md names."""

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parents[3] / "pwa" / "static" / "vendor"
ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \|.*\| `(?P<licence>[^`]+)` \| `(?P<sha256>[0-9a-f]{64})` \|$", re.MULTILINE
)


def test_every_file_is_listed_with_its_sum_and_its_licence() -> None:
    rows = list(ROW.finditer((VENDOR / "VENDOR.md").read_text("utf-8")))
    for row in rows:
        assert hashlib.sha256((VENDOR / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
    known = {row["file"] for row in rows} | {row["licence"] for row in rows} | {"VENDOR.md"}
    assert {file.name for file in VENDOR.iterdir()} == known
