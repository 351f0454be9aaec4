"""What must hold at every step of every story, and at its end. What each number stands for: ``telling.MEANING``."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from shared.core.arm_id import ArmId
from shared.core.finding import FindingId, Severity
from shared.core.ledger import ChainCheck, RecordKind, canonical
from shared.core.model import Target
from shared.services.replay import replay
from tests.simulation.chaos import ARM_TIMEOUT
from tests.simulation.drifted import OF_TARGETS, OF_THE_REST, Drifted, Expected, explanation, of_the_rest
from tests.simulation.frame import DOCUMENT, FRAME, Frame
from tests.simulation.oracle import HOUR, Chain, Oracle, Told, find_link, low
from tests.simulation.ports import CANARY, SharedStores
from tests.simulation.revoking import Revoking
from tests.simulation.rules import Editor
from tests.simulation.story import START, Fault, Story
from tests.simulation.truth import CodeTruth
from tests.simulation.world import World, whose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.core.ledger import Json, Record
    from shared.ports import Document
    from shared.services.results import DecisionReport, SweepResult, TargetResult
    from tests.simulation.ports import Process
    from tests.simulation.rules import Rules
    from tests.simulation.world import TrueLink

_NOTED: Final = {
    FindingId.APPROVED_UNEXPLAINED: "an approval that nothing explains",
    FindingId.APPROVED_NOT_ALLOWED: "an approval that no rule allows any more",
    FindingId.APPROVED_LINK_GONE: "an approval whose link is gone",
    FindingId.REVOKE_WITHHELD: "a revoking withheld, for one change would end too many",
    FindingId.REVOKE_REFUSED: "a revoking that Azure refused for good",
}
ENOUGH: Final = 3
"""Looks that a taking back needs."""
GRAIN: Final = timedelta(seconds=1)
_DECISION: Final = frozenset(
    {
        "subject", "decision", "number", "evidence_digest", "target", "connection", "link", "verdict", "rule", "strength",
        "codes", "reasons", "mode", "allowlist",
    }
)  # fmt: skip
FIELDS: Final = {
    RecordKind.HOLD: _DECISION,
    RecordKind.INTENT: _DECISION | {"intent", "undoes", "revokes", "human_decision"},
    RecordKind.OUTCOME: frozenset({"decision", "action", "connection", "outcome", "why"}),
    RecordKind.HUMAN: frozenset({"decision", "connection", "links", "reason", "ticket", "by", "links_told"}),
    RecordKind.DRIFT: frozenset({"finding", "fingerprint", "severity", "target", "about", "message", "facts", "change"}),
}
"""The ledger's field list."""
_MAY_KEEP_AN_ANSWER_FROM_THE_LEDGER: Final = {Fault.CRASHES, Fault.STORE_OUTAGES, Fault.STORE_LOST_ANSWERS}
INPUTS: Final = frozenset({"evidence", "approval", "situation", "looks", "timing", "revoke"})


class ViolationError(Exception):
    """An invariant is broken."""

    def __init__(self, invariant: int, message: str) -> None:
        super().__init__(f"invariant {invariant}: {message}")
        self.invariant = invariant


@dataclass(slots=True, eq=False)
class Sent:
    """A write on its way to Azure."""

    intent: Told
    connection: ArmId
    status: str
    race: int = 0
    """Of an approval of a connection that is not the link's: the race that let it happen."""
    done: bool = False
    """Whether Azure did it."""
    answered: bool = False
    """Whether the worker knows."""


