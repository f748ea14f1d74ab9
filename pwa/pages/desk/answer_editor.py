"""Keeping answers true: what must be looked at, what nobody answers yet, and writing, with its history."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import SequenceMatcher
from typing import Final

from flask import Blueprint, Response, g, request, url_for
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from city.answers import articles, unanswered
from city.answers import search as article_search
from city.answers.articles import Draft, Heading, Text, Version
from city.db.models import Article
from city.lifecycle import Refused
from city.people import accounts
from pwa.web import access, errors, forms, localization, markdown
from pwa.web.fragments import go, render

bp = Blueprint("editor", __name__, url_prefix="/answers/edit")

MOST = 200  # rows of a list
MOST_FOUND = 50
REVIEW_DAYS = 180  # until a new answer is looked at again, where nobody says otherwise
PARTS: Final = ("title", "body", "script")
# Which field a refusal is about; of a text it also says in which language.
FIELDS: Final = {
    "bad_slug": "slug", "known_slug": "slug", "unknown_department": "department", "unknown_topic": "topic",
    "unknown_service": "services", "bad_day": "review_on",
}  # fmt: skip


@dataclass(frozen=True)
class Typed:
    """The form as it came in, nothing believed."""

    slug: str
    department: str
    topic: str
    review_on: str
    services: tuple[str, ...]
    texts: Mapping[str, Text]
    seen: int = 0

    def draft(self) -> Draft:
        """What is meant; a language of which nothing was written is left out. Refused `bad_day`."""
        try:
            day = date.fromisoformat(self.review_on)
        except ValueError:
            raise Refused("bad_day") from None
        written = {lang: text for lang, text in self.texts.items() if text.title or text.body or text.script}
        return Draft(self.department, self.topic, day, written, self.services)


@dataclass(frozen=True)
class Change:
    """A part of a text that a version changed: pieces of words, each with how ("same", "new", "gone")."""

    lang: str
    part: str
    pieces: tuple[tuple[str, str], ...]


@bp.get("")
def listed() -> Response:
    """The answers of all departments or of ?department, due ones first; ?retired those shown no more.

    With ?q those that fit it, whatever their department, the best first.
    """
    department, retired = request.args.get("department", ""), request.args.get("retired") == "1"
    words = forms.text(request.args, "q")
    with access.reading() as s:
        departments = articles.departments(s)
        known = department if department in departments else ""
        if words:
            rows = _fitting(s, words)
            total = len(rows)
        else:
            rows, total = articles.headings(
                s, localization.lang(), department=known, retired=retired, limit=MOST
            )
        questions, asked = unanswered.open_questions(s, known)
        return render(
            "editor/answers.html", rows=rows, total=total, departments=departments, department=known,
            retired=retired, questions=questions, asked=asked, votes=articles.votes(s),
            today=localization.local(access.now()).date(), words=words,
        )  # fmt: skip


@bp.post("/questions/<natural:number>")
def settle(number: int) -> Response:
    """Somebody has seen to a question: it is listed no more until it is asked again."""
    with access.writing() as s:
        unanswered.resolve(s, number, by=g.actor, at=access.now())
    department = request.form.get("department", "")
    return go(url_for(".listed", department=department or None, said="done", _anchor="questions"))


@bp.get("/new")
def new() -> Response:
    """An empty form; ?words is the question it is to answer."""
    words = forms.text(request.args, "words")[: articles.MOST["title"]]
    lang = request.args.get("lang", "")
    texts = {each: Text(words if each == lang else "", "", "") for each in _languages()}
    day = localization.local(access.now()).date() + timedelta(days=REVIEW_DAYS)
    return _form(None, Typed("", "", "", day.isoformat(), (), texts))


@bp.post("/new")
def publish() -> Response:
    """Shows a new answer to everybody; or with do=preview only to whoever writes it."""
    typed = _typed()
    if request.form.get("do") == "preview":
        return _form(None, typed, preview=True)
    try:
        with access.writing() as s:
            articles.publish(s, typed.slug, typed.draft(), by=g.actor, at=access.now())
    except Refused as refused:
        return _form(None, typed, refused)
    return go(url_for(".edit", slug=typed.slug, said="saved"))


@bp.get("/<slug>")
def edit(slug: str) -> Response:
    """An answer as it is now, to be changed."""
    with access.reading() as s:
        answer = access.or_404(articles.by_slug(s, slug))
        typed = _now(s, answer)
    return _form(answer, typed)


@bp.post("/<slug>")
def revise(slug: str) -> Response:
    """Makes what was typed the newest version; or with do=preview only shows it to whoever writes it.

    Who wrote while somebody else did sees what that one changed, and may save over it.
    """
    typed = replace(_typed(), slug=slug)
    with access.reading() as s:
        answer = access.or_404(articles.by_slug(s, slug))
    if request.form.get("do") == "preview":
        return _form(answer, typed, preview=True)
    try:
        with access.writing() as s:
            held = access.or_404(articles.by_slug(s, slug))
            articles.revise(s, held, typed.draft(), seen=typed.seen, by=g.actor, at=access.now())
    except Refused as refused:
        return _form(answer, typed, refused)
    return go(url_for(".edit", slug=slug, said="saved"))


@bp.post("/<slug>/retire")
def retire(slug: str) -> Response:
    """Shows an answer no more; revising brings it back."""
    with access.writing() as s:
        articles.retire(s, access.or_404(articles.by_slug(s, slug)), by=g.actor, at=access.now())
    return go(url_for(".edit", slug=slug, said="done"))


@bp.get("/<slug>/history")
def history(slug: str) -> Response:
    """All versions, the newest first: who, when, and what changed."""
    with access.reading() as s:
        answer = access.or_404(articles.by_slug(s, slug))
        versions = articles.history(s, answer)
        votes = articles.votes(s)
        return render(
            "editor/history.html", answer=answer, told=list(reversed(_with_changes(versions))),
            names=accounts.named(s, {version.actor for version in versions}),
            votes={version.number: votes.get((answer.id, version.number)) for version in versions},
        )  # fmt: skip


def _fitting(s: Session, words: str) -> list[Heading]:
    """The published answers that fit, the best first."""
    order = [
        found.answer_id for found in article_search.find(s, words, lang=localization.lang(), limit=MOST_FOUND)
    ]
    rows, _total = articles.headings(s, localization.lang(), only=order, limit=MOST_FOUND)
    return sorted(rows, key=lambda row: order.index(row.answer.id))


def _form(
    answer: Article | None, typed: Typed, refused: Refused | None = None, *, preview: bool = False
) -> Response:
    """The form as far as it is filled in; refused with 422. A conflict shows what was changed meanwhile."""
    with access.reading() as s:
        newest = access.or_404(articles.by_slug(s, answer.slug)) if answer else None
        theirs: list[Change] = []
        if newest and refused and refused.code == "changed_meanwhile":
            theirs = _changes(articles.texts(s, newest, typed.seen), articles.texts(s, newest))
            typed = replace(typed, seen=newest.version)
        response = render(
            "editor/answer.html", answer=newest, typed=typed, theirs=theirs,
            departments=articles.departments(s), topics=articles.all_topics(s),
            services=articles.all_services(s), languages=_languages(),
            error=errors.words(refused) if refused else "", fault_id=_field(refused, typed),
            preview={
                lang: markdown.html(text.body) for lang, text in typed.texts.items() if text.body
            } if preview else {},
        )  # fmt: skip
    response.status_code = 422 if refused else 200
    return response


def _typed() -> Typed:
    form = request.form
    seen = form.get("seen", "")
    return Typed(
        forms.text(form, "slug"), forms.text(form, "department"), forms.text(form, "topic"),
        forms.text(form, "review_on"), tuple(form.getlist("services")),
        {
            lang: Text(*(forms.text(form, f"{part}-{lang}") for part in PARTS)) for lang in _written(form)
        },
        int(seen) if seen.isdecimal() and len(seen) < 9 else 0,
    )  # fmt: skip


def _written(form: MultiDict[str, str]) -> Iterable[str]:
    """The languages of the form: the city's, and those in which an answer was taken over from elsewhere."""
    others = (name.removeprefix("title-") for name in form if name.startswith("title-"))
    return dict.fromkeys((*_languages(), *others))


