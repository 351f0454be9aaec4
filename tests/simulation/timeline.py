"""What happened in a run, in order: for people (``telling``), and hashed to tell whether two runs are the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

type Line = tuple[float, str, str]
"""The second at which it happened, who did it, and what."""


@dataclass(slots=True)
class Timeline:
    """Lines with the seconds at which they happened."""

    lines: list[Line] = field(default_factory=list)

    def add(self, at: float, who: str, what: str) -> None:
        self.lines.append((at, who, what))

    def digest(self) -> str:
        """The same for the same run."""
        text = "\n".join(f"{at:.6f} {who} {what}" for at, who, what in self.lines)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
