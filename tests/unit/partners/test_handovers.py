"""A partner's job from its link to its end: who may say what, and that nothing of it is lost or doubled."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import Scene, Town
from sqlalchemy import select

from city.audit import events
from city.cases import sla, transitions
from city.cases.transitions import Closing
from city.db.models import AccountLetter, Area, Case, Partner, PartnerLink, Tally
from city.lifecycle import ACCEPTED, ASSIGNED, CLOSED, PARTNER_DONE, PARTNER_REFUSED, Refused
from city.partners import handovers, telling
from city.people import accounts, partners

pytestmark = pytest.mark.both_databases

SECRET = "s" * 32
DAY = timedelta(days=1)
DARK = Closing("fixed", no_photo="dark", words="New lamp")


def add(town: Town, **changes: Any) -> int:
    told: dict[str, Any] = {"name": "Ace Paving", "email": "office@ace.example", "lang": "en"} | changes
    with town.at_work() as scene:
        by = scene.actor("administrator")
        row = partners.save(scene.s, None, department=None, by=by, at=town.now, **told)
        return row.crew_id


@pytest.fixture
def ace(town: Town) -> int:
    return add(town)


def hand_over(town: Town, crew_id: int, **report: Any) -> str:
    with town.at_work() as scene:
        case = scene.report(**report).case
        give(scene, case, crew_id)
        return case.number


def give(scene: Scene, case: Case, crew_id: int) -> None:
    crew = scene.s.get_one(Partner, crew_id).crew
    transitions.assign(scene.s, case, crew, by=scene.actor("dispatcher"), at=scene.town.now)


def tell(town: Town, after: timedelta = timedelta()) -> list[str]:
    """What the worker wrote: the tokens of the new letters."""
    with town.looking() as scene:
        known = set(scene.s.scalars(select(AccountLetter.id)))
    telling.tell_due(town.engine, town.now + after)
    with town.looking() as scene:
        new = scene.s.scalars(select(AccountLetter).where(AccountLetter.id.not_in(known)))
        links = [scene.s.get_one(PartnerLink, each.facts["link"]) for each in new]
        return [partners.token_of(link, SECRET) for link in links]


def act(town: Town, token: str, number: str, verb: Callable[..., Any], *more: Any, at: Any = None) -> Any:
    at = at or town.now
    with town.at_work() as scene:
        opened = partners.by_token(scene.s, token, SECRET, at=at)
        assert opened
        return verb(scene.s, *opened, scene.case(number), *more, at=at)


def kinds(town: Town, number: str) -> list[str]:
    with town.looking() as scene:
        story = events.of(scene.s, events.of_case(scene.case(number).id))
        return [event.kind for event, _words in story]


def test_a_partner_accepts_does_the_work_and_staff_take_it(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    (token,) = tell(town)
    assert tell(town) == [], "one letter a job"
    assert act(town, token, number, handovers.accept)
    assert not act(town, token, number, handovers.accept)
    with town.looking() as scene:
        due = scene.case(number).due_at
        assert sla.open_pause(scene.case(number)) is None, "the promise goes on counting"
    later = town.now + DAY
    assert act(town, token, number, handovers.done, DARK, at=later)
    assert not act(town, token, number, handovers.done, DARK, at=later)
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review, case.due_at) == (ASSIGNED, PARTNER_DONE, due)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        assert handovers.take_as_done(scene.s, scene.case(number), by=by, at=later + DAY)
    with town.looking() as scene:
        case = scene.case(number)
        closing = case.closures[-1]
        assert (case.state, case.review, case.outcome) == (CLOSED, None, "fixed")
        assert (closing.crew_id, closing.words, closing.no_photo) == (ace, "New lamp", "dark")
        assert (closing.done_at, closing.closed_at) == (later, later + DAY)
        counts = dict(scene.s.execute(select(Tally.what, Tally.n).where(Tally.facet == "city")).all())
        assert (counts["closed"], counts["by partner"], counts["by partner kept"]) == (1, 1, 1)
    assert kinds(town, number)[-3:] == ["partner accepted", "partner done", "close"]
    town.is_right()


def test_what_is_sent_back_comes_with_a_new_link_and_why(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    (token,) = tell(town)
    act(town, token, number, handovers.done, DARK)
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.case(number)
        with pytest.raises(Refused, match="why_refused"):
            handovers.send_back(scene.s, case, " ", by=by, at=town.now)
        handovers.send_back(scene.s, case, "The cone is still there", by=by, at=town.now)
        assert case.review is None
        with pytest.raises(Refused, match="handover_moved"):
            handovers.take_as_done(scene.s, case, by=by, at=town.now)
    (again,) = tell(town)
    assert again != token
    with town.looking() as scene:
        ((_, words),) = handovers.said(scene.s, scene.case(number), handovers.SENT_BACK)
        assert words["words"] == "The cone is still there"
    assert act(town, again, number, handovers.done, DARK)


def test_a_partner_that_needs_no_acceptance_closes_the_case(town: Town) -> None:
    ace = add(town, needs_acceptance=False)
    number = hand_over(town, ace)
    (token,) = tell(town)
    with pytest.raises(Refused, match="evidence_missing"):
        act(town, token, number, handovers.done, Closing("fixed"))
    assert act(town, token, number, handovers.done, DARK)
    with town.looking() as scene:
        assert scene.case(number).closures[-1].crew_id == ace
    town.is_right()


def test_a_refusal_says_why_and_brings_the_case_back_to_staff(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    (token,) = tell(town)
    with pytest.raises(Refused, match="why_refused"):
        act(town, token, number, handovers.refuse, "")
    act(town, token, number, handovers.refuse, "Not our contract")
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review) == (ACCEPTED, PARTNER_REFUSED)
        event, words = events.of(scene.s, events.of_case(case.id))[-1]
        assert (event.actor, words["words"]) == (f"partner:{ace}", "Not our contract")
    with pytest.raises(Refused, match="handover_moved"):
        act(town, token, number, handovers.done, DARK)
    town.is_right()


def test_a_link_opens_its_own_job_only_and_ends(town: Town, ace: int) -> None:
    number, other = hand_over(town, ace), hand_over(town, ace)
    mine, _ = tell(town)
    with town.at_work() as scene:
        opened = partners.by_token(scene.s, mine, SECRET, at=town.now)
        assert opened
        assert [job.case.number for job in handovers.jobs(scene.s, *opened)] == [number]
        late = town.now + partners.ONE_LASTS
        assert partners.by_token(scene.s, mine, SECRET, at=late - DAY)
        assert partners.by_token(scene.s, mine, SECRET, at=late) is None
        for wrong in ("", mine[:-1], mine[:22], mine[:-1] + ("A" if mine[-1] != "A" else "B"), "x" * 44):
            assert partners.by_token(scene.s, wrong, SECRET, at=town.now) is None, wrong
        assert partners.by_token(scene.s, mine, "t" * 32, at=town.now) is None
        handovers.revoke(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
        assert partners.by_token(scene.s, mine, SECRET, at=town.now) is None
    assert other


def test_many_jobs_at_once_come_in_one_letter(town: Town, ace: int) -> None:
    numbers = [hand_over(town, ace) for _ in range(telling.SINGLE + 1)]
    (token,) = tell(town)
    with town.looking() as scene:
        opened = partners.by_token(scene.s, token, SECRET, at=town.now)
        assert opened
        assert [job.case.number for job in handovers.jobs(scene.s, *opened)] == numbers
    act(town, token, numbers[0], handovers.accept)


def test_what_a_partner_does_not_take_is_not_given_to_it(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Area(kind="neighborhood", name="Elm", geometry={"type": "Polygon", "coordinates": []}))
    ace = add(town, services=["limb-down"], areas=["Elm"])
    with town.at_work() as scene:
        dark, secret = scene.report().case, scene.report(service_code="nuisance").case
        limb = scene.report(service_code="limb-down").case
        for case, code in ((dark, "partner_service"), (secret, "partner_private"), (limb, "partner_area")):
            with pytest.raises(Refused, match=code):
                give(scene, case, ace)
        row = scene.s.get_one(Partner, ace)
        partners.save(
            scene.s, row.crew, name="Ace", department=None, email=row.email, lang="en", is_active=False,
            by=scene.actor("administrator"), at=town.now,
        )  # fmt: skip
        with pytest.raises(Refused, match="partner_off"):
            give(scene, dark, ace)


def test_another_address_or_an_end_of_the_contract_ends_every_link(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    (token,) = tell(town)
    with town.at_work() as scene:
        row, by = scene.s.get_one(Partner, ace), scene.actor("administrator")
        partners.save(
            scene.s, row.crew, name="Ace Paving", department=None, email="new@ace.example", lang="es", by=by,
            at=town.now,
        )  # fmt: skip
        assert partners.by_token(scene.s, token, SECRET, at=town.now) is None
        handovers.send_again(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    (token,) = tell(town)
    with town.looking() as scene:
        assert scene.s.scalars(select(AccountLetter)).all()[-1].email == "new@ace.example"
        assert partners.by_token(scene.s, token, SECRET, at=town.now)


def test_a_job_that_was_taken_away_is_gone_from_the_link(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    (token,) = tell(town)
    act(town, token, number, handovers.done, DARK)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.assign(scene.s, scene.case(number), scene.crew("lights"), by=by, at=town.now)
        assert scene.case(number).review is None, "somebody has decided"
    with pytest.raises(Refused, match="handover_moved"):
        act(town, token, number, handovers.accept)
    with town.looking() as scene:
        opened = partners.by_token(scene.s, token, SECRET, at=town.now)
        assert opened
        assert handovers.jobs(scene.s, *opened) == []


def test_staff_hear_where_a_mailbox_takes_no_letter(town: Town, ace: int) -> None:
    number = hand_over(town, ace)
    tell(town)
    with town.at_work() as scene:
        link = scene.s.scalars(select(PartnerLink)).one()
        handovers.undelivered(scene.s, link.id, "550 no such user", at=town.now)
    with town.at_work() as scene:
        assert scene.case(number).review == handovers.UNREACHED
        handovers.send_again(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
        assert scene.case(number).review is None
    assert len(tell(town)) == 1


def test_only_administrators_make_partners_and_nobody_belongs_to_one(town: Town, ace: int) -> None:
    with town.at_work() as scene:
        told: dict[str, Any] = {"department": None, "email": "a@b.example", "lang": "en", "at": town.now}
        with pytest.raises(Refused, match="not_allowed"):
            partners.save(scene.s, None, name="B", by=scene.actor("dispatcher"), **told)
        by = scene.actor("administrator")
        with pytest.raises(Refused, match="partner_people"):
            partners.save(scene.s, scene.crew("lights"), name="lights", by=by, **told)
        with pytest.raises(Refused, match="unknown_value"):
            partners.save(scene.s, None, name="B", by=by, services=["nuisance"], **told)
        with pytest.raises(Refused, match="bad_email"):
            partners.save(scene.s, None, name="B", by=by, **told | {"email": "nobody"})
        with pytest.raises(Refused, match="known_crew"):
            partners.save(scene.s, None, name="Ace Paving", by=by, **told)
        assert accounts.STAFF.count("partner") == 0
