"""Requests, and the same requests written in every shape that logs have."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SITE = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/contoso/providers/Microsoft.Web/sites/contoso-func"
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
WEBHOOK = "/runtime/webhooks/signalr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A request."""

    client: str | None
    method: str = "POST"
    path: str = WEBHOOK
    agent: str = "agent"
    host: str = "contoso-func.azurewebsites.net"
    forwarded: str | None = None
    second: int = 0
    target: str = SITE
    query: str = "code=sesame"
    cookie: str = "ARRAffinity=sesame"

    @property
    def at(self) -> str:
        return (START + timedelta(seconds=self.second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fields(row: Row) -> dict[str, object]:
    values: dict[str, object] = {
        "CsMethod": row.method,
        "CsUriStem": row.path,
        "SPort": "443",
        "CIp": row.client,
        "UserAgent": row.agent,
        "CsHost": row.host,
        "ScStatus": 200,
        "TimeTaken": 12,
        "Cookie": row.cookie,
        "CsUriQuery": row.query,
    }
    return {name: value for name, value in values.items() if value is not None}


def windows(row: Row) -> str:
    """A diagnostic record of a Windows plan: properties are an object."""
    record = {"time": row.at, "resourceId": row.target.upper(), "category": "AppServiceHTTPLogs", "properties": fields(row)}
    return json.dumps(record) + "\n"


def linux(row: Row) -> str:
    """A diagnostic record of a Linux plan: properties are a JSON string, and numbers in it strings."""
    inner = json.dumps({name: str(value) for name, value in fields(row).items()})
    record = {"time": row.at, "resourceId": row.target.upper(), "category": "AppServiceHTTPLogs", "properties": inner}
    return json.dumps(record) + "\n"


def workspace(row: Row) -> str:
    """A row of Log Analytics as a JSON line."""
    record = {"TimeGenerated": row.at, "_ResourceId": row.target.lower(), "Type": "AppServiceHTTPLogs", **fields(row)}
    return json.dumps(record) + "\n"


def workspace_list(rows: list[Row]) -> str:
    """Rows of Log Analytics as one JSON document, as the Azure CLI writes it."""
    return json.dumps([json.loads(workspace(row)) for row in rows], indent=2)


def workspace_answer(rows: list[Row]) -> str:
    """Rows of Log Analytics as the API answers."""
    objects = [json.loads(workspace(row)) for row in rows]
    names = list(dict.fromkeys(name for one in objects for name in one))
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": "string"} for name in names],
        "rows": [[one.get(name) for name in names] for one in objects],
    }
    return json.dumps({"tables": [table]})


def workspace_csv(rows: list[Row]) -> str:
    """Rows of Log Analytics as the portal exports them."""
    names = ["TimeGenerated [UTC]", "_ResourceId", "Type", *fields(Row(client=""))]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        values = fields(row)
        stamp = (START + timedelta(seconds=row.second)).strftime("%m/%d/%Y, %I:%M:%S.000 %p")
        writer.writerow([stamp, row.target, "AppServiceHTTPLogs", *(values.get(name, "") for name in names[3:])])
    return file.getvalue()


def w3c(rows: list[Row], *, forwarded: bool = False) -> str:
    """App Service's web server log."""
    names = "date time s-sitename cs-method cs-uri-stem cs-uri-query s-port c-ip cs(User-Agent) cs(Cookie) cs-host sc-status"
    lines = [
        "#Software: Microsoft Internet Information Services 8.0",
        f"#Fields: {names}{' X-Forwarded-For' if forwarded else ''}",
    ]
    for row in rows:
        date, time = row.at.removesuffix("Z").split("T")
        values = [
            date,
            time,
            "CONTOSO-FUNC",
            row.method,
            row.path,
            row.query,
            "443",
            row.client or "-",
            row.agent.replace(" ", "+"),
        ]
        values += [row.cookie, row.host, "200"]
        if forwarded:
            values.append((row.forwarded or "-").replace(" ", "+"))
        lines.append(" ".join(values))
    return "\n".join(lines) + "\n"


def app_trace(row: Row) -> str:
    """A line that the app itself logs through Application Insights."""
    record = {
        "TimeGenerated": row.at,
        "_ResourceId": "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai",
        "Type": "AppTraces",
        "AppRoleName": "contoso-func",
        "Message": json.dumps({"method": row.method, "path": row.path, "x_forwarded_for": row.forwarded}),
    }
    return json.dumps(record) + "\n"


def text_line(row: Row) -> str:
    """A line for people."""
    return f'{row.at} INFO {row.method} {row.path}?{row.query} X-Forwarded-For="{row.forwarded}" took 5 ms\n'
