"""Workers: processes that die and come back, a queue that tells them at least once, and a timer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from shared.core.confirm import TakeBackPolicy
from shared.core.errors import LinkguardError, MessageError
from shared.core.event import RawEvent, Verb
from shared.core.message import PartMessage, decode
from shared.core.verdict import Mode
from shared.services import rounds
from shared.services.budget import Budgets
from shared.services.dispatch import Arrival, take_event, take_message
from shared.services.engine import Engine
from shared.services.poison import take_poison
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from shared.services.telemetry import ToldLedger
from shared.services.work import Work
from tests.simulation.chaos import ARM_TIMEOUT, Chaos
from tests.simulation.frame import SWEEP, Sweep, forget
from tests.simulation.invariants import Checker
from tests.simulation.ports import (
    CANARY,
    Crashed,
    Process,
    SharedStores,
    Shelf,
    SimulatedAllowlist,
    SimulatedAzure,
    SimulatedLedger,
    SimulatedQueue,
    SimulatedState,
    SimulatedTelemetry,
    WorkerClock,
)
from tests.simulation.story import Fault, Story
from tests.simulation.world import KEY, KEY_ID, World, scanned_subscriptions

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from shared.services.results import SweepResult

SETTLE: Final = timedelta(seconds=30)
SNAPSHOT_AGE: Final = timedelta(minutes=10)
RECHECK: Final = timedelta(seconds=15)
RECHECK_MOST: Final = timedelta(minutes=10)
VISIBILITY: Final = 120.0
"""Seconds until a message that nobody deleted is there again."""
MINUTES: Final = 120.0
POISON: Final = 5
"""Deliveries after which a message is put aside."""
SWEEP_RUN: Final = timedelta(seconds=20)
"""So short that what is left of a sweep goes on in messages now and then."""


def settings_of(story: Story) -> EngineSettings:
    """The engine's settings in a story."""
    return EngineSettings(
        mode=Mode.ENFORCE if story.enforce else Mode.OBSERVE,
        subscriptions=scanned_subscriptions(story),
        settle=SETTLE,
        confirm_deadline=timedelta(seconds=story.deadline),
        take_back=TakeBackPolicy(story.take_back),
        recheck_delay=RECHECK,
        recheck_max=RECHECK_MOST,
        approvals_per_target_per_hour=story.per_target,
        approvals_per_hour=story.per_hour,
        snapshot_max_age=SNAPSHOT_AGE,
        arm_timeout=timedelta(seconds=ARM_TIMEOUT),
        concurrency=4,
        keys={KEY_ID: KEY.public_key()},
    )


@dataclass(slots=True, kw_only=True)
class Setting:
    """What every process of a run is built over."""

    story: Story
    world: World
    stores: SharedStores
    shelf: Shelf
    checker: Checker
    chaos: Chaos
    settings: EngineSettings
    insert: Callable[[str, timedelta], str] = lambda _text, _delay: ""
    """Puts a message on the queue."""

    def work(self, process: Process) -> Work:
        """What a worker's triggers are handed."""
        telemetry = SimulatedTelemetry(self.checker)
        engine = self.engine(process)
        return Work(
            engine=replace(engine, ledger=ToldLedger(engine.ledger, telemetry, engine.clock)),
            queue=SimulatedQueue(process, self.world, self.stores, lambda text, delay: self.insert(text, delay)),  # noqa: PLW0108  it is set later
            telemetry=telemetry,
            sweep_run=SWEEP_RUN,
            sweep_max_age=timedelta(minutes=30),
        )

    def engine(self, process: Process) -> Engine:
        azure = SimulatedAzure(process, self.world, self.checker)
        state = SimulatedState(process, self.world, self.checker, self.stores)
        return Engine(
            azure=azure,
            ledger=SimulatedLedger(process, self.world, self.checker, self.stores),
            state=state,
            allowlist=SimulatedAllowlist(process, self.world, self.checker, self.shelf),
            clock=WorkerClock(process, self.world),
            settings=replace(self.settings, mode=Mode.ENFORCE if process.enforce else Mode.OBSERVE),
            snapshots=Snapshots(azure, state),
            budgets=Budgets(state),
        )

    def say(self, who: str, what: str) -> None:
        self.world.timeline.add(self.world.loop.elapsed, who, what)


