"""One step on one target, from the look to the record of what was done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from shared.core.confirm import Ended, Open, TakeBack, count, judge, judge_rejection, situate
from shared.core.decide import decide
from shared.core.entries import (
    Decision,
    approval_intent,
    decision_entry,
    description,
    human_entry,
    make_decision,
    outcome_entry,
    undo_intent,
)
from shared.core.errors import NotPendingError
from shared.core.evidence import Correlation
from shared.core.finding import Finding, FindingId, Severity
from shared.core.history import Action, HumanDecision, HumanRecord, Outcome
from shared.core.memory import Settling, remember
from shared.core.model import ConnectionStatus
from shared.core.observation import Incarnation
from shared.core.reason import Code, Reason
from shared.core.verdict import Approve, Hold, Mode, Wait
from shared.services import findings
from shared.services.act import Refused, Unanswered, WriteResult, Written, write
from shared.services.allowlist import load_allowlist
from shared.services.budget import APPROVALS, HOUR, TAKE_BACKS, Limit
from shared.services.notebook import keep_memory
from shared.services.step_result import result_of

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.confirm import Situation
    from shared.core.history import Intent
    from shared.core.memory import Looks, Memory
    from shared.core.model import Connection, Target
    from shared.core.observation import Observation
    from shared.services.allowlist import LoadedAllowlist
    from shared.services.engine import Engine
    from shared.services.journal import Journal
    from shared.services.notebook import Kept
    from shared.services.results import TargetResult

_ONE_AN_HOUR: Final = Limit(each_target=1, overall=1)


class Step:
    """One step, from the look to the record of what was done."""

    def __init__(
        self, engine: Engine, loaded: LoadedAllowlist, journal: Journal, observation: Observation, kept: Kept[Memory]
    ) -> None:
        self.engine = engine
        self.loaded = loaded
        self.journal = journal
        self.observation = observation
        self._kept = kept
        self._memory = remember(kept.value, observation)
        self.looked_at = engine.clock.now()
        """When the look ended, by this worker's clock."""
        self.findings: list[Finding] = []
        """What was found on the way; what follows from the decisions comes on top."""
        self.acted = False
        """Whether something was written to Azure, or may have been."""
        self.look_again = False
        """Whether something was called off, or refused, that another look may let pass."""

    @property
    def target(self) -> Target:
        """What the step is on."""
        return self.observation.target

    async def run(self) -> TargetResult:
        """Do the whole step."""
        await self._notice_rejections()
        await self._notice_late_writes()
        await self._confirm()
        decisions = self.decisions()
        await self._remember()
        await self._record(decisions)
        if not self.acted:
            decisions = await self._approve_one(decisions)
        return result_of(self, decisions)

    async def note(self) -> TargetResult:
        """Only look: for a target where nothing is pending and nothing of ours is open. Remembers what has changed."""
        decisions = self.decisions()
        if not self._memory.same_but_time(self._kept.value):
            await self._remember()
        return result_of(self, decisions)

    @property
    def is_quiet(self) -> bool:
        """Whether looking is all there is to do, as it is for most targets at most sweeps."""
        done = {ConnectionStatus.APPROVED, ConnectionStatus.DISCONNECTED}
        history = self.journal.history
        return (
            all(c.status in done or self._is_known_rejection(c) for c in self.observation.connections)
            and not history.open_intents()
            and not any(evidence.connection is None for evidence in self.correlation().evidence())
            and not self._late_writes()
        )

    # What was found

    def correlation(self) -> Correlation:
        """All that evidence is gathered from."""
        settings = self.engine.settings
        return Correlation(
            observation=self.observation,
            allowlist=self.loaded.allowlist,
            allowlist_problem=self.loaded.problem,
            memory=self._memory,
            history=self.journal.history,
            keys=settings.keys,
            mode=settings.mode,
            settle_seconds=settings.settle.total_seconds(),
        )

    def decisions(self) -> list[Decision]:
        """What follows from the look; and remembers since when each piece of evidence has been the same."""
        history = self.journal.history
        made: list[Decision] = []
        settling: list[Settling] = []
        for gathered in self.correlation().evidence():
            evidence_digest = gathered.digest()
            since = self._memory.settled_since(gathered.pair, evidence_digest)
            evidence = gathered.settled(since)
            verdict = decide(evidence)
            if isinstance(verdict, Approve | Wait):
                row = Settling(pair=evidence.pair, digest=evidence_digest, since=since or self.observation.clock)
                settling.append(row)
            made.append(make_decision(evidence, evidence_digest, verdict, history.last.get(evidence.subject)))
        self._memory = replace(self._memory, settling=tuple(settling))
        return made

    async def _remember(self) -> None:
        self._kept = await keep_memory(self.engine.state, self.target, self._kept, self._memory)

    def now(self) -> datetime:
        """The time by Azure's clock, as far as it can be told since the look."""
        return self.observation.clock + (self.engine.clock.now() - self.looked_at)

    # What others did

    def _is_known_rejection(self, connection: Connection) -> bool:
        """Whether a connection is Rejected and the ledger says by whom and for which links, or it concerns no link of ours."""
        history = self.journal.history
        is_told = self._rejected_by_us(connection) or connection.id in history.rejected_connections
        return connection.status is ConnectionStatus.REJECTED and (
            (is_told and connection.id not in history.half_told) or not self._links_rejected_with(connection)
        )

    def _rejected_by_us(self, connection: Connection) -> bool:
        intents = self.journal.history.intents.values()
        return any(
            intent.connection == connection.id
            and intent.action is not Action.APPROVE
            and intent.outcome is not Outcome.NOT_WRITTEN
            for intent in intents
        )

    def _links_rejected_with(self, connection: Connection) -> tuple[Incarnation, ...]:
        """The allowlisted links whose connection the rejected one was, or may have been."""
        allowlist = self.loaded.allowlist
        correlation = self.correlation()
        return tuple(
            Incarnation.of(link)
            for link in self.observation.links
            if allowlist is not None and allowlist.knows_service(link.signalr) and correlation.may_have_been(connection, link)
        )

    async def _notice_rejections(self) -> None:
        """A person rejected a connection with other tools: that decision stands for its link's name, as one made here does."""
        for connection in self.observation.connections:
            if connection.status is not ConnectionStatus.REJECTED or self._is_known_rejection(connection):
                continue
            human = HumanRecord(
                decision=HumanDecision.REJECT,
                connection=connection.id,
                links=self._links_rejected_with(connection),
                reason="seen Rejected at the target",
                ticket="",
                by="",
            )
            await self.journal.append(human_entry(self.journal.chain, human, self.now(), number=self.journal.length))

    def _late_writes(self) -> list[tuple[Intent, Connection]]:
        """Approvals that were given up, or ended as gone, and are there after all."""
        done = {ConnectionStatus.APPROVED, ConnectionStatus.APPROVING}
        approved = [connection for connection in self.observation.connections if connection.status in done]
        ours = [(self.journal.history.approval_of(connection.id), connection) for connection in approved]
        return [
            (intent, connection)
            for intent, connection in ours
            if intent and (self._was_written_late(intent, connection) or self._was_left_out(intent))
        ]

    def _was_written_late(self, approval: Intent, connection: Connection) -> bool:
        """Whether an approval was given up too early; where our words are missing, somebody else made it."""
        return approval.outcome is Outcome.ABANDONED and self.journal.history.wrote(connection)

    def _was_left_out(self, approval: Intent) -> bool:
        """Whether lists that left a connection out must have ended its approval: no other life of the link did, and no person."""
        history, life = self.journal.history, approval.incarnation
        decided = history.rejected_connections.keys() | history.adopted.keys()
        return (
            approval.outcome is Outcome.SUPERSEDED
            and approval.connection not in decided
            and life is not None
            and any(Incarnation.of(link).may_be(life) for link in self.observation.links)
        )

    def _is_known_as_ours(self, approval: Intent, connection: Connection) -> bool:
        """Whether Azure answered the write, or our words are there; else somebody else may have approved the connection."""
        history = self.journal.history
        return approval.decision in history.accepted or history.wrote(connection)

    async def _notice_late_writes(self) -> None:
        """What was written after all is ours again, to be confirmed."""
        for approval, connection in self._late_writes():
            if approval.outcome is Outcome.ABANDONED or self._is_known_as_ours(approval, connection):
                await self._end(approval, Outcome.SENT, f"found {connection.status.value}: it is there after all")
            elif connection.status is ConnectionStatus.APPROVED:
                # While it is Approving, Azure may not be done with the description.
                await self._end(approval, Outcome.NOT_WRITTEN, "somebody else approved the connection")

    # What became of our approvals

    async def _confirm(self) -> None:
        still_open = [intent for intent in self.journal.history.open_intents() if not intent.undoes]
        watched = {intent.decision for intent in still_open}
        self._memory = replace(self._memory, looks=tuple(row for row in self._memory.looks if row.decision in watched))
        for intent in still_open:
            situation = situate(intent, self.correlation())
            looks = count(self._memory.looks_at(intent.decision), situation)
            self._memory = self._memory.with_looks(looks)
            if intent.action is Action.APPROVE:
                await self._confirm_approval(intent, situation, looks)
            elif ended := judge_rejection(intent, situation, looks, self.engine.settings.timing):
                await self._end(intent, ended.outcome, ended.why)

    async def _confirm_approval(self, approval: Intent, situation: Situation, looks: Looks) -> None:
        match judge(approval, situation, looks, self.engine.settings.timing):
            case Ended(outcome=outcome, why=why):
                await self._ended(approval, situation, outcome, why)
            case Open() as state:
                self.findings += findings.of_open_approval(self.target, approval, state, self.observation)
            case TakeBack():
                await self._take_back(approval, situation, looks)
            case _ as never:
                assert_never(never)

    async def _ended(self, approval: Intent, situation: Situation, outcome: Outcome, why: str) -> None:
        """Record how an approval ended, and with it every attempt to take it back."""
        attempts = self.journal.history.undoing(approval)
        for attempt in attempts:
            if attempt.is_open:
                await self._end(attempt, Outcome.CONFIRMED if situation.undone else Outcome.ABANDONED, why)
        undone = situation.undone and any(attempt.outcome is not Outcome.NOT_WRITTEN for attempt in attempts)
        await self._end(approval, Outcome.TAKEN_BACK if undone else outcome, why)

    async def _end(self, intent: Intent, outcome: Outcome, why: str) -> None:
        """Record an outcome that was found by looking; where somebody else wrote meanwhile, the look is repeated."""
        await self.journal.append(outcome_entry(self.journal.chain, intent, outcome, why, self.now()))

    async def _take_back(self, approval: Intent, situation: Situation, looks: Looks) -> None:
        """Reject; if that is refused or does nothing, delete; if that too, a person has to."""
        attempts = self.journal.history.undoing(approval)
        last = attempts[-1] if attempts else None
        if last is not None and last.is_open:
            if situation.clock - last.sent_at < self.engine.settings.timing.unwritten_after:
                self.findings.append(findings.take_back_withheld(self.target, approval, "Azure has not carried it out yet"))
                return
            await self._end(last, Outcome.ABANDONED, "the connection is still Approved")
        action = next_undo(self.journal.history.undoing(approval))
        if action is None:
            self.findings.append(findings.take_back_refused(self.target, approval))
            return
        if self.acted:
            why = "another write was made at this look"
            self.findings.append(findings.take_back_withheld(self.target, approval, why))
            return
        if withheld := await self._withheld(approval):
            self.findings.append(findings.take_back_withheld(self.target, approval, withheld))
            return
        intent, entry = undo_intent(
            self.journal.chain,
            approval,
            action,
            situation=situation,
            looks=looks,
            timing=self.engine.settings.timing,
            attempt=len(attempts) + 1,
        )
        await self.journal.append(entry)
        await self.write(intent, description(intent.decision, approval.rule, "taken back"))

    async def _withheld(self, approval: Intent) -> str:
        """Why an approval may not be taken back now; "" where it may. Each attempt at the same one has the same slot."""
        if self.engine.settings.mode is Mode.OBSERVE:
            return "the mode is observe"
        free_at = await self.engine.budgets.reserve(
            TAKE_BACKS, _ONE_AN_HOUR, approval.decision, self.target, self.observation.clock
        )
        return f"another one was taken back within the hour; the next may be at {free_at.isoformat()}" if free_at else ""

    # What is recorded and done

    async def _record(self, decisions: list[Decision]) -> None:
        """Each hold once; in observe mode also what would have been approved."""
        observe = self.engine.settings.mode is Mode.OBSERVE
        for decision in decisions:
            wanted = isinstance(decision.verdict, Hold) or (observe and isinstance(decision.verdict, Approve))
            if wanted and not self.journal.holds(decision.id):
                await self.journal.append(decision_entry(decision, self.now()))

    async def _approve_one(self, decisions: list[Decision]) -> list[Decision]:
        """Approve the first connection that may be, if any; the others come at the next step."""
        settings = self.engine.settings
        for place in self._by_turn(decisions):
            decision, connection = decisions[place], decisions[place].evidence.connection
            if not isinstance(decision.verdict, Approve) or connection is None or settings.mode is not Mode.ENFORCE:
                continue
            limit = Limit(each_target=settings.approvals_per_target_per_hour, overall=settings.approvals_per_hour)
            free_at = await self.engine.budgets.reserve(APPROVALS, limit, decision.id, self.target, self.observation.clock)
            if free_at is not None:
                await self._note_budget(spent=True)
                return [*decisions[:place], _without_budget(decision, free_at), *decisions[place + 1 :]]
            if not any(isinstance(other.verdict, Approve) for other in decisions if other is not decision):
                await self._note_budget(spent=False)
            await self._approve(decision, connection)
            return decisions
        await self._note_budget(spent=False)
        return decisions

    def _by_turn(self, decisions: list[Decision]) -> list[int]:
        """The places of decisions, those first whose connections were not tried yet, or not for the longest time.

        One that Azure keeps refusing must not use up what the others need.
        """
        tried = {intent.connection: turn for turn, intent in enumerate(self.journal.history.approvals(), start=1)}
        connections = [decision.evidence.connection for decision in decisions]
        turns = [tried.get(connection.id, 0) if connection else 0 for connection in connections]
        return sorted(range(len(decisions)), key=turns.__getitem__)

    async def _note_budget(self, *, spent: bool) -> None:
        """Remember since when approvals wait for the budget: until none does, though one after the other is made."""
        since = (self._memory.budget_spent_since or self.observation.clock) if spent else None
        if since != self._memory.budget_spent_since:
            self._memory = replace(self._memory, budget_spent_since=since)
            await self._remember()
        if since is not None and self.observation.clock - since >= HOUR:
            self.findings.append(
                Finding(
                    id=FindingId.BUDGET_SPENT,
                    severity=Severity.WARNING,
                    target=str(self.target),
                    about="",
                    message=f"approvals wait for the budget since {since.isoformat()}: is this what you expect? "
                    "LINKGUARD_APPROVALS_PER_TARGET_PER_HOUR, LINKGUARD_APPROVALS_PER_HOUR",
                    facts={},
                )
            )

    async def _approve(self, decision: Decision, connection: Connection) -> None:
        """Record the intent, read the allowlist once more, write."""
        intent, entry = approval_intent(decision, connection.id, self.now())
        await self.journal.append(entry)
        if refusal := await self._called_off(decision):
            self.look_again = True
            await self._end_for_certain(intent, Outcome.NOT_WRITTEN, refusal)
            return
        link = decision.evidence.link
        await self.write(intent, description(decision.id, decision.rule, link.request_message if link else ""))

    async def _called_off(self, decision: Decision) -> str:
        """Why the write must not be sent after all; "" where it may. Evidence is for now, not for later."""
        again = await load_allowlist(self.engine.allowlist)
        if again.allowlist is None:
            return "the allowlist cannot be read any more"
        if again.allowlist.paused:
            return "the allowlist is paused"
        if again.allowlist.digest != decision.evidence.allowlist_digest:
            return "the allowlist has changed"
        if self.engine.clock.now() - self.looked_at > self.engine.settings.arm_timeout:
            return "too much time has passed since the look"
        return ""

    async def write(self, intent: Intent, text: str) -> WriteResult:
        """Do what a recorded intent announces, and record what Azure answered."""
        self.acted = True
        result = await write(self.engine.azure, intent, text)
        match result:
            case Written():
                await self._end_for_certain(intent, Outcome.SENT, "Azure accepted it")
            case Refused(error=error):
                why = f"Azure refused it: {error.status or ''} {error.code}".strip()
                await self._end_for_certain(intent, Outcome.NOT_WRITTEN, why)
                self.look_again |= error.retryable or isinstance(error, NotPendingError)
                if intent.action is Action.APPROVE and not isinstance(error, NotPendingError):
                    self.findings.append(findings.write_refused(self.target, intent, error))
            case Unanswered():
                pass  # The next look tells.
            case _ as never:
                assert_never(never)
        return result

    async def _end_for_certain(self, intent: Intent, outcome: Outcome, why: str) -> None:
        """Record what has happened, whatever others wrote meanwhile."""
        await self.journal.insist(outcome_entry(self.journal.chain, intent, outcome, why, self.now()))


def next_undo(attempts: tuple[Intent, ...]) -> Action | None:
    """Reject, then delete: each once, and once more where nobody knows what became of it; then no more."""
    for action in (Action.REJECT, Action.DELETE):
        tried = [attempt for attempt in attempts if attempt.action is action]
        if not tried or (len(tried) == 1 and tried[0].outcome is Outcome.ABANDONED):
            return action
    return None


def _without_budget(decision: Decision, free_at: datetime) -> Decision:
    reason = Reason(
        code=Code.BUDGET_SPENT,
        message="the evidence is complete, but no more approvals may be made this hour",
        facts={"free_at": free_at.isoformat()},
    )
    return replace(decision, verdict=Wait(until=free_at, reasons=(reason,)))
