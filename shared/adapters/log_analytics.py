"""Log Analytics workspaces as traffic, by ``azure-monitor-query``.

Whatever stands in the way (a table that is not there, a partial answer, a timeout, throttling, a missing permission) is a problem
of the reading, which makes its targets inconclusive; it never makes them private.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from shared.adapters.log_queries import COLUMNS, TABLES, QueryParameters, query_text
from shared.core.arm_id import fold_case
from shared.core.traffic import Kind, ReasonCode, Tally, TrafficReading, TrafficReason, reason, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from azure.monitor.query.aio import LogsQueryClient

    from shared.adapters.credentials import Credential
    from shared.ports import TrafficQuestion

_AT_ONCE: Final = 4
"""Queries that run side by side; a workspace allows five a user."""
_SERVER_SECONDS: Final = 120
_DEFAULT_WINDOW: Final = timedelta(days=1)


class LogAnalytics:
    """Asks every table of every workspace. A :class:`shared.ports.TrafficSource`."""

    def __init__(
        self,
        workspaces: Sequence[str],
        *,
        endpoint: str,
        credential: Credential,
        tables: Sequence[str] = tuple(TABLES),
        timeout: float = _SERVER_SECONDS,
    ) -> None:
        """``endpoint`` is a URL without a path; ``timeout`` is in seconds, of one query."""
        from azure.monitor.query.aio import LogsQueryClient  # noqa: PLC0415  heavy

        self._client: LogsQueryClient = LogsQueryClient(
            credential, endpoint=endpoint, retry_total=3, retry_backoff_max=20, logging_enable=False
        )
        self._plain: dict[str, Any] = {"enforce_https": False} if endpoint.startswith("http:") else {}
        self._workspaces = tuple(workspaces)
        self._tables = tuple(tables)
        self._timeout = timeout
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.rows = 0
        """How many rows came back in all."""

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def read(self, question: TrafficQuestion) -> TrafficReading:
        """What the tables say; without a window, of the last day."""
        until = question.until or datetime.now(UTC)  # noqa: TID251  a window is asked for wherever it matters
        parameters = QueryParameters(
            since=question.since or until - _DEFAULT_WINDOW,
            until=until,
            targets=sorted({name for one in question.targets for name in _names_of(str(one), one.site.name, one.slot)}),
            paths=question.paths,
        )
        problems: list[TrafficReason] = []
        tally = Tally()
        asked = [(workspace, table) for workspace in self._workspaces for table in self._tables]
        answers = await asyncio.gather(*(self._ask(workspace, table, parameters, problems) for workspace, table in asked))
        for (workspace, table), rows in zip(asked, answers, strict=True):
            label = table if len(self._workspaces) == 1 else f"{table} in {workspace}"
            try:
                self._count(rows, label, tally, question)
            except (TypeError, ValueError, KeyError):
                problems.append(reason(ReasonCode.SOURCE_UNREADABLE, f"{label}: an answer that cannot be read"))
        return TrafficReading(tables=tally.end(), problems=tuple(sorted(set(problems))), remote=True)

    async def _ask(
        self, workspace: str, table: str, parameters: QueryParameters, problems: list[TrafficReason]
    ) -> list[dict[str, Any]]:
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415  the client has it imported
        from azure.monitor.query import LogsQueryPartialResult  # noqa: PLC0415  the same

        label = f"{table} in {workspace}"
        try:
            async with self._gate, asyncio.timeout(self._timeout):
                answer = await self._client.query_workspace(
                    workspace,
                    query_text(table, parameters),
                    timespan=(parameters.since, parameters.until),
                    server_timeout=min(int(self._timeout) or 1, _SERVER_SECONDS),
                    **self._plain,
                )
        except HttpResponseError as error:
            problems.append(reason(ReasonCode.SOURCE_UNREADABLE, f"{label}: {_refusal(error)}"))
            return []
        except TimeoutError:
            problems.append(reason(ReasonCode.SOURCE_UNREADABLE, f"{label}: no answer within {self._timeout:g} s"))
            return []
        except (AzureError, ValueError) as error:
            problems.append(reason(ReasonCode.SOURCE_UNREADABLE, f"{label}: {type(error).__name__}"))
            return []
        if isinstance(answer, LogsQueryPartialResult):
            problems.append(reason(ReasonCode.SOURCE_UNREADABLE, f"{label}: only a part of the answer"))
            tables = answer.partial_data
        else:
            tables = answer.tables
        found = [dict(zip(one.columns, row, strict=False)) for one in tables[:1] for row in one.rows]
        self.rows += len(found)
        return found

    @staticmethod
    def _count(rows: list[dict[str, Any]], label: str, tally: Tally, question: TrafficQuestion) -> None:
        spelt = {name: str(one) for one in question.targets for name in _names_of(str(one), one.site.name, one.slot)}
        for row in rows:
            target, forwarded, client, kind, count, first, last, items = (row[name] for name in COLUMNS)
            name = str(target or "") or "unnamed"
            table = tally.table(spelt.get(name.lower(), name), label)
            source = resolve(str(forwarded or "") or None, str(client or "") or None, question.ranges)
            table.add(Kind(kind), source, int(count), _moment(first), _moment(last))
            table.sampled = table.sampled or int(items or 1) > 1


def _names_of(target: str, site: str, slot: str | None) -> tuple[str, ...]:
    """A target as resource columns and roles give it: Application Insights calls a slot ``site-slot``."""
    return target.lower(), (f"{site}-{slot}" if slot else site).lower()


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime.fromisoformat(str(value))
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _refusal(error: Any) -> str:  # noqa: ANN401  the SDK's error, whose parts may be missing
    """The status and the service's own code; never its message, which may quote the query."""
    code = str(getattr(getattr(error, "error", None), "code", "") or "")
    code = code if re.fullmatch(r"[A-Za-z0-9_.]{1,64}", code) else ""
    match error.status_code:
        case None:
            return f"not asked ({type(error).__name__}); is there an identity to sign in with?"
        case 401 | 403:
            return f"not permitted ({error.status_code}); the identity needs Log Analytics Data Reader"
        case 404:
            return "there is no such workspace (404)"
        case 429:
            return "throttled (429)"
        case 400 if fold_case(code) in {"BADARGUMENTERROR", "SEMANTICERROR"}:
            return "refused (400); is the table there?"
        case status:
            return f"refused ({status}{', ' + code if code else ''})"
