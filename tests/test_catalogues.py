"""What the code can say is what the documentation lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.core.finding import FindingId
from shared.core.reason import HOLDS, MARKS, WAITS, Code

DOCS = Path(__file__).parent.parent / "docs"


def codes_under(heading: str) -> set[str]:
    section = (DOCS / "reasons.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


def test_every_reason_is_listed_under_its_kind() -> None:
    """Holds, waits and marks: as the code has them, and nothing else."""
    assert codes_under("Holds") == {code.value for code in HOLDS}
    assert codes_under("Waits") == {code.value for code in WAITS}
    assert codes_under("Marks") == {code.value for code in MARKS}
    assert set(Code) == HOLDS | WAITS | MARKS


def test_every_finding_has_a_section() -> None:
    """One section a finding, and no section for none."""
    sections = re.findall(r"^## (.+)$", (DOCS / "findings.md").read_text(), re.MULTILINE)
    assert sections == [finding.value for finding in FindingId]


@pytest.mark.parametrize("finding", FindingId)
def test_every_findings_section_says_all_that_a_person_needs(finding: FindingId) -> None:
    """Its severity, what it means, why it matters, what to do, and a command to type."""
    section = (DOCS / "findings.md").read_text().partition(f"## {finding.value}\n\n")[2].partition("\n## ")[0]
    assert section.startswith(("Critical", "Warning", "As its worst member"))
    labels = re.findall(r"^- \*\*(.+?):\*\* \S", section, re.MULTILINE)
    assert labels == ["What it means", "Why it matters", "What to do", "What to type"]
    assert re.search(r"`(linkguard|az) ", section.partition("What to type:**")[2])
