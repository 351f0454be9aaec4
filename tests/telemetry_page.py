"""What docs/telemetry.md promises, read from the page: the fakes and the worker hold every record to it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PAGE: Final = Path(__file__).parent.parent / "docs" / "telemetry.md"
OF_EVERY_RECORD: Final = frozenset({"linkguard", "correlation"})
_SPAN: Final = re.compile(r"`([^`]+)`")


@cache
def records() -> dict[str, frozenset[str]]:
    """Each record's own fields: those of the table below it, or those named after its paragraph's colon."""
    found: dict[str, frozenset[str]] = {}
    name = ""
    for block in _section("Records").split("\n\n"):
        if block.startswith("`"):
            name = _spans(block)[0]
            found[name] = frozenset(_spans(block.rpartition(": ")[2]))
        elif block.startswith("|"):
            found[name] = frozenset(field for line in block.splitlines()[2:] for field in _spans(line.split("|")[1]))
    return found


@cache
def metrics() -> dict[str, frozenset[str]]:
    """Each metric's dimensions."""
    rows = [line.split("|") for line in _section("Metrics").splitlines() if line.startswith("| `")]
    return {_spans(name)[0]: frozenset(_spans(dimensions)[:1]) for _, name, _, dimensions, _ in rows}


def check_record(name: str, fields: Collection[str]) -> None:
    """It is on the page, with these fields."""
    assert name in records(), f"{PAGE.name} knows no record {name}"
    extra = set(fields) - records()[name] - OF_EVERY_RECORD
    assert not extra, f"{PAGE.name} does not say that the record {name} has {sorted(extra)}"


def check_metric(name: str, dimensions: Mapping[str, Any]) -> None:
    """It is on the page, with these dimensions."""
    assert name in metrics(), f"{PAGE.name} knows no metric {name}"
    assert set(dimensions) == metrics()[name], f"{PAGE.name}: the dimensions of {name} are {sorted(metrics()[name])}"


def _section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


def _spans(text: str) -> list[str]:
    return _SPAN.findall(text)
