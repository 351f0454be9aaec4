"""A log file cut into lines: JSON lines for the engine, whole and many at once; all other shapes record by record."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.adapters.log_bytes import LONGEST_LINE
from shared.adapters.log_detect import BOM, LOOKED_AT, detect
from shared.adapters.log_documents import NoDocumentError, read_records
from shared.adapters.log_format import LogFormat
from shared.adapters.log_records import W3C, from_object, from_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.adapters.log_bytes import LogInput
    from shared.adapters.log_pump import Pump

_UNSAFE: Final = re.compile(rb"[\x00-\x08\x0b-\x1f]")


class LineReader:
    """One file."""

    def __init__(self, pump: Pump, source: LogInput) -> None:
        self._pump = pump
        self._name = source.name
        self._number = 0
        self._too_long = False

    def read(self, blocks: Iterator[bytes], log_format: LogFormat) -> None:
        """Read the file, which comes as blocks, to its end."""
        head = next(blocks, b"").removeprefix(BOM)
        while len(head) < LOOKED_AT and (more := next(blocks, b"")):
            head = (head + more).removeprefix(BOM)
        if log_format is LogFormat.AUTO:
            log_format = detect(head)
        chunks = self._chunks(head, blocks)
        match log_format:
            case LogFormat.JSONL | LogFormat.AUTO:
                for chunk in chunks:
                    self._json_lines(chunk)
            case LogFormat.W3C:
                self._w3c(self._text_lines(chunks))
            case LogFormat.CSV:
                self._csv(self._text_lines(chunks))
            case LogFormat.TEXT:
                for _, line in self._text_lines(chunks):
                    self._text(line)
            case LogFormat.JSON:
                self._document(head, blocks)

    def _chunks(self, head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Whole lines, many at once, each ending in LF; a line too long to be one is broken."""
        rest = b""
        for block in self._and(head, blocks):
            whole, newline, tail = block.rpartition(b"\n")
            if not newline:
                rest += tail
            else:
                if not self._too_long:
                    whole = rest + whole
                else:
                    _, _, whole = whole.partition(b"\n") if b"\n" in whole else (b"", b"", None)  # type: ignore[assignment]
                    self._pump.broken(self._name, self._number + 1, "longer than a line may be")
                    self._number += 1
                    self._too_long = False
                rest = tail
                if whole is not None:
                    yield from self._bounded(whole + b"\n")
            if len(rest) > LONGEST_LINE:
                rest, self._too_long = b"", True
        if self._too_long:
            self._pump.broken(self._name, self._number + 1, "longer than a line may be")
        elif rest:
            yield from self._bounded(rest + b"\n")

    @staticmethod
    def _and(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
        if head:
            yield head
        yield from blocks

    def _bounded(self, chunk: bytes) -> Iterator[bytes]:
        """A chunk of about one block has a line of more than :data:`LONGEST_LINE` only where it is longer than that."""
        if len(chunk) <= LONGEST_LINE:
            yield chunk
            return
        part: list[bytes] = []
        for line in chunk.splitlines(keepends=True) if b"\r" not in chunk else _lines(chunk):
            if len(line) > LONGEST_LINE:
                if part:
                    yield b"".join(part)
                    part = []
                self._number += 1
                self._pump.broken(self._name, self._number, "longer than a line may be")
            else:
                part.append(line)
        if part:
            yield b"".join(part)

    def _json_lines(self, chunk: bytes) -> None:
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n")
        if (chunk.isascii() or _is_utf8(chunk)) and not _has_unsafe(chunk):
            self._number += chunk.count(b"\n")
            self._pump.send(chunk)
            return
        fine: list[bytes] = []
        for line in _lines(chunk):
            self._number += 1
            if _UNSAFE.search(line) or not _is_utf8(line):
                # A control character is never part of JSON as it is, and CR counts as one here: inside a line it is junk.
                self._pump.broken(self._name, self._number, "control characters, or no UTF-8")
            else:
                fine.append(line)
        self._pump.send(b"".join(fine))

    def _text_lines(self, chunks: Iterator[bytes]) -> Iterator[tuple[int, str]]:
        """Lines with their numbers; what is no UTF-8 is broken."""
        for chunk in chunks:
            for line in _lines(chunk):
                self._number += 1
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    self._pump.broken(self._name, self._number, "no UTF-8")
                else:
                    yield self._number, text[:-1].removesuffix("\r")

    def _text(self, line: str) -> None:
        if line.lstrip()[:1] == "{":
            try:
                self._pump.request(from_object(msgspec.json.decode(line)))
            except (msgspec.DecodeError, ValueError, RecursionError):
                pass
            else:
                return
        self._pump.request(from_text(line))

    def _w3c(self, lines: Iterable[tuple[int, str]]) -> None:
        reader = W3C()
        for number, line in lines:
            if line.startswith("#"):
                reader.directive(line)
                self._pump.request(None)
            elif not line.strip():
                self._pump.request(None)
            else:
                try:
                    request = reader.read(line)
                except ValueError as error:
                    self._pump.broken(self._name, number, str(error))
                else:
                    self._pump.request(request)

    def _csv(self, lines: Iterable[tuple[int, str]]) -> None:
        """RFC 4180. A record may go over several lines: it is one line read, and the others are skipped."""
        seen = _Seen(lines)
        rows = csv.reader(seen, strict=True)
        header: list[str] | None = None
        while True:
            before = seen.count
            try:
                row = next(rows)
            except StopIteration:
                self._pump.lines.skipped += seen.count - before
                return
            except csv.Error as error:
                self._pump.broken(self._name, seen.number, f"no CSV: {error}", max(seen.count - before, 1))
                if seen.count == before:
                    return
                continue
            more = seen.count - before - 1
            self._pump.lines.skipped += more
            if not row:
                self._pump.request(None)
            elif header is None:
                header = [re.sub(r"\s*\[[^\]]*\]$", "", name) for name in row]
                self._pump.request(None)
            elif len(row) != len(header):
                self._pump.broken(self._name, seen.number, f"{len(row)} values, {len(header)} columns")
            else:
                self._pump.request(from_object(dict(zip(header, row, strict=True))))

    def _document(self, head: bytes, blocks: Iterator[bytes]) -> None:
        """Each record of a document counts as one line."""
        records = 0
        try:
            for record in read_records(self._and(head, blocks)):
                records += 1
                try:
                    request = from_object(record)
                except ValueError as error:
                    self._pump.broken(self._name, records, str(error))
                else:
                    self._pump.request(request)
        except NoDocumentError as error:
            self._pump.broken(self._name, records + 1, str(error))
            self._pump.problem(f"{self._name}: {error}")


def _lines(chunk: bytes) -> list[bytes]:
    """Lines by LF alone, each with its LF."""
    return [line + b"\n" for line in chunk.split(b"\n")[:-1]]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_unsafe(chunk: bytes) -> bool:
    return b"\r" in chunk or b"\x01" in chunk or b"\x00" in chunk


class _Seen:
    """Lines, counted as they are taken."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self.count = 0
        self.number = 0

    def __iter__(self) -> _Seen:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        self.count += 1
        return line + "\n"
