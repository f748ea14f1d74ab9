"""The letter that brings a partner the link to a job, or to all it has. Sends nothing."""

from email.message import EmailMessage

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.db.models import AccountLetter, Partner, PartnerLink
from city.partners import handovers
from city.people import partners
from pwa.messages import letters
from pwa.web import access, formatting, localization


def job(s: Session, letter: AccountLetter) -> EmailMessage | None:
    """None where the link is over, or there is nothing to do any more."""
    link = s.get(PartnerLink, letter.facts["link"])
    if link is None or not partners.is_good(link, access.now()):
        return None
    partner = s.get_one(Partner, link.crew_id)
    found = handovers.jobs(s, partner, link)
    if not found or partner.email != letter.email:
        return None
    if link.case_id is None:
        title = ngettext("%(num)d job for you", "%(num)d jobs for you", len(found))
    else:
        case = found[0].case
        what = localization.said(case.service.names)
        place = formatting.place(case.address)
        title = _("Job: %(what)s", what=f"{what}, {place}" if place else what)
    written = letters.begin(letter.email, title)
    token = partners.token_of(link, access.current_city().settings.secret_key)
    url = letters.link("partner.jobs", token=token)
    letters.write(written, "job", title=title, jobs=found, url=url, until=link.expires_at, partner=partner)
    return written
