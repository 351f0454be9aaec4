"""The app in the real Functions worker: its cold start beside an app with nothing in it, its memory, and a burst of events."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.storage.queue.aio import QueueServiceClient

from tests.azurite import server
from tests.worker.stage import Stage, allowlist, open_host, open_stage
from tests.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from azure.storage.queue import QueueMessage

    from tests.worker.host import Host
    from tests.worker.worker import Result

STARTS = 7
EVENTS = 10_000
TARGETS = 1_000
SLICE = 500
"""Events after which the queue is emptied: Azurite's own work at each message grows with their number."""
AT_ONCE = 16
"""Invocations that the host has under way on one worker."""
HELLO = """
import azure.functions as func

app = func.FunctionApp()


@app.route(route="hello", auth_level=func.AuthLevel.ANONYMOUS)
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello")
"""
NOTHING = """
import azure.functions as func

app = func.FunctionApp()


@app.event_grid_trigger(arg_name="event")
async def on_resource_write(event: func.EventGridEvent) -> None:
    return None
"""


def main() -> str:
    """All measurements as Markdown."""
    return asyncio.run(_measure())


async def _measure() -> str:
    with tempfile.TemporaryDirectory() as folder, server.run(Path(folder)) as azurite:
        hello, nothing = (_make_app(Path(folder) / name, code) for name, code in (("hello", HELLO), ("nothing", NOTHING)))
        return "\n\n".join([await _cold_start(hello, azurite), await _burst(nothing, azurite)])


