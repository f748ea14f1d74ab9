"""bin/check warns of words that docs/reference/voice.md tells us never to use, in sentences that are new."""

import subprocess
from pathlib import Path

import pytest
import voice


def warned(folder: Path, file: str, source: str) -> list[str]:
    """What is said of a folder in which one file says something."""
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(source, "utf-8")
    return list(voice.warnings(voice.spoken(folder), voice.terms(voice.TERMS.read_text("utf-8"))))


def test_a_word_that_is_wrong_for_everyone_is_named_with_its_place(tmp_path: Path) -> None:
    [line] = warned(tmp_path, "templates/dispatch/a.html", '<p>\n{{ _("Your ticket is closed.") }}</p>')
    assert line.startswith("templates/dispatch/a.html:2: “Your ticket is closed.” has “ticket”; say: ")


def test_a_good_sentence_gives_no_warning(tmp_path: Path) -> None:
    assert warned(tmp_path, "templates/resident/a.html", '{{ _("We\'ll fix it by %(day)s.", day=1) }}') == []


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("templates/resident/a.html", True),
        ("templates/follow/a.html", True),
        ("templates/email/closed.txt", True),
        ("templates/email/late.txt", False),
        ("templates/dispatch/a.html", False),
        ("templates/crew/a.html", False),
        ("templates/figures/a.html", False),
        ("templates/shared/a.html", False),
    ],
)
def test_a_case_is_wrong_for_residents_only(tmp_path: Path, file: str, wrong: bool) -> None:
    assert bool(warned(tmp_path, file, "{{ _('See the case') }}")) is wrong


def test_the_plural_is_read_too(tmp_path: Path) -> None:
    said = warned(tmp_path, "pages/crew.py", 'ngettext("%(num)d job", "%(num)d Assignment", 2)')
    assert [line.partition("has ")[2] for line in said] == ["“assignment”; say: job"]


@pytest.mark.parametrize("words", ["The ticketing desk", "%(ticket)s is here", "Dispatched", "no-ticket"])
def test_a_part_of_a_word_or_a_placeholder_is_no_word(tmp_path: Path, words: str) -> None:
    assert warned(tmp_path, "templates/dispatch/a.html", f'{{{{ _("{words}", ticket=1) }}}}') == []


def test_a_table_that_names_nobody_who_reads_is_refused() -> None:
    page = f"{voice.HEAD}\n| --- | --- | --- | --- |\n| report | what | `ticket` | neighbours |\n"
    with pytest.raises(ValueError, match="neighbours"):
        voice.terms(page)
    with pytest.raises(ValueError, match="no table"):
        voice.terms("| say | for |")


def test_every_file_that_a_reader_has_is_there() -> None:
    files = [str(path.relative_to(voice.ROOT / "pwa")) for path in (voice.ROOT / "pwa").rglob("*.*")]
    assert {voice.readers(file) for file in files} == {"several", *voice.READERS}


def test_new_is_what_was_not_there_where_the_branch_began(tmp_path: Path) -> None:
    assert voice.before(tmp_path) is None  # no Git, or one above that has no such file
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert voice.before(tmp_path) is None
    for words in ("First", "Second", "Third"):
        catalogue = tmp_path / voice.CATALOGUE
        catalogue.parent.mkdir(parents=True, exist_ok=True)
        catalogue.write_text(f'msgid "{words}"\nmsgstr ""\n', "utf-8")
        _git(tmp_path, "add", ".")
        _git(tmp_path, "commit", "--quiet", "-m", words)
    assert voice.before(tmp_path) == {"", "Second"}  # no remote: what was there before the last commit
    _git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD~2")
    assert voice.before(tmp_path) == {"", "First"}


def _git(folder: Path, *words: str) -> None:
    somebody = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *somebody, *words], cwd=folder, check=True)
