"""A mistake in a document that a person wrote, with its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong, where, and what to do."""

    line: int
    """1-based; 0 where the document as a whole is meant."""
    column: int
    """1-based; 0 where the document as a whole is meant."""
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}" if self.line else self.message
