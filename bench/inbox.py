"""Whether what comes in by mail and texts is kept once, whatever it is and whoever is killed meanwhile.

    bin/bench inbox [--messages=N] [--conversations=N] [--corpus=FOLDER] [--db=KIND]

Hostile: so many mails and webhooks of every bad kind to the real worker and server; each must be taken, wait
in the inbox, or be refused with a reason. With --corpus also the mails of that folder, whole and damaged.
Kills: so many questions go out by a real mail server and are answered by mail, while mail server and worker
are killed at random.
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, func, select, update

from bench._databases import KINDS, Database, database
from bench._site import PROGRAM, ROOT, _environment, running, say
from city import settings as city_settings
from city.audit.events import Actor
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import CaseMessage, InboxEntry, Message, Report
from city.inbox import reply_address
from city.lifecycle import DISPATCHER
from city.people import accounts
from city.places.lookup import Place
from city.reports import conversation, intake
from city.settings import DEFAULT_CITY

OURS = "311@bench.test"
SECRET = "0123456789abcdef0123456789abcdef"
DISPATCH = Actor("person:1", frozenset({DISPATCHER}))
REPORTS = 300  # that hostile mails answer: each takes so many a day
# Families whose words anybody can read: these must be found again.
READABLE = {
    "mail_plain", "mail_reply", "mail_forged_signature", "mail_nested", "mail_many_parts", "mail_winmail",
    "mail_html", "mail_calendar", "mail_picture", "mail_long_line", "mail_heads", "text_plain", "text_media",
}  # fmt: skip
TOKEN = re.compile(r"token[0-9a-f]{16}")
EMPTIED_EVERY = 500  # messages: the inbox itself takes no more than it can show
PATIENCE = 180.0  # seconds
AT_ONCE = 300  # conversations: what a killed worker had in its hands is sent again after minutes


def main() -> int:
    """0 when nothing was lost, doubled or answered by itself, on every database."""
    asked = argparse.ArgumentParser(prog="bin/bench inbox")
    asked.add_argument("--quick", action="store_true", help="use a tenth")
    asked.add_argument("--messages", type=int, default=10_000)
    asked.add_argument("--conversations", type=int, default=1_000)
    asked.add_argument("--corpus", type=Path, help="a folder of mails, one a file")
    asked.add_argument("--part", choices=("hostile", "kills"), help="run only this one")
    asked.add_argument("--db", choices=KINDS, help="run only this one")
    asked.add_argument("--seed", type=int, default=311)
    options = asked.parse_args()
    share = 10 if options.quick else 1
    is_fine = True
    for kind in (options.db,) if options.db else KINDS:
        var = ROOT / "var" / "bench" / f"inbox-{options.part or 'both'}-{kind}"
        for name, told in (
            ("hostile", lambda v, d: _hostile(v, d, options.messages // share, options)),
            ("kills", lambda v, d: _kills(v, d, options.conversations // share, options.seed)),
        ):
            if options.part not in (None, name):
                continue
            say(f"inbox: {name} on {kind}")
            with database(kind, var) as base:
                found = told(var, base)
            print(json.dumps({"bench": "inbox", "part": name, "db": kind} | found), flush=True)
            is_fine &= not any(
                found[each] for each in ("crashed", "lost", "doubled", "loops") if each in found
            )
    return 0 if is_fine else 1


def _settings(base: Database, port: int, **more: str) -> dict[str, str]:
    return base.settings | {
        "CITYLINE_MAIL_IN": f"smtp://127.0.0.1:{port}", "CITYLINE_MAIL_ADDRESS": OURS,
        "CITYLINE_MAIL_FROM": f"Bench <{OURS}>", "CITYLINE_SECRET_KEY": SECRET,
        "CITYLINE_TEXTS_IN": f"json:{SECRET}",
    } | more  # fmt: skip


def _furnish(engine: Engine, many: int) -> list[int]:
    """So many reports, each with a confirmed mailbox; the ids."""
    at = datetime.now(UTC)
    with db.transaction(engine) as s:
        told = city_file.read_with_logo(DEFAULT_CITY)
        config_versions.publish(s, told, "bench", by=accounts.THE_SYSTEM, at=at)
        accounts.add(s, "ana@bench.test", "Ana", ["dispatcher"])
    ids = []
    for n in range(many):
        with db.transaction(engine) as s:
            key = uuid.uuid4().hex
            place = Place(39.6012, -71.2034 + n / 100_000, "pin")
            new = intake.NewReport(key=key, service_code="light-out", channel="web", place=place)
            report = intake.submit(s, new, at=at, token=key)
            wish = intake.subscribe(s, report, f"r{n}@example.org", lang="en", at=at)
            intake.confirm(s, wish, at=at)
            ids.append(report.id)
    return ids


# ---- hostile ----


def _hostile(var: Path, base: Database, many: int, options: argparse.Namespace) -> dict[str, Any]:
    engine = db.connect(base.url)
    reports = _furnish(engine, REPORTS)
    files = sorted(options.corpus.iterdir()) if options.corpus else []
    corpus = [path.read_bytes() for path in files if path.is_file()]
    port = _free_port()
    with running(var, **_settings(base, port)) as site:
        site.settle()
        written = _Written(Random(options.seed), reports, corpus)
        came: Counter[str] = Counter()
        must: dict[str, str] = {}  # the token of what was taken, and its family
        sizes = [_memory(site.worker)]
        for n in range(many):
            family, body, token = written.one()
            said = _text(site.url, body) if family.startswith("text") else _mail(port, body)
            came[f"{family}: {said}"] += 1
            if said in ("taken", "200") and token:
                must[token] = family
            if n % EMPTIED_EVERY == EMPTIED_EVERY - 1:
                with db.transaction(engine) as s:
                    s.execute(
                        update(InboxEntry)
                        .where(InboxEntry.settled_at.is_(None))
                        .values(settled_at=datetime.now(UTC))
                    )
                sizes.append(_memory(site.worker))
    kept = _tokens(engine)
    with db.read_session(engine) as s:
        queued = s.scalar(select(func.count()).select_from(Message).where(Message.kind == "reply")) or 0
        letters = (
            s.scalar(
                select(func.count()).select_from(Message).where(Message.kind.not_in(("receipt", "confirmed")))
            )
            or 0
        )
    log = (var / "bench.log").read_text(errors="replace")
    engine.dispose()
    return {
        "messages": many,
        "crashed": log.count("couldn't be taken") + sum(n for name, n in came.items() if _is_crash(name)),
        "lost": sum(token not in kept for token in must), "doubled": sum(n > 1 for n in kept.values()),
        "loops": queued + letters, "worker_mb": sizes[:: max(1, len(sizes) // 6)],
        "grown": round(sizes[-1] / sizes[len(sizes) // 3], 2), "came": dict(sorted(came.items())),
    }  # fmt: skip


def _is_crash(came: str) -> bool:
    """Whether nobody decided that: a connection that broke, or a server that could not go on."""
    family, _colon, said = came.partition(": ")
    return said.startswith("lost") or said == "451" or (family.startswith("text") and said[0] == "5")


class _Written:
    """Mails and webhooks of every bad kind, by chance; one in twelve is one that was sent before."""

    def __init__(self, chance: Random, reports: list[int], corpus: list[bytes]) -> None:
        self.chance, self.reports, self.corpus = chance, reports, corpus
        self.before: list[tuple[str, bytes, str]] = []
        self.families: list[tuple[str, Callable[[str], bytes]]] = [
            (name.removeprefix("_"), getattr(self, name))
            for name in dir(self)
            if re.match("_(mail|text)_", name)
        ]

    def one(self) -> tuple[str, bytes, str]:
        """The family, the bytes, and the token that stands in its words, "" where none does."""
        if self.before and self.chance.random() < 1 / 12:
            return self.chance.choice(self.before)
        token = f"token{self.chance.getrandbits(64):016x}"
        family, write = self.chance.choice(self.families)
        if family == "mail_of_50_mb" and self.chance.random() < 0.97:
            family, write = "mail_plain", self._mail_plain
        made = family, write(token), token if family in READABLE else ""
        if len(made[1]) < 100_000:
            self.before = [*self.before[-200:], made]
        return made

    def _letter(
        self, token: str, *, to: str = OURS, sender: str = "", words: str = "", **heads: str
    ) -> EmailMessage:
        new = EmailMessage()
        new["From"] = sender or f"A B <u{self.chance.randrange(10**9)}@example.org>"
        new["To"], new["Subject"], new["Message-ID"] = to, "A pothole", f"<{token}@example.org>"
        for name, value in heads.items():
            new[name.replace("_", "-")] = value
        new.set_content(words or f"It is deep. {token}\n")
        return new

    def _signed(self) -> str:
        return reply_address.signed(OURS, SECRET, reply_address.REPORT, self.chance.choice(self.reports))

    def _mail_plain(self, token: str) -> bytes:
        return self._letter(token).as_bytes(policy=policy.SMTP)

    def _mail_reply(self, token: str) -> bytes:
        return self._letter(
            token, to=self._signed(), words=f"By the gate {token}\n\nOn May 1, X wrote:\n> Where?\n"
        ).as_bytes(policy=policy.SMTP)

    def _mail_forged_signature(self, token: str) -> bytes:
        head, _at, tail = self._signed().partition("@")
        return self._letter(token, to=f"{head[:-4]}0000@{tail}").as_bytes(policy=policy.SMTP)

    def _mail_forged_sender(self, token: str) -> bytes:
        return self._letter(token, sender=OURS).as_bytes(policy=policy.SMTP)

    def _mail_loop(self, token: str) -> bytes:
        head, value = self.chance.choice((
            ("Auto_Submitted", "auto-replied"), ("X_Autoreply", "yes"), ("Precedence", "bulk"),
            ("List_Id", "<l.x>"),
            ("Auto_Submitted", "auto-generated (vacation)"), ("X_Auto_Response_Suppress_Reply", "All"),
        ))  # fmt: skip
        return self._letter(token, to=self.chance.choice((OURS, self._signed())), **{head: value}).as_bytes(
            policy=policy.SMTP
        )

    def _mail_bounce(self, token: str) -> bytes:
        new = self._letter(token, to=self._signed(), sender="MAILER-DAEMON@example.org")
        return new.as_bytes(policy=policy.SMTP).replace(
            b"Content-Type: text/plain", b"Content-Type: multipart/report; boundary=x", 1
        )

    def _mail_nested(self, token: str) -> bytes:
        deep = self.chance.randrange(50, 1500)
        head = f"From: n@example.org\r\nTo: {OURS}\r\nMessage-ID: <{token}@x>\r\n".encode()
        body = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(deep)
        )
        return head + body + b"Content-Type: text/plain\r\n\r\n" + token.encode() + b"\r\n"

    def _mail_many_parts(self, token: str) -> bytes:
        new = self._letter(token)
        for n in range(self.chance.randrange(100, 400)):
            new.add_attachment(
                b"x", maintype="application", subtype="octet-stream", filename=f"{n}\u202e.exe"
            )
        return new.as_bytes(policy=policy.SMTP)

    def _mail_charset(self, token: str) -> bytes:
        charset = self.chance.choice(
            ("x-nobody", "utf-7", "cp65001", "idna", "hex", "base64", "utf-16", '"; x=', "unicode_escape")
        )
        head = f"From: =?{charset}?Q?=FF=FE?= <c@example.org>\r\nSubject: =?{charset}?B?////?=\r\n"
        return (
            f"{head}Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
            + b"\xff\xfe\x00 "
            + token.encode()
        )

    def _mail_winmail(self, token: str) -> bytes:
        new = self._letter(token)
        new.add_attachment(
            b"\x78\x9f\x3e\x22" + self.chance.randbytes(500),
            maintype="application",
            subtype="ms-tnef",
            filename="winmail.dat",
        )
        return new.as_bytes(policy=policy.SMTP)

    def _mail_html(self, token: str) -> bytes:
        new = self._letter(token)
        html = f"<html><style>p{{}}</style><body><p>{token}<script>alert(1)</script><![x<!--" + "<b>" * 3000
        new.set_content(html, subtype="html")
        return new.as_bytes(policy=policy.SMTP)

    def _mail_empty(self, token: str) -> bytes:
        return self.chance.choice(
            (b"\r\n", b"Subject: \r\n\r\n\r\n", b"From: x@example.org\r\n\r\n \xc2\xa0\r\n")
        )

    def _mail_calendar(self, token: str) -> bytes:
        new = self._letter(token)
        new.add_alternative(f"BEGIN:VCALENDAR\r\nSUMMARY:{token}\r\nEND:VCALENDAR\r\n", subtype="calendar")
        return new.as_bytes(policy=policy.SMTP)

    def _mail_picture(self, token: str) -> bytes:
        new = self._letter(token)
        bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0" + self.chance.randbytes(
            60
        )
        for body in (
            bomb,
            b"GIF89a" + self.chance.randbytes(99),
            b"\xff\xd8\xff" + self.chance.randbytes(99),
        ):
            new.add_attachment(body, maintype="image", subtype="png", filename="../../etc/passwd.png")
        return new.as_bytes(policy=policy.SMTP)

    def _mail_bytes(self, token: str) -> bytes:
        return self.chance.randbytes(self.chance.randrange(1, 3000)).replace(b"\n", b"") + b"\r\n"

    def _mail_long_line(self, token: str) -> bytes:
        piece = self.chance.choice((">", "On ", "a@b ", "Von: ", "\u0300", "----", "From: "))
        return self._letter(token, words=f"{token} " + piece * (300_000 // len(piece))).as_bytes(
            policy=policy.SMTP
        )

    def _mail_heads(self, token: str) -> bytes:
        heads = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 500) for n in range(1000))
        return heads + b"To: " + b"a@b.c, " * 20_000 + b"\r\nFrom: h@example.org\r\n\r\n" + token.encode()

    def _mail_of_50_mb(self, token: str) -> bytes:
        return b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 50_000

    def _mail_corpus(self, token: str) -> bytes:
        if not self.corpus:
            return self._mail_bytes(token)
        raw = bytearray(self.chance.choice(self.corpus))
        for _ in range(self.chance.choice((0, 0, 1, 20))):
            if raw:
                raw[self.chance.randrange(len(raw))] = self.chance.randrange(256)
        return bytes(raw)

    def _text_plain(self, token: str) -> bytes:
        return json.dumps(
            {
                "id": token,
                "from": f"+1860{self.chance.randrange(2_000_000, 9_999_999)}",
                "text": f"couch {token}",
            }
        ).encode()

    def _text_forged(self, token: str) -> bytes:
        return b"!" + self._text_plain(token)

    def _text_nonsense(self, token: str) -> bytes:
        return self.chance.choice((
            b"", b"[" * 50_000, b"null", b"\xff\xfe", b'{"id": 1}', b'{"id": "a", "from": [], "text": {}}',
            b'{"id": "a", "kind": "fax"}', b'{"id": "\\ud800", "text": "\\u0000"}', b"9" * 5000,
            b'{"media": "x", "id": "b"}',
        ))  # fmt: skip

    def _text_command(self, token: str) -> bytes:
        word = self.chance.choice(("STOP", "ayuda", "Start.", "HELP", "stop all the noise"))
        return json.dumps({"id": token, "from": "+18605550123", "text": word}).encode()

    def _text_large(self, token: str) -> bytes:
        return json.dumps({"id": token, "from": "x", "text": token * 20_000}).encode()

    def _text_media(self, token: str) -> bytes:
        media = ["http://127.0.0.1:1/x.jpg", "file:///etc/passwd", "x" * 5000, "http://169.254.169.254/"] * 4
        return json.dumps(
            {"id": token, "from": "withheld", "text": f"see {token}", "media": media, "kind": "form"}
        ).encode()


def _mail(port: int, raw: bytes) -> str:
    """What the worker said of a mail, by its letter's own heads."""
    told = message_from_bytes(raw[:20_000])
    to = str(told.get("To", OURS)).split(",")[0].strip()
    to = to if to.endswith("@bench.test") and to.isascii() else OURS
    sender = "" if "MAILER-DAEMON" in str(told.get("From", "")) else "envelope@example.org"
    try:
        with smtplib.SMTP("127.0.0.1", port, "bench", timeout=PATIENCE) as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            smtp.rcpt(to)
            code, words = smtp.data(raw)
    except smtplib.SMTPResponseException as fault:
        code, words = fault.smtp_code, fault.smtp_error if isinstance(fault.smtp_error, bytes) else b""
    except (smtplib.SMTPServerDisconnected, OSError) as fault:
        return f"lost {type(fault).__name__}"
    if code == 250 and b"Nobody reads this" in words:
        return words.decode().partition("this: ")[2]
    return "taken" if code == 250 else f"{code}"


