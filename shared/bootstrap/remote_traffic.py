"""Logs of traffic in Azure."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shared.config import WORKSPACES, BlobUrl, Settings, StorageByKey, load_settings
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from shared.ports import TrafficSource


@asynccontextmanager
async def open_remote(
    environ: Mapping[str, str], blobs: Sequence[str], workspaces: Sequence[str], progress: Callable[[int], None] | None
) -> AsyncIterator[list[TrafficSource]]:
    """Containers of exported logs, by their URLs, and Log Analytics workspaces, by their ids.

    Raises:
        ConfigError: where a URL names no container, an id is none, or a setting is wrong.

    """
    settings = load_settings({**environ, WORKSPACES.name: _listed(workspaces)}, required=())
    async with AsyncExitStack() as stack:
        sources = [await stack.enter_async_context(_log_blobs(settings, url, progress)) for url in blobs]
        if workspaces:
            sources.append(await stack.enter_async_context(open_log_analytics(settings)))
        yield sources


def _listed(workspaces: Sequence[str]) -> str:
    try:
        empty = not all(WORKSPACES.parse(one) for one in workspaces)
    except ValueError as error:
        raise ConfigError([f"--workspace: {error}"]) from error
    if empty:
        raise ConfigError(["--workspace: an id is empty"])  # A variable that is not set; its workspace would not be asked.
    return ",".join(workspaces)


@asynccontextmanager
async def open_log_analytics(settings: Settings) -> AsyncIterator[TrafficSource]:
    """The workspaces that the settings name."""
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  see the package's docstring
    from shared.adapters.log_analytics import LogAnalytics  # noqa: PLC0415  the same

    endpoint = settings.logs_endpoint
    async with (
        make_credential(
            settings.credential.value,
            endpoint=endpoint.url,
            authority=endpoint.authority,
            client_id=settings.managed_identity_client_id,
        ) as credential,
        LogAnalytics(settings.workspaces, endpoint=endpoint.url, credential=credential, tables=settings.audit_tables) as source,
    ):
        yield source


@asynccontextmanager
async def _log_blobs(settings: Settings, url: str, progress: Callable[[int], None] | None) -> AsyncIterator[TrafficSource]:
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  see the package's docstring
    from shared.adapters.log_blobs import LogBlobs  # noqa: PLC0415  the same

    if BlobUrl(url).is_loopback and isinstance(settings.storage, StorageByKey):
        async with LogBlobs.with_connection_string(settings.storage.connection_string, url, progress=progress) as source:
            yield source
        return
    kind, client_id = settings.credential.value, settings.managed_identity_client_id
    authority = settings.arm_endpoint.authority
    async with (
        make_credential(kind, endpoint=url, authority=authority, client_id=client_id) as credential,
        LogBlobs.with_identity(url, credential, progress=progress) as source,
    ):
        yield source
