"""Log files as bytes: which files a path, a folder or a glob names, and their content in blocks, decompressed, bounded."""

from __future__ import annotations

import glob
import sys
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_LINE: Final = 1 << 20
"""Bytes; a longer line is broken."""
BLOCK: Final = 1 << 20
"""Bytes that are read at once."""
STDIN: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
MAGIC: Final = (_GZIP, _ZSTD)
"""How compressed files begin."""


class Truncated(Exception):  # noqa: N818  it is an end, and the caller tells of it
    """The file ends too soon: in the middle of its compressed content, or before the size that it had."""


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class LogInput:
    """One file, or standard input."""

    name: str
    """For a person."""
    open: Callable[[], BinaryIO]
    size: int | None
    """In bytes, as stored; None where it is not known."""
    again: bool = True
    """Whether it can be read a second time."""
    path: Path | None = None
    """Where it is a file of this machine."""


def find_inputs(paths: Iterable[str]) -> list[LogInput]:
    """The files that ``paths`` name: files, folders with all that is in them, globs (``**`` included), ``-`` for standard input.

    Raises:
        ConfigError: where one of them names nothing.

    """
    inputs: dict[str, LogInput] = {}
    problems: list[str] = []
    for text in paths:
        if not text:
            problems.append("--logs: a path is empty")  # A variable that is not set; as a path it would be this folder.
            continue
        if text == STDIN:
            inputs[STDIN] = LogInput("standard input", _open_stdin, None, again=False)
            continue
        found = _files(text, problems)
        if not found and not problems:
            problems.append(f"--logs: no file is there that {text!r} names")
        for path in found:
            inputs.setdefault(str(path.resolve()), _input(path))
    if problems:
        raise ConfigError(problems)
    return list(inputs.values())


def _open_stdin() -> BinaryIO:
    """Without a buffer: one that a thread still waits in when the process ends is a fatal error to Python.

    Raises:
        OSError: where there is none.

    """
    if sys.stdin is None:
        message = "it is closed"
        raise OSError(0, message)
    return cast("BinaryIO", FileIO(sys.stdin.fileno(), closefd=False))


def _files(text: str, problems: list[str]) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        return sorted(_below(path, problems))
    if path.exists():
        return [path]
    found: list[Path] = []
    for name in sorted(glob.glob(text, recursive=True)):  # noqa: PTH207  a pattern may be absolute, which Path.glob refuses
        found += _files(name, problems)
    return found


def _below(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Every file. A folder that cannot be listed is a problem: what is in it may be what matters."""

    def unlisted(error: OSError) -> None:
        problems.append(f"--logs: the folder {str(error.filename)!r} cannot be listed: {error.strerror}")

    for parent, _, names in folder.walk(on_error=unlisted):
        yield from (path for name in names if (path := parent / name).is_file())


def _input(path: Path) -> LogInput:
    regular = path.is_file()
    size = path.stat().st_size if regular else None
    return LogInput(str(path), lambda: path.open("rb"), size, again=regular, path=path.absolute() if regular else None)


class _Counted:
    """Reads, tells how much, and notices where a file ends before the size that it had: a log may be cut while it is read."""

    def __init__(self, raw: Readable, told: Callable[[int], None], size: int) -> None:
        self._raw = raw
        self._told = told
        self._missing = size
        self.is_cut = False

    def read(self, size: int) -> bytes:
        data = self._raw.read(size)
        self._told(len(data))
        self._missing -= len(data)
        self.is_cut = not data and self._missing > 0
        return data


@contextmanager
def open_blocks(source: LogInput, told: Callable[[int], None]) -> Iterator[Iterator[bytes]]:
    """The content in blocks of about :data:`BLOCK`; gzip and zstd, told by their first bytes, are decompressed.

    Args:
        source: what to read.
        told: is told how many stored bytes were read.

    Raises:
        OSError: where it cannot be read.
        Truncated: while iterating, where compressed content ends early or is damaged; at the end, where the file has become
            shorter than it was.

    """
    file = source.open()
    try:
        counted = _Counted(file, told, source.size or 0)
        head = counted.read(BLOCK)
        while len(head) < len(_ZSTD) and (more := counted.read(BLOCK)):
            head += more  # A pipe gives what is there, be it one byte.
        if head.startswith(_GZIP):
            yield _gunzip(counted, head)
        elif head.startswith(_ZSTD):
            yield _unzstd(counted, head)
        else:
            yield _plain(counted, head)
    finally:
        file.close()
    if counted.is_cut:
        message = "it became shorter while it was read"
        raise Truncated(message)


def _plain(raw: Readable, head: bytes) -> Iterator[bytes]:
    data = head
    while data:
        yield data
        data = raw.read(BLOCK)


def _gunzip(raw: Readable, head: bytes) -> Iterator[bytes]:
    """Every member of a gzip file; zeros after the last one are padding (gzip's own manual)."""
    data, inflate = head, zlib.decompressobj(wbits=31)
    try:
        while True:
            block = inflate.decompress(data, BLOCK)
            if block:
                yield block
            if inflate.eof:
                data = inflate.unused_data or raw.read(BLOCK)
                while data and not data.strip(b"\0"):
                    data = raw.read(BLOCK)
                if not data:
                    return
                inflate = zlib.decompressobj(wbits=31)
                data = data.lstrip(b"\0")
                continue
            data = inflate.unconsumed_tail or raw.read(BLOCK)
            if not data and not inflate.eof and not block:
                message = "it ends in the middle of its compressed content"
                raise Truncated(message)
    except zlib.error as error:
        message = "its compressed content is damaged"
        raise Truncated(message) from error


def _unzstd(raw: Readable, head: bytes) -> Iterator[bytes]:
    from backports import zstd  # noqa: PLC0415  only where there is such a file

    data, inflate = head, zstd.ZstdDecompressor()
    try:
        while True:
            block = inflate.decompress(data, BLOCK)
            if block:
                yield block
            if inflate.eof:
                data = inflate.unused_data or raw.read(BLOCK)
                if not data:
                    return
                inflate = zstd.ZstdDecompressor()
                continue
            data = raw.read(BLOCK) if inflate.needs_input else b""
            if inflate.needs_input and not data:
                message = "it ends in the middle of its compressed content"
                raise Truncated(message)
    except zstd.ZstdError as error:
        message = "its compressed content is damaged"
        raise Truncated(message) from error
