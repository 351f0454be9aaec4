"""What an approval and a sweep cost: ARM calls counted, and time beside the bound that ARM's own limit sets."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.bootstrap.application import open_application
from shared.core.arm_id import ArmId
from shared.core.model import Target
from shared.local_azure import SUBSCRIPTION, Knobs, LocalAzure
from shared.local_azure.scenarios import Estate as LargeEstate
from shared.local_azure.scenarios import estate
from shared.services.reconcile import reconcile
from shared.services.sweep import sweep
from shared.services.wait import sweep_until_done

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from shared.services.engine import Engine

SUBSCRIPTIONS = 10
SERVICES = 1_000
SITES = 5_000
WATCHED = 500
PENDING = 100
LATENCY = 0.1
"""Seconds that the local Azure takes to answer, as a distant Resource Manager does."""


def main() -> str:
    """Both measurements as Markdown."""
    return "\n\n".join([asyncio.run(one_approval()), large_sweep()])


# One approval


async def one_approval() -> str:
    """The calls of each step of one approval, with and without inline connections."""
    rows = ["| step | reads, connections not inline | reads, inline | writes |", "|---|---|---|---|"]
    counted = [await _count_steps(inline=inline) for inline in (False, True)]
    for (step, reads, writes), (_, inline_reads, _) in zip(*counted, strict=True):
        rows.append(f"| {step} | {reads} | {inline_reads} | {writes} |")
    total = [sum(reads + writes for _, reads, writes in count) for count in counted]
    rows.append(f"| all of it, at most 9 | {total[0]} | {total[1]} | |")
    return "\n".join(rows)


async def _count_steps(*, inline: bool) -> list[tuple[str, int, int]]:
    with tempfile.TemporaryDirectory() as folder:
        async with LocalAzure(knobs=Knobs(inline_connections=inline)) as azure:
            signalr = azure.world.add_signalr()
            site = azure.world.add_site(public_network_access="Enabled")
            rules = [_rule("one", signalr, site)]
            async with open_application(_settings(azure.url, Path(folder), [SUBSCRIPTION], rules, settle="200ms")) as application:
                engine = application.engine
                await sweep(engine)  # So that there is a snapshot, as there is in production.
                azure.world.put_link(signalr, "func-pe", site, message="please approve")
                target = Target(ArmId.parse(site))
                steps = [await _counted("first look", engine, target)]
                await asyncio.sleep(0.25)
                steps.append(await _counted("second look, and the approval", engine, target))
                steps.append(await _counted("confirming look", engine, target))
    return steps


async def _counted(name: str, engine: Engine, target: Target) -> tuple[str, int, int]:
    reads, writes = engine.azure.calls.reads, engine.azure.calls.writes
    await reconcile(engine, target)
    return name, engine.azure.calls.reads - reads, engine.azure.calls.writes - writes


# A large estate


@dataclass(frozen=True, slots=True)
class Served:
    """What the other process serves."""

    url: str
    subscriptions: list[str]
    rules: list[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One sweep."""

    reads: int
    writes: int
    seconds: float
    cpu_seconds: float
    approved: int
    busiest: int
    """Reads of the subscription that was read most."""


def large_sweep() -> str:
    """Sweeps of a large estate, in another process, with the limit on reads off and on."""
    rows = [
        "| sweep | reads | writes | seconds | bound by the limit on reads, seconds | measured / bound | our CPU, seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for limit in (0, 20):
        for name, pending in (("nothing to do", 0), (f"{PENDING} pending, approved and confirmed", PENDING)):
            rows.append(_row(name, limit, _measure(limit, pending)))
    return (
        f"{SUBSCRIPTIONS} subscriptions, {SERVICES:,} SignalR services, {SITES:,} sites, {WATCHED} of them watched:\n\n"
        + "\n".join(rows)
    )


def _row(name: str, limit: int, measured: Measured) -> str:
    bound = measured.busiest / limit if limit else None
    ratio = f"{measured.seconds / bound:.2f}" if bound else "-"
    label = f"{limit} reads/s" if limit else "no limit"
    return (
        f"| {name}, {label} | {measured.reads:,} | {measured.writes} | {measured.seconds:.1f} "
        f"| {f'{bound:.1f}' if bound else '-'} | {ratio} | {measured.cpu_seconds:.1f} |"
    )


def _measure(limit: int, pending: int) -> Measured:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, pending), daemon=True)
    server.start()
    try:
        served: Served = ours.recv()
        measured = asyncio.run(_sweep(served, limit, ours))
        ours.send("done")
        reads: dict[str, int] = ours.recv()
    finally:
        server.join(timeout=10)
        if server.is_alive():
            server.terminate()
    return replace(measured, busiest=max(reads.values()))


