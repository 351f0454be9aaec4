"""Local log files as traffic, read by DuckDB in memory that does not grow with them.

JSON lines go to the engine through a pipe: it drops overlong lines and lines with its delimiter in them without a word, counts
a line that ends in CR LF twice, and reads nothing from standard input, so what it gets was cut into plain lines here and every
line is accounted for. Large plain files it reads itself, with all its threads; that counts only if there was no CR in them and
every byte of theirs came out in a line, else they are read again through the pipe. All other shapes (W3C, CSV, whole JSON
documents, application logs) are read record by record in Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import fcntl
import json
import os
import re
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.adapters.log_bytes import BLOCK, MAGIC, LogInput, Truncated, find_inputs, open_blocks
from shared.adapters.log_format import LogFormat
from shared.adapters.log_records import APPLICATION_LOG, HTTP_LOGS, PING_AGENT, UNNAMED, W3C, Request, from_object, from_text
from shared.core.address import AddressClass, classify_block
from shared.core.arm_id import fold_case
from shared.core.traffic import (
    TOP_SOURCES,
    Basis,
    BrokenLine,
    Kind,
    Lines,
    ReasonCode,
    Resolved,
    Source,
    Tally,
    TrafficReading,
    TrafficReason,
    reason,
    resolve,
)
from shared.ports import TrafficQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import duckdb

    from shared.core.traffic import TableTally

LONGEST_LINE: Final = 1 << 20
"""Bytes; a longer line is broken."""
SAMPLES: Final = 5
"""Broken lines that are named."""

_MEMORY: Final = "220MB"
"""What the engine may take before it goes to disk."""
_BUFFER: Final = 8 << 20
_PIPE: Final = 1 << 20
_SET_PIPE_SIZE: Final = 1031  # F_SETPIPE_SZ, where there is one
_AT_ONCE: Final = 10_000
_LINES_AT_ONCE: Final = 100
_WHOLE: Final = 8 << 20
"""Bytes; plain JSON lines that are at least as long are read by the engine itself."""
_FEW: Final = 50_000
"""So many groups are classified one by one; more, by blocks of addresses."""
_LONGEST_ADDRESS: Final = 128
_MOMENT: Final = 0.1
"""Seconds between two looks at how far the engine is."""


class LogFiles:
    """Reads files, folders, globs and standard input. A :class:`shared.ports.TrafficSource`."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        log_format: LogFormat = LogFormat.AUTO,
        progress: Callable[[int], None] | None = None,
        inputs: Sequence[LogInput] | None = None,
    ) -> None:
        """Find the files.

        Args:
            paths: files, folders, globs, ``-``.
            log_format: how they are all written; AUTO looks at each one's beginning.
            progress: is told how many stored bytes were read, from another thread.
            inputs: in place of ``paths``, what was found elsewhere.

        Raises:
            ConfigError: where a path names nothing.

        """
        self.inputs = list(inputs) if inputs is not None else find_inputs(paths)
        self._format = log_format
        self._progress = progress or (lambda _: None)

    @property
    def size(self) -> int | None:
        """Stored bytes in all, None where one is not known."""
        sizes = [one.size for one in self.inputs]
        return None if None in sizes else sum(size or 0 for size in sizes)

    async def read(self, question: TrafficQuestion) -> TrafficReading:
        """Read everything once, in a thread of its own."""
        return await asyncio.to_thread(self.read_now, question)

    def read_now(self, question: TrafficQuestion) -> TrafficReading:
        """Read everything once; returns when it is done."""
        whole = frozenset(one.name for one in self.inputs if _is_plain(one, self._format)) if self._can_repeat else frozenset()
        told = 0

        def progress(count: int) -> None:
            nonlocal told
            told += count
            self._progress(count)

        if whole and (reading := self._read(question, whole, progress)):
            return reading
        progress(-told)
        return self._read(question, frozenset(), progress) or TrafficReading(tables=())

    @property
    def _can_repeat(self) -> bool:
        return all(one.again for one in self.inputs)

    def _read(self, question: TrafficQuestion, whole: frozenset[str], progress: Callable[[int], None]) -> TrafficReading | None:
        """Read everything, the files named ``whole`` by the engine itself; None where they cannot be read so."""
        import duckdb  # noqa: PLC0415  heavy: not before there is a file to read

        pump = _Pump(self.inputs, self._format, question, progress, whole)
        with tempfile.TemporaryDirectory(prefix="linkguard-audit-") as folder, _pipe() as (reading, writing):
            engine = _Engine(pump, question, Path(folder))
            thread = threading.Thread(target=pump.run, args=(writing, engine.share), name="log reader", daemon=True)
            thread.start()
            try:
                engine.run(reading)
            except duckdb.Error as error:
                # A file that it reads itself may be gone or of another encoding: the pump says which.
                engine.failure = type(error).__name__  # Its message may quote a line.
            finally:
                engine.is_over = True
                os.close(reading.release())
                thread.join()
        if pump.failure is not None:
            raise pump.failure
        if engine.failure or not pump.is_accounted(engine.size):
            if whole:
                return None
            pump.problem(f"the engine failed: {engine.failure}" if engine.failure else "the engine lost lines")
        pump.find_broken()
        return TrafficReading(tables=pump.tally.end(), problems=tuple(dict.fromkeys(pump.problems)), lines=pump.lines)


