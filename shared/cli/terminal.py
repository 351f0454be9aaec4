"""The process's own ends: standard output, standard error, files, the terminal, logs. Only here is anything printed."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, override

from shared.core.errors import ConfigError
from shared.report.escape import clean
from shared.report.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

LOGGER: Final = logging.getLogger("linkguard")
_NARROW: Final = 80
_DATABASE: Final = b"SQLite format 3\0"
"""What the file of a ledger begins with."""


def stand_in() -> None:
    """Where standard output or error is closed, the null device: whoever closed it wants the exit code alone.

    Left closed, the next file that is opened would take its number.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  open as long as the process


def style_of(stream: TextIO, environ: Mapping[str, str]) -> Style:
    """How text for this stream may look."""
    if not stream.isatty():
        return Style()
    colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Style(width=shutil.get_terminal_size((_NARROW, 24)).columns, colour=colour)


def say(text: str) -> None:
    """Write to standard output. A reader who has gone away, as ``head`` does, is no failure.

    Raises:
        ConfigError: where it cannot be written, as on a full disk.

    """
    _write(sys.stdout, text)


def tell(text: str) -> None:
    """Write to standard error."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(_encodable(text, stream.encoding))
        stream.flush()
    except OSError as error:
        # So that the interpreter's own flush at the end has somewhere to go.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError) and stream is sys.stdout:
            message = f"standard output cannot be written: {error.strerror or type(error).__name__}"
            raise ConfigError([message]) from error


def _encodable(text: str, encoding: str | None) -> str:
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)


def complain(problem: str, *more: str) -> None:
    """A failure, for a person: one line for each problem, whatever is in it."""
    tell("".join(f"linkguard: {clean(line)}\n" for line in (problem, *more)))


def is_interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask on the terminal; only ``y`` and ``yes`` are a yes."""
    with _interruptible():
        # Asked inside, so that whoever sees the question can already leave it.
        tell(f"{question} [y/N] ")
        answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        tell("\n")
    return answer.strip().lower() in {"y", "yes"}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends a wait for the keyboard at once; asyncio's own handler would only note it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_output(path: Path) -> None:
    """Whether a file could be written there, before there is anything to write, and is not the ledger or another database.

    Raises:
        ConfigError: where it could not, or is.

    """
    folder = path.resolve().parent
    if path.is_dir():
        raise ConfigError([f"--output: {path} is a folder"])
    if not folder.is_dir():
        raise ConfigError([f"--output: there is no folder {folder}"])
    if not os.access(folder, os.W_OK) and not (path.exists() and not path.is_file()):
        raise ConfigError([f"--output: {folder} may not be written to"])
    if _is_database(path):
        raise ConfigError([f"--output: {path} is a database, perhaps the ledger: give another file"])


def _is_database(path: Path) -> bool:
    if not path.is_file():
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:  # One that may not be read may still be replaced.
        return file.read(len(_DATABASE)) == _DATABASE
    return False


@contextmanager
def open_output(path: Path) -> Iterator[TextIO]:
    """A file to write, which takes the place of one that is there only once it is whole.

    What is no regular file, such as a device or a pipe, is written to as it is.

    Raises:
        ConfigError: where it cannot be made or written.

    """
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as file:
                yield file
            return
        whole = path.resolve()
        with _beside(whole) as file:
            yield file
    except OSError as error:
        message = f"--output: {path} cannot be written: {error.strerror or type(error).__name__}"
        raise ConfigError([message]) from error


@contextmanager
def _beside(whole: Path) -> Iterator[TextIO]:
    mode = whole.stat().st_mode & 0o777 if whole.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{whole.name[:100]}.", dir=whole.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        Path(name).chmod(mode)
        Path(name).replace(whole)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class _ToStandardError(logging.Handler):
    """One line a record, with nothing in it that a terminal would act on; no traceback, which may quote anything."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            time = logging.Formatter().formatTime(record)
            tell(f"{time} {record.levelname} {record.name}: {clean(record.getMessage())}\n")
        except Exception:  # noqa: BLE001  a log line that cannot be written is no reason to fail
            self.handleError(record)


def set_up_logging(*, verbose: bool) -> None:
    """Logs to standard error: warnings, and with ``verbose`` what Linkguard does.

    The SDKs' record of requests names URLs and headers, so it is switched off whatever anybody asks.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, _ToStandardError) for handler in root.handlers):
        root.addHandler(_ToStandardError())
    LOGGER.setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("azure").setLevel(logging.WARNING if verbose else logging.ERROR)
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").disabled = True
