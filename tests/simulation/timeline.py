"""What happened in a run, in order: for people, and hashed to tell whether two runs are the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(slots=True)
class Timeline:
    """Lines with the seconds at which they happened."""

    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, at: float, who: str, what: str) -> None:
        self.lines.append((at, who, what))

    def digest(self) -> str:
        """The same for the same run."""
        text = "\n".join(f"{at:.6f} {who} {what}" for at, who, what in self.lines)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return "\n".join(f"{_clock(at)}  {who:<12} {what}" for at, who, what in self.lines)


def _clock(at: float) -> str:
    minutes, seconds = divmod(at, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{seconds:05.2f}"
