"""Periods: which moments a person means, and what is no period."""

from datetime import UTC, date, datetime

import pytest

from mpesa.domain.period import BadPeriod, Fault, Named, Period, read

TODAY = date(2026, 11, 24)  # a Tuesday


def test_a_day_is_nairobis_from_midnight_to_midnight():
    day = Period(TODAY, TODAY)

    assert day.begin == datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert day.end == datetime(2026, 11, 24, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("today", "name", "first", "last"),
    [
        ("2026-11-24", "today", "2026-11-24", "2026-11-24"),
        ("2026-11-24", "yesterday", "2026-11-23", "2026-11-23"),
        ("2027-01-01", "yesterday", "2026-12-31", "2026-12-31"),
        ("2026-11-24", "7days", "2026-11-18", "2026-11-24"),
        ("2026-11-24", "month", "2026-11-01", "2026-11-24"),
        ("2026-11-01", "month", "2026-11-01", "2026-11-01"),
        ("2026-11-24", "last_month", "2026-10-01", "2026-10-31"),
        ("2026-01-31", "last_month", "2025-12-01", "2025-12-31"),
        ("2028-03-31", "last_month", "2028-02-01", "2028-02-29"),
    ],
)
def test_a_name_moves_with_the_day(today, name, first, last):
    found = read({"period": name}, date.fromisoformat(today))

    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)
    assert found.query == {"period": name}


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({"from": "2026-11-01", "to": "2026-11-30"}, "2026-11-01", "2026-11-30"),
        ({"from": "2026-11-24", "to": "2026-11-24", "period": ""}, "2026-11-24", "2026-11-24"),
        ({"from": "2026-11-01"}, "2026-11-01", "2026-11-24"),
        ({"from": "2026-12-01", "to": ""}, "2026-12-01", "2026-12-01"),
        ({"day": "2026-11-02"}, "2026-11-02", "2026-11-02"),
    ],
)
def test_days_are_both_included_and_read_again_as_they_were_written(query, first, last):
    found = read(query, TODAY)

    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)
    assert read(found.query, TODAY) == found


@pytest.mark.parametrize("query", [{}, {"period": ""}, {"from": "", "to": "", "day": ""}])
def test_an_address_may_name_no_period(query):
    assert read(query, TODAY) is None


@pytest.mark.parametrize(
    ("query", "field", "fault"),
    [
        ({"period": "fortnight"}, "period", Fault.UNKNOWN_NAME),
        ({"from": "24.11.2026", "to": "2026-11-24"}, "from", Fault.NO_DAY),
        ({"from": "2026-02-29"}, "from", Fault.NO_DAY),
        ({"from": "20261124"}, "from", Fault.NO_DAY),
        ({"from": "2026-W48-2"}, "from", Fault.NO_DAY),
        ({"from": "\u0662\u0660\u0662\u0666-11-24"}, "from", Fault.NO_DAY),
        ({"from": "2026-11-24", "to": "tomorrow"}, "to", Fault.NO_DAY),
        ({"from": "0001-01-01"}, "from", Fault.NO_DAY),
        ({"from": "2026-11-24", "to": "9999-12-31"}, "to", Fault.NO_DAY),
        ({"day": "yesterday"}, "day", Fault.NO_DAY),
        ({"to": "2026-11-24"}, "from", Fault.FROM_IS_MISSING),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "to", Fault.FROM_AFTER_TO),
    ],
)
def test_what_is_no_period_says_which_field_to_change(query, field, fault):
    with pytest.raises(BadPeriod) as refused:
        read(query, TODAY)

    assert (refused.value.field, refused.value.fault) == (field, fault)


def test_the_days_of_a_period_are_in_order():
    assert Period(date(2026, 10, 31), date(2026, 11, 2)).days == [
        date(2026, 10, 31),
        date(2026, 11, 1),
        date(2026, 11, 2),
    ]


def test_every_name_is_a_period():
    assert all(read({"period": each.value}, TODAY).name is each for each in Named)
