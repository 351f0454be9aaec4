"""The work queue and the allowlist's blob, on Azurite and on what goes wrong there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters.blob_allowlist import BlobAllowlist
from shared.adapters.credentials import LocalCredential
from shared.adapters.files import MAX_BYTES
from shared.adapters.storage_queue import StorageQueue
from shared.core.errors import AllowlistError, ConfigError, QueueError
from tests.azurite.proxy import Trouble, proxy_to
from tests.azurite.secure import Identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import BlobClient
    from azure.storage.queue.aio import QueueClient

    from tests.azurite.secure import SecureAzurite
    from tests.azurite.server import Azurite

CONTAINER = "adapter-tests"
NAME = "allowlist.yaml"


@pytest.fixture
async def raw_queue(azurite: Azurite) -> AsyncIterator[QueueClient]:
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        client = service.get_queue_client("adapter-tests")
        try:
            yield client
        finally:
            await client.delete_queue()


async def test_a_message_comes_as_it_was_put(azurite: Azurite, raw_queue: QueueClient) -> None:
    """Plain text, whatever XML and base64 would make of it; the queue is made by the first; its id is the queue's own."""
    text = '{"v":1,"id":"<&>\\u2028","attempt":1}'
    async with StorageQueue.with_connection_string(azurite.connection_string, queue="adapter-tests") as queue:
        id_ = await queue.put(text)
        (message,) = [one async for one in raw_queue.receive_messages()]
        assert (message.id, message.content, message.dequeue_count) == (id_, text, 1)


async def test_a_delay_hides_a_message(azurite: Azurite, raw_queue: QueueClient) -> None:
    """Nobody sees it before; fractions of a second are rounded up."""
    async with StorageQueue.with_connection_string(azurite.connection_string, queue="adapter-tests") as queue:
        await queue.put("later", delay=timedelta(milliseconds=400))
        await queue.put("now")
        assert [one.content async for one in raw_queue.receive_messages()] == ["now"]
        await asyncio.sleep(1.2)
        assert [one.content async for one in raw_queue.receive_messages()] == ["later"]


async def test_the_longest_delay(azurite: Azurite, raw_queue: QueueClient) -> None:
    """A longer one than the service takes is shortened, not refused."""
    async with StorageQueue.with_connection_string(azurite.connection_string, queue="adapter-tests") as queue:
        await queue.put("some day", delay=timedelta(days=400))
        assert (await raw_queue.get_queue_properties()).approximate_message_count == 1


async def test_an_account_that_is_not_there() -> None:
    """An error of ours, without the key."""
    text = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;QueueEndpoint=http://127.0.0.1:9/a;"
    async with StorageQueue.with_connection_string(text, retry_total=0) as queue:
        with pytest.raises(QueueError) as caught:
            await queue.put("x")
    assert "c2VjcmV0" not in str(caught.value)


async def test_an_account_that_refuses(azurite: Azurite) -> None:
    """It says which role is missing."""
    wrong = azurite.connection_string.replace(azurite.key, "d3Jvbmc=")
    async with StorageQueue.with_connection_string(wrong) as queue:
        with pytest.raises(QueueError, match="Storage Queue Data Contributor"):
            await queue.put("x")


def test_no_connection_string() -> None:
    """A wrong setting is one, and its text is not quoted."""
    with pytest.raises(ConfigError) as caught:
        StorageQueue.with_connection_string("AccountKey=secret")
    assert "secret" not in str(caught.value)


def test_no_token_over_plain_http(azurite: Azurite) -> None:
    """An identity's token leaves over https alone."""
    with pytest.raises(ConfigError):
        StorageQueue.with_identity(azurite.queue_endpoint, LocalCredential())
    with pytest.raises(ConfigError):
        BlobAllowlist.with_identity(url(azurite), LocalCredential())


async def test_an_identity_is_enough_for_the_queue(secure_azurite: SecureAzurite) -> None:
    """With a token alone: the queue is made, a message put; the token asked for is one for Azure Storage."""
    identity, endpoint, transport = Identity(), secure_azurite.queue_endpoint, secure_azurite.transport
    async with StorageQueue.with_identity(endpoint, identity, queue="by-identity", transport=transport()) as queue:
        id_ = await queue.put("text")
    async with QueueServiceClient(endpoint, credential=identity, transport=transport()) as service:
        (message,) = [one async for one in service.get_queue_client("by-identity").receive_messages()]
    assert (message.id, message.content) == (id_, "text")
    assert identity.scopes == {"https://storage.azure.com/.default"}


async def test_an_identity_is_enough_for_the_allowlist(secure_azurite: SecureAzurite) -> None:
    """With a token alone the blob is read, and noticed to have changed."""
    identity, endpoint, transport = Identity(), secure_azurite.blob_endpoint, secure_azurite.transport
    async with BlobServiceClient(endpoint, credential=identity, transport=transport()) as service:
        container = await service.create_container("by-identity")
        blob = f"{endpoint}/by-identity/{NAME}"
        async with BlobAllowlist.with_identity(blob, identity, transport=transport()) as allowlist:
            for text in ("version: 1", "version: 2"):
                await container.upload_blob(NAME, text.encode(), overwrite=True)
                assert (await allowlist.read()).text == text
    assert identity.scopes == {"https://storage.azure.com/.default"}


