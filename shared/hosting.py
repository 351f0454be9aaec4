"""What the triggers of one process share: built by the first invocation, closed with the event loop.

A scale-out adds processes; each builds its own. Nothing is built on import, and a setting that is wrong fails each invocation
with the same message until the app is started with another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shared.bootstrap import open_dead_letters, open_work
from shared.core.errors import ConfigError, LinkguardError
from shared.services.dead_letters import take_dead_letters
from shared.services.health import check_health

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from shared.core.ledger import JsonObject
    from shared.services.work import Work

_OK: Final = 200
_UNAVAILABLE: Final = 503


class Process:
    """Builds once what many invocations use at once."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._life: AsyncGenerator[Work] | None = None
        self._work: Work | None = None

    async def work(self, environ: Mapping[str, str]) -> Work:
        """What the services work with.

        Raises:
            ConfigError: with every problem of the settings.
            StoreError: where the ledger cannot be opened.

        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Clients belong to their loop. The worker has one; tests have many.
            self._loop, self._lock, self._life, self._work = loop, asyncio.Lock(), None, None
        if self._work is None:
            async with self._lock:
                if self._work is None:
                    life = _live(environ)
                    self._work = await anext(life)
                    self._life = life
        return self._work

    async def close(self) -> None:
        """Close what was built; the next invocation builds anew."""
        life, self._life, self._work = self._life, None, None
        if life is not None:
            await life.aclose()


async def _live(environ: Mapping[str, str]) -> AsyncGenerator[Work]:
    """The work, for as long as nobody closes this: a loop that shuts down closes the generators that it has seen."""
    async with open_work(environ) as work:
        yield work


PROCESS = Process()
"""The one of this process."""


async def collect_dead_letters(environ: Mapping[str, str]) -> None:
    """Take what Event Grid could not deliver; nothing is done where no container is named.

    Raises:
        ConfigError: with every problem of the settings.
        LinkguardError: where some of it could not be taken; the next run does.

    """
    async with open_dead_letters(environ) as store:
        if store is not None:
            await take_dead_letters(await PROCESS.work(environ), store)


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