def _is_plain(source: LogInput, log_format: LogFormat) -> bool:
    """Whether the engine may read a file itself: long, not compressed, JSON lines, without CR at its beginning."""
    if source.path is None or (source.size or 0) < _WHOLE or re.search(r"[*?\[{]", str(source.path)):
        return False  # What looks like a pattern would be one to the engine.
    try:
        with source.open() as file:
            head = file.read(BLOCK)
    except OSError:
        return False
    if b"\r" in head or head.startswith((_BOM, *MAGIC)):
        return False
    return log_format is LogFormat.JSONL or (log_format is LogFormat.AUTO and detect(head) is LogFormat.JSONL)


class _End:
    """One end of a pipe, closed once."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._open = True

    def release(self) -> int:
        """The descriptor, to be closed by the caller; a closed one's stand-in the second time."""
        if self._open:
            self._open = False
            return self.descriptor
        return os.open(os.devnull, os.O_RDONLY)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[_End, _End]]:
    read, write = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, _SET_PIPE_SIZE, _PIPE)
    ends = _End(read), _End(write)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end.release())


@dataclass(slots=True)
class _Scope:
    """Which requests count."""

    question: TrafficQuestion
    targets: frozenset[str] = field(init=False)
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.targets = frozenset(fold_case(str(one)) for one in self.question.targets)
        self.names = frozenset(fold_case(one.site.name) for one in self.question.targets if one.slot is None)

    @property
    def label(self) -> str:
        """What stands for the target of a record that names none."""
        return str(self.question.targets[0]) if len(self.question.targets) == 1 else UNNAMED

    def target(self, named: str | None) -> str | None:
        """The target to count a record under, None where it is not asked for."""
        if not named:
            return self.label
        if not self.targets or fold_case(named) in self.targets:
            return named
        if "/" not in named and fold_case(named) in self.names:
            return next(str(one) for one in self.question.targets if fold_case(one.site.name) == fold_case(named))
        return None

    def holds(self, at: datetime | None) -> bool:
        """Whether a time is in the window. A request of unknown time is never left out: it may be the public one."""
        since, until = self.question.since, self.question.until
        return at is None or ((since is None or at >= since) and (until is None or at < until))


