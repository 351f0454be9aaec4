"""What the services need from the outside. Adapters offer it; tests offer it from memory."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from shared.core.address import DEFAULT_RANGES, PrivateRanges
from shared.core.ledger import Json
from shared.core.model import Target
from shared.core.upstream_path import FUNCTIONS_WEBHOOK, UpstreamPaths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from shared.core.arm_id import ArmId
    from shared.core.finding_life import Alert
    from shared.core.ledger import Head, Record, RecordKind
    from shared.core.model import Connection, ListedSite, SignalR, Site
    from shared.core.traffic import TrafficReading


class Clock(Protocol):
    """Time, so that tests and the simulation can own it."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return no earlier than ``seconds`` from now."""
        ...


@dataclass(frozen=True, slots=True)
class Reading[T]:
    """What a read found and when, by Azure's clock (a worker's own clock may be wrong).

    What is in ``value`` was so at some moment from ``started`` to ``finished``.
    """

    value: T
    started: datetime
    finished: datetime


@dataclass(slots=True)
class CallCount:
    """ARM requests sent, repeats after a failure included."""

    reads: int = 0
    writes: int = 0
    throttled: int = 0
    """Answers with status 429."""
    by_operation: dict[str, int] = field(default_factory=dict)
    """Requests by ``<METHOD> <resource type>``."""

    def sent(self, operation: str, *, is_read: bool) -> None:
        """Count a request, here and wherever :func:`counting_calls` counts."""
        for count in (self, *_COUNTING.get()):
            count.reads += is_read
            count.writes += not is_read
            count.by_operation[operation] = count.by_operation.get(operation, 0) + 1

    def refused_for_now(self) -> None:
        """Count an answer with status 429, likewise."""
        for count in (self, *_COUNTING.get()):
            count.throttled += 1


_COUNTING: ContextVar[tuple[CallCount, ...]] = ContextVar("linkguard_counting", default=())


@contextmanager
def counting_calls() -> Iterator[CallCount]:
    """What is sent meanwhile by this task and the tasks that it begins; not what others send at the same time."""
    made = CallCount()
    token = _COUNTING.set((*_COUNTING.get(), made))
    try:
        yield made
    finally:
        _COUNTING.reset(token)


class Azure(Protocol):
    """ARM. Every method raises :class:`shared.core.errors.AzureError` and nothing else; every call has a timeout."""

    @property
    def calls(self) -> CallCount:
        """What was sent so far."""
        ...

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        """Every SignalR service of a subscription with its links, all pages."""
        ...

    async def get_signalr(self, service: ArmId) -> Reading[SignalR | None]:
        """One service with its links, None where it does not exist."""
        ...

    async def get_site(self, target: Target) -> Reading[Site | None]:
        """A target's exposure and tier, None where it does not exist."""
        ...

    async def list_sites(self, subscription: str) -> Reading[tuple[ListedSite, ...]]:
        """Every site of a subscription, all pages; its slots are not among them."""
        ...

    async def list_connections(self, target: Target) -> Reading[tuple[Connection, ...] | None]:
        """A target's connections by the list call (never inline data), all pages; None where the target does not exist."""
        ...

    async def set_connection(self, connection: ArmId, status: Literal["Approved", "Rejected"], description: str) -> None:
        """PUT a decision, once, never repeated. An :class:`AzureUnavailableError` means: not known whether it was done."""
        ...

    async def delete_connection(self, connection: ArmId) -> None:
        """DELETE a connection, once; no error where it is gone already."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it came from."""

    source: str
    text: str


class AllowlistSource(Protocol):
    """Where the allowlist is."""

    async def read(self) -> Document:
        """The text as it is now.

        Raises:
            AllowlistError: where it cannot be read.

        """
        ...


