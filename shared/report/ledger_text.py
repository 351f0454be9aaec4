"""What the ledger's commands answer, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError
from shared.core.ledger import RecordKind
from shared.report.documents import RecordItem
from shared.report.escape import clean, shorten
from shared.report.page import Page, count_of
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from shared.core.ledger import Json, JsonObject, Record
    from shared.report.documents import LedgerListDocument, LedgerShowDocument, ReplayDocument, VerifyDocument

_ID_SHOWN = 12
"""Digits of an id that tell it apart; ``ledger show`` takes as many."""


def record_item(record: Record) -> RecordItem:
    """A record for a list."""
    entry = record.entry
    return RecordItem(
        chain=entry.chain,
        sequence=record.sequence,
        id=entry.id,
        kind=entry.kind.value,
        at=entry.at,
        summary=summary(entry.kind, entry.body),
        body=entry.body,
    )


def summary(kind: RecordKind, body: JsonObject) -> str:
    """A record in one line, whatever is in it; not cleaned yet."""
    match kind:
        case RecordKind.INTENT:
            intent = body.get("intent")
            fields = intent if isinstance(intent, dict) else {}
            who = "a person decided to " if fields.get("by_person") else "takes back: " if fields.get("undoes") else ""
            return f"{who}{_text(fields.get('action'))} {_name(fields.get('connection'))}"
        case RecordKind.OUTCOME:
            return f"{_text(body.get('outcome'))} {_name(body.get('connection'))}: {_text(body.get('why'))}"
        case RecordKind.HOLD:
            codes = body.get("codes")
            listed = " ".join(_text(code) for code in codes) if isinstance(codes, list) else ""
            return f"{_text(body.get('verdict'))} {_name(body.get('connection') or body.get('link'))}: {listed}"
        case RecordKind.HUMAN:
            who = _text(body.get("by")) or "somebody at the target"
            return f"{_text(body.get('decision'))} {_name(body.get('connection'))} by {who}: {_text(body.get('reason'))}"
        case RecordKind.DRIFT:
            return f"{_text(body.get('change'))}: {_text(body.get('message'))}"
        case RecordKind.TRAFFIC | RecordKind.ALERT:
            return _traffic(body) if kind is RecordKind.TRAFFIC else _alert(body)


def _traffic(body: JsonObject) -> str:
    return f"{_text(body.get('verdict'))}, {_calls(body.get('upstream')) or _reasons(body.get('reasons'))}"


def _alert(body: JsonObject) -> str:
    told = f"{_text(body.get('change'))} {_text(body.get('severity'))} {_text(body.get('finding'))}"
    return f"{told}: {_sinks(body.get('sinks'))}"


def _calls(upstream: Json) -> str:
    counts = upstream if isinstance(upstream, dict) else {}
    found = ", ".join(f"{count:,} {cls}" for cls, count in counts.items() if isinstance(count, int) and count)
    return f"upstream calls: {found}" if found else ""


def _reasons(reasons: Json) -> str:
    codes = [_text(one.get("code")) for one in reasons if isinstance(one, dict)] if isinstance(reasons, list) else []
    return f"reasons: {' '.join(dict.fromkeys(codes))}" if codes else "no upstream call"


def _sinks(sinks: Json) -> str:
    return ", ".join(f"{sink} {_text(state)}" for sink, state in sinks.items()) if isinstance(sinks, dict) else ""


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Json) -> str:
    try:
        return ArmId.parse(_text(value)).name
    except InvalidIdError:
        return ""


def _chain_name(chain: str) -> str:
    try:
        return ArmId.parse(chain).name.lower()  # A chain's name is folded to upper case.
    except InvalidIdError:
        return chain


def list_text(document: LedgerListDocument, style: Style = PLAIN) -> str:
    """One line a record, the newest last."""
    page = Page(style)
    for item in document.records:
        page.line(
            (item.at.strftime("%Y-%m-%d %H:%M:%S"), "dim"),
            f"  {item.id[:_ID_SHOWN]}  ",
            (item.kind.ljust(14), "bold"),
            f"  {clean(_chain_name(item.chain))}  {clean(shorten(item.summary))}",
        )
    shown = len(document.records)
    if shown < document.total:
        page.line(f"The newest {shown} of {document.total} records; --limit shows more.")
    else:
        page.line(f"{count_of(document.total, 'record')}.")
    return page.text


def show_text(document: LedgerShowDocument, style: Style = PLAIN) -> str:
    """Each record whole, its members one a line."""
    page = Page(style)
    for number, record in enumerate(document.records):
        if number:
            page.blank()
        page.line((clean(_text(record.get("kind"))).upper(), "bold"), f"  {clean(_text(record.get('id')))}")
        for name in ("chain", "sequence", "at", "previous", "hash", "inputs_digest"):
            page.field(name, clean(str(record.get(name))), width=16)
        for name in ("body", "inputs"):
            page.field(name, width=16)
            _tree(page, record.get(name), indent=4)
    return page.text


def _tree(page: Page, value: Json, indent: int) -> None:
    match value:
        case dict() if value:
            members = [(clean(name), member) for name, member in value.items()]
        case list() if value:
            members = [("-", member) for member in value]
        case _:
            page.line(json.dumps(value, ensure_ascii=True), indent=indent)
            return
    for name, member in members:
        if isinstance(member, dict | list) and member:
            page.line((name, "dim"), indent=indent)
            _tree(page, member, indent + 2)
        elif isinstance(member, str):
            page.line((f"{name}  ", "dim"), clean(member), indent=indent)
        else:
            page.line((f"{name}  ", "dim"), json.dumps(member, ensure_ascii=True), indent=indent)


def verify_text(document: VerifyDocument, style: Style = PLAIN) -> str:
    """Every fault with its place."""
    page = Page(style)
    for fault in document.faults:
        page.line((f"record {fault.sequence}", "bold red"), f" of {clean(fault.chain)}: {clean(fault.message)}")
    counted = f"{count_of(document.records, 'record')} in {count_of(document.chains, 'chain')}"
    if document.anchors is not None:
        counted += f", held to {count_of(document.anchors, 'anchor')}"
    if document.ok:
        page.line(("verified", "green"), f": {counted}; none is changed, missing or out of order.")
    else:
        page.line(("NOT VERIFIED", "bold red"), f": {counted}, {count_of(len(document.faults), 'fault')}.")
    return page.text


def replay_text(document: ReplayDocument, style: Style = PLAIN) -> str:
    """Every decision that comes out differently, and how many come out the same."""
    page = Page(style)
    under = f" under {clean(document.allowlist)}" if document.allowlist else ""
    for item in document.decisions:
        if item.same:
            continue
        page.line(("DIFFERS", "bold yellow"), f"  {item.record[:_ID_SHOWN]}  {clean(item.about or _chain_name(item.chain))}")
        page.field("recorded", clean(item.recorded))
        page.field("derived", clean(item.derived))
        page.blank()
    same = sum(item.same for item in document.decisions)
    page.line(f"{same} of {len(document.decisions)} recorded decisions come out the same{under}.")
    return page.text
