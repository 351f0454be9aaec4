"""Logs of traffic."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.application import open_application
from shared.config import WORKSPACES, BlobUrl, Settings, StorageByKey, load_settings
from shared.ports import TrafficSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from shared.adapters.log_format import LogFormat
    from shared.services.audit_timer import AuditRound


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Logs of traffic, wherever they are."""

    files: tuple[TrafficSource, ...]
    remote: tuple[TrafficSource, ...]
    """In Azure."""
    size: int | None
    """Bytes to read, None where that is not known."""


@asynccontextmanager
async def open_traffic(  # noqa: PLR0913  each names logs of another kind
    environ: Mapping[str, str],
    *,
    logs: Sequence[str] = (),
    log_format: LogFormat,
    blobs: Sequence[str] = (),
    workspaces: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> AsyncIterator[Traffic]:
    """The logs that are named; local files need no setting.

    Raises:
        ConfigError: where a path names nothing, a URL no container, or a setting is wrong.

    """
    from shared.adapters.log_files import LogFiles  # noqa: PLC0415  see the package's docstring

    files = [LogFiles(logs, log_format=log_format, progress=progress)] if logs else []
    remote: list[TrafficSource] = []
    async with AsyncExitStack() as stack:
        if blobs or workspaces:
            settings = load_settings({**environ, WORKSPACES.name: ",".join(workspaces)}, required=())
            remote += [await stack.enter_async_context(_log_blobs(settings, url, progress)) for url in blobs]
            if workspaces:
                remote.append(await stack.enter_async_context(_log_analytics(settings)))
        yield Traffic(files=tuple(files), remote=tuple(remote), size=files[0].size if files and not blobs else None)


@asynccontextmanager
async def _log_analytics(settings: Settings) -> AsyncIterator[TrafficSource]:
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


@asynccontextmanager
async def open_audit(environ: Mapping[str, str]) -> AsyncIterator[Callable[[], Awaitable[AuditRound | None]]]:
    """What audits the window that is due; its answer is None where no workspace is named or nothing is due.

    Raises:
        ConfigError: where a setting is wrong.
        AzureError: by the call: where the links of the scanned subscriptions cannot be read.
        StoreError: where a store failed.

    """
    from shared.adapters.log_telemetry import LogTelemetry  # noqa: PLC0415  see the package's docstring
    from shared.services.audit_timer import audit_and_tell  # noqa: PLC0415  only where traffic is audited

    async def nothing() -> None:
        return None

    if not WORKSPACES.text(environ):
        yield nothing
        return
    async with open_application(environ) as application, _log_analytics(application.settings) as source:

        async def audit() -> AuditRound | None:
            return await audit_and_tell(application.engine, [source], application.settings.private_ranges, LogTelemetry())

        yield audit


async def audit_traffic(environ: Mapping[str, str]) -> AuditRound | None:
    """Audit once.

    Raises:
        ConfigError: as :func:`open_audit`.
        AzureError: likewise.
        StoreError: likewise.

    """
    async with open_audit(environ) as audit:
        return await audit()