class Worker:
    """One instance of the app: begun anew, with nothing in memory, whenever it dies."""

    def __init__(self, name: str, setting: Setting, *, skew: float) -> None:
        self.name = name
        self._setting = setting
        self._skew = skew
        self._tasks: set[asyncio.Task[None]] = set()
        self.process: Process | None = None
        self.work: Work | None = None
        self._begin()

    def _begin(self) -> None:
        self.process = Process(self.name, self._setting.chaos, enforce=self._setting.world.enforce, skew=self._skew)
        self.process.on_death = self._died
        self.work = self._setting.work(self.process)

    def _died(self) -> None:
        self._setting.say(self.name, "DIES")
        self._setting.checker.counts["deaths"] += 1
        self.process = self.work = None
        self._setting.world.loop.call_later(self._setting.chaos.rng.uniform(1, 90), self._begin)

    def start(self, job: Callable[[Work], Coroutine[None, None, object]], on_failure: Callable[[], None]) -> None:
        """Run a job; ``on_failure`` is told where it failed or the worker died."""
        if self.work is None:
            on_failure()
            return
        task = self._setting.world.loop.create_task(self._run(job(self.work), on_failure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Coroutine[None, None, object], on_failure: Callable[[], None]) -> None:
        forget()
        try:
            await job
        except Crashed:
            on_failure()
        except LinkguardError as error:
            self._setting.say(self.name, f"fails: {type(error).__name__}")
            on_failure()
        except Exception as error:  # noqa: BLE001  what the engine raises without announcing it is a bug
            self._setting.checker.broken(5, f"the engine raises {type(error).__name__}: {error}")


@dataclass(slots=True)
class _Message:
    id: str
    text: str
    inserted: datetime
    """In whole seconds, as a queue has it."""
    deliveries: int = 0
    worked_off: bool = False
    """Whether its work was done once, though it is not gone."""
    done: bool = False


class Queue:
    """Event Grid, and a storage queue: at least once, each message hidden while somebody works on it, put aside after tries."""

    def __init__(self, setting: Setting, workers: list[Worker]) -> None:
        self._setting = setting
        self._workers = workers
        self._numbers = count(1)
        self._newest = 0
        self._sweeps: dict[str, Sweep] = {}
        """Those that go on in messages, by their ids."""
        self.open = True
        setting.insert = self.insert

    # Event Grid

    def event(self, verb: Verb, uri: str) -> None:
        """An event: lost, late, repeated, in any order."""
        chaos, happened = self._setting.chaos, self._setting.world.happened
        if chaos.strikes(Fault.LOST_EVENTS, rate=0.4):
            happened.note("an event lost")
            return
        number = next(self._numbers)
        raw = RawEvent(
            id=f"event-{number}",
            type=verb.value,
            subject=uri,
            time=self._setting.world.now(),
            data={"resourceUri": uri, "claims": {"name": CANARY}, "authorization": {"evidence": CANARY}},
        )
        times = 1 + (chaos.rng.randint(1, 3) if chaos.strikes(Fault.REPEATED_EVENTS, rate=0.4) else 0)
        if times > 1:
            happened.note("an event repeated")
        for _ in range(times):
            late = chaos.strikes(Fault.LATE_EVENTS, rate=0.4)
            seconds = chaos.rng.uniform(0.5, 1800 if late else 10)
            if seconds > MINUTES:
                happened.note("an event late by minutes")
            self._hand_over(raw, seconds, number)

    def _hand_over(self, raw: RawEvent, seconds: float, number: int) -> None:
        def deliver() -> None:
            if not self.open:
                return
            if number < self._newest:
                self._setting.world.happened.note("an event overtaken by a later one")
            self._newest = max(self._newest, number)
            self._any().start(lambda work: take_event(work, raw), lambda: self._hand_over(raw, 30.0, number))

        self._setting.world.loop.call_later(seconds, deliver)

    # The queue

    def insert(self, text: str, delay: timedelta) -> str:
        """Put a message on the queue."""
        message = _Message(f"message-{next(self._numbers)}", text, self._setting.world.now().replace(microsecond=0))
        if (part := _part_of(text)) is not None:
            self._setting.world.happened.note("a sweep that goes on in messages")
            sweep = SWEEP.get() or Sweep(started=self._setting.world.now())
            self._sweeps.setdefault(part.sweep, sweep)
        self._later(message, delay.total_seconds() + self._setting.chaos.rng.uniform(0.05, 1.0))
        return message.id

    def _later(self, message: _Message, seconds: float) -> None:
        self._setting.world.loop.call_later(seconds, lambda: self._deliver(message))

    def _any(self) -> Worker:
        return self._setting.chaos.rng.choice(self._workers)

    def _deliver(self, message: _Message) -> None:
        if message.done or not self.open:
            return
        message.deliveries += 1
        happened = self._setting.world.happened
        if message.deliveries > POISON:
            self._setting.say("queue", f"{message.id} is poison")
            self._setting.checker.counts["poison"] += 1
            happened.note("a message put aside as poison")
            self._any().start(lambda work: take_poison(work, message.id, message.text), lambda: self._later(message, 10.0))
            return
        failed: list[bool] = []

        def on_failure() -> None:
            if not failed:
                failed.append(True)
                happened.note("a message again after a failure")
                self._later(message, self._setting.chaos.rng.uniform(5, 60))

        def on_timeout() -> None:
            if not failed and not message.done:
                if not message.worked_off:
                    happened.note("a message again, its visibility timeout over")
                self._deliver(message)

        self._setting.world.loop.call_later(VISIBILITY, on_timeout)
        self._any().start(lambda work: self._take(work, message), on_failure)

    async def _take(self, work: Work, message: _Message) -> None:
        if (part := _part_of(message.text)) is not None:
            SWEEP.set(self._sweeps.get(part.sweep))
        arrival = Arrival(id=message.id, text=message.text, inserted=message.inserted, tries=message.deliveries)
        await take_message(work, arrival)
        if self._setting.chaos.strikes(Fault.REPEATED_MESSAGES, rate=0.3):
            # The host could not delete it: it comes again when it is visible again.
            self._setting.world.happened.note("a message again, though its work was done")
            message.worked_off = True
            return
        message.done = True


def _part_of(text: str) -> PartMessage | None:
    try:
        message = decode(text)
    except MessageError:
        return None
    return message if isinstance(message, PartMessage) else None


class Timer:
    """The sweep's timer; now and then two sweeps run at once."""

    def __init__(self, setting: Setting, workers: list[Worker]) -> None:
        self._setting = setting
        self._workers = workers
        self.open = True
        self._tick(setting.chaos.rng.uniform(5, setting.story.sweep_every))

    def _tick(self, seconds: float) -> None:
        self._setting.world.loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        if not self.open:
            return
        chaos = self._setting.chaos
        for _ in range(1 + (chaos.rng.random() < 0.15)):
            chaos.rng.choice(self._workers).start(self._run, lambda: None)
        self._tick(self._setting.story.sweep_every)

    async def _run(self, work: Work) -> None:
        with_sweep(self._setting.world)
        result = await rounds.run(work)
        if result is not None:
            tell(self._setting, result)


def with_sweep(world: World) -> None:
    """What is looked at from here on is looked at by a new sweep."""
    SWEEP.set(Sweep(started=world.now()))


def tell(setting: Setting, result: SweepResult) -> None:
    """Hand a sweep's results to the checker."""
    setting.checker.on_sweep(result)
