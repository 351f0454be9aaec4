"""Whether everything that Linkguard needs is there: reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.errors import AzureError, StoreError
from shared.services.allowlist import load_allowlist

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from shared.core.model import Target
    from shared.services.reconcile import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    message: str
    advice: str = ""
    """What to do where it is not well; "" where it is."""


async def preflight(engine: Engine) -> tuple[Check, ...]:
    """Try each read that a sweep makes, once, and say what is missing. Nothing is written."""
    return tuple([check async for check in _checks(engine)])


async def _checks(engine: Engine) -> AsyncIterator[Check]:
    loaded = await load_allowlist(engine.allowlist)
    if loaded.allowlist is None:
        advice = "linkguard allowlist check FILE lists every problem with its place"
        yield Check(name="allowlist", ok=False, message=loaded.problem, advice=advice)
    else:
        paused = ", paused" if loaded.allowlist.paused else ""
        message = f"{len(loaded.allowlist.rules)} rules{paused} in {loaded.allowlist.source}"
        yield Check(name="allowlist", ok=True, message=message)
    yield await _store("ledger", engine.ledger.chains())
    yield await _store("state", engine.state.rows("sweeps"))
    for subscription in engine.settings.subscriptions:
        yield await _signalr(engine, subscription)
    for target in sorted(loaded.allowlist.named_targets() if loaded.allowlist else (), key=lambda target: target.id):
        yield await _target(engine, target)


async def _store(name: str, read: Awaitable[object]) -> Check:
    try:
        await read
    except StoreError as error:
        return Check(name=name, ok=False, message=str(error), advice="LINKGUARD_LEDGER says where it is")
    return Check(name=name, ok=True, message="readable")


async def _signalr(engine: Engine, subscription: str) -> Check:
    name = f"SignalR services of {subscription}"
    try:
        reading = await engine.azure.list_signalr(subscription)
    except AzureError as error:
        advice = (
            "the identity needs Microsoft.SignalRService/SignalR/read and "
            "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read on the subscription"
        )
        return Check(name=name, ok=False, message=str(error), advice=advice)
    links = sum(len(service.links) for service in reading.value)
    return Check(name=name, ok=True, message=f"{len(reading.value)} services, {links} shared private links")


async def _target(engine: Engine, target: Target) -> Check:
    name = f"target {target}"
    try:
        site = (await engine.azure.get_site(target)).value
        connections = (await engine.azure.list_connections(target)).value
    except AzureError as error:
        advice = "the identity needs Microsoft.Web/sites/Read and Microsoft.Web/sites/privateEndpointConnections/Read"
        return Check(name=name, ok=False, message=str(error), advice=advice)
    if site is None or connections is None:
        advice = "check the rule's target, or whether the identity may see it"
        return Check(name=name, ok=False, message="does not exist, or this identity may not see it", advice=advice)
    return Check(name=name, ok=True, message=f"readable, {len(connections)} connections")
