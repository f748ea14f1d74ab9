"""The call desk of Larkhaven: what it knows, and the conversations of four months, all from one seed."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.answers import articles, unanswered
from city.answers.articles import Draft, Text
from city.audit.events import Actor
from city.config import business_hours, city_file
from city.config.city_file import CityFile
from city.db import bulk_insert
from city.db.engine import gc_paused, transaction
from city.db.models import Article, ArticleVotes, Case, Person, Report, Service
from city.demo import reference_rates
from city.lifecycle import CALL_TAKER, DISPATCHER
from city.people import accounts, callers, contacts
from city.people.contacts import ANSWERED, CASE, DROPPED, TRANSFERRED, Conversation
from city.settings import Settings

ARTICLES = Path(__file__).parent / "answers.toml"
ANYTHING = "other"  # the topic
DAYS = 120  # so far back conversations go, to the first of that month: see docs/explanation/demo.md
LOOKED_AT = 60  # days since an answer was last revised
# How a conversation ends that becomes no case, and how long one takes: seconds, median and 90 %. Guesses.
ENDINGS = {ANSWERED: 84, TRANSFERRED: 11, DROPPED: 5}
SECONDS = {ANSWERED: (130, 320), CASE: (150, 330), TRANSFERRED: (70, 190), DROPPED: (25, 90)}
SHORTEST, LONGEST = 5, 3600
P90 = 1.2816  # the normal distribution's 90th percentile
COUNTER_SHARE = 0.06  # who comes to City Hall instead of calling
READ_SHARE = 0.88  # answered from an article; the rest the call-taker knew, or it stands nowhere yet
NOTED_SHARE = 0.3  # of those transferred
SAID_SHARE = 0.4  # who say whom they would have called, of those who ask about something in INSTEAD
INSTEAD = {"neighbors": ("police", "911"), "streetlights": ("911", "utility"), "trees": ("911",)}
WINTER = (11, 12, 1, 2, 3)
# Who has it where the department of the topic does not.
OFFICES = {"streetlights": "utility", "neighbors": "police"}
TOPIC_OF = {
    "streetlight": "streetlights", "tree": "trees", "trash": "trash", "other": "streets",
    "bulky-item": "bulky-waste", "dumping": "bulky-waste", "home-nuisance": "neighbors",
    "tax-question": "taxes", "birth-record": "vital-records", "permit-status": "permits",
}  # fmt: skip
# What people asked in vain: in which language, how often, and the answer that did not help, if there was one.
UNANSWERED = (
    ("en", "swimming pool hours", 7, ""),
    ("en", "can I keep chickens", 5, ""),
    ("en", "where do old batteries go", 4, "recycling"),
    ("es", "permiso para vender comida", 4, ""),
    ("es", "poner el recibo del agua a mi nombre", 3, "water-bill"),
    ("en", "pick up a couch on Saturday", 2, "bulky-items"),
)
NOTES = (
    "Has called twice this week already.",
    "Wants to speak with whoever wrote the letter.",
    "Asked to be called back after five.",
    "Spoke with her son, who translates.",
    "Was not sure whether it is the city's business.",
)


def fill(engine: Engine, settings: Settings, seed: int = 311, now: datetime | None = None) -> None:
    """The answers, then the conversations of DAYS until `now`; needs the cases and the people.

    Every report that came by phone in that time has its conversation, and nine in ten conversations
    needed no case. Without topics in the city file there is nothing to fill.
    """
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    city = city_file.load(settings.city)
    with gc_paused(), transaction(engine) as s:
        desk = _Desk(s, city, Random(f"desk {seed}"), now)
        desk.write_down()
        desk.found_helpful()
        told = sorted([*desk.about_cases(), *desk.about_the_rest()], key=attrgetter("ended_at"))
        contacts.bulk_log(s, [(each, desk.taker()) for each in told], origin="demo")


class _Desk:
    """Invents conversations. One transaction long."""

    def __init__(self, s: Session, city: CityFile, chance: Random, now: datetime) -> None:
        self.s, self.city, self.chance, self.now = s, city, chance, now
        self.saying = Random("instead")
        self.departments = {topic.code: topic.department_code for topic in city.topics}
        staff = [accounts.actor(person) for person in s.scalars(select(Person).order_by(Person.id))]
        self.desk = next(actor for actor in staff if CALL_TAKER in actor.roles)
        self.board = next(actor for actor in staff if DISPATCHER in actor.roles)
        self.read: dict[str, list[str]] = {}  # the slugs of each topic
        self.cases = 0
        self.numbers = 200  # of callers, the last that somebody had
        self.today = now.astimezone(city.time_zone).date()
        self.since = (self.today - timedelta(days=DAYS)).replace(day=1)  # figures are of whole months
        self.spans = cache(self._spans)

    def write_down(self) -> None:
        """Publishes the answers; the oldest of them has been revised once."""
        services = set(self.s.scalars(select(Service.code)))
        made = self.now - timedelta(days=DAYS + 30)
        for slug, row in tomllib.loads(ARTICLES.read_text("utf-8")).items():
            if self.departments.get(row["topic"]) is None:
                continue
            draft = Draft(
                self.departments[row["topic"]], row["topic"], self.today + timedelta(days=row["review_in"]),
                {lang: Text(**row[lang]) for lang in self.city.languages if lang in row},
                tuple(code for code in row.get("services", ()) if code in services),
            )  # fmt: skip
            self._publish(slug, draft, made)
            self.read.setdefault(row["topic"], []).append(slug)

    def found_helpful(self) -> None:
        """How many readers found each answer helpful, and what nobody has an answer to yet."""
        chance, known = Random("readers"), articles.published(self.s)
        if not known:
            return
        votes = [
            {
                "answer_id": answer.id, "version": answer.version, "helpful": chance.randint(9, 60),
                "unhelpful": chance.randint(0, 9),
            }
            for answer in known
        ]  # fmt: skip
        bulk_insert.put(self.s, ArticleVotes, votes, sums=True)
        by_slug = {answer.slug: answer for answer in known}
        for lang, words, times, slug in UNANSWERED:
            for ago in sorted((chance.uniform(0.1, 30) for _ in range(times)), reverse=True):
                at = (self.now - timedelta(days=ago)).replace(microsecond=0)
                unanswered.record(self.s, words, lang, at, by_slug.get(slug))

    def about_cases(self) -> Iterator[Conversation]:
        """One for every report by phone, ended as the report was taken."""
        since = self._start(self.since)
        calls = self.s.execute(
            select(
                Report.key,
                Report.service_code,
                Service.group,
                Service.office,
                Report.taken_at,
                Report.lang,
                Case.number,
            )
            .join(Service, Service.code == Report.service_code)
            .join(Case, Case.id == Report.case_id)
            .where(Report.channel == "phone", Report.taken_at >= since)
            .order_by(Report.id)
        )
        for key, service, group, office, taken_at, lang, number in calls:
            topic = TOPIC_OF.get(service) or TOPIC_OF.get(group, "streets")
            if topic in self.departments:
                self.cases += 1
                seconds = self._seconds(CASE)
                began = taken_at - timedelta(seconds=seconds)
                channel = "phone" if self._open(began) else "voicemail"
                told = Conversation(self._key(), channel, began, seconds, topic, CASE, lang, case=number)
                yield self._called_back(told, key) if office else told

    def about_the_rest(self) -> Iterator[Conversation]:
        """Those that became no case: so many that cases have their share of all."""
        topics = {code: share for code, share in reference_rates.TOPICS.items() if code in self.departments}
        summer = {code: share for code, share in topics.items() if code != "snow"}
        share = reference_rates.FOLLOW_UP_SHARE
        ago = (self.today - self.since).days
        days = [self.since + timedelta(days=n) for n in range(ago + 1)]
        busy = list(accumulate(map(_busy, days)))
        for _ in range(round(self.cases * (1 - share) / share)):
            began = self._moment(days, busy)
            topic = self._pick(topics if began.month in WINTER else summer)
            outcome = self._pick(ENDINGS)
            if outcome == DROPPED and ANYTHING in self.departments:
                topic = ANYTHING  # whoever broke off had not said
            open_now = self._open(began)
            at_the_counter = open_now and outcome != DROPPED and self.chance.random() < COUNTER_SHARE
            handed_on = outcome == TRANSFERRED
            said = outcome == ANSWERED and topic in INSTEAD and self.saying.random() < SAID_SHARE
            yield Conversation(
                self._key(), "counter" if at_the_counter else "phone" if open_now else "voicemail", began,
                min(self._seconds(outcome), int((self.now - began).total_seconds())), topic, outcome,
                self._pick(reference_rates.LANGUAGES),
                answer=self._read_out(topic) if outcome == ANSWERED else None,
                to=OFFICES.get(topic, self.departments[topic]) if handed_on else None,
                instead=self.saying.choice(INSTEAD[topic]) if said else None,
                words=self.chance.choice(NOTES) if handed_on and self.chance.random() < NOTED_SHARE else "",
            )  # fmt: skip

    def taker(self) -> Actor:
        """Mostly the call-taker; the dispatcher helps out."""
        return self.desk if self.chance.random() < 0.8 else self.board

    def _called_back(self, told: Conversation, key: str) -> Conversation:
        """The same by somebody who left a number; the key of its report says whose wish it is."""
        self.numbers += 1
        phone = f"+1555010{self.numbers:04d}"
        caller = callers.record_call(self.s, phone, lang=told.lang, at=told.began_at)
        self.s.flush()
        return replace(told, key=key, reply_by="call", caller_id=caller.id)

    def _publish(self, slug: str, draft: Draft, made: datetime) -> None:
        if self.read:
            articles.publish(self.s, slug, draft, by=self.desk, at=made, origin="demo")
            return
        texts = {lang: Text(text.title, text.body, text.title) for lang, text in draft.texts.items()}
        before = Draft(draft.department, draft.topic, draft.review_on, texts, draft.services)
        answer: Article = articles.publish(self.s, slug, before, by=self.desk, at=made, origin="demo")
        at = self.now - timedelta(days=LOOKED_AT)
        articles.revise(self.s, answer, draft, seen=1, by=self.desk, at=at, origin="demo")

    def _read_out(self, topic: str) -> str | None:
        slugs = self.read.get(topic)
        return self.chance.choice(slugs) if slugs and self.chance.random() < READ_SHARE else None

    def _moment(self, days: list[date], busy: list[float]) -> datetime:
        """When somebody calls: more in busy months, on busy weekdays and at busy hours."""
        while True:
            day = self.chance.choices(days, cum_weights=busy)[0]
            hour = self.chance.choices(range(24), cum_weights=HOURS)[0]
            second = self.chance.randrange(3600)
            began = self._start(day) + timedelta(hours=hour, seconds=second)
            if began < self.now - timedelta(minutes=1):
                return began

    def _seconds(self, outcome: str) -> int:
        median, p90 = SECONDS[outcome]
        drawn = self.chance.lognormvariate(math.log(median), math.log(p90 / median) / P90)
        return min(max(round(drawn), SHORTEST), LONGEST)

    def _open(self, at: datetime) -> bool:
        """Whether somebody answers then; otherwise the caller leaves a message."""
        return any(begin <= at < end for begin, end in self.spans(at.astimezone(self.city.time_zone).date()))

    def _spans(self, day: date) -> list[tuple[datetime, datetime]]:
        if self.city.line is None:
            return [(self._start(day), self._start(day + timedelta(days=1)))]
        return business_hours.spans_of(self.city.line, day)

    def _start(self, day: date) -> datetime:
        return _midnight(day, self.city.time_zone)

    def _key(self) -> str:
        return f"demo-{self.chance.getrandbits(128):032x}"

    def _pick(self, weights: Mapping[str, float]) -> str:
        return self.chance.choices(list(weights), list(weights.values()))[0]


HOURS = list(accumulate(reference_rates.HOURS))


@cache
def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _busy(day: date) -> float:
    return reference_rates.MONTHS[day.month - 1] * reference_rates.WEEKDAYS[day.weekday()]
