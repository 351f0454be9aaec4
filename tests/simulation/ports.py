"""The ports as one worker has them: the same Azure, ledger and state for all, each call an await where anything may go wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Literal

from shared.core.arm_id import fold_case
from shared.core.errors import (
    AllowlistError,
    AzureConflictError,
    AzureError,
    AzurePolicyError,
    AzureThrottledError,
    AzureUnavailableError,
    QueueError,
    StoreConflictError,
    StoreUnavailableError,
)
from shared.core.ledger import EMPTY, Record, canonical
from shared.core.model import Connection, Link, ListedSite, SignalR
from shared.core.problem import Problem
from shared.ports import CallCount, Document, Reading, Versioned
from tests.simulation.chaos import ARM_TIMEOUT
from tests.simulation.frame import DOCUMENT, FRAME, SWEEP, TOLD, Frame, ReadDocument
from tests.simulation.spelling import respell
from tests.simulation.story import Fault
from tests.simulation.world import STALE_FOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime
    from types import FrameType

    from shared.core.arm_id import ArmId
    from shared.core.ledger import Head, Json, RecordKind
    from shared.core.model import Site, Target
    from tests.simulation.chaos import Chaos
    from tests.simulation.invariants import Checker
    from tests.simulation.world import World

CANARY = "Bearer eyJ.SECRET"
"""Stands in every error and event for what must never reach the ledger."""


class Crashed(BaseException):
    """The worker's process has died."""


class Process:
    """One life of a worker: it may die at any await."""

    def __init__(self, name: str, chaos: Chaos, *, enforce: bool, may_die: bool = True, skew: float = 0.0) -> None:
        self.name = name
        self.enforce = enforce
        """Whether it was begun in the mode that writes."""
        self.chaos = chaos
        self.alive = True
        self.may_die = may_die
        self.skew = timedelta(seconds=skew)
        self.on_death: Callable[[], None] = lambda: None

    async def pause(self, seconds: float) -> None:
        """Let time pass, and perhaps die."""
        if self.may_die and self.chaos.may_crash:
            self.chaos.awaits |= _awaits()
        self.check()
        await asyncio.sleep(seconds)
        self.check()

    def check(self) -> None:
        if self.alive and self.may_die and ((self.chaos.die_at and self.chaos.kills(_awaits())) or self.chaos.crashes()):
            self.chaos.died_at |= _awaits()
            self.chaos.crashes_done += 1
            self.die()
        if not self.alive:
            raise Crashed

    def die(self) -> None:
        if self.alive:
            self.alive = False
            self.on_death()


def _awaits() -> set[str]:
    """Every await of the services that is waiting for this call, as file and line."""
    found: set[str] = set()
    frame: FrameType | None = sys._getframe(2)  # inspect.stack reads source files at every call
    while frame is not None:
        place = frame.f_code.co_filename.rpartition("/shared/services/")[2]
        if place != frame.f_code.co_filename:
            found.add(f"{place}:{frame.f_lineno}")
        frame = frame.f_back
    return found


class WorkerClock:
    """A worker's own clock, which may be wrong."""

    def __init__(self, process: Process, world: World) -> None:
        self._process = process
        self._world = world

    def now(self) -> datetime:
        return self._world.now() + self._process.skew

    async def sleep(self, seconds: float) -> None:
        await self._process.pause(seconds)


