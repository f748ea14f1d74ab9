"""Cases are found by their words, address, numbers and people; and what was erased is found nowhere."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from factories import LAMP, Scene, Town
from rivertown import put
from sqlalchemy import select, text
from sqlalchemy.event import listen

from city.audit import events
from city.cases import search as case_search
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, CaseWords, Report
from city.imports import runs as import_runs
from city.photos.storage import FolderStore
from city.reports import intake

pytestmark = pytest.mark.both_databases

CANARY = "zwitscherkanarie"


def found(scene: Scene, typed: str, *, live: bool = True) -> list[str]:
    """The numbers of what is found; both ways of asking must agree."""
    sought = case_search.terms(typed)
    assert sought, typed
    ids = case_search.ids(scene.s, sought, live=live)
    by_index = list(scene.s.scalars(select(Case.number).where(Case.id.in_(ids)).order_by(Case.id)))
    one_by_one = select(Case.number).where(case_search.matches(sought))
    one_by_one = one_by_one.join(CaseWords, CaseWords.case_id == Case.id).where(CaseWords.open == live)
    assert list(scene.s.scalars(one_by_one.order_by(Case.id))) == by_index
    return by_index


def test_every_word_must_stand_there_and_its_beginning_is_enough(town: Town) -> None:
    with town.at_work() as scene:
        lamp = scene.report(words="The lamp flickers beside the Bäckerei").case.number
        scene.report(words="A lamp is out")
    with town.looking() as scene:
        assert found(scene, "lamp flick") == [lamp]
        assert found(scene, "FLICKERS backerei") == [lamp]
        assert found(scene, "bäck") == [lamp]
        assert len(found(scene, "lamp")) == 2
        assert found(scene, "lamp snow") == []
        assert found(scene, "amp") == []


def test_a_street_is_found_as_it_was_written_and_in_its_long_form(town: Town) -> None:
    with town.at_work() as scene:
        short = scene.report(place=replace(LAMP, label="55 Elm St")).case.number
        long = scene.report(place=replace(LAMP, label="550 Elm Street")).case.number
        scene.report(place=replace(LAMP, label="55 Elms Avenue"))
    with town.looking() as scene:
        assert found(scene, "elm str") == [short, long]
        assert found(scene, "Elm Street") == [short, long]
        assert found(scene, "55 elm st") == [short], "55 is not 550"
        assert len(found(scene, "elm")) == 3


def test_numbers_are_found_in_whole_and_by_their_figure(town: Town, tmp_path: Path) -> None:
    with town.at_work() as scene:
        case = scene.report(place=scene.pole()).case.number
    put(town, tmp_path, {"ID": "SR-20077", "STATE": "Open"})
    with town.looking() as scene:
        assert found(scene, case) == [case]
        assert found(scene, f"{case}-a") == [case]
        assert found(scene, case.partition("-")[2].lstrip("0")) != []
        assert found(scene, "20-118") == found(scene, "20118") == [case]
        assert found(scene, "sr-20077") == found(scene, "SR20077") == ["26-000002"]


def test_who_left_an_address_is_found_by_it(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        intake.subscribe(scene.s, report, "Ana.Peña@mail.test", lang="en", at=town.now)
    with town.looking() as scene:
        assert found(scene, "ana.pena@mail.test") == [report.case.number]


def test_a_report_that_joins_is_found_with_its_case(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report(words="dark").case.number
    with town.at_work() as scene:
        scene.report(words="pitch black", join=case)
    with town.looking() as scene:
        assert found(scene, "dark black") == [case]


def test_a_case_of_which_more_was_told_than_an_index_takes_goes_on_and_is_found(town: Town) -> None:
    """PostgreSQL has room for a megabyte of one case's words."""
    with town.at_work() as scene:
        case = scene.report(words="first").case.number
    letters = chr(0x20000)  # of four bytes
    for half in range(2):
        with town.at_work() as scene:
            for n in range(half * 45, half * 45 + 45):
                told = " ".join(f"w{n:03}x{m:03}{letters * 32}" for m in range(95))
                report = scene.report(words=told, join=case)
            intake.subscribe(scene.s, report, f"ana{half}@mail.test", lang="en", at=town.now)
    with town.looking() as scene:
        assert found(scene, "first") == [case]
        assert found(scene, "ana1@mail.test") == [case], "what people are found by goes before their words"
        assert found(scene, report.number) == [case]
        assert found(scene, f"w089x094{letters * 32}") == []