def _now(s: Session, answer: Article) -> Typed:
    told = articles.texts(s, answer)
    texts = {lang: told.get(lang, Text("", "", "")) for lang in dict.fromkeys((*_languages(), *told))}
    return Typed(
        answer.slug, answer.department_code, answer.topic_code, answer.review_on.isoformat(),
        tuple(answer.services), texts, answer.version,
    )  # fmt: skip


def _field(refused: Refused | None, typed: Typed) -> str:
    """The id of the field that a refusal is about."""
    if refused is None:
        return ""
    first = next(iter(typed.texts))
    text = f"{refused.facts.get('part', 'title')}-{refused.facts.get('lang', first)}"
    return FIELDS.get(refused.code, text)


def _with_changes(versions: list[Version]) -> list[tuple[Version, list[Change]]]:
    """Each version with what it changed of the one before."""
    found: list[tuple[Version, list[Change]]] = []
    before: Mapping[str, Text] = {}
    for version in versions:
        found.append((version, _changes(before, version.texts) if version.texts else []))
        before = version.texts or before
    return found


def _changes(before: Mapping[str, Text], after: Mapping[str, Text]) -> list[Change]:
    nothing = Text("", "", "")
    found = []
    for lang in sorted({*before, *after}):
        old, new = before.get(lang, nothing), after.get(lang, nothing)
        for part in PARTS:
            was, now = getattr(old, part), getattr(new, part)
            if was != now:
                found.append(Change(lang, part, tuple(_pieces(was, now))))
    return found


def _pieces(was: str, now: str) -> list[tuple[str, str]]:
    """Word by word: what stayed, what is new, what is gone."""
    old, new = _words_of(was), _words_of(now)
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            found.append(("same", "".join(old[a:b])))
            continue
        if a < b:
            found.append(("gone", "".join(old[a:b])))
        if c < d:
            found.append(("new", "".join(new[c:d])))
    return found


def _words_of(text: str) -> list[str]:
    """Words, each with the space after it."""
    return re.findall(r"\S+\s*|\s+", text)


def _languages() -> tuple[str, ...]:
    return access.current_city().city.languages
