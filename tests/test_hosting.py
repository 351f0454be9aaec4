"""What the triggers of one process share: built once, by the first that needs it, and closed with the event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from shared import hosting
from shared.bootstrap import application
from shared.core.errors import ConfigError, StoreUnavailableError
from shared.hosting import Process, answer_health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.services.work import Work


class Opened:
    """In place of what the settings describe; keeps what became of it."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.failures: list[Exception] = []

    @asynccontextmanager
    async def open(self, environ: Mapping[str, str]) -> AsyncIterator[Work]:
        del environ
        await asyncio.sleep(0)  # Whoever comes meanwhile must wait.
        if self.failures:
            raise self.failures.pop()
        self.opened += 1
        try:
            yield cast("Work", object())
        finally:
            await asyncio.sleep(0)
            self.closed += 1


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    one = Opened()
    monkeypatch.setattr(application, "open_work", one.open)
    return one


def test_many_invocations_build_it_once_and_the_loop_closes_it(opened: Opened) -> None:
    """However many come at once, and whoever is first."""

    async def invocations() -> None:
        process = Process()
        works = await asyncio.gather(*(process.work({}) for _ in range(50)))
        assert len(set(map(id, works))) == 1
        assert await process.work({}) is works[0]
        assert (opened.opened, opened.closed) == (1, 0)

    asyncio.run(invocations())
    assert (opened.opened, opened.closed) == (1, 1)


def test_what_could_not_be_built_is_tried_again(opened: Opened) -> None:
    """By the next invocation: a storage account that did not answer may do so now."""
    opened.failures.append(StoreUnavailableError("down"))

    async def invocations() -> None:
        process = Process()
        with pytest.raises(StoreUnavailableError):
            await process.work({})
        await process.work({})

    asyncio.run(invocations())
    assert (opened.opened, opened.closed) == (1, 1)


def test_another_loop_has_its_own(opened: Opened) -> None:
    """A client belongs to the loop that it was made in."""
    process = Process()
    for _ in range(2):
        asyncio.run(_use(process))
    assert (opened.opened, opened.closed) == (2, 2)


async def _use(process: Process) -> None:
    await process.work({})


async def test_each_thing_is_held_by_itself(opened: Opened) -> None:
    """What one trigger needs is not built for another, and closing closes all of it."""
    process, other = Process(), Opened()
    works = {id(await process.hold(one.open, {})) for one in (opened, other, opened, other)}
    assert len(works) == 2
    assert (opened.opened, other.opened) == (1, 1)
    await process.close()
    assert (opened.closed, other.closed) == (1, 1)


async def test_closed_it_is_built_anew(opened: Opened) -> None:
    """And closing what was never built, or is closed, is nothing."""
    process = Process()
    await process.close()
    await process.work({})
    await process.close()
    await process.close()
    assert (opened.opened, opened.closed) == (1, 1)
    await process.work({})
    assert opened.opened == 2
    await process.close()


@pytest.mark.parametrize(
    ("error", "reasons"),
    [
        (
            ConfigError(["LINKGUARD_MODE: SECRET", "LINKGUARD_LEDGER: SECRET"]),
            ["settings: LINKGUARD_LEDGER", "settings: LINKGUARD_MODE"],
        ),
        (StoreUnavailableError("SECRET"), ["ledger: StoreUnavailableError"]),
    ],
)
async def test_health_of_what_cannot_be_built(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, error: Exception, reasons: list[str]
) -> None:
    """503 with what is wrong, and none of what the error says."""
    monkeypatch.setattr(hosting, "PROCESS", Process())
    opened.failures.append(error)
    assert await answer_health({}) == (503, {"status": "unhealthy", "reasons": reasons, "last_sweep": None})
