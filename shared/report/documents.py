"""What the commands answer: each a document, written as JSON field by field, or as text by the module named after it.

The JSON Schemas of the sweep's and the explanation's are in docs/schemas.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.arm_id import ArmId
from shared.core.finding import FindingId, Severity
from shared.core.ledger import JsonObject
from shared.core.model import Target
from shared.core.problem import Problem
from shared.core.reason import Reason
from shared.core.verdict import Mode, Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionItem:
    """One decision and what came of it."""

    target: Target
    connection: ArmId | None
    verdict: str
    """``approve``, ``hold``, ``wait`` or ``settled``."""
    outcome: str | None
    """``not_written``, ``sent``, ``confirmed``, ``ambiguous`` or ``taken_back``; None where nothing was to be written."""
    reasons: tuple[Reason, ...]
    rule: str | None
    link: ArmId | None
    decision_id: str
    evidence: Strength | None
    """Of what is or would be approved."""
    state: str | None
    """The connection's status as Azure says it, None where there is no connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingItem:
    """One finding."""

    id: FindingId
    severity: Severity
    target: str
    """"" where it is about no one target."""
    message: str
    facts: dict[str, str]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepDocument:
    """``linkguard sweep``."""

    complete: bool
    mode: Mode
    dry_run: bool
    started: datetime
    finished: datetime
    decisions: tuple[DecisionItem, ...]
    findings: tuple[FindingItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One thing that the link and the connection both speak of."""

    what: str
    link: str | None
    connection: str | None
    agrees: bool | None
    """None where there is nothing to compare."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalItem:
    """Another link or connection that fits as well."""

    id: ArmId
    gone: bool
    """Whether it has vanished, within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleItem:
    """A rule that was considered."""

    id: str
    effect: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedItem(DecisionItem):
    """One decision with what it was made from."""

    comparison: tuple[Comparison, ...]
    facts: dict[str, str]
    """What else speaks for or against it, by name."""
    rivals: tuple[RivalItem, ...]
    rules: tuple[RuleItem, ...]
    """Every rule about the service and the target, the most specific first."""
    next: tuple[str, ...]
    """What to type next."""
    inputs: JsonObject
    """All that the decision was made from, as a ledger record holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistItem:
    """The allowlist that was in force."""

    source: str
    digest: str
    paused: bool
    problem: str
    """Why it cannot be used; "" where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainDocument:
    """``linkguard explain``."""

    target: Target
    connection: ArmId | None
    """The connection that was asked about, None where it was the whole target."""
    mode: Mode
    at: datetime
    """When the look ended, by Azure's clock."""
    allowlist: AllowlistItem
    decisions: tuple[ExplainedItem, ...]
    findings: tuple[FindingItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandItem:
    """A person's decision about one connection, and what came of it."""

    connection: ArmId
    decision: str
    record: str | None
    """The id of the ledger's record, None where nothing was recorded."""
    written: bool
    """Whether Azure accepted a write."""
    ok: bool
    """Whether all that was to be done was done."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandDocument:
    """``linkguard decide``."""

    by: str
    """The object id of the identity that decided."""
    decisions: tuple[HandItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRemark:
    """Something about a rule that is valid and that its author should know."""

    rule: str
    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistDocument:
    """``linkguard allowlist check``."""

    file: str
    valid: bool
    digest: str | None
    paused: bool | None
    rules: int | None
    problems: tuple[Problem, ...]
    remarks: tuple[RuleRemark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChangeItem:
    """One rule that is not the same in both allowlists."""

    rule: str
    change: str
    """``added``, ``removed`` or ``changed``."""
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChangeItem:
    """A link of the last sweep that the rules treat differently."""

    link: ArmId
    target: Target
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChangeItem:
    """The ledger's last decision about something, that would come out differently."""

    record: str
    about: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistDiffDocument:
    """``linkguard allowlist diff``."""

    old: str
    new: str
    same: bool
    rules: tuple[RuleChangeItem, ...]
    links: tuple[LinkChangeItem, ...]
    decisions: tuple[DecisionChangeItem, ...]
    links_seen: int | None
    """Of the last sweep; None where only the rules were compared."""
    decisions_seen: int | None
    """Of the ledger; None likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingItem:
    """One setting as it counts."""

    name: str
    value: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckItem:
    """One thing that was tried."""

    name: str
    ok: bool
    message: str
    advice: str
    """What to do where it is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """``linkguard config check``."""

    ok: bool
    settings: tuple[SettingItem, ...]
    checks: tuple[CheckItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordItem:
    """A record of the ledger, without what it was made from."""

    chain: str
    sequence: int
    id: str
    kind: str
    at: datetime
    summary: str
    body: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerListDocument:
    """``linkguard ledger list``: oldest first."""

    total: int
    """How many records match."""
    records: tuple[RecordItem, ...]
    """The newest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerShowDocument:
    """``linkguard ledger show``: whole records, oldest first."""

    records: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultItem:
    """One thing that is wrong with a chain."""

    chain: str
    sequence: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyDocument:
    """``linkguard ledger verify``."""

    ok: bool
    chains: int
    records: int
    faults: tuple[FaultItem, ...]
    anchors: int | None = None
    """How many anchors it was held to, None without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayItem:
    """A recorded decision beside what its inputs lead to now."""

    chain: str
    record: str
    at: datetime
    about: str
    """The connection, else the link; "" where the record names neither."""
    recorded: str
    derived: str
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDocument:
    """``linkguard ledger replay``."""

    same: bool
    allowlist: str | None
    """The file whose rules were used, None for those that were recorded."""
    decisions: tuple[ReplayItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoDocument:
    """``linkguard demo``."""

    ok: bool
    """Whether it ended as it must."""
    told: tuple[str, ...]
    """Every line, in the order in which it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDocument:
    """``linkguard request``."""

    message: str
    key_id: str | None
    expires: datetime | None
    link: ArmId | None
    command: str | None
    """What makes the link with this message, None where no link was named."""