@dataclass(slots=True)
class Checker:
    """Watches one run."""

    story: Story
    world: World
    stores: SharedStores
    editor: Editor
    oracle: Oracle
    revoking: Revoking
    violations: list[ViolationError] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    looks: dict[tuple[str, datetime], Frame] = field(default_factory=dict)
    """Every look by target and the time at which it ended."""
    _checks: dict[str, ChainCheck] = field(default_factory=dict)
    _last: dict[tuple[str, str], tuple[object, ...]] = field(default_factory=dict)
    _approved_at: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _taken_back: list[tuple[datetime, str]] = field(default_factory=list)

    def broken(self, invariant: int, message: str) -> None:
        self.world.timeline.add(self.world.loop.elapsed, "INVARIANT", f"{invariant} is broken: {message}")
        self.violations.append(ViolationError(invariant, message))

    # What is remembered

    def on_look(self, frame: Frame) -> None:
        assert frame.finished is not None
        self.looks[frame.chain, frame.finished] = frame
        self.revoking.on_look(frame)

    def on_document(self, document: Document | None) -> None:
        self.revoking.on_document(document)

    def on_row(self, partition: str, key: str, frame: Frame | None) -> None:
        if partition == "targets" and frame is not None and frame.chain == key and frame.finished is not None:
            remembered = self.oracle.remembered.setdefault(key, [])
            if frame not in remembered:
                remembered.append(frame)
                self._check_rejections_noticed(frame)

    def _check_rejections_noticed(self, frame: Frame) -> None:
        """A rejection made with other tools is a person's decision, from the first look that shows it."""
        rules, now = self._latest_rules(), frame.finished
        rejected = [one for one in frame.connections or () if one.status.value == "Rejected"]
        if rules is None or now is None or not rejected:
            return
        chain = self.oracle.chains.get(frame.chain) or Chain()
        for connection in rejected:
            name, target = low(connection.id), Target(connection.id.parent)
            ours = [t for t in chain.intents.values() if t.connection == name and t.action != "approve"]
            if any(t.outcome != "not_written" for t in ours) or any(p.connection == name for p in chain.people):
                continue
            asked = {
                one.description
                for look in self.oracle.remembered[frame.chain]
                for one in look.connections or ()
                if one.id == connection.id and one.status.value == "Pending"
            }
            for link in self.oracle.read_links(frame):
                concerned = self.oracle.is_known(link, rules) and (not asked or link.request_message in asked)
                if concerned and link.target == target and self.oracle.fits_name(connection, link, rules, target):
                    self.broken(4, f"{connection.id.name} is seen Rejected, and no person's decision is recorded")
                    return

    def on_state_lost(self) -> None:
        self.oracle.forget()

    # What is recorded

    def on_record(self, process: Process, record: Record, text: str) -> None:
        entry = record.entry
        self.world.timeline.add(self.world.loop.elapsed, process.name, f"records {_summary(record)}")
        self.counts[f"record {entry.kind.value}"] += 1
        check = self._checks.setdefault(entry.chain, ChainCheck(entry.chain))
        for fault in check.see(record):
            self.broken(5, fault.message)
        if extra := set(entry.body) - FIELDS.get(entry.kind, frozenset()) | set(entry.inputs or ()) - INPUTS:
            self.broken(7, f"fields that the ledger does not have: {sorted(extra)}")
        if CANARY in text:
            self.broken(7, "a secret is in the ledger")
        self._once(record)
        chain = self.oracle.chains.setdefault(entry.chain, Chain())
        chain.add(record.as_json())
        if entry.kind is RecordKind.OUTCOME:
            self._check_outcome(chain.intents[str(entry.body["decision"])])
        if entry.kind is RecordKind.INTENT and "revokes" in entry.body:
            if wrong := self.revoking.on_intent(chain.intents[str(entry.body["decision"])]):
                self.broken(7, wrong)
        elif entry.kind is RecordKind.INTENT:
            self._keep_budget(chain.intents[str(entry.body["decision"])] if "undoes" in entry.body else None, record)

    def _check_outcome(self, told: Told) -> None:
        """Confirmed is what the link itself shows, with no rival approved beside it; ambiguous, with one."""
        self.counts[told.outcome] += told.action == "approve"
        if told.action != "approve" or told.outcome not in {"confirmed", "ambiguous"}:
            return
        if self._is_the_portals(told.connection):
            self.broken(5, f"{_short(told.connection)} was approved in the portal, and the ledger calls it {told.outcome}")
        if told.link is None:
            return
        frame, rules = FRAME.get(), self._latest_rules()
        link = find_link(frame, told.link) if frame else None
        if frame is None or frame.finished is None or link is None or link.status.value != "Approved" or not told.may_be(link):
            self.broken(6, f"{_short(told.connection)} is {told.outcome}, and its link does not show it")
            return
        rivals = [
            one.id.name
            for one in frame.connections or ()
            if one.status.value in {"Approved", "Approving"}
            and low(one.id) != told.connection
            and self.oracle.could_be(one, link, rules, Target(one.id.parent), frame.finished, told)
            and not self.oracle.explained(one, link, Target(one.id.parent), before=1 << 60, waits_too=False)
        ]
        if bool(rivals) is not (told.outcome == "ambiguous"):
            self.broken(6, f"{_short(told.connection)} is {told.outcome}, and its approved rivals are {rivals}")

    def _once(self, record: Record) -> None:
        """Two workers never leave two records of one decision."""
        body, kind = record.entry.body, record.entry.kind
        if "evidence_digest" not in body:
            return
        key = (record.entry.chain, str(body["subject"]))
        if "human_decision" in body:
            self._last.pop(key, None)
            return
        said = (kind, body["evidence_digest"], body["verdict"], tuple(body["codes"]))  # type: ignore[arg-type]
        if kind is RecordKind.HOLD and self._last.get(key) == said:
            self.broken(5, f"one decision about {_short(key[1])} is recorded twice")
        if kind is RecordKind.INTENT:
            chain = self.oracle.chains.get(record.entry.chain)
            connection = low(body["connection"])
            if chain and any(t.connection == connection and t.open and not t.by_person for t in chain.approvals()):
                self.broken(5, f"two open intents to approve {_short(connection)}")
        self._last[key] = said

    def _keep_budget(self, undo: Told | None, record: Record) -> None:
        if undo is not None:
            if undo.action == "reject":
                others = [at for at, approval in self._taken_back if approval != undo.undoes and abs(undo.at - at) < HOUR]
                if others:
                    self.broken(7, "two approvals are taken back within an hour")
                self._taken_back.append((undo.at, undo.undoes))
            return
        told = self.oracle.chains[record.entry.chain].intents[next(reversed(self.oracle.chains[record.entry.chain].intents))]
        if told.by_person or told.clock is None:
            return
        for key, limit in ((record.entry.chain, self.story.per_target), ("", self.story.per_hour)):
            taken = self._approved_at[key]
            taken.append(told.clock)
            near = sorted(taken)
            if any(near[place + limit] - near[place] < HOUR for place in range(len(near) - limit)):
                self.broken(7, f"more than {limit} approvals an hour{' of one target' if key else ''}")

    # What is written

    def on_write(
        self, process: Process, connection: ArmId, status: Literal["Approved", "Rejected", "Deleted"], description: str
    ) -> Sent:
        action = {"Approved": "approve", "Rejected": "reject", "Deleted": "delete"}[status]
        target = Target(connection.parent)
        chain = self.oracle.chain(target)
        used = {sent.intent.decision for sent in self.sent}
        intents = [t for t in chain.intents.values() if t.connection == low(connection) and t.action == action]
        fresh = [t for t in intents if t.open and t.decision not in used]
        if not fresh:
            self.broken(5, f"{status} is written to {connection.name} by {process.name} with no fresh intent")
            fresh = [*intents] or [_nothing(connection, action)]
        sent = Sent(fresh[-1], connection, status)
        self.sent.append(sent)
        self.counts[f"write {status}{' by a person' if sent.intent.by_person else ''}"] += 1
        if not process.enforce:
            self.broken(1, "something is written in observe mode")
        if status != "Deleted" and not (description.startswith(f"lg:{sent.intent.decision}") and len(description) <= 140):
            self.broken(5, "the description does not name the decision")
        if status == "Approved":
            self._check_rules_again()
            if not sent.intent.by_person:
                self._check_evidence(sent, target)
                sent.race = self._race(sent)
        elif sent.intent.revokes:
            if self._is_the_portals(low(connection)):
                self.broken(4, "what was approved in the portal is revoked")
            for objection in self.revoking.objections(sent.intent, connection):
                self.broken(8, f"{connection.name} is revoked although {objection}")
        elif not sent.intent.by_person:
            self._check_taking_back(sent, target)
        return sent

    def _rules(self, text: str) -> Rules:
        return self.editor.meaning[text]

    def _check_rules_again(self) -> None:
        """The allowlist is read again before each PUT."""
        read = DOCUMENT.get()
        if read is None or read.document is None:
            self.broken(1, "approved without a readable allowlist")
        elif (rules := self._rules(read.document.text)).paused or not rules.valid:
            self.broken(1, "approved under a paused or invalid allowlist")

    def _check_evidence(self, sent: Sent, target: Target) -> None:
        frame, read, intent = FRAME.get(), DOCUMENT.get(), sent.intent
        if frame is None or frame.finished is None or frame.started is None or intent.link is None or not intent.sequence:
            self.broken(1, "approved without a look")
            return
        if read is None or read.document is None:
            return  # Said already.
        rules, now = self._rules(read.document.text), self.world.now()
        earlier = self.oracle.earlier(frame, target)
        objections = self.oracle.objections(frame, earlier, sent.connection, intent.link, rules, target, before=intent.sequence)
        since = self.oracle.settled_since(frame, sent.connection, intent.link, rules, target)
        if since is None or frame.started - since < self.oracle.settle:
            objections.append("it has not settled")
        if read.at < intent.at - timedelta(seconds=1):
            objections.append("the allowlist was not read again")
        if now - frame.finished > timedelta(seconds=2 * ARM_TIMEOUT):
            objections.append("the look is too old")
        if objections:
            self.broken(1, f"{sent.connection.name} is approved although: {'; '.join(objections)}")

    def _is_the_portals(self, connection: str) -> bool:
        """Whether the write that Azure carried out was a person's in the portal, whatever of ours was on its way."""
        true = next((one for id_, one in self.world.connections.items() if low(id_) == connection), None)
        return true is not None and true.last_approved_by == "portal"

    def _true_link(self, intent: Told) -> TrueLink | None:
        """The life that an intent was for."""
        lives = [one for one in self.world.lives if low(one.link.id) == intent.link and one.created_at <= intent.at]
        return lives[-1] if lives else None

    def _race(self, sent: Sent) -> int:
        """0 where the connection is the link's own; else which of the races that are named it is."""
        true, link = self.world.connections.get(sent.connection), self._true_link(sent.intent)
        if true is None or link is None or true.owner is link:
            return 0
        frame = FRAME.get()
        listed = {one.id for one in (frame.connections or ())} if frame else set()
        race = 0
        if link.genuine_lost:
            race = 1
        elif self.story.late and not any(one.connection.id in listed for one in link.connections):
            race = 2
        if not race:
            self.broken(2, f"{sent.connection.name}, {whose(true)}, is approved for {link.link.id.name}, life {link.life}")
            return -1
        self.counts[f"race {race}"] += 1
        return race

    def on_written(self, sent: Sent) -> None:
        sent.done = True
        self.counts[f"done {sent.status}"] += 1
        if sent.intent.revokes:
            self.world.happened.note("an approval revoked")

    def _check_taking_back(self, sent: Sent, target: Target) -> None:
        intent, chain, frame = sent.intent, self.oracle.chain(target), FRAME.get()
        approval = chain.intents.get(intent.undoes)
        if approval is None or frame is None or frame.finished is None:
            self.broken(3, f"{sent.status} without an approval of ours to undo")
            return
        if approval.by_person or chain.adopted(low(sent.connection)) is not None:
            self.broken(4, "what a person approved is taken back")
        if not any(one.intent is approval for one in self.sent):
            self.broken(4, "an approval that we did not write is taken back")
        if self._is_the_portals(low(sent.connection)):
            self.broken(4, "what was approved in the portal is taken back")
        looks = [*self.oracle.earlier(frame, target), frame][-ENOUGH:]
        since = approval.at
        if self.story.take_back == "never":
            self.broken(3, "something is taken back, though the policy is never")
        if frame.finished - since < timedelta(seconds=self.story.deadline):
            self.broken(3, "taken back before the deadline")
        rules = self._latest_rules()
        states = [self._contradiction(one, sent.connection, approval, rules, target) for one in looks]
        approved = [one for one in states if one != "not Approved"]
        if len(approved) < ENOUGH or (self.story.take_back == "contradiction" and "" in approved):
            self.broken(3, f"taken back by slowness alone: the last looks say {states}")
        true, link = self.world.connections.get(sent.connection), self._true_link(approval)
        genuine = true is not None and true.owner is link
        if genuine and self.story.take_back == "contradiction":
            self.counts["race 3"] += 1
        self.counts[f"taken back, {'genuine' if genuine else 'impostor'}"] += 1

    def _latest_rules(self) -> Rules | None:
        read = DOCUMENT.get()
        rules = self._rules(read.document.text) if read and read.document else None
        return rules if rules and rules.valid else None

    def _contradiction(self, frame: Frame, connection: ArmId, approval: Told, rules: Rules | None, target: Target) -> str:
        """Why one look contradicts an approval; "" where it does not."""
        found = next((one for one in frame.connections or () if one.id == connection), None)
        link = find_link(frame, approval.link or "")
        if found is None or found.status.value != "Approved":
            return "not Approved"
        if link is None or not approval.may_be(link) or frame.finished is None:
            return ""
        if link.status.value in {"Rejected", "Disconnected"}:
            return link.status.value
        others = [one for one in frame.connections or () if one.id != connection and one.status.value == "Pending"]
        rival = any(self.oracle.could_be(one, link, rules, target, frame.finished, approval) for one in others)
        return "Pending beside a rival" if link.status.value == "Pending" and rival else ""

    # What is told

    def on_told(self, name: str, fields: Mapping[str, Json], severity: str) -> None:
        """Telemetry has no secrets either."""
        if CANARY in canonical({"name": name, "fields": dict(fields), "severity": severity}):
            self.broken(7, f"a secret is told in {name}")

    def on_sweep(self, result: SweepResult) -> None:
        """What a sweep says."""
        self.revoking.on_sweep()
        for one in result.targets:
            self.on_result(one)
        told = Counter(finding.id for finding in result.all_findings)
        for id_, name in _NOTED.items():
            if told[id_]:
                self.world.happened.note(name)

    def on_result(self, result: TargetResult) -> None:
        """What a sweep says about one target."""
        frame = self.looks.get((result.target.id.key, result.looked_at))
        if frame is None:
            self.broken(5, "a result that rests on no look")
        else:
            self.on_looked(frame, [(finding.id.value, finding.about) for finding in result.findings])

    def on_looked(self, frame: Frame, findings: Sequence[tuple[str, str]]) -> None:
        """Pending connections that fit one link, listed together, are each told as critical.

        Not one whose approval is announced and may be under way: what becomes of it is found out first, and its rivals are
        told.
        """
        self._check_unexplained(frame, {about for id_, about in findings if id_ == FindingId.APPROVED_UNEXPLAINED.value})
        told = {about for id_, about in findings if id_ == FindingId.IMPOSTOR_SUSPECTED.value}
        chain = self.oracle.chains.get(frame.chain) or Chain()
        under_way = {intent.connection for intent in chain.approvals() if intent.open}
        told |= {one.id.key for one in frame.connections or () if low(one.id) in under_way}
        pending = [one for one in frame.connections or () if one.status.value == "Pending"]
        for _, service in frame.services.values():
            for link in service.links if service else ():
                if link.target is None or link.target.id.key != frame.chain:
                    continue
                named = [one for one in pending if self.oracle.fits_template(one, link, "{link}")]
                alike = [one for one in named if one.description == link.request_message]
                default = not any(spec.template for spec in self.story.rules)
                if default and len(alike) > 1 and (missing := [one for one in alike if one.id.key not in told]):
                    self.broken(7, f"{missing[0].id.name} is not alone, and no finding says so")

    def _check_unexplained(self, frame: Frame, told: set[str]) -> None:
        """What is Approved and explained by nobody is told at every look; nothing else is."""
        chain = self.oracle.chains.get(frame.chain) or Chain()
        for connection in frame.connections or ():
            if connection.status.value != "Approved":
                continue
            person = chain.adopted(low(connection.id))
            # As the step found the ledger, and as it is by now: in between, anybody may have added to it.
            then, now = (explanation(chain, connection, before=before) for before in (frame.length + 1, 1 << 60))
            if then is None and now is None and person is None and connection.id.key not in told:
                self.broken(7, f"{connection.id.name} is Approved, nothing explains it, and no finding says so")
            explained = then is not None and now is not None
            if connection.id.key in told and (explained or (person is not None and person.sequence <= frame.length)):
                self.broken(8, f"{connection.id.name} is said to be explained by nothing")

    # The end

    def at_end(self, swept: SweepResult, rules: Rules | None) -> None:
        """Long after people and faults have stopped, and after a last sweep."""
        self._check_writes()
        for chain, check in self._checks.items():
            for fault in check.end(self.stores.head(chain)):
                self.broken(5, fault.message)
            for record, _ in self.stores.chains[chain]:
                self._check_replay(record)
        if not swept.complete:
            self.broken(6, "the last sweep is not complete, though nothing fails any more")
        if rules is None:
            told = {finding.id for finding in swept.all_findings if finding.severity is Severity.CRITICAL}
            if FindingId.ALLOWLIST_UNREADABLE not in told:
                self.broken(7, "nobody is told that the allowlist is unreadable")
        results = {result.target: result for result in swept.targets}
        for target in self.oracle.watched(rules):
            if target not in results:
                self.broken(6, f"{target.id.name} is not looked at")
                continue
            self._check_end(results[target], rules)
        self._check_breaches(swept)
        self._check_drift(swept, rules)

    def _check_drift(self, swept: SweepResult, rules: Rules | None) -> None:
        results = {result.target: result for result in swept.targets}
        frames: list[Frame] = []
        for target in self.world.targets:
            if (result := results.get(target)) is None:
                if any(self._stands(told.connection) for told in self.oracle.chain(target).approvals()):
                    self.broken(8, f"{target.id.name}, on which an approval of ours stands, is not looked at")
                continue
            frame = self.looks[target.id.key, result.looked_at]
            frames.append(frame)
            links = CodeTruth(self.oracle, frame, rules, target, self.story).links()
            told = {(f.id, f.about, f.severity) for f in result.findings if f.id in OF_TARGETS}
            self._compare(told, Drifted(self.oracle, frame, rules, target, links).expected(), f" of {target.id.name}")
        document = self.editor_document
        if rules is None or document is None:
            return
        told = {(f.id, f.about, f.severity) for f in swept.findings if f.id in OF_THE_REST}
        self._compare(told, of_the_rest(self.oracle, rules, self.story, set(results), frames), "")
        for wrong in self.revoking.at_end(swept, rules, document):
            self.broken(8, wrong)

    def _stands(self, connection: str) -> bool:
        true = next((one for id_, one in self.world.connections.items() if low(id_) == connection), None)
        return true is not None and true.there and true.connection.status.value == "Approved"

    def _compare(self, told: set[Expected], expected: set[Expected], where: str) -> None:
        for id_, about, severity in sorted(expected - told):
            self.broken(8, f"no {severity.value} finding {id_.value} about {_short(about)}{where}")
        for id_, about, severity in sorted(told - expected):
            self.broken(8, f"{id_.value} ({severity.value}) is told about {_short(about)}{where}, and is not so")

    @property
    def editor_document(self) -> str | None:
        """The text of the allowlist as this task read it last."""
        read = DOCUMENT.get()
        return read.document.text if read and read.document else None

    def _check_replay(self, record: Record) -> None:
        replayed = replay(record)
        if replayed is not None and not replayed.same:
            self.broken(5, f"replaying gives {replayed.derived!r}, recorded is {replayed.recorded!r}")

    def _check_writes(self) -> None:
        for sent in self.sent:
            chain = self.oracle.chain(Target(sent.connection.parent))
            told = chain.intents.get(sent.intent.decision, sent.intent)
            later = [outcome for sequence, outcome in told.outcomes if sequence > told.sequence]
            if not later and not (told.action == "approve" and told.open):
                self.broken(5, f"the {told.action} of {_short(told.connection)} has no outcome")
            if sent.answered and not later and not _MAY_KEEP_AN_ANSWER_FROM_THE_LEDGER & set(self.story.faults):
                self.broken(5, f"Azure answered the {told.action} of {_short(told.connection)}, and no outcome says so")
            true = self.world.connections.get(sent.connection)
            there = true is not None and true.there and true.connection.status.value == "Approved"
            # Of two that were sent and not answered nobody can tell which one it was: one of them must be on record as there.
            newest = chain.newest_approval(told.connection)
            denied = newest is None or newest.outcome in {"not_written", "abandoned"}
            if told.action == "approve" and sent.done and there and denied:
                self.broken(5, f"{_short(told.connection)} is Approved by us, and the ledger says {told.outcome}")

    def _check_end(self, result: TargetResult, rules: Rules | None) -> None:
        frame = self.looks[result.target.id.key, result.looked_at]
        truth = CodeTruth(self.oracle, frame, rules, result.target, self.story)
        reports = {low(report.connection): report for report in result.decisions if report.connection is not None}
        for connection in frame.connections or ():
            report = reports.get(low(connection.id))
            if report is None:
                self.broken(6, f"nothing is said about {connection.id.name}")
            else:
                self._check_report(report, truth, frame, rules, result)
        for report in result.decisions:
            for reason in report.reasons:
                if (lie := truth.lie(report, reason)) is not None:
                    self.broken(6, f"{_short(low(report.connection or report.link))} has {reason.code.value}, but {lie}")
        if result.waiting and not truth.waits():
            self.broken(6, f"{result.target.id.name} waits for nothing")
        self._check_findings(result, frame, rules)

    def _check_report(
        self, report: DecisionReport, truth: CodeTruth, frame: Frame, rules: Rules | None, result: TargetResult
    ) -> None:
        """An allowed, unambiguous connection does not stay Pending."""
        connection = next(one for one in frame.connections or () if one.id == report.connection)
        if connection.status.value != "Pending" or not self.world.enforce or rules is None or self._budget_is_spent(result):
            return
        for link in truth.fitting(connection):
            earlier = self.oracle.earlier(frame, result.target)
            if find_link(frame, low(link.id)) is None:
                continue
            if not self.oracle.objections(frame, earlier, connection.id, low(link.id), rules, result.target, before=1 << 60):
                codes = " ".join(reason.code.value for reason in report.reasons)
                self.broken(6, f"{connection.id.name} is allowed and alone, and still Pending: {report.verdict} {codes}")

    def _budget_is_spent(self, result: TargetResult) -> bool:
        return any(reason.code.value == "budget_spent" for report in result.decisions for reason in report.reasons)

    def _check_findings(  # noqa: C901, PLR0912  one finding after the other
        self, result: TargetResult, frame: Frame, rules: Rules | None
    ) -> None:
        target, now = result.target, result.looked_at
        told = {(f.id, f.about) for f in result.findings if f.severity is Severity.CRITICAL}
        truth = CodeTruth(self.oracle, frame, rules, target, self.story)
        expected: set[tuple[FindingId, str]] = set()
        for connection in frame.connections or ():
            if connection.status.value == "Pending" and truth.is_ambiguous(connection):
                expected.add((FindingId.IMPOSTOR_SUSPECTED, connection.id.key))
        chain = self.oracle.chain(target)
        here = {low(one.id): one for one in frame.connections or ()}
        for intent in chain.approvals():
            found = here.get(intent.connection)
            approved = found is not None and found.status.value == "Approved"
            if intent.open and found is not None and now - intent.at > timedelta(seconds=self.story.deadline + 600):
                if not any(about == intent.decision for _, about in told):
                    expected.add((FindingId.APPROVAL_UNCONFIRMED, intent.decision))
                if approved and truth.is_confirmed(intent):
                    self.broken(6, f"{_short(intent.connection)} and its link are Approved, and it is not confirmed")
            if intent.outcome == "ambiguous" and approved and chain.adopted(intent.connection) is None:
                expected.add((FindingId.APPROVAL_AMBIGUOUS, intent.decision))
        for true in self.world.links.values():
            undo = chain.quarantine(true.link, before=1 << 60) if true.link.target == target else None
            if undo is None or undo.revokes or chain.intents[undo.undoes].outcome == "confirmed":
                continue
            if not any(about == undo.undoes for _, about in told):
                expected.add((FindingId.APPROVAL_TAKEN_BACK, undo.undoes))
        for id_, about in sorted(expected - told):
            self.broken(7, f"no critical finding {id_.value} about {_short(low(about))}")
        for id_, about in sorted(told - expected):
            if id_ is FindingId.IMPOSTOR_SUSPECTED:
                self.broken(6, f"an impostor is suspected beside {_short(low(about))}, which is alone")

    def _check_breaches(self, swept: SweepResult) -> None:
        """Each race ends confirmed, taken back by its rule, or with a critical finding that stands."""
        critical = {(f.target, f.about) for f in swept.all_findings if f.severity is Severity.CRITICAL}
        for sent in self.sent:
            true = self.world.connections.get(sent.connection)
            if sent.race <= 0 or not sent.done or true is None or not true.there:
                continue
            if true.connection.status.value != "Approved":
                continue
            intent = sent.intent
            about = {intent.decision, sent.connection.key}
            stands = any(one in about for _, one in critical) or self._is_named(sent.connection, swept)
            if intent.outcome in {"confirmed", "taken_back"} or stands:
                self.counts[f"race {sent.race} ended {intent.outcome or 'open'}"] += 1
                continue
            self.broken(2, f"race {sent.race} on {sent.connection.name} ends {intent.outcome or 'open'} with no critical finding")

    @staticmethod
    def _is_named(connection: ArmId, swept: SweepResult) -> bool:
        """Whether a critical finding stands that names the connection as the one that may be an impostor."""
        suspected = {finding.about for finding in swept.all_findings if finding.id is FindingId.IMPOSTOR_SUSPECTED}
        return any(
            report.connection is not None
            and report.connection.key in suspected
            and any(low(connection) in fact.lower() for reason in report.reasons for fact in reason.facts.values())
            for report in swept.decisions
        )


