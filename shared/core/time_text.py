"""Times as logs and people write them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """ISO 8601, or as Azure's portal writes it into CSV; a time without its offset is UTC. None for anything else."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = _portal(text)
        if found is None:
            return None
        moment = found
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None


def _portal(text: str) -> datetime | None:
    for form in ("%m/%d/%Y, %I:%M:%S.%f %p", "%m/%d/%Y %I:%M:%S %p"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
