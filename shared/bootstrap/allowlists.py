"""Where the allowlist is read from."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.bootstrap.stores import storage_credential
from shared.config import STORAGE, BlobUrl, Settings, StorageByIdentity, StorageByKey
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shared.ports import AllowlistSource


def allowlist_file(path: Path) -> AllowlistSource:
    """An allowlist in a local file."""
    from shared.adapters.files import FileAllowlist  # noqa: PLC0415  see the package's docstring

    return FileAllowlist(path)


@asynccontextmanager
async def open_allowlist(settings: Settings) -> AsyncIterator[AllowlistSource]:
    """The allowlist that the settings name; closed again at the end.

    Raises:
        ConfigError: where none is named, or a blob on this machine without a connection string.

    """
    match settings.allowlist:
        case None:
            message = "LINKGUARD_ALLOWLIST: not set"
            raise ConfigError([message])
        case BlobUrl() as blob:
            async with _blob_allowlist(settings, blob) as source:
                yield source
        case path:
            yield allowlist_file(path)


@asynccontextmanager
async def _blob_allowlist(settings: Settings, blob: BlobUrl) -> AsyncIterator[AllowlistSource]:
    from shared.adapters.blob_allowlist import BlobAllowlist  # noqa: PLC0415  see the package's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same

    if blob.is_loopback:
        if not isinstance(settings.storage, StorageByKey):
            message = (
                f"LINKGUARD_ALLOWLIST: a blob on this machine is read by the connection string in {STORAGE}, and there is none"
            )
            raise ConfigError([message])
        async with BlobAllowlist.with_connection_string(settings.storage.connection_string, blob.url) as source:
            yield source
    elif isinstance(settings.storage, StorageByIdentity):
        async with (
            storage_credential(settings.storage) as credential,
            BlobAllowlist.with_identity(blob.url, credential) as source,
        ):
            yield source
    else:
        kind, client_id = settings.credential.value, settings.managed_identity_client_id
        async with (
            make_credential(
                kind, endpoint=blob.url, authority=settings.arm_endpoint.authority, client_id=client_id
            ) as credential,
            BlobAllowlist.with_identity(blob.url, credential) as source,
        ):
            yield source
