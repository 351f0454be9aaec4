"""The audit that nobody starts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from shared.bootstrap.application import open_application
from shared.bootstrap.audits import audit_traffic
from shared.core.address import DEFAULT_RANGES
from shared.core.arm_id import ArmId
from shared.core.errors import StoreConflictError
from shared.core.ledger import RecordKind
from shared.core.traffic import Kind, ReasonCode, Tally, TrafficReading, reason, resolve
from shared.local_azure import LocalAzure
from shared.ports import TrafficQuestion
from shared.report.ledger_text import record_item
from shared.services import audit_timer
from shared.services.audit_timer import FIRST_WINDOW, OVERLAP, SETTLED, run_audit
from shared.services.track import FINDINGS, read_rows
from tests.desk import Desk
from tests.engines import Crash, CrashAt, Estate
from tests.kql.engine import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.core.ledger import Record
    from shared.services.engine import Engine
    from tests.engines import When

WORKSPACE = "00000000-0000-0000-0000-00000000000a"


@dataclass
class Log:
    """Requests with their times, read by window, as a real log is."""

    target: str
    rows: list[tuple[datetime, str]] = field(default_factory=list)
    problem: bool = False
    asked: list[TrafficQuestion] = field(default_factory=list)

    async def read(self, question: TrafficQuestion) -> TrafficReading:
        self.asked.append(question)
        assert question.since is not None
        assert question.until is not None
        tally = Tally()
        for at, client in self.rows:
            if question.since <= at < question.until:
                tally.table(self.target, "t").add(Kind.UPSTREAM, resolve(None, client), 1, at, at)
        problems = (reason(ReasonCode.SOURCE_UNREADABLE, "throttled"),) if self.problem else ()
        return TrafficReading(tables=tally.end(), problems=problems, remote=True)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with LocalAzure().in_thread() as azure:
        yield Desk(azure, tmp_path)


class Moving:
    """A clock that is moved by hand."""

    def __init__(self, engine: Engine) -> None:
        self.at = engine.clock.now()

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


async def verdicts(engine: Engine, desk: Desk) -> list[Record]:
    return [record async for record in engine.ledger.records(ArmId.parse(desk.target).key, kinds=[RecordKind.TRAFFIC])]


async def open_findings(engine: Engine) -> set[str]:
    rows = read_rows(await engine.state.rows(FINDINGS))
    return {row.finding.id.value for row in rows.values() if row.is_open}


async def test_windows_overlap_and_go_on(desk: Desk) -> None:
    """Each window begins before the end of the last one that was read completely; a restart goes on from there."""
    async with open_application(desk.settings) as application:
        engine = application.engine
        clock = Moving(engine)
        object.__setattr__(engine, "clock", clock)
        log = Log(desk.target)
        first = await run_audit(engine, [log], DEFAULT_RANGES)
        assert first is not None
        assert (first.since, first.until) == (clock.at - SETTLED - FIRST_WINDOW, clock.at - SETTLED)
        clock.at += timedelta(hours=1)
        log.problem = True
        second = await run_audit(engine, [log], DEFAULT_RANGES)
        assert second is not None
        assert second.since == first.until - OVERLAP
        assert not second.complete
    async with open_application(desk.settings) as application:
        engine = application.engine
        object.__setattr__(engine, "clock", clock)
        clock.at += timedelta(hours=1)
        log.problem = False
        third = await run_audit(engine, [log], DEFAULT_RANGES)
        assert third is not None
        assert third.since == second.since
        assert third.complete


async def test_verdicts_and_findings(desk: Desk) -> None:
    """Every verdict is recorded with its window; a finding opens and ends with it, and counts its window alone."""
    async with open_application(desk.settings) as application:
        engine = application.engine
        clock = Moving(engine)
        object.__setattr__(engine, "clock", clock)
        log = Log(desk.target)
        await run_audit(engine, [log], DEFAULT_RANGES)
        assert await open_findings(engine) == {"traffic_inconclusive"}
        seen = clock.at + timedelta(minutes=30)
        log.rows += [(seen, "10.0.0.4"), (seen, "8.8.8.8")]
        clock.at += timedelta(hours=1)
        public = await run_audit(engine, [log], DEFAULT_RANGES)
        assert public is not None
        assert public.findings[0].facts["calls"] == "1"
        assert await open_findings(engine) == {"traffic_public"}
        clock.at += timedelta(minutes=10)
        again = await run_audit(engine, [log], DEFAULT_RANGES)
        assert again is not None
        assert again.findings[0].fingerprint == public.findings[0].fingerprint
        assert again.findings[0].facts["calls"] == "1"
        clock.at += timedelta(hours=2)
        log.rows.append((clock.at - timedelta(minutes=20), "10.0.0.4"))
        await run_audit(engine, [log], DEFAULT_RANGES)
        assert await open_findings(engine) == set()
        recorded = await verdicts(engine, desk)
        assert [record.entry.body["verdict"] for record in recorded] == ["inconclusive", "public-seen", "public-seen", "private"]
        assert all("window" in record.entry.body for record in recorded)
        assert [record_item(record).summary for record in recorded] == [
            "inconclusive, reasons: no_rows",
            "public-seen, upstream calls: 1 private, 1 public",
            "public-seen, upstream calls: 1 private, 1 public",
            "private, upstream calls: 1 private",
        ]


async def test_a_crash_repeats_the_window_and_records_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its watermark is kept is done again, without a second record of the same window."""
    async with open_application(desk.settings) as application:
        engine = application.engine
        object.__setattr__(engine, "clock", Moving(engine))
        log = Log(desk.target)

        async def fail(*_: object) -> None:
            message = "the process ends here"
            raise RuntimeError(message)

        monkeypatch.setattr(audit_timer, "keep", fail)
        with pytest.raises(RuntimeError):
            await run_audit(engine, [log], DEFAULT_RANGES)
        monkeypatch.undo()
        again = await run_audit(engine, [log], DEFAULT_RANGES)
        assert again is not None
        assert len(await verdicts(engine, desk)) == 1


