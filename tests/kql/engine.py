"""Workspaces whose queries an embedded engine runs: duckdb-kql, which translates Kusto's language for DuckDB."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import duckdb
import duckdb_kql

from shared.local_azure.log_workspaces import NoSuchTable, QueryResult

COLUMNS = {
    "AppServiceHTTPLogs": {
        "TimeGenerated": "datetime",
        "_ResourceId": "string",
        "CIp": "string",
        "CsMethod": "string",
        "CsUriStem": "string",
        "CsHost": "string",
        "UserAgent": "string",
        "CsUriQuery": "string",
        "Cookie": "string",
        "ScStatus": "int",
    },
    "AppRequests": {
        "TimeGenerated": "datetime",
        "_ResourceId": "string",
        "AppRoleName": "string",
        "Name": "string",
        "Url": "string",
        "ClientIP": "string",
        "ItemCount": "int",
        "Properties": "dynamic",
    },
    "AppTraces": {
        "TimeGenerated": "datetime",
        "_ResourceId": "string",
        "AppRoleName": "string",
        "Message": "string",
        "ItemCount": "int",
        "Properties": "dynamic",
    },
    "FunctionAppLogs": {
        "TimeGenerated": "datetime",
        "_ResourceId": "string",
        "Message": "string",
        "FunctionName": "string",
        "HostInstanceId": "string",
        "Level": "string",
    },
}
"""The columns that the tables' reference pages publish, as far as they are used or must not be."""
_SQL = {"datetime": "TIMESTAMP", "string": "VARCHAR", "int": "INTEGER", "dynamic": "JSON"}


class Workspace:
    """One workspace's tables."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        """Rows by table; a table that is not given is not there."""
        self._connection = duckdb.connect()
        self.tables = set(rows)
        for table, found in rows.items():
            columns = COLUMNS[table]
            self._connection.execute(
                f"CREATE TABLE {table} ({', '.join(f'"{name}" {_SQL[kind]}' for name, kind in columns.items())})"
            )
            for row in found:
                values = [
                    json.dumps(row[name]) if kind == "dynamic" and name in row else row.get(name)
                    for name, kind in columns.items()
                ]
                self._connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608

    def run(self, workspace: str, query: str) -> QueryResult:
        """Translate and run."""
        del workspace
        table = next(name for name in COLUMNS if re.search(rf"^{name}$", query, re.MULTILINE))
        if table not in self.tables:
            raise NoSuchTable
        done = self._connection.execute(str(duckdb_kql.to_sql(query)))
        columns = [
            (str(one[0]), "datetime" if str(one[0]) in {"First", "Last", "Hour"} else "string") for one in done.description
        ]
        kinds = dict(columns) | {"Count": "long", "Items": "int"}
        rows = [[f"{cell.isoformat()}Z" if isinstance(cell, datetime) else cell for cell in row] for row in done.fetchall()]
        return QueryResult([(name, kinds[name]) for name, _ in columns], rows)