class _Pump:
    """Cuts files into lines; gives JSON lines to the engine and reads the rest itself."""

    def __init__(
        self,
        inputs: Sequence[LogInput],
        log_format: LogFormat,
        question: TrafficQuestion,
        progress: Callable[[int], None],
        whole: frozenset[str],
    ) -> None:
        """``whole``: the names of those inputs that the engine reads itself."""
        self.tally = Tally()
        self.lines = Lines()
        self.problems: list[TrafficReason] = []
        self.failure: BaseException | None = None
        self.scope = _Scope(question)
        self.broken_texts: list[bytes] = []
        """Lines that the engine found broken, to be looked for; never shown."""
        self._inputs = [one for one in inputs if one.name not in whole]
        self._whole = [one for one in inputs if one.name in whole]
        self._every = inputs
        self._format = log_format
        self._question = question
        self._progress = progress
        self._descriptor = -1
        self._given = 0
        self._is_fit = True

    @property
    def whole(self) -> list[str]:
        """The paths of the files that the engine reads itself."""
        return [str(one.path) for one in self._whole]

    # What the thread does

    def run(self, end: _End, share: Callable[[], float]) -> None:
        """Read every file; the engine sees the end of its pipe when those that go through it are read.

        ``share``: how much the engine has done of all that it reads, 0 to 1.
        """
        self._descriptor = end.descriptor
        try:
            for source in self._inputs:
                self._file(source)
        except BrokenPipeError:
            return  # The engine has ended, and says why itself.
        except BaseException as error:  # noqa: BLE001  the caller's thread raises it
            self.failure = error
        finally:
            os.close(end.release())
        with contextlib.suppress(OSError):  # Then too few bytes are accounted for.
            for source in self._whole:
                self._look_over(source)
        self._tell(share)

    def _look_over(self, source: LogInput) -> None:
        """How much the engine must give back of a file that it reads itself, and whether it can have taken every line for one."""
        size, ended = 0, True
        with source.open() as file:
            while self._is_fit and (block := file.read(BLOCK)):
                size += len(block)
                ended = block.endswith(b"\n")
                self._is_fit = b"\r" not in block
        self._given += size + (not ended)

    def _tell(self, share: Callable[[], float]) -> None:
        size, told = sum(one.size or 0 for one in self._whole), 0
        done = 0.0
        while size and done < 1:
            done = share()
            now = int(size * done)
            self._progress(now - told)
            told = now
            if done < 1:
                time.sleep(_MOMENT)

    def is_accounted(self, size: int) -> bool:
        """Whether the lines that the engine read are all that it was given; ``size`` is theirs in bytes, with an end each."""
        return self._is_fit and size == self._given

    def _file(self, source: LogInput) -> None:
        try:
            with open_blocks(source, self._progress) as blocks:
                _FileReader(self, source).read(blocks, self._format)
        except Truncated as error:
            self.problem(f"{source.name}: {error}")
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            self.problem(f"{source.name}: {error.strerror or type(error).__name__}")

    def problem(self, text: str) -> None:
        """Something stood in the way of reading all."""
        self.problems.append(reason(ReasonCode.SOURCE_UNREADABLE, text))

    def send(self, data: bytes) -> None:
        """Whole lines for the engine."""
        self._given += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def broken(self, name: str, line: int, why: str, count: int = 1) -> None:
        """A line that cannot be read."""
        self.lines.broken += count
        if len(self.lines.samples) < SAMPLES:
            self.lines.samples.append(BrokenLine(file=name, line=line, why=why))

    def request(self, request: Request | None, count: int = 1) -> None:
        """A record read in Python; None where it is about no request."""
        target = self.scope.target(request.target) if request else None
        if request is None or target is None or not self.scope.holds(request.at):
            self.lines.skipped += count
            return
        self.lines.read += count
        table = self.tally.table(target, request.table)
        table.sampled = table.sampled or request.sampled
        kind = request.kind(self._question.paths_of(target))
        table.add(kind, request.source(self._question.ranges), count, request.at, request.at)

    def find_broken(self) -> None:
        """Look up where the lines are that the engine found broken."""
        missing = [text for text in self.broken_texts[: SAMPLES - len(self.lines.samples)] if text]
        for source in self._every:
            if not missing:
                return
            if source.again:
                with contextlib.suppress(OSError, Truncated), open_blocks(source, lambda _: None) as blocks:
                    self._look(source, blocks, missing)
        self.lines.samples += [BrokenLine(file="standard input", line=0, why="not JSON") for _ in missing]

    def _look(self, source: LogInput, blocks: Iterator[bytes], missing: list[bytes]) -> None:
        number, rest = 1, b""
        for block in blocks:
            data = rest + block
            whole, newline, rest = data.rpartition(b"\n")
            self._look_in(source, whole + newline, number, missing)
            if not missing or len(rest) > LONGEST_LINE:
                return
            number += whole.count(b"\n") + len(newline)
        self._look_in(source, rest + b"\n", number, missing)

    def _look_in(self, source: LogInput, lines: bytes, number: int, missing: list[bytes]) -> None:
        """Look for whole lines; the first of ``lines`` has this number."""
        for text in list(missing):
            if found := re.search(rb"(?m)^" + re.escape(text) + rb"\r?$", lines):
                at = number + lines.count(b"\n", 0, found.start())
                self.lines.samples.append(BrokenLine(file=source.name, line=at, why="not JSON"))
                missing.remove(text)


