"""Text for a person: styled and as wide as the terminal, or plain and unwrapped where it goes into a file or a pipe."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from rich.table import Table

_NARROWEST: Final = 40
_WIDEST: Final = 120
"""Prose in longer lines is hard to read."""
_UNBOUNDED: Final = 1_000_000


class Page:
    """Collects lines. Nothing given to it is markup; untrusted text in it was cleaned by :mod:`shared.report.escape`."""

    def __init__(self, style: Style = PLAIN) -> None:
        self._width = None if style.width is None else min(max(style.width, _NARROWEST), _WIDEST)
        self._file = io.StringIO()
        self._console = Console(
            file=self._file,
            force_terminal=style.colour,
            no_color=not style.colour,
            color_system="standard" if style.colour else None,
            width=_UNBOUNDED,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def line(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """A line that is never broken, such as an id or a command to copy. A part may come with its style."""
        text = Text.assemble(" " * indent, *parts)
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def prose(self, text: str, *, indent: int = 0, hanging: int = 0, style: str = "") -> None:
        """A sentence, broken between words where the terminal ends; further lines are indented by ``hanging`` more."""
        if self._width is None:
            self.line((text, style), indent=indent)
            return
        lines = textwrap.wrap(
            text,
            width=self._width - indent,
            subsequent_indent=" " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines or [""]:
            self.line((line, style), indent=indent)

    def field(self, label: str, *parts: str | tuple[str, str], indent: int = 2, width: int = 12) -> None:
        """A labelled line that is never broken."""
        self.line((label.ljust(width), "dim"), *parts, indent=indent)

    def said(self, label: str, text: str, *, indent: int = 2, width: int = 12, style: str = "") -> None:
        """A labelled sentence, broken between words."""
        padded = label.ljust(width)
        if self._width is None:
            self.line((padded, "dim"), (text, style), indent=indent)
            return
        room = max(self._width - indent - width, _NARROWEST // 2)
        lines = textwrap.wrap(text, width=room, break_long_words=False, break_on_hyphens=False) or [""]
        self.line((padded, "dim"), (lines[0], style), indent=indent)
        for line in lines[1:]:
            self.line((line, style), indent=indent + width)

    def table(self, table: Table, *, indent: int = 2) -> None:
        """A table as wide as the terminal; its cells are folded, not cut."""
        self._console.print(Padding(table, (0, 0, 0, indent)), width=self._width)

    def blank(self) -> None:
        """An empty line."""
        self.line()

    @property
    def text(self) -> str:
        """Everything so far."""
        return self._file.getvalue()


def count_of(number: int, what: str) -> str:
    """``1 record``, ``2,000 records``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
