"""``linkguard alerts``: what is still to be told, whether it arrives, and sending again what did not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from shared.cli.command import Answer, Common, Group, command
from shared.core.finding_life import Delivery
from shared.core.ledger import Json
from shared.report.escape import clean
from shared.report.exit_codes import ExitCode
from shared.report.page import Page
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.finding_life import Alert, Attempt
    from shared.services.alerting import DeadLetter, Outside


COMMANDS: Final = Group(help="What is told of findings, and to whom.")


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
    """The one that has not had it."""
    error: str
    """Why not; "" where it was not tried yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsDocument:
    """What every one of these commands answers."""

    waiting: tuple[AlertItem, ...] = ()
    dead: tuple[AlertItem, ...] = ()
    sinks: dict[str, Json] | None = None
    """Of a test or a delivery: by each sink's name why it failed, "" where it did not."""
    sent: int | None = None
    """Of a delivery."""
    busy: bool = False
    """Whether another delivery was under way, and this one sent nothing."""


@command(COMMANDS, "list")
async def list_alerts(common: Common) -> Answer:
    """Show the alerts on their way, and those that a sink did not take."""
    from shared.bootstrap.alerts import open_alerts  # noqa: PLC0415  not needed to show help

    async with open_alerts(common.environ, read_only=True, must_exist=True) as outside:
        document = replace(await _undelivered(outside), sinks=None if outside.sinks else {})
    # Without a sink nothing waits for one, and nobody is told.
    needs_a_person = document.dead or document.sinks is not None
    return Answer(document, partial(_text, document), ExitCode.ATTENTION if needs_a_person else ExitCode.OK)


@command(COMMANDS, "test")
async def test(common: Common) -> Answer:
    """Send one alert to every sink, and say which took it."""
    from shared.bootstrap.alerts import open_alerts  # noqa: PLC0415  not needed to show help
    from shared.services.alerting import try_sinks  # noqa: PLC0415  the same

    async with open_alerts(common.environ, read_only=True) as outside:
        errors = await try_sinks(outside)
    document = AlertsDocument(sinks=dict(errors))
    return Answer(document, partial(_text, document), _code(errors, waiting=not errors))


@command(COMMANDS, "retry")
async def retry(common: Common) -> Answer:
    """Deliver now whatever was not delivered, with what is in the dead letter."""
    from shared.bootstrap.alerts import open_alerts  # noqa: PLC0415  not needed to show help
    from shared.services.alerting import deliver, retry_dead_letters  # noqa: PLC0415  the same

    async with open_alerts(common.environ, must_exist=True) as outside:
        if not outside.sinks:
            document = AlertsDocument(sinks={})
            return Answer(document, partial(_text, document), ExitCode.ATTENTION)
        await retry_dead_letters(outside)
        done = await deliver(outside, at_once=True)
        left = await _undelivered(outside)
        sinks: dict[str, Json] = {sink.name: done.errors.get(sink.name, "") for sink in outside.sinks}
    document = replace(left, sinks=None if done.busy else sinks, sent=done.sent, busy=done.busy)
    return Answer(document, partial(_text, document), _code(done.errors, waiting=bool(left.waiting or left.dead)))


async def _undelivered(outside: Outside) -> AlertsDocument:
    from shared.services.alerting import dead_letters, waiting_alerts  # noqa: PLC0415  not needed to show help

    return AlertsDocument(
        waiting=tuple(
            _item(alert, attempt)
            for alert in await waiting_alerts(outside.state)
            for attempt in (alert.attempt(sink.name) for sink in outside.sinks)
            if attempt.state is Delivery.WAITING
        ),
        dead=tuple(_item(letter.alert, letter) for letter in await dead_letters(outside.state)),
    )


def _code(errors: Mapping[str, str], *, waiting: bool = False) -> ExitCode:
    if any(errors.values()):
        return ExitCode.INCOMPLETE
    return ExitCode.ATTENTION if waiting else ExitCode.OK


def _item(alert: Alert, of: Attempt | DeadLetter) -> AlertItem:
    finding = alert.finding
    return AlertItem(
        id=alert.id,
        change=alert.change.value,
        severity=finding.severity.value,
        finding=finding.id.value,
        target=finding.target,
        at=alert.at.isoformat(),
        sink=of.sink,
        error=of.error,
    )


def _text(document: AlertsDocument, style: Style = PLAIN) -> str:
    page = Page(style)
    for name, items in (("waiting", document.waiting), ("NOT TAKEN", document.dead)):
        for item in items:
            page.line((name, "bold"), clean(f"  {item.at}  {item.severity} {item.finding} ({item.change})  {item.target}"))
            page.line(clean(f"{item.sink}: {item.error or 'not tried yet'}"), indent=4)
    for sink, error in (document.sinks or {}).items():
        page.line(clean(f"{sink}: {error or ('it takes alerts' if document.sent is None else 'no failure')}"))
    if document.sinks == {}:
        page.line("No sink is set: LINKGUARD_ALERTS_LOG, LINKGUARD_ALERTS_WEBHOOKS, LINKGUARD_ALERTS_EVENT_GRID.")
    if document.busy:
        page.line("Another delivery is under way, or was cut off within the last minutes: nothing was sent. Try again soon.")
    elif document.sent is not None:
        page.line(f"Delivered: {document.sent}. Still waiting: {len(document.waiting)}.")
    elif document.sinks is None and not (document.waiting or document.dead):
        page.line("Every alert is delivered.")
    return page.text
