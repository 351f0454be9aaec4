"""Workers: processes that die and come back, a queue that tells them at least once, and a timer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId, fold_case
from shared.core.confirm import TakeBackPolicy
from shared.core.errors import LinkguardError
from shared.core.model import Target
from shared.core.verdict import Mode
from shared.services.reconcile import Engine, reconcile
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from shared.services.sweep import settle, sweep
from tests.simulation.chaos import ARM_TIMEOUT, Chaos
from tests.simulation.dispatch import targets_of
from tests.simulation.frame import forget
from tests.simulation.invariants import Checker
from tests.simulation.ports import (
    Crashed,
    Process,
    SharedStores,
    Shelf,
    SimulatedAllowlist,
    SimulatedAzure,
    SimulatedLedger,
    SimulatedState,
    WorkerClock,
)
from tests.simulation.story import Fault, Story
from tests.simulation.world import KEY, KEY_ID, SUBSCRIPTIONS, World

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from shared.services.results import SweepResult, TargetResult

SETTLE: Final = timedelta(seconds=30)
SNAPSHOT_AGE: Final = timedelta(minutes=10)
RECHECK: Final = 15.0
RECHECK_MOST: Final = 600.0
VISIBILITY: Final = 120.0
"""Seconds until a message that nobody deleted is there again."""
POISON: Final = 5
"""Deliveries after which a message is put aside."""
LOOKS: Final = 3
"""Looks that one message asks for; then the sweep has it."""


def settings_of(story: Story) -> EngineSettings:
    """The engine's settings in a story."""
    return EngineSettings(
        mode=Mode.ENFORCE if story.enforce else Mode.OBSERVE,
        subscriptions=tuple(sorted(set(SUBSCRIPTIONS[: 1 + max(0, *(one.subscription for one in story.services))]))),
        settle=SETTLE,
        confirm_deadline=timedelta(seconds=story.deadline),
        take_back=TakeBackPolicy(story.take_back),
        recheck_delay=timedelta(seconds=RECHECK),
        recheck_max=timedelta(seconds=RECHECK_MOST),
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

    def engine(self, process: Process) -> Engine:
        azure = SimulatedAzure(process, self.world, self.checker)
        state = SimulatedState(process, self.world, self.checker, self.stores)
        return Engine(
            azure=azure,
            ledger=SimulatedLedger(process, self.world, self.checker, self.stores),
            state=state,
            allowlist=SimulatedAllowlist(process, self.world, self.shelf),
            clock=WorkerClock(process, self.world),
            settings=self.settings,
            snapshots=Snapshots(azure, state),
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
        self.engine: Engine | None = None
        self._begin()

    def _begin(self) -> None:
        self.process = Process(self.name, self._setting.chaos, skew=self._skew)
        self.process.on_death = self._died
        self.engine = self._setting.engine(self.process)

    def _died(self) -> None:
        self._setting.say(self.name, "DIES")
        self._setting.checker.counts["crashes"] += 1
        self.process = self.engine = None
        self._setting.world.loop.call_later(self._setting.chaos.rng.uniform(1, 90), self._begin)

    def start(self, job: Callable[[Engine], Coroutine[None, None, None]], on_failure: Callable[[], None]) -> None:
        """Run a job; ``on_failure`` is told where it failed or the worker died."""
        if self.engine is None:
            on_failure()
            return
        task = self._setting.world.loop.create_task(self._run(job(self.engine), on_failure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Coroutine[None, None, None], on_failure: Callable[[], None]) -> None:
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
    number: int
    uri: str
    target: Target | None = None
    via: tuple[ArmId, ...] = ()
    """The service whose link the event named: it is read at each look that the event asks for."""
    looks: int = 0
    deliveries: int = 0
    done: bool = False


class Queue:
    """A storage queue: at least once, each message hidden while somebody works on it, put aside after some tries."""

    def __init__(self, setting: Setting, workers: list[Worker]) -> None:
        self._setting = setting
        self._workers = workers
        self._numbers = count(1)
        self.open = True

    def event(self, uri: str) -> None:
        """An event of Event Grid: lost, late, repeated, in any order."""
        chaos = self._setting.chaos
        if chaos.strikes(Fault.LOST_EVENTS, rate=0.4):
            return
        times = 1 + (chaos.rng.randint(1, 3) if chaos.strikes(Fault.REPEATED_EVENTS, rate=0.4) else 0)
        for _ in range(times):
            late = chaos.strikes(Fault.LATE_EVENTS, rate=0.4)
            self._later(_Message(next(self._numbers), uri), chaos.rng.uniform(0.5, 1800 if late else 10))

    def _later(self, message: _Message, seconds: float) -> None:
        self._setting.world.loop.call_later(seconds, lambda: self._deliver(message))

    def _deliver(self, message: _Message) -> None:
        if message.done or not self.open:
            return
        message.deliveries += 1
        if message.deliveries > POISON:
            self._setting.say("queue", f"message {message.number} is poison")
            self._setting.checker.counts["poison"] += 1
            return
        failed: list[bool] = []

        def on_failure() -> None:
            if not failed:
                failed.append(True)
                self._later(message, self._setting.chaos.rng.uniform(5, 60))

        def on_timeout() -> None:
            if not failed and not message.done:
                self._deliver(message)

        self._setting.world.loop.call_later(VISIBILITY, on_timeout)
        worker = self._setting.chaos.rng.choice(self._workers)
        worker.start(lambda engine: self._handle(engine, message), on_failure)

    async def _handle(self, engine: Engine, message: _Message) -> None:
        hinted = await targets_of(engine, message.uri)
        for target, via in [(message.target, message.via)] if message.target else hinted:
            result = await (reconcile(engine, target, via) if via else settle(engine, target))
            self._setting.checker.on_result(result)
            self._again(message, target, via, result)
        message.done = True

    def _again(self, message: _Message, target: Target, via: tuple[ArmId, ...], result: TargetResult) -> None:
        if not result.waiting or message.looks >= LOOKS or message.done:
            return
        pause = min(RECHECK * 2**message.looks, RECHECK_MOST)
        if result.look_at is not None and result.look_at > result.looked_at:
            known = (result.look_at - result.looked_at).total_seconds()
            pause = min(pause, known) if result.unscheduled else known
        self._later(_Message(next(self._numbers), message.uri, target, via, message.looks + 1), pause)


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

    async def _run(self, engine: Engine) -> None:
        tell(self._setting, await sweep(engine))


def tell(setting: Setting, result: SweepResult) -> None:
    """Hand a sweep's results to the checker."""
    for one in result.targets:
        setting.checker.on_result(one)


def in_scope(target: Target, settings: EngineSettings) -> bool:
    return fold_case(target.id.subscription) in map(fold_case, settings.subscriptions)
