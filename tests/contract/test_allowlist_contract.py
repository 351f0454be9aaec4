"""What every source of an allowlist keeps to: the fake, a file, a blob."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

import pytest
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.blob_allowlist import BlobAllowlist
from shared.adapters.files import FileAllowlist
from shared.core.allowlist_document import parse_allowlist
from shared.core.errors import AllowlistError
from tests.fakes import MemoryAllowlist

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from azure.storage.blob.aio import BlobClient

    from shared.ports import AllowlistSource
    from tests.azurite.server import Azurite

ODD = "version: 1\r\nrules: []  # ä \U0001f600\n\n"
"""Line ends that somebody might tidy, letters that somebody might lose."""


class Shelf(Protocol):
    """A source, and what somebody else does to what it reads."""

    @property
    def source(self) -> AllowlistSource: ...

    async def write(self, text: str) -> None: ...

    async def remove(self) -> None: ...


class MemoryShelf:
    def __init__(self) -> None:
        self.source = MemoryAllowlist("")
        self.source.unreadable = "there is none"

    async def write(self, text: str) -> None:
        self.source.text, self.source.unreadable = text, ""

    async def remove(self) -> None:
        self.source.unreadable = "there is none"


class FileShelf:
    def __init__(self, path: Path) -> None:
        self.source = FileAllowlist(path)
        self._path = path

    async def write(self, text: str) -> None:
        await asyncio.to_thread(self._path.write_bytes, text.encode())

    async def remove(self) -> None:
        await asyncio.to_thread(self._path.unlink)


class BlobShelf:
    def __init__(self, source: BlobAllowlist, blob: BlobClient) -> None:
        self.source = source
        self._blob = blob

    async def write(self, text: str) -> None:
        await self._blob.upload_blob(text.encode(), overwrite=True)

    async def remove(self) -> None:
        await self._blob.delete_blob()


@pytest.fixture(params=["memory", "file", "blob"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    match request.param:
        case "memory":
            yield MemoryShelf()
        case "file":
            yield FileShelf(tmp_path / "allowlist.yaml")
        case _:
            server: Azurite = request.getfixturevalue("azurite")
            container = f"contract-{token_hex(8)}"
            async with (
                BlobServiceClient.from_connection_string(server.connection_string) as service,
                BlobAllowlist.with_connection_string(
                    server.connection_string, f"{server.blob_endpoint}/{container}/allowlist.yaml"
                ) as source,
            ):
                await service.create_container(container)
                yield BlobShelf(source, service.get_blob_client(container, "allowlist.yaml"))


async def test_the_text_comes_as_it_was_written(shelf: Shelf) -> None:
    """Byte for byte: its digest is recorded."""
    await shelf.write(ODD)
    assert (await shelf.source.read()).text == ODD


async def test_each_read_is_of_what_is_there_now(shelf: Shelf) -> None:
    """``paused: true`` counts from the moment it is written; the source has one name."""
    await shelf.write("paused: false")
    before = await shelf.source.read()
    await shelf.write("paused: true")
    after = await shelf.source.read()
    assert (before.text, after.text) == ("paused: false", "paused: true")
    assert before.source == after.source != ""


async def test_what_is_not_there_is_an_error_and_not_empty(shelf: Shelf) -> None:
    """Before it is written, and once it is removed: what was read last is not used instead."""
    with pytest.raises(AllowlistError):
        await shelf.source.read()
    await shelf.write("version: 1")
    await shelf.source.read()
    await shelf.remove()
    with pytest.raises(AllowlistError) as caught:
        await shelf.source.read()
    assert caught.value.problems
    await shelf.write("version: 2")
    assert (await shelf.source.read()).text == "version: 2"


async def test_an_empty_document_allows_nothing(shelf: Shelf) -> None:
    """Whether reading it says so, or whoever parses it."""
    await shelf.write("")
    with pytest.raises(AllowlistError, match="empty"):
        parse_allowlist((await shelf.source.read()).text, "x")
