"""Where Event Grid puts what it cannot deliver."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.bootstrap.stores import storage_credential
from shared.config import DEAD_LETTERS, STORAGE, StorageByIdentity, StorageByKey, load_settings
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.ports import DeadLetterStore


@asynccontextmanager
async def open_dead_letters(environ: Mapping[str, str]) -> AsyncIterator[DeadLetterStore | None]:
    """The container that ``LINKGUARD_DEAD_LETTERS`` names, in the storage account of ``AzureWebJobsStorage``; None without it.

    Raises:
        ConfigError: where a setting is wrong, or there is no such account.

    """
    from shared.adapters.dead_letter_blobs import DeadLetterBlobs  # noqa: PLC0415  see the package's docstring

    settings = load_settings(environ, required=())
    match settings.dead_letters, settings.storage:
        case None, _:
            yield None
        case str(container), StorageByKey(connection_string=text):
            async with DeadLetterBlobs.with_connection_string(text, container) as blobs:
                yield blobs
        case str(container), StorageByIdentity(blob=str(url)) as storage:
            async with (
                storage_credential(storage) as credential,
                DeadLetterBlobs.with_identity(url, container, credential) as blobs,
            ):
                yield blobs
        case _:
            message = f"{DEAD_LETTERS.name}: the container is one of the storage account in {STORAGE}, which names none"
            raise ConfigError([message])