class SimulatedAzure:
    """ARM, as a worker's adapter shows it."""

    def __init__(self, process: Process, world: World, checker: Checker) -> None:
        self._process = process
        self._world = world
        self._checker = checker
        self.calls = CallCount()

    async def _read[T](self, look: Callable[[], T], what: str) -> Reading[T]:
        chaos, started = self._process.chaos, self._world.now()
        before, after = chaos.latency(), chaos.latency()
        if before + after > ARM_TIMEOUT:
            await self._process.pause(ARM_TIMEOUT)
            self._world.happened.note("no answer within the timeout")
            message = f"no answer in time {CANARY}"
            raise AzureUnavailableError(message)
        await self._process.pause(before)
        value = look()
        await self._process.pause(after)
        if (error := self._no_answer()) is not None:
            raise error
        self._world.timeline.add(self._world.loop.elapsed, self._process.name, f"reads {what}")
        return Reading(value=value, started=started, finished=self._world.now())

    def _no_answer(self) -> AzureError | None:
        chaos = self._process.chaos
        if chaos.strikes(Fault.THROTTLED):
            self._world.happened.note("429")
            return AzureThrottledError(f"too many requests {CANARY}", retry_after=7.0)
        if chaos.strikes(Fault.UNAVAILABLE):
            self._world.happened.note("5xx, nothing done")
            return AzureUnavailableError(f"bad gateway {CANARY}", status=502)
        return None

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        def look() -> tuple[SignalR, ...]:
            return tuple(self._spell_service(one) for one in self._world.subscription(subscription))

        try:
            return await self._read(look, "a subscription")
        except AzureError:
            if (sweep := SWEEP.get()) is not None and sweep.wanted is None:
                sweep.listed = False
            raise

    async def get_signalr(self, service: ArmId) -> Reading[SignalR | None]:
        def look() -> SignalR | None:
            found = self._world.service(service)
            return self._spell_service(found) if found is not None else None

        frame = FRAME.get()
        reading = await self._read(look, f"{service.name}")
        if frame is not None:
            frame.services[service] = (reading.started, reading.value)
        return reading

    async def list_sites(self, subscription: str) -> Reading[tuple[ListedSite, ...]]:
        def look() -> tuple[ListedSite, ...]:
            here = (one for one in self._world.sites.values() if fold_case(one.target.id.subscription) == fold_case(subscription))
            return tuple(
                ListedSite(site=one, host_names=self._world.host_names(one.target), connections=None)
                for one in here
                if one.target.slot is None
            )

        return await self._read(look, "a subscription's sites")

    async def get_site(self, target: Target) -> Reading[Site | None]:
        frame = FRAME.get()
        reading = await self._read(lambda: self._world.sites.get(target), target.id.name)
        if frame is not None:
            frame.site = reading.value
        return reading

    async def list_connections(self, target: Target) -> Reading[tuple[Connection, ...] | None]:
        chaos = self._process.chaos

        def look() -> tuple[Connection, ...] | None:
            stale = chaos.strikes(Fault.STALE_LISTS, rate=0.3)
            found = self._world.listed(target, lag=chaos.rng.uniform(0, STALE_FOR) if stale else 0.0)
            if stale and found != self._world.listed(target):
                self._world.happened.note("a list that shows what is over")
            return tuple(self._spell_connection(one) for one in found)

        frame = FRAME.get()
        reading = await self._read(look, f"{target.id.name}'s connections")
        if frame is not None:
            frame.connections, frame.finished = reading.value, reading.finished
            frame.list_started = reading.started
            frame.document = read.document if (read := DOCUMENT.get()) else None
            self._checker.on_look(frame)
        return reading

    async def set_connection(self, connection: ArmId, status: Literal["Approved", "Rejected"], description: str) -> None:
        await self._write(connection, status, description)

    async def delete_connection(self, connection: ArmId) -> None:
        await self._write(connection, "Deleted", "")

    async def _write(self, connection: ArmId, status: Literal["Approved", "Rejected", "Deleted"], description: str) -> None:
        """Sent, it may be done whatever becomes of the worker or of the answer."""
        self._process.check()
        chaos, loop = self._process.chaos, self._world.loop
        sent = self._checker.on_write(self._process, connection, status, description)
        self._world.timeline.add(loop.elapsed, self._process.name, f"WRITES {status} to {connection.name}")
        if (error := self._refusal()) is not None:
            await self._process.pause(chaos.latency())
            raise error
        done: asyncio.Future[AzureError | None] = loop.create_future()
        name = self._process.name

        def do() -> None:
            try:
                if status == "Deleted":
                    self._world.delete(connection, name)
                else:
                    self._world.decide(connection, status, description, name)
            except AzureError as refused:
                self._world.happened.note("a write to what somebody else has decided")
                done.set_result(refused)
            else:
                self._checker.on_written(sent)
                done.set_result(None)
                if lost:
                    what = "a write done minutes after its caller gave up" if late else "a write done, its answer lost"
                    self._world.happened.note(what)

        late = chaos.strikes(Fault.LATE_WRITES)
        lost = late or chaos.strikes(Fault.LOST_ANSWERS)
        delay = chaos.rng.uniform(ARM_TIMEOUT, 240.0) if late else min(chaos.latency(), ARM_TIMEOUT)
        loop.call_later(delay, do)
        if lost:
            await self._process.pause(ARM_TIMEOUT)
            message = f"the connection was closed {CANARY}"
            raise AzureUnavailableError(message)
        await self._process.pause(delay + 0.01)
        if (refusal := await done) is not None:
            raise refusal
        sent.answered = True

    def _refusal(self) -> AzureError | None:
        if self._process.chaos.strikes(Fault.REFUSED):
            if self._process.chaos.rng.random() < 0.5:
                self._world.happened.note("a write refused by a policy")
                return AzurePolicyError(f"a policy says no {CANARY}", status=403, code="RequestDisallowedByPolicy")
            self._world.happened.note("a write refused by another operation")
            return AzureConflictError(f"being changed {CANARY}", status=409, code="AnotherOperationInProgress")
        return self._no_answer()

    # How Azure spells it this time

    def _spell_service(self, service: SignalR) -> SignalR:
        if Fault.MIXED_CASE not in self._process.chaos.faults:
            return service
        rng = self._process.chaos.rng
        id_ = respell(service.id, rng)
        if str(id_) != str(service.id):
            self._world.happened.note("the same id in another case")
        links = tuple(self._spell_link(id_, link, rng.choice((str.lower, str.upper, str))) for link in service.links)
        return replace(service, id=id_, links=links)

    @staticmethod
    def _spell_link(service: ArmId, link: Link, spell: Callable[[str], str]) -> Link:
        id_ = service.child("sharedPrivateLinkResources", link.id.name)
        return replace(link, id=id_, resource_id=spell(link.resource_id))

    def _spell_connection(self, connection: Connection) -> Connection:
        if Fault.MIXED_CASE not in self._process.chaos.faults:
            return connection
        rng = self._process.chaos.rng
        endpoint = rng.choice((str.lower, str.upper, str))(connection.endpoint_id)
        text = rng.choice((str.lower, str))(connection.status_text)
        return replace(connection, id=respell(connection.id, rng), endpoint_id=endpoint, status_text=text)


