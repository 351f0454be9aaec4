"""What is told while it happens is what docs/telemetry.md says, no less and no more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from shared.core.errors import AzureForbiddenError, AzureThrottledError, AzureUnavailableError
from shared.services import telemetry
from shared.services.poison import take_poison
from shared.services.rounds import run
from tests import telemetry_page
from tests.services.test_dispatch import Desk
from tests.services.test_rounds import LargeEstate

if TYPE_CHECKING:
    from collections.abc import Iterable

ELSEWHERE = frozenset({"traffic", "anchor", "metric", "dead_letters"})
"""Told by other triggers, whose own tests hold them to the page; a metric is a record of the log alone."""


def told(desks: Iterable[Desk]) -> dict[str, set[str]]:
    """The fields of each record."""
    found = defaultdict[str, set[str]](set)
    for desk in desks:
        for name, fields, _ in desk.telemetry.told:
            found[name] |= fields.keys() - telemetry_page.OF_EVERY_RECORD
    return found


async def approving() -> Desk:
    """From an event that is throttled first to the confirmation; an event that is ignored; a hold; a poisoned message."""
    desk = Desk()
    azure = desk.estate.azure
    azure.add_pair(desk.estate.service, desk.estate.target)
    azure.add_connection(desk.estate.target, "stranger")
    azure.fail("get_signalr", AzureThrottledError("slow down", retry_after=1))
    await desk.link_event()
    await desk.event("nothing")
    await desk.run()
    await take_poison(desk.work, "m", "junk")
    await run(desk.work)
    return desk


async def cut() -> LargeEstate:
    """A sweep in parts: one is throttled, a target of one cannot be read; and a sweep that cannot list a subscription."""
    desk = LargeEstate(3)
    await run(desk.work)
    desk.estate.clock.advance(11 * 60)
    desk.estate.azure.fail("list_signalr", AzureThrottledError("slow down", retry_after=1))
    await desk.part()
    desk.estate.azure.fail("list_connections", AzureForbiddenError("no", status=403))
    while await desk.part():
        pass
    desk.estate.azure.fail("list_signalr", AzureUnavailableError("down"))
    await run(desk.work)
    return desk


async def test_every_field_on_the_page_is_told_and_no_other() -> None:
    """By a few stories that have everything in them."""
    desks = [await approving(), await cut()]
    found = told(desks)
    pages = {name: set(fields) for name, fields in telemetry_page.records().items() if name not in ELSEWHERE}
    assert {name: fields for name, fields in found.items() if name != "recorded"} == {
        name: fields for name, fields in pages.items() if name != "recorded"
    }
    assert found["recorded"] <= pages["recorded"]


async def test_every_metric_on_the_page_is_measured_and_no_other() -> None:
    """Approvals, holds by code, seconds from event to approval, a sweep's seconds and calls, throttles."""
    assert set(telemetry_page.metrics()) == set(telemetry.METRICS)
    desk = await approving()
    assert {name for name, _, _ in desk.telemetry.measured} == set(telemetry.METRICS)
    values = {name: value for name, value, _ in desk.telemetry.measured}
    assert values[telemetry.APPROVALS] == 1
    assert values[telemetry.THROTTLES] == 1
    codes = [dimensions["code"] for name, _, dimensions in desk.telemetry.measured if name == telemetry.HOLDS]
    assert "name_differs" in codes


async def test_severities() -> None:
    """What nobody need read is at debug level; what somebody should is a warning, or an error."""
    desk = await approving()
    levels = {
        (name, str(fields.get("what") or fields.get("ignored") or "")): level for name, fields, level in desk.telemetry.told
    }
    assert levels["event", "it names no resource"] == "debug"
    assert levels["event", ""] == "info"
    assert levels["decision", ""] == levels["outcome", ""] == "info"
    assert levels["finding", ""] == "warning"
    broken = await cut()
    assert [level for name, _, level in broken.telemetry.told if name == "round"] == ["warning"]
    assert {
        level for name, fields, level in broken.telemetry.told if name == "finding" and "unreadable" in fields["finding"]
    } == {"error"}
