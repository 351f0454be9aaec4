"""How text for a person may look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the text is for."""

    width: int | None = None
    """Of the terminal, in columns; None where it is no terminal: lines are then as long as they need to be."""
    colour: bool = False


PLAIN: Final = Style()