_DELIMITER: Final = b"\x01\x02"
"""Stands in no JSON: control characters are escaped there."""
_UNSAFE: Final = re.compile(rb"[\x00-\x08\x0b-\x1f]")
_BOM: Final = b"\xef\xbb\xbf"


class _FileReader:
    """One file."""

    def __init__(self, pump: _Pump, source: LogInput) -> None:
        self._pump = pump
        self._name = source.name
        self._number = 0
        self._too_long = False

    def read(self, blocks: Iterator[bytes], log_format: LogFormat) -> None:
        head = next(blocks, b"").removeprefix(_BOM)
        while len(head) < _BOM_AND_LINE and (more := next(blocks, b"")):
            head = (head + more).removeprefix(_BOM)
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
                for number, line in self._text_lines(chunks):
                    self._text(number, line)
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

    def _text(self, number: int, line: str) -> None:
        if line.lstrip()[:1] == "{":
            try:
                self._pump.request(from_object(msgspec.json.decode(line)))
            except (msgspec.DecodeError, ValueError, RecursionError):
                pass
            else:
                return
        del number
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
            for record in _records(self._and(head, blocks)):
                records += 1
                try:
                    request = from_object(record)
                except ValueError as error:
                    self._pump.broken(self._name, records, str(error))
                else:
                    self._pump.request(request)
        except _NoDocument as error:
            self._pump.broken(self._name, records + 1, str(error))
            self._pump.problem(f"{self._name}: {error}")


_BOM_AND_LINE: Final = 4096


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


class _NoDocument(Exception):  # noqa: N818  says what is wrong with the file, and is not raised further
    pass


_WHITE: Final = re.compile(r"[ \t\r\n,]*")
_ROWS: Final = '"rows"'
_LONGEST_DOCUMENT: Final = 256 << 20


def _records(blocks: Iterator[bytes]) -> Iterator[object]:
    """The records of ``[{...}, ...]`` one by one, or those of an answer of the Log Analytics API, which is read whole."""
    import codecs  # noqa: PLC0415  for documents alone

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
            raise _NoDocument(message)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        message = "no JSON document"
        raise _NoDocument(message) from None
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
            raise _NoDocument(message) from None
        except ValueError:
            block = next(blocks, None)
            if block is None or len(text) - position > LONGEST_LINE:
                message = "the list of records breaks off, or is no JSON"
                raise _NoDocument(message) from None
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
    raise _NoDocument(message)


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
                        raise _NoDocument(message)
        case {"records": list(records)} | {"value": list(records)}:
            yield from records
        case _:
            yield document


def detect(head: bytes) -> LogFormat:
    """How a log is written, by its beginning."""
    text = head[:65536].decode(errors="replace").lstrip()
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
        return LogFormat.JSON if isinstance(record, dict) and record.keys() & {"tables", "records"} else LogFormat.JSONL
    names = {re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]", "", name).lower()) for name in first.split(",")}
    if newline and len(names) > 1 and names & _COLUMNS:
        return LogFormat.CSV
    looks_json = any(line.lstrip().startswith("{") for line in text.split("\n")[:20])
    return LogFormat.JSONL if looks_json and "orwarded" not in text else LogFormat.TEXT


_COLUMNS: Final = {"timegenerated", "cip", "clientip", "csuristem", "xforwardedfor", "message", "resourceid", "time"}


# The engine


