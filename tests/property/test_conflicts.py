"""The conflict table, a property a row: whatever else is so, the row that fits decides."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from city.lifecycle import CANCELLED, CLOSED, MERGED, MOVES, OPEN, STATES
from sync import merge
from sync.merge import (
    ASKS,
    ATTACH,
    FACTS,
    NOTHING,
    RECORD_RECEIPT_ONLY,
    TABLE,
    TRANSITION,
    TRANSITION_AFTER_RESTORE,
    TRANSITION_UNDER_OLD_JOB,
    Decision,
    Rules,
    Situation,
)

numbers = st.none() | st.integers(1, 5)
anything = st.builds(
    Situation,
    kind=st.sampled_from([*ASKS, *FACTS]),
    cycle=numbers,
    job=numbers,
    state=st.sampled_from(list(STATES)),
    case_cycle=st.integers(1, 5),
    live=numbers,
    live_is_ours=st.booleans(),
    live_started=st.booleans(),
    author_may=st.booleans(),
    theirs=st.booleans(),
    erased=st.booleans(),
    root=st.none() | st.just("26-000009"),
    closed_by_us=st.booleans(),
    job_ended=st.none()
    | st.sampled_from(["reassigned", "reclassified", "relocated", "made safe", "needs parts", "closed"]),
    rules=st.builds(Rules, reassigned=st.booleans(), cancelled=st.booleans()),
    waits_otherwise=st.booleans(),
    danger=st.booleans(),
    corrected=st.booleans(),
)
# Whoever may act, on a case that is there, with work that is no fact, of the case's own cycle.
acting = anything.map(
    lambda c: replace(
        c, author_may=True, erased=False, kind=c.kind if c.kind in ASKS else "close", cycle=None, case_cycle=1
    )
)
# The same, on a case that is open and not this crew's any more.
lost = acting.map(
    lambda c: replace(
        c, job=c.job or 1, job_ended="reassigned", state=c.state if c.state in OPEN else "assigned",
        live_is_ours=False,
    )
)  # fmt: skip


def outcome(seen: Situation) -> tuple[str, str, str | None, bool]:
    told = merge.decide(seen)
    return told.result, told.effect, told.why, told.review


def says(seen: Situation, *told: Any) -> None:
    assert outcome(seen) == told


@given(anything)
def test_every_situation_has_an_answer_and_the_same_one_twice(seen: Situation) -> None:
    told = merge.decide(seen)
    assert isinstance(told, Decision)
    assert told == merge.decide(seen)
    assert (told.to is not None) == (seen.state == MERGED and seen.root is not None)


@given(anything)
def test_1_whoever_may_not_act_is_deposited(seen: Situation) -> None:
    says(replace(seen, author_may=False), "deposited", NOTHING, "author", False)


@given(anything)
def test_2_of_an_erased_case_nothing_is_kept_but_that_it_came(seen: Situation) -> None:
    says(replace(seen, author_may=True, erased=True), "recorded", RECORD_RECEIPT_ONLY, "erased", True)


@given(anything, st.sampled_from(FACTS))
def test_3_a_fact_always_attaches(seen: Situation, t: str) -> None:
    seen = replace(seen, author_may=True, erased=False, theirs=True, kind=t)
    says(seen, "applied", ATTACH, None, False)


@given(anything, st.sampled_from(FACTS))
def test_4_a_fact_on_a_case_of_others_is_looked_at(seen: Situation, t: str) -> None:
    seen = replace(seen, author_may=True, erased=False, theirs=False, kind=t)
    says(seen, "recorded", ATTACH, "not_your_job", True)


@given(acting, st.integers(2, 9))
def test_5_work_of_an_earlier_cycle_moves_nothing(seen: Situation, cycle: int) -> None:
    says(replace(seen, cycle=cycle - 1, case_cycle=cycle), "recorded", ATTACH, "reopened", True)


@given(acting)
def test_6_a_city_may_count_what_was_cancelled(seen: Situation) -> None:
    told = replace(seen, state=CANCELLED, kind="close", job=1, rules=Rules(cancelled=True))
    says(told, "applied", TRANSITION_AFTER_RESTORE, "cancelled", True)


@given(acting)
def test_7_a_cancelled_case_stays_cancelled(seen: Situation) -> None:
    told = replace(seen, state=CANCELLED, rules=Rules(cancelled=False))
    says(told, "recorded", ATTACH, "cancelled", True)


@given(acting)
def test_8_work_on_a_merged_case_goes_to_its_root(seen: Situation) -> None:
    told = replace(seen, state=MERGED, root="26-000009")
    says(told, "recorded", ATTACH, "merged", True)
    assert merge.decide(told).to == "26-000009"


@given(acting)
def test_9_the_crews_other_phone_adds_its_facts(seen: Situation) -> None:
    says(replace(seen, state=CLOSED, closed_by_us=True, kind="close"), "merged", ATTACH, "closed", False)


@given(acting, st.sampled_from(sorted(merge.ENDS)))
def test_10_a_job_that_had_ended_in_just_this_way_is_merged(seen: Situation, t: str) -> None:
    assume(seen.state not in (CANCELLED, MERGED))
    says(replace(seen, kind=t, job=1, job_ended=merge.ENDS[t]), "merged", ATTACH, "closed", False)


@given(acting)
def test_11_what_somebody_else_closed_stays_as_they_closed_it(seen: Situation) -> None:
    assume(seen.job_ended is None or seen.job_ended != merge.ENDS.get(seen.kind))
    says(replace(seen, state=CLOSED, closed_by_us=False), "recorded", ATTACH, "closed", True)


@given(acting)
def test_12_what_is_so_already_needs_no_decision(seen: Situation) -> None:
    assume(seen.state in OPEN)
    says(replace(seen, kind="propose", theirs=True, is_so=True), "merged", ATTACH, "done", False)


@given(acting)
def test_13_what_a_crew_proposes_waits_for_staff_whoever_has_the_job(seen: Situation) -> None:
    assume(seen.state in OPEN)
    says(replace(seen, kind="propose", theirs=True, is_so=False), "applied", ATTACH, None, False)


@given(acting, st.sampled_from(["wait", "needs_parts"]), st.sampled_from(["assigned", "underway"]))
def test_14_danger_waits_for_nothing_and_the_job_stays(seen: Situation, t: str, state: str) -> None:
    there = replace(
        seen, kind=t, state=state, live=1, job=1, live_is_ours=True, job_ended=None, danger=True,
        waits_otherwise=False,
    )  # fmt: skip
    says(there, "recorded", ATTACH, "danger", True)
    assert merge.decide(replace(there, danger=False)).effect == TRANSITION


@given(acting)
def test_15_what_was_done_under_another_type_or_place_counts_and_a_person_looks(seen: Situation) -> None:
    assume(seen.state in OPEN and not seen.waits_otherwise)
    told = replace(seen, kind="close", live=1, job=1, live_is_ours=True, job_ended=None, corrected=True)
    says(told, "applied", TRANSITION, "corrected", True)


@given(acting)
def test_16_the_crew_that_has_the_job_moves_it_on(seen: Situation) -> None:
    move, _ = ASKS[seen.kind]
    assume(seen.state in OPEN and seen.state in MOVES[move].sources)
    assume(not seen.danger or seen.kind not in ("wait", "needs_parts"))
    assume(not seen.waits_otherwise)
    assume(seen.kind != "close" or not seen.corrected)
    says(replace(seen, live=1, job=1, live_is_ours=True, job_ended=None), "applied", TRANSITION, None, False)


@given(acting)
@pytest.mark.slow
def test_17_a_step_back_is_only_kept(seen: Situation) -> None:
    move, leads_to = ASKS[seen.kind]
    assume(seen.state in OPEN and seen.state not in MOVES[move].sources and seen.state != leads_to)
    told = replace(seen, live=1, job=1, live_is_ours=True, job_ended=None)
    says(told, "recorded", ATTACH, "step_back", True)


@given(acting)
def test_18_work_without_a_job_is_only_kept(seen: Situation) -> None:
    assume(seen.state in OPEN)
    told = replace(seen, job=None, job_ended=None, live_is_ours=False)
    says(told, "recorded", ATTACH, "not_your_job", True)


@given(lost)
def test_19_of_a_job_that_was_taken_away_only_a_closing_counts(seen: Situation) -> None:
    assume(seen.kind != "close")
    says(seen, "recorded", ATTACH, "reassigned", True)


@given(lost, st.sampled_from(["reclassified", "relocated"]))
def test_20_taken_away_since_it_is_another_problem_it_is_done_by_who_did_it(
    seen: Situation, why: str
) -> None:
    told = replace(seen, kind="close", live=None, job_ended=why)
    says(told, "applied", TRANSITION_UNDER_OLD_JOB, "corrected", True)


@given(lost)
def test_21_taken_away_and_given_to_nobody_it_is_done_by_who_did_it(seen: Situation) -> None:
    says(replace(seen, kind="close", live=None), "applied", TRANSITION_UNDER_OLD_JOB, "unassigned", True)


@given(lost)
def test_22_given_to_a_crew_that_has_not_begun_it_is_done_by_who_did_it(seen: Situation) -> None:
    told = replace(seen, kind="close", live=2, live_started=False, rules=Rules(reassigned=True))
    says(told, "applied", TRANSITION_UNDER_OLD_JOB, "reassigned", True)


@given(lost, st.booleans(), st.booleans())
def test_23_given_to_a_crew_that_has_begun_or_where_the_city_wills_it_so_it_is_kept(
    seen: Situation, begun: bool, counts: bool
) -> None:
    assume(begun or not counts)
    told = replace(seen, kind="close", live=2, live_started=begun, rules=Rules(reassigned=counts))
    says(told, "recorded", ATTACH, "reassigned", True)


def test_the_table_has_a_property_for_every_row() -> None:
    here = [name for name in globals() if name.startswith("test_") and name.split("_")[1].isdecimal()]
    assert sorted(int(name.split("_")[1]) for name in here) == list(range(1, len(TABLE) + 1))


@pytest.mark.parametrize("state", [state for state in STATES if state not in OPEN])
def test_closed_cancelled_and_merged_cases_change_only_by_the_table(state: str) -> None:
    """Nothing but the city's own rule about cancelled ones lets a phone move a case that is not open."""
    for t in ASKS:
        seen = Situation(kind=t, cycle=1, job=1, state=state, case_cycle=1, live=1, live_is_ours=True)
        assert merge.decide(seen).effect == ATTACH
