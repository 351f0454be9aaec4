"""The life of findings by itself: floods begin, go on and end where docs/alerts.md says. With the outbox: tests/services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.finding import MULTIPLIED, Finding, FindingId, Severity
from shared.core.finding_life import Change, FindingRow, Look, advance

TARGET = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/g/providers/Microsoft.Web/sites/s"
START = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)


class Story:
    """Looks one after the other, and what each made worth telling."""

    def __init__(self) -> None:
        self.rows: dict[str, FindingRow] = {}
        self.at = START

    def look(self, *found: Finding) -> list[tuple[str, Change]]:
        """The kinds told by this look; ``connection_held`` by its ``about``."""
        before = {alert.id for row in self.rows.values() for alert in row.queue}
        self.at += timedelta(minutes=10)
        self.rows = advance(self.rows, Look(source="test", at=self.at, found=found))
        told = [alert for row in self.rows.values() for alert in row.queue if alert.id not in before]
        return sorted((alert.finding.about or alert.finding.id.value, alert.change) for alert in told)


def held(count: int, *, target: str = TARGET, id_: FindingId = FindingId.CONNECTION_HELD) -> list[Finding]:
    severity = Severity.WARNING
    return [
        Finding(id=id_, severity=severity, target=target, about=f"c{number}", message="held", facts={}) for number in range(count)
    ]


def test_a_flood_is_six_at_once() -> None:
    """Five are told one by one; six as one."""
    assert Story().look(*held(5)) == [(f"c{number}", Change.NEW) for number in range(5)]
    assert Story().look(*held(6)) == [("findings_flood", Change.NEW)]


def test_a_flood_of_five_told_and_one_more_is_a_flood_from_then_on() -> None:
    """What was told stays told; only the flood is new."""
    story = Story()
    story.look(*held(5))
    assert story.look(*held(6)) == [("findings_flood", Change.NEW)]


def test_a_flood_goes_on_until_two_are_left() -> None:
    """Apart from where it begins, so that it does not flap; then those that outlast it are told, for they never were."""
    story = Story()
    story.look(*held(6))
    for left in (5, 4, 3, 6, 3):
        assert story.look(*held(left)) == []
    assert story.look(*held(2)) == [("c0", Change.NEW), ("c1", Change.NEW), ("findings_flood", Change.RESOLVED)]


@pytest.mark.parametrize("id_", sorted(set(FindingId) - MULTIPLIED - {FindingId.FINDINGS_FLOOD}))
def test_only_what_strangers_can_multiply_is_a_flood(id_: FindingId) -> None:
    """Anything else is told, however many there are."""
    assert len(Story().look(*held(10, id_=id_))) == 10


def test_a_flood_is_one_targets() -> None:
    """Its spelling does not matter; another target's findings do not count."""
    halves = (*held(3), *held(6, target=TARGET.upper())[3:])
    assert Story().look(*halves) == [("findings_flood", Change.NEW)]
    apart = (*held(3), *held(6, target=f"{TARGET}2")[3:])
    assert len(Story().look(*apart)) == 6
