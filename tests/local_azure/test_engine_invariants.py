"""The engine's invariants on the local Azure: real SDK clients over HTTP, a world that takes its time and knows what is true.

Connections come before their link's Succeeded, and nobody deletes a genuine one at the site's side: under that condition no
impostor is ever approved, and whatever is genuine, allowed and alone is approved in the end (docs/evidence.md).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.adapters.arm import Arm
from shared.adapters.credentials import LocalCredential
from shared.core.arm_id import ArmId
from shared.core.entries import chain_of
from shared.core.errors import LinkguardError
from shared.core.history import History, read_history
from shared.core.ledger import verify_chain
from shared.core.model import ConnectionStatus, Target
from shared.local_azure import SUBSCRIPTION, Knobs, LocalAzure, World
from shared.local_azure.faults import CloseSocket, lost_answer, not_json, server_error, throttled, wrong_shape
from shared.local_azure.ids import Spelling
from shared.services.budget import Budgets
from shared.services.engine import Engine
from shared.services.reconcile import reconcile
from shared.services.replay import replay
from shared.services.snapshot import Snapshots
from tests.engines import SETTINGS, a_rule, allowlist_text, check_records
from tests.fakes import FakeClock, MemoryAllowlist, MemoryLedger, MemoryStateStore

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from shared.core.ledger import Record
    from shared.local_azure.faults import Fault

NAMES = st.sampled_from(["func-pe", "other-pe"])
PORTAL = "portal"


def message(name: str) -> str:
    return f"please approve {name}"


class Machine(RuleBasedStateMachine):
    """One service, one site, one worker after the other, and everybody else."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.clock = FakeClock()
        self.ledger = MemoryLedger()
        self.state = MemoryStateStore()

    @initialize(
        spelling=st.sampled_from(Spelling),
        lag=st.sampled_from([0.0, 120.0, 1800.0]),
        slow=st.booleans(),
        dated=st.booleans(),
        inline=st.booleans(),
        page_size=st.sampled_from([1, 100]),
    )
    def begin(  # noqa: PLR0913  Azure has many moods
        self, spelling: Spelling, lag: float, page_size: int, *, slow: bool, dated: bool, inline: bool
    ) -> None:
        """Azure in one of its moods."""
        knobs = Knobs.recorded() if slow else Knobs()
        knobs.spelling, knobs.link_status_lag, knobs.page_size = spelling, lag, page_size
        knobs.link_system_data, knobs.inline_links, knobs.inline_connections = dated, inline, inline
        self.world = World(clock=self.clock, knobs=knobs)
        self.service = self.world.add_signalr()
        self.site = self.world.add_site(public_network_access="Enabled")
        self.target = Target(ArmId.parse(self.site))
        rule_ = a_rule(ArmId.parse(self.service), self.target)
        self.allowlist = MemoryAllowlist(allowlist_text(rule_))
        self.server = self.runner.run(self.stack.enter_async_context(LocalAzure(self.world)))
        self.azure = self.runner.run(
            self.stack.enter_async_context(
                Arm(
                    endpoint=self.server.url,
                    scope=f"{self.server.url}/.default",
                    credential=LocalCredential(),
                    clock=self.clock,
                    timeout=5.0,
                    reads_per_second=0,
                )
            )
        )
        self.a_link_is_made("func-pe")

    def teardown(self) -> None:
        try:
            if hasattr(self, "server"):
                self.all_is_well_in_the_end()
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def run(self, step: Coroutine[Any, Any, object]) -> object:
        try:
            return self.runner.run(step)
        except LinkguardError as error:
            return error

    async def look(self) -> object:
        """By a worker of its own."""
        engine = Engine(
            azure=self.azure,
            ledger=self.ledger,
            state=self.state,
            allowlist=self.allowlist,
            clock=self.clock,
            settings=SETTINGS,
            snapshots=Snapshots(self.azure, self.state),
            budgets=Budgets(self.state),
        )
        return await reconcile(engine, self.target)

    async def records(self) -> list[Record]:
        return [record async for record in self.ledger.records(chain_of(self.target))]

    # What happens

    @rule(after=st.sampled_from([0, 16, 31, 61, 300, 2000]))
    def a_worker_looks(self, after: int) -> None:
        self.clock.advance(after)
        self.run(self.look())

    @rule()
    def a_worker_looks_until_it_has_settled(self) -> None:
        """However slow Azure is."""
        for after in (60, 31, 31, 60, 60):
            self.a_worker_looks(after)

    @rule(name=NAMES)
    def a_link_is_made(self, name: str) -> None:
        """By the owner of the service; where there is one, nothing."""
        if self.link_of(name) is None:
            self.clock.advance(1)
            self.world.put_link(self.service, name, self.site, message(name))

    @precondition(lambda self: bool(self.links()))
    @rule(data=st.data())
    def a_link_is_deleted(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.links()))
        self.world.delete_link(f"{self.service}/sharedPrivateLinkResources/{name}")

    @rule(name=NAMES, copies_name=st.booleans(), copies_message=st.booleans())
    def somebody_requests_a_connection(self, name: str, *, copies_name: bool, copies_message: bool) -> None:
        if copies_name and copies_message and self.link_of(name) is None:
            return  # An impostor before the link was ever looked at for is one of the races that remain with late connections.
        self.world.request_connection(
            self.site, name if copies_name else "stranger", message(name) if copies_message else "hello"
        )

    @precondition(lambda self: bool(self.pending()))
    @rule(data=st.data(), approve=st.booleans())
    def a_person_decides(self, data: st.DataObject, *, approve: bool) -> None:
        connection = data.draw(st.sampled_from(self.pending()))
        if approve:
            self.world.approve(connection, by=PORTAL)
        else:
            self.world.reject(connection, by=PORTAL)

    @rule(
        fault=st.sampled_from([throttled(), server_error(), CloseSocket(), not_json(), wrong_shape(), lost_answer()]),
        method=st.sampled_from(["GET", "PUT"]),
    )
    def azure_fails(self, fault: Fault, method: str) -> None:
        self.server.faults.add(fault, method=method)

    @rule(paused=st.booleans())
    def somebody_pauses(self, *, paused: bool) -> None:
        self.allowlist.text = allowlist_text(a_rule(ArmId.parse(self.service), self.target), paused=paused)

    # What is so

    def links(self) -> list[str]:
        return [name for name in ("func-pe", "other-pe") if self.link_of(name)]

    def link_of(self, name: str) -> tuple[str, str] | None:
        return self.world.link_status(f"{self.service}/sharedPrivateLinkResources/{name}")

    def pending(self) -> list[str]:
        listed = self.run(self.azure_connections())
        return sorted(str(one.id) for one in listed if one.status is ConnectionStatus.PENDING)  # type: ignore[attr-defined]

    async def azure_connections(self) -> object:
        rules, self.server.faults.rules = self.server.faults.rules, []
        try:
            return (await self.azure.list_connections(self.target)).value or ()
        finally:
            self.server.faults.rules = rules

    # What holds at any time

    @invariant()
    def nobody_but_a_person_approves_an_impostor(self) -> None:
        if hasattr(self, "world"):
            ours = [one for one in self.world.decisions if one.by != PORTAL and one.status == "Approved"]
            assert all(one.link for one in ours), ours

    @invariant()
    def every_write_was_announced_once(self) -> None:
        """By an intent that follows from its own record, in a chain that holds."""
        if not hasattr(self, "world"):
            return
        records = self.runner.run(self.records())
        head = self.runner.run(self.ledger.head(chain_of(self.target)))
        assert not list(verify_chain(chain_of(self.target), records, head))
        check_records(records)
        assert all(one is None or one.same for one in map(replay, records))
        intents = read_history(records).intents
        ours = [one.description.removeprefix("lg:")[:64] for one in self.world.decisions if one.by != PORTAL]
        assert set(ours) <= intents.keys()
        assert len(ours) == len(set(ours))

    @invariant()
    def a_persons_decision_stands(self) -> None:
        """Nothing that a person decided is decided again by us."""
        if hasattr(self, "world"):
            decided: set[str] = set()
            for one in self.world.decisions:
                if one.by == PORTAL:
                    decided.add(one.connection)
                else:
                    assert one.connection not in decided, one

    @invariant()
    def slowness_alone_takes_nothing_back(self) -> None:
        """However long a link's status lags behind, short of the deadline, and whoever waits beside it."""
        if hasattr(self, "world"):
            undone = [one for one in self.world.decisions if one.by != PORTAL and one.status != "Approved"]
            assert not undone, undone

    # In the end

    def all_is_well_in_the_end(self) -> None:
        """Once faults stop, whatever is genuine, allowed and alone is approved and confirmed."""
        self.server.faults.clear()
        self.somebody_pauses(paused=False)
        for after in [61] * 6 + [600] * 14 + [61] * 3:
            self.clock.advance(after)
            found = self.run(self.look())
            assert not isinstance(found, BaseException), found
        history: History = read_history(self.runner.run(self.records()))
        listed: Any = self.run(self.azure_connections())
        for connection in listed:
            owner = self.world.genuine(str(connection.id))
            if connection.status is not ConnectionStatus.PENDING or owner is None:
                continue
            name = ArmId.parse(owner).name
            alike = [one for one in listed if one.endpoint and one.endpoint.name.upper() == name.upper()]
            # Where it is not alone, or a person rejected one like it, it is held.
            assert len(alike) > 1 or history.rejections, connection
        for intent in history.open_intents():
            assert intent.connection in {one.id for one in listed}

    def __repr__(self) -> str:
        return f"Machine({SUBSCRIPTION})"


Machine.TestCase.settings = settings(max_examples=8, stateful_step_count=15)
test_what_holds_on_the_local_azure = Machine.TestCase
