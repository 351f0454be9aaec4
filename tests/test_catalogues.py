"""What the code can say is what the documentation lists."""

from __future__ import annotations

import re
from pathlib import Path

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
