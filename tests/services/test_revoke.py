"""Revoking: only behind every brake, and then exactly once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.errors import AzureRefusedError, AzureUnavailableError
from shared.core.finding import FindingId
from shared.core.history import Action, HumanDecision, Outcome
from shared.core.ledger import RecordKind
from shared.core.model import ConnectionStatus
from shared.core.reason import Code
from shared.core.verdict import Mode
from shared.services.allowlist import load_allowlist
from shared.services.budget import Limit
from shared.services.human import decide_by_hand
from shared.services.replay import replay
from shared.services.revoke import REVOCATIONS, REVOKING, note_unruled, revoke_removed
from shared.services.sweep import sweep
from tests.engines import MESSAGE, Estate, Worker, a_rule, make_engine

if TYPE_CHECKING:
    from shared.ports import Clock

HOUR = 3601


async def estate_of(count: int, **rule: Any) -> tuple[Estate, Worker]:  # noqa: ANN401  any key of a rule
    """So many sites, each with one link approved by us under a rule that asks for revoking."""
    estate = Estate()
    targets = [estate.target, *(estate.azure.add_site(f"site-{n}") for n in range(1, count))]
    keys = {"on_removal": "revoke"} | rule
    estate.allow(*(a_rule(estate.service, target, f"rule-{n}", **keys) for n, target in enumerate(targets)))
    for n, target in enumerate(targets):
        estate.azure.add_pair(estate.service, target, f"link-{n}")
    worker = estate.worker()
    for _ in range(3):
        estate.clock.advance(31)
        await sweep(worker.engine)
    assert len(estate.azure.approved()) == count
    return estate, worker


async def swept(worker: Worker, after: float) -> list[str]:
    worker.estate.clock.advance(after)
    result = await sweep(worker.engine)
    await worker.estate.check()
    return [finding.id.value for finding in result.all_findings]


async def test_a_removed_rule_is_revoked_after_two_sweeps_an_hour_apart() -> None:
    """Not at the first, not before the hour; announced, carried out once, and replayable from its record."""
    estate, worker = await estate_of(1)
    estate.allow()
    assert "revoke_due" in await swept(worker, 60)
    assert "revoke_due" in await swept(worker, 3000)
    assert len(estate.azure.approved()) == 1
    await swept(worker, 700)
    assert estate.azure.approved() == set()
    for _ in range(5):
        assert "revoke_due" not in await swept(worker, 600)
    assert [write.status for write in estate.azure.writes] == ["Approved", "Rejected"]
    records = [one async for one in estate.ledger.records(estate.target.id.key, kinds=(RecordKind.INTENT,))]
    replayed = replay(records[-1])
    assert replayed is not None
    assert (replayed.recorded, replayed.same) == ("Revoke", True)
    history = await estate.history()
    assert history.quarantines == {}
    assert not history.open_intents()


async def test_only_where_the_rule_asked_for_it() -> None:
    """``on_removal: report`` reports."""
    estate, worker = await estate_of(1, on_removal="report")
    estate.allow()
    for _ in range(4):
        assert "approved_not_allowed" in await swept(worker, HOUR)
    assert len(estate.azure.approved()) == 1


async def test_expiry_never_revokes() -> None:
    """The rule is there, and its last day is over."""
    estate, worker = await estate_of(1, expires="2027-01-04")
    for _ in range(30):
        await swept(worker, HOUR)
    assert len(estate.azure.approved()) == 1


async def test_another_version_of_the_allowlist_begins_the_hour_anew() -> None:
    """Two sweeps under the same digest."""
    estate, worker = await estate_of(1)
    for number in range(6):
        estate.allow(a_rule(estate.service, estate.azure.add_site(f"other-{number}"), f"another-{number}"))
        await swept(worker, 3000)
    assert len(estate.azure.approved()) == 1


async def test_a_change_that_would_revoke_more_than_three_revokes_none() -> None:
    """And an alarm says so; three are revoked."""
    estate, worker = await estate_of(4)
    estate.allow()
    for _ in range(4):
        assert "revoke_withheld" in await swept(worker, HOUR)
    assert len(estate.azure.approved()) == 4
    few, other = await estate_of(3)
    few.allow()
    await swept(other, HOUR)
    await swept(other, HOUR)
    assert few.azure.approved() == set()


async def test_at_most_three_an_hour() -> None:
    """Whatever they were for: what is due then waits until the hour is over."""
    estate, worker = await estate_of(1)
    estate.allow()
    await swept(worker, HOUR)
    limit = Limit(each_target=3, overall=3)
    for n, target in enumerate([estate.azure.add_site(f"other-{n}") for n in range(3)]):
        now = estate.clock.now() + timedelta(seconds=HOUR - 60)
        assert await worker.engine.budgets.reserve(REVOCATIONS, limit, f"decision-{n}", target, now) is None
    assert "revoke_due" in await swept(worker, HOUR)
    assert len(estate.azure.approved()) == 1
    await swept(worker, HOUR)
    assert estate.azure.approved() == set()


@pytest.mark.parametrize("change", ["paused", "another", "unreadable"])
async def test_the_allowlist_is_read_once_more_before_the_write(change: str) -> None:
    """Paused, changed or unreadable at the last moment: the intent is closed, and nothing is written."""
    estate, worker = await estate_of(1)
    estate.allow()
    await swept(worker, HOUR)
    appended = count(1)

    async def meddle(call: str, when: str) -> None:
        if (call, when) == ("ledger.append", "after") and next(appended) == 1:
            match change:
                case "paused":
                    estate.allow(paused=True)
                case "another":
                    estate.allow(a_rule(estate.service, estate.azure.add_site("another"), "another"))
                case _:
                    estate.allowlist.text = "rules: ["

    estate.clock.advance(HOUR)
    writes = len(estate.azure.writes)
    await sweep(make_engine(estate, turn=meddle))
    assert next(appended) > 1
    assert len(estate.azure.writes) == writes
    (intent,) = [one for one in (await estate.history()).intents.values() if one.revokes]
    assert intent.outcome is Outcome.NOT_WRITTEN


async def test_observe_mode_pause_and_an_incomplete_sweep_write_nothing() -> None:
    """Each alone is enough."""
    estate, _ = await estate_of(1)
    estate.allow()
    observer = estate.worker(mode=Mode.OBSERVE)
    for _ in range(4):
        assert "revoke_due" in await swept(observer, HOUR)
    estate.allow(paused=True)
    enforcer = estate.worker()
    for _ in range(4):
        await swept(enforcer, HOUR)
    assert len(estate.azure.approved()) == 1


async def test_a_persons_decision_stands() -> None:
    """What a person took over is not revoked."""
    estate, worker = await estate_of(1)
    (connection,) = estate.azure.approved()
    await decide_by_hand(worker.engine, connection, HumanDecision.ADOPT, reason="ours", ticket="", by="someone")
    estate.allow()
    for _ in range(4):
        await swept(worker, HOUR)
    assert estate.azure.connections[connection].status is ConnectionStatus.APPROVED


async def test_refused_it_is_deleted_and_refused_that_too_a_person_has_to() -> None:
    """Reject, then delete, then a finding with the command."""
    estate, worker = await estate_of(1)
    estate.allow()
    await swept(worker, HOUR)
    refusal = AzureRefusedError("no", status=400, code="BadRequest")
    estate.azure.fail("set_connection", refusal)
    estate.azure.fail("delete_connection", refusal)
    await swept(worker, HOUR)
    await swept(worker, HOUR)
    assert FindingId.REVOKE_REFUSED.value in await swept(worker, HOUR)
    intents = (await estate.history()).intents.values()
    assert [one.action for one in intents if one.revokes] == [Action.REJECT, Action.DELETE]


class ADayBehind:
    """A worker's own clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() - timedelta(days=1)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


