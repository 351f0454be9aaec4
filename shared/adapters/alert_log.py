"""Alerts as structured log lines: what Azure Monitor's alert rules query (docs/alerts.md)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shared.core.alert_body import alert_document
from shared.core.finding import Severity
from shared.core.finding_life import Change
from shared.core.ledger import canonical

if TYPE_CHECKING:
    from shared.core.finding_life import Alert

LOGGER: Final = logging.getLogger("linkguard.alerts")
PREFIX: Final = "linkguard.alert "
"""Each line is this and one JSON document, in ASCII: nothing in it can begin a line of its own."""


class LogSink:
    """Writes each alert as one line of the log ``linkguard.alerts``."""

    @property
    def name(self) -> str:
        """The same always: there is one log."""
        return "log"

    async def send(self, alert: Alert) -> None:
        """Write the line."""
        LOGGER.log(_level(alert), "%s%s", PREFIX, canonical(alert_document(alert)))


def _level(alert: Alert) -> int:
    if alert.change in {Change.RESOLVED, Change.TEST}:
        return logging.INFO
    return logging.ERROR if alert.finding.severity is Severity.CRITICAL else logging.WARNING
