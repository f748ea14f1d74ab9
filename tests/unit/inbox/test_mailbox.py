"""Mail that is fetched from a real mailbox: each is taken once, and what can't be taken stays there."""

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest
from factories import Town
from imapserver import USER, WORD, Mailbox, mailbox
from sqlalchemy import func, select

from city.db.models import CaseMessage, InboxEntry
from city.inbox import entries, mail, reply_address
from city.inbox import mailbox as fetched
from city.inbox.reception import Place
from city.reports import conversation
from city.settings import Settings

OURS = "311@larkhaven.test"


@pytest.fixture
def place(town: Town, settings: Settings) -> Place:
    return Place(
        town.engine, settings.var, settings.secret_key, OURS, "cityline@larkhaven.test", ("en", "es")
    )


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with mailbox(Path(tmp_path_factory.mktemp("box"))) as running:
        yield running


def address(box: Mailbox, *, word: str = WORD, folder: str = "") -> str:
    return f"imap://{USER}:{quote(word, safe='')}@127.0.0.1:{box.port}{folder}"


def letter(words: str, to: str = OURS) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ana <ana@example.org>", to, "Streetlight"
    made["Message-ID"] = f"<{abs(hash(words))}@example.org>"
    made.set_content(words)
    return made.as_bytes()


def waiting(town: Town) -> list[str]:
    with town.looking() as scene:
        return sorted(each.words for each in entries.waiting(scene.s))


def test_an_answer_goes_to_its_case_and_all_else_to_the_inbox_once(
    town: Town, place: Place, box: Mailbox
) -> None:
    with town.at_work() as scene:
        report = scene.assigned().reports[0]
        asked = conversation.ask(scene.s, report, "Which pole?", by=scene.actor("dispatcher"), at=town.now)
        conversation.hand_over(scene.s, asked, at=town.now)
        to = reply_address.signed(OURS, place.secret, reply_address.REPORT, report.id)
        question = asked.id
    box.put(letter("The one by the gate.", to))
    box.put(letter("The lamp behind the library is out"))
    assert fetched.fetch(address(box), place, town.now) == 2
    assert fetched.fetch(address(box), place, town.now) == 0
    assert box.flags() == [r"\Seen"] * 2
    with town.looking() as scene:
        answer = scene.s.scalars(select(CaseMessage).where(CaseMessage.answers_id == question)).one()
        assert answer.words == "The one by the gate."
    assert waiting(town) == ["The lamp behind the library is out"]


def test_one_that_was_kept_but_not_marked_is_not_kept_twice(town: Town, place: Place, box: Mailbox) -> None:
    box.put(letter("The lamp is out"))
    fetched.fetch(address(box), place, town.now)
    with box.open() as program:  # as if the worker had been killed between the two
        program.store("1", "-FLAGS", r"(\Seen)")
    fetched.fetch(address(box), place, town.now)
    assert waiting(town) == ["The lamp is out"]
    assert box.flags() == [r"\Seen"]


def test_one_over_the_limit_is_flagged_and_stops_no_other(town: Town, place: Place, box: Mailbox) -> None:
    box.put(letter("Large") + b"\r\n" + b"x" * 76 + b"\r\n" * (mail.MOST_BYTES // 2))
    box.put(letter("Small"))
    assert fetched.fetch(address(box), place, town.now) == 1
    assert waiting(town) == ["Small"]
    assert box.flags() == [r"\Flagged \Seen", r"\Seen"]


def test_what_finds_the_inbox_full_stays_unseen_until_there_is_room(
    town: Town, place: Place, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(letter("First"))
    box.put(letter("Second"))
    with monkeypatch.context() as small:
        small.setattr(entries, "MOST_WAITING", 1)
        assert fetched.fetch(address(box), place, town.now) == 1
    assert box.flags() == [r"\Seen", ""]
    assert fetched.fetch(address(box), place, town.now) == 1
    assert waiting(town) == ["First", "Second"]


def test_a_mailbox_that_refuses_us_is_said(town: Town, place: Place, box: Mailbox) -> None:
    box.put(letter("Here"))
    for wrong in (address(box, word="guessed"), address(box, folder="/Nowhere")):
        with pytest.raises(OSError, match="the mailbox"):
            fetched.fetch(wrong, place, town.now)
    gone = address(box).replace(f":{box.port}", ":9")
    with pytest.raises(ConnectionRefusedError):
        fetched.fetch(gone, place, town.now)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(InboxEntry)) == 0
