"""What goes into the engine and what comes of it: files to a pipe, records to a tally, every line accounted for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.log_bytes import LONGEST_LINE, Truncated, open_blocks
from shared.adapters.log_lines import LineReader
from shared.adapters.log_records import UNNAMED
from shared.core.arm_id import fold_case
from shared.core.traffic import BrokenLine, Lines, ReasonCode, Tally, TrafficReason, reason
from shared.ports import TrafficQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from shared.adapters.log_bytes import LogInput
    from shared.adapters.log_engine import Engine
    from shared.adapters.log_format import LogFormat
    from shared.adapters.log_records import Request

SAMPLES: Final = 5
"""Broken lines that are named."""
_PIPE: Final = 1 << 20
_SET_PIPE_SIZE: Final = 1031  # F_SETPIPE_SZ, where there is one
_LF: Final = ord("\n")
_LOOKED_AT: Final = 256 << 10
"""Bytes at once, few enough to stay in a core's cache."""
_MOMENT: Final = 0.1
"""Seconds between two looks at how far the engine is."""


class LeftError(Exception):
    """Nobody waits for the reading any more."""


class End:
    """One end of a pipe, closed once, whichever thread is the first."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._open = True
        self._closing = threading.Lock()

    def close(self) -> None:
        """Close it where nobody has."""
        with self._closing:
            if self._open:
                self._open = False
                os.close(self.descriptor)


@contextlib.contextmanager
def open_pipe() -> Iterator[tuple[End, End]]:
    """Its reading end and its writing end, closed in the end where nobody has."""
    read, write = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, _SET_PIPE_SIZE, _PIPE)
    ends = End(read), End(write)
    try:
        yield ends
    finally:
        for end in ends:
            end.close()


@dataclass(slots=True)
class Scope:
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
            sites = (one for one in self.question.targets if one.slot is None)
            return next(str(one) for one in sites if fold_case(one.site.name) == fold_case(named))
        return None

    def holds(self, at: datetime | None) -> bool:
        """Whether a time is in the window. A request of unknown time is never left out: it may be the public one."""
        since, until = self.question.since, self.question.until
        return at is None or ((since is None or at >= since) and (until is None or at < until))


class Pump:
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
        self.scope = Scope(question)
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
        self._is_left = False
        self._writing = threading.Lock()

    @property
    def whole(self) -> list[str]:
        """The paths of the files that the engine reads itself."""
        return [str(one.path) for one in self._whole]

    def leave(self, end: End) -> None:
        """From another thread: read no more, and end the engine's pipe unless a line is just being written into it."""
        self._is_left = True
        if self._writing.acquire(blocking=False):
            end.close()
            self._writing.release()

    def go_on(self) -> None:
        """Look whether somebody still waits.

        Raises:
            LeftError: where nobody does.

        """
        if self._is_left:
            raise LeftError

    def _told(self, count: int) -> None:
        self.go_on()
        self._progress(count)

    # What the thread does

    def run(self, end: End, engine: Engine) -> None:
        """Read every file; the engine sees the end of its pipe when those that go through it are read."""
        self._descriptor = end.descriptor
        try:
            for source in self._inputs:
                self._file(source)
        except BrokenPipeError:
            return  # The engine has ended, and says why itself.
        except BaseException as error:  # noqa: BLE001  the caller's thread raises it
            self.failure = error
        finally:
            end.close()
        with contextlib.suppress(OSError):  # Then too few bytes are accounted for.
            for source in self._whole:
                self._look_over(source)
        self._tell(engine)

    def _look_over(self, source: LogInput) -> None:
        """How much the engine must give back of a file that it reads itself, and whether it can have taken every line for one."""
        size, last, block = 0, _LF, bytearray(_LOOKED_AT)
        with Path(str(source.path)).open("rb", buffering=0) as file:
            while self._is_fit and not self._is_left and (length := file.readinto(block)):
                size += length
                last = block[length - 1]
                self._is_fit = block.find(b"\r", 0, length) < 0
        self._is_fit = self._is_fit and size >= (source.size or 0)  # Else it was cut; whoever reads it again says so.
        self._given += size + (last != _LF)

    def _tell(self, engine: Engine) -> None:
        size, told = sum(one.size or 0 for one in self._whole), 0
        while told < size:
            engine.over.wait(_MOMENT)
            now = int(size * engine.share())
            self._progress(now - told)
            told = now

    def is_accounted(self, size: int) -> bool:
        """Whether the lines that the engine read are all that it was given; ``size`` is theirs in bytes, with an end each."""
        return self._is_fit and size == self._given

    def _file(self, source: LogInput) -> None:
        try:
            with open_blocks(source, self._told) as blocks:
                LineReader(self, source).read(blocks, self._format)
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
        with self._writing:
            self.go_on()  # The pipe may be closed, and its descriptor another file's.
            while view:
                view = view[os.write(self._descriptor, view) :]

    def broken(self, name: str, line: int, why: str, count: int = 1) -> None:
        """A line that cannot be read."""
        self.lines.broken += count
        if len(self.lines.samples) < SAMPLES:
            self.lines.samples.append(BrokenLine(file=name, line=line, why=why))

    def request(self, request: Request | None, count: int = 1) -> None:
        """A record read in Python; None where it is about no request.

        Raises:
            LeftError: where nobody waits for it.

        """
        self.go_on()
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
                with contextlib.suppress(OSError, Truncated), open_blocks(source, lambda _: self.go_on()) as blocks:
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
