"""A mail as it came in, read: who wrote what, what of it is quoted, its pictures, whether a machine wrote it.

Mail is the most hostile thing that a city takes. Whatever the bytes are, read() returns: what cannot be told
apart is left as words. Pure.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parseaddr
from html.parser import HTMLParser
from typing import Final

from mailparser_reply import EmailReplyParser

from city.text import is_blank

MOST_BYTES: Final = 25_000_000  # of a mail; larger ones are refused as they come
MOST_LETTERS: Final = 20_000  # of what somebody wrote; of a head MOST_OF_A_HEAD
MOST_OF_A_HEAD: Final = 300
MOST_PARTS: Final = 200
MOST_PHOTOS: Final = 5
MOST_AUDIO: Final = 8_000_000  # bytes of a recording: an hour of speech in any telephone's format
LONGEST_LINE: Final = 1_000  # letters that are looked through for a quote's head
# Why nobody reads a mail: a machine wrote it, and whoever answered it would talk with a machine for ever.
AUTOMATIC, LIST, BOUNCE, OWN, EMPTY = "automatic", "list", "bounce", "own", "empty"
# What the desk is told besides: what of it could not be read.
NOT_READ, CUT, ATTACHMENT = "not read", "cut", "attachment"


@dataclass(frozen=True)
class Mail:
    """One mail. `key` is the same for the same mail however often it comes. `rest` is what was quoted.

    `to` are all addresses that it names as its readers. `ignored` says why nobody reads it, "" where somebody
    does. `notes` are what could not be read of it: NOT_READ, CUT, or ATTACHMENT with its name.
    """

    key: str
    sender: str = ""
    name: str = ""
    subject: str = ""
    words: str = ""
    rest: str = ""
    lang: str = ""
    to: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    audio: tuple[str, bytes] | None = None
    notes: tuple[str, ...] = ()
    ignored: str = ""


def read(raw: bytes, *, own: tuple[str, ...] = (), envelope_from: str | None = None) -> Mail:
    """The mail; `own` are the city's addresses, and `envelope_from` "" for a bounce, None where unknown."""
    try:
        return _read(message_from_bytes(raw), own, envelope_from)
    except Exception:  # the library's own faults with hostile mail are many, and RecursionError is one
        words = _clean(raw[: 4 * MOST_LETTERS].decode("utf-8", "replace"))[:MOST_LETTERS]
        return Mail(key=_key(raw), words=words, notes=(NOT_READ,), ignored=EMPTY if is_blank(words) else "")


def _read(told: Message, own: tuple[str, ...], envelope_from: str | None) -> Mail:
    name, sender = parseaddr(_head(told, "From"))
    parts = _Parts()
    for n, part in enumerate(_leaves(told)):
        if n == MOST_PARTS:
            parts.notes.append(CUT)
            break
        parts.take(part)
    whole = parts.words
    if len(whole) > MOST_LETTERS:
        whole = whole[:MOST_LETTERS]
        parts.notes.append(CUT)
    words, rest = _own_words(whole)
    subject = _head(told, "Subject")
    says_nothing = is_blank(words) and not parts.images and not parts.audio
    ignored = _why_ignored(told, sender.lower(), own, envelope_from)
    if not ignored and says_nothing and is_blank(subject):
        ignored = EMPTY
    key = _key(
        _head(told, "Message-ID").encode(), sender.encode(), subject.encode(), _head(told, "Date").encode(),
        whole.encode(), *(hashlib.sha256(each).digest() for each in parts.images),
    )  # fmt: skip
    heads = (_head(told, each) for each in ("To", "Cc", "Delivered-To", "X-Original-To"))
    named = getaddresses([each for each in heads if each])
    return Mail(
        key=key, sender=sender[:254] if "@" in sender else "", name=name.strip(), subject=subject,
        words=words, rest=rest, lang=_head(told, "Content-Language")[:2].lower(),
        to=tuple(address for _name, address in named if "@" in address), images=tuple(parts.images),
        audio=parts.audio, notes=tuple(dict.fromkeys(parts.notes)), ignored=ignored,
    )  # fmt: skip


