"""The alert rules on what the code really tells: each fires on its own, and on nothing else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from shared.adapters.anchors import FolderAnchors
from shared.core.address import DEFAULT_RANGES
from shared.core.errors import AzureForbiddenError, LedgerBrokenError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.ledger import digest
from shared.core.message import LookMessage, encode
from shared.services import rounds
from shared.services.anchor import export_and_tell
from shared.services.audit_timer import audit_and_tell
from shared.services.dead_letters import take_dead_letters
from shared.services.poison import take_poison
from shared.services.rounds import run
from shared.services.telemetry import tell_findings
from tests import dead_letters
from tests.engines import a_rule
from tests.fakes.dead_letters import MemoryDeadLetters
from tests.fakes.queue import MemoryTelemetry
from tests.infra.test_queries import WORKBOOK, queries
from tests.infra.workspace import FUNCTION, QUERIES, Workspace, lines
from tests.services.test_audit_timer import Log
from tests.services.test_dead_letters import event_about, link_of
from tests.services.test_dispatch import Desk
from tests.services.test_rounds import LargeEstate

if TYPE_CHECKING:
    from pathlib import Path

FIRES_ON: Final[dict[str, dict[FindingId, set[Severity]]]] = {
    "unapproved-connection": {
        FindingId.CONNECTION_HELD: set(Severity),
        FindingId.PENDING_UNEXPLAINED: set(Severity),
        FindingId.APPROVED_UNEXPLAINED: set(Severity),
        FindingId.APPROVED_NOT_ALLOWED: set(Severity),
        FindingId.APPROVED_LINK_GONE: set(Severity),
    },
    "impostor-suspected": {FindingId.IMPOSTOR_SUSPECTED: set(Severity)},
    "approval-in-doubt": {
        FindingId.APPROVAL_TAKEN_BACK: set(Severity),
        FindingId.APPROVAL_AMBIGUOUS: set(Severity),
        FindingId.TAKE_BACK_WITHHELD: set(Severity),
        FindingId.TAKE_BACK_REFUSED: set(Severity),
        FindingId.APPROVAL_UNCONFIRMED: {Severity.CRITICAL},
    },
    "approval-unconfirmed": {FindingId.APPROVAL_UNCONFIRMED: {Severity.WARNING}},
    "public-traffic": {FindingId.TRAFFIC_PUBLIC: set(Severity), FindingId.UPSTREAM_NOT_PRIVATE: set(Severity)},
    "allowlist-unreadable": {FindingId.ALLOWLIST_UNREADABLE: set(Severity)},
    "poison-messages": {FindingId.MESSAGE_POISONED: set(Severity), FindingId.EVENT_DEAD_LETTERED: set(Severity)},
}
"""Rules that rest on findings; the others rest on how sweeps and exports ended."""
COMPLETE: Final = json.dumps({"linkguard": "sweep", "complete": True, "left": 0, "part": None}, separators=(",", ":"))


@pytest.fixture(scope="module")
def every_finding() -> tuple[list[Finding], Workspace]:
    """One of each kind and severity of the catalogue, as the code tells them."""
    findings = [
        Finding(id=id_, severity=severity, target="/subscriptions/s", about="a", message="m", facts={})
        for id_ in FindingId
        for severity in Severity
    ]
    telemetry = MemoryTelemetry()
    tell_findings(telemetry, findings)
    return findings, Workspace(lines(telemetry))


@pytest.mark.parametrize("rule", sorted(path.stem for path in QUERIES.glob("*.kql") if path.stem not in {FUNCTION, "sweep-late"}))
def test_each_rule_fires_on_its_own_findings(rule: str, every_finding: tuple[list[Finding], Workspace]) -> None:
    """And on no other of the catalogue."""
    findings, workspace = every_finding
    fires = {(findings[number].id, findings[number].severity) for number in workspace.fired_on(rule)}
    assert fires == {(id_, severity) for id_, severities in FIRES_ON.get(rule, {}).items() for severity in severities}


async def test_a_day_on_which_all_is_well_wakes_nobody() -> None:
    """An event, an approval and its confirmation, a complete sweep."""
    desk = Desk()
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    await desk.run()
    await run(desk.work)
    requests = [("sweep", True), ("reconcile", False), ("reconcile_poison", True)]
    assert Workspace(lines(desk.telemetry), requests=requests).firing() == set()


async def test_a_sweep_that_could_not_look_at_everything() -> None:
    """In one run."""
    desk = Desk()
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    refusals = [AzureForbiddenError("no", status=403) for _ in range(2)]
    desk.estate.azure.fail("list_connections", *refusals)
    await run(desk.work)
    assert Workspace(lines(desk.telemetry)).firing() == {"sweep-incomplete", "sweep-late"}


@pytest.mark.parametrize("fails", [False, True])
async def test_a_sweep_in_several_parts_is_judged_by_its_end(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """Its parts are incomplete, each by itself: no reason to wake anybody unless the whole is."""
    monkeypatch.setattr(rounds, "PART_SIZE", 2)
    desk = LargeEstate(5)
    await run(desk.work)
    assert Workspace([COMPLETE, *lines(desk.telemetry)]).firing() == set(), "it goes on"
    if fails:
        desk.estate.azure.fail("list_connections", *(AzureForbiddenError("no", status=403) for _ in range(2)))
    while await desk.part():
        pass
    assert len(desk.telemetry.records("round")) == 1
    assert Workspace(lines(desk.telemetry)).firing() == ({"sweep-incomplete", "sweep-late"} if fails else set())


def test_no_sweep_at_all() -> None:
    """Silence is what the rule is for: one row where there is none to count."""
    assert Workspace().firing() == {"sweep-late"}


async def test_a_broken_ledger(tmp_path: Path) -> None:
    """Found by the export of the anchors, or by whoever fails with it; an export without faults is none."""
    desk = Desk()
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    await desk.run()
    telemetry = MemoryTelemetry()
    async with FolderAnchors(tmp_path) as anchors:
        await export_and_tell(desk.estate.ledger, anchors, telemetry)
        assert Workspace([COMPLETE, *lines(telemetry)]).firing() == set()
        (chain,) = await desk.estate.ledger.chains()
        records = [record async for record in desk.estate.ledger.records(chain)]
        desk.estate.ledger._chains[chain].pop()
        desk.estate.ledger._heads[chain] = records[-2].head
        with pytest.raises(LedgerBrokenError):
            await export_and_tell(desk.estate.ledger, anchors, telemetry)
    assert Workspace([COMPLETE, *lines(telemetry)]).firing() == {"ledger-broken"}
    failed = [("reconcile", "Result: Failure\nException: LedgerBrokenError: record 3 of a chain")]
    assert Workspace([COMPLETE], exceptions=failed).firing() == {"ledger-broken"}
    assert Workspace([COMPLETE], exceptions=[("reconcile", "Exception: MessageError")]).firing() == set()


async def test_work_that_was_set_aside() -> None:
    """A poisoned message, a dead letter, and a function that should say so and fails."""
    poisoned, lettered = Desk(), Desk()
    await take_poison(poisoned.work, "m", encode(LookMessage(id=poisoned.estate.target.id)))
    await take_dead_letters(lettered.work, MemoryDeadLetters(dead_letters.blobs([event_about(link_of(lettered))])))
    for desk in (poisoned, lettered):
        assert Workspace([COMPLETE, *lines(desk.telemetry)]).firing() == {"poison-messages"}
    for function in ("reconcile_poison", "collect_dead_letters"):
        assert Workspace([COMPLETE], requests=[(function, False)]).firing() == {"poison-messages"}


async def test_public_traffic() -> None:
    """The audit's verdict, through its own telling."""
    desk = Desk()
    log = Log(str(desk.estate.target))
    log.rows = [(desk.estate.clock.now().replace(microsecond=0), "8.8.8.8")]
    desk.estate.clock.advance(1800)
    telemetry = MemoryTelemetry()
    done = await audit_and_tell(desk.work.engine, [log], DEFAULT_RANGES, telemetry)
    assert done is not None
    (record,) = telemetry.records("traffic")
    assert (record["verdict"], record["upstream"]["public"]) == ("public-seen", 1)
    workspace = Workspace([COMPLETE, *lines(telemetry)])
    assert workspace.firing() == {"public-traffic"}
    (row,) = workspace.run((QUERIES / "public-traffic.kql").read_text())
    assert (row["finding"], row["target"]) == ("traffic_public", str(desk.estate.target))