def test_what_was_told_of_a_merged_case_finds_the_one_that_goes_on(town: Town) -> None:
    with town.at_work() as scene:
        told = [scene.report(words=words) for words in ("alpha", "bravo", CANARY)]
        first, second, third = (report.case.number for report in told)
        dispatcher = scene.actor("dispatcher")
        for one, other in ((2, 1), (1, 0)):
            transitions.merge(scene.s, told[one].case, told[other].case, by=dispatcher, at=town.now)
    with town.at_work() as scene:
        intake.subscribe(scene.s, scene.case(third).reports[0], "ana@mail.test", lang="en", at=town.now)
    with town.looking() as scene:
        assert found(scene, f"alpha bravo {CANARY}") == found(scene, "ana@mail.test") == [first]
        assert found(scene, third) == [first]
        assert found(scene, CANARY, live=False) == [second, third]
    with town.at_work() as scene:
        store = FolderStore(town.settings.var / "photos")
        report = scene.case(third).reports[0]
        intake.erase(scene.s, report, store, town.settings.var, by=dispatcher, at=town.now)
    with town.looking() as scene:
        assert kept(scene, CANARY) == []
        assert [w for w in scene.s.scalars(select(CaseWords.words)) if "ana" in w] == []
    with town.at_work() as scene:
        transitions.unmerge(scene.s, scene.case(second), by=dispatcher, at=town.now)
    with town.looking() as scene:
        assert (found(scene, "alpha"), found(scene, "bravo")) == ([first], [second])
        assert found(scene, third) == [second]


def test_an_ended_case_is_found_among_the_ended_and_again_when_it_lives(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report(words="flicker").case.number
    by = "dispatcher"
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(case), "spam", by=scene.actor(by), at=town.now)
    with town.looking() as scene:
        assert (found(scene, "flicker"), found(scene, "flicker", live=False)) == ([], [case])
    with town.at_work() as scene:
        transitions.restore(scene.s, scene.case(case), by=scene.actor(by), at=town.now)
    with town.looking() as scene:
        assert (found(scene, "flicker"), found(scene, "flicker", live=False)) == ([case], [])


def test_who_goes_back_to_a_savepoint_has_ended_nothing(town: Town) -> None:
    with town.at_work() as scene:
        lamp = scene.report(words="lamp").case.number
    with town.at_work() as scene, suppress(ZeroDivisionError), events.savepoint(scene.s):
        closing = Closing("fixed", no_photo="dark")
        transitions.close(scene.s, scene.case(lamp), closing, by=scene.actor("dispatcher"), at=town.now)
        raise ZeroDivisionError
    with town.looking() as scene:
        assert (found(scene, "lamp"), found(scene, "lamp", live=False)) == ([lamp], [])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("old_sqlite", [False, True])
