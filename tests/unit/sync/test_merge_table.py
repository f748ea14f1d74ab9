"""The conflict table of field sync, row by row as docs/reference/sync.md has it."""

from dataclasses import replace

import pytest

from city.lifecycle import OPEN
from city.settings import COUNTS, Settings
from sync.merge import (
    ASKS,
    ATTACH,
    FACTS,
    NOTHING,
    PROPOSES,
    RECORD_RECEIPT_ONLY,
    TABLE,
    TRANSITION,
    TRANSITION_AFTER_RESTORE,
    TRANSITION_UNDER_OLD_JOB,
    Rules,
    Situation,
    decide,
    rules_of,
)
from sync.protocol import APPLIED, DEPOSITED, MERGED, RECORDED

# A closing by the crew that still holds the job: nothing happened meanwhile.
CLOSING = Situation(
    kind="close", cycle=1, job=5, state="underway", case_cycle=1, live=5, live_is_ours=True, live_started=True
)
GIVEN_AWAY = replace(
    CLOSING, state="assigned", live=6, live_is_ours=False, live_started=False, job_ended="reassigned"
)
ROWS = {
    "the same assignment, whatever else changed": (CLOSING, APPLIED, TRANSITION, None),
    "put to wait by the office": (replace(CLOSING, state="waiting"), APPLIED, TRANSITION, None),
    "given back to the same crew": (replace(CLOSING, live=7), APPLIED, TRANSITION, None),
    "reassigned, B not started": (GIVEN_AWAY, APPLIED, TRANSITION_UNDER_OLD_JOB, "reassigned"),
    "reassigned, B started": (
        replace(GIVEN_AWAY, state="underway", live_started=True), RECORDED, ATTACH, "reassigned",
    ),
    "taken back, nobody holds it": (
        replace(GIVEN_AWAY, state="accepted", live=None), APPLIED, TRANSITION_UNDER_OLD_JOB, "unassigned",
    ),
    "reclassified or relocated, its crew keeps it": (
        replace(CLOSING, corrected=True), APPLIED, TRANSITION, "corrected",
    ),
    "reclassified, and its crew lost it": (
        replace(GIVEN_AWAY, state="accepted", live=None, job_ended="reclassified"), APPLIED,
        TRANSITION_UNDER_OLD_JOB, "corrected",
    ),
    "cancelled": (replace(CLOSING, state="cancelled", live=None), RECORDED, ATTACH, "cancelled"),
    "merged into M": (
        replace(CLOSING, state="merged", live=None, root="26-000009"), RECORDED, ATTACH, "merged",
    ),
    "closed by the same crew's other phone": (
        replace(CLOSING, state="closed", live=None, closed_by_us=True), MERGED, ATTACH, "closed",
    ),
    "closed by a dispatcher or another crew": (
        replace(CLOSING, state="closed", live=None), RECORDED, ATTACH, "closed",
    ),
    "reopened": (replace(CLOSING, case_cycle=2, state="accepted", live=None), RECORDED, ATTACH, "reopened"),
    "reopened and closed again by us": (
        replace(CLOSING, case_cycle=2, state="closed", live=None, closed_by_us=True), RECORDED, ATTACH,
        "reopened",
    ),
    "author removed or disabled": (replace(CLOSING, author_may=False), DEPOSITED, NOTHING, "author"),
    "erased for privacy": (replace(CLOSING, erased=True), RECORDED, RECORD_RECEIPT_ONLY, "erased"),
    "never this crew's job": (replace(GIVEN_AWAY, job=None), RECORDED, ATTACH, "not_your_job"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_closing_meets_what_happened_meanwhile(name: str) -> None:
    seen, result, effect, why = ROWS[name]
    decision = decide(seen)
    assert (decision.result, decision.effect, decision.why) == (result, effect, why)
    assert decision.to == seen.root
    # A person looks at whatever did not go the way the crew meant it; the crew's own second phone did, and
    # what is deposited is listed for its supervisor anyway.
    assert decision.review == (why is not None and result not in (MERGED, DEPOSITED))


@pytest.mark.parametrize("t", [t for t in ASKS if t != "close"])
def test_only_a_closing_acts_for_a_crew_that_lost_the_job(t: str) -> None:
    assert decide(replace(GIVEN_AWAY, kind=t)).result == RECORDED


@pytest.mark.parametrize(
    ("t", "state", "result"),
    [
        ("start", "assigned", APPLIED),
        ("start", "underway", APPLIED),  # done already: the verb says so and changes nothing
        ("start", "waiting", RECORDED),
        ("pause", "underway", APPLIED),
        ("pause", "waiting", RECORDED),
        ("resume", "waiting", APPLIED),
        ("resume", "underway", RECORDED),
        ("resume", "accepted", RECORDED),  # an earlier state is not the one that it asks for
        ("wait", "assigned", APPLIED),
        ("make_safe", "underway", APPLIED),
        ("make_safe", "waiting", RECORDED),
        ("needs_parts", "assigned", APPLIED),
        ("needs_parts", "waiting", RECORDED),
    ],
)
def test_a_step_backwards_is_recorded(t: str, state: str, result: str) -> None:
    decision = decide(replace(CLOSING, kind=t, state=state))
    assert decision.result == result
    assert decision.why == ("step_back" if result == RECORDED else None)


def test_a_wait_for_something_else_is_a_step_back() -> None:
    waiting = replace(CLOSING, kind="wait", state="waiting")
    assert decide(waiting).result == APPLIED
    assert decide(replace(waiting, waits_otherwise=True)).result == RECORDED


def test_what_has_no_effect_is_deposited_and_can_be_released() -> None:
    assert {row.result for row in TABLE if row.effect == NOTHING} == {DEPOSITED}
    assert {row.effect for row in TABLE if row.result == DEPOSITED} == {NOTHING}


def test_a_city_may_let_a_closing_count_although_the_case_was_cancelled() -> None:
    cancelled, (seen, *_) = Rules(cancelled=True), ROWS["cancelled"]
    decision = decide(replace(seen, rules=cancelled))
    assert (decision.result, decision.effect, decision.review) == (APPLIED, TRANSITION_AFTER_RESTORE, True)
    assert decide(replace(seen, rules=cancelled, job=None)).result == RECORDED
    for t in (t for t in ASKS if t != "close"):
        assert decide(replace(seen, rules=cancelled, kind=t)).result == RECORDED


@pytest.mark.parametrize("reassigned", COUNTS)
@pytest.mark.parametrize("cancelled", COUNTS)
def test_the_settings_say_which_closings_count(settings: Settings, reassigned: str, cancelled: str) -> None:
    chosen = rules_of(replace(settings, crew_reassigned=reassigned, crew_cancelled=cancelled))
    assert chosen == Rules(reassigned=reassigned == "done", cancelled=cancelled == "done")


def test_a_city_may_leave_a_reassigned_case_to_the_other_crew() -> None:
    assert decide(replace(GIVEN_AWAY, rules=Rules(reassigned=False))).result == RECORDED


@pytest.mark.parametrize("state", ["assigned", "closed", "cancelled", "merged", "accepted"])
@pytest.mark.parametrize("t", FACTS)
def test_notes_photos_and_times_always_attach(t: str, state: str) -> None:
    assert decide(replace(GIVEN_AWAY, kind=t, state=state, case_cycle=2)).result == APPLIED


PROPOSAL = replace(CLOSING, kind=PROPOSES)
PROPOSED = {
    "the case is as the crew knows it": (PROPOSAL, APPLIED, None),
    "someone is in danger": (replace(PROPOSAL, danger=True), APPLIED, None),
    "another crew has the job": (replace(GIVEN_AWAY, kind=PROPOSES), APPLIED, None),
    "no one has it": (replace(GIVEN_AWAY, kind=PROPOSES, live=None, state="accepted"), APPLIED, None),
    "it is so already": (replace(PROPOSAL, is_so=True), MERGED, "done"),
    "closed by the same crew": (
        replace(PROPOSAL, state="closed", live=None, closed_by_us=True), RECORDED, "closed",
    ),
    "closed, and so already": (
        replace(PROPOSAL, state="closed", live=None, is_so=True), RECORDED, "closed",
    ),
    "canceled": (replace(PROPOSAL, state="cancelled", live=None), RECORDED, "cancelled"),
    "canceled, where closings count": (
        replace(PROPOSAL, state="cancelled", live=None, rules=Rules(cancelled=True)), RECORDED, "cancelled",
    ),
    "merged": (replace(PROPOSAL, state="merged", live=None, root="26-000009"), RECORDED, "merged"),
    "reopened": (replace(PROPOSAL, case_cycle=2), RECORDED, "reopened"),
    "never this crew's": (replace(PROPOSAL, job=None, theirs=False), RECORDED, "not_your_job"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROPOSED)
def test_a_proposal_moves_nothing_whatever_happened_meanwhile(name: str) -> None:
    seen, result, why = PROPOSED[name]
    decision = decide(seen)
    assert (decision.result, decision.effect, decision.why) == (result, ATTACH, why)
    assert decision.review == (result == RECORDED)


def test_both_phones_of_a_crew_may_say_made_safe() -> None:
    said = replace(CLOSING, kind="make_safe", state="accepted", live=None, job_ended="made safe")
    assert decide(said).result == MERGED
    assert decide(replace(said, job_ended="reassigned")).result == RECORDED


def test_a_closed_cancelled_or_merged_case_never_moves() -> None:
    for t in (*ASKS, *FACTS):
        for state in ("closed", "cancelled", "merged"):
            for ours in (True, False):
                seen = replace(CLOSING, kind=t, state=state, live_is_ours=ours, closed_by_us=ours)
                assert decide(seen).effect not in (TRANSITION, TRANSITION_UNDER_OLD_JOB)


def test_every_row_can_be_reached() -> None:
    seen = [case for case, *_ in ROWS.values()]
    seen += [replace(CLOSING, kind=t, state=state) for t in (*ASKS, *FACTS) for state in OPEN]
    seen += [
        replace(GIVEN_AWAY, kind="start"),
        replace(CLOSING, kind="note", job=None, theirs=False),
        replace(GIVEN_AWAY, kind="make_safe", live=None, job_ended="made safe"),
        replace(CLOSING, state="cancelled", live=None, rules=Rules(cancelled=True)),
        replace(CLOSING, kind="wait", danger=True),
        PROPOSAL,
        replace(PROPOSAL, is_so=True),
    ]
    first = {next(n for n, row in enumerate(TABLE) if row.when(case)) for case in seen}
    assert first == set(range(len(TABLE)))
