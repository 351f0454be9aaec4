"""Telemetry through the standard library's logging: one line of JSON a record, which the Functions host sends on as a trace."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.ledger import Json

LOGGER: Final = "linkguard.telemetry"
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogTelemetry:
    """Writes to the logger ``linkguard.telemetry``."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)

    def record(self, name: str, fields: Mapping[str, Json], *, severity: Literal["debug", "info", "warning", "error"]) -> None:
        """One line: ASCII, control characters escaped, so that nothing in it begins another line."""
        self._log(_LEVELS[severity], {"linkguard": name, **fields})

    def measure(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """A metric is a record too: ``{"linkguard": "metric", ...}``."""
        self._log(logging.INFO, {"linkguard": "metric", "name": name, "value": value, "dimensions": dict(dimensions)})

    def _log(self, level: int, line: Mapping[str, Json]) -> None:
        if self._logger.isEnabledFor(level):
            # As an argument: a % in an id is no placeholder.
            self._logger.log(level, "%s", json.dumps(line, separators=(",", ":"), ensure_ascii=True, default=str))
