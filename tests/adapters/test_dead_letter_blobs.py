"""The dead-letter container on Azurite, and what goes wrong there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.dead_letter_blobs import DeadLetterBlobs
from shared.core.errors import ConfigError, StoreConflictError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from tests.azurite.server import Azurite

CONTAINER = "dead-letter-tests"


@pytest.fixture
async def raw(azurite: Azurite) -> AsyncIterator[ContainerClient]:
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = service.get_container_client(CONTAINER)
        with suppress(ResourceExistsError):
            await container.create_container()
        async for name in container.list_blob_names():
            await container.delete_blob(name)
        yield container


def opened(azurite: Azurite, container: str = CONTAINER) -> DeadLetterBlobs:
    return DeadLetterBlobs.with_connection_string(azurite.connection_string, container)


async def names(blobs: DeadLetterBlobs, at_most: int = 100) -> list[str]:
    return [name async for name in blobs.names(at_most=at_most)]


async def test_read_in_order_and_removed(azurite: Azurite, raw: ContainerClient) -> None:
    """Names in order, no more than asked for; a blob that is gone is no error, neither to read nor to remove."""
    for number in range(5):
        await raw.upload_blob(f"topic/2027/{number}.json", f"[{number}]".encode())
    async with opened(azurite) as blobs:
        assert await names(blobs, at_most=2) == ["topic/2027/0.json", "topic/2027/1.json"]
        assert len(await names(blobs)) == 5
        blob = await blobs.read("topic/2027/0.json", at_most=100)
        assert blob is not None
        assert blob.content == b"[0]"
        await blobs.remove("topic/2027/0.json", version=blob.version)
        await blobs.remove("topic/2027/0.json", version=blob.version)
        assert await blobs.read("topic/2027/0.json", at_most=100) is None
        assert len(await names(blobs)) == 4


async def test_a_blob_that_was_written_anew_is_not_removed(azurite: Azurite, raw: ContainerClient) -> None:
    """What was not read is not deleted."""
    await raw.upload_blob("a.json", b"[1]")
    async with opened(azurite) as blobs:
        blob = await blobs.read("a.json", at_most=100)
        assert blob is not None
        await raw.upload_blob("a.json", b"[2]", overwrite=True)
        with pytest.raises(StoreConflictError):
            await blobs.remove("a.json", version=blob.version)
        assert await names(blobs) == ["a.json"]


@pytest.mark.parametrize(("content", "read"), [(b"", b""), (b"x" * 10, b"x" * 10), (b"x" * 11, None)])
async def test_the_smallest_and_the_largest(azurite: Azurite, raw: ContainerClient, content: bytes, read: bytes | None) -> None:
    """A larger one is noticed and not read; whichever it was, it can be removed."""
    await raw.upload_blob("a.json", content)
    async with opened(azurite) as blobs:
        blob = await blobs.read("a.json", at_most=10)
        assert blob is not None
        assert blob.content == read
        await blobs.remove("a.json", version=blob.version)
        assert await names(blobs) == []


async def test_a_container_that_is_not_there_is_empty(azurite: Azurite) -> None:
    """Whoever made it has not got to it yet."""
    async with opened(azurite, "no-such-container") as blobs:
        assert await names(blobs) == []


async def test_an_account_that_refuses(azurite: Azurite, raw: ContainerClient) -> None:
    """The key is wrong: the error says so, without any."""
    await raw.upload_blob("a.json", b"[1]")
    wrong = azurite.connection_string.replace(azurite.key, azurite.key[::-1].lstrip("=") + "==")
    async with DeadLetterBlobs.with_connection_string(wrong, CONTAINER) as blobs:
        with pytest.raises(StoreUnavailableError, match="refused the identity \\(403\\)"):
            await names(blobs)


async def test_an_account_that_is_not_there() -> None:
    """It is said, after bounded repeats."""
    text = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;"
    async with DeadLetterBlobs.with_connection_string(text, CONTAINER, retry_total=0) as blobs:
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            await names(blobs)


def test_no_connection_string() -> None:
    """The setting is named and not quoted."""
    with pytest.raises(ConfigError, match="LINKGUARD_DEAD_LETTERS"):
        DeadLetterBlobs.with_connection_string("SECRET", CONTAINER)
