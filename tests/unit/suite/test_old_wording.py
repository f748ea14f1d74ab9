"""No sentence of the wording before `docs/reference/voice.md` is left in what people read.

`tests/golden/old-wording.txt` holds those sentences: the English of the catalogue and of other texts as they
were, as far as they are gone, one a line. Of a sentence with placeholders it holds the longest part between
them. Left out is what a reader may meet by chance: what has fewer than three words and fewer than fourteen
letters, short parts of sentences, and what the new wording says somewhere else.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OLD = ROOT / "tests" / "golden" / "old-wording.txt"
# As docs/decisions they tell what was, in the words of then; the voice guide rules those words out.
HISTORY = {"CHANGELOG.md", "voice.md"}

# File and sentence, right where it stands though an old one was the same by chance, and why.
ALLOWED = {
    ("bench/sync_sim.py", "Not the same"): "a bench says of two hashes that they differ",
}

SCRIPT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?P<said>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)""", re.DOTALL
)
# Where two string literals follow each other, which Python joins; and what an escaped quote is escaped by.
JOINED = re.compile(r"""(["'])\s*\n\s*f?\1|\\(?=["'])""")
WORD = re.compile(r"\w+")
EMPHASIS = re.compile(r"</?(?:b|em|i|small|span|strong)\b[^>]*>")
REMARK = re.compile(r"\{#.*?#\}|<!--.*?-->", re.DOTALL)


@pytest.mark.slow
def test_nothing_says_what_was_said_before() -> None:
    left = [
        f"{name}: {sentence}"
        for name, path in _files()
        # To take a file apart takes longer than to read it, so only those that may have one are.
        if _within(_plain(JOINED.sub("", path.read_text("utf-8"))))
        for text in _read(path.name, path.read_text("utf-8"))
        for sentence in _within(text)
        if (name, sentence) not in ALLOWED
    ]
    assert left == []


def test_what_is_allowed_is_there() -> None:
    old = OLD.read_text("utf-8").splitlines()
    for name, sentence in ALLOWED:
        assert sentence in old
        assert sentence in " ".join((ROOT / name).read_text("utf-8").split()), (name, sentence)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The board says: “Nobody\n has it”.", ["Nobody has it"]),
        ("Nobody has items; nobody has it", []),
        ("Have a look", ["Have a look"]),
        ("To have a looking glass", []),
    ],
)
def test_a_sentence_is_found_as_words_of_its_own(text: str, found: list[str]) -> None:
    assert _within(text) == found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", 'def f():\n    return "Nobody has it"'),
        ("a.py", 'said = f"{n}: Nobody has it"'),
        ("a.py", '@group.command()\ndef f():\n    """Nobody has it."""'),
        ("a.js", 'say("Nobody has it"); // no comment'),
        ("a.html", "<p>{{ _('Nobody\n has it') }}</p>"),
        ("a.toml", '[a]\nnames = { en = "Nobody has it" }'),
        ("a.md", 'The board says "Nobody\nhas it" then.'),
    ],
)
def test_a_sentence_is_found_wherever_people_read_it(name: str, source: str) -> None:
    assert [text for text in _read(name, source) if "Nobody has it" in " ".join(text.split())]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", '# Nobody has it\ndef f():\n    """Nobody has it."""'),
        ("a.js", "/* Nobody has it */ let a; // Nobody has it"),
        ("a.html", "{# Nobody has it #}<p></p><!-- Nobody has it -->"),
        ("a.toml", "# Nobody has it\na = 1"),
    ],
)
def test_what_only_programmers_read_is_not_looked_at(name: str, source: str) -> None:
    assert [text for text in _read(name, source) if "Nobody has it" in text] == []


@cache
def _old() -> dict[str, list[tuple[int, str]]]:
    """The old sentences by their first word, each with where in it that begins."""
    by_word: dict[str, list[tuple[int, str]]] = {}
    for sentence in OLD.read_text("utf-8").splitlines():
        first = next(WORD.finditer(sentence))
        by_word.setdefault(first.group(), []).append((first.start(), sentence))
    return by_word


def _within(source: str) -> list[str]:
    """The old sentences that stand in a text as words of their own."""
    text = " ".join(source.split())
    found = []
    for word in WORD.finditer(text):
        for before, sentence in _old().get(word.group(), ()):
            start = word.start() - before
            end = start + len(sentence)
            cut = sentence[-1].isalnum() and text[end : end + 1].isalnum()
            if start >= 0 and text.startswith(sentence, start) and not cut:
                found.append(sentence)
    return found


def _files() -> Iterator[tuple[str, Path]]:
    """All files in which something is that people read, with their names in the project."""
    files = [
        *(path for folder in ("city", "sync", "pwa", "bench") for path in sorted((ROOT / folder).rglob("*"))),
        *sorted(ROOT.glob("*.md")),
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
    ]
    for path in files:
        if (
            path.suffix in READERS
            and path.name not in HISTORY
            and not {"vendor", "node_modules"} & {*path.parts}
        ):
            yield str(path.relative_to(ROOT)), path


def _read(name: str, source: str) -> Iterator[str]:
    return READERS[Path(name).suffix](source)


def _python(source: str) -> Iterator[str]:
    """String literals, and docstrings only where they are a command's help."""
    tree = ast.parse(source)
    silent = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef) and any(
            name in ast.dump(decorator) for decorator in each.decorator_list for name in ("command", "group")
        ):
            yield ast.get_docstring(each) or ""
        elif isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in silent:
            yield each.value


def _script(source: str) -> Iterator[str]:
    return (found["said"][1:-1] for found in SCRIPT.finditer(source) if found["said"])


def _template(source: str) -> Iterator[str]:
    yield _plain(REMARK.sub("", source))


def _plain(source: str) -> str:
    """As it is read: entities, curved apostrophes and marks within a sentence are no difference."""
    return EMPHASIS.sub("", unescape(source).replace("’", "'").replace("\u00a0", " "))


def _toml(source: str) -> Iterator[str]:
    return _strings(tomllib.loads(source))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


def _prose(source: str) -> Iterator[str]:
    yield source


READERS = {
    ".py": _python, ".js": _script, ".html": _template, ".txt": _template, ".toml": _toml, ".md": _prose,
}  # fmt: skip
