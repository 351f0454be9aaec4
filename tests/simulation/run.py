"""One story, from its first second until long after its people and faults have stopped."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.finding import FindingId
from shared.services.sweep import sweep
from tests.simulation.chaos import STORE_OUTAGE, Chaos
from tests.simulation.invariants import Checker, ViolationError
from tests.simulation.oracle import Oracle
from tests.simulation.people import People
from tests.simulation.ports import Process, SharedStores, Shelf
from tests.simulation.revoking import Revoking
from tests.simulation.rules import Editor, Rules
from tests.simulation.story import Fault, Story
from tests.simulation.timeline import Timeline
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.virtual_loop import run as run_loop
from tests.simulation.workers import SETTLE, SNAPSHOT_AGE, Queue, Setting, Timer, Worker, settings_of, tell, with_sweep
from tests.simulation.world import World

if TYPE_CHECKING:
    from shared.services.results import SweepResult

APART: Final = 60.0
CALM_SWEEP: Final = 1200.0
QUIET: Final = 4300.0
"""Seconds without a new record after which nothing more will come: an hour is the longest that anything waits for."""
LONGEST_CALM: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    story: Story
    violations: tuple[ViolationError, ...]
    digest: str
    """Of all that happened: the same for the same story."""
    counts: Counter[str]
    timeline: Timeline
    hours: float
    """Virtual."""
    happened: Counter[str]
    """What went wrong, and what people did (:mod:`tests.simulation.happened`)."""
    awaits: frozenset[str]
    """The awaits of the services that workers came to, as file and line."""
    died_at: frozenset[str]
    """Those at which one died."""


def run(story: Story, *, die_at: str = "") -> Outcome:
    """Run a story; the first broken invariant ends it. ``die_at``: where a worker dies for certain, as file and line."""
    loop = VirtualLoop()
    timeline = Timeline()
    world = World(story, loop, random.Random(f"{story.seed} world"), timeline)
    editor = Editor(world)
    rules = Rules(story.rules)
    stores = SharedStores()
    skew = max((abs(one) for one in story.skews), default=0.0)
    oracle = Oracle(world, SETTLE, SNAPSHOT_AGE + SETTLE * 2 + (SETTLE / SETTLE.total_seconds()) * skew)
    revoking = Revoking(story, world, oracle, editor)
    checker = Checker(story=story, world=world, stores=stores, editor=editor, oracle=oracle, revoking=revoking)
    setting = Setting(
        story=story,
        world=world,
        stores=stores,
        shelf=Shelf(editor.write(rules)),
        checker=checker,
        chaos=Chaos(story, random.Random(f"{story.seed} chaos"), die_at),
        settings=settings_of(story),
    )
    # A dead worker's tasks end with Crashed, which nobody retrieves.
    loop.set_exception_handler(lambda *_: None)
    run_loop(loop, _tell(setting, editor, rules))
    checker.counts["crashes"] = world.happened.counts["a worker dies"] = setting.chaos.crashes_done
    return Outcome(
        story=story,
        violations=tuple(checker.violations),
        digest=timeline.digest(),
        counts=checker.counts,
        timeline=timeline,
        hours=loop.elapsed / 3600,
        happened=world.happened.counts,
        awaits=frozenset(setting.chaos.awaits),
        died_at=frozenset(setting.chaos.died_at),
    )


async def _tell(setting: Setting, editor: Editor, rules: Rules) -> None:
    story, chaos, checker = setting.story, setting.chaos, setting.checker
    workers = [Worker(f"worker {number}", setting, skew=skew) for number, skew in enumerate(story.skews)]
    _note_workers(story, setting.world)
    queue = Queue(setting, workers)
    timer = Timer(setting, workers)
    people = People(setting, editor, rules, queue, workers)
    _plan_outages(setting)
    await _until(setting, story.duration)
    chaos.active = False
    setting.stores.away_until = 0.0
    setting.say("people", "stop, and so do the faults")
    queue.open = timer.open = False
    await _until(setting, story.duration + 400)
    last = await _calm(setting)
    if last is not None and not checker.violations:
        checker.at_end(last, people.rules)


def _note_workers(story: Story, world: World) -> None:
    if len(story.skews) > 1:
        world.happened.note("several workers at once")
    if max(story.skews) - min(story.skews) > APART:
        world.happened.note("clocks more than a minute apart")


async def _until(setting: Setting, moment: float) -> None:
    """Wait, unless an invariant breaks."""
    while not setting.checker.violations and setting.world.loop.elapsed < moment:  # noqa: ASYNC110  time itself is awaited
        await asyncio.sleep(min(60.0, moment - setting.world.loop.elapsed))


async def _calm(setting: Setting) -> SweepResult | None:
    """Sweep on until nothing changes any more. A person may edit the allowlist or deploy another mode this late."""
    enforce = setting.world.enforce
    engine = setting.engine(Process("calm", setting.chaos, enforce=enforce, may_die=False))
    elapsed = setting.world.loop.elapsed
    end, quiet_since, before, result = elapsed + LONGEST_CALM, elapsed, None, None
    while not setting.checker.violations and setting.world.loop.elapsed < end:
        if enforce is not setting.world.enforce:
            enforce = setting.world.enforce
            engine = setting.engine(Process("calm", setting.chaos, enforce=enforce, may_die=False))
        try:
            with_sweep(setting.world)
            result = await sweep(engine)
        except Exception as error:  # noqa: BLE001  what the engine raises without announcing it is a bug
            setting.checker.broken(6, f"a sweep in calm raises {type(error).__name__}: {error}")
            return None
        tell(setting, result)
        now, records = setting.world.loop.elapsed, sum(map(len, setting.stores.texts.values()))
        found = records, setting.shelf.document, setting.world.enforce
        if found != before or enforce is not setting.world.enforce:
            quiet_since, before = now, found
        elif now - quiet_since >= (QUIET if result.waiting or _held(result) else 0.0):
            break
        await asyncio.sleep(CALM_SWEEP)
    return result


def _held(result: SweepResult) -> bool:
    due = any(finding.id is FindingId.REVOKE_DUE for finding in result.findings)
    return due or any(decision.verdict != "settled" for decision in result.decisions)


def _plan_outages(setting: Setting) -> None:
    story, rng, loop = setting.story, setting.chaos.rng, setting.world.loop
    if Fault.STORE_OUTAGES in story.faults:
        for _ in range(rng.randint(1, 3)):
            loop.call_later(rng.uniform(0, story.duration), _begin_outage, setting, rng.uniform(*STORE_OUTAGE))
    if Fault.STATE_LOSS in story.faults:
        for _ in range(rng.randint(1, 2)):
            loop.call_later(rng.uniform(0, story.duration), _lose_state, setting)


def _begin_outage(setting: Setting, seconds: float) -> None:
    setting.say("store", f"is away for {seconds:.0f} s")
    setting.world.happened.note("the stores away")
    setting.stores.away_until = setting.world.loop.elapsed + seconds


def _lose_state(setting: Setting) -> None:
    setting.say("store", "loses what was remembered")
    setting.world.happened.note("what was remembered lost")
    for partition in ("targets", "snapshot", "revoking"):
        setting.stores.rows.pop(partition, None)
    setting.checker.on_state_lost()
