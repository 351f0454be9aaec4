"""Findings: what makes two of them the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.core.finding import Finding, FindingId, Severity
from tests.core.cases import TARGET

FINDING = Finding(
    id=FindingId.CONNECTION_HELD,
    severity=Severity.WARNING,
    target=str(TARGET),
    about="/SUBSCRIPTIONS/X",
    message="it is held",
    facts={"codes": "denied"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.CRITICAL},
        {"message": "in other words"},
        {"facts": {"codes": "paused"}},
        {"target": str(TARGET).upper()},
    ],
)
def test_a_finding_stays_the_same_while_it_gets_worse(change: dict[str, object]) -> None:
    """Its severity, its words and its facts may change, and Azure may spell the target otherwise."""
    assert replace(FINDING, **change).fingerprint == FINDING.fingerprint  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"id": FindingId.IMPOSTOR_SUSPECTED}, {"target": ""}, {"target": f"{TARGET}2"}, {"about": ""}, {"about": "/OTHER"}]
)
def test_another_thing_is_another_finding(change: dict[str, object]) -> None:
    """Another id, target or subject."""
    assert replace(FINDING, **change).fingerprint != FINDING.fingerprint  # type: ignore[arg-type]


def test_a_fingerprint_is_short_and_plain() -> None:
    """It goes into file names, subjects and keys."""
    assert len(FINDING.fingerprint) == 32
    assert set(FINDING.fingerprint) <= set("0123456789abcdef")


def test_the_parts_of_a_fingerprint_do_not_run_into_each_other() -> None:
    """Where one ends and the next begins counts."""
    assert replace(FINDING, target="a", about="bc").fingerprint != replace(FINDING, target="ab", about="c").fingerprint
