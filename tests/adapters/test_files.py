"""The allowlist in a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from shared.adapters.files import MAX_BYTES, FileAllowlist
from shared.core.errors import AllowlistError

if TYPE_CHECKING:
    from pathlib import Path


async def refusal(path: Path) -> str:
    with pytest.raises(AllowlistError) as caught:
        await FileAllowlist(path).read()
    assert caught.value.source == str(path)
    (problem,) = caught.value.problems
    return str(problem)


async def test_the_text_is_the_files(tmp_path: Path) -> None:
    """Every character as it is, line ends included, since the digest is taken of it; the source is the path."""
    path = tmp_path / "allowlist.yaml"
    path.write_bytes("version: 1\r\nrules: []  # ü 合\n".encode())
    document = await FileAllowlist(path).read()
    assert document.text == "version: 1\r\nrules: []  # ü 合\n"
    assert document.source == str(path)


async def test_it_is_read_anew_each_time(tmp_path: Path) -> None:
    """A change counts from the moment it is saved."""
    path = tmp_path / "allowlist.yaml"
    path.write_text("paused: false")
    allowlist = FileAllowlist(path)
    await allowlist.read()
    path.write_text("paused: true")
    assert (await allowlist.read()).text == "paused: true"


async def test_a_missing_file(tmp_path: Path) -> None:
    """It is an error that says so, never an empty allowlist."""
    assert await refusal(tmp_path / "none.yaml") == "the allowlist cannot be read: No such file or directory"


async def test_a_folder(tmp_path: Path) -> None:
    """A folder is no allowlist."""
    assert await refusal(tmp_path) == "the allowlist cannot be read: it is no regular file"


async def test_a_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to does not make the program wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert await refusal(tmp_path / "pipe") == "the allowlist cannot be read: it is no regular file"


async def test_a_huge_file(tmp_path: Path) -> None:
    """What cannot be an allowlist is refused before it fills the memory; the largest allowed size is read."""
    path = tmp_path / "allowlist.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert len((await FileAllowlist(path).read()).text) == MAX_BYTES
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert await refusal(path) == "the allowlist cannot be read: it is larger than 4 MiB"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"\xff", "line 1, column 1"),
        (b"version: 1\nrules: \xe4", "line 2, column 8"),
        (b"\xff\xfev\x00e\x00", "line 1, column 1"),
        (b"a: \xc3", "line 1, column 4"),
    ],
)
async def test_what_is_not_utf8(tmp_path: Path, content: bytes, place: str) -> None:
    """Another encoding is refused with the place of its first wrong byte."""
    path = tmp_path / "allowlist.yaml"
    path.write_bytes(content)
    assert await refusal(path) == f"{place}: this byte is not UTF-8: save the file as UTF-8"
