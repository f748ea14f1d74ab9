"""The bulk writer leaves what the verbs would have left: the same story told both ways is the same."""

import json
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import LAMP, Scene, Town
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import search as case_search
from city.cases import transitions
from city.config import calendars
from city.db import engine as db
from city.db.models import (
    Assignment,
    Calendar,
    Case,
    CaseWords,
    Closure,
    Counter,
    EventDetail,
    NotDuplicate,
    NotFixed,
    Pause,
    Photo,
    Report,
    SecretLink,
    Service,
    SyncFeedRow,
)
from city.demo import by_verbs
from city.imports import history_writer
from city.imports.history_writer import CaseHistory, Move, PhotoRow, ReportRow
from city.lifecycle import CANCEL_REASONS, DISPATCHER, OUTCOMES, SYSTEM, Refused
from city.reports import intake

pytestmark = pytest.mark.both_databases

ACTORS = ("dispatcher", "supervisor", "call-taker", "rosa", "rosa", "tom")
VERBS = ("accept", "assign", "start", "close", "reopen", "cancel", "note", "show")
STEPS = (*VERBS, "assign", "start", "close")
# What a verb is told beside who and when.
BY_PHONE = ("close", "start", "note")
IN_WORDS = ("close", "note", "reopen")
# What each case is about, and where: one is nobody's business, one nobody knows where.
ABOUT = (("light-out", LAMP), ("limb-down", LAMP), ("nuisance", LAMP), ("limb-down", None))
CASES = len(ABOUT)
JOINED = (0, 1)  # neighbors see these
SEEDS = 10


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.slow
def test_a_walk_told_by_the_verbs_and_one_written_in_bulk_leave_the_same(town: Town, seed: int) -> None:
    chance = Random(seed)
    with town.at_work() as scene:
        # Nobody's priority is raised in a past that is told at once.
        scene.s.execute(update(Service).values(many=1000))
        if seed % 2:
            promise_hours(scene)
        walk = Walk(scene, chance)
        for _ in range(200):
            walk.step()
        assert len(walk.made) > 20
    stories = walk.stories()
    with db.transaction(town.engine) as s:
        written = history_writer.write(s, stories)
    with town.looking() as scene:
        assert events.verify(scene.s) == []
        verbs = told(scene.s, [case.id for case in walk.family])
        in_bulk = told(scene.s, [each.case_id for each in written])
        for kind in verbs:
            assert in_bulk[kind] == verbs[kind], kind
    with db.transaction(town.engine) as s:
        assert case_search.recompute(s) == 0, "both are found by what the facts say"
        s.execute(delete(CaseWords))
        assert case_search.recompute(s) == len(stories) + len(walk.family)


def promise_hours(scene: Scene) -> None:
    """Every other kind of problem is promised in working hours."""
    kept = Calendar(
        sha256="0" * 64, rules=calendars.written(calendars.ordinary(ZoneInfo("America/New_York")))
    )
    scene.s.add(kept)
    for service in list(scene.s.scalars(select(Service).order_by(Service.code)))[::2]:
        service.promise_days, service.promise_hours, service.calendar = 0, 20, kept
    scene.s.flush()


@pytest.mark.one_database
@pytest.mark.slow
def test_the_walks_make_every_move_there_is(town: Town) -> None:
    went: set[str] = set()
    for seed in range(SEEDS):
        with town.at_work() as scene:
            walk = Walk(scene, Random(seed))
            for _ in range(200):
                walk.step()
        went.update(step.name for _, step in walk.made if isinstance(step, Move))
    assert went == {*VERBS}


@pytest.mark.parametrize("seed", range(4))
def test_what_a_verb_refuses_is_refused_in_bulk_and_leaves_no_trace(town: Town, seed: int) -> None:
    with town.at_work() as scene:
        walk = Walk(scene, Random(100 + seed))
        while len(walk.refused) < 40:
            walk.step()
    codes = set()
    with town.at_work() as scene:
        before = len(list(scene.s.scalars(select(Case.id))))
        for made, (index, move), code in walk.refused[::4]:
            with pytest.raises(Refused) as refused, events.savepoint(scene.s):
                history_writer.write(scene.s, walk.stories([*made, (index, move)]))
            assert refused.value.code == code
            codes.add(code)
        assert len(list(scene.s.scalars(select(Case.id)))) == before
    assert len(codes) > 1


