"""Words that docs/reference/voice.md tells us never to use, in sentences that are new.

Run by bin/check, which shows what it prints and fails for none of it: a word may be right for once. It stands
among the tests, not in bin/, since it judges sentences as they do, needs what they need, and one of them
plants a bad sentence here. The words themselves stand in the table of that page alone.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[1]
TERMS = ROOT / "docs" / "reference" / "voice.md"
CATALOGUE = "pwa/translations/es/LC_MESSAGES/messages.po"
KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None, "lazy_ngettext": (1, 2), "lazy_pgettext": ((1, "c"), 2)}
HEAD = "| say | for | never | wrong for |"
WORD = re.compile(r"`([^`]+)`")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")

# Who reads what a file below pwa/ says: the first that fits. What is not here is read by several, so that
# only words that are wrong for everyone count. Figures and open data are for everybody and say "case".
READERS = {
    "residents": re.compile(
        r"templates/(resident|follow)/|templates/email/(?!late)|templates/offline"
        r"|pages/(resident|cases|follow|news|verdict|place|answers|collection)\.py|(?<!\w)(own|bulletins|sentences)\.py"
    ),
    "crews": re.compile(r"templates/crew/|pages/crew\.py"),
    "staff": re.compile(
        r"templates/(account|admin|desk|dispatch|editor|records)/|templates/email/late"
        r"|pages/(account|admin|batch|crews|desk|dispatch|editor|fieldwork|phones|records|redaction|view)\.py"
        r"|(?<!\w)(board|conflicts|told)\.py"
    ),
}


@dataclass(frozen=True)
class Sentence:
    """One sentence of the product, of a plural one of its two, and the file below pwa/ that says it."""

    file: str
    line: int
    words: str


@dataclass(frozen=True)
class Term:
    """What to say instead of a word, and for whom that word is wrong."""

    say: str
    never: str
    readers: str

    def is_in(self, words: str) -> bool:
        return bool(re.search(rf"(?<![\w-]){re.escape(self.never)}(?![\w-])", words, re.IGNORECASE))


def main() -> None:
    """Prints a line for each new sentence that has a word of the table."""
    known = before()
    fresh = [each for each in spoken() if known is None or each.words not in known]
    for line in warnings(fresh, terms(TERMS.read_text("utf-8"))):
        print(line)


def terms(page: str) -> list[Term]:
    """The words in backticks of the table of terms. Raises ValueError for a page without it."""
    if HEAD not in page:
        raise ValueError(f"no table {HEAD}")
    found = []
    for line in page.partition(HEAD)[2].splitlines()[2:]:
        if not line.startswith("|"):
            break
        say, _, never, readers = (cell.strip() for cell in line.strip("|").split(" | "))
        if readers not in {"everyone", *READERS}:
            raise ValueError(f"{readers!r} is nobody who reads: {line}")
        found += [Term(say, word, readers) for word in WORD.findall(never)]
    return found


def warnings(sentences: Iterable[Sentence], table: list[Term]) -> Iterator[str]:
    """A line for each sentence with a word that is wrong for who reads it."""
    for each in sentences:
        words, reader = PLACEHOLDER.sub("…", each.words), readers(each.file)
        for term in table:
            if term.readers in ("everyone", reader) and term.is_in(words):
                yield f"{each.file}:{each.line}: “{each.words}” has “{term.never}”; say: {term.say}"


def readers(file: str) -> str:
    """Who reads what a file says; "several" where that is more than one of them."""
    return next((name for name, files in READERS.items() if files.search(file)), "several")


def spoken(folder: Path = ROOT / "pwa") -> Iterator[Sentence]:
    """All sentences in code and templates, singular and plural."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["babel"]["mappings"]
    methods = [(each["pattern"], each["method"]) for each in mappings]
    for file, line, message, _, _ in extract_from_dir(folder, methods, keywords=KEYWORDS):
        for words in message if isinstance(message, tuple) else (message,):
            yield Sentence(file, line, words)


def before(folder: Path = ROOT) -> set[str] | None:
    """The catalogue's sentences where this branch left origin/main; without that, before the last commit.

    None where neither can be known, as in a copy of the files without Git: then all are new.
    """
    base = (_git(folder, "merge-base", "HEAD", "origin/main") or b"HEAD~1").decode().strip()
    catalogue = _git(folder, "show", f"{base}:{CATALOGUE}")
    if catalogue is None:
        return None
    ids = (message.id for message in read_po(BytesIO(catalogue)))
    return {words for each in ids for words in ([each] if isinstance(each, str) else each)}


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
