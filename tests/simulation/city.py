"""The city of one seed: the real application, its database, clock, ids and faults given to it."""

import base64
import hashlib
import io
import json
import logging
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from itsdangerous import TimestampSigner
from PIL import Image
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import aliased
from sqlalchemy.sql import selectable

from city import settings as city_settings
from city.audit import events
from city.cases import transitions
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.engine import read_session, transaction
from city.db.models import Area, Backup, Crew, Device, Person, Session, SyncOperation
from city.lifecycle import CREW, Refused
from city.people import accounts
from city.photos.photos import move_staged_to_storage
from pwa.app import create_app
from pwa.web import city_reload
from sync import devices, enrolment, jobs, merge, operations, review, routes
from tests.simulation import model, office, office_model
from tests.simulation.office import OFFICE, PEOPLE, STAFF, SUPERVISING, tell

CASES = 7
ORIGIN = {"Origin": "http://localhost"}
# What may come of taking something back.
WITHDRAWN = ("applied", "recorded", "deposited")
# What is done all the same, and before a person.
LOOKED_AT = ("corrected", "unassigned", "reassigned", "cancelled")
# What a phone reads of an answer's head, besides its cookies.
HEARD = ("Content-Type", "Retry-After", "Upload-Offset", "Upload-Complete")


class Crashed(BaseException):
    """The server's process ended here. Not an Exception: nothing in the product may catch it."""


def furnish(room: Path) -> None:
    """A migrated database with crews, people and a few jobs, and pictures as a camera makes them."""
    file = room / "template.db"
    db.migrate(f"sqlite:///{file}")
    settings = city_settings.read({"CITYLINE_VAR": str(room / "template")})
    engine = db.connect(f"sqlite:///{file}")
    at = datetime(2026, 5, 12, 13, 0, tzinfo=UTC)
    with transaction(engine) as s:
        config_versions.activate(s, city_file.load(settings.city))
        crews = [Crew(name=name, department_code=code) for name, code in office_model.DEPARTMENTS.items()]
        s.add_all(crews)
        for name, west, east in (("West", -72, office_model.WEST_OF), ("East", office_model.WEST_OF, -70)):
            ring = [[west, 39], [east, 39], [east, 40], [west, 40], [west, 39]]
            s.add(Area(kind="area", name=name, geometry={"type": "Polygon", "coordinates": [ring]}))
        s.flush()
        for name, places in PEOPLE.items():
            accounts.add(s, f"{name}@city.test", name, [CREW], crews=[crews[n] for n in places])
        for name, role in STAFF.items():
            accounts.add(s, f"{name}@city.test", name, [role])
        for n in range(CASES):
            case = tell(s, f"seed {n}", at)
            transitions.assign(s, case, crews[n % 3], by=OFFICE, at=at)
    engine.dispose()
    pictures = []
    for shade in range(24):
        out = io.BytesIO()
        exif = Image.Exif()
        exif[0x010E] = "a camera's own words"
        Image.effect_noise((48, 40), 20 + shade).convert("RGB").save(out, "JPEG", exif=exif)
        pictures.append(base64.b64encode(out.getvalue()).decode())
    # What a camera that broke wrote: one of them ends where a piece does.
    pictures += [base64.b64encode(bytes([n] * (1_400 + n))).decode() for n in range(2)]
    (room / "pictures.json").write_text(json.dumps(pictures))