class SharedStores:
    """The ledger's and the state store's rows, which all workers share."""

    def __init__(self) -> None:
        self.chains: dict[str, list[tuple[Record, Record]]] = {}
        """Each record with and without its inputs, read back from the text that was stored."""
        self.ids: set[tuple[str, str]] = set()
        self.texts: dict[str, list[str]] = {}
        self.rows: dict[str, dict[str, tuple[str, str]]] = {}
        self.versions = count(1)
        self.away_until = 0.0

    def head(self, chain: str) -> Head:
        records = self.chains.get(chain)
        return records[-1][0].head if records else EMPTY


class _StorePort:
    def __init__(self, process: Process, world: World, checker: Checker, stores: SharedStores) -> None:
        self._process = process
        self._world = world
        self._checker = checker
        self._stores = stores

    async def _reach(self) -> None:
        await self._process.pause(self._process.chaos.store_latency())
        if self._stores.away_until > self._world.loop.elapsed:
            message = f"the store is away {CANARY}"
            raise StoreUnavailableError(message)

    async def _answer(self) -> None:
        if self._process.chaos.rng.random() < 0.5:
            await self._process.pause(self._process.chaos.store_latency())
        self._process.check()
        if self._process.chaos.strikes(Fault.STORE_LOST_ANSWERS):
            self._world.happened.note("a store's write done, its answer lost")
            message = f"the store's answer was lost {CANARY}"
            raise StoreUnavailableError(message)
        if self._process.chaos.strikes(Fault.STORE_CONFLICTS):
            self._world.happened.note("a store's write done, sent again and refused")
            message = "it is there already"
            raise StoreConflictError(message)


