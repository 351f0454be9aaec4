"""An answer of ARM, and what its headers say about time. No Azure SDK is imported here.

ARM's answers carry Azure's clock in the ``Date`` header. The time of what was read is told by that clock, because it is
compared with times that other workers took and with ``systemData.createdAt``, which Azure wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CLOCKS_AGREE: Final = timedelta(seconds=2)
"""A local clock this near to Azure's is used as it is: it knows parts of a second, a ``Date`` header only whole ones."""

_DATE_RESOLUTION: Final = timedelta(seconds=1)
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP answer, whatever its status."""

    status: int
    body: bytes
    """Decompressed, bounded."""
    retry_after: float | None
    """Seconds, None where Azure gave none or junk."""
    started: datetime
    """Not later than when Azure looked, by Azure's clock, UTC."""
    finished: datetime
    """Not earlier than when Azure looked, by Azure's clock, UTC."""


def http_date(text: str | None) -> datetime | None:
    """An HTTP date (RFC 9110, 5.6.7) in UTC; None where there is none, or junk."""
    try:
        date = parsedate_to_datetime(text or "")
        # A zone of -0000 comes back naive; HTTP knows no other than GMT.
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def by_azures_clock(started: datetime, finished: datetime, date: datetime | None) -> tuple[datetime, datetime]:
    """The interval ``started`` to ``finished`` of the local clock, told by the clock that gave ``date``.

    Azure wrote ``date`` at some moment of the interval and cut it to the second. So its clock is ahead of the local one
    by at least ``date - finished`` and by less than ``date + 1 s - started``. Where that leaves the two within
    ``CLOCKS_AGREE`` the local times stand; otherwise the interval is moved and widened by these bounds, so that it holds
    the true moment whatever the local clock shows.
    """
    if date is None:
        return started, finished
    try:
        least, most = date - finished, date + _DATE_RESOLUTION - started
        if least <= CLOCKS_AGREE and most >= -CLOCKS_AGREE:
            return started, finished
        return started + least, finished + most
    except OverflowError:
        # One of the two is at an end of time: a junk date.
        return started, finished


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """``Retry-After`` as seconds from now (RFC 9110, 10.2.3); None where there is none, or junk.

    A date is taken relative to the answer's own ``Date``, so that a wrong local clock (``now``) does no harm.
    """
    text = (headers.get("Retry-After") or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until = http_date(text)
    if until is None:
        return None
    return max((until - (http_date(headers.get("Date")) or now)).total_seconds(), 0.0)
