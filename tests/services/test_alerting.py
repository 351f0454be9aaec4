"""The outbox: every change at least once and in order, whatever dies, hangs or refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.errors import SinkError, SinkRefusedError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.finding_life import Alert, Change, Look
from shared.core.ledger import SYSTEM_CHAIN, RecordKind
from shared.report.ledger_text import record_item
from shared.services.alerting import REFUSALS, Outside, dead_letters, deliver, retry_dead_letters, try_sinks, waiting_alerts
from shared.services.notebook import fetch, keep
from shared.services.sweep import LAST, SWEEPS, LastSweep
from shared.services.track import FINDINGS, read_rows, track
from tests.engines import Interposed
from tests.fakes import FakeClock, MemoryLedger, MemoryStateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.core.ledger import Record

TARGET = "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/g/providers/Microsoft.Web/sites/s"


class Sink:
    """Takes alerts, or does what ``failing`` says first."""

    def __init__(self, name: str = "sink") -> None:
        self.name = name
        self.taken: list[Alert] = []
        self.failing: list[Exception | None] = []
        self.down: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def send(self, alert: Alert) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        error = self.failing.pop(0) if self.failing else self.down
        if error is not None:
            raise error
        self.taken.append(alert)

    def story(self) -> dict[str, list[str]]:
        """By finding, the changes taken, repetitions left out."""
        told: dict[str, list[str]] = {}
        seen: set[str] = set()
        for alert in self.taken:
            if alert.id not in seen:
                told.setdefault(alert.finding.about, []).append(alert.change.value)
            seen.add(alert.id)
        return told


def finding(about: str, severity: Severity = Severity.WARNING, id_: FindingId = FindingId.WRITE_REFUSED) -> Finding:
    return Finding(id=id_, severity=severity, target=TARGET, about=about, message="something", facts={"who": "a\nstranger"})


class Desk:
    """A clock, the stores, and the sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self.clock = FakeClock()
        self.ledger = MemoryLedger()
        self.state = MemoryStateStore()
        self.sinks = sinks or (Sink(),)
        self.reminder = timedelta(hours=24)
        self.outside = Outside(
            state=self.state,
            ledger=self.ledger,
            clock=self.clock,
            sinks=self.sinks,
            send_seconds=0.05,
            reminder=self.reminder,
        )

    async def see(self, *found: Finding, after: float = 60) -> None:
        self.clock.advance(after)
        look = Look(source="test", at=self.clock.now(), found=found, reminder=self.reminder)
        await track(self.ledger, self.state, look)

    async def deliver(self, after: float = 60) -> None:
        self.clock.advance(after)
        await deliver(self.outside)


async def test_only_changes_are_told_and_in_order() -> None:
    """New, worse, resolved; a repetition is silent."""
    desk = Desk()
    (sink,) = desk.sinks
    for severity in (Severity.WARNING, Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL):
        await desk.see(finding("a", severity))
        await desk.deliver()
    await desk.see()
    await desk.see()
    await desk.deliver()
    assert sink.story() == {"a": ["new", "worse", "resolved"]}
    assert [alert.sequence for alert in sink.taken] == [1, 2, 3]
    await desk.see(finding("a"))
    await desk.deliver()
    assert sink.taken[-1].sequence == 4


async def test_a_chain_is_read_once_however_many_of_its_findings_are_new() -> None:
    """The first sweep of a large estate finds hundreds about rules, and all of them are in one chain."""

    class Counted(MemoryLedger):
        reads = 0

        def records(self, *args: Any, **kwargs: Any) -> AsyncIterator[Record]:  # noqa: ANN401  as the port takes them
            self.reads += 1
            return super().records(*args, **kwargs)

    desk, ledger = Desk(), Counted()
    for severity, changes in ((Severity.WARNING, 50), (Severity.CRITICAL, 100)):
        ledger.reads = 0
        found = tuple(replace(finding(str(number), severity, FindingId.RULE_MATCHES_NOTHING), target="") for number in range(50))
        await track(ledger, desk.state, Look(source="test", at=desk.clock.now(), found=found, reminder=timedelta(hours=24)))
        assert ledger.reads == 1
        assert (await ledger.head(SYSTEM_CHAIN)).sequence == changes


