"""Engines over the fakes: an estate to look at, workers that look at it, and ports that can be interrupted."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from shared.core.confirm import TakeBackPolicy
from shared.core.decide import decide
from shared.core.entries import chain_of
from shared.core.evidence import Evidence
from shared.core.history import Action, History, Intent, read_history
from shared.core.ledger import RecordKind, verify_chain
from shared.core.verdict import Approve, Mode
from shared.core.wire import from_json
from shared.services.budget import Budgets
from shared.services.engine import Engine
from shared.services.reconcile import reconcile
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from tests.fakes import FakeAzure, FakeClock, MemoryAllowlist, MemoryLedger, MemoryStateStore
from tests.fakes.azure import SUBSCRIPTION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.core.arm_id import ArmId
    from shared.core.finding import Finding
    from shared.core.ledger import Record
    from shared.core.model import Target
    from shared.ports import AllowlistSource, Azure, Clock, Ledger, StateStore
    from shared.services.results import DecisionReport, TargetResult

MESSAGE = "please approve"

SETTINGS = EngineSettings(
    mode=Mode.ENFORCE,
    subscriptions=(SUBSCRIPTION,),
    settle=timedelta(seconds=30),
    confirm_deadline=timedelta(minutes=60),
    take_back=TakeBackPolicy.CONTRADICTION,
    recheck_delay=timedelta(seconds=15),
    recheck_max=timedelta(minutes=10),
    approvals_per_target_per_hour=5,
    approvals_per_hour=100,
    snapshot_max_age=timedelta(minutes=10),
    arm_timeout=timedelta(seconds=30),
    concurrency=8,
    keys={},
)
"""The defaults of shared.config."""


def allowlist_text(*rules: dict[str, Any], paused: bool = False) -> str:
    """A document; JSON is YAML."""
    return json.dumps({"version": 1, "paused": paused, "rules": list(rules)})


def a_rule(signalr: ArmId, target: Target, name: str = "contoso-upstream", **more: Any) -> dict[str, Any]:  # noqa: ANN401  any key
    rule = {"id": name, "effect": "allow", "signalr": str(signalr), "target": str(target.site), **more}
    return rule | {"slots": [target.slot]} if target.slot else rule


@dataclass
class Estate:
    """One SignalR service, one site, an allowlist that names both; and what workers share."""

    clock: FakeClock = field(default_factory=FakeClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    state: MemoryStateStore = field(default_factory=MemoryStateStore)

    def __post_init__(self) -> None:
        self.azure = FakeAzure(self.clock)
        self.service = self.azure.add_signalr()
        self.target = self.azure.add_site()
        self.allowlist = MemoryAllowlist("")
        self.allow(a_rule(self.service, self.target))

    def allow(self, *rules: dict[str, Any], paused: bool = False) -> None:
        self.allowlist.text = allowlist_text(*rules, paused=paused)

    def worker(self, **settings: Any) -> Worker:  # noqa: ANN401  whatever setting
        """A worker of its own: it shares what is in Azure and in the stores, and nothing else."""
        return Worker(self, make_engine(self, **settings))

    # What is true

    async def records(self, target: Target | None = None) -> list[Record]:
        return [record async for record in self.ledger.records(chain_of(target or self.target))]

    async def history(self, target: Target | None = None) -> History:
        return read_history(await self.records(target))

    async def kinds(self, target: Target | None = None) -> list[str]:
        """Each record's kind, with the outcome of an outcome and the action of an intent."""
        return [_told(record) for record in await self.records(target)]

    def breaches(self) -> set[ArmId]:
        """Connections that are approved, or on their way there, and belong to no link."""
        return {connection for connection in self.azure.approved() if connection not in self.azure.belongs_to}

    async def check(self) -> None:
        """What holds at any time, whatever happened."""
        for chain in await self.ledger.chains():
            records = [record async for record in self.ledger.records(chain)]
            faults = list(verify_chain(chain, records, await self.ledger.head(chain)))
            assert not faults, faults
            check_records(records)
            history = read_history(records)
            for intent in history.intents.values():
                _check_writes(self.azure, intent)
        announced = [intent async for intent in self._intents()]
        for write in self.azure.writes:
            assert any(_announces(intent, write.connection, write.status) for intent in announced), write

    async def _intents(self) -> AsyncIterator[Intent]:
        for chain in await self.ledger.chains():
            for intent in read_history([record async for record in self.ledger.records(chain)]).intents.values():
                yield intent


def check_records(records: list[Record]) -> None:
    """Every approval follows from what its own record holds; no decision is recorded twice."""
    ids = [record.entry.id for record in records]
    assert len(ids) == len(set(ids))
    for record in records:
        inputs = record.entry.inputs
        if record.entry.kind is not RecordKind.INTENT or inputs is None or "evidence" not in inputs:
            continue
        intent = from_json(Intent, record.entry.body["intent"])
        evidence = from_json(Evidence, inputs["evidence"])
        if intent.action is Action.APPROVE and not intent.by_person:
            verdict = decide(evidence)
            assert isinstance(verdict, Approve), verdict
            assert evidence.mode is Mode.ENFORCE


