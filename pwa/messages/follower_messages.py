"""What followers of a case, an area or a street are told: no more than any stranger sees. Sends nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Final

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.channels import LETTER, NOTE, TEXT
from city.db.models import CaseMessage, Message, Subscription
from city.lifecycle import CLOSED, OPEN
from city.notifications import digests, fan_out, pickup_reminders, subscriptions
from city.notifications.sms import SmsMessage
from city.notifications.webpush import Note
from city.places import collection_days
from city.reports import intake
from pwa.messages import envelopes, letters, sentences
from pwa.web import access, formatting, localization

ROWS_OF_A_NOTE: Final = 4  # lines that phones show of a notification


@dataclass(frozen=True)
class Bulletin:
    """One message: its subject, the cases it is about, and how many more there are than it names."""

    subject: str
    opened: Sequence[PublicCase] = ()
    closed: Sequence[PublicCase] = ()
    more: int = 0
    news: str = ""  # of the one case: what is new of it; of a pickup, when it is
    stands: str = ""  # and how it stands besides; of a pickup, why
    said: str = ""  # what somebody at the city wrote about the one case
    sight: PublicCase | None = None  # the one case that is followed
    links: dict[str, str] = field(default_factory=dict)

    @property
    def only(self) -> bool:
        """Whether it is about one case and no other."""
        return len([*self.opened, *self.closed]) == 1 and not self.more

    @property
    def urgent(self) -> bool:
        """Whether it waits for no morning; what is told once a day does."""
        return bool(self.sight and self.sight.service.urgent)


def _bulletin(s: Session, message: Message) -> Bulletin | None:
    """None where nothing of it is public any more."""
    if message.kind == "receipt":
        if subscriptions.is_of_duty(message.subscription):
            title = _("City staff: confirm texts about danger while you're on duty")
            return Bulletin(title, links=_links(message.subscription))
        words = formatting.followed(message.subscription)
        return Bulletin(_("Confirm to follow %(what)s", what=words), links=_links(message.subscription))
    if subscriptions.is_of_pickups(message.subscription):
        return _pickup(message)
    return _digest(s, message) if message.kind == "digest" else _case(s, message)


def _letter(s: Session, message: Message) -> EmailMessage | None:
    told = _bulletin(s, message)
    if told is None:
        return None
    if message.kind != "receipt" and subscriptions.is_of_pickups(message.subscription):
        template = "pickup"
    else:
        template = {"receipt": "follow", "digest": "digest"}.get(message.kind, "followed")
    facts: dict[str, Any] = {"told": told, "row": message.subscription}
    if sight := told.sight:
        facts |= {
            "what": localization.said(sight.service.names),
            "where": formatting.place(sight.address) if sight.address else "",
            "number": sight.number,
            "excuse": sentences.no_photo(sight),
            "pictures": letters.before_and_after(s, sight),
        }
    return envelopes.letter(message, told.subject, template, stop=told.links["stop"], **facts)


def _note(s: Session, message: Message) -> Note | None:
    told = _bulletin(s, message)
    if told is None:
        return None
    if told.sight:
        body = "\n".join(filter(None, (formatting.place(told.sight.address), formatting.promise(told.sight))))
    elif told.news:
        body = "\n".join(filter(None, (told.news, told.stands)))
    else:
        sights = [*told.opened, *told.closed]
        body = "\n".join(_line(sight) for sight in sights[:ROWS_OF_A_NOTE])
    return envelopes.push_note(message, told.subject, body, told.links["see"], urgent=told.urgent)


def _text(s: Session, message: Message) -> SmsMessage | None:
    told = _bulletin(s, message)
    if told is None:
        return None
    links = told.links
    if message.kind == "receipt":
        words = _("Tap to confirm: %(link)s", link=links["confirm"])
    elif subscriptions.is_of_pickups(message.subscription):
        words = told.news
    else:
        words = _("See details: %(link)s", link=links["see"])
    return envelopes.text(message, f"{told.subject}. {words}", stop=links["stop"])


WRITERS: Final[dict[str, Callable[[Session, Message], EmailMessage | Note | SmsMessage | None]]] = {
    LETTER: _letter,
    NOTE: _note,
    TEXT: _text,
}


def _case(s: Session, message: Message) -> Bulletin | None:
    case = fan_out.case_for_subscription(s, message.subscription)
    sights = _public(s, [case.id]) if case else []
    if not sights:
        return None
    sight = sights[0]
    what = localization.said(sight.service.names)
    written = s.get(CaseMessage, message.case_message_id) if message.case_message_id else None
    if sight.proof:
        stands = formatting.outcome(sight.proof.outcome)
    elif written:
        stands = _("An update")
    elif message.kind == "reopened":
        stands = _("Reopened")
    else:
        stands = sentences.headline(sight)
    subject = _("%(what)s: %(outcome)s (%(number)s)", number=sight.number, outcome=stands, what=what)
    links = _links(message.subscription) | {"see": letters.link("case.page", number=sight.number)}
    if sight.proof:
        news = sentences.ended(sight)
    elif written:
        news = _("The city wrote an update.")
    elif message.kind == "reopened":
        news = sentences.reopened(sight)
    else:
        news = sentences.changed(sight)
    stood = sentences.standing_sentence(sight)
    said = written.words if written and not sight.proof else ""
    return Bulletin(
        subject, news=news, stands=stood if stood != news else "", sight=sight, links=links, said=said
    )


def _digest(s: Session, message: Message) -> Bulletin | None:
    """As the cases stand when it goes out: what is hidden by now is not told."""
    told = message.cases or {}
    ids = [*told.get(digests.OPENED, ()), *told.get(digests.ENDED, ())]
    sights = _public(s, ids)
    opened = [sight for sight in sights if sight.state in OPEN]
    closed = [sight for sight in sights if sight.state == CLOSED]
    if not (opened or closed):
        return None
    more = int(told.get("all", 0)) - len(ids)
    counts = [
        ngettext("%(num)d new", "%(num)d new", len(opened)) if opened else "",
        ngettext("%(num)d closed", "%(num)d closed", len(closed)) if closed else "",
    ]
    subject = _(
        "%(place)s: %(counts)s", place=message.subscription.place_name, counts=", ".join(filter(None, counts))
    )
    told_of = Bulletin(subject, opened, closed, more, links=_links(message.subscription))
    see = ("case.page", {"number": sights[0].number}) if told_of.only else ("cases.listed", {})
    told_of.links["see"] = letters.link(see[0], **see[1])
    return told_of


def _pickup(message: Message) -> Bulletin | None:
    """None where the day has come, or the city file has moved it meanwhile: nothing is to be put out."""
    row, collection = message.subscription, access.current_city().city.collection
    day, zone = pickup_reminders.day_of(message), pickup_reminders.zone_of(row, collection)
    found = collection_days.days_of(zone, collection.calendar, day, day) if zone else []
    if not found or localization.today() >= day:
        return None
    return Bulletin(
        _("Put out %(what)s tonight", what=formatting.streams(found[0])),
        news=_("Pickup is tomorrow, %(day)s.", day=localization.long_date(day)),
        stands=_("A holiday moved it to this day.") if found[0].holiday else "",
        links=_links(row) | {"see": letters.link("collection.trash_day")},
    )


def _public(s: Session, ids: Sequence[int]) -> list[PublicCase]:
    """Each as any stranger may see it; private ones are not among them."""
    if not ids:
        return []
    return queries.public(s, now=access.now(), publish=access.current_city().publish, ids=ids, limit=len(ids))


def _line(sight: PublicCase) -> str:
    what, where = localization.said(sight.service.names), formatting.place(sight.address)
    return f"{what}, {where}" if where else what


def _links(row: Subscription) -> dict[str, str]:
    secret = access.current_city().settings.secret_key
    code = intake.news_code(secret, row)
    return {
        "confirm": letters.link("news.news", subscription=row.id, code=code),
        "stop": letters.link("news.news", subscription=row.id, code=code, stop=1),
        "all": letters.link("follow.mine", subscription=row.id, code=subscriptions.code(secret, row)),
    }