async def test_an_open_critical_finding_is_told_again() -> None:
    """Once a reminder's interval; a warning is not."""
    desk = Desk()
    for _ in range(5):
        await desk.see(finding("a", Severity.CRITICAL), finding("b"), after=13 * 3600)
    await desk.deliver()
    assert desk.sinks[0].story() == {"a": ["new", "reminder", "reminder"], "b": ["new"]}


async def test_a_resolved_finding_is_forgotten_after_a_week_unless_it_is_still_to_be_told() -> None:
    """The store does not grow for ever, and nothing that a sink has not had is lost with the row."""
    desk = Desk()
    (sink,) = desk.sinks
    await desk.see(finding("told"))
    await desk.see()
    await desk.deliver()
    sink.down = SinkError("answered 503")
    await desk.see(finding("untold"))
    await desk.see()

    async def known() -> set[str]:
        return {row.finding.about for row in read_rows(await desk.state.rows(FINDINGS)).values()}

    await desk.see(after=7 * 86_400 - 300)
    assert await known() == {"told", "untold"}
    await desk.see(after=600)
    assert await known() == {"untold"}
    sink.down = None
    await desk.deliver()
    assert sink.story()["untold"] == ["new", "resolved"]


async def test_reminders_can_be_switched_off() -> None:
    """An interval of nothing."""
    desk = Desk()
    desk.reminder = timedelta()
    for _ in range(5):
        await desk.see(finding("a", Severity.CRITICAL), after=100 * 3600)
    await desk.deliver()
    assert desk.sinks[0].story() == {"a": ["new"]}


async def test_a_flood_on_one_target_is_one_alert() -> None:
    """Its members are not told; those that outlast it are, and it is told when it ends."""
    desk = Desk()
    (sink,) = desk.sinks
    many = [finding(f"c{number}", id_=FindingId.CONNECTION_HELD) for number in range(100)]
    await desk.see(*many)
    await desk.see(*many, finding("one more", id_=FindingId.CONNECTION_HELD))
    await desk.deliver()
    assert [(alert.finding.id.value, alert.change.value) for alert in sink.taken] == [("findings_flood", "new")]
    await desk.see(*many, finding("worst", Severity.CRITICAL, FindingId.IMPOSTOR_SUSPECTED))
    await desk.see(many[0])
    await desk.deliver()
    told = [(alert.finding.id.value, alert.change.value) for alert in sink.taken[1:]]
    assert sorted(told) == [("connection_held", "new"), ("findings_flood", "resolved"), ("findings_flood", "worse")]


async def test_a_sink_that_is_down_for_an_hour_delays_and_loses_nothing() -> None:
    """The other sink does not wait."""
    broken, good = Sink("broken"), Sink("good")
    desk = Desk(broken, good)
    broken.down = SinkError("no answer")
    for number in range(12):
        await desk.see(*(finding(f"f{n}") for n in range(number % 4)), after=240)
        await desk.deliver(after=60)
    assert broken.taken == []
    expected = good.story()
    broken.down = None
    for _ in range(4):
        await desk.deliver(after=900)
    assert broken.story() == expected
    assert await waiting_alerts(desk.state) == ()


