"""What the city knows, for everybody: finding an answer, reading it, and saying whether it helped."""

from typing import Final

from flask import Blueprint, Response, g, request, url_for
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from city.answers import articles, unanswered
from city.answers import search as article_search
from city.db.models import Article, Service
from pwa.web import access, localization, markdown
from pwa.web.fragments import go, is_fragment, render

bp = Blueprint("answers", __name__, url_prefix="/answers")

MOST_FOUND = 8
MOST_OF_TOPIC = 200
MOST_SAID = 150  # votes that a browser remembers; a cookie holds no more
SAID_DAYS = 365
TRASH: Final = "trash"  # the topic whose first question the page of collection answers by the address


@bp.get("")
def listed() -> Response:
    """What fits ?q; with ?topic its answers; otherwise the topics, and what is asked most."""
    asked = _question(request.args.get("q", ""))
    topic = request.args.get("topic", "")
    lang, base = localization.lang(), access.current_city().settings.base_url
    g.personal = bool(asked)
    with access.reading() as s:
        found = article_search.find(s, asked, lang=lang, limit=MOST_FOUND) if asked else []
        topics = [] if asked else articles.topics(s)
        chosen = next((each for each, _ in topics if each.code == topic), None)
        rows, total = (
            articles.headings(s, lang, topic=chosen.code, limit=MOST_OF_TOPIC) if chosen else ([], 0)
        )
        return render(
            "resident/answers.html", "resident/_answers.html",
            asked=asked, found=found, topics=topics, chosen=chosen, rows=rows, total=total,
            most=[] if asked or chosen else article_search.most_asked(s, lang=lang),
            by_address=_about_trash(found), typing=is_fragment(), thanked=request.args.get("thanked") == "1",
            canonical=base + url_for(".listed", topic=chosen.code if chosen else None),
            indexed=not asked,
        )  # fmt: skip


@bp.post("/unanswered")
def none_helps() -> Response:
    """Nothing was found, or nothing that helps: a question that is still open.

    The page of a question without an answer posts it by itself; without scripts by a button. What somebody is
    still typing is no question yet.
    """
    asked = _question(request.form.get("q", ""))
    if asked:
        with access.writing() as s:
            unanswered.record(s, asked, localization.lang(), access.now())
    if is_fragment():
        return render("resident/_heard.html")
    return go(url_for(".listed", q=asked or None, thanked=1 if asked else None))


@bp.get("/<slug>")
def read(slug: str) -> Response:
    """One answer; ?q is what it was found by."""
    lang = localization.lang()
    with access.reading() as s:
        answer = _published(s, slug)
        told = articles.texts(s, answer)
        shown = lang if lang in told else next(iter(told))
        return render(
            "resident/answer.html", answer=answer, text=told[shown], lang_of_text=shown,
            body=markdown.html(told[shown].body), checked=articles.checked_at(s, answer),
            topic=articles.topic_of(s, answer), services=_services(s, answer),
            by_address=answer.topic_code == TRASH and bool(access.current_city().city.collection.zones),
            asked=_question(request.args.get("q", "")), said=_said().get(_ballot(answer)),
            canonical=access.current_city().settings.base_url + url_for(".read", slug=slug), indexed=True,
        )  # fmt: skip


@bp.post("/<slug>/helpful")
def vote(slug: str) -> Response:
    """Whether it helped, counted once a browser and version; what did not help is a question still open."""
    helpful = request.form.get("helpful") == "yes"
    asked, said = _question(request.form.get("q", "")), _said()
    with access.writing() as s:
        answer = _published(s, slug)
        ballot = _ballot(answer)
        is_new = ballot not in said
        if is_new:
            articles.vote(s, answer, answer.version, helpful=helpful)
            if asked and not helpful:
                unanswered.record(s, asked, localization.lang(), access.now(), answer)
    response = go(url_for(".read", slug=slug, q=asked or None, _anchor="helpful"))
    if is_new:
        _remember(response, said | {ballot: helpful})
    return response


def _published(s: Session, slug: str) -> Article:
    found = access.or_404(articles.by_slug(s, slug))
    return access.or_404(found if found.state == articles.PUBLISHED else None)


def _question(typed: str) -> str:
    return " ".join(typed.split())[: article_search.MOST_TYPED]


def _about_trash(found: list[article_search.Found]) -> bool:
    """Whether the best answer is one that an address makes exact."""
    return bool(found and access.current_city().city.collection.zones) and found[0].topic_code == TRASH


def _services(s: Session, answer: Article) -> list[Service]:
    """What a resident can report about it."""
    known = {service.code for service in access.current_city().city.for_residents}
    return [service for service in articles.services_of(s, answer) if service.code in known]


def _ballot(answer: Article) -> str:
    return f"{answer.id}.{answer.version}"


def _said() -> dict[str, bool]:
    """What this browser has said of versions, by its own cookie: the city keeps no list of browsers."""
    try:
        told = _signed().loads(access.cookie("cl_helped") or "")
    except BadSignature:
        return {}
    return {str(ballot): bool(helpful) for ballot, helpful in dict(told).items()}


def _remember(response: Response, said: dict[str, bool]) -> None:
    newest = dict(list(said.items())[-MOST_SAID:])
    told = str(_signed().dumps({ballot: int(each) for ballot, each in newest.items()}))
    access.set_cookie(response, "cl_helped", told, SAID_DAYS)


def _signed() -> URLSafeSerializer:
    return URLSafeSerializer(access.current_city().settings.secret_key, salt="was it helpful")
