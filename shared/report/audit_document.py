"""An audit as data: what ``linkguard audit --json`` writes, and what a ledger record of a traffic verdict holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.traffic_record import verdict_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.ledger import Json, JsonObject
    from shared.core.traffic import Lines, TargetTraffic


def audit_document(targets: Iterable[TargetTraffic], lines: Lines | None) -> JsonObject:
    """The whole audit."""
    items: list[Json] = [verdict_body(target) for target in targets]
    return {"targets": items, "lines": None if lines is None else _lines(lines)}


def _lines(lines: Lines) -> JsonObject:
    return {
        "read": lines.read,
        "broken": lines.broken,
        "skipped": lines.skipped,
        "samples": [{"file": one.file, "line": one.line, "why": one.why} for one in lines.samples],
    }