@pytest.mark.parametrize("error", [SinkError("answered 429", retry_after=300), SinkError("answered 500"), RuntimeError("a bug")])
async def test_a_failure_is_tried_again(error: Exception) -> None:
    """429 not before it asked; nothing from the failure but our own words is kept."""
    desk = Desk()
    desk.sinks[0].failing = [error]
    await desk.see(finding("a"))
    await desk.deliver()
    assert desk.sinks[0].taken == []
    await desk.deliver(after=31)
    assert bool(desk.sinks[0].taken) is not (isinstance(error, SinkError) and bool(error.retry_after))
    await desk.deliver(after=300)
    assert desk.sinks[0].story() == {"a": ["new"]}


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        (None, [30, 60, 120, 240, 480, 900, 900, 900]),
        (100, [100, 100, 120, 240, 480, 900]),
        (0, [30, 60]),
        (7 * 86_400, [3600, 3600]),
    ],
)
async def test_how_long_a_sink_is_left_alone(retry_after: float | None, waits: list[int]) -> None:
    """Twice as long each time, up to 15 minutes; as long as it asks for, up to an hour: it cannot silence us for a week."""
    desk = Desk()
    desk.sinks[0].down = SinkError("answered 429", retry_after=retry_after)
    await desk.see(finding("a"))
    found: list[int] = []
    after: float = 60
    for _ in waits:
        await desk.deliver(after=after)
        (alert,) = await waiting_alerts(desk.state)
        after = (alert.attempt("sink").next_at - desk.clock.now()).total_seconds()
        found.append(round(after))
    assert found == waits


async def test_a_sink_that_hangs_is_left() -> None:
    """And served once it answers."""
    hanging, good = Sink("hanging"), Sink("good")
    desk = Desk(hanging, good)
    hanging.hangs = True
    await desk.see(*(finding(f"f{n}") for n in range(50)))
    await desk.deliver()
    assert len(good.taken) == 50
    hanging.hangs = False
    await desk.deliver(after=1000)
    assert len(hanging.taken) == 50


async def test_a_sink_that_is_down_is_not_asked_for_each_of_many() -> None:
    """Two failures in a row are enough; refusals of an alert's content are none, for the next one may be taken."""
    down, strict = Sink("down"), Sink("strict")
    desk = Desk(down, strict)
    down.down, strict.down = SinkError("answered 503"), SinkRefusedError("answered 400")
    await desk.see(*(finding(f"f{n}") for n in range(50)))
    await desk.deliver()
    assert (down.asked, strict.asked) == (2, 50)


async def test_what_is_refused_goes_to_the_dead_letter_and_can_be_sent_again() -> None:
    """After three refusals; the other sink hears of it as a finding."""
    strict, good = Sink("strict"), Sink("good")
    desk = Desk(strict, good)
    strict.failing = [SinkRefusedError("answered 400")] * 3
    await desk.see(finding("a"))
    for _ in range(3):
        await desk.deliver(after=1000)
    (letter,) = await dead_letters(desk.state)
    assert (letter.sink, letter.alert.finding.about) == ("strict", "a")
    await desk.deliver()
    assert good.taken[-1].finding.id is FindingId.ALERT_UNDELIVERED
    assert await retry_dead_letters(desk.outside) == 1
    await desk.deliver()
    assert "a" in strict.story()
    assert await dead_letters(desk.state) == ()
    assert [alert.finding.about for alert in good.taken].count("a") == 1  # It had it already.


async def test_a_refusal_after_failures_is_the_first_refusal() -> None:
    """A sink that was down and then refuses once has not refused three times."""
    desk = Desk()
    (sink,) = desk.sinks
    sink.failing = [SinkError("answered 503"), SinkError("answered 503"), SinkRefusedError("answered 400")]
    await desk.see(finding("a"))
    for _ in range(4):
        await desk.deliver(after=1000)
    assert await dead_letters(desk.state) == ()
    assert sink.story() == {"a": ["new"]}


async def test_what_is_sent_again_from_the_dead_letter_has_its_whole_time_again() -> None:
    """However old the alert is: one more failure is not the end."""
    desk = Desk()
    (sink,) = desk.sinks
    sink.down = SinkError("answered 503")
    await desk.see(finding("a"))
    for _ in range(30):
        await desk.deliver(after=3600)
    assert await retry_dead_letters(desk.outside) >= 1
    await desk.deliver()
    assert await dead_letters(desk.state) == ()
    sink.down = None
    await desk.deliver(after=3600)
    assert "a" in sink.story()