def test_all_moves_of_a_call_stand_in_the_log_in_the_order_of_time(town: Town) -> None:
    office = Actor("system", frozenset({DISPATCHER, SYSTEM}))
    first, second = (
        CaseHistory(
            "light-out",
            [ReportRow(town.now + timedelta(minutes=late), uuid.uuid4().hex, place=LAMP)],
            [Move("close", town.now + timedelta(hours=9 - late), office, outcome="not ours")],
        )
        for late in (5, 1)
    )
    with db.transaction(town.engine) as s:
        written = history_writer.write(s, [first, second])
    assert [each.number[-1] for each in written] == ["2", "1"], "numbers follow the time of opening"
    with town.looking() as scene:
        lines = events.since(scene.s, 0)
        assert [line.at for line in lines[-6:]] == sorted(line.at for line in lines[-6:])
        assert {line.origin for line in lines[-6:]} == {"import"}
        assert events.verify(scene.s) == []


def test_an_offices_case_has_the_place_among_its_words_either_way(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.execute(update(Service).where(Service.code == "nuisance").values(office=True))
        key, by = uuid.uuid4().hex, scene.actor("call-taker")
        telling = intake.NewReport(key, "nuisance", "phone", words=" Is it right? ", place=LAMP)
        ids = [intake.submit(scene.s, telling, by=by, at=town.now, token=key).case_id]
    said = ReportRow(
        town.now, uuid.uuid4().hex, "phone", words=" Is it right? ", place=LAMP, token="t", by=by
    )
    with db.transaction(town.engine) as s:
        written = history_writer.write(s, [CaseHistory("nuisance", [said], [], "live")])
    with town.looking() as scene:
        verbs, in_bulk = told(scene.s, ids), told(scene.s, [each.case_id for each in written])
        for kind in verbs:
            assert in_bulk[kind] == verbs[kind], kind
        assert f"Is it right?\\n{LAMP.label}" in in_bulk["reports"][0]["words"]


def test_verbs_go_on_where_the_bulk_ended(town: Town) -> None:
    with db.transaction(town.engine) as s:
        (written,) = history_writer.write(
            s, [CaseHistory("light-out", [ReportRow(town.now, uuid.uuid4().hex, place=LAMP)])]
        )
    with town.at_work() as scene:
        transitions.assign(
            scene.s, scene.case(written.number), scene.crew("lights"), by=scene.actor("dispatcher"),
            at=town.now,
        )  # fmt: skip
        opened = scene.report().case
        assert opened.id != written.case_id
        assert int(opened.number[-6:]) == int(written.number[-6:]) + 1
    with town.looking() as scene:
        assert scene.s.get_one(Case, written.case_id).state == "assigned"
        assert events.verify(scene.s) == []


def test_the_secret_link_of_a_written_report_opens(town: Town) -> None:
    with db.transaction(town.engine) as s:
        history_writer.write(
            s, [CaseHistory("light-out", [ReportRow(town.now, "key-1", place=LAMP, token="abc")])]
        )
    with town.looking() as scene:
        report = intake.by_token(scene.s, "abc")
        assert report is not None
        assert report.key == "key-1"


def test_whoever_comes_too_late_to_join_is_refused(town: Town) -> None:
    office = Actor("system", frozenset({DISPATCHER}))
    late = [ReportRow(town.now + timedelta(days=day), uuid.uuid4().hex, place=LAMP) for day in (0, 3)]
    closing = Move("close", town.now + timedelta(days=1), office, outcome="not ours")
    with pytest.raises(Refused, match="told_late"), db.transaction(town.engine) as s:
        history_writer.write(s, [CaseHistory("light-out", late, [closing])])


class Walk:
    """Moves by chance, made through the verbs; keeps those that went and those that were refused."""

    def __init__(self, scene: Scene, chance: Random) -> None:
        self.scene, self.chance, self.now = scene, chance, scene.town.now
        self.family: list[Case] = []
        self.made: list[tuple[int, ReportRow | Move]] = []
        self.refused: list[tuple[list[tuple[int, ReportRow | Move]], tuple[int, Move], str]] = []
        self.reports: list[list[Report]] = []
        for index in range(CASES):
            self._tell(index)

    def step(self) -> None:
        self.now += timedelta(minutes=self.chance.choice((1, 7, 95, 60 * 20, 60 * 24 * 4)))
        index = self.chance.randrange(CASES)
        if (
            index in JOINED
            and self.chance.random() < 0.15
            and self.family[index].state in ("new", "accepted", "assigned")
        ):
            self._tell(index)
            return
        move = self._move()
        before = list(self.made)
        try:
            self._make(index, move)
        except Refused as refused:
            self.refused.append((before, (index, move), refused.code))
        else:
            self.made.append((index, move))

    def stories(self, made: list[tuple[int, ReportRow | Move]] | None = None) -> list[CaseHistory]:
        """What was made as stories, with keys of their own."""
        stories = [CaseHistory(service, [], [], "live") for service, _ in ABOUT]
        for index, step in self.made if made is None else made:
            story = stories[index]
            pictures = [replace(p, id=str(uuid.uuid4()), staged_for=uuid.uuid4().hex) for p in step.pictures]
            if isinstance(step, ReportRow):
                key = uuid.uuid4().hex
                story.reports = [*story.reports, replace(step, key=key, token=key, pictures=pictures)]
            else:
                story.moves = [*story.moves, replace(step, pictures=pictures)]
        return stories

    def _tell(self, index: int) -> None:
        case = self.family[index] if index < len(self.family) else None
        key = uuid.uuid4().hex
        service, place = ABOUT[index]
        told = ReportRow(
            self.now, key, self.chance.choice(("web", "phone")), "es", " Dark ", place,
            danger=self.chance.random() < 0.1, pictures=self._pictures(), token=key,
            at_device=self.now if self.chance.random() < 0.3 else None,
        )  # fmt: skip
        report = self.scene.report(
            service_code=service, place=place, key=key, at=told.at, channel=told.channel, lang="es",
            words=told.words, danger=told.danger,
            at_device=told.at_device,
            taken=by_verbs.photos_of(self.scene.s, told.pictures, self.now),
            join=case.number if case else None,
        )  # fmt: skip
        if case is None:
            self.family.append(report.case)
            self.reports.append([])
        self.reports[index].append(report)
        self.made.append((index, told))

    def _move(self) -> Move:
        chance = self.chance
        name, who = chance.choice(STEPS), chance.choice(ACTORS)
        return Move(
            name, self.now, self.scene.actor(who),
            crew=self.scene.town.ids[chance.choice(("lights", "trees"))],
            outcome=chance.choice((*OUTCOMES, "fixed")), no_photo=chance.choice((None, "dark")),
            reason=chance.choice(CANCEL_REASONS), pictures=self._pictures() if name == "close" else (),
            words=chance.choice(("", "Taped off")) if name in IN_WORDS else "",
            at_device=self.now - timedelta(hours=2) if name in BY_PHONE and chance.random() < 0.3 else None,
        )  # fmt: skip

    def _make(self, index: int, move: Move) -> None:
        s, report = self.scene.s, self.reports[index][move.report]
        crews = {crew.id: crew for crew in map(self.scene.crew, ("lights", "trees"))}
        with events.savepoint(s):  # what is refused leaves no photo behind
            by_verbs.make(s, self.family[index], move, report, crews)
            s.flush()

    def _pictures(self) -> tuple[PhotoRow, ...]:
        sizes = {"full": "f" * 64, "page": "p" * 64, "thumb": "t" * 64}
        return tuple(
            PhotoRow(str(uuid.uuid4()), uuid.uuid4().hex, "u" * 64, sizes, 40, 30, 900)
            for _ in range(self.chance.choice((0, 0, 1, 2)))
        )


def told(s: Session, ids: list[int]) -> dict[str, list[Any]]:
    """Everything that the database holds of these cases; names that differ are counted instead."""
    family = {case_id: s.get_one(Case, case_id) for case_id in ids}
    words = {case.number: f"case {n}" for n, case in enumerate(family.values())}
    names: dict[tuple[type, Any], str] = {(Case, case_id): f"case {n}" for n, case_id in enumerate(ids)}
    found: dict[str, list[Any]] = {}

    def rows(kind: Any, key: Any) -> list[Any]:
        listed = [row for case_id in ids for row in s.scalars(select(kind).where(key == case_id))]
        return sorted(listed, key=lambda row: row.id)

    kinds = ((Report, Report.case_id), (Assignment, Assignment.case_id), (Closure, Closure.case_id))
    for kind, key in kinds:
        for n, row in enumerate(rows(kind, key)):
            names[kind, row.id] = f"{kind.__tablename__} {n}"
    taken = {"case_id": Case, "merged_into_id": Case, "report_id": Report, "closure_id": Closure}
    unlike = {"id", "key", "staged_for", "token_hash", "twin_id"}  # what is near, the caller asks about

    def plain(row: Any) -> dict[str, Any]:
        columns = {c.name: getattr(row, c.name) for c in row.__table__.columns if c.name not in unlike}
        return {
            name: names.get((taken[name], value), value) if name in taken else said(value)
            for name, value in columns.items()
        }

    def said(value: Any) -> Any:
        text = json.dumps(value, default=datetime.isoformat, sort_keys=True)
        for number, name in words.items():
            text = text.replace(number, name)
        return text

    found["cases"] = [plain(case) for case in family.values()]
    pauses = (Pause, Pause.case_id), (NotFixed, NotFixed.case_id)
    for kind, key in (*kinds, *pauses):
        # The writer gives the ids of pauses out case by case; within a case they are in order on both sides.
        by_case = sorted(rows(kind, key), key=lambda row: (ids.index(row.case_id), row.id))
        found[kind.__tablename__] = [plain(row) for row in by_case]
    apart = s.scalars(select(NotDuplicate).where(NotDuplicate.case_id.in_(ids)))
    found["apart"] = sorted((ids.index(pair.case_id), ids.index(pair.other_id)) for pair in apart)
    photos = s.scalars(select(Photo).where(Photo.case_id.in_(ids)))
    found["photos"] = sorted((plain(photo) for photo in photos), key=str)
    links = [s.scalars(select(SecretLink).where(SecretLink.report_id == r)) for k, r in names if k is Report]
    found["links"] = [plain(link) for each in links for link in each]
    feed = s.scalars(select(SyncFeedRow).where(SyncFeedRow.ref.in_(words)))
    found["feed"] = sorted((row.scope, words[row.ref], row.present, row.why or "") for row in feed)
    details = {detail.seq: detail.text for detail in s.scalars(select(EventDetail))}
    for case_id in ids:
        for event, _ in events.of(s, f"case:{case_id}"):
            actor, _, number = event.actor.partition(":")
            who = names[Report, int(number)] if actor == "report" else event.actor
            facts = dict(event.facts)
            if "assignment" in facts:
                facts["assignment"] = names[Assignment, facts["assignment"]]
            found.setdefault("events", []).append(
                [names[Case, case_id], event.n, event.kind, event.was, event.now, who, event.at,
                 event.at_device, event.origin, said(facts), event.photos, details.get(event.seq)]
            )  # fmt: skip
    found["order"] = [
        (names[Case, int(e.subject[5:])], e.kind)
        for e in events.since(s, 0, 10_000)
        if e.subject.startswith("case:") and int(e.subject[5:]) in family
    ]
    assert s.scalar(select(Counter.n)) is not None
    return found