class _Parts:
    """What the parts of a mail hold, as they are taken one after the other."""

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.html: list[str] = []
        self.images: list[bytes] = []
        self.audio: tuple[str, bytes] | None = None
        self.notes: list[str] = []

    @property
    def words(self) -> str:
        """What is written; the HTML counts where there is no plain text in the mail."""
        plain = "\n\n".join(each for each in self.plain if not is_blank(each))
        return _clean(plain or "\n\n".join(map(_of_html, self.html)))

    def take(self, part: Message) -> None:
        kind, main = part.get_content_type(), part.get_content_maintype()
        is_file = part.get_content_disposition() == "attachment"
        if main == "image":
            body = _bytes(part)
            if len(self.images) < MOST_PHOTOS:
                self.images.append(body)
            else:
                self._leave(part, "image")
        elif main == "audio" and self.audio is None and len(body := _bytes(part)) <= MOST_AUDIO:
            self.audio = kind, body
        elif kind in ("text/plain", "text/html") and not is_file:
            into = self.plain if kind == "text/plain" else self.html
            into.append(_text(part)[: 4 * MOST_LETTERS])
        elif kind == "text/calendar" or main in ("text", "message") or part.get_payload():
            self._leave(part, kind)

    def _leave(self, part: Message, kind: str) -> None:
        name = _decoded(str(part.get_filename() or kind))
        self.notes.append(f"{ATTACHMENT} {name[:80]}")


def _leaves(told: Message) -> Iterator[Message]:
    """The parts that hold something, without recursion: mails are nested as deep as anybody likes."""
    waiting = [told]
    while waiting:
        part = waiting.pop()
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list) and part.get_content_maintype() == "multipart":
            waiting.extend(each for each in reversed(inner) if isinstance(each, Message))
        else:  # a mail within a mail is an attachment
            yield part


def _why_ignored(told: Message, sender: str, own: tuple[str, ...], envelope_from: str | None) -> str:
    """By RFC 3834 and what mail servers add: a machine's letter is no resident's word, gets no answer."""
    if sender in {each.lower() for each in own}:
        return OWN
    if told.get_content_type() in ("multipart/report", "message/delivery-status"):
        return BOUNCE
    if envelope_from == "" or sender.partition("@")[0] in ("mailer-daemon", "postmaster"):
        return BOUNCE
    if _head(told, "Auto-Submitted").lower().partition(";")[0].strip() not in ("", "no"):
        return AUTOMATIC
    if any(told.get(each) for each in ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress-Reply")):
        return AUTOMATIC
    if any(told.get(each) for each in ("List-Id", "List-Post", "List-Unsubscribe", "Mailing-List")):
        return LIST
    return LIST if _head(told, "Precedence").lower() in ("bulk", "list", "junk", "auto_reply") else ""


def _own_words(whole: str) -> tuple[str, str]:
    """What the sender wrote, and what they quote."""
    # The parser looks for heads of quotes by patterns that take long where a line has no end.
    if any(len(line) > LONGEST_LINE for line in whole.split("\n")):
        return whole.strip(), ""
    reply = EmailReplyParser(languages=["en", "es"]).read(whole)
    first = reply.replies[0].content if reply.replies else whole
    own = "\n".join(line for line in first.split("\n") if not line.startswith(">")).strip()
    if is_blank(own):
        return whole.strip(), ""
    at = whole.find(own)
    return own, whole[at + len(own) :].strip() if at >= 0 else ""


def _head(told: Message, name: str) -> str:
    """A head in one line, without what draws nothing."""
    return _decoded(str(told.get(name, "")))[:MOST_OF_A_HEAD]


def _decoded(value: str) -> str:
    value = value[: 10 * MOST_OF_A_HEAD]
    with suppress(Exception):  # a charset of nobody, or base64 that is none
        value = str(make_header(decode_header(value)))
    value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(_clean(value).split())


def _bytes(part: Message) -> bytes:
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _text(part: Message) -> str:
    body = _bytes(part)
    for charset in (part.get_content_charset() or "utf-8", "utf-8"):
        try:
            return body.decode(charset)
        except (LookupError, ValueError):
            continue
    return body.decode("latin-1")


def _clean(words: str) -> str:
    """One kind of line end; no controls, which no page and no database takes."""
    words = words.replace("\r\n", "\n").replace("\r", "\n")
    words = words.encode("utf-8", "replace").decode("utf-8")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "", words)


def _key(*parts: bytes) -> str:
    """64 letters that name these very bytes."""
    return hashlib.sha256(b"\0".join((b"mail", *parts))).hexdigest()


class _Words(HTMLParser):
    """The words of an HTML mail, a line for each block."""

    _LINES = frozenset(("p", "div", "br", "li", "tr", "h1", "h2", "h3", "blockquote", "table", "ul", "ol"))
    _SILENT = frozenset(("style", "script", "head", "title", "template"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._LINES:
            self.found.append("\n")
        self._silent += tag in self._SILENT

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in self._SILENT))
        if tag in self._LINES:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(re.sub(r"\s+", " ", data))


def _of_html(html: str) -> str:
    words = _Words()
    try:
        words.feed(html)
        words.close()
    except (ValueError, AssertionError):  # what it says of broken declarations
        pass
    lines = (line.strip() for line in "".join(words.found).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
