"""How a letter is put together: as plain text and as HTML, which say the same, with its pictures.

Sends nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage, MIMEPart
from typing import Any, Final, cast

from flask import render_template, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.cases.queries import PublicCase
from city.config.branding import PRIMARY, at_night
from city.db.models import Photo
from city.photos import photos, processing
from city.photos.processing import BadPhoto, Busy
from city.photos.storage import StoreDown
from pwa.web import access, localization

HEAVIEST: Final = 25_000  # bytes of a picture that lies in a letter
NIGHT: Final = "#8fc2ff"  # of our own PRIMARY, as tokens.css has it

_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")


@dataclass(frozen=True)
class Picture:
    """A photo in a letter: `jpeg` where it lies in it, `address` where every stranger may see it.

    No private photo has an address that opens without the browser's own link, and one that did would be
    a secret more, in every log on its way. So a reporter's letter holds small copies: nothing is loaded
    when it is opened. What is public is linked: once hidden it is gone from old letters too.
    """

    caption: str
    alt: str
    address: str = ""
    jpeg: bytes = b""

    @property
    def id(self) -> str:
        """The name by which the HTML shows a picture that lies in its letter."""
        return f"{hashlib.sha256(self.jpeg).hexdigest()[:24]}@cityline"

    @property
    def source(self) -> str:
        """For `src`."""
        return f"cid:{self.id}" if self.jpeg else self.address


def begin(to: str, subject: str) -> EmailMessage:
    """A letter with its heads, to be filled by write()."""
    # The library folds a head at 78 columns, and one without spaces, as an address, into words that no mail
    # program reads as one (RFC 2047 allows none there).
    letter = EmailMessage(policy=policy.default.clone(max_line_length=990))
    letter["From"], letter["To"] = access.current_city().settings.mail_from, to
    letter["Subject"] = " ".join(subject.split())  # a name of the city file may break a line, a head may not
    letter["Auto-Submitted"] = "auto-generated"
    return letter


def write(letter: EmailMessage, template: str, *, pictures: Sequence[Picture] = (), **facts: Any) -> None:
    """Fills `letter`, which has its subject by now, from email/`template`.txt and email/`template`.html."""
    facts |= {"pictures": pictures, "subject": letter["Subject"], "link": link}
    primary = access.current_city().city.look.primary
    facts |= {"night": NIGHT if primary == PRIMARY else at_night(primary)}
    words = _BLANK.sub("\n\n", render_template(f"email/{template}.txt", **facts)).strip()
    letter.set_content(f"{words}\n")
    letter.add_alternative(render_template(f"email/{template}.html", **facts), subtype="html")
    html = cast(list[MIMEPart], letter.get_payload())[1]
    enclosed = {each.id: each.jpeg for each in pictures if each.jpeg}  # the same photo twice lies there once
    for name, jpeg in enclosed.items():
        html.add_related(jpeg, "image", "jpeg", cid=f"<{name}>", disposition="inline")
    letter["Content-Language"] = localization.lang()  # last: what is set before set_content() is lost


def link(endpoint: str, **values: Any) -> str:
    """The whole address of a page, as a letter needs it."""
    return url_for(endpoint, _external=True, **values)


def before_and_after(s: Session, sight: PublicCase) -> list[Picture]:
    """How it looked and how it looks now, as the page of a closed case shows its reader."""
    if not (sight.proof and sight.proof.photos):
        return []
    own = next((photo for told in sight.tellings if told.mine for photo in told.photos), None)
    before = own or sight.thumb
    found = []
    if before:
        # A neighbor's photo is no more the reader's than any stranger's: once hidden it must be gone.
        found.append(
            _picture(s, before, _("Before"), _("Before: the reported problem"), mine=own is not None)
        )
    found.append(
        _picture(s, sight.proof.photos[0], _("After"), _("After: the crew's photo"), mine=sight.mine)
    )
    return [each for each in found if each]


def of_report(s: Session, sight: PublicCase) -> list[Picture]:
    """The first photo that the reader sent."""
    own = next((photo for told in sight.tellings if told.mine for photo in told.photos), None)
    found = own and _picture(s, own, _("Your photo"), _("The photo you sent"), mine=True)
    return [found] if found else []


def _picture(s: Session, photo_id: str, caption: str, alt: str, *, mine: bool) -> Picture | None:
    """None where its bytes cannot be had now: the news does not wait for them."""
    if not mine:
        return Picture(caption, alt, address=link("photos.photo", photo_id=photo_id, size="page"))
    here = access.current_city()
    try:
        whole = photos.read(here.store, here.settings.var, s.get_one(Photo, photo_id), "page")
        return Picture(caption, alt, jpeg=processing.small(whole, HEAVIEST))
    except (KeyError, OSError, StoreDown, BadPhoto, Busy):  # gone from the store, or damaged there
        return None