async def test_a_person_need_not_wait_for_the_next_try() -> None:
    """What failed a moment ago is sent at once, and tried once: a sink that is still down is not hammered."""
    desk = Desk()
    (sink,) = desk.sinks
    sink.failing = [SinkError("answered 429", retry_after=3000), SinkError("answered 429", retry_after=3000)]
    await desk.see(finding("a"))
    await desk.deliver()
    await desk.deliver(after=1)
    assert len(sink.failing) == 1
    assert (await deliver(desk.outside, at_once=True)).failed == 1
    assert (await deliver(desk.outside, at_once=True)).sent == 1
    assert sink.story() == {"a": ["new"]}


async def test_no_sweep_for_an_hour_is_told() -> None:
    """Nobody is watching; it ends with the next sweep."""
    desk = Desk()
    (sink,) = desk.sinks
    for before in range(2):
        now = desk.clock.now()
        kept = await fetch(desk.state, SWEEPS, LAST, LastSweep, LastSweep(started=None, finished=None, complete=False, targets=0))
        await keep(desk.state, SWEEPS, LAST, kept, LastSweep(started=now, finished=now, complete=True, targets=1))
        await desk.deliver(after=3590)
        await desk.deliver(after=0)
        assert [one.finding.id for one in sink.taken if one.change is Change.NEW] == [FindingId.SWEEP_OVERDUE] * before
        await desk.deliver(after=20)
        await desk.deliver(after=1)
    assert sink.story() == {"": ["new", "resolved", "new"]}
    assert {one.finding.severity for one in sink.taken} == {Severity.CRITICAL}


async def test_a_delivery_is_recorded_once() -> None:
    """An alert's record follows its last delivery."""
    desk = Desk(Sink("one"), Sink("two"))
    await desk.see(finding("a"))
    await desk.deliver()
    records = [
        record for chain in await desk.ledger.chains() async for record in desk.ledger.records(chain, kinds=(RecordKind.ALERT,))
    ]
    assert [record.entry.body["sinks"] for record in records] == [{"one": "delivered", "two": "delivered"}]
    assert [record_item(record).summary for record in records] == ["new warning write_refused: one delivered, two delivered"]


async def test_a_test_reaches_every_sink_and_leaves_nothing() -> None:
    """What failed is said by the sink's name."""
    good, bad = Sink("good"), Sink("bad")
    bad.down = SinkError("example.org answered 404")
    desk = Desk(good, bad)
    assert await try_sinks(desk.outside) == {"good": "", "bad": "example.org answered 404"}
    assert [alert.change for alert in good.taken] == [Change.TEST]
    assert await waiting_alerts(desk.state) == ()


LOOKS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(Severity)),  # What the look finds.
        st.sampled_from(["nothing", "deliver", "fail", "refuse", "hang"]),  # What happens then.
    ),
    max_size=12,
)


@given(LOOKS)
@settings(max_examples=40, deadline=None)
async def test_whatever_is_found_and_whatever_fails_the_story_is_told(
    looks: list[tuple[dict[str, Severity], str]],
) -> None:
    """Each finding's changes, all of them, once each and in order: as they follow from the looks alone."""
    desk = Desk()
    (sink,) = desk.sinks
    expected: dict[str, list[str]] = {}
    before: dict[str, Severity] = {}
    refused = 0
    for found, then in looks:
        for about in found.keys() | before.keys():
            told = expected.setdefault(about, [])
            if about not in before:
                told.append("new")
            elif about not in found:
                told.append("resolved")
            elif (before[about], found[about]) == (Severity.WARNING, Severity.CRITICAL):
                told.append("worse")
        before = found
        await desk.see(*(finding(about, severity) for about, severity in found.items()))
        refused += then == "refuse"
        if then == "fail" or refused >= REFUSALS:
            sink.failing = [SinkError("no"), None]
        elif then == "refuse":
            sink.failing = [SinkRefusedError("no"), None]
        sink.hangs = then == "hang"
        if then != "nothing":
            await desk.deliver(after=5)
        sink.hangs, sink.failing = False, []
    await desk.deliver(after=2000)
    assert sink.story() == expected
    for about in expected:
        sequences = [alert.sequence for alert in sink.taken if alert.finding.about == about]
        assert sequences == list(range(1, len(sequences) + 1))
    assert await waiting_alerts(desk.state) == ()


