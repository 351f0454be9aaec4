"""How a log is written, told by its beginning."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.adapters.log_format import LogFormat

BOM: Final = b"\xef\xbb\xbf"
"""Before UTF-8, where somebody thought that it was needed."""


LOOKED_AT: Final = 64 << 10
"""Bytes of a log's beginning that tell how it is written."""


def detect(head: bytes) -> LogFormat:
    """How a log is written, by its beginning."""
    text = head[:LOOKED_AT].decode(errors="replace").lstrip()
    first, newline, _ = text.partition("\n")
    if text.startswith("#"):
        return LogFormat.W3C
    if text.startswith("["):
        # A list of records; or a line for people that begins with a time in brackets.
        return LogFormat.JSON if re.match(r"\[\s*(?:[\[{\]]|$)", text) else LogFormat.TEXT
    if text.startswith("{"):
        try:
            record = msgspec.json.decode(first)
        except (msgspec.DecodeError, RecursionError):
            # A whole document, written over several lines or longer than what was looked at; or one broken line of many.
            return LogFormat.JSON if re.match(r'\{\s*(?:$|"(?:tables|records|value)")', first) else LogFormat.JSONL
        return LogFormat.JSON if isinstance(record, dict) and _is_document(record) else LogFormat.JSONL
    names = {re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]", "", name).lower()) for name in first.split(",")}
    if newline and len(names) > 1 and names & _COLUMNS:
        return LogFormat.CSV
    looks_json = any(line.lstrip().startswith("{") for line in text.split("\n")[:20])
    return LogFormat.JSONL if looks_json and "orwarded" not in text else LogFormat.TEXT


def _is_document(record: dict[str, object]) -> bool:
    """Whether an object on one line is a whole log. A ``value`` alone may be any record's own."""
    return bool(record.keys() & {"tables", "records"}) or (isinstance(record.get("value"), list) and record.keys() <= _OF_A_LIST)


_OF_A_LIST: Final = {"value", "nextLink", "@odata.context", "@odata.nextLink"}
_COLUMNS: Final = {"timegenerated", "cip", "clientip", "csuristem", "xforwardedfor", "message", "resourceid", "time"}
