"""When an approval may end because its rule is gone: the brakes once more, from their description and in the world's own time.

What the rule asked for is looked up in the document that the approval was made under, what is Approved in the world itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.finding import FindingId, Severity
from shared.core.model import Target
from tests.simulation.frame import DOCUMENT, FRAME, SWEEP, Frame, Sweep
from tests.simulation.oracle import HOUR, Oracle, low
from tests.simulation.rules import Editor, Rules, digest_of, is_about
from tests.simulation.story import Story
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.arm_id import ArmId
    from shared.ports import Document
    from shared.services.results import SweepResult
    from tests.simulation.oracle import Told

MOST: Final = 3
"""So many may end by one change, and within an hour."""
_NOT_THERE: Final = frozenset({"not_written", "abandoned", "taken_back"})
SURE: Final = timedelta(minutes=1)
"""For so long a connection must have been Approved before a sweep began, to be sure that the sweep saw it so."""


@dataclass(slots=True)
class Revoking:
    """Watches what ends with its rule."""

    story: Story
    world: World
    oracle: Oracle
    editor: Editor
    seen: dict[str, list[tuple[Sweep, Frame]]] = field(default_factory=dict)
    """The looks of sweeps, by target."""
    ended: dict[str, datetime] = field(default_factory=dict)
    """When the ending of each approval was first announced, by the world's time."""
    ever_due: dict[str, set[str]] = field(default_factory=dict)
    """By document: the approvals that it would end, as they were at the end of some sweep."""

    # What is remembered

    def on_look(self, frame: Frame) -> None:
        if (sweep := SWEEP.get()) is not None:
            sweep.looked_at.add(frame.chain)
            self.seen.setdefault(frame.chain, []).append((sweep, frame))

    def on_document(self, document: Document | None) -> None:
        """A sweep that reads the allowlist has listed the subscriptions, and knows its targets."""
        sweep = SWEEP.get()
        if sweep is None or sweep.wanted is not None or document is None:
            return
        rules = self.editor.meaning[document.text]
        if rules.valid:
            wanted = self.oracle.watched(rules, made_before=sweep.started)
            sweep.wanted = frozenset(target.id.key for target in wanted)

    def on_sweep(self) -> None:
        read = DOCUMENT.get()
        if read is not None and read.document is not None:
            rules = self.editor.meaning[read.document.text]
            self.ever_due.setdefault(read.document.text, set()).update(told.decision for _, told in self.due(rules))

    # What is due

    def due(self, rules: Rules) -> Iterator[tuple[Target, Told]]:
        """Every approval of ours that stands, and whose rule is gone and asked for its end."""
        if not rules.valid:
            return
        for target in self.world.targets:
            chain = self.oracle.chain(target)
            for told in chain.approvals():
                stands = chain.newest_approval(told.connection) is told and self._stands(told) and self._is_ours(told, target)
                if stands and self.asks(told) and not self.is_named(told, target, rules):
                    yield target, told

    def _stands(self, told: Told) -> bool:
        there = (one for id_, one in self.world.connections.items() if low(id_) == told.connection)
        return told.outcome not in _NOT_THERE and any(one.there and one.approved_since is not None for one in there)

    def _is_ours(self, told: Told, target: Target) -> bool:
        return told.action == "approve" and not told.by_person and self.oracle.chain(target).adopted(told.connection) is None

    def asks(self, told: Told) -> bool:
        """Whether the rule that an approval was made by asked, then, for its end."""
        rules = self.editor.digests.get(told.allowlist)
        return any(spec.id == told.rule and spec.on_removal == "revoke" for spec in (rules.specs if rules else ()))

    def is_named(self, told: Told, target: Target, rules: Rules) -> bool:
        """Whether an allow rule, expired or not, names what an approval was for."""
        service = next((one for one in self.world.services if (told.link or "").startswith(f"{low(one)}/")), None)
        return service is None or any(not spec.deny and is_about(spec, service, target, self.world) for spec in rules.specs)

    # What is written

    def objections(self, intent: Told, connection: ArmId) -> Iterator[str]:
        """Every brake that should have kept an approval from being revoked now."""
        target = Target(connection.parent)
        approval, read = self.oracle.chain(target).intents.get(intent.revokes), DOCUMENT.get()
        if approval is None or approval.connection != low(connection) or approval.outcome in _NOT_THERE:
            yield "it was not approved by us"
            return
        if not self._is_ours(approval, target):
            yield "a person decided about it"
        if not self.asks(approval):
            yield "its rule did not ask for it"
        if not self._is_approved(FRAME.get(), connection):
            yield "the look does not show it Approved"
        if read is None or read.document is None:
            yield "the allowlist cannot be read"
        else:
            yield from self._of_version(approval, target, connection, read.document.text)

    def _of_version(self, approval: Told, target: Target, connection: ArmId, text: str) -> Iterator[str]:
        """What the allowlist, as it was read last before the write, has against it."""
        rules = self.editor.meaning[text]
        if not rules.valid or rules.paused:
            yield "the allowlist is paused or not valid"
        if self.is_named(approval, target, rules):
            yield "a rule names its service and target"
        if not self._seen_twice(target, connection, text):
            yield "no two sweeps an hour apart had seen so, under the same allowlist"
        ended = self._ended_under(text) | {approval.decision}
        if len(ended) > MOST:
            yield f"the change of the allowlist would end {len(ended)}"

    def _seen_twice(self, target: Target, connection: ArmId, text: str) -> bool:
        """Whether two sweeps that looked at everything saw the connection Approved, and its rule gone, an hour apart."""
        looks = [
            (sweep, look.finished)
            for sweep, look in self.seen.get(target.id.key, ())
            if look.finished is not None and sweep.is_complete and self._shows(look, connection, text)
        ]
        return any(one is not other and first + HOUR <= last for one, first in looks for other, last in looks)

    @staticmethod
    def _is_approved(frame: Frame | None, connection: ArmId) -> bool:
        here = (frame.connections or ()) if frame is not None else ()
        return any(one.id == connection and one.status.value == "Approved" for one in here)

    def _shows(self, look: Frame, connection: ArmId, text: str) -> bool:
        return look.document is not None and look.document.text == text and self._is_approved(look, connection)

    def _ended_under(self, text: str) -> set[str]:
        """The approvals that this version of the allowlist ends: those that it has ended, and those that stand."""
        rules, digest = self.editor.meaning[text], digest_of(text)
        ended: set[str] = set()
        for target in self.world.targets:
            for told in self.oracle.chain(target).intents.values():
                if told.revokes and told.allowlist == digest and told.outcome != "not_written":
                    ended.add(told.revokes)
        sweep = SWEEP.get()
        before = (sweep.started if sweep else self.world.now()) - SURE
        for _, told in self.due(rules):
            since = next(one.approved_since for id_, one in self.world.connections.items() if low(id_) == told.connection)
            if since is not None and since <= before:
                ended.add(told.decision)
        return ended

    def on_intent(self, intent: Told) -> str:
        """What is wrong with the number of approvals that end within an hour; "" where nothing is."""
        self.ended.setdefault(intent.revokes, self.world.now())
        times = sorted(self.ended.values())
        near = any(times[place + MOST] - times[place] < HOUR for place in range(len(times) - MOST))
        return f"more than {MOST} approvals are revoked within an hour" if near else ""

    # The end

    def at_end(self, swept: SweepResult, rules: Rules, text: str) -> Iterator[str]:
        """What is due and not said, or not done, long after everything has calmed down."""
        told = {(finding.id, finding.about): finding for finding in swept.all_findings}
        due = {one.decision: (target, one) for target, one in self.due(rules)}
        withheld = told.get((FindingId.REVOKE_WITHHELD, ""))
        ended = self._ended_under(text)
        ever = self.ever_due.get(text, set()) | ended
        if due and len(ended) > MOST and withheld is None:
            yield f"one change would end {len(due)} approvals, and nobody is told"
        if withheld is not None and len(ever) <= MOST:
            yield f"a revoking is withheld as if the change would end more than {MOST}"
        if withheld is not None and withheld.severity is not Severity.CRITICAL:
            yield "a revoking that is withheld is no more than a warning"
        abouts = {about for id_, about in told if id_ in {FindingId.REVOKE_DUE, FindingId.REVOKE_REFUSED}}
        if withheld is None:
            for target, one in due.values():
                yield from self._of_due(target, one, told, rules)
        for about in abouts - {self._key(one) for _, one in due.values()}:
            yield f"{about.rpartition('/')[2]} is said to be due, and is not"

    def _of_due(self, target: Target, one: Told, told: Mapping[tuple[FindingId, str], object], rules: Rules) -> Iterator[str]:
        key, name = self._key(one), one.connection.rpartition("/")[2]
        tries = {t.action for t in self.oracle.chain(target).intents.values() if t.revokes == one.decision}
        if (FindingId.REVOKE_REFUSED, key) in told:
            if tries != {"reject", "delete"}:
                yield f"{name} is said to be impossible to revoke, and only {sorted(tries)} were tried"
        elif (FindingId.REVOKE_DUE, key) not in told:
            yield f"{name} is due to be revoked, and nothing says so"
        elif self.world.enforce and not rules.paused:
            yield f"{name} is due to be revoked, and is not"

    def _key(self, told: Told) -> str:
        return next(id_.key for id_ in self.world.connections if low(id_) == told.connection)
