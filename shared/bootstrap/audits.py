"""The audit of traffic on a timer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.bootstrap.application import open_application
from shared.bootstrap.remote_traffic import open_log_analytics
from shared.config import WORKSPACES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.services.audit_timer import AuditRound


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
    async with open_application(environ) as application, open_log_analytics(application.settings) as source:

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