def _check_writes(azure: FakeAzure, intent: Intent) -> None:
    """An announced write is sent once at most."""
    sent = [write for write in azure.writes if write.description.startswith(f"lg:{intent.decision}")]
    assert len(sent) <= 1, sent


def _announces(intent: Intent, connection: ArmId, status: str) -> bool:
    actions = {"Approved": Action.APPROVE, "Rejected": Action.REJECT, "Deleted": Action.DELETE}
    return intent.connection == connection and intent.action is actions[status]


def _told(record: Record) -> str:
    body = record.entry.body
    match record.entry.kind:
        case RecordKind.OUTCOME:
            return str(body["outcome"])
        case RecordKind.INTENT:
            return f"intent to {from_json(Intent, body['intent']).action.value}"
        case kind:
            return kind.value


def make_engine(estate: Estate, *, turn: Turn | None = None, **settings: Any) -> Engine:  # noqa: ANN401  whatever setting
    """An engine over the estate. ``turn`` is called before and after every call of a port."""
    azure: Azure = estate.azure
    ledger: Ledger = estate.ledger
    state: StateStore = estate.state
    allowlist: AllowlistSource = estate.allowlist
    clock: Clock = estate.clock
    if turn is not None:
        azure = cast("Azure", Interposed(azure, "azure", turn))
        ledger = cast("Ledger", Interposed(ledger, "ledger", turn))
        state = cast("StateStore", Interposed(state, "state", turn))
        allowlist = cast("AllowlistSource", Interposed(allowlist, "allowlist", turn))
    return Engine(
        azure=azure,
        ledger=ledger,
        state=state,
        allowlist=allowlist,
        clock=clock,
        settings=replace(SETTINGS, **settings),
        snapshots=Snapshots(azure, state),
        budgets=Budgets(state),
    )


@dataclass
class Worker:
    """One worker on one estate."""

    estate: Estate
    engine: Engine

    async def look(self, target: Target | None = None, *, after: float = 0) -> TargetResult:
        """One step, ``after`` so many seconds."""
        self.estate.clock.advance(after)
        return await reconcile(self.engine, target or self.estate.target)

    async def approve(self, target: Target | None = None) -> TargetResult:
        """Two looks that settle the evidence, the second of which approves what may be."""
        await self.look(target)
        return await self.look(target, after=31)

    async def confirm_or_give_up(self, *, minutes: int = 90, target: Target | None = None) -> TargetResult:
        """Look once every five minutes for so long."""
        result = await self.look(target)
        for _ in range(minutes // 5):
            result = await self.look(target, after=300)
        return result


def decision_about(result: TargetResult, connection: ArmId | None) -> DecisionReport:
    return next(decision for decision in result.decisions if decision.connection == connection)


def codes(result: TargetResult, connection: ArmId | None) -> list[str]:
    return [reason.code.value for reason in decision_about(result, connection).reasons]


def findings(result: TargetResult, *wanted: str) -> list[Finding]:
    """Those of these ids, or all; drift that is about the estate and not about decisions left out."""
    return [finding for finding in result.findings if not wanted or finding.id.value in wanted]


# Interruptions


type When = Literal["before", "after"]
type Turn = Callable[[str, When], Awaitable[None]]
"""Is told of a call, such as ``azure.list_connections``."""


class Crash(BaseException):
    """The worker is no more. No program catches it."""


class Interposed:
    """A port each of whose calls is announced before it is made and after it was."""

    def __init__(self, port: object, name: str, turn: Turn) -> None:
        self._port = port
        self._name = name
        self._turn = turn

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the port has
        member = getattr(self._port, name)
        call = f"{self._name}.{name}"
        if inspect.iscoroutinefunction(member):

            async def announced(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as the port takes them
                await self._turn(call, "before")
                result = await member(*args, **kwargs)
                await self._turn(call, "after")
                return result

            return announced
        if inspect.isasyncgenfunction(member):

            async def announced_all(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: ANN401  as the port takes them
                await self._turn(call, "before")
                found = [one async for one in member(*args, **kwargs)]
                await self._turn(call, "after")
                for one in found:
                    yield one

            return announced_all
        return member


class CrashAt:
    """Crashes a worker before or after its n-th call, from 0; counts the calls."""

    def __init__(self, place: int | None = None, when: When = "before") -> None:
        self._place = place
        self._when = when
        self.calls: list[str] = []

    async def __call__(self, call: str, when: When) -> None:
        if when == "before":
            self.calls.append(call)
        if self._place == len(self.calls) - 1 and when == self._when:
            raise Crash


class Interleaved:
    """Lets other workers run for a number of turns before each call, which ``pick`` chooses."""

    def __init__(self, pick: Callable[[], int]) -> None:
        self._pick = pick

    async def __call__(self, call: str, when: When) -> None:
        del call, when
        for _ in range(self._pick()):
            await asyncio.sleep(0)