def _serve(pipe: Connection[Any, Any], pending: int) -> None:
    asyncio.run(_serve_estate(pipe, pending))


async def _serve_estate(pipe: Connection[Any, Any], pending: int) -> None:
    async with LocalAzure(knobs=Knobs(latency=LATENCY)) as azure:
        built = estate(
            azure.world, subscriptions=SUBSCRIPTIONS, services=SERVICES, sites=SITES, linked=WATCHED - pending, pending=0
        )
        pairs = [(_named(built, "service", n), _named(built, "site", n)) for n in range(WATCHED)]
        rules = [_rule(f"rule-{n}", service, site) for n, (service, site) in enumerate(pairs)]
        pipe.send(Served(azure.url, list(built.subscriptions), rules))
        await asyncio.to_thread(pipe.recv)
        for number, (service, site) in enumerate(pairs[WATCHED - pending :]):
            azure.world.put_link(service, f"new-{number}", site, message=f"message {number}")
        azure.requests.clear()
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)
        pipe.send(dict(Counter(entry.path.split("/")[2] for entry in azure.requests.entries if entry.method == "GET")))


def _named(built: LargeEstate, kind: str, number: int) -> str:
    """The id of a service or a site of the estate."""
    kinds = {"service": "Microsoft.SignalRService/SignalR/signalr", "site": "Microsoft.Web/sites/site"}
    subscription = built.subscriptions[number % SUBSCRIPTIONS]
    return f"/subscriptions/{subscription}/resourceGroups/estate/providers/{kinds[kind]}-{number:05}"


async def _sweep(served: Served, limit: int, pipe: Connection[Any, Any]) -> Measured:
    """A sweep of an estate that was swept before, as all but the very first one is."""
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(served.url, Path(folder), served.subscriptions, served.rules, settle="1s") | {
            "LINKGUARD_ARM_READS_PER_SECOND": str(limit),
            "LINKGUARD_RECHECK_DELAY": "1s",
        }
        async with open_application(settings) as application:
            await sweep(application.engine)
            pipe.send("swept")
            await asyncio.to_thread(pipe.recv)
            before = application.engine.azure.calls.reads
            started, cpu = time.perf_counter(), time.process_time()
            result = await sweep_until_done(application.engine, timeout=timedelta(minutes=5))
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
            approved = sum(decision.outcome == "confirmed" for decision in result.decisions)
            if not result.complete:
                message = "the sweep was not complete"
                raise SystemExit(message)
            calls = application.engine.azure.calls
            return Measured(calls.reads - before, calls.writes, seconds, cpu_seconds, approved, 0)


def _rule(name: str, signalr: str, target: str) -> str:
    return f"  - {{id: {name}, effect: allow, signalr: {signalr}, target: {target}}}"


def _settings(url: str, folder: Path, subscriptions: list[str], rules: list[str], *, settle: str) -> dict[str, str]:
    allowlist = folder / "allowlist.yaml"
    allowlist.write_text("\n".join(["version: 1", "rules:", *rules]) + "\n", encoding="utf-8")
    return {
        "LINKGUARD_MODE": "enforce",
        "LINKGUARD_SUBSCRIPTIONS": ",".join(subscriptions),
        "LINKGUARD_CREDENTIAL": "local",
        "LINKGUARD_ARM_ENDPOINT": url,
        "LINKGUARD_ALLOWLIST": str(allowlist),
        "LINKGUARD_LEDGER": f"sqlite:///{folder / 'ledger.sqlite3'}",
        "LINKGUARD_SETTLE": settle,
        "LINKGUARD_ARM_READS_PER_SECOND": "0",
        "LINKGUARD_APPROVALS_PER_HOUR": "1000",
    }
