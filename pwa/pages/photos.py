"""Serves photos to those who may see them."""

from flask import Blueprint, Response, abort, g
from sqlalchemy.orm import Session

from city.cases import queries, transitions
from city.db.models import Case, Photo
from city.lifecycle import ACTS, CREW
from city.people import accounts, departments
from city.photos import photos, processing
from city.reports import conversation
from pwa.web import access
from pwa.web.fragments import render
from sync import expected_photos

bp = Blueprint("photos", __name__)


@bp.get("/photos/<photo_id>")
def page(photo_id: str) -> Response:
    """A photo of a case with a way back to it, for whoever may see the photo."""
    g.personal = True
    with access.reading() as s:
        found = access.or_404(s.get(Photo, photo_id))
        case = access.or_404(s.get(Case, found.case_id) if found.case_id else None)
        if not _is_public(s, found) and not _may_see(s, found):
            abort(404)
        return render("resident/photo.html", photo=found, number=case.number)


@bp.get("/photos/<photo_id>/<size>.jpg")
def photo(photo_id: str, size: str) -> Response:
    """One photo in one size. To a stranger a photo that is not public does not exist."""
    if size not in processing.SIZES:
        abort(404)
    here = access.current_city()
    with access.reading() as s:
        found = access.or_404(s.get(Photo, photo_id))
        shown = _is_public(s, found)
        if not shown and not _may_see(s, found):
            abort(404)
        try:
            data = photos.read(here.store, here.settings.var, found, size)
        except KeyError:
            abort(404)
    response = Response(data, mimetype="image/jpeg")
    g.personal = not shown  # kept by no browser: own_reports() may have said so already
    if shown:  # what was shown may be hidden again, so a copy is asked for anew every hour
        response.cache_control.private = True
        response.cache_control.max_age = 3600
    return response


def _is_public(s: Session, photo: Photo) -> bool:
    if photo.case_id is None:
        return False
    publish = access.current_city().publish
    case = s.get_one(Case, photo.case_id)
    if photo.message_id is not None:
        return conversation.shows(s, photo.message_id, case)
    if photo.report:
        return queries.is_public(photo.report, case, publish)
    if photo.closure_id is None:  # a crew's that shows no closing, or one of a closing that was undone
        return False
    return any(queries.is_public(report, case, publish) for report in case.reports)


def _may_see(s: Session, photo: Photo) -> bool:
    by = access.actor(s)
    if photo.case_id is None and photo.staged_for.startswith(photos.INBOX):
        return bool(by.roles.intersection(ACTS["inbox"]))
    if photo.case_id is None:  # not sent yet, or with work that a person must look at first
        return bool(by.roles.intersection(ACTS["review"])) and expected_photos.is_of_work(s, photo)
    case = s.get_one(Case, photo.case_id)
    if by.roles.intersection(accounts.STAFF) - {CREW} and not departments.is_sealed(s, by, case):
        return True
    if CREW in by.roles and queries.is_job_of(s, case, by.crew_ids):
        return True
    own = access.own_report(s, case)
    if own is None:
        own = access.own_report(s, transitions.root_of(s, case))
    if own is not None and photo.message_id is not None:
        return conversation.is_for(s, photo.message_id, own)
    return own is not None and photo.report_id in (None, own.id)