# Fields


async def written() -> dict[str, set[str]]:
    """The fields of every record that a query may name, by the record's name: from runs of the code that tells them."""
    desk = LargeEstate(3)
    desk.estate.allow(a_rule(desk.estate.service, desk.estate.target))
    await desk.link_event()
    await run(desk.work)
    while await desk.part():
        pass
    await desk.run()
    telemetry = desk.telemetry
    await take_poison(desk.work, "m", "junk")
    await take_dead_letters(desk.work, MemoryDeadLetters({"a": b"junk"}))
    await audit_and_tell(desk.work.engine, [Log(str(desk.estate.target))], DEFAULT_RANGES, telemetry)
    telemetry.record("anchor", {"chains": 1, "records": 1, "faults": 0}, severity="info")
    found: dict[str, set[str]] = {}
    for line in lines(telemetry):
        record = json.loads(line)
        found.setdefault(record["linkguard"], set()).update(record)
    return found


def fields_of(query: str) -> list[tuple[set[str], set[str]]]:
    """For each use of the function: the names of records that it asks for, and the fields that it opens."""
    uses = []
    for part in query.split(FUNCTION)[1:]:
        names: set[str] = set()
        for match in re.finditer(r'Record (?:==|in) ("\w+"|\([^)]*\))', part):
            names.update(re.findall(r'"(\w+)"', match[1]))
        uses.append((names, set(re.findall(r"Fields\.(\w+)", part))))
    return uses


