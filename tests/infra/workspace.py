"""A Log Analytics workspace as the alert rules see it: what the code tells, as rows, and an engine that runs queries on them."""

from __future__ import annotations

import functools
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import duckdb
import duckdb_kql

from shared.adapters.log_telemetry import LogTelemetry
from tests.infra.bicep import INFRA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fakes.queue import MemoryTelemetry

QUERIES = INFRA / "queries"
FUNCTION = "LinkguardRecords"
AT = datetime(2027, 1, 4, 9, tzinfo=UTC)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def lines(telemetry: MemoryTelemetry) -> list[str]:
    """What was told, as the deployed app writes it to its log."""
    handler, logger = _Lines(), logging.getLogger("linkguard.tests.workspace")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    log = LogTelemetry(logger)
    for name, fields, _ in telemetry.told:
        log.record(name, fields, severity="info")
    logger.removeHandler(handler)
    return handler.lines


COLUMNS: Final = {
    "AppTraces": {"TimeGenerated": "TIMESTAMP", "Message": "VARCHAR", "OperationId": "VARCHAR"},
    "AppExceptions": {
        "TimeGenerated": "TIMESTAMP",
        "OperationName": "VARCHAR",
        "OuterMessage": "VARCHAR",
        "InnermostMessage": "VARCHAR",
    },
    "AppRequests": {"TimeGenerated": "TIMESTAMP", "Name": "VARCHAR", "Success": "BOOLEAN"},
}
_RECORDS: Final = ["TimeGenerated", "OperationId", "Record", "Fields"]


class Workspace:
    """Rows, and the saved function over them."""

    def __init__(
        self,
        told: Iterable[str] = (),
        *,
        exceptions: Iterable[tuple[str, str]] = (),
        requests: Iterable[tuple[str, bool]] = (),
    ) -> None:
        """Lines of the log, exceptions as (function, message), requests as (function, success)."""
        self._db = duckdb.connect()
        for table, columns in COLUMNS.items():
            self._db.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        at = AT.replace(tzinfo=None)
        for number, line in enumerate((*told, "Executing 'Functions.sweep'", '{"other": "json"}')):
            self._db.execute("INSERT INTO AppTraces VALUES (?, ?, 'o')", [at + timedelta(seconds=number), line])
        for function, message in exceptions:
            self._db.execute("INSERT INTO AppExceptions VALUES (?, ?, ?, ?)", [at, function, message, message])
        for function, success in requests:
            self._db.execute("INSERT INTO AppRequests VALUES (?, ?, ?)", [at, function, success])
        self._db.execute(f"CREATE VIEW {FUNCTION} AS {_sql((QUERIES / f'{FUNCTION}.kql').read_text())}")

    def run(self, query: str) -> list[dict[str, Any]]:
        """The rows that a query gives."""
        answer = self._db.execute(_sql(query))
        names = [str(one[0]) for one in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def fired_on(self, rule: str) -> set[int]:
        """Which lines of the log a rule's rows are about, counted from 0: each came a second after the one before."""
        rows = self.run((QUERIES / f"{rule}.kql").read_text())
        return {round((row["TimeGenerated"].replace(tzinfo=UTC) - AT).total_seconds()) for row in rows}

    def firing(self) -> set[str]:
        """The rules whose query gives any row: each fires on more than none."""
        return {path.stem for path in QUERIES.glob("*.kql") if path.stem != FUNCTION and self.run(path.read_text())}


@functools.cache
def _sql(query: str) -> str:
    schema = {table: list(columns) for table, columns in COLUMNS.items()} | {FUNCTION: _RECORDS}
    return str(duckdb_kql.to_sql(query, schema=schema))
