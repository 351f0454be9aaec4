"""The allowlist's document in memory."""

from __future__ import annotations

from shared.core.errors import AllowlistError
from shared.core.problem import Problem
from shared.ports import Document


class MemoryAllowlist:
    """A document that a test may change or make unreadable between two looks."""

    def __init__(self, text: str, source: str = "memory:allowlist.yaml") -> None:
        self.text = text
        self.source = source
        self.unreadable = ""
        """Why it cannot be read; "" while it can."""
        self.reads = 0

    async def read(self) -> Document:
        self.reads += 1
        if self.unreadable:
            raise AllowlistError(self.source, [Problem(0, 0, self.unreadable)])
        return Document(source=self.source, text=self.text)