def test_what_was_erased_is_gone_from_the_index_too(town: Town, old_sqlite: bool, ended: bool) -> None:
    is_sqlite = town.engine.dialect.name == "sqlite"
    if old_sqlite:
        delete_nothing_for_good(town)
    with town.at_work() as scene:
        report = scene.report(words=f"{CANARY} here", place=replace(LAMP, label=f"1 {CANARY} Street"))
        scene.report(words="another", join=report.case.number)
    with town.at_work() as scene:
        scene.report(words="a third", join=report.case.number)
    if ended:  # its words move to the other index
        with town.at_work() as scene:
            case, closing = scene.case(report.case.number), Closing("fixed", no_photo="dark")
            transitions.close(scene.s, case, closing, by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        index = ["words_ended_data" if ended else "words_open_data"] if is_sqlite else []
        assert {"case_words", *index} <= set(kept(scene, CANARY))
    with town.at_work() as scene:
        first = scene.s.get_one(Report, report.id)
        first.case.address = ""
        store = FolderStore(town.settings.var / "photos")
        intake.erase(scene.s, first, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        assert found(scene, "another third", live=not ended) == [report.case.number]
        for live in (True, False):
            assert scene.s.scalars(case_search.ids(scene.s, case_search.terms(CANARY), live=live)).all() == []
        assert kept(scene, CANARY) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("old_sqlite", [False, True])
def test_what_was_erased_is_gone_from_the_file(town: Town, old_sqlite: bool) -> None:
    # As a SQLite that does not do so by itself: first of all that a new connection meets.
    town.engine.dispose()
    listen(town.engine, "connect", lambda raw, _: raw.execute("PRAGMA secure_delete=OFF"), insert=True)
    if old_sqlite:
        delete_nothing_for_good(town)
    file = Path(str(town.engine.url.database))
    with town.at_work() as scene:
        report = scene.report(words=f"{CANARY} here, at length: " + "a lamp that is out " * 150)
        for n in range(20):
            scene.report(words=f"number {n}")
    written_back(town)
    assert CANARY.encode() in file.read_bytes()
    store = FolderStore(town.settings.var / "photos")
    with town.at_work() as scene:
        first, by = scene.s.get_one(Report, report.id), scene.actor("dispatcher")
        intake.erase(scene.s, first, store, town.settings.var, by=by, at=town.now)
    written_back(town)
    assert CANARY[3:].encode() not in file.read_bytes()


def written_back(town: Town) -> None:
    """Has SQLite put what its write-ahead file holds into the file itself."""
    with town.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        assert raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.mark.slow
def test_an_index_that_shrank_forgets_as_well(town: Town) -> None:
    """Where FTS5 has put it in order at times and little is left, its `optimize` keeps what was deleted."""
    letters = Random(3)

    def tell(words: str) -> Report:
        with town.at_work() as scene:
            return scene.report(words=words)

    def erase(report: Report) -> None:
        store = FolderStore(town.settings.var / "photos")
        with town.at_work() as scene:
            found, by = scene.s.get_one(Report, report.id), scene.actor("dispatcher")
            intake.erase(scene.s, found, store, town.settings.var, by=by, at=town.now)

    def many(count: int) -> str:
        return " ".join("".join(letters.choices("abcdefghijklmnop", k=7)) for _ in range(count))

    delete_nothing_for_good(town)
    told = [tell(many(30)) for _ in range(30)]
    for _ in range(2):
        told.append(tell(many(5)))
        erase(told[-1])
    for report in told:
        with town.at_work() as scene:
            case, by = scene.case(report.case.number), scene.actor("dispatcher")
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
    erase(tell("quiet"))
    for n in range(3):
        erase(tell(f"{CANARY}{n} lamp"))
        with town.looking() as scene:
            assert kept(scene, f"{CANARY}{n}") == []


def delete_nothing_for_good(town: Town) -> None:
    """Makes SQLite's indexes those of a version before 3.42."""
    if town.engine.dialect.name == "sqlite":
        with town.at_work() as scene:
            for name in ("words_open", "words_ended"):
                scene.s.execute(text(f"INSERT INTO {name} ({name}, rank) VALUES ('secure-delete', 0)"))


def kept(scene: Scene, word: str) -> list[str]:
    """The tables of the search that hold the word, the index's own ones too."""
    tables = ["case_words"]
    if scene.town.engine.dialect.name == "sqlite":
        shadows = (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'words\\_%\\_%' ESCAPE '\\'"
        )
        tables += scene.s.scalars(text(shadows))
        assert len(tables) > 4
    # As tuples: SQLAlchemy's own rows leave out the middle of what is long, where the word stands.
    rows = {name: list(map(tuple, scene.s.execute(text(f"SELECT * FROM {name}")))) for name in tables}
    # An index keeps of a word what the one before it does not have, so its end is what to look for.
    return [name for name, found in rows.items() if word[3:] in repr(found)]


@pytest.mark.parametrize("old_sqlite", [False, True])
def test_what_an_undone_import_brought_is_not_found(town: Town, tmp_path: Path, old_sqlite: bool) -> None:
    if old_sqlite:
        delete_nothing_for_good(town)
    put(town, tmp_path, {"WORDS": CANARY})
    with town.at_work() as scene:
        assert len(found(scene, CANARY)) == 1
        import_runs.undo(scene.s, 1, at=town.now)
    with town.looking() as scene:
        assert found(scene, CANARY) == []
        assert scene.s.scalars(select(CaseWords)).all() == []
        assert kept(scene, CANARY) == []


@pytest.mark.parametrize("old_sqlite", [False, True])
def test_what_an_undone_change_brought_is_not_found(town: Town, tmp_path: Path, old_sqlite: bool) -> None:
    if old_sqlite:
        delete_nothing_for_good(town)
    put(town, tmp_path, {"STREET": "1 Old Road"})
    put(town, tmp_path, {"STREET": f"2 {CANARY} Road"})
    with town.at_work() as scene:
        assert len(found(scene, CANARY)) == 1
        import_runs.undo(scene.s, 2, at=town.now)
    with town.looking() as scene:
        assert found(scene, CANARY) == []
        assert len(found(scene, "1 old road")) == 1
        assert kept(scene, CANARY) == []


@pytest.mark.parametrize("old_sqlite", [False, True])
def test_what_a_row_held_that_no_fact_says_leaves_with_the_recount(town: Town, old_sqlite: bool) -> None:
    """A backup's row may hold what was erased since: after a restore all is counted anew."""
    if old_sqlite:
        delete_nothing_for_good(town)
    with town.at_work() as scene:
        case = scene.report(words="a lamp").case
    with town.at_work() as scene:
        row = scene.s.get_one(CaseWords, case.id)
        row.words = f"{row.words} {CANARY}"
    with town.at_work() as scene:
        assert found(scene, CANARY) == [case.number]
        assert case_search.recompute(scene.s) == 1
    with town.looking() as scene:
        assert found(scene, CANARY) == []
        assert found(scene, "lamp") == [case.number]
        assert kept(scene, CANARY) == []


def test_what_a_later_import_changes_is_found_by_the_new_address(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {"STREET": "1 Old Road"})
    put(town, tmp_path, {"STREET": "2 New Road"})
    with town.looking() as scene:
        assert len(found(scene, "2 new road")) == 1


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "***", '"', "💡", "'; DROP TABLE cases; --", "AND OR NOT", "a NEAR b", "%", "_", "-", "\x00"],
)
def test_signs_and_operators_are_words_or_nothing(town: Town, typed: str) -> None:
    with town.at_work() as scene:
        scene.report(words="a lamp")
    with town.looking() as scene:
        if sought := case_search.terms(typed):
            assert scene.s.scalars(case_search.ids(scene.s, sought, live=True)).all() == []


def test_nonsense_as_long_as_a_book_finds_nothing(town: Town) -> None:
    with town.at_work() as scene:
        scene.report(words="a lamp")
        scene.report(words="x" * 3000)
    with town.looking() as scene:
        assert found(scene, "q" * 200) == []
        assert found(scene, " ".join("abcdefghijklmnopqrstuvwxyz" * 20)) == []
        assert len(found(scene, "x" * 200)) == 1


def test_two_who_leave_an_address_are_both_found(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
    with town.at_work() as scene:
        intake.subscribe(scene.s, scene.s.merge(report), "one@town.test", lang="en", at=town.now)
        intake.subscribe(
            scene.s, scene.s.merge(report), "two@town.test", lang="en", at=town.now + timedelta(1)
        )
    with town.looking() as scene:
        assert found(scene, "one@town.test") == found(scene, "two@town.test") == [report.case.number]
