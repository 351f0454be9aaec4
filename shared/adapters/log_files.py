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
import re
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.log_bytes import BLOCK, MAGIC, LogInput, find_inputs
from shared.adapters.log_detect import BOM, detect
from shared.adapters.log_engine import Engine
from shared.adapters.log_format import LogFormat
from shared.adapters.log_pump import Pump, open_pipe
from shared.core.traffic import TrafficReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shared.adapters.log_pump import End
    from shared.ports import TrafficQuestion

_WHOLE: Final = 8 << 20
"""Bytes; plain JSON lines that are at least as long are read by the engine itself."""
_MOMENT: Final = 0.05
"""Seconds between two looks whether somebody still waits."""


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
        """Read everything once, in a thread of its own, which ends soon where nobody waits for it any more."""
        leave = threading.Event()
        try:
            return await asyncio.to_thread(self.read_now, question, leave)
        finally:
            leave.set()

    def read_now(self, question: TrafficQuestion, leave: threading.Event | None = None) -> TrafficReading:
        """Read everything once; returns when it is done.

        Raises:
            LeftError: soon after another thread has set ``leave``.

        """
        leave = leave or threading.Event()
        whole = frozenset(one.name for one in self.inputs if _is_plain(one, self._format)) if self._can_repeat else frozenset()
        told = 0

        def progress(count: int) -> None:
            nonlocal told
            told += count
            self._progress(count)

        attempts = [(whole, True), (whole, False)] if whole else []
        for itself, trusting in (*attempts, (frozenset[str](), False)):
            reading = self._read(question, itself, progress, leave, trusting=trusting)
            if reading is not None:
                return reading
            progress(-told)
        raise AssertionError  # The last attempt says what is wrong.

    @property
    def _can_repeat(self) -> bool:
        return all(one.again for one in self.inputs)

    def _read(
        self,
        question: TrafficQuestion,
        whole: frozenset[str],
        progress: Callable[[int], None],
        leave: threading.Event,
        *,
        trusting: bool,
    ) -> TrafficReading | None:
        """Read everything, the files named ``whole`` by the engine itself; None where they cannot be read so.

        ``trusting``: that every line is JSON.
        """
        import duckdb  # noqa: PLC0415  heavy: not before there is a file to read

        pump = Pump(self.inputs, self._format, question, progress, whole)
        with tempfile.TemporaryDirectory(prefix="linkguard-audit-") as folder, open_pipe() as (reading, writing):
            engine = Engine(pump, question, Path(folder), trusting=trusting)
            thread = threading.Thread(target=pump.run, args=(writing, engine), name="log reader", daemon=True)
            thread.start()
            try:
                with _ending(leave, pump, engine, writing):
                    engine.run(reading)
            except (duckdb.Error, UnicodeDecodeError) as error:
                # A file that it reads itself may be gone or of another encoding: the pump says which. The other one
                # comes in place of an error whose message quotes half a letter.
                engine.failure = type(error).__name__  # Its message may quote a line.
            finally:
                engine.over.set()
                reading.close()
                while thread.is_alive() and not leave.is_set():
                    thread.join(_MOMENT)
                if leave.is_set():  # The thread may wait for its input as long as that takes; it does nothing with it.
                    pump.leave(writing)
        pump.go_on()
        if pump.failure is not None:
            raise pump.failure
        if engine.failure or not pump.is_accounted(engine.size):
            if whole:
                return None
            pump.problem(f"the engine failed: {engine.failure}" if engine.failure else "the engine lost lines")
        pump.find_broken()
        return TrafficReading(tables=pump.tally.end(), problems=tuple(dict.fromkeys(pump.problems)), lines=pump.lines)


@contextlib.contextmanager
def _ending(leave: threading.Event, pump: Pump, engine: Engine, writing: End) -> Iterator[None]:
    """While the engine runs: end it once somebody has set ``leave``."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_MOMENT):
            if leave.is_set():
                pump.leave(writing)
                engine.interrupt()  # Again and again: between two queries there is nothing to end.

    threading.Thread(target=watch, name="log watcher", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _is_plain(source: LogInput, log_format: LogFormat) -> bool:
    """Whether the engine may read a file itself: long, not compressed, JSON lines, without CR at its beginning."""
    if source.path is None or (source.size or 0) < _WHOLE or re.search(r"[*?\[{]", str(source.path)):
        return False  # What looks like a pattern would be one to the engine.
    try:
        with source.open() as file:
            head = file.read(BLOCK)
    except OSError:
        return False
    if b"\r" in head or head.startswith((BOM, *MAGIC)):
        return False
    return log_format is LogFormat.JSONL or (log_format is LogFormat.AUTO and detect(head) is LogFormat.JSONL)
