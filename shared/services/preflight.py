"""Whether everything that Linkguard needs is there: reads only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import fold_case
from shared.core.errors import AzureError, StoreError
from shared.core.model import Site, Target
from shared.services.allowlist import load_allowlist
from shared.services.snapshot import NOTHING, Snapshot, SubscriptionView
from shared.services.sweep import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from shared.core.model import Connection
    from shared.services.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    message: str
    advice: str = ""
    """What to do where it is not well; "" where it is."""


SERVICES_READ: Final = "Microsoft.SignalRService/SignalR/read"
LINKS_READ: Final = "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read"
SITES_READ: Final = "Microsoft.Web/sites/read"
CONNECTIONS_READ: Final = "Microsoft.Web/sites/privateEndpointConnections/read"
PLANS_READ: Final = "Microsoft.Web/serverfarms/read"

_NOT_SEEN: Final = "check the rule's target, or whether the identity may see it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    permission: str
    target: Target
    message: str
    advice: str


async def preflight(engine: Engine) -> tuple[Check, ...]:
    """Try each read that a sweep makes, once, and say which permission is missing where. Nothing is written."""
    return tuple([check async for check in _checks(engine)])


async def _checks(engine: Engine) -> AsyncIterator[Check]:
    loaded = await load_allowlist(engine.allowlist)
    if loaded.allowlist is None:
        advice = "linkguard allowlist check FILE lists every problem with its place"
        yield Check(name="allowlist", ok=False, message=loaded.problem, advice=advice)
    else:
        paused = ", paused" if loaded.allowlist.paused else ""
        message = f"{_count(len(loaded.allowlist.rules), 'rule')}{paused} in {loaded.allowlist.source}"
        yield Check(name="allowlist", ok=True, message=message)
    yield await _store("ledger", engine.ledger.chains())
    yield await _store("state", engine.state.rows("sweeps"))
    views: dict[str, SubscriptionView] = {}
    for subscription in engine.settings.subscriptions:
        check, views[fold_case(subscription)] = await _signalr(engine, subscription)
        yield check
    targets = watched(loaded.allowlist, Snapshot(views), engine.settings.subscriptions)
    for check in await _targets(engine, targets):
        yield check


async def _store(name: str, read: Awaitable[object]) -> Check:
    try:
        await read
    except StoreError as error:
        return Check(name=name, ok=False, message=str(error), advice="LINKGUARD_LEDGER says where it is")
    return Check(name=name, ok=True, message="readable")


async def _signalr(engine: Engine, subscription: str) -> tuple[Check, SubscriptionView]:
    name = f"{SERVICES_READ} and {LINKS_READ} on the subscription {subscription}"
    try:
        reading = await engine.azure.list_signalr(subscription)
    except AzureError as error:
        advice = "give the identity both, on the subscription"
        return Check(name=name, ok=False, message=str(error), advice=advice), NOTHING
    links = sum(len(service.links) for service in reading.value)
    message = f"{_count(len(reading.value), 'service')}, {_count(links, 'shared private link')}"
    return Check(name=name, ok=True, message=message), SubscriptionView(at=reading.started, services=reading.value)


async def _targets(engine: Engine, targets: Sequence[Target]) -> list[Check]:
    """One check a permission where it is there for every watched target, else one for each target that lacks it."""
    gate = asyncio.Semaphore(engine.settings.concurrency)

    async def look(target: Target) -> list[_Failure]:
        async with gate:
            return [failure async for failure in _failures(engine, target)]

    failures = [failure for found in await asyncio.gather(*map(look, targets)) for failure in found]
    checks: list[Check] = []
    for permission in (SITES_READ, CONNECTIONS_READ, PLANS_READ):
        missing = [failure for failure in failures if failure.permission == permission]
        for one in missing:
            name = f"{permission} on {one.target}"
            checks.append(Check(name=name, ok=False, message=one.message, advice=one.advice))
        if not missing:
            message = _count(len(targets), "watched target") if targets else "no target is watched, so it was not tried"
            checks.append(Check(name=permission, ok=True, message=message))
    return checks


async def _failures(engine: Engine, target: Target) -> AsyncIterator[_Failure]:
    for permission, read in ((SITES_READ, engine.azure.get_site), (CONNECTIONS_READ, engine.azure.list_connections)):
        try:
            found: Site | tuple[Connection, ...] | None = (await read(target)).value
        except AzureError as error:
            advice = f"give the identity {permission}"
            yield _Failure(permission=permission, target=target, message=str(error), advice=advice)
            continue
        if found is None:
            message = "it does not exist, or this identity may not see it"
            yield _Failure(permission=permission, target=target, message=message, advice=_NOT_SEEN)
        elif isinstance(found, Site) and not found.tier:
            message = "the tier of its plan cannot be told: an unsupported one would go unnoticed"
            yield _Failure(permission=PLANS_READ, target=target, message=message, advice=f"give the identity {PLANS_READ}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