class _Engine:
    """Groups the pipe's lines by source in DuckDB, then classifies the groups with the core's own rules."""

    def __init__(self, pump: _Pump, question: TrafficQuestion, folder: Path) -> None:
        self._pump = pump
        self._question = question
        self._folder = folder
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.is_over = False
        self.failure = ""
        self.size = 0
        """Bytes of all lines that were read, with one for the end of each."""

    def share(self) -> float:
        """How much is done of what is read, from another thread; 0 to 1."""
        if self.is_over or self._connection is None:
            return float(self.is_over)
        return min(max(self._connection.query_progress(), 0) / 100, 0.99)

    def run(self, end: _End) -> None:
        import duckdb  # noqa: PLC0415  heavy: not before there is a file to read

        with duckdb.connect(config=_config(self._folder)) as connection:
            paths = self._question.paths_of(None)
            question, limits = self._question, []
            parameters: dict[str, object] = {
                "files": [f"/dev/fd/{end.descriptor}", *self._pump.whole],
                "ping": PING_AGENT,
                "upstream": paths.regex,
                "literal": paths.literals,
                "label": self._pump.scope.label,
            }
            if self._pump.scope.targets:
                limits.append(_OF_OTHERS)
                parameters["targets"] = sorted(self._pump.scope.targets)
            if question.since is not None or question.until is not None:
                limits.append(_OUTSIDE)
                parameters |= {"since": _micros(question.since), "until": _micros(question.until)}
            connection.execute("SET enable_progress_bar = true")  # Else it does not say how far it is.
            connection.execute("SET enable_progress_bar_print = false")
            self._connection = connection
            try:
                connection.execute(_GROUPED.replace("{limits}", " ".join(limits)), parameters)
            finally:
                self.is_over, self._connection = True, None
            self._read(connection)

    def _read(self, connection: duckdb.DuckDBPyConnection) -> None:
        names = {
            hashed: (target, table)
            for hashed, target, table in _rows(
                connection, "SELECT th, any_value(target), any_value(tbl) FROM g WHERE named GROUP BY th"
            )
        }
        lines = self._pump.lines
        (self.size,) = connection.execute(
            "SELECT coalesce(sum(bytes), 0) + coalesce(sum(n), 0) FROM g WHERE named"
        ).fetchone() or (0,)
        for status, count in connection.execute("SELECT st, sum(n) FROM g WHERE named GROUP BY st").fetchall():
            if status == "b":
                lines.broken += int(count)
            elif status == "s":
                lines.skipped += int(count)
            elif status != "x":
                lines.read += int(count)
        texts = connection.execute("SELECT src FROM g WHERE NOT named AND st = 'b' LIMIT ?", [SAMPLES]).fetchall()
        self._pump.broken_texts += [text.encode() for (text,) in texts if text]
        for line, count in _rows(connection, "SELECT src, n FROM g WHERE NOT named AND st = 'x'", at_once=_LINES_AT_ONCE):
            self._odd(line, count)
        for status, kind in (("p", Kind.PING), ("m", Kind.SCM)):
            query = "SELECT th, sum(n), min(f), max(l) FROM g WHERE named AND st = ? GROUP BY th"
            for hashed, count, first, last in _rows(connection, query, [status]):
                self._table(names, hashed).add(kind, _NOBODY, int(count), _moment(first), _moment(last))
        (groups,) = connection.execute("SELECT count(*) FROM g WHERE NOT named AND st = 'r'").fetchone() or (0,)
        if groups <= _FEW:
            self._one_by_one(connection, names, "SELECT th, src, up, n, f, l FROM g WHERE NOT named AND st = 'r'")
        else:
            self._by_blocks(connection, names)

    def _table(self, names: dict[int, tuple[str, str]], hashed: int) -> TableTally:
        target, table = names[hashed]
        return self._pump.tally.table(target, table)

    def _odd(self, line: str, count: int) -> None:
        try:
            request = from_object(msgspec.json.decode(line))
        except (msgspec.DecodeError, ValueError, RecursionError):
            self._pump.lines.broken += count
            self._pump.broken_texts.append(line.encode())
        else:
            for _ in range(count):
                self._pump.request(request)

    def _one_by_one(
        self,
        connection: duckdb.DuckDBPyConnection,
        names: dict[int, tuple[str, str]],
        query: str,
        parameters: object = None,
        *,
        named: bool = True,
    ) -> None:
        for hashed, text, upstream, count, first, last in _rows(connection, query, parameters):
            source = resolve(None, text, self._question.ranges)
            _add(self._table(names, hashed), source, int(upstream), int(count), first, last, named=named)

    def _by_blocks(self, connection: duckdb.DuckDBPyConnection, names: dict[int, tuple[str, str]]) -> None:
        """Classes by the first two octets, where they decide; everything else one by one; the most frequent sources by name."""
        connection.execute(_BLOCKS)
        distinct: Counter[int] = Counter()
        mixed: list[str] = []
        for hashed, block, upstream, count, first, last, sources in _rows(connection, "SELECT * FROM blocks"):
            distinct[hashed] += sources
            cls = classify_block(*map(int, block.split(".")), self._question.ranges) if block else None
            if cls is None:
                mixed.append(block)
            else:
                source = Resolved(name="", cls=cls, basis=Basis.CLIENT_IP)
                _add(self._table(names, hashed), source, int(upstream), int(count), first, last, named=False)
        if mixed:
            query = f"SELECT th, src, up, n, f, l FROM g WHERE NOT named AND st = 'r' AND list_contains(?, {_BLOCK})"  # noqa: S608  a constant
            self._one_by_one(connection, names, query, [sorted(set(mixed))], named=False)
        for hashed, sources in distinct.items():
            table = self._table(names, hashed)
            top = list(_rows(connection, _TOP, [hashed]))
            for text, count, first, last in top:
                found = resolve(None, text, self._question.ranges)
                if found.cls is not AddressClass.ABSENT:
                    seen = (_moment(first), _moment(last))
                    table.name(
                        Source(
                            address=found.name,
                            cls=found.cls,
                            count=int(count),
                            first_seen=seen[0],
                            last_seen=seen[1],
                            note=found.note,
                        )
                    )
            table.others += sources - len(top)


