"""Time as Azure tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.arm_http import by_azures_clock, http_date, retry_after_seconds

NOW = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  timezones adds it


@given(
    began=moments,
    lasted=st.timedeltas(timedelta(), timedelta(minutes=2)),
    looked=st.floats(0, 1),
    offset=st.timedeltas(timedelta(days=-3000), timedelta(days=3000)),
)
def test_holds_the_moment_at_which_azure_looked(began: datetime, lasted: timedelta, looked: float, offset: timedelta) -> None:
    """Whatever the local clock shows, the interval holds the true moment; to within 3 s where the clock is taken as right."""
    true_moment = began + lasted * looked
    started, finished = by_azures_clock(began + offset, began + lasted + offset, true_moment.replace(microsecond=0))
    slack = timedelta() if (started, finished) != (began + offset, began + lasted + offset) else lasted + 3 * SECOND
    assert started - slack <= true_moment <= finished + slack


def test_keeps_parts_of_a_second_where_the_clocks_agree() -> None:
    """A Date header knows whole seconds only, so a good local clock is better than it."""
    started, finished = NOW + 0.4 * SECOND, NOW + 0.6 * SECOND
    assert by_azures_clock(started, finished, NOW) == (started, finished)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    """Azure wrote its Date early in an answer that took long; the local clock is right all the same."""
    assert by_azures_clock(NOW, NOW + 50 * SECOND, NOW + SECOND) == (NOW, NOW + 50 * SECOND)


@pytest.mark.parametrize("offset", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_wrong_local_clock_is_corrected_and_the_interval_widened(offset: timedelta) -> None:
    """Started is moved to the earliest that Azure's clock can have shown, finished to the latest."""
    started, finished = by_azures_clock(NOW + offset, NOW + offset + 0.25 * SECOND, NOW)
    assert (started, finished) == (NOW - 0.25 * SECOND, NOW + 1.25 * SECOND)


def test_without_a_date_the_local_clock_counts() -> None:
    """There is nothing better."""
    assert by_azures_clock(NOW, NOW + SECOND, None) == (NOW, NOW + SECOND)


def test_the_ends_of_time_are_no_failure() -> None:
    """A junk date cannot make the arithmetic fail."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert by_azures_clock(first, first + SECOND, last) is not None
    assert by_azures_clock(last - SECOND, last, first) is not None
    assert by_azures_clock(last - SECOND, last, last) is not None


@given(st.text() | moments.map(lambda moment: format_datetime(moment, usegmt=True)))
def test_a_date_is_aware_or_none(text: str) -> None:
    """Any text is a time in UTC or none, and no failure."""
    date = http_date(text)
    assert date is None or date.utcoffset() == timedelta()


@given(moments)
def test_an_http_date_is_read(moment: datetime) -> None:
    """What RFC 9110 wants servers to send."""
    assert http_date(format_datetime(moment, usegmt=True)) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-7"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "\u0667"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Mon, 04 Jan 2027 09:00:30 GMT"}, 30.0),
        ({"Retry-After": "Mon, 04 Jan 2027 08:00:00 GMT"}, 0.0),
        ({"Retry-After": "Tue, 05 Jan 2027 09:00:30 GMT", "Date": "Tue, 05 Jan 2027 09:00:00 GMT"}, 30.0),
        ({"Retry-After": "Mon, 32 Jan 2027 09:00:30 GMT"}, None),
        ({"Retry-After": "soon"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds or a date, the date by the answer's own clock; junk is none."""
    assert retry_after_seconds(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text()))
def test_no_retry_after_is_a_failure(headers: dict[str, str]) -> None:
    """Any text is a wait that can be slept, or none."""
    seconds = retry_after_seconds(headers, NOW)
    assert seconds is None or 0 <= seconds < float("inf")
