"""Every brake on revoking by itself. What a sweep makes of them: tests/services/test_revoke.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.allowlist import Effect, IdPattern, OnRemoval
from shared.core.drift import unruled
from shared.core.history import NOT_OURS, Action, Outcome
from shared.core.model import ConnectionStatus, LinkStatus
from shared.core.revoke import Keep, Revoke, RevokeEvidence, judge_revocation
from shared.core.verdict import Mode
from tests.core.cases import HOUR, NOW, Watcher, a_connection, a_history, a_link, a_rule, an_allowlist, an_approval, service_id

CONNECTION = a_connection(status=ConnectionStatus.APPROVED)
LINK = a_link(status=LinkStatus.APPROVED)
APPROVAL = an_approval(CONNECTION, LINK, Outcome.CONFIRMED)
DUE = RevokeEvidence(
    approval=APPROVAL,
    rule=a_rule(on_removal=OnRemoval.REVOKE),
    connection=CONNECTION,
    still_allowed_by=(),
    adopted=False,
    allowlist_digest="d2",
    paused=False,
    mode=Mode.ENFORCE,
    first_seen=NOW - HOUR,
    last_seen=NOW,
    by_this_change=3,
    clock=NOW,
)
"""What is to be revoked: no brake is on."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"adopted": True}, "a person decided"),
        ({"approval": replace(APPROVAL, by_person=True)}, "a person decided"),
        ({"approval": replace(APPROVAL, action=Action.REJECT)}, "not of this connection"),
        ({"connection": a_connection(number=2, status=ConnectionStatus.APPROVED)}, "not of this connection"),
        *(({"approval": replace(APPROVAL, outcome=outcome)}, f"our approval is {outcome.value}") for outcome in sorted(NOT_OURS)),
        ({"rule": a_rule()}, "did not ask"),
        ({"rule": None}, "did not ask"),
        ({"still_allowed_by": ("expired-long-ago",)}, "expired-long-ago names its service and target"),
        *(
            ({"connection": replace(CONNECTION, status=status)}, f"the connection is {status.value}")
            for status in ConnectionStatus
            if status is not ConnectionStatus.APPROVED
        ),
        ({"paused": True}, "paused"),
        ({"mode": Mode.OBSERVE}, "observe"),
        ({"first_seen": NOW - HOUR + timedelta(seconds=1)}, "not before"),
        ({"first_seen": NOW}, "not before"),
        ({"by_this_change": 4}, "more than 3"),
    ],
)
def test_each_brake_alone_keeps_an_approval(change: dict[str, Any], reason: str) -> None:
    """And says why."""
    assert judge_revocation(DUE) == Revoke()
    kept = judge_revocation(replace(DUE, **change))
    assert isinstance(kept, Keep)
    assert len(kept.reasons) == 1
    assert reason in kept.reasons[0]
    assert kept.withheld is ("by_this_change" in change)


def test_every_reason_is_told() -> None:
    """However many there are."""
    kept = judge_revocation(replace(DUE, adopted=True, paused=True, mode=Mode.OBSERVE, by_this_change=9))
    assert isinstance(kept, Keep)
    assert len(kept.reasons) == 4


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ([a_rule(id="another")], False),
        ([a_rule(expires=(NOW - timedelta(days=400)).date())], False),
        ([a_rule(id="deny", effect=Effect.DENY)], True),
        ([a_rule(signalr=IdPattern(service_id("fabrikam-signalr")))], True),
    ],
)
def test_a_rule_is_gone_once_no_allow_rule_names_its_pair(rules: list[Any], *, gone: bool) -> None:
    """Expiry is no removal; a deny rule allows nothing."""
    watcher = Watcher(allowlist=an_allowlist(*rules), history=a_history(APPROVAL))
    assert list(unruled(watcher.look([LINK], [CONNECTION]))) == ([APPROVAL] if gone else [])


def test_only_approvals_of_our_own_are_ever_due() -> None:
    """Not a person's, not an adopted one, not one whose connection is no longer Approved."""
    nothing = an_allowlist(a_rule(id="deny", effect=Effect.DENY))
    for connection, approval, adopted in (
        (CONNECTION, replace(APPROVAL, by_person=True), {}),
        (CONNECTION, APPROVAL, {CONNECTION.id: APPROVAL.incarnation}),
        (replace(CONNECTION, status=ConnectionStatus.REJECTED), APPROVAL, {}),
        (CONNECTION, replace(APPROVAL, outcome=Outcome.TAKEN_BACK), {}),
    ):
        watcher = Watcher(allowlist=nothing, history=a_history(approval, adopted=adopted))
        assert list(unruled(watcher.look([LINK], [connection]))) == []
