"""A traffic verdict as JSON: the body of its ledger record, and an element of the audit's document.

Addresses, classes, counts and times; never a path's query, a cookie, a user agent or a malformed header's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.address import AddressClass
from shared.core.traffic import verdict_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.ledger import Json, JsonObject
    from shared.core.traffic import Source, TableTraffic, TableVerdict, TargetTraffic


def verdict_body(target: TargetTraffic) -> JsonObject:
    """A target's verdict; the counts are those of the table that it rests on, and every table's are beside it."""
    decisive = target.decisive
    return {
        "target": target.target,
        "verdict": verdict_name(target.verdict),
        "reasons": [{"code": one.code.value, "message": one.message} for one in target.reasons],
        **(table_body(decisive) if decisive else _EMPTY),
        "tables": [_table(table) for table in target.tables],
    }


def _table(table: TableVerdict) -> Json:
    return {"table": table.traffic.table, "verdict": verdict_name(table.verdict), **table_body(table.traffic)}


def table_body(traffic: TableTraffic) -> JsonObject:
    """One table's counts."""
    return {
        "basis": traffic.basis.value if traffic.basis else None,
        "requests": counts(traffic.requests),
        "upstream": counts(traffic.upstream),
        "pings": traffic.pings,
        "scm": traffic.scm,
        "first_seen": _time(traffic.first_seen),
        "last_seen": _time(traffic.last_seen),
        "sources": [source_item(one) for one in traffic.sources],
        "other_sources": traffic.other_sources,
        "disagreements": traffic.disagreements,
        "sampled": traffic.sampled,
    }


def counts(found: Mapping[AddressClass, int]) -> Json:
    """Every class with its count, 0 included."""
    return {cls.value: found.get(cls, 0) for cls in AddressClass}


def source_item(source: Source) -> Json:
    """One source."""
    item: JsonObject = {
        "address": source.address,
        "class": source.cls.value,
        "count": source.count,
        "first_seen": _time(source.first_seen),
        "last_seen": _time(source.last_seen),
    }
    return {**item, "note": source.note} if source.note else item


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


_EMPTY: JsonObject = {
    "basis": None,
    "requests": counts({}),
    "upstream": counts({}),
    "pings": 0,
    "scm": 0,
    "first_seen": None,
    "last_seen": None,
    "sources": [],
    "other_sources": 0,
    "disagreements": 0,
    "sampled": False,
}