class Ledger(Protocol):
    """The append-only record of what was decided and done. Raises :class:`shared.core.errors.StoreError`."""

    async def head(self, chain: str) -> Head:
        """Where the chain ends; ``EMPTY`` for one that does not exist."""
        ...

    async def append(self, record: Record) -> None:
        """Insert the record and move the head, in one transaction.

        Raises:
            StoreConflictError: where the chain's head is not the record's predecessor, or the id is there already.

        """
        ...

    def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        """A chain's records in order, of the ``kinds`` named or all; without inputs where they are not asked for."""
        ...

    async def chains(self) -> tuple[str, ...]:
        """The name of every chain, sorted."""
        ...


@dataclass(frozen=True, slots=True)
class Versioned:
    """A state row and the version to hand back when it is replaced."""

    value: Json
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficQuestion:
    """Which requests an audit is about."""

    since: datetime | None = None
    """The first moment of the window, None for no beginning."""
    until: datetime | None = None
    """The first moment after the window, None for no end."""
    targets: tuple[Target, ...] = ()
    """The sites and slots asked about; empty for every one that the log names."""
    paths: UpstreamPaths = field(default_factory=lambda: UpstreamPaths((FUNCTIONS_WEBHOOK,)))
    """Where upstream calls go."""
    ranges: PrivateRanges = DEFAULT_RANGES
    """What counts as private."""

    def paths_of(self, target: str | None) -> UpstreamPaths:
        """Where upstream calls to a target go."""
        del target
        return self.paths


class TrafficSource(Protocol):
    """A log of requests."""

    async def read(self, question: TrafficQuestion) -> TrafficReading:
        """Everything that the log says; what stood in the way is in its ``problems``, never an exception.

        Raises:
            LinkguardError: where nothing at all can be asked, such as without a token.

        """
        ...


class StateStore(Protocol):
    """What may be lost without harm. Raises :class:`shared.core.errors.StoreError`."""

    async def get(self, partition: str, key: str) -> Versioned | None:
        """A row, None where there is none."""
        ...

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        """Write a row and return its new version. ``replaces``: the version that it replaces, None for a new row.

        Raises:
            StoreConflictError: where the row is not (or no longer) that version.

        """
        ...

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        """Remove a row; no error where it is gone.

        Raises:
            StoreConflictError: where the row is not that version.

        """
        ...

    async def rows(self, partition: str) -> dict[str, Versioned]:
        """Every row of a partition by its key."""
        ...


class WorkQueue(Protocol):
    """The queue that carries the work. Raises :class:`shared.core.errors.QueueError`."""

    async def put(self, text: str, *, delay: timedelta = timedelta()) -> str:
        """Add a message that nobody sees before ``delay`` is over; returns the id that the queue gave it.

        A failure does not mean that the message is not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLetterBlob:
    """A blob of events that could not be delivered."""

    content: bytes | None
    """None where it is longer than was asked for."""
    version: str
    """To hand back when it is removed."""


class DeadLetterStore(Protocol):
    """Where Event Grid puts what it cannot deliver. Raises :class:`shared.core.errors.StoreError`."""

    def names(self, *, at_most: int) -> AsyncIterator[str]:
        """The first blobs' names, in order."""
        ...

    async def read(self, name: str, *, at_most: int) -> DeadLetterBlob | None:
        """What a blob holds, without content where that is more than ``at_most`` bytes; None where it is gone."""
        ...

    async def remove(self, name: str, *, version: str) -> None:
        """Delete a blob; no error where it is gone.

        Raises:
            StoreConflictError: where the blob is not that version.

        """
        ...


class Telemetry(Protocol):
    """What is told while it happens, for dashboards and alerts. It is not the record: the ledger is. Never raises."""

    def record(self, name: str, fields: Mapping[str, Json], *, severity: Literal["debug", "info", "warning", "error"]) -> None:
        """Tell one thing that happened: the fields of docs/telemetry.md."""
        ...

    def measure(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Tell a metric's value."""
        ...


class AlertSink(Protocol):
    """Somebody who is told of changes."""

    @property
    def name(self) -> str:
        """The same from run to run; no secret: at most the host of its address, and a digest."""
        ...

    async def send(self, alert: Alert) -> None:
        """Deliver one alert, once. Returns when the sink has taken it.

        Raises:
            SinkError: where it was not taken, or nobody knows whether it was.

        """
        ...
