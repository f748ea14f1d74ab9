"""When the line is open: pauses, nights, holidays, the city's own days, and the two days a year that lie."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from city.config import business_hours
from city.config.business_hours import Calendar, Span

HERE = ZoneInfo("America/New_York")
DAY: tuple[Span, ...] = ((time(7), time(19)),)
NEVER: tuple[Span, ...] = ()
WEEKDAYS = Calendar(HERE, (DAY, DAY, DAY, DAY, DAY, NEVER, NEVER))
ALWAYS = Calendar(HERE, (((time(), time()),),) * 7)
NEW_YORK = Calendar(
    HERE, WEEKDAYS.hours, "US", "NY", frozenset({"Columbus Day"}), frozenset({date(2026, 12, 24)})
)


def at(words: str) -> datetime:
    """ "2026-05-12 07:00" on the city's clocks, as an instant."""
    return datetime.fromisoformat(words).replace(tzinfo=HERE).astimezone(UTC)


def test_it_opens_with_the_first_minute_and_closes_before_the_last() -> None:
    assert [
        business_hours.is_open(WEEKDAYS, at(f"2026-05-12 {clock}"))
        for clock in ("06:59", "07:00", "18:59", "19:00")
    ] == [False, True, True, False]
    assert business_hours.closing(WEEKDAYS, at("2026-05-12 09:30")) == at("2026-05-12 19:00")


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        ("2026-05-12 03:00", "2026-05-12 07:00"),  # Tuesday, before dawn
        ("2026-05-12 19:00", "2026-05-13 07:00"),
        ("2026-05-15 20:00", "2026-05-18 07:00"),  # Friday night → Monday
        ("2026-05-12 09:30", "2026-05-12 09:30"),  # it is open
    ],
)
def test_the_next_opening_is_the_one_people_would_name(asked: str, opens: str) -> None:
    assert business_hours.next_opening(WEEKDAYS, at(asked)) == at(opens)


@pytest.mark.parametrize(
    ("free", "opens"),
    [
        ("2026-11-26", "2026-11-27 07:00"),  # Thanksgiving
        ("2026-07-03", "2026-07-06 07:00"),  # the Fourth is a Saturday, so Friday is free
        ("2026-12-24", "2026-12-28 07:00"),  # the city's own day, then Christmas, then a weekend
        ("2026-12-31", "2026-12-31 10:00"),  # no holiday
        ("2027-01-01", "2027-01-04 07:00"),  # the holidays of the next year are known as well
        ("2026-10-12", "2026-10-12 10:00"),  # Columbus Day, on which this city works
    ],
)
def test_holidays_are_free_and_so_are_the_citys_own_days(free: str, opens: str) -> None:
    assert business_hours.next_opening(NEW_YORK, at(f"{free} 10:00")) == at(opens)


def test_a_state_has_holidays_that_the_country_has_not() -> None:
    country = Calendar(HERE, WEEKDAYS.hours, "US")
    lincoln = at("2026-02-12 10:00")
    assert business_hours.is_open(country, lincoln)
    assert not business_hours.is_open(NEW_YORK, lincoln)


def test_a_pause_at_noon_closes_it() -> None:
    hours: tuple[Span, ...] = ((time(8), time(12)), (time(13), time(17)))
    split = Calendar(HERE, (hours,) * 7)
    assert business_hours.closing(split, at("2026-05-12 09:00")) == at("2026-05-12 12:00")
    assert business_hours.next_opening(split, at("2026-05-12 12:30")) == at("2026-05-12 13:00")


def test_a_night_shift_runs_through_midnight() -> None:
    hours: tuple[Span, ...] = ((time(), time(2)), (time(18), time()))
    night = Calendar(HERE, (hours,) * 7)
    assert business_hours.closing(night, at("2026-05-12 23:00")) == at("2026-05-13 02:00")
    assert not business_hours.is_open(night, at("2026-05-13 02:00"))


def test_what_is_always_open_closes_at_the_end_of_what_is_looked_at() -> None:
    asked = at("2026-05-12 09:30")
    closing = business_hours.closing(ALWAYS, asked)
    assert closing is not None
    assert (closing - asked).days > 365


