"""The query API of Log Analytics: ``POST /v1/workspaces/<id>/query``.

What a query means is left to an engine that whoever starts the local Azure brings along; the local Azure knows who may ask, what
an answer, a partial answer and a refusal look like.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from shared.local_azure.front_door import HttpAnswer

if TYPE_CHECKING:
    from shared.local_azure.front_door import HttpRequest

ROOT: Final = "/v1/workspaces/"
_PATH: Final = re.compile(r"/v1/workspaces/([0-9a-fA-F-]{36})/query")
_BEARER: Final = "Bearer "


class NoSuchTable(Exception):  # noqa: N818  it is the service's own SEM0100, not a failure of ours
    """The query names a table that the workspace does not have."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Columns as (name, type) and rows of JSON values."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[object]]


class QueryEngine(Protocol):
    """Runs a query over a workspace's tables."""

    def run(self, workspace: str, query: str) -> QueryResult:
        """The result.

        Raises:
            NoSuchTable: where there is no such table.

        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong with the next query."""

    status: int = 200
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    """Whether half of the rows come, with an error beside them."""
    delay: float = 0.0


class LogWorkspaces:
    """Answers queries for the workspaces that it was told of."""

    def __init__(self) -> None:
        self.engines: dict[str, QueryEngine] = {}
        """By workspace id, in lower case."""
        self.troubles: deque[Trouble] = deque()
        self.queries: list[str] = []
        """Every query that was let in."""

    def answer(  # noqa: PLR0911  one return a refusal
        self, request: HttpRequest, tokens: Mapping[str, str]
    ) -> HttpAnswer:
        """One request."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return _refuse(HTTPStatus.NOT_FOUND, "PathNotFoundError", "The requested path does not exist")
        if request.authorization.removeprefix(_BEARER) not in tokens:
            return _refuse(HTTPStatus.UNAUTHORIZED, "InvalidTokenError", "The provided authentication is not valid")
        engine = self.engines.get(match[1].lower())
        if engine is None:
            return _refuse(HTTPStatus.NOT_FOUND, "WorkspaceNotFoundError", "The workspace could not be found")
        try:
            query = json.loads(request.body)["query"]
        except (ValueError, KeyError, TypeError):
            return _refuse(HTTPStatus.BAD_REQUEST, "BadArgumentError", "The request had some invalid properties")
        trouble = self.troubles.popleft() if self.troubles else Trouble()
        if trouble.status != HTTPStatus.OK:
            return _refuse(trouble.status, trouble.code, "The request failed", dict(trouble.headers))
        self.queries.append(str(query))
        try:
            result = engine.run(match[1].lower(), str(query))
        except NoSuchTable:
            return _refuse(
                HTTPStatus.BAD_REQUEST, "BadArgumentError", "The request had some invalid properties", inner="SemanticError"
            )
        return _answer(result, trouble)


def _answer(result: QueryResult, trouble: Trouble) -> HttpAnswer:
    rows = list(result.rows)
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": kind} for name, kind in result.columns],
        "rows": rows[: len(rows) // 2] if trouble.partial else rows,
    }
    body: dict[str, object] = {"tables": [table]}
    if trouble.partial:
        detail = {"code": "EngineError", "message": "Something went wrong processing your query on the server."}
        body["error"] = {
            "code": "PartialError",
            "message": "There were some errors when processing your query.",
            "details": [detail],
        }
    return HttpAnswer(
        status=HTTPStatus.OK,
        headers={"Content-Type": "application/json; charset=utf-8"},
        body=json.dumps(body).encode(),
        delay=trouble.delay,
    )


def _refuse(status: int, code: str, message: str, headers: Mapping[str, str] | None = None, inner: str = "") -> HttpAnswer:
    error: dict[str, object] = {"message": message, "code": code, "correlationId": "00000000-0000-0000-0000-000000000000"}
    if inner:
        error["innererror"] = {"code": inner, "message": "A semantic error occurred."}
    return HttpAnswer(
        status=int(status),
        headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
        body=json.dumps({"error": error}).encode(),
    )