async def test_two_runs_at_once_do_no_harm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watermark of whoever was first stands."""
    async with open_application(desk.settings) as application:

        async def lose(*_: object) -> None:
            raise StoreConflictError

        monkeypatch.setattr(audit_timer, "keep", lose)
        assert await run_audit(application.engine, [Log(desk.target)], DEFAULT_RANGES) is not None


async def test_whom_it_asks_about(desk: Desk) -> None:
    """Targets that the allowlist names and those with an approved link; upstream paths are those of the services' templates."""
    desk.put_link()
    async with open_application(desk.settings) as application:
        log = Log(desk.target)
        await run_audit(application.engine, [log], DEFAULT_RANGES)
        (question,) = log.asked
        assert [str(target).lower() for target in question.targets] == [desk.target.lower()]
        assert question.paths.matches("POST", "/runtime/webhooks/signalr")
        assert await run_audit(application.engine, [], DEFAULT_RANGES) is None


async def test_the_trigger_audits_the_workspaces(desk: Desk) -> None:
    """From the settings to a record in the ledger, through the real client."""
    assert await audit_traffic(desk.settings) is None
    engine = Workspace(AppServiceHTTPLogs=[])
    desk.azure.logs.engines[WORKSPACE] = engine
    settings = desk.settings | {"LINKGUARD_WORKSPACES": WORKSPACE, "LINKGUARD_LOGS_ENDPOINT": desk.azure.url}
    done = await audit_traffic(settings)
    assert done is not None
    assert done.complete
    assert [one.code for one in done.targets[0].reasons] == [ReasonCode.NO_ROWS]
    async with open_application(settings) as application:
        assert len(await verdicts(application.engine, desk)) == 1


async def test_public_calls_are_not_over_because_the_log_falls_silent(desk: Desk) -> None:
    """A finding of public calls ends with a private verdict, never with an inconclusive one."""
    async with open_application(desk.settings) as application:
        engine = application.engine
        clock = Moving(engine)
        object.__setattr__(engine, "clock", clock)
        log = Log(desk.target, [(clock.at - timedelta(hours=2), "8.8.8.8")])
        await run_audit(engine, [log], DEFAULT_RANGES)
        assert await open_findings(engine) == {"traffic_public"}
        clock.at += timedelta(hours=5)
        await run_audit(engine, [log], DEFAULT_RANGES)
        assert await open_findings(engine) == {"traffic_public", "traffic_inconclusive"}
        log.rows.append((clock.at, "10.0.0.4"))
        clock.at += timedelta(hours=1)
        await run_audit(engine, [log], DEFAULT_RANGES)
        assert await open_findings(engine) == set()


async def _crashed(place: int | None, when: When) -> list[str]:
    """Two runs, the second of which crashes at its ``place``-th call; a third finds everything as it should be."""
    estate = Estate()
    start = estate.clock.now()
    log = Log(str(estate.target), [(start + timedelta(minutes=minute), "8.8.8.8") for minute in range(0, 180, 7)])
    await run_audit(estate.worker().engine, [log], DEFAULT_RANGES)
    estate.clock.advance(3600)
    turn = CrashAt(place, when)
    with suppress(Crash):
        await run_audit(estate.worker(turn=turn).engine, [log], DEFAULT_RANGES)
    estate.clock.advance(600)
    done = await run_audit(estate.worker().engine, [log], DEFAULT_RANGES)
    assert done is not None
    records = [one.entry for one in await estate.records() if one.entry.kind is RecordKind.TRAFFIC]
    told = [cast("dict[str, str]", entry.body["window"]) for entry in records]
    windows = sorted((datetime.fromisoformat(one["since"]), datetime.fromisoformat(one["until"])) for one in told)
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(windows)), "no row is skipped"
    assert len(windows) == len(set(windows)), "no window is recorded twice"
    assert windows[-1] == (done.since, done.until)
    (finding,) = done.findings
    rows = sum(done.since <= at < done.until for at, _ in log.rows)
    assert finding.facts["calls"] == str(rows), "no row is counted twice"
    assert await open_findings(estate.worker().engine) == {"traffic_public"}
    await estate.check()
    return turn.calls


async def test_a_crash_between_any_two_steps() -> None:
    """Wherever a run ends, the next one skips no row, records no window twice and counts no row twice."""
    calls = await _crashed(None, "before")
    assert len(calls) > 5
    for place in range(len(calls)):
        await _crashed(place, "before")
        await _crashed(place, "after")
