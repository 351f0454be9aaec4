"""What holds at any time, whatever people, attackers, Azure and the stores do: a stateful property test over the fakes.

Every genuine connection comes with its link, before the link's Succeeded, and none is deleted at the site's side while its
link stays: under that condition no impostor is ever approved (docs/evidence.md, "Races that remain").
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.core.errors import (
    AzureError,
    AzureForbiddenError,
    AzureUnavailableError,
    LinkguardError,
    NotPendingError,
)
from shared.core.history import Action, HumanDecision, HumanRecord, Intent, Outcome
from shared.core.ledger import RecordKind
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus
from shared.core.verdict import Mode
from shared.core.wire import from_json
from shared.services.human import decide_by_hand
from shared.services.replay import replay
from shared.services.sweep import sweep
from tests.engines import MESSAGE, Crash, CrashAt, Estate, Worker, a_rule, make_engine

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from shared.core.arm_id import ArmId
    from shared.core.ledger import Record
    from shared.core.observation import Incarnation

NAMES = st.sampled_from(["func-pe", "other-pe"])
ROOMY = {"approvals_per_target_per_hour": 1000, "approvals_per_hour": 1000}
REACHED = {
    ConnectionStatus.APPROVED: LinkStatus.APPROVED,
    ConnectionStatus.REJECTED: LinkStatus.REJECTED,
    ConnectionStatus.DISCONNECTED: LinkStatus.DISCONNECTED,
}


class Machine(RuleBasedStateMachine):
    """One service and one site, two workers, and everybody else."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.estate = Estate()
        self.azure = self.estate.azure
        self.azure.links_follow = False
        self.dated = True
        self.foreign: set[ArmId] = set()
        """Every connection that ever came from anybody else."""
        self.vanished = False
        self.workers = [self.estate.worker(**ROOMY) for _ in range(2)]

    def teardown(self) -> None:
        try:
            self.all_is_well_in_the_end()
        finally:
            self.runner.close()

    def run(self, step: Coroutine[Any, Any, object]) -> object:
        """One thing that somebody does; what may fail, may fail."""
        try:
            return self.runner.run(step)
        except (LinkguardError, Crash) as error:
            return error

    @initialize(dated=st.booleans(), follows=st.booleans())
    def begin(self, *, dated: bool, follows: bool) -> None:
        """Whether Azure says when a link was made; whether SignalR's status follows at once."""
        self.dated = dated
        self.azure.links_follow = follows
        self.a_link_comes_about("func-pe")

    # Linkguard

    @rule(seconds=st.sampled_from([1, 16, 31, 61, 300, 1000, 3700]))
    def time_passes(self, seconds: int) -> None:
        self.estate.clock.advance(seconds)

    @rule(which=st.integers(0, 1), after=st.sampled_from([0, 16, 31, 300]))
    def a_worker_looks(self, which: int, after: int) -> None:
        self.run(self.workers[which].look(after=after))

    @rule()
    def a_worker_looks_until_it_has_settled(self) -> None:
        for _ in range(3):
            self.run(self.workers[0].look(after=31))

    @rule()
    def more_than_an_hour_passes_under_watch(self) -> None:
        for _ in range(14):
            self.run(self.workers[1].look(after=300))

    @rule()
    def a_sweep(self) -> None:
        self.run(sweep(self.workers[1].engine))

    @rule()
    def an_observer_looks(self) -> None:
        writes = len(self.azure.writes)
        self.run(self.estate.worker(mode=Mode.OBSERVE).look())
        assert len(self.azure.writes) == writes

    @rule(place=st.integers(0, 16), after=st.booleans(), seconds=st.sampled_from([0, 31]))
    def a_worker_crashes(self, place: int, seconds: int, *, after: bool) -> None:
        turn = CrashAt(place, "after" if after else "before")
        self.run(Worker(self.estate, make_engine(self.estate, turn=turn, **ROOMY)).look(after=seconds))

    @rule()
    def the_state_is_lost(self) -> None:
        """It may be: settling begins anew. What vanished within the hour is forgotten, so that nothing may have vanished."""
        if not self.vanished:
            self.estate.state._rows.clear()

    # The owner of the service

    @rule(name=NAMES)
    def a_link_is_made(self, name: str) -> None:
        """With its connection, before its Succeeded; over one of the same name: the former life ends with its connection."""
        self._unmake(name)
        self.estate.clock.advance(1)
        link = self.azure.add_link(
            self.estate.service, self.estate.target, name, message=f"{MESSAGE} {name}", provisioning=LinkProvisioning.CREATING
        )
        if not self.dated:
            self.azure.links[link] = replace(self.azure.links[link], created_at=None)
        self.azure.add_connection(self.estate.target, name, message=f"{MESSAGE} {name}", belongs_to=link)

    @rule(name=NAMES)
    def a_link_comes_about(self, name: str) -> None:
        """And somebody looks while it does."""
        self.a_link_is_made(name)
        self.a_worker_looks(0, 0)
        self.links_are_provisioned()
        self.a_worker_looks(0, 31)

    @rule()
    def links_are_provisioned(self) -> None:
        for link in self.azure.links:
            self.azure.set_link(link, provisioning=LinkProvisioning.SUCCEEDED)

    @rule(name=NAMES)
    def a_link_is_deleted(self, name: str) -> None:
        self._unmake(name)

    def _unmake(self, name: str) -> None:
        link = self.estate.service.child("sharedPrivateLinkResources", name)
        self.azure.links.pop(link, None)
        for connection in [one for one, owner in self.azure.belongs_to.items() if owner == link]:
            self.vanished = self.vanished or connection in self.azure.connections
            self.azure.connections.pop(connection, None)
            del self.azure.belongs_to[connection]

    @rule()
    def signalr_catches_up(self) -> None:
        for connection, link in self.azure.belongs_to.items():
            reached = REACHED.get(self.azure.connections[connection].status)
            if reached and link in self.azure.links:
                self.azure.set_link(link, status=reached)

    # Attackers

    @rule(name=NAMES)
    def an_impostor_copies_name_and_message(self, name: str) -> None:
        self.foreign.add(self.azure.add_connection(self.estate.target, name, message=f"{MESSAGE} {name}"))

    @rule(name=NAMES, copies_name=st.booleans())
    def a_stranger_copies_one_of_them(self, name: str, *, copies_name: bool) -> None:
        message = "hello" if copies_name else f"{MESSAGE} {name}"
        self.foreign.add(self.azure.add_connection(self.estate.target, name if copies_name else "stranger", message=message))

    @precondition(lambda self: self.foreign & self.azure.connections.keys())
    @rule(data=st.data())
    def an_attacker_withdraws(self, data: st.DataObject) -> None:
        self.vanished = True
        del self.azure.connections[data.draw(st.sampled_from(sorted(self.foreign & self.azure.connections.keys())))]

    # Persons

    @precondition(lambda self: len(self.pending()) > 0)
    @rule(data=st.data(), approve=st.booleans())
    def a_person_decides_in_the_portal(self, data: st.DataObject, *, approve: bool) -> None:
        status = ConnectionStatus.APPROVED if approve else ConnectionStatus.REJECTED
        self.azure.set_status(data.draw(st.sampled_from(self.pending())), status, description="by hand")

    @precondition(lambda self: len(self.azure.connections) > 0)
    @rule(data=st.data(), decision=st.sampled_from(HumanDecision))
    def a_person_decides_here(self, data: st.DataObject, decision: HumanDecision) -> None:
        connection = data.draw(st.sampled_from(sorted(self.azure.connections)))
        engine = self.workers[0].engine
        self.run(decide_by_hand(engine, connection, decision, reason="because", ticket="", by="someone"))

    def pending(self) -> list[ArmId]:
        return sorted(c.id for c in self.azure.connections.values() if c.status is ConnectionStatus.PENDING)

    @rule(how=st.sampled_from(["restore", "restore", "pause", "break", "empty", "deny"]))
    def somebody_edits_the_allowlist(self, how: str) -> None:
        allow = a_rule(self.estate.service, self.estate.target)
        rules = {"empty": [], "deny": [allow, {**allow, "id": "no", "effect": "deny"}]}.get(how, [allow])
        self.estate.allow(*rules, paused=how == "pause")
        self.estate.allowlist.unreadable = "broken" if how == "break" else ""

    # Azure and the stores

    @rule(
        operation=st.sampled_from(["list_signalr", "get_signalr", "list_connections", "get_site", "set_connection"]),
        error=st.sampled_from(
            [AzureUnavailableError("timeout"), AzureForbiddenError("no", status=403), NotPendingError("no", status=409)]
        ),
    )
    def azure_fails(self, operation: Any, error: AzureError) -> None:  # noqa: ANN401  an operation's name
        self.azure.fail(operation, error)

    @rule(store=st.sampled_from(["write", "append", "append's answer"]))
    def an_answer_is_lost(self, store: str) -> None:
        match store:
            case "write":
                self.azure.lose_write_answers = 1
            case "append":
                self.estate.ledger.fail_appends = 1
            case _:
                self.estate.ledger.lose_answers = 1

    # What holds at any time

    @invariant()
    def every_write_was_announced_and_every_decision_follows_from_its_record(self) -> None:
        self.runner.run(self.estate.check())

    @invariant()
    def no_impostor_is_approved_by_us(self) -> None:
        """Nothing that never belonged to a link; whoever a person approved stands."""
        records = self.runner.run(self.estate.records())
        by_person = {i.connection for i in _intents(records) if i.by_person}
        for write in self.azure.writes:
            if write.status == "Approved" and write.connection not in by_person:
                assert write.connection not in self.foreign, write

    @invariant()
    def a_persons_decision_and_a_quarantine_stand(self) -> None:
        """In the order of the ledger, read without the engine's own help."""
        rejected: set[object] = set()
        quarantined: list[Incarnation] = []
        for record in self.runner.run(self.estate.records()):
            body = record.entry.body
            if record.entry.kind is RecordKind.HUMAN:
                human = from_json(HumanRecord, body)
                covered = {human.connection, *(life.link for life in human.links)}
                if human.decision is HumanDecision.REJECT:
                    rejected |= covered
                elif human.decision is HumanDecision.APPROVE:
                    rejected -= covered
                    quarantined = [one for one in quarantined if one.link not in covered]
            if record.entry.kind is not RecordKind.INTENT:
                continue
            intent = from_json(Intent, body["intent"])
            if intent.undoes:
                assert intent.incarnation is not None
                quarantined.append(intent.incarnation)
            elif intent.action is Action.APPROVE and not intent.by_person:
                assert intent.incarnation is not None
                assert not rejected & {intent.connection, intent.incarnation.link}
                assert intent.incarnation not in quarantined

    @invariant()
    def what_is_taken_back_was_contradicted(self) -> None:
        """Slowness alone is never enough: the record of each taking back shows why."""
        for record in self.runner.run(self.estate.records()):
            replayed = replay(record)
            assert replayed is None or replayed.same, replayed

    # In the end

    def all_is_well_in_the_end(self) -> None:
        """Once faults stop, whatever is genuine, allowed and alone is approved and confirmed; nothing is left open."""
        self.azure._failures.clear()
        self.azure.lose_write_answers = self.estate.ledger.fail_appends = self.estate.ledger.lose_answers = 0
        self.somebody_edits_the_allowlist("restore")
        self.links_are_provisioned()
        worker = self.estate.worker(**ROOMY)
        for after in [31] * 6 + [300] * 26 + [31] * 6:
            self.signalr_catches_up()
            found = self.run(worker.look(after=after))
            assert not isinstance(found, BaseException), found
        history = self.runner.run(self.estate.history())
        assert all(self._may_stay_open(intent) for intent in history.open_intents()), history.open_intents()
        for connection, link in self.azure.belongs_to.items():
            if self.azure.connections[connection].status is not ConnectionStatus.PENDING:
                continue
            same_name = [one for one in self.azure.connections.values() if one.endpoint and one.endpoint.name == link.name]
            alone = all(one.id == connection or one.status is ConnectionStatus.REJECTED for one in same_name)
            blocked = history.rejected_by(self.azure.links[link], connection) or history.quarantined_by(self.azure.links[link])
            assert not alone or blocked or self.azure.links[link].status is not LinkStatus.PENDING
        for intent in history.approvals():
            ours = self.azure.connections.get(intent.connection)
            if ours and ours.status is ConnectionStatus.APPROVED and intent == history.approval_of(ours.id):
                assert intent.outcome is not Outcome.ABANDONED

    def _may_stay_open(self, intent: Intent) -> bool:
        """A person approved somebody for a link that does not show it, or whose life is over: a critical finding stands."""
        return intent.by_person and intent.connection not in self.azure.belongs_to


def _intents(records: list[Record]) -> list[Intent]:
    return [from_json(Intent, one.entry.body["intent"]) for one in records if one.entry.kind is RecordKind.INTENT]


Machine.TestCase.settings = settings(max_examples=20, stateful_step_count=30)
test_what_holds_at_any_time = Machine.TestCase