# The allowlist


@pytest.fixture
async def blob(azurite: Azurite) -> AsyncIterator[BlobClient]:
    small: dict[str, Any] = {"max_single_put_size": 512 * 1024, "max_block_size": 512 * 1024}
    async with BlobServiceClient.from_connection_string(azurite.connection_string, **small) as service:
        try:
            await service.create_container(CONTAINER)
        except ResourceExistsError:
            await service.get_blob_client(CONTAINER, NAME).upload_blob(b"", overwrite=True)
        yield service.get_blob_client(CONTAINER, NAME)


def url(azurite: Azurite, *, port: int | None = None) -> str:
    endpoint = azurite.blob_endpoint if port is None else azurite.blob_endpoint.replace(str(azurite.blob_port), str(port))
    return f"{endpoint}/{CONTAINER}/{NAME}"


async def test_a_blob_that_changes_between_two_looks(azurite: Azurite, blob: BlobClient) -> None:
    """The new text counts from the next look on; its source is its URL."""
    async with BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite)) as allowlist:
        await blob.upload_blob("version: 1\r\n# ä\n".encode(), overwrite=True)
        document = await allowlist.read()
        assert (document.text, document.source) == ("version: 1\r\n# ä\n", url(azurite))
        await blob.upload_blob(b"version: 2", overwrite=True)
        assert (await allowlist.read()).text == "version: 2"


async def test_a_blob_that_has_not_changed_is_not_sent_again(azurite: Azurite, blob: BlobClient) -> None:
    """The service is asked each time, and answers 304."""
    await blob.upload_blob(b"version: 1", overwrite=True)
    async with (
        proxy_to(f"http://127.0.0.1:{azurite.blob_port}") as proxy,
        BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite, port=proxy.port)) as allowlist,
    ):
        for _ in range(3):
            assert (await allowlist.read()).text == "version: 1"
        assert len([one for one in proxy.seen if one.startswith("GET")]) == 3


async def test_what_was_read_last_is_not_used_when_the_blob_cannot_be_asked(azurite: Azurite, blob: BlobClient) -> None:
    """Deleted, or an account that closes the connection: there is no allowlist, and there is one again afterwards."""
    await blob.upload_blob(b"version: 1", overwrite=True)
    async with BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite)) as allowlist:
        await allowlist.read()
        await blob.delete_blob()
        with pytest.raises(AllowlistError, match="no such blob"):
            await allowlist.read()
        await blob.upload_blob(b"version: 3", overwrite=True)
        assert (await allowlist.read()).text == "version: 3"


async def test_an_account_that_is_busy_is_asked_again(azurite: Azurite, blob: BlobClient) -> None:
    """Once or twice is no reason to complain."""
    await blob.upload_blob(b"version: 1", overwrite=True)
    async with (
        proxy_to(f"http://127.0.0.1:{azurite.blob_port}") as proxy,
        BlobAllowlist.with_connection_string(
            azurite.connection_string, url(azurite, port=proxy.port), initial_backoff=0
        ) as allowlist,
    ):
        proxy.plan("GET", NAME, Trouble.LOST_ANSWER)
        assert (await allowlist.read()).text == "version: 1"


async def test_a_digest_that_is_not_that_of_the_text(azurite: Azurite, blob: BlobClient) -> None:
    """A blob whose Content-MD5 says something else is refused."""
    settings = ContentSettings(content_md5=bytearray(16))
    await blob.upload_blob(b"version: 1", overwrite=True)
    await blob.set_http_headers(settings)
    async with BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite)) as allowlist:
        with pytest.raises(AllowlistError, match="Content-MD5"):
            await allowlist.read()


@pytest.mark.parametrize(
    ("content", "why"), [(b"x" * (MAX_BYTES + 1), "larger than 4 MiB"), (b"version: 1\n# \xff", "not UTF-8")]
)
async def test_what_is_no_allowlist(azurite: Azurite, blob: BlobClient, content: bytes, why: str) -> None:
    """Too large, or no text."""
    await blob.upload_blob(BytesIO(content), overwrite=True)
    async with BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite)) as allowlist:
        with pytest.raises(AllowlistError, match=why):
            await allowlist.read()


async def test_the_largest_and_the_smallest(azurite: Azurite, blob: BlobClient) -> None:
    """4 MiB are read whole; an empty blob, of which no range can be read, is no allowlist."""
    async with BlobAllowlist.with_connection_string(azurite.connection_string, url(azurite)) as allowlist:
        await blob.upload_blob(BytesIO(b"x" * MAX_BYTES), overwrite=True)
        assert len((await allowlist.read()).text) == MAX_BYTES
        await blob.upload_blob(b"", overwrite=True)
        with pytest.raises(AllowlistError, match="it is empty"):
            await allowlist.read()


async def test_who_may_not_read_it(azurite: Azurite, blob: BlobClient) -> None:
    """It says which role is missing."""
    await blob.upload_blob(b"version: 1", overwrite=True)
    wrong = azurite.connection_string.replace(azurite.key, "d3Jvbmc=")
    async with BlobAllowlist.with_connection_string(wrong, url(azurite)) as allowlist:
        with pytest.raises(AllowlistError, match="Storage Blob Data Reader"):
            await allowlist.read()
