"""How long the sentences of the documentation are: `python tests/sentences.py` prints each page's mean."""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MOST: Final = 20.0  # words, as a mean of all pages
# What is no running text: code, tables, headings, images, comments.
_NO_TEXT: Final = re.compile(r"```.*?```|<!--.*?-->|^\|.*?$|^#.*?$|^\s*!\[.*?\)$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_END: Final = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(*`_A-Z0-9])|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s+")


def sentences(page: str) -> list[int]:
    """The words of each sentence."""
    text = _LINK.sub(r"\1", _NO_TEXT.sub("\n\n", page))
    return [count for each in _END.split(text) if (count := len(each.split()))]


def pages() -> list[Path]:
    """All but the decisions, which are history, and the list of changes."""
    found = [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    ]
    return sorted(path for path in found if path.parent.name != "decisions")


if __name__ == "__main__":
    told = {page: sentences(page.read_text("utf-8")) for page in pages()}
    for page, counts in told.items():
        print(f"{sum(counts) / max(1, len(counts)):5.1f} {max(counts, default=0):4} {page.relative_to(ROOT)}")
    every = [count for counts in told.values() for count in counts]
    mean = sum(every) / len(every)
    print(f"{mean:5.1f} {max(every):4} all {len(every)} sentences")
    sys.exit(mean >= MOST)