async def test_the_hour_is_azures() -> None:
    """A worker whose clock is a day behind says nothing about how long ago its sweep was."""
    estate, worker = await estate_of(1)
    estate.allow()
    behind = replace(worker.engine, clock=ADayBehind(estate.clock))
    await sweep(behind)
    assert "revoke_due" in await swept(worker, 60)
    await sweep(behind)
    assert len(estate.azure.approved()) == 1
    await swept(worker, HOUR)
    assert estate.azure.approved() == set()


async def test_a_sweep_that_is_not_complete_does_not_begin_the_hour() -> None:
    """Two complete sweeps, an hour apart."""
    estate, worker = await estate_of(2)
    rules = [a_rule(estate.service, target, f"rule-{n}") for n, target in enumerate(estate.azure.sites)]
    estate.allow(rules[1])
    estate.azure.fail("list_signalr", AzureUnavailableError("no"))
    assert "subscription_unreadable" in await swept(worker, 60)
    assert "revoke_due" in await swept(worker, 1200)
    assert "revoke_due" in await swept(worker, 2600)
    assert len(estate.azure.approved()) == 2
    await swept(worker, 1200)
    assert len(estate.azure.approved()) == 1


async def test_one_sweep_is_not_two() -> None:
    """However long it takes from its look to its end."""
    estate, worker = await estate_of(1)
    estate.allow()
    loaded = (await load_allowlist(estate.allowlist)).allowlist
    assert loaded is not None
    begun = estate.clock.now()
    result = await worker.look()
    await note_unruled(worker.engine, loaded, [result], begun)
    for _ in range(2):
        estate.clock.advance(HOUR)
        assert [one.id for one in await revoke_removed(worker.engine, loaded, begun)] == [FindingId.REVOKE_DUE]
    assert len(estate.azure.approved()) == 1


