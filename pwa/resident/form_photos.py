"""The photos of a resident's form: staged as they come, shown on the form again, attached when it is sent."""

import logging
from collections.abc import Sequence
from typing import BinaryIO, cast

from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from city import files as city_files
from city.db.models import Photo
from city.photos import photos, processing
from city.photos.processing import BadPhoto, Busy
from pwa.web import access, errors, forms
from sync import refused_requests

log = logging.getLogger("cityline")

Fault = tuple[str, str]  # the field's id, and what to do in words


def staged_for(key: str) -> str:
    """The name under which the photos of the form with this key wait."""
    return f"{photos.FORM}{key}"


def staged(s: Session, key: str) -> list[Photo]:
    """The photos that wait for the form with this key to be sent."""
    return photos.staged(s, staged_for(key))


def stage(files: Sequence[FileStorage], key: str) -> list[Fault]:
    """Stages what came with the form itself; a bad photo is told and holds up no good one."""
    faults = []
    with access.reading() as s:
        room = photos.MAX_PHOTOS - len(staged(s, key))
    given = [file for file in files if file.filename]
    if len(given) > room:  # told before anything is opened: unpacking pictures is dear
        faults.append(("photos", errors.words(BadPhoto("too_many"))))
    for file in given[:room]:
        try:
            new = processing.process(cast(BinaryIO, file.stream))
            with access.writing() as s:
                photos.stage(
                    s, access.current_city().settings.var, new, staged_for=staged_for(key), at=access.now()
                )
        except Busy:
            faults.append(
                (
                    "photos",
                    _("We're getting a lot of photos right now, so yours isn't added yet. Send it again."),
                )
            )
        except OSError as fault:
            if not city_files.is_full(fault):
                raise
            log.warning("a photo wasn't staged: %s", fault)
            faults.append(("photos", errors.words(BadPhoto("no_room"))))
        except BadPhoto as bad:
            refused_requests.photo(bad.code)
            which = _("We couldn't add photo %(name)s.", name=(file.filename or "")[-60:])
            told = errors.words(bad)
            faults.append(("photos", f"{which} {told}" if len(given) > 1 else told))
    return faults


def gone(shown: Sequence[str], key: str, but: str = "") -> list[Fault]:
    """A fault where photos that the form shows are no more: what nobody sends is kept for a while only."""
    with access.reading() as s:
        if all(name == but or held(s, name, key) for name in shown[: photos.MAX_PHOTOS]):
            return []
    return [("photos", _("Your photos are gone. Add them again."))]


def unstage(photo_id: str, key: str) -> None:
    """Takes a photo off the form; one that is gone, or was never its, is no fault."""
    with access.writing() as s:
        photo = held(s, photo_id, key)
        if photo and photo.case_id is None:
            photos.unstage(s, access.current_city().settings.var, photo)


def held(s: Session, photo_id: str, key: str) -> Photo | None:
    """A staged photo, for whoever knows the key of its form."""
    photo = s.get(Photo, photo_id)
    return photo if photo and forms.is_key(key) and photo.staged_for == staged_for(key) else None
