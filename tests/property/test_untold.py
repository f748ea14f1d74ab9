"""What is not told of areas cannot be worked out: every table that people see has more than one telling."""

from collections import defaultdict
from itertools import product

import hypothesis.strategies as st
import pytest
from hypothesis import given

from city.metrics.metrics import SUPPRESSION_THRESHOLD, protected_without, suppressed_rows

pytestmark = pytest.mark.both_databases

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 40), min_size=2)


@pytest.mark.parametrize(("rows", "most"), [(2, 12), (3, 9), (4, 7)])
def test_whoever_sees_a_table_and_its_sum_knows_no_number_that_is_hidden(rows: int, most: int) -> None:
    """Of all tables there are, those that look alike are told apart by nothing: not even by how we hide."""
    alike = defaultdict(list)
    for values in product(range(most + 1), repeat=rows):
        hidden = suppressed_rows(dict(zip("abcd", values, strict=False)))
        seen = tuple(None if row in hidden else n for row, n in zip("abcd", values, strict=False))
        if sum(values) <= most:  # of a larger sum not all tables are here
            alike[sum(values), seen].append(values)
    assert len(alike) > most
    for (_sum, seen), tables in alike.items():
        for column, shown in enumerate(seen):
            assert shown is not None or len({values[column] for values in tables}) > 1, (seen, tables)


@pytest.mark.parametrize(("rows", "most"), [(2, 20), (3, 16), (4, 14)])
@pytest.mark.parametrize("own", ["a", "ab"])
def test_a_manager_who_is_told_the_own_rows_knows_no_small_number_of_others(
    own: str, rows: int, most: int
) -> None:
    alike = defaultdict(list)
    for values in product(range(most + 1), repeat=rows):
        if sum(values) > most:
            continue
        counts = dict(zip("abcd", values, strict=False))
        hidden = suppressed_rows(counts)
        if not protected_without(counts, hidden, own):
            continue  # then a manager reads what everybody reads
        hidden -= set(own)
        seen = tuple(None if row in hidden else n for row, n in counts.items())
        alike[sum(values), seen].append(values)
    for (_sum, seen), tables in alike.items():
        for column, row in enumerate("abcd"[:rows]):
            if seen[column] is None and row not in own:
                known = {values[column] for values in tables}
                few = any(0 < n < SUPPRESSION_THRESHOLD for n in known)
                assert not few or len(known) > 1, (seen, tables)


@given(COUNTS)
def test_hidden_is_what_is_few_and_never_one_alone(counts: dict[str, int]) -> None:
    hidden = suppressed_rows(counts)
    assert {row for row, n in counts.items() if n and n < SUPPRESSION_THRESHOLD} <= hidden
    assert len(hidden) != 1
    told = [n for row, n in counts.items() if row not in hidden]
    also = [counts[row] for row in hidden if counts[row] >= SUPPRESSION_THRESHOLD]
    assert not also or all(n == 0 or n > max(also) for n in told), "no larger one is hidden for a smaller"


def test_nothing_is_hidden_where_nothing_is_few() -> None:
    assert suppressed_rows({"a": 0, "b": 5, "c": 50}) == set()
    assert suppressed_rows({"a": 4, "b": 5, "c": 5, "d": 50, "e": 0}) == {"a", "b", "c"}
    assert suppressed_rows({"a": 1, "b": 0}) == {"a", "b"}
