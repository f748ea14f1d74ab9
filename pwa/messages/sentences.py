"""How a case stands, in whole sentences, as letters say it. Shorter words are in web/formatting.py."""

from flask_babel import gettext as _

from city.cases.queries import PublicCase
from city.lifecycle import CANCELLED, CLOSED, MERGED, WAITING
from pwa.web import access, formatting, localization, states


def standing_sentence(sight: PublicCase) -> str:
    """The promise, or why there is none now, or how the case ended; to its reporter as "you"."""
    day = formatting.new_date(sight)
    if day and sight.state != WAITING and sight.due_at >= access.now():
        return f"{_will(sight, day)} {_('We first said %(day)s.', day=formatting.promised_day(sight))}"
    return f"{_standing(sight)} {_('The new date is %(day)s.', day=day)}" if day else _standing(sight)


def _standing(sight: PublicCase) -> str:
    if sight.state == CLOSED:
        return ended(sight)
    if sight.state == MERGED:
        return _("This was already reported.")
    if sight.state == CANCELLED:
        return _("This report was canceled.")
    if sight.state == WAITING:
        return f"{_late(sight)} {_waits(sight)}" if sight.standing == "late" else _waits(sight)
    if sight.due_at < access.now():
        return _late(sight)
    return _will(sight, formatting.promised_day(sight))


def _will(sight: PublicCase, day: str) -> str:
    office = sight.service.office
    return _("We'll answer you by %(day)s.", day=day) if office else _("We'll fix it by %(day)s.", day=day)


def _late(sight: PublicCase) -> str:
    if sight.service.office:
        return _(
            "We said we'd answer you by %(day)s. We're running late.", day=formatting.promised_day(sight)
        )
    return _("We said we'd fix it by %(day)s. We're running late.", day=formatting.promised_day(sight))


def ended(sight: PublicCase) -> str:
    """How a case was closed."""
    outcome, office = sight.proof.outcome if sight.proof else "", sight.service.office
    words = {
        "answered": _("We answered your question."),
        "fixed": _("The problem you reported is fixed.") if sight.mine else _("This problem is fixed."),
        "not found": _("We checked and found nothing."),
        "not ours": _("This isn't the city's to fix."),
        "no action": _("We closed this without taking action."),
    }
    if office:
        words |= {
            "not ours": _("The city can't answer this question."),
            "no action": _("We closed this without an answer."),
        }
    return words.get(outcome, _("This report is closed."))


def no_photo(sight: PublicCase) -> str:
    """Why no photo shows what was done; empty where one does, or nobody said."""
    words = {
        "unsafe": _("No photo: it wasn't safe to take one."),
        "dark": _("No photo: it was too dark."),
        "nothing to see": _("No photo: there was nothing to show."),
    }
    return words.get((sight.proof and sight.proof.no_photo) or "", "")


def reopened(sight: PublicCase) -> str:
    """That a closed case is open again, and what follows."""
    if sight.service.office:
        return _("We reopened your question, and someone will get back to you.")
    return _("This report is open again, and a dispatcher will review it.")


def asks_you(sight: PublicCase) -> str:
    """That somebody at the city asks its reporter something."""
    if sight.service.office:
        return _("We need one more thing to answer your question.")
    return _("We have a question about your report.")


def has_update(sight: PublicCase) -> str:
    """That somebody at the city wrote how it goes on."""
    return (
        _("There's an update on your question.")
        if sight.service.office
        else _("There's an update on your report.")
    )


def corrected(sight: PublicCase) -> str:
    """As what and where a report is handled by now."""
    if day := formatting.new_date(sight):
        why = formatting.waits_for(sight.rescheduled_for)
        return _("Your report has a new date: %(day)s. %(reason)s.", day=day, reason=why)
    what, where = localization.said(sight.service.names), formatting.place(sight.address)
    if where:
        return _("We corrected your report. It's now “%(what)s” at %(where)s.", what=what, where=where)
    return _("We corrected your report. It's now “%(what)s.”", what=what)


def changed(sight: PublicCase) -> str:
    """What is new of an open case, as a letter says it first; the promise follows it."""
    return states.of(sight.state).news or standing_sentence(sight)


def headline(sight: PublicCase) -> str:
    """The same in a few words, as a letter's subject has it."""
    return states.of(sight.state).subject or formatting.promise(sight)


def question(sight: PublicCase) -> dict[str, str]:
    """What a closing asks its reporter: `see`, `asks`, `yes` and `no`; no `yes` where nothing was done."""
    done = "answered" if sight.service.office else "fixed"
    outcome = sight.proof.outcome if sight.proof else done
    if outcome == "answered":
        return {
            "see": _("Read the answer"),
            "asks": _("Is your question answered?"),
            "yes": _("Yes, it's answered"),
            "no": _("No, it's not answered"),
        }
    if outcome == "fixed":
        return {
            "see": _("See what was done"),
            "asks": _("Is it fixed?"),
            "yes": _("Yes, it's fixed"),
            "no": _("No, it's not fixed"),
        }
    return {"see": _("See the report"), "asks": _("Did we get it wrong?"), "yes": "", "no": _("Let us know")}


def _waits(sight: PublicCase) -> str:
    owner = formatting.owner(sight) if sight.wait_reason == "utility" and not sight.passed_to else None
    if owner:
        return _("It's on hold: waiting for %(name)s.", name=localization.apart(owner.name))
    if not sight.wait_reason:
        return _("It's on hold.")
    why = formatting.waits_for(sight.wait_reason, mine=sight.mine, passed_to=sight.passed_to)
    return _("It's on hold. %(why)s.", why=why)