class Dead(BaseException):
    """The process is gone."""


class Once:
    """Kills the process at its ``step``th turn, once."""

    def __init__(self, step: int) -> None:
        self._left = step
        self.killed = False

    async def turn(self, _call: str, _when: str) -> None:
        """Before and after every call of a store and of a sink."""
        self._left -= 1
        if self._left < 0 and not self.killed:
            self.killed = True
            raise Dead

    def within(self, desk: Desk) -> Outside:
        """The desk's stores and its sink, each call of which is a turn."""
        return replace(
            desk.outside,
            state=Interposed(desk.state, "state", self.turn),
            ledger=Interposed(desk.ledger, "ledger", self.turn),
            sinks=tuple(Interposed(sink, "sink", self.turn) for sink in desk.sinks),
        )


async def test_killed_between_any_two_steps_every_change_is_delivered_in_order() -> None:
    """Before and after every call of a store and of a sink, looks and deliveries alike, one after another."""
    step = 0
    while await _killed_at(step):
        step += 1
    assert step > 40


async def _killed_at(step: int) -> bool:
    """Play the story, killed once at its ``step``th turn; returns whether it went so far."""
    desk = Desk()
    (sink,) = desk.sinks
    once = Once(step)
    outside = once.within(desk)
    drift = FindingId.RULE_EXPIRED
    looks = [(finding("a"), finding("b", id_=drift)), (finding("a", Severity.CRITICAL),), (), (finding("b", id_=drift),)]
    for found in looks:
        for _ in range(2):
            desk.clock.advance(300)
            look = Look(source="test", at=desk.clock.now(), found=found)
            try:
                await track(outside.ledger, outside.state, look)
                await deliver(outside)
            except (Dead, BaseExceptionGroup):
                continue
    for _ in range(3):
        desk.clock.advance(1000)
        await deliver(desk.outside)
    assert sink.story() == {"a": ["new", "worse", "resolved"], "b": ["new", "resolved", "new"]}, step
    for about in ("a", "b"):
        sequences = [alert.sequence for alert in sink.taken if alert.finding.about == about]
        assert sequences == sorted(sequences)
    return once.killed


async def test_killed_between_any_two_steps_a_dead_letter_is_lost_neither() -> None:
    """Refused until it is given up, then sent again by a person: at each moment it waits, is a dead letter, or was taken."""
    step = 0
    while await _buried_and_killed_at(step):
        step += 1
    assert step > 60


async def _buried_and_killed_at(step: int) -> bool:
    desk = Desk()
    (sink,) = desk.sinks
    once = Once(step)
    outside = once.within(desk)
    await desk.see(finding("a"))

    async def kept() -> bool:
        waiting = [alert.finding.about for alert in await waiting_alerts(desk.state)]
        dead = [letter.alert.finding.about for letter in await dead_letters(desk.state)]
        return "a" in [*waiting, *dead, *sink.story()]

    sink.down = SinkRefusedError("answered 400")
    for number in range(7):
        if number == 4:
            sink.down = None
        desk.clock.advance(1000)
        try:
            if number >= 4:
                await retry_dead_letters(outside)
            await deliver(outside)
        except (Dead, BaseExceptionGroup):
            pass
        assert await kept(), step
    assert sink.story()["a"] == ["new"]
    assert await dead_letters(desk.state) == ()
    return once.killed
