"""The outbox and its sinks."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shared.bootstrap.clock import make_clock
from shared.bootstrap.stores import open_settings_store, require_ledger
from shared.config import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.ports import AlertSink
    from shared.services.alerting import Outside


@asynccontextmanager
async def open_alerts(
    environ: Mapping[str, str], *, log: bool | None = None, read_only: bool = False, must_exist: bool = False
) -> AsyncIterator[Outside]:
    """The outbox and every sink that the settings name; needs the ledger, and nothing of Azure Resource Manager.

    Args:
        environ: the settings.
        log: in place of ``LINKGUARD_ALERTS_LOG``.
        read_only: a ledger that is not there yet is not made.
        must_exist: it is an error, too: an outbox by a mistyped path would look as if everything was told.

    Raises:
        ConfigError: where a setting is wrong, or there is no such ledger.
        StoreError: where the ledger cannot be opened.

    """
    from shared.adapters.alert_log import LogSink  # noqa: PLC0415  see the package's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same
    from shared.adapters.event_grid import EventGridSink  # noqa: PLC0415  the same
    from shared.adapters.webhook import WebhookSink  # noqa: PLC0415  the same
    from shared.services.alerting import Outside  # noqa: PLC0415  only where alerts are delivered

    settings, clock = load_settings(environ, required=()), make_clock()
    if must_exist:
        require_ledger(settings.ledger)
    async with AsyncExitStack() as stack:
        sinks: list[AlertSink] = [LogSink()] if (settings.alerts_log if log is None else log) else []
        webhooks = (WebhookSink(webhook, clock) for webhook in settings.alerts_webhooks)
        sinks += [await stack.enter_async_context(webhook) for webhook in webhooks]
        if settings.alerts_event_grid is not None:
            credential = make_credential(
                settings.credential.value,
                endpoint=settings.alerts_event_grid,
                authority=settings.arm_endpoint.authority,
                client_id=settings.managed_identity_client_id,
            )
            await stack.enter_async_context(credential)
            sinks.append(await stack.enter_async_context(EventGridSink(settings.alerts_event_grid, credential, clock)))
        store = await stack.enter_async_context(open_settings_store(settings, read_only=read_only))
        yield Outside(state=store, ledger=store, clock=clock, sinks=sinks, reminder=settings.alerts_reminder)
