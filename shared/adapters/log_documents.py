"""Logs that are one JSON document: its records, one by one."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.adapters.log_bytes import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class NoDocumentError(Exception):
    """Says what is wrong with the file."""


_WHITE: Final = re.compile(r"[ \t\r\n,]*")
_LONGEST_DOCUMENT: Final = 256 << 20


def read_records(blocks: Iterator[bytes]) -> Iterator[object]:
    """The records of ``[{...}, ...]`` one by one, or those of an answer of the Log Analytics API, which is read whole."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    text = ""
    for block in blocks:
        text += decode(block)
        if text.lstrip():
            break
    text = text.lstrip()
    if text.startswith("["):
        yield from _elements(text[1:], blocks, decode)
        return
    for block in blocks:
        text += decode(block)
        if len(text) > _LONGEST_DOCUMENT:
            message = "a document that is too large; export JSON lines instead"
            raise NoDocumentError(message)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        message = "no JSON document"
        raise NoDocumentError(message) from None
    yield from _of_tables(document)


def _elements(text: str, blocks: Iterator[bytes], decode: Callable[[bytes], str]) -> Iterator[object]:
    decoder = json.JSONDecoder()
    position = 0
    while True:
        position = _WHITE.match(text, position).end()  # type: ignore[union-attr]
        if text[position : position + 1] == "]":
            _no_more(text[position + 1 :], blocks, decode)
            return
        try:
            value, end = decoder.raw_decode(text, position)
            if end == len(text):
                raise ValueError  # noqa: TRY301  a number may go on in the next block
        except RecursionError:
            message = "nested too deeply"
            raise NoDocumentError(message) from None
        except ValueError:
            block = next(blocks, None)
            if block is None or len(text) - position > LONGEST_LINE:
                message = "the list of records breaks off, or is no JSON"
                raise NoDocumentError(message) from None
            text, position = text[position:] + decode(block), 0
            continue
        yield value
        position = end


def _no_more(text: str, blocks: Iterator[bytes], decode: Callable[[bytes], str]) -> None:
    while not text.strip():
        block = next(blocks, None)
        if block is None:
            return
        text = decode(block)
    message = "there is more after the end of the list of records"
    raise NoDocumentError(message)


def _of_tables(document: object) -> Iterator[object]:
    match document:
        case {"tables": list(tables)}:
            for table in tables:
                match table:
                    case {"columns": list(columns), "rows": list(rows)}:
                        names = [column.get("name", "") if isinstance(column, dict) else "" for column in columns]
                        for row in rows:
                            yield dict(zip(names, row, strict=False)) if isinstance(row, list) else row
                    case _:
                        message = "a table without columns and rows"
                        raise NoDocumentError(message)
        case {"records": list(records)} | {"value": list(records)}:
            yield from records
        case _:
            yield document