def test_what_never_opens_says_so() -> None:
    never = Calendar(HERE, (NEVER,) * 7)
    assert business_hours.next_opening(never, at("2026-05-12 09:30")) is None
    assert not business_hours.is_open(never, at("2026-05-12 09:30"))


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 11), ("2026-03-09", 12), ("2026-11-01", 13), ("2026-11-02", 12)]
)
def test_a_day_that_changes_its_clocks_still_opens_and_closes_by_them(day: str, hours: int) -> None:
    """A span through the small hours is an hour shorter in March and an hour longer in November."""
    hours_of_day: tuple[Span, ...] = ((time(1), time(13)),)
    early = Calendar(HERE, (hours_of_day,) * 7)
    opens = business_hours.next_opening(early, at(f"{day} 00:10"))
    assert opens == at(f"{day} 01:00")
    closes = business_hours.closing(early, opens)
    assert closes == at(f"{day} 13:00")
    assert (closes - opens).total_seconds() == hours * 3600


def test_an_hour_that_does_not_exist_is_the_one_after_it() -> None:
    hours: tuple[Span, ...] = ((time(2, 30), time(9)),)
    early = Calendar(HERE, (hours,) * 7)
    assert business_hours.next_opening(early, at("2026-03-08 00:00")) == at("2026-03-08 03:30")


def test_the_city_counts_in_its_own_zone_whatever_the_instant_is_written_in() -> None:
    tokyo = at("2026-05-12 09:30").astimezone(ZoneInfo("Asia/Tokyo"))
    assert business_hours.is_open(WEEKDAYS, tokyo)
    assert business_hours.closing(WEEKDAYS, tokyo) == at("2026-05-12 19:00")


def test_eight_hours_from_friday_noon_end_on_monday_afternoon() -> None:
    eight = timedelta(hours=8)
    assert business_hours.add(WEEKDAYS, at("2026-05-15 12:00"), eight) == at("2026-05-18 08:00")
    assert business_hours.add(WEEKDAYS, at("2026-05-16 12:00"), eight) == at("2026-05-18 15:00")
    assert business_hours.between(WEEKDAYS, at("2026-05-15 12:00"), at("2026-05-18 08:00")) == eight
    assert business_hours.between(WEEKDAYS, at("2026-05-18 08:00"), at("2026-05-15 12:00")) == -eight


def test_hours_that_a_day_just_holds_end_with_that_day() -> None:
    assert business_hours.add(WEEKDAYS, at("2026-05-15 07:00"), timedelta(hours=12)) == at("2026-05-15 19:00")
    assert business_hours.add(WEEKDAYS, at("2026-05-16 10:00"), timedelta()) == at("2026-05-16 10:00")


def test_what_is_never_open_long_enough_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(ValueError, match="isn't open for"):
        business_hours.add(Calendar(HERE, (NEVER,) * 7), at("2026-05-12 09:30"), timedelta(hours=1))
    skipped: tuple[Span, ...] = ((time(2, 15), time(2, 30)),)
    sundays = Calendar(HERE, (*(NEVER,) * 6, skipped))
    with pytest.raises(ValueError, match="isn't open for"):
        business_hours.add(sundays, at("2026-05-12 09:30"), timedelta(hours=2000))
    with pytest.raises(ValueError, match="less than none"):
        business_hours.add(WEEKDAYS, at("2026-05-12 09:30"), -timedelta(hours=1))


def test_spans_that_the_clocks_push_into_each_other_count_once() -> None:
    hours: tuple[Span, ...] = ((time(1), time(2, 30)), (time(3), time(4)))
    nights = Calendar(HERE, (hours,) * 7)
    assert business_hours.between(nights, at("2026-03-08 00:00"), at("2026-03-08 12:00")) == timedelta(
        hours=2
    )
    assert business_hours.between(nights, at("2026-03-09 00:00"), at("2026-03-09 12:00")) == timedelta(
        hours=2.5
    )
