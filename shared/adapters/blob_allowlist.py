"""The allowlist in a blob: read anew each time, and sent again only where it has changed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.files import MAX_BYTES
from shared.adapters.storage_account import CALL_SECONDS, as_setting, client_options
from shared.core.errors import AllowlistError
from shared.core.problem import Problem
from shared.ports import Document

if TYPE_CHECKING:
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import BlobClient

_NOT_MODIFIED: Final = 304
_NOT_FOUND: Final = 404
_EMPTY: Final = 416
_REFUSED: Final = frozenset({401, 403})


class BlobAllowlist:
    """One blob. An async context manager.

    What was read last is used again only where the blob's ETag says that it is still what the blob holds; where it cannot be
    asked, there is no allowlist.
    """

    def __init__(self, client: BlobClient) -> None:
        self._client = client
        self._source = str(client.url).partition("?")[0]
        self._etag: str | None = None
        self._text = ""

    @classmethod
    def with_identity(cls, url: str, credential: AsyncTokenCredential, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A blob at ``https://<account>.blob.core.windows.net/<container>/<blob>``. The credential stays the caller's.

        Raises:
            ConfigError: where the URL names no blob.

        """
        from azure.storage.blob.aio import BlobClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(f"LINKGUARD_ALLOWLIST: {url} is not the URL of a blob"):
            return cls(BlobClient.from_blob_url(url, credential=credential, **_options() | options))

    @classmethod
    def with_connection_string(cls, connection_string: str, url: str, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """The blob at ``url`` by the key in a connection string of the same account: for Azurite.

        Raises:
            ConfigError: where there is none, or the URL names no blob.

        """
        from azure.storage.blob.aio import BlobClient, BlobServiceClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(f"LINKGUARD_ALLOWLIST: {url} is not the URL of a blob of the account in AzureWebJobsStorage"):
            service = BlobServiceClient.from_connection_string(connection_string, **client_options())
            return cls(BlobClient.from_blob_url(url, credential=service.credential, **_options() | options))

    async def read(self) -> Document:
        """The text as it is now.

        Raises:
            AllowlistError: where it is missing, not readable, too large, not UTF-8, or not what its digest says.

        """
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError  # noqa: PLC0415  see above

        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._refresh()
        except ResourceModifiedError as error:
            raise _unreadable(self._source, "it was replaced while it was read") from error
        except HttpResponseError as error:
            raise _unreadable(self._source, _why(error.status_code)) from error
        except (AzureError, TimeoutError) as error:
            raise _unreadable(self._source, f"the storage account did not answer ({type(error).__name__})") from error
        return Document(source=self._source, text=self._text)

    async def _refresh(self) -> None:
        from azure.core import MatchConditions  # noqa: PLC0415  heavy; loaded with the client
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415  heavy; loaded with the client

        known: dict[str, Any] = {}
        if self._etag is not None:
            known = {"etag": self._etag, "match_condition": MatchConditions.IfModified}
        try:
            # One byte more than may be: a larger blob is noticed, and not read.
            answer = await self._client.download_blob(offset=0, length=MAX_BYTES + 1, **known)
        except HttpResponseError as error:
            if error.status_code == _NOT_MODIFIED and self._etag is not None:
                return
            self._etag = None
            raise
        self._etag = None
        if answer.size > MAX_BYTES or answer.properties.size > MAX_BYTES:
            raise _unreadable(self._source, f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
        content = await answer.readall()
        self._check_digest(content, answer.properties.content_settings.content_md5)
        self._text = self._decoded(content)
        self._etag = answer.properties.etag

    def _check_digest(self, content: bytes, digest: bytes | bytearray | None) -> None:
        if digest and hashlib.md5(content, usedforsecurity=False).digest() != bytes(digest):
            wanted = base64.b64encode(bytes(digest)).decode()
            raise _unreadable(self._source, f"its Content-MD5, {wanted}, is not that of what it holds; upload it again")

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start]
            line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
            problem = Problem(line, column, "this byte is not UTF-8: save the file as UTF-8")
            raise AllowlistError(self._source, [problem]) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


def _options() -> dict[str, Any]:
    # In one request: a blob that is replaced in between would be read half old and half new.
    return client_options() | {"max_single_get_size": MAX_BYTES + 1}


def _why(status: int | None) -> str:
    if status in _REFUSED:
        return f"the storage account refused the identity ({status}): it needs the role Storage Blob Data Reader on the container"
    if status == _NOT_FOUND:
        return "there is no such blob"
    if status == _EMPTY:
        return "it is empty"
    return f"the storage account answered {status}"


def _unreadable(source: str, why: str) -> AllowlistError:
    return AllowlistError(source, [Problem(0, 0, f"the allowlist cannot be read: {why}")])