def _nothing(connection: ArmId, action: str) -> Told:
    return Told(
        decision="",
        sequence=0,
        action=action,
        connection=low(connection),
        link=None,
        created_at=None,
        by_person=False,
        undoes="",
        at=START,
        clock=None,
    )


def _short(text: str) -> str:
    return text.rpartition("/")[2].lower()


def _summary(record: Record) -> str:
    body, kind = record.entry.body, record.entry.kind
    match kind:
        case RecordKind.OUTCOME:
            return f"outcome {body['outcome']} of {body['action']} {_short(str(body['connection']))}: {body['why']}"
        case RecordKind.HUMAN:
            return f"a person's {body['decision']} of {_short(str(body['connection']))}"
        case RecordKind.INTENT:
            intent = body["intent"]
            why = ", its rule is gone" if "revokes" in body else ", to take it back" if "undoes" in body else ""
            return f"intent to {intent['action']} {_short(str(intent['connection']))} ({str(body['decision'])[:8]}){why}"  # type: ignore[index,call-overload]
        case RecordKind.DRIFT:
            return f"drift {body['change']}: {body['finding']} {_short(str(body['about']))}"
        case _:
            codes = " ".join(str(code) for code in body.get("codes", ()))  # type: ignore[union-attr]
            return f"{body.get('verdict', kind.value)} {_short(str(body.get('subject', '')))}: {codes}"
