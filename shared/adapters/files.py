"""The allowlist in a local file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shared.core.errors import AllowlistError
from shared.core.problem import Problem
from shared.ports import Document

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4 * 1024 * 1024
"""Ten thousand rules take less than this; a larger file is a mistake, and is refused before it is read into memory."""


class FileAllowlist:
    """Reads the file anew each time, so that ``paused: true`` counts from the moment it is saved."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Document:
        """The text as it is now, its line ends untouched.

        Raises:
            AllowlistError: where it is missing, no regular file, not readable, too large or not UTF-8.

        """
        return await asyncio.to_thread(self._read)

    def _read(self) -> Document:
        source = str(self._path)
        try:
            # Opening a pipe would wait for its writer, perhaps for ever.
            if self._path.exists() and not self._path.is_file():
                raise _unreadable(source, "it is no regular file")
            with self._path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(source, error.strerror or type(error).__name__) from error
        if len(content) > MAX_BYTES:
            raise _unreadable(source, f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start]
            line = before.count(b"\n") + 1
            column = len(before) - (before.rfind(b"\n") + 1) + 1
            raise AllowlistError(source, [Problem(line, column, "this byte is not UTF-8: save the file as UTF-8")]) from error
        return Document(source=source, text=text)


def _unreadable(source: str, why: str) -> AllowlistError:
    return AllowlistError(source, [Problem(0, 0, f"the allowlist cannot be read: {why}")])