class City:
    """What the world may ask of the city, by name; see answer()."""

    def __init__(self, template: Path, room: Path) -> None:
        self.template, self.room = template, room
        self.file = room / "cityline.db"
        self.now = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
        self.reached: dict[str, int] = dict.fromkeys(
            [
                *(f"row {name}" for name in ROWS),
                *(f"withdraw {each}" for each in WITHDRAWN),
                "withdrawn while it waited",
                "put away",
                "put away, and followed",
                "revoked and put by",
                "report joined",
                "gone back under the server",
                *office.COUNTED,
            ],
            0,
        )
        shutil.copyfile(template / "template.db", self.file)
        settings = city_settings.read(
            {
                "CITYLINE_VAR": str(room),
                "CITYLINE_SECRET_KEY": "s" * 40,
                "CITYLINE_BASE_URL": "http://localhost",
            }
        )
        self.app = create_app(settings, now=lambda: self.now)
        self.held = self.app.extensions["cityline"]
        self.store_folder = room / "photos"
        self.pictures = json.loads((template / "pictures.json").read_text())
        event.listen(self.held.engine, "before_cursor_execute", self._injected)
        self.inject, self.statements = "", 0
        self.broken = False
        self.complaints: list[list[str]] = []
        self.db: sqlite3.Connection | None = None
        for name in ("cityline", "city", "sync"):
            logging.getLogger(name).addHandler(_Listener(self.complaints))
            logging.getLogger(name).propagate = False
        _patch(self)

    def answer(self, asked: dict[str, Any]) -> Any:
        """What the world asked for."""
        if at := asked.pop("at", None):
            self.now = max(self.now, datetime.fromtimestamp(at / 1000, UTC))
        act: Callable[..., Any] = getattr(self, asked.pop("what"))
        return act(**asked)

    def begin(self, seed: int) -> dict[str, Any]:
        """A new world."""
        _seeded(seed)
        self.luck = random.Random(seed)
        # Cities differ in what counts as done: reassigned (three of four) and cancelled (every other).
        self.rules = merge.Rules(reassigned=seed % 4 != 3, cancelled=seed % 2 == 1)
        self.held.settings = replace(
            self.held.settings,
            crew_reassigned="done" if self.rules.reassigned else "recorded",
            crew_cancelled="done" if self.rules.cancelled else "recorded",
        )
        self.now = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
        self._put_back(self.template / "template.db")
        self.restart()
        for name in ("photos", "staging", "incoming", "backup"):
            shutil.rmtree(self.room / name, ignore_errors=True)
        self.tokens: dict[str, int] = {}
        self.deposited: set[str] = set()
        self.away: set[str] = set()  # what somebody put away
        self.kept: list[office.Kept] = []  # what the office did last and could undo
        self.undone: set[int] = set()
        self.restores = 0
        self.may_notice = False  # the server has yet to see that the database went back
        self.complaints.clear()
        self.broken = False
        columns = ("code", "names", "department_code", "urgent", "private", "office", "group")
        rows = self._sql(f'SELECT {", ".join(columns[:-1])}, "group" FROM services')
        self.services = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
        self.crew_names = dict(self._sql("SELECT id, name FROM crews"))
        rows = self._sql(f"SELECT id, name FROM persons ORDER BY id LIMIT {len(PEOPLE)}")
        return {
            "users": [{"id": i, "name": name} for i, name in rows],
            "photos": self.pictures,
            "office": {
                name: {"weight": row.weight, "passes": row.passes} for name, row in office.TABLE.items()
            },
        }

    def note(self, **_: Any) -> bool:
        """A line of the trace. Says whether anything broke: then it was the last step."""
        return self.broken

    def login(self, user: int) -> dict[str, str]:
        """The cookie of a new page session."""
        token = f"token-{len(self.tokens)}-{self.luck.random()}"
        hashed = hashlib.sha256(token.encode()).hexdigest()
        with transaction(self.held.engine) as s:
            s.add(
                Session(
                    token_hash=hashed, person_id=user, began_at=self.now, until=self.now + timedelta(days=5)
                )
            )
        signer: Any = self.app.session_interface
        self.tokens[hashed] = user
        return {"cl_session": signer.get_signing_serializer(self.app).dumps({"login": token})}

    def http(
        self, phone: str, method: str, path: str, headers: dict[str, str], body: str, cookies: dict[str, str],
        inject: str, whole: bool,
    ) -> dict[str, Any]:  # fmt: skip
        """One request, as it arrives."""
        data = base64.b64decode(body)
        self.inject, self.statements = inject, self.luck.randrange(1, 30) if inject else 0
        self.times = self.luck.choice([1, 1, 2, 3, 9])
        exchange = path.endswith("/exchange")
        before = model.read(self.raw, **vars(self.rules)) if exchange else None
        shut_out = self.whose(cookies.get("cl_device", ""))
        shut_out = shut_out if shut_out and shut_out["revoked"] else None
        client = self.app.test_client(use_cookies=False)
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        try:
            reply = client.open(
                path,
                method=method,
                data=data,
                headers=ORIGIN | headers | ({"Cookie": cookie} if cookie else {}),
            )
        except Crashed:
            self.inject = ""
            self.restart()
            if before:
                self._check_exchange(before, {}, None, None)
            return {"status": 502, "headers": {}, "text": "", "cookies": {}, "version": self.version()}
        injected, self.inject = inject and self.statements <= 0, ""
        text = reply.get_data(as_text=True)
        notices = self.may_notice and reply.status_code == 503  # once for every time it went back
        self.may_notice &= not notices
        if reply.status_code >= 500 and not injected and not notices:
            self.complaints.append(["500", f"{method} {path}: {reply.status_code} {text[:300]}"])
        if before:
            asked = json.loads(data) if whole else {}
            told = json.loads(text) if reply.status_code == 200 else None
            self._check_exchange(before, asked, told, shut_out)
        if shut_out and reply.status_code == 401 and path.split("/")[-1] in self.wanted(shut_out["device"]):
            self.complaints.append(["11", f"{method} {path}: a revoked phone may not send what is missing"])
        given = dict(pair.split(";")[0].split("=", 1) for pair in reply.headers.getlist("Set-Cookie"))
        return {
            "status": reply.status_code,
            "headers": {name.lower(): reply.headers[name] for name in HEARD if name in reply.headers},
            "text": text,
            "cookies": given,
            "version": self.version(),
        }

    def _check_exchange(
        self, before: model.City, asked: dict[str, Any], told: dict[str, Any] | None,
        shut_out: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        """Compares what came of an exchange with the reference. `shut_out` is a revoked phone that asked."""
        after = model.read(self.raw)
        results = {r["id"]: (r["result"], r.get("why")) for r in told["results"]} if told else {}
        refused = all(result == "retry" for result, _why in results.values())
        if told is None or (refused and (results or told["auth"] == "login")):
            if after.known != before.known:
                self.complaints.append(["10", "operations were stored by a request that was refused"])
        else:
            device = asked["device"]
            before_that = {id_: known.why for id_, known in before.known.items()}
            person = int(
                self.raw.execute("SELECT person_id FROM devices WHERE id = ?", (device,)).fetchone()[0]
            )
            revoked = bool(shut_out and shut_out["device"] == device)
            # Whether a disabled person is still signed in on it shows only in what waited for that.
            signed_out = [id_ for id_, k in before.known.items() if (k.why, k.device) == ("login", device)]
            out = told["auth"] == "disabled" and all(after.known[id_].why == "login" for id_ in signed_out)
            why = "revoked" if revoked else "login" if told["auth"] == "login" else "author"
            deposit = why if why != "author" or out else ""
            if revoked != (told["auth"] == "revoked") or (revoked and (told["scopes"] or told["changes"])):
                self.complaints.append(["8", f"{device} is {revoked and 'revoked'}, and was told {told}"])
            expected = model.exchange(
                before, person, device, deposit, [(op, _hashed(op)) for op in asked["ops"]], self.now
            )
            for op in asked["ops"]:
                got, due = results.get(op["id"], ("nothing", None)), expected[op["id"]]
                if got[0] == "deposited":
                    self.deposited.add(op["id"])
                if got == ("deposited", "revoked") and op["id"] not in before_that:
                    self.reached["revoked and put by"] += 1
                if op["t"] == "report" and got[1] == "joined":
                    self.reached["report joined"] += 1
                if op["t"] != "report" and got == ("held", "case"):
                    self.reached["held for its report"] = 1 + self.reached.get("held for its report", 0)
                if op["t"] == "withdraw" and got[0] in WITHDRAWN:
                    self.reached[f"withdraw {got[0]}"] += 1
                if got != due:
                    self.complaints.append(
                        ["13", f"{op['t']} {op['id']} on {op['case']}: {got}, expected {due}"]
                    )
                elif got[0] == "applied" and got[1] in LOOKED_AT and op["id"] not in before_that:
                    self._check_marked(op["id"], got[1])
            for id_, known in before.known.items():
                now = after.known.get(id_)
                if now and now.why == "withdrawn" and before_that.get(id_) != "withdrawn":
                    self.reached["withdrawn while it waited"] += 1
                if now is None or (now.result, now.why) != (known.result, known.why):
                    self.complaints.append(["13", f"{id_} became {now}, expected {known}"])
        for number, case in after.cases.items():
            due = before.cases.get(number)
            if due is None or due.told() != case.told():
                self.complaints.append(["13", f"{number} is {case.told()}, expected {due and due.told()}"])

    def _check_marked(self, operation: str, why: str) -> None:
        """A person is to look at what was done though the case was another by then."""
        [marked, version, case_version, review] = self.raw.execute(
            "SELECT o.review, o.version, c.version, c.review FROM sync_operations o"
            " JOIN cases c ON c.id = o.case_id WHERE o.id = ?",
            (operation,),
        ).fetchone()
        if marked != why or (version == case_version and review != why):
            self.complaints.append(
                ["review", f"{operation} is {why}, and marked {marked}, its case {review}"]
            )

    def complain(self) -> list[list[str]]:
        """What the reference found since last asked."""
        found, self.complaints[:] = list(self.complaints), []
        self.broken |= bool(found)
        return found

    def any_case(self, pick: int) -> str:
        """Some case's number."""
        rows = self._sql("SELECT number FROM cases ORDER BY id")
        return str(rows[pick % len(rows)][0])

    def office(self, verb: str, a: int, b: int, c: int) -> str:
        """Something that the office does to cases and people chosen by lot."""
        if verb == "release":
            found = self._put_away() if c % 2 == 0 else self._release(1)
            self.reached["office release"] += found
            return str(found)
        return office.perform(self, verb, a, b, c)

    def revoke(self, token: str) -> str:
        """The phone with this token is shut out; "" where there is none that could be."""
        known = self.whose(token)
        if known is None or known["revoked"]:
            return ""
        with transaction(self.held.engine) as s:
            devices.revoke(s, self.room, s.get_one(Device, known["device"]), by=OFFICE, at=self.now)
        return str(known["device"])

    def code(self, user: int) -> str:
        """A code for this person's next phone; a wrong one for somebody who may have none."""
        try:
            with transaction(self.held.engine) as s:
                return enrolment.make_code(s, s.get_one(Person, user), by=OFFICE, at=self.now)
        except Refused:
            return "WRONG"

    def whose(self, token: str) -> dict[str, Any] | None:
        """The device that a phone shows itself as, and whether it was revoked; None where it is not known."""
        hashed = hashlib.sha256(token.encode()).hexdigest()
        row = self.raw.execute(
            "SELECT id, revoked_at IS NOT NULL FROM devices WHERE ? IN (token_hash, next_hash)", (hashed,)
        ).fetchone()
        return {"device": row[0], "revoked": bool(row[1])} if row else None

    def wanted(self, device: str) -> list[str]:
        """Photos that operations of this device declared and that are missing."""
        rows = self.raw.execute(
            "SELECT id FROM expected_photos WHERE device_id = ? AND photo_id IS NULL"
            " AND (fault IS NULL OR fault = 'late')",
            (device,),
        )
        return [id_ for (id_,) in rows]

    def night(self) -> None:
        """What is done once a day: yesterday's root, and a backup."""
        with transaction(self.held.engine) as s:
            events.seal_day_if_due(s, self.now)
        office.perform(self, "sweep", 0, 0, 0)
        self.backup()

    def restart(self) -> None:
        """The server starts anew."""
        watch = self.held.watch
        watch._origin, watch._began, watch._log = None, 0, 0  # a new process has seen nothing
        self.app.extensions.pop("cityline.booted", None)
        routes._start(self.app)  # as a start does, before anybody asks

    def backup(self) -> None:
        """A copy of everything; phones may then forget what it holds."""
        folder = self.room / "backup"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with sqlite3.connect(folder / "cityline.db") as copy:
            self.raw.backup(copy)
        copy.close()
        for name in ("photos", "staging"):
            if (self.room / name).exists():
                shutil.copytree(self.room / name, folder / name)
        self.backed_up = int(self._sql("SELECT n FROM event_sequence")[0][0])
        self._say_safe()

    def restore(self) -> None:
        """The last copy takes the place of everything: by hand, also under the server, or by our command,
        which says so."""
        self.restores += 1
        self.kept.clear()  # another act may have its number now
        self.undone.clear()
        lot = self.luck.random()
        by_hand, stays_up = lot < 0.5, lot < 0.25
        self._put_back(self.room / "backup" / "cityline.db")
        if stays_up:
            self.reached["gone back under the server"] += 1
            self.may_notice = True
        else:
            self.restart()
        for name in ("photos", "staging", "incoming"):
            shutil.rmtree(self.room / name, ignore_errors=True)
            if (self.room / "backup" / name).exists():
                shutil.copytree(self.room / "backup" / name, self.room / name)
        if not by_hand:
            self._say_safe()

    def _say_safe(self) -> None:
        with transaction(self.held.engine) as s:
            s.add(Backup(made_at=self.now, seq=self.backed_up, folder="backup"))

    def heal(self) -> None:
        """Everybody may act for every crew: whatever waited for its author may come."""
        with transaction(self.held.engine) as s:
            for person in s.scalars(select(Person).order_by(Person.id).limit(len(PEOPLE))):
                crews = list(s.scalars(select(Crew).order_by(Crew.id)))
                accounts.enable(s, person, by=OFFICE, at=self.now)
                s.flush()
                accounts.change(
                    s, person, name=person.name, lang="en", roles=[CREW], crews=crews, by=OFFICE, at=self.now
                )
        self._release()

    def late(self) -> None:
        """Three days on: what nobody released or followed goes to a person, and what waited comes back."""
        office.perform(self, "sweep", 0, 0, 0)
        with transaction(self.held.engine) as s:
            review.overdue(s, self.now, self.rules)
        self._release()
        with transaction(self.held.engine) as s:  # what was released may be held since
            review.overdue(s, self.now, self.rules)

    def _put_away(self) -> int:
        with transaction(self.held.engine) as s:
            after = aliased(SyncOperation)
            held = select(after.id).where(after.code == "held", after.prev == SyncOperation.id).exists()
            waiting = (
                select(SyncOperation, held)
                .where(SyncOperation.code == "deposited", SyncOperation.review.is_not(None))
                .order_by(held.desc(), SyncOperation.n, SyncOperation.id)  # few are followed
            )
            row, followed = s.execute(waiting.limit(1)).first() or (None, False)
            if row and review.dismiss(s, row, by=SUPERVISING, at=self.now, rules=self.rules):
                self.away.add(row.id)
                self.reached["put away"] += 1
                self.reached["put away, and followed"] += followed
        return int(row is not None)

    def _release(self, most: int = 1_000) -> int:
        with transaction(self.held.engine) as s:
            waiting = (
                select(SyncOperation)
                .where(SyncOperation.code == "deposited")
                .order_by(SyncOperation.n, SyncOperation.id)
            )
            for row in s.scalars(waiting.limit(most)).all():
                photos = review.release(s, row, by=SUPERVISING, at=self.now, rules=self.rules)
                s.info.setdefault("photos", []).extend(photos)
            found = s.info.get("photos", [])
        # As the worker does every few seconds, for whatever the web server did not get done.
        move_staged_to_storage(self.held.engine, self.held.store, self.room, self.now)
        return len(found)

    def version(self) -> int:
        """Grows with everything that happens."""
        return int(self._sql("SELECT n FROM event_sequence")[0][0]) + 1_000_000 * self.restores

    def view(self, user: int, version: int) -> dict[str, Any]:
        """What a user's phone should hold: by crew, the live jobs, and those that the crew closed.

        Only where it shows the city at `version` and that is still so; it cannot be compared otherwise.
        """
        found: dict[str, Any] = {}
        if version != self.version():
            return {"version": self.version(), "jobs": found}
        city = model.read(self.raw)
        mine = city.crews.get(user, set())
        numbers = [n for n, case in city.cases.items() if any(job.crew in mine for job in case.jobs.values())]
        with read_session(self.held.engine) as s:
            read = jobs.read(s, {(crew, number) for crew in mine for number in numbers})
        told = {(number, crew): _content(job) for (crew, number), job in read.items()}
        facts = office_model.read(self.raw)
        for (_crew, number), job in read.items():
            for words in office_model.astray(facts[number].stands, job, self.services):
                self.complaints.append(["5", f"{number}: {words}"])
        done = dict(
            self._sql(
                "SELECT c.number, x.done_at FROM cases c"
                " JOIN closures x ON x.case_id = c.id AND x.cycle = c.cycle"
            )
        )
        day = (self.now - timedelta(hours=24)).strftime("%Y-%m-%d %H:%M:%S")
        for crew in sorted(mine):
            for case in city.cases.values():
                ours = [job for job in case.jobs.values() if job.crew == crew]
                if not ours:
                    continue
                closed = (
                    case.state == "closed" and ours[-1].ended == "closed" and ours[-1].cycle == case.cycle
                )
                if ours[-1].ended is None or closed:
                    found[f"crew:{crew}|{case.number}"] = {
                        "job": told[case.number, crew],
                        "may": closed and str(done[case.number]) < day,
                    }
        return {"version": self.version(), "jobs": found}

    def final(self, ledger: list[dict[str, Any]]) -> list[list[str]]:
        """Every promise that was not kept, as [invariant, words]."""
        from tests.simulation import invariants

        return invariants.broken(self.raw, ledger, self.store_folder, self.deposited, self.away)

    @property
    def raw(self) -> sqlite3.Connection:
        """The database as a stranger to the product reads it."""
        if self.db is None:
            self.db = sqlite3.connect(self.file, isolation_level=None)
        return self.db

    def _sql(self, words: str) -> list[Any]:
        return self.raw.execute(words).fetchall()

    def _put_back(self, file: Path) -> None:
        self.held.engine.dispose()
        if self.db:
            self.db.close()
            self.db = None
        for end in ("-wal", "-shm"):
            self.file.with_name(self.file.name + end).unlink(missing_ok=True)
        shutil.copyfile(
            file, copy := self.file.with_suffix(".copy")
        )  # beside it, so that its number is another
        copy.replace(self.file)

    def _injected(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """The fault that this request is to meet, at the statement that was drawn."""
        if not self.inject or not connection.get_execution_options().get("write"):
            return
        if statement.startswith("ROLLBACK"):  # no database refuses that
            return
        self.statements -= 1
        if self.statements > 0:
            return
        if self.inject == "crash":
            raise Crashed
        if self.times:
            self.times -= 1
            words = "database is locked" if self.inject == "busy" else "could not serialize access"
            self.statements = 0
            raise OperationalError(words, {}, sqlite3.OperationalError(words))


class _Listener(logging.Handler):
    """Nothing is logged where nothing was broken on purpose: no error, and nobody who shared begins again."""

    def __init__(self, complaints: list[list[str]]) -> None:
        super().__init__(logging.WARNING)
        self.complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        on_purpose = isinstance(fault, (Poison, OperationalError)) or record.getMessage().endswith(
            (Poison.__name__, OperationalError.__name__)
        )
        if not on_purpose and (record.levelno >= logging.ERROR):
            self.complaints.append(["500", self.format(record)])


class Poison(Exception):
    """A bug in one operation."""


ROWS: list[str] = []
for _row in merge.TABLE:
    _name = f"{_row.result}/{_row.why or _row.effect}"
    ROWS.append(_name if _name not in ROWS else f"{_name} {sum(r.startswith(_name) for r in ROWS) + 1}")


def _patch(city: City) -> None:
    """Counts the rows of the conflict table, and lets a marked operation meet a bug."""
    decide, carry_out = merge.decide, operations.carry_out

    def counted(seen: merge.Situation) -> merge.Decision:
        row = next(n for n, row in enumerate(merge.TABLE) if row.when(seen))
        city.reached[f"row {ROWS[row]}"] += 1
        return decide(seen)

    def poisoned(s: Any, todo: operations.Work, photos: Any) -> dict[str, Any]:
        if todo.op.data.get("poison"):
            raise Poison
        return carry_out(s, todo, photos)

    merge.decide = counted
    operations.carry_out = poisoned
    # Nobody here applies another city file, and in this world every request comes seconds after the last.
    city_reload.LOOK_EVERY = timedelta(days=365)
    # SQLAlchemy names its aliases by chance, but only when it writes a statement for the first time. Out of
    # the seed's luck, the first world of a process would be another one than the same world later on.
    selectable.os = SimpleNamespace(urandom=os.urandom)  # type: ignore[attr-defined]
    # A page session says when it was signed; that too is the world's time.
    TimestampSigner.get_timestamp = lambda _: int(city.now.timestamp())  # type: ignore[method-assign]


def _content(job: dict[str, Any]) -> str:
    return json.dumps(job, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hashed(op: dict[str, Any]) -> str:
    """As the city hashes what it was sent."""
    return hashlib.sha256(
        json.dumps(op, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def _seeded(seed: int) -> None:
    """Ids, salts and tokens come out of the seed, so that a trace can be had again."""
    luck = random.Random(f"ids {seed}")
    os.urandom = luck.randbytes  # type: ignore[assignment]
    random._urandom = luck.randbytes  # type: ignore[attr-defined]


__all__ = ["City", "furnish"]