def _make_app(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "function_app.py").write_text(code, encoding="utf-8")
    (folder / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    return folder


# Cold start


async def _cold_start(hello: Path, azurite: server.Azurite) -> str:
    """In turn, so that a machine that others share slows both alike; the median of each."""
    times: dict[str, list[tuple[float, float]]] = {"hello": [], "linkguard": []}
    for _ in range(STARTS):
        times["hello"].append(await _start({}, hello))
        times["linkguard"].append(await _start({}, None))
    index = {name: statistics.median(one for one, _ in found) for name, found in times.items()}
    whole = {name: statistics.median(one for _, one in found) for name, found in times.items()}
    async with open_stage(azurite) as stage, open_host(stage) as host:
        before = (await host.worker.ask("stats"))["rss_kib"]
        stage.azure.world.put_link(stage.service, "func-pe", stage.site)
        event = await _seconds(host.deliver(stage.events()[0]))
        first = await _seconds(host.worker.message(json.dumps({"v": 1, "id": stage.site, "attempt": 1})))
        after = (await host.worker.ask("stats"))["rss_kib"]
        second = await _seconds(host.worker.message(json.dumps({"v": 1, "id": stage.site, "attempt": 2})))
    return "\n".join(
        [
            f"| cold start, median of {STARTS} | a hello-world app of one function | Linkguard | ratio |",
            "|---|---|---|---|",
            (
                f"| the worker's init, index and load | {index['hello']:.3f} s | {index['linkguard']:.3f} s "
                f"| {index['linkguard'] / index['hello']:.2f} |"
            ),
            (
                f"| the same from the start of its process | {whole['hello']:.3f} s | {whole['linkguard']:.3f} s "
                f"| {whole['linkguard'] / whole['hello']:.2f} |"
            ),
            "",
            "| a new worker | |",
            "|---|---|",
            f"| the first event, which imports what it needs and opens the queue | {event:.2f} s |",
            f"| the first reconcile, which imports Resource Manager's SDKs | {first:.2f} s |",
            f"| the second reconcile | {second:.2f} s |",
            f"| memory before the first event | {before / 1024:,.0f} MiB |",
            f"| memory after the first reconcile | {after / 1024:,.0f} MiB |",
        ]
    )


async def _seconds(work: Awaitable[Result]) -> float:
    began = time.perf_counter()
    result = await work
    if not result.ok:
        raise RuntimeError(result.error)
    return time.perf_counter() - began


async def _start(settings: Mapping[str, str], app: Path | None) -> tuple[float, float]:
    began = time.perf_counter()
    worker = Worker(settings, app=app) if app else Worker(settings)
    async with worker:
        return worker.index_seconds, time.perf_counter() - began


# A burst


@dataclass
class _Delivered:
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return EVENTS / self.seconds


async def _burst(nothing: Path, azurite: server.Azurite) -> str:
    async with open_stage(azurite, LINKGUARD_SETTLE="1h", LINKGUARD_RECHECK_DELAY="1h", LINKGUARD_RECHECK_MAX="1h") as stage:
        events = await _set_scene(stage)
        async with Worker({}, app=nothing) as worker:
            baseline = await _deliver(worker, events, _nothing)
        async with open_host(stage) as host:
            queued: list[QueueMessage] = []

            async def take() -> None:
                queued.extend(await host.take_all())

            delivered = await _deliver(host.worker, events, take)
            puts = await _puts(azurite)
            began, cpu = time.perf_counter(), (await host.worker.ask("stats"))["cpu_seconds"]
            messages = await _work_off(host, queued)
            seconds, cpu = time.perf_counter() - began, (await host.worker.ask("stats"))["cpu_seconds"] - cpu
            told = host.worker.records("message")
            failed = sum(not result.ok for result in host.results)
    reads = stage.azure.requests.counts
    services = sum("targets" in one for one in told)
    looks = sum("verdicts" in one for one in told)
    put_back = sum("error" in one for one in told)
    superseded = messages - services - looks - put_back
    return "\n".join(
        [
            f"{EVENTS:,} events about {TARGETS:,} links to as many targets, ten of each, {AT_ONCE} at once in one worker:",
            "",
            "| | events/s | ratio | our CPU a thousand events |",
            "|---|---|---|---|",
            f"| a function that does nothing | {baseline.rate:,.0f} | 1 | {baseline.cpu / EVENTS * 1e6:,.0f} ms |",
            (
                f"| on_resource_write, each event put on Azurite's queue | {delivered.rate:,.0f} "
                f"| {delivered.rate / baseline.rate:.2f} | {delivered.cpu / EVENTS * 1e6:,.0f} ms |"
            ),
            f"| a bare client of the queue, without a worker | {puts:,.0f} | {puts / baseline.rate:.2f} | - |",
            "",
            "| working it off | |",
            "|---|---|",
            f"| messages delivered | {messages:,} |",
            f"| of them ended without a call to Azure, a later look had seen it | {superseded:,} |",
            f"| services read | {services:,} |",
            f"| reconciles run | {looks:,} |",
            f"| put back, since Azure or a store did not answer | {put_back:,} |",
            f"| failed | {failed:,} |",
            f"| ARM calls | {sum(reads.values()):,} |",
            f"| ARM calls a target | {sum(reads.values()) / TARGETS:.2f} |",
            f"| seconds | {seconds:,.0f} |",
            f"| messages/s | {messages / seconds:,.0f} |",
            f"| our CPU | {cpu:,.0f} s |",
        ]
    )


async def _set_scene(stage: Stage) -> list[dict[str, Any]]:
    """A service, a site and a link a target; the events that ARM emitted, ten times, in rounds."""
    world = stage.azure.world
    pairs = [
        (world.add_signalr(f"s-{n:04}"), world.add_site(f"t-{n:04}", public_network_access="Enabled")) for n in range(TARGETS)
    ]
    await stage.set_allowlist(allowlist(*pairs))
    for number, (service, site) in enumerate(pairs):
        world.put_link(service, f"pe-{number:04}", site)
    return [event for _ in range(EVENTS // TARGETS) for event in stage.events()]


async def _in_parallel[T](items: Iterable[T], do: Callable[[T], Awaitable[object]]) -> None:
    left = iter(items)

    async def one_after_the_other() -> None:
        for item in left:
            await do(item)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


async def _deliver(worker: Worker, events: list[dict[str, Any]], between: Callable[[], Awaitable[object]]) -> _Delivered:
    """In slices; what is done ``between`` them is not counted."""
    await worker.event(events[0])  # The first one imports and opens.
    seconds = cpu = 0.0
    for slice_ in batched(events, SLICE, strict=False):
        before, began = (await worker.ask("stats"))["cpu_seconds"], time.perf_counter()
        await _in_parallel(slice_, worker.event)
        seconds += time.perf_counter() - began
        cpu += (await worker.ask("stats"))["cpu_seconds"] - before
        await between()
    return _Delivered(seconds, cpu)


async def _nothing() -> None:
    return


async def _puts(azurite: server.Azurite) -> float:
    """What Azurite takes at most, on a queue of its own."""
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        queue = await service.create_queue("bench")
        texts = ["x" * 200] * SLICE
        began = time.perf_counter()
        await _in_parallel(texts, queue.send_message)
        seconds = time.perf_counter() - began
        await service.delete_queue("bench")
        return len(texts) / seconds


async def _work_off(host: Host, queued: list[QueueMessage]) -> int:
    """Invoke the worker with what was queued, then deliver until nothing is visible any more; follow-ups are an hour away."""

    async def invoke(message: QueueMessage) -> None:
        host.results.append(await host.worker.message(message.content, id_=message.id, inserted=message.inserted_on))

    await _in_parallel(queued, invoke)
    messages = len(queued)
    while count := await host.pump():
        messages += count
    return messages