async def test_a_look_under_another_version_says_nothing_about_this_one() -> None:
    """The allowlist may change while a sweep goes on."""
    estate, worker = await estate_of(1)
    estate.allow()
    gone = (await load_allowlist(estate.allowlist)).allowlist
    estate.allow(a_rule(estate.service, estate.azure.add_site("other"), "another"))
    result = await worker.look()
    assert gone is not None
    assert result.unruled
    await note_unruled(worker.engine, gone, [result], estate.clock.now())
    assert await estate.state.rows(REVOKING) == {}


async def test_azures_own_words_do_not_get_into_the_ledger() -> None:
    """Why something that is due was not done is recorded by status and code: what Azure says may quote anything."""
    estate, worker = await estate_of(1)
    estate.allow()
    await swept(worker, HOUR)
    estate.azure.fail("set_connection", AzureRefusedError("Bearer secret", status=400, code="BadRequest"))
    assert "revoke_due" in await swept(worker, HOUR)
    records = await estate.records()
    assert any("400 BadRequest" in str(record.as_json()) for record in records)
    assert not any("secret" in str(record.as_json()) for record in records)


async def test_what_is_due_keeps_its_fingerprint_while_it_cannot_be_looked_at() -> None:
    """Or its alert would be resolved and begin anew with every answer that Azure fails to give."""
    estate, worker = await estate_of(1)
    estate.allow()
    estate.clock.advance(60)
    (before,) = [one for one in (await sweep(worker.engine)).findings if one.id is FindingId.REVOKE_DUE]
    looks = count(1)

    async def second_look_fails(call: str, when: str) -> None:
        if (call, when) == ("azure.list_connections", "before") and next(looks) == 2:
            message = "no"
            raise AzureUnavailableError(message)

    estate.clock.advance(60)
    engine = make_engine(estate, turn=second_look_fails)
    (after,) = [one for one in (await sweep(engine)).findings if one.id is FindingId.REVOKE_DUE]
    assert "could not be read" in after.message
    assert after.fingerprint == before.fingerprint


async def test_a_revoked_link_is_quarantined() -> None:
    """Whoever else asks in its name is not its own: Azure opens a link's connection once. A person may decide otherwise."""
    estate = Estate()
    estate.azure.links_follow = False
    rule = a_rule(estate.service, estate.target, on_removal="revoke")
    estate.allow(rule)
    estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    for after in (0, 31):
        await swept(worker, after)
    assert len(estate.azure.approved()) == 1
    estate.allow()
    for _ in range(3):
        await swept(worker, HOUR)
    assert estate.azure.approved() == set()
    impostor = estate.azure.add_connection(estate.target, "func-pe", message=MESSAGE)
    estate.allow(rule)
    for after in (HOUR, HOUR, 31, 31):
        await swept(worker, after)
    assert estate.breaches() == set()
    result = await worker.look()
    (decision,) = [one for one in result.decisions if one.connection == impostor]
    assert [reason.code for reason in decision.reasons] == [Code.QUARANTINED]
    await decide_by_hand(worker.engine, impostor, HumanDecision.APPROVE, reason="ours", ticket="", by="someone")
    assert (await estate.history()).revocations == {}
