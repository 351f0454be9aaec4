"""Anchors in a container of Azure Blob Storage, or in a folder, such as a copy of that container."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.storage_account import CALL_SECONDS, as_setting, blob_errors, client_options
from shared.core.errors import ConfigError, StoreConflictError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

_errors: Final = partial(blob_errors, "the anchors'", conflict="there is such an anchor already")
_NO_CONTAINER: Final = "LINKGUARD_ANCHORS or --against: this is not the URL of a container"


class BlobAnchors:
    """One container. An async context manager. A blob is only ever created: the container may forbid anything else."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    @classmethod
    def with_identity(cls, url: str, credential: AsyncTokenCredential, **options: Any) -> Self:  # noqa: ANN401  the SDK's
        """A container at ``https://<account>.blob.core.windows.net/<container>``. The credential stays the caller's.

        Raises:
            ConfigError: where the URL names no container.

        """
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(_NO_CONTAINER):
            return cls(ContainerClient.from_container_url(url, credential=credential, **client_options() | options))

    @classmethod
    def with_connection_string(cls, connection_string: str, container: str) -> Self:
        """A container by a connection string, which holds a key: for Azurite.

        Raises:
            ConfigError: where it is none.

        """
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415  heavy, and not needed at a desk

        with as_setting(_NO_CONTAINER):
            return cls(ContainerClient.from_connection_string(connection_string, container, **client_options()))

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """Every blob's name that begins so, in order."""
        with _errors():
            async for name in self._client.list_blob_names(name_starts_with=prefix or None):
                yield name

    async def chains(self) -> set[str]:
        """What the service finds before the first slash of the names."""
        with _errors():
            return {item.name.rstrip("/") async for item in self._client.walk_blobs(delimiter="/") if item.name.endswith("/")}

    async def read(self, name: str) -> bytes:
        """What a blob holds."""
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._client.download_blob(name)
                content: bytes = await answer.readall()
                return content

    async def create(self, name: str, content: bytes) -> None:
        """Write a blob that is not there yet.

        Raises:
            StoreConflictError: where it is.

        """
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.upload_blob(name, content, overwrite=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class FolderAnchors:
    """A folder with a folder a chain in it. An async context manager, as the other is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def at(cls, folder: Path) -> Self:
        """A folder that is there.

        Raises:
            ConfigError: where it is not.

        """
        if not folder.is_dir():
            message = f"{folder} is neither the URL of a container nor a folder"
            raise ConfigError([message])
        return cls(folder)

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """Every file's name, relative to the folder, that begins so, in order."""
        for name in await asyncio.to_thread(self._names, prefix):
            yield name

    def _names(self, prefix: str) -> list[str]:
        with _file_errors():
            paths = (path for path in self._folder.rglob("*") if path.is_file())
            return sorted(name for path in paths if (name := path.relative_to(self._folder).as_posix()).startswith(prefix))

    async def chains(self) -> set[str]:
        """The folders in it."""
        with _file_errors():
            return await asyncio.to_thread(lambda: {path.name for path in self._folder.iterdir() if path.is_dir()})

    async def read(self, name: str) -> bytes:
        """What a file holds."""
        with _file_errors():
            return await asyncio.to_thread((self._folder / name).read_bytes)

    async def create(self, name: str, content: bytes) -> None:
        """Write a file that is not there yet.

        Raises:
            StoreConflictError: where it is.

        """
        with _file_errors():
            await asyncio.to_thread(self._create, self._folder / name, content)

    @staticmethod
    def _create(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a file of the right name that holds half of it would be taken for an anchor.
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        try:
            os.link(part, path)
        finally:
            part.unlink()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is open."""


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        message = "there is such an anchor already"
        raise StoreConflictError(message) from error
    except OSError as error:
        message = f"the anchors cannot be read or written: {error.strerror or type(error).__name__}"
        raise StoreUnavailableError(message) from error
