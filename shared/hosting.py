"""What the triggers of one process share: built by the first invocation that needs it, closed with the event loop.

A scale-out adds processes; each builds its own. Nothing is built on import, and a setting that is wrong fails each invocation
with the same message until the app is started with another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from shared.bootstrap import alerts, anchors, application, audits, dead_letters, reports
from shared.core.errors import ConfigError, LinkguardError
from shared.services.dead_letters import take_dead_letters
from shared.services.health import check_health

if TYPE_CHECKING:
    from shared.core.ledger import JsonObject
    from shared.core.report_data import ReportData
    from shared.report.web import WebAnswer
    from shared.services.work import Work

type Open[T] = Callable[[Mapping[str, str]], AbstractAsyncContextManager[T]]
"""Builds something from the settings, and closes it."""

_OK: Final = 200
_UNAVAILABLE: Final = 503


class Process:
    """Builds each thing once that many invocations use at once."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._held: dict[Open[Any], tuple[AsyncGenerator[Any], Any]] = {}

    async def work(self, environ: Mapping[str, str]) -> Work:
        """What the services behind the queue and the sweep's timer work with.

        Raises:
            ConfigError: with every problem of the settings.
            StoreError: where the ledger cannot be opened.

        """
        return await self.hold(application.open_work, environ)

    async def hold[T](self, open_: Open[T], environ: Mapping[str, str]) -> T:
        """What ``open_`` opens: the first time anew, then the same; whatever it raises, the next call tries again."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Clients belong to their loop. The worker has one; tests have many.
            self._loop, self._lock, self._held = loop, asyncio.Lock(), {}
        if open_ not in self._held:
            async with self._lock:
                if open_ not in self._held:
                    life = _live(open_, environ)
                    self._held[open_] = (life, await anext(life))
        held: T = self._held[open_][1]
        return held

    async def close(self) -> None:
        """Close what was built; the next invocation builds anew."""
        held, self._held = self._held, {}
        for life, _ in held.values():
            await life.aclose()


async def _live[T](open_: Open[T], environ: Mapping[str, str]) -> AsyncGenerator[T]:
    """What is opened, for as long as nobody closes this: a loop that shuts down closes the generators that it has seen."""
    async with open_(environ) as opened:
        yield opened


PROCESS = Process()
"""The one of this process."""


async def collect_dead_letters(environ: Mapping[str, str]) -> None:
    """Take what Event Grid could not deliver; nothing is done where no container is named.

    Raises:
        ConfigError: with every problem of the settings.
        LinkguardError: where some of it could not be taken; the next run does.

    """
    store = await PROCESS.hold(dead_letters.open_dead_letters, environ)
    if store is not None:
        await take_dead_letters(await PROCESS.work(environ), store)


async def export_ledger(environ: Mapping[str, str]) -> None:
    """Anchor what the ledger has gained.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: where the ledger cannot be read, an anchor not written, or a chain has a fault.

    """
    await (await PROCESS.hold(anchors.open_export, environ))()


async def deliver_alerts(environ: Mapping[str, str]) -> None:
    """Deliver what is due, once.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: where a store failed.

    """
    from shared.services.alerting import deliver  # noqa: PLC0415  only where alerts are delivered

    await deliver(await PROCESS.hold(alerts.open_alerts, environ))


async def audit_traffic(environ: Mapping[str, str]) -> None:
    """Audit the window that is due.

    Raises:
        ConfigError: where a setting is wrong.
        AzureError: where the links of the scanned subscriptions cannot be read.
        StoreError: where a store failed.

    """
    await (await PROCESS.hold(audits.open_audit, environ))()


async def answer_report(environ: Mapping[str, str], headers: Mapping[str, str], wanted: str) -> WebAnswer:
    """The report over HTTP. ``wanted``: ``html``, ``json`` or "".

    Raises:
        ConfigError: where a setting is wrong.

    """

    async def read() -> ReportData:
        return await (await PROCESS.hold(reports.open_report, environ))()

    return await reports.answer_report(environ, headers, wanted, read)


async def answer_health(environ: Mapping[str, str]) -> tuple[int, JsonObject]:
    """An HTTP status and what is not well. Settings that are wrong are said by their names alone: a value may be a secret."""
    try:
        health = await check_health(await PROCESS.work(environ))
    except ConfigError as error:
        names = sorted({problem.partition(":")[0] for problem in error.problems})
        return _UNAVAILABLE, {"status": "unhealthy", "reasons": [f"settings: {name}" for name in names], "last_sweep": None}
    except LinkguardError as error:
        return _UNAVAILABLE, {"status": "unhealthy", "reasons": [f"ledger: {type(error).__name__}"], "last_sweep": None}
    return (_OK if health.is_well else _UNAVAILABLE), health.as_json()
