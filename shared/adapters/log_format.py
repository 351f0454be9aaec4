"""How a log is written."""

from __future__ import annotations

from enum import StrEnum


class LogFormat(StrEnum):
    """How a log is written."""

    AUTO = "auto"
    JSONL = "jsonl"
    """A JSON object a line."""
    JSON = "json"
    """One JSON document: a list of records, or an answer of the Log Analytics API."""
    CSV = "csv"
    W3C = "w3c"
    TEXT = "text"
    """Lines for people."""
