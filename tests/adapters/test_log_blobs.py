"""Exported logs in blobs, on the storage emulator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.log_blobs import LogBlobs, split_url
from shared.core.address import AddressClass
from shared.core.errors import ConfigError
from shared.core.traffic import Inconclusive, judge
from shared.ports import TrafficQuestion
from tests import traffic_logs as logs
from tests.traffic_logs import START, Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.azurite.server import Azurite


@asynccontextmanager
async def container(azurite: Azurite, **blobs: str) -> AsyncIterator[str]:
    """A new container's URL, with these blobs by hour."""
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        client = await service.create_container(f"logs-{uuid4().hex[:12]}")
        for hour, text in blobs.items():
            name = f"resourceId=/X/y=2026/m=11/d=23/{hour.replace('_', '=')}/m=00/PT1H.json"
            await client.upload_blob(name, text.encode(), blob_type="AppendBlob")
        yield client.url
        await client.close()


async def test_the_layout_of_an_export(azurite: Azurite) -> None:
    """Every hour's blob of the window is read, both plan shapes; others are not even fetched."""
    early, late = logs.windows(Row(client="10.0.0.4")), logs.linux(Row(client="10.0.0.5", second=3600))
    async with container(azurite, h_10=early, h_11=late, h_20=logs.windows(Row(client="8.8.8.8", second=36000))) as url:
        told: list[int] = []
        async with LogBlobs.with_connection_string(
            azurite.connection_string, f"{url}/resourceId=", progress=told.append
        ) as source:
            reading = await source.read(TrafficQuestion(since=START, until=START + timedelta(hours=2)))
    assert reading.problems == ()
    assert reading.remote
    assert [table.upstream for table in reading.tables] == [{AddressClass.PRIVATE: 2}]
    assert sum(told) == len(early) + len(late)


async def test_a_container_that_is_not_there_is_never_private(azurite: Azurite) -> None:
    """What cannot be listed is told."""
    async with container(azurite) as url, LogBlobs.with_connection_string(azurite.connection_string, f"{url}x") as source:
        reading = await source.read(TrafficQuestion())
    assert "404" in reading.problems[0].message
    assert isinstance(judge(None, None, reading.problems), Inconclusive)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a.blob.core.windows.net/logs", ("https://a.blob.core.windows.net", "logs", "")),
        ("https://a.blob.core.windows.net/logs/a/b=1", ("https://a.blob.core.windows.net", "logs", "a/b=1")),
        ("http://127.0.0.1:10000/devstoreaccount1/logs/x", ("http://127.0.0.1:10000/devstoreaccount1", "logs", "x")),
    ],
)
def test_urls(url: str, parts: tuple[str, str, str]) -> None:
    """Account, container, prefix."""
    assert split_url(url) == parts


@pytest.mark.parametrize(
    "url", ["https://a.blob.core.windows.net/logs?sig=sesame", "http://a.example/logs", "https://user:sesame@a/logs", "x", ""]
)
def test_wrong_urls_are_not_quoted(url: str) -> None:
    """A URL with a key, and plain http, are refused without being repeated."""
    with pytest.raises(ConfigError) as caught:
        split_url(url)
    assert "sesame" not in str(caught.value)
