"""``linkguard alerts``: what is still to be told, whether it arrives, and sending again what did not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.cli.command import Answer, Common
from shared.core.ledger import Json
from shared.report.escape import clean
from shared.report.exit_codes import ExitCode
from shared.report.page import PLAIN, Page, Style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.finding_life import Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertItem:
    """One alert that some sink has not had."""

    id: str
    change: str
    severity: str
    finding: str
    target: str
    at: str
    sink: str
    """The one that did not take it; "" for what is still on its way."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsDocument:
    """What every one of these commands answers."""

    waiting: tuple[AlertItem, ...] = ()
    dead: tuple[AlertItem, ...] = ()
    sinks: dict[str, Json] | None = None
    """Of a test or a delivery: by each sink's name why it failed, "" where it did not."""
    sent: int | None = None
    """Of a delivery."""


async def list_alerts(common: Common) -> Answer:
    """Show the alerts on their way, and those that a sink did not take."""
    from shared.bootstrap import open_alerts  # noqa: PLC0415  not needed to show help
    from shared.services.alerting import dead_letters, waiting_alerts  # noqa: PLC0415  the same

    async with open_alerts(common.environ) as outside:
        waiting, dead = await waiting_alerts(outside.state), await dead_letters(outside.state)
    document = AlertsDocument(
        waiting=tuple(_item(alert) for alert in waiting),
        dead=tuple(_item(letter.alert, letter.sink, letter.error) for letter in dead),
    )
    return Answer(document, partial(_text, document), ExitCode.ATTENTION if dead else ExitCode.OK)


async def test(common: Common) -> Answer:
    """Send one alert to every sink, and say which took it."""
    from shared.bootstrap import open_alerts  # noqa: PLC0415  not needed to show help
    from shared.services.alerting import try_sinks  # noqa: PLC0415  the same

    async with open_alerts(common.environ) as outside:
        errors = await try_sinks(outside)
    document = AlertsDocument(sinks=dict(errors))
    return Answer(document, partial(_text, document), _code(errors))


async def retry(common: Common) -> Answer:
    """Deliver what is due now, with what is in the dead letter."""
    from shared.bootstrap import open_alerts  # noqa: PLC0415  not needed to show help
    from shared.services.alerting import deliver, retry_dead_letters  # noqa: PLC0415  the same

    async with open_alerts(common.environ) as outside:
        await retry_dead_letters(outside)
        done = await deliver(outside)
    document = AlertsDocument(sinks={sink.name: done.errors.get(sink.name, "") for sink in outside.sinks}, sent=done.sent)
    return Answer(document, partial(_text, document), _code(done.errors))


def _code(errors: Mapping[str, str]) -> ExitCode:
    return ExitCode.INCOMPLETE if any(errors.values()) else ExitCode.OK


def _item(alert: Alert, sink: str = "", error: str = "") -> AlertItem:
    finding = alert.finding
    return AlertItem(
        id=alert.id,
        change=alert.change.value,
        severity=finding.severity.value,
        finding=finding.id.value,
        target=finding.target,
        at=alert.at.isoformat(),
        sink=sink,
        error=error,
    )


def _text(document: AlertsDocument, style: Style = PLAIN) -> str:
    page = Page(style)
    for name, items in (("waiting", document.waiting), ("NOT TAKEN", document.dead)):
        for item in items:
            page.line((name, "bold"), clean(f"  {item.at}  {item.severity} {item.finding} ({item.change})  {item.target}"))
            if item.sink:
                page.line(clean(f"{item.sink}: {item.error}"), indent=4)
    for sink, error in (document.sinks or {}).items():
        page.line(clean(f"{sink}: {error or 'taken'}"))
    if document.sinks == {}:
        page.line("No sink is set: LINKGUARD_ALERTS_LOG, LINKGUARD_ALERTS_WEBHOOKS, LINKGUARD_ALERTS_EVENT_GRID.")
    if document.sent is not None:
        page.line(f"{document.sent} deliveries.")
    elif document.sinks is None and not (document.waiting or document.dead):
        page.line("Every alert is delivered.")
    return page.text
