"""Tables as CSV (RFC 4180) that a spreadsheet takes for text: no cell can become a formula."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from shared.report.escape import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001  the wide forms begin formulas too
"""What a spreadsheet takes for a formula's beginning. Tabs and line ends are escapes by then."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A header and its rows, every text in quotation marks, lines ended by CR LF."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return file.getvalue()


def _cell(cell: str | int) -> str | int:
    """An apostrophe before what would be calculated: spreadsheets take it for "this is text" and most hide it."""
    if isinstance(cell, int):
        return cell
    text = clean(cell)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