async def test_every_field_that_a_query_names_is_one_that_the_code_writes() -> None:
    """Alert rules, workbook and Sentinel rules: the records that they name are told, with these fields."""
    told = await written()
    uses = {name: fields_of(query) for name, query in queries().items()}
    assert sum(len(one) for one in uses.values()) > 15
    for name, found in uses.items():
        for records, fields in found:
            assert records, name
            assert records <= set(told), name
            assert fields <= set.union(*(told[record] for record in records)), name


async def test_a_field_that_nobody_writes_is_found() -> None:
    """Or the test above could not fail."""
    told = await written()
    ((records, fields),) = fields_of(f'{FUNCTION} | where Record == "sweep" | project tostring(Fields.nope)')
    assert not fields <= set.union(*(told[record] for record in records))


def panels() -> dict[str, str]:
    return {item["name"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3}


async def test_the_workbook_shows_what_happened() -> None:
    """Links, decisions, traffic verdicts and health, of a day with an approval, a hold and an audit."""
    desk = Desk()
    desk.estate.azure.add_pair(desk.estate.service, desk.estate.target)
    await desk.link_event()
    await desk.run()
    await run(desk.work)
    await audit_and_tell(desk.work.engine, [Log(str(desk.estate.target))], DEFAULT_RANGES, desk.telemetry)
    workspace = Workspace(lines(desk.telemetry), requests=[("reconcile", False)])
    shown: dict[str, list[dict[str, Any]]] = {
        name: workspace.run(query) for name, query in panels().items() if name not in {"decisions", "health"}
    }
    assert [(one["verdict"], one["outcome"]) for one in shown["links"]] == [("approve", "confirmed")]
    assert [one["verdict"] for one in shown["traffic"]] == ["inconclusive"]
    assert [one["finding"] for one in shown["findings"]] == ["traffic_inconclusive"]
    assert [one["Name"] for one in shown["failures"]] == ["reconcile"]


def test_a_finding_has_one_fingerprint() -> None:
    """What the Sentinel rules group by is told as the code makes it."""
    one = Finding(id=FindingId.CONNECTION_HELD, severity=Severity.WARNING, target="/T", about="a", message="m", facts={})
    telemetry = MemoryTelemetry()
    tell_findings(telemetry, [one])
    assert telemetry.records("finding")[0]["fingerprint"] == one.fingerprint == digest(["connection_held", "/T", "a"])[:32]