_NOBODY: Final = Resolved(name="", cls=AddressClass.ABSENT, basis=Basis.CLIENT_IP)


def _add(  # noqa: PLR0913, PLR0917  one group
    table: TableTally, source: Resolved, upstream: int, count: int, first: int | None, last: int | None, *, named: bool = True
) -> None:
    for kind, share in ((Kind.UPSTREAM, upstream), (Kind.OTHER, count - upstream)):
        if share:
            table.add(kind, source, share, _moment(first), _moment(last), named=named)


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None, *, at_once: int = _AT_ONCE
) -> Iterator[Any]:
    """Rows of a query, some at once; to be read to their end before the next query."""
    connection.execute(query, parameters)
    while rows := connection.fetchmany(at_once):
        yield from rows


def _config(folder: Path) -> dict[str, Any]:
    return {
        "threads": min(os.cpu_count() or 1, 8),
        "memory_limit": _MEMORY,
        "temp_directory": str(folder),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int | None) -> datetime | None:
    try:
        return None if micros is None else _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


_FIELDS: Final = ("CIp", "CsMethod", "CsUriStem", "CsHost", "UserAgent")


def _paths(*paths: str) -> str:
    return "[" + ", ".join(f"'$.{path}'" for path in paths) + "]"


_DIAGNOSTIC: Final = _paths("time", "resourceId", "category", *(f"properties.{name}" for name in _FIELDS))
"""Diagnostic records whose properties are an object; the other shapes are looked for only where this one does not fit."""
_OTHERS: Final = _paths("time", "TimeGenerated", "resourceId", "_ResourceId", "category", "Type", "properties", *_FIELDS)
_FLAT: Final = _paths(*_FIELDS)
_ODD: Final = "(?i)client.?ip|c.?ip"
"""Other ways to write a client address, which only the reader in Python understands."""

_OF_OTHERS: Final = "WHEN resource <> '' AND NOT list_contains($targets, upper(resource)) THEN 's'"
_OUTSIDE: Final = "WHEN t < $since OR t >= $until THEN 's'"
"""Asked of every row, so only where there is something to ask."""

