"""Exported logs in a container of a storage account, by ``azure-storage-blob``: one blob at a time, read as a local file."""

from __future__ import annotations

import asyncio
import re
import tempfile
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, Final, Self, cast

from shared.adapters.log_bytes import LogInput
from shared.adapters.log_files import LogFiles
from shared.adapters.log_format import LogFormat
from shared.adapters.storage_account import client_options
from shared.core.errors import ConfigError
from shared.core.traffic import ReasonCode, TrafficReading, reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from azure.storage.blob.aio import ContainerClient

    from shared.adapters.credentials import Credential
    from shared.ports import TrafficQuestion

_HOUR: Final = re.compile(r"/y=(\d{4})/m=(\d{2})/d=(\d{2})/h=(\d{2})/m=\d{2}/", re.IGNORECASE)
_URL: Final = re.compile(
    # An emulator on this machine has its account in the path, Azure in the host.
    r"(https?://(?:127[.]0[.]0[.]1|localhost|\[::1\])(?::\d+)?/[a-z0-9]{3,24}|https://[^/?#@]+)/([a-z0-9$-]{3,63})(?:/([^?#]*))?"
)
_MOST_BLOBS: Final = 100_000
_BLOB_SECONDS: Final = 1800
_MEMORY: Final = 8 << 20


class LogBlobs:
    """Every blob below a prefix whose hour is in the window. A :class:`shared.ports.TrafficSource`; an async context manager."""

    def __init__(self, client: ContainerClient, prefix: str, *, progress: Callable[[int], None] | None = None) -> None:
        self._client = client
        self._prefix = prefix
        self._progress = progress

    @classmethod
    def with_identity(cls, url: str, credential: Credential, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A container, or a folder in it: ``https://<account>.blob.core.windows.net/<container>/<prefix>``.

        Raises:
            ConfigError: where the URL names none, or carries a key.

        """
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy

        account, container, prefix = split_url(url)
        client = ContainerClient(account, container, credential=credential, **client_options())
        return cls(client, prefix, **options)

    @classmethod
    def with_connection_string(cls, connection_string: str, url: str, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """The same by a key: for Azurite."""
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy

        _, container, prefix = split_url(url)
        client = ContainerClient.from_connection_string(connection_string, container, **client_options())
        return cls(client, prefix, **options)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def read(self, question: TrafficQuestion) -> TrafficReading:
        """What the blobs say. A container that cannot be listed is a problem of the reading."""
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415  the client has it imported

        inputs: list[LogInput] = []
        try:
            async for blob in self._client.list_blobs(name_starts_with=self._prefix or None):
                if _in_window(blob.name, question):
                    inputs.append(self._input(blob.name, blob.size))
                if len(inputs) >= _MOST_BLOBS:
                    return self._unread(f"more than {_MOST_BLOBS:,} blobs; narrow the window or the prefix")
        except HttpResponseError as error:
            return self._unread(f"it cannot be listed ({error.status_code})")
        except AzureError as error:
            return self._unread(f"it cannot be listed ({type(error).__name__})")
        reading = await LogFiles([], inputs=inputs, log_format=LogFormat.AUTO, progress=self._progress).read(question)
        return TrafficReading(tables=reading.tables, problems=reading.problems, lines=reading.lines, remote=True)

    def _unread(self, why: str) -> TrafficReading:
        problem = reason(ReasonCode.SOURCE_UNREADABLE, f"container {self._client.container_name}: {why}")
        return TrafficReading(tables=(), problems=(problem,), remote=True)

    def _input(self, name: str, size: int | None) -> LogInput:
        loop = asyncio.get_running_loop()

        def fetch() -> IO[bytes]:
            """Called from the reader's thread."""
            from azure.core.exceptions import AzureError  # noqa: PLC0415  the client has it imported

            try:
                return asyncio.run_coroutine_threadsafe(self._download(name), loop).result(_BLOB_SECONDS)
            except (AzureError, TimeoutError) as error:
                message = f"it cannot be downloaded ({type(error).__name__})"
                raise OSError(0, message) from error

        return LogInput(f"{self._client.container_name}/{name}", cast("Any", fetch), size)

    async def _download(self, name: str) -> IO[bytes]:
        file = tempfile.SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115  its reader closes it
        stream = await self._client.download_blob(name)
        await stream.readinto(file)
        file.seek(0)
        return cast("IO[bytes]", file)


def split_url(url: str) -> tuple[str, str, str]:
    """Account URL, container and prefix.

    Raises:
        ConfigError: where it is no such URL; one with a query may carry a key, and is not quoted.

    """
    match = _URL.fullmatch(url)
    if match is None:
        message = "--blobs: give the URL of a container, with a prefix if wanted, and without a query: an identity reads it"
        raise ConfigError([message])
    return match[1], match[2], match[3] or ""


def _in_window(name: str, question: TrafficQuestion) -> bool:
    """Whether a blob may have rows of the window: its path says its hour; one that says none may have any."""
    match = _HOUR.search(f"/{name}")
    if match is None:
        return True
    try:
        hour = datetime(int(match[1]), int(match[2]), int(match[3]), int(match[4]), tzinfo=UTC)
    except ValueError:
        return True
    # A record stands where it arrived, which may be a little after it was made.
    after, before = hour + timedelta(hours=1), hour - timedelta(hours=1)
    return (question.since is None or after > question.since) and (question.until is None or before < question.until)