def _text(url: str, body: bytes) -> str:
    forged, body = body.startswith(b"!"), body.removeprefix(b"!")
    made = hmac.new(SECRET[:: -1 if forged else 1].encode(), body, hashlib.sha256).hexdigest()
    heads = {"Content-Type": "application/json", "X-Signature": f"sha256={made}"}
    asked = urllib.request.Request(f"{url}/texts/json", body, heads, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as fault:
        return str(fault.code)
    except OSError as fault:
        return f"lost {type(fault).__name__}"


def _tokens(engine: Engine) -> Counter[str]:
    """How often each token stands in what was kept."""
    with db.read_session(engine) as s:
        words = [*s.scalars(select(InboxEntry.words)), *s.scalars(select(CaseMessage.words))]
    return Counter(token for each in words for token in set(TOKEN.findall(each)))


def _memory(process: int) -> int:
    """MB of a process and its children that are its own."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, parent = int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
            if process in (pid, parent):
                told = (path.parent / "status").read_text()
                if used := re.search(r"VmRSS:\s+(\d+)", told):  # none of one that has just ended
                    total += int(used[1])
    return total // 1024


# ---- kills ----


def _kills(var: Path, base: Database, many: int, seed: int) -> dict[str, Any]:
    engine, chance = db.connect(base.url), Random(seed)
    reports = _furnish(engine, many)
    out, came_in = _free_port(), _free_port()
    box = var / "letters"  # which the mail server makes
    settings = _settings(base, came_in, CITYLINE_SMTP_URL=f"smtp://127.0.0.1:{out}")
    environment = _environment(var, **settings)
    secret = city_settings.read(environment).secret_key
    kills: Counter[str] = Counter()
    server = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{out}"]
    server += ["-c", "aiosmtpd.handlers.Mailbox", str(box)]
    with _Killed(server, {}) as post, _Killed([PROGRAM, "work"], environment) as worker:
        done = threading.Event()

        def kill() -> None:
            while not done.wait(chance.uniform(8, 30)):
                victim = chance.choice(("post", "worker"))
                {"post": post, "worker": worker}[victim].kill()
                kills[victim] += 1

        killer = threading.Thread(target=kill)
        killer.start()
        answered = _converse(engine, reports, box, came_in, secret, chance)
        done.set()
        killer.join()
        deadline = time.monotonic() + PATIENCE
        while len(answers := _answers(engine)) < many and time.monotonic() < deadline:
            time.sleep(1)
    letters = [message_from_bytes(path.read_bytes()) for path in (box / "new").iterdir()]
    asked = [each for each in letters if "A question for you" in str(each["Subject"])]
    by_id = Counter(str(each["Message-ID"]) for each in asked)
    to = Counter(str(each["To"]) for each in {str(each["Message-ID"]): each for each in asked}.values())
    kept, repeats = _tokens(engine), sum(by_id.values()) - len(by_id)
    engine.dispose()
    return {
        "conversations": many, "kills": dict(kills), "letters": len(asked),
        "repeats": repeats,
        "other_ids_for_one_question": sum(n > 1 for n in to.values()),
        "lost": many - len(answers) + sum(token not in kept for token in answered),
        "doubled": sum(n > 1 for n in kept.values()) + max(0, repeats - sum(kills.values())),
    }  # fmt: skip


def _converse(
    engine: Engine, reports: list[int], box: Path, port: int, secret: str, chance: Random
) -> list[str]:
    """Asks each report's owner, waits for the letter, and answers it until somebody says 250; the tokens."""
    tokens, seen = list[str](), set[str]()
    at = iter(reports)
    open_now, asked_for = 0, {}
    deadline = time.monotonic() + 3600
    while (len(tokens) < len(reports)) and time.monotonic() < deadline:
        while open_now < AT_ONCE and (report_id := next(at, None)):
            with db.transaction(engine) as s:
                report = s.get_one(Report, report_id)
                conversation.ask(s, report, "Which pole?", by=DISPATCH, at=datetime.now(UTC))
                asked_for[next(each.address for each in report.subscriptions)] = report_id
            open_now += 1
        new = box / "new"
        for path in list(new.iterdir()) if new.is_dir() else []:
            told = message_from_bytes(path.read_bytes())
            name = str(told["To"])
            if "A question for you" not in str(told["Subject"]) or name in seen:
                continue
            seen.add(name)
            token = f"token{secrets.token_hex(8)}"
            _answer(port, str(told["Reply-To"]), name, token, chance)
            tokens.append(token)
            open_now -= 1
        time.sleep(0.2)
    return tokens


def _answer(port: int, to: str, sender: str, token: str, chance: Random) -> None:
    """Sends it as a mail server does: again until it is taken, and now and then once more after that."""
    new = EmailMessage()
    new["From"], new["To"], new["Subject"], new["Message-ID"] = (
        sender,
        to,
        "Re: A question",
        f"<{token}@example.org>",
    )
    new.set_content(f"By the gate {token}\n")
    again = chance.random() < 0.1
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with smtplib.SMTP("127.0.0.1", port, "bench", timeout=20) as smtp:
                smtp.send_message(new)
            if not again:
                return
            again = False
        except (smtplib.SMTPException, OSError):
            time.sleep(0.3)


def _answers(engine: Engine) -> list[int]:
    with db.read_session(engine) as s:
        return list(s.scalars(select(CaseMessage.answers_id).where(CaseMessage.answers_id.is_not(None))))


class _Killed:
    """A process that is started again whenever it is killed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command, self._environment = command, environment or None
        self._start()

    def _start(self) -> None:
        self._running = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def kill(self) -> None:
        """Kills it wherever it is, and starts it anew."""
        self.end()
        self._start()

    def end(self) -> None:
        """Kills it and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self._running.wait()

    def __enter__(self) -> "_Killed":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