class SimulatedLedger(_StorePort):
    """The ledger."""

    async def head(self, chain: str) -> Head:
        await self._reach()
        return self._stores.head(chain)

    async def append(self, record: Record) -> None:
        await self._reach()
        chain, key = record.entry.chain, (record.entry.chain, record.entry.id)
        head = self._stores.head(chain)
        if (record.sequence, record.previous) != (head.sequence + 1, head.hash) or key in self._stores.ids:
            self._world.happened.note("a conflict in the ledger")
            message = "the chain has moved on, or holds the id already"
            raise StoreConflictError(message)
        text = canonical(record.as_json())
        stored = json.loads(text)
        pair = (Record.from_json(stored), Record.from_json(stored | {"inputs": None}))
        self._stores.chains.setdefault(chain, []).append(pair)
        self._stores.texts.setdefault(chain, []).append(text)
        self._stores.ids.add(key)
        self._checker.on_record(self._process, pair[0], text)
        await self._answer()

    async def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        await self._reach()
        found = tuple(self._stores.chains.get(chain, ()))
        if not kinds:
            # Who reads all of a chain begins a step; who asks for some kinds wants to know one thing more.
            FRAME.set(Frame(worker=self._process.name, chain=chain, length=len(found)))
        for whole, bare in found:
            if not kinds or whole.entry.kind in kinds:
                yield whole if with_inputs else bare

    async def chains(self) -> tuple[str, ...]:
        await self._reach()
        return tuple(sorted(self._stores.chains))


class SimulatedState(_StorePort):
    """The state store."""

    async def get(self, partition: str, key: str) -> Versioned | None:
        await self._reach()
        row = self._stores.rows.get(partition, {}).get(key)
        return Versioned(value=json.loads(row[0]), version=row[1]) if row else None

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        await self._reach()
        rows = self._stores.rows.setdefault(partition, {})
        _, version = rows.get(key, ("", None))
        if version != replaces:
            self._world.happened.note("a conflict of an ETag")
            message = f"the row is at version {version}, not {replaces}"
            raise StoreConflictError(message)
        new = f"v{next(self._stores.versions)}"
        rows[key] = (canonical(value), new)
        self._checker.on_row(partition, key, FRAME.get())
        await self._answer()
        return new

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        await self._reach()
        rows = self._stores.rows.get(partition, {})
        if key in rows and rows[key][1] != version:
            message = "the row has changed"
            raise StoreConflictError(message)
        rows.pop(key, None)
        await self._answer()

    async def rows(self, partition: str) -> dict[str, Versioned]:
        await self._reach()
        rows = self._stores.rows.get(partition, {})
        return {key: Versioned(value=json.loads(text), version=version) for key, (text, version) in rows.items()}


class SimulatedQueue:
    """The work queue, as a worker puts messages on it. It lives where the stores do, and fails as they do."""

    def __init__(self, process: Process, world: World, stores: SharedStores, insert: Callable[[str, timedelta], str]) -> None:
        self._process = process
        self._world = world
        self._stores = stores
        self._insert = insert

    async def put(self, text: str, *, delay: timedelta = timedelta()) -> str:
        await self._process.pause(self._process.chaos.store_latency())
        if self._stores.away_until > self._world.loop.elapsed:
            message = f"the queue is away {CANARY}"
            raise QueueError(message)
        id_ = self._insert(text, delay)
        self._process.check()
        if self._process.chaos.strikes(Fault.STORE_LOST_ANSWERS):
            message = f"the queue's answer was lost {CANARY}"
            raise QueueError(message)
        return id_


class SimulatedTelemetry:
    """What is told while it happens: held to what it may hold, and to what it must."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def record(self, name: str, fields: Mapping[str, Json], *, severity: Literal["debug", "info", "warning", "error"]) -> None:
        self._checker.on_told(name, fields, severity)
        told = TOLD.get()
        if told is None:
            return
        if name == "finding":
            told.append((str(fields["finding"]), str(fields["about"])))
        elif name == "message" and "verdicts" in fields and (frame := FRAME.get()) is not None:
            self._checker.on_looked(frame, told)
            told.clear()

    def measure(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Numbers are not looked at."""


class SimulatedAllowlist:
    """The allowlist's document, as people leave it."""

    def __init__(self, process: Process, world: World, checker: Checker, shelf: Shelf) -> None:
        self._process = process
        self._world = world
        self._checker = checker
        self._shelf = shelf

    async def read(self) -> Document:
        await self._process.pause(self._process.chaos.store_latency())
        document = self._shelf.document
        DOCUMENT.set(ReadDocument(document, self._world.now()))
        self._checker.on_document(document)
        if document is None:
            msg = "memory"
            raise AllowlistError(msg, [Problem(0, 0, "the storage account does not answer")])
        await self._process.pause(self._process.chaos.store_latency())
        return document


class Shelf:
    """Where the allowlist's document lies; None while it cannot be read."""

    def __init__(self, document: Document) -> None:
        self.document: Document | None = document
