"""A partner's jobs, for whoever holds the link: a contractor on a phone, without a log-in or JavaScript."""

import uuid
from collections.abc import Callable, Sequence

from flask import Blueprint, Response, g, request, url_for
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.transitions import Closing
from city.db.models import Case, Partner, PartnerLink
from city.lifecycle import FIELD_OUTCOMES, NO_PHOTO, Refused
from city.partners import handovers
from city.people import partners
from city.photos import photos
from pwa.resident import form_photos
from pwa.resident.form_photos import Fault
from pwa.web import access, errors, forms
from pwa.web.fragments import go, render

bp = Blueprint("partner", __name__, url_prefix="/partner/<token>")

Act = Callable[[Session, Partner, PartnerLink, Case], object]


@bp.get("")
def jobs(token: str) -> Response:
    """The jobs of a list, or the one job of the link."""
    g.personal = True
    with access.reading() as s:
        opened = _opened(s, token)
        if opened is None:
            return _over()
        partner, link = opened
        found = handovers.jobs(s, partner, link)
        if link.case_id is None:
            return render("partner/jobs.html", partner=partner, jobs=found, token=token)
        number = found[0].case.number if found else ""
    return _job(token, number)


@bp.get("/<number>")
def job(token: str, number: str) -> Response:
    """One job."""
    return _job(token, number)


@bp.post("/<number>/acceptance")
def accept(token: str, number: str) -> Response:
    """The partner takes it."""

    def verb(s: Session, partner: Partner, link: PartnerLink, case: Case) -> bool:
        return handovers.accept(s, partner, link, case, at=access.now())

    return _act(token, number, verb, "accepted")


@bp.post("/<number>/refusal")
def refuse(token: str, number: str) -> Response:
    """The partner gives it back, and says why."""
    words = forms.text(request.form, "why")

    def verb(s: Session, partner: Partner, link: PartnerLink, case: Case) -> bool:
        return handovers.refuse(s, partner, link, case, words, at=access.now())

    return _act(token, number, verb, "refused")


@bp.post("/<number>/done")
def done(token: str, number: str) -> Response:
    """The work is done, with photos of it. `do` may instead take a photo off the form."""
    key = request.form.get("key", "")
    do, _space, photo_id = request.form.get("do", "").partition(" ")
    with access.reading() as s:
        if _opened(s, token) is None:
            return _over()
    if do == "remove":
        form_photos.unstage(photo_id, key)
        return _job(token, number, key=key)
    given = request.files.getlist("photo")
    if forms.is_key(key) and (faults := form_photos.stage(given, key)):
        return _job(token, number, faults, key=key)

    def verb(s: Session, partner: Partner, link: PartnerLink, case: Case) -> bool:
        closing = Closing(
            request.form.get("outcome", "fixed"), no_photo=request.form.get("no_photo") or None,
            words=forms.text(request.form, "words"), photos=form_photos.staged(s, key),
        )  # fmt: skip
        return handovers.done(s, partner, link, case, closing, at=access.now())

    return _act(token, number, verb, "done", key=key)


def _opened(s: Session, token: str) -> tuple[Partner, PartnerLink] | None:
    secret = access.current_city().settings.secret_key
    return partners.by_token(s, token, secret, at=access.now())


def _act(token: str, number: str, act: Act, said: str, *, key: str = "") -> Response:
    try:
        with access.writing() as s:
            opened = _opened(s, token)
            if opened is None:
                return _over()
            partner, link = opened
            case = access.or_404(queries.by_number(s, number))
            if link.case_id not in (None, case.id):
                raise Refused("handover_moved")
            act(s, partner, link, case)
    except Refused as refused:
        field = {"why_refused": "why", "evidence_missing": "photo"}.get(refused.code, "words")
        return _job(token, number, [(field, errors.words(refused))], key=key)
    return go(url_for("partner.job", token=token, number=number, said=said))


def _job(token: str, number: str, faults: Sequence[Fault] = (), *, key: str = "") -> Response:
    """The page of one job; with `faults` what was entered is kept."""
    g.personal = True
    key = key if forms.is_key(key) else uuid.uuid4().hex
    here = access.current_city()
    with access.reading() as s:
        opened = _opened(s, token)
        if opened is None:
            return _over()
        partner, link = opened
        found = next((each for each in handovers.jobs(s, partner, link) if each.case.number == number), None)
        if found is None:
            return render(
                "partner/gone.html", partner=partner, token=token, whole=link.case_id is None,
                said=request.args.get("said", ""), faults=list(faults), status=422 if faults else 200,
            )  # fmt: skip
        seen = queries.public(s, now=access.now(), publish=here.publish, number=number)
        return render(
            "partner/job.html", status=422 if faults else 200, partner=partner, token=token, job=found,
            whole=link.case_id is None, sight=seen[0] if seen else None, faults=list(faults), key=key,
            told=handovers.said(s, found.case, handovers.TOLD, handovers.SENT_BACK),
            photos=form_photos.staged(s, key), entered=request.form, outcomes=FIELD_OUTCOMES,
            no_photo=NO_PHOTO, most=photos.MAX_PHOTOS, said=request.args.get("said", ""),
        )  # fmt: skip


def _over() -> Response:
    """One page for what was never made, has ended or was revoked: nobody learns which."""
    g.personal = True
    return render("partner/over.html", status=404)
