"""What another allowlist would change: in its rules, for the links of the last sweep, and in the decisions of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import Effect
from shared.core.arm_id import ArmId
from shared.core.errors import LedgerBrokenError
from shared.core.ledger import RecordKind
from shared.core.model import Target
from shared.core.wire import from_json
from shared.services.replay import replay
from shared.services.snapshot import SNAPSHOT, Snapshot, SubscriptionView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.core.allowlist import Allowlist, Rule
    from shared.core.ledger import Record
    from shared.core.model import Link
    from shared.ports import Ledger, StateStore

NOT_ALLOWED: Final = "not allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One rule that is not the same in both."""

    rule: str
    change: str
    """``added``, ``removed`` or ``changed``."""
    line: int
    """In the new document; in the old one where it was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """A link that one of them lets pass, or denies, and the other does not."""

    link: ArmId
    target: Target
    before: str
    """``allowed by <rule>``, ``denied by <rule>``, ``not allowed`` or ``paused``."""
    after: str

    @property
    def newly_allowed(self) -> bool:
        """Whether the new one lets it pass and the old one does not."""
        return self.after.startswith("allowed") and not self.before.startswith("allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """The last decision about something, that would come out differently."""

    record: str
    chain: str
    about: str
    """The connection, else the link."""
    before: str
    """The verdict and the codes of its reasons, under the old allowlist."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistDiff:
    """Everything that changes."""

    rules: tuple[RuleChange, ...]
    links: tuple[LinkChange, ...]
    decisions: tuple[DecisionChange, ...]
    links_seen: int
    decisions_seen: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.rules or self.links or self.decisions)


def diff_rules(old: Allowlist, new: Allowlist) -> tuple[RuleChange, ...]:
    """By their ids, in the new document's order; rules that were removed come last. Where a rule stands is no part of it."""
    before, after = ({rule.id: rule for rule in allowlist.rules} for allowlist in (old, new))
    changes = [
        RuleChange(rule=rule.id, change="changed" if rule.id in before else "added", line=rule.line)
        for rule in new.rules
        if rule.id not in before or _content(before[rule.id]) != _content(rule)
    ]
    removed = (RuleChange(rule=rule.id, change="removed", line=rule.line) for rule in old.rules if rule.id not in after)
    return (*changes, *removed)


def _content(rule: Rule) -> tuple[object, ...]:
    """What a rule says, defaults filled in."""
    names = (one for one in rule.__dataclass_fields__ if one not in {"line", "text"})
    return tuple(getattr(rule, name) for name in names)


def standing(allowlist: Allowlist, link: Link, target: Target, now: datetime) -> str:
    """What the rules alone say of a link: its evidence is another question."""
    if allowlist.paused:
        return "paused"
    holding = [rule for rule in allowlist.about(link.signalr, target) if not rule.expired(now)]
    for rule in holding:
        if rule.effect is Effect.DENY:
            return f"denied by {rule.id}"
    for rule in holding:
        if rule.request_message is None or rule.request_message == link.request_message:
            return f"allowed by {rule.id}"
    return NOT_ALLOWED


async def diff(old: Allowlist, new: Allowlist, ledger: Ledger, state: StateStore, now: datetime) -> AllowlistDiff:
    """Compare two allowlists on what the last sweep saw and what was decided.

    Raises:
        StoreError: where the stores cannot be read.

    """
    snapshot = await _last_snapshot(state)
    links = [(link, link.target) for service in snapshot.services.values() for link in service.links]
    changed = [
        LinkChange(link=link.id, target=target, before=before, after=after)
        for link, target in links
        if target is not None and (before := standing(old, link, target, now)) != (after := standing(new, link, target, now))
    ]
    last = await _last_decisions(ledger)
    decided = [one for record in last for one in _decision_change(record, old, new)]
    return AllowlistDiff(
        rules=diff_rules(old, new),
        links=tuple(sorted(changed, key=lambda one: one.link)),
        decisions=tuple(decided),
        links_seen=sum(target is not None for _, target in links),
        decisions_seen=len(last),
    )


async def _last_snapshot(state: StateStore) -> Snapshot:
    views: dict[str, SubscriptionView] = {}
    for subscription, row in (await state.rows(SNAPSHOT)).items():
        try:
            views[subscription] = from_json(SubscriptionView, row.value)
        except LedgerBrokenError:
            continue  # Of another version of the program: the next sweep writes it anew.
    return Snapshot(views)


async def _last_decisions(ledger: Ledger) -> list[Record]:
    """The newest decision about each connection or link."""
    newest: dict[tuple[str, str], Record] = {}
    for chain in await ledger.chains():
        async for record in ledger.records(chain, kinds=(RecordKind.INTENT, RecordKind.HOLD)):
            if record.entry.inputs is not None and "evidence" in record.entry.inputs:
                newest[chain, _about(record)] = record
    return list(newest.values())


def _about(record: Record) -> str:
    about = record.entry.body.get("connection") or record.entry.body.get("link")
    return about if isinstance(about, str) else ""


def _decision_change(record: Record, old: Allowlist, new: Allowlist) -> Iterator[DecisionChange]:
    before, after = replay(record, old), replay(record, new)
    if before is not None and after is not None and before.derived != after.derived:
        yield DecisionChange(
            record=record.entry.id,
            chain=record.entry.chain,
            about=_about(record),
            before=before.derived,
            after=after.derived,
        )