# A projection works out both sides of AND for every row, a CASE only what it comes to: hence a CASE around whatever is dear.
_GROUPED: Final = f"""
CREATE TEMP TABLE g AS
WITH raw AS (
    SELECT line FROM read_csv($files, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
        delim = chr(1) || chr(2), quote = '', escape = '', comment = '', strict_mode = false, null_padding = false,
        compression = 'none', hive_partitioning = false, max_line_size = {2 * LONGEST_LINE}, buffer_size = {_BUFFER})
), parsed AS (
    -- Where a line is no JSON, TRY makes it NULL; asking json_valid first would parse every line twice.
    SELECT line, TRY(json_extract_string(line, {_DIAGNOSTIC})) AS d FROM raw
), fitted AS (
    SELECT line, d, (d[4] IS NOT NULL OR d[5] IS NOT NULL) AND d[1] IS NOT NULL AND d[2] IS NOT NULL AND d[3] IS NOT NULL AS fits
    FROM parsed
), enveloped AS (
    SELECT line, d, fits, CASE WHEN NOT fits AND d IS NOT NULL THEN json_extract_string(line, {_OTHERS}) END AS e FROM fitted
), flattened AS (
    SELECT line, d, fits, e,
        CASE WHEN e[8] IS NOT NULL OR e[9] IS NOT NULL THEN e[8:12]
             WHEN e[7] IS NOT NULL THEN TRY(json_extract_string(e[7], {_FLAT})) END AS p
    FROM enveloped
), fields AS (
    SELECT line, fits, d IS NULL AS broken,
        CASE WHEN fits THEN d[1] ELSE coalesce(e[1], e[2]) END AS stamp,
        CASE WHEN fits THEN d[2] ELSE coalesce(e[3], e[4]) END AS resource,
        CASE WHEN fits THEN d[3]
             WHEN p[1] IS NOT NULL OR p[2] IS NOT NULL THEN coalesce(e[5], e[6], '{HTTP_LOGS}')
             ELSE coalesce(e[5], e[6], '{APPLICATION_LOG}') END AS tbl,
        CASE WHEN fits THEN d[4] ELSE p[1] END AS cip,
        CASE WHEN fits THEN d[5] ELSE p[2] END AS method,
        CASE WHEN fits THEN d[6] ELSE p[3] END AS path,
        CASE WHEN fits THEN d[7] ELSE p[4] END AS host,
        CASE WHEN fits THEN d[8] ELSE p[5] END AS agent
    FROM flattened
), timed AS (
    SELECT *, try_cast(epoch_us(try_cast(stamp AS TIMESTAMPTZ)) AS BIGINT) AS t FROM fields
), judged AS (
    SELECT coalesce(nullif(resource, ''), $label) AS target, tbl, cip, t, line,
        CASE WHEN broken THEN CASE WHEN line IS NULL OR ltrim(line) = '' THEN 's' ELSE 'b' END
             WHEN CASE WHEN NOT fits THEN left(ltrim(line), 1) <> '{{' END THEN 'b'
             WHEN regexp_matches(line, '(?i)forwarded') THEN 'x'
             WHEN CASE WHEN cip IS NULL AND method IS NULL THEN regexp_matches(line, '{_ODD}') END THEN 'x'
             WHEN CASE WHEN cip IS NULL AND method IS NULL THEN tbl <> '{HTTP_LOGS}' END THEN 's'
             {{limits}}
             WHEN CASE WHEN cip IN ('127.0.0.1', '::1') THEN regexp_matches(agent, $ping) END THEN 'p'
             WHEN host ILIKE '%.scm.%' THEN 'm'
             ELSE 'r' END AS st,
        CASE WHEN method = 'POST' AND list_contains($literal, path) THEN true
             WHEN upper(coalesce(method, 'POST')) = 'POST' THEN regexp_full_match(path, $upstream) END AS upstream
    FROM timed
), keyed AS (
    SELECT st, t, upstream, target, tbl, hash(target, tbl) AS th, strlen(line) AS bytes,
        CASE WHEN st = 'r' AND strlen(cip) <= {_LONGEST_ADDRESS} THEN cip
             WHEN st = 'r' THEN left(coalesce(cip, ''), {_LONGEST_ADDRESS})
             WHEN st IN ('b', 'x') THEN line
             ELSE '' END AS src
    FROM judged
)
SELECT st, th, target, tbl, src, grouping(src) = 1 AS named, count(*) AS n,
    count(*) FILTER (upstream) AS up, min(t) AS f, max(t) AS l, sum(bytes) AS bytes
FROM keyed
GROUP BY GROUPING SETS ((st, th, target, tbl), (st, th, src))
"""  # noqa: S608  constants; what is asked comes as parameters
_TOP: Final = f"""
SELECT src, n, f, l FROM g WHERE NOT named AND st = 'r' AND th = ? AND src <> ''
ORDER BY n DESC, src LIMIT {2 * TOP_SOURCES}
"""  # noqa: S608  constants; what is asked comes as parameters
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_BLOCK: Final = f"regexp_extract(src, '^({_OCTET}[.]{_OCTET})[.]{_OCTET}[.]{_OCTET}$', 1)"
"""The first two octets of an IPv4 address and nothing but one; "" for anything else."""
_BLOCKS: Final = f"""
CREATE TEMP TABLE blocks AS
SELECT th, {_BLOCK} AS block, sum(up) AS up, sum(n) AS n, min(f) AS f, max(l) AS l, count(*) FILTER (src <> '') AS d
FROM g WHERE NOT named AND st = 'r' GROUP BY ALL
"""  # noqa: S608  constants; what is asked comes as parameters
