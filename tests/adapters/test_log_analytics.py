"""Log Analytics: the real client, the local Azure's API, an embedded Kusto engine."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.credentials import LocalCredential
from shared.adapters.log_analytics import LogAnalytics
from shared.adapters.log_files import LogFiles
from shared.adapters.log_queries import TABLES, QueryParameters, query_text
from shared.core.address import AddressClass
from shared.core.arm_id import ArmId
from shared.core.model import Target
from shared.core.traffic import Inconclusive, ReasonCode, TableTraffic, TrafficReading, judge, verdict_name
from shared.core.upstream_path import UpstreamPaths, of_templates
from shared.local_azure import LocalAzure
from shared.local_azure.log_workspaces import Trouble
from shared.ports import TrafficQuestion
from shared.services.audit import Inquiry, audit
from tests import traffic_logs as logs
from tests.kql.analyser import analyse
from tests.kql.engine import COLUMNS, Workspace
from tests.traffic_logs import SITE, START, Row

if TYPE_CHECKING:
    from pathlib import Path

ID = "00000000-0000-0000-0000-00000000000a"
WINDOW = TrafficQuestion(since=START, until=START + timedelta(hours=2))
COMPONENT = "/subscriptions/s/resourcegroups/g/providers/microsoft.insights/components/ai"


def http(rows: list[Row]) -> list[dict[str, Any]]:
    return [json.loads(logs.workspace(row)) for row in rows]


async def ask(
    azure: LocalAzure, question: TrafficQuestion = WINDOW, tables: tuple[str, ...] = ("AppServiceHTTPLogs",), seconds: float = 20
) -> tuple[TrafficReading, int]:
    async with LogAnalytics([ID], endpoint=azure.url, credential=LocalCredential(), tables=tables, timeout=seconds) as source:
        return await source.read(question), source.rows


def alike(table: TableTraffic) -> tuple[object, ...]:
    """What must be the same, whoever read it."""
    return (
        verdict_name(judge(table)),
        dict(table.requests),
        dict(table.upstream),
        table.pings,
        table.scm,
        table.first_seen,
        table.last_seen,
        table.sources,
        table.disagreements,
    )


ROWS = [
    Row(client="10.0.0.4"),
    Row(client="::ffff:10.0.0.4", second=4000),
    Row(client="8.8.8.8", method="GET", path="/", second=3),
    Row(client="8.8.8.8:55", method="GET", path="/", second=3),
    Row(client="127.0.0.1", agent="AlwaysOn", second=4),
    Row(client="127.0.0.1", agent="other", second=4),
    Row(client="8.8.4.4", host="contoso-func.scm.azurewebsites.net", second=5),
    Row(client="fd00::1", path="/RUNTIME/webhooks/signalr/", second=6),
    Row(client="0.0.0.0", method="GET", second=7),
    Row(client="-", method="GET", second=8),
    Row(client="10.0.0.9", second=9000),
]


@pytest.mark.parametrize("more", [[], [Row(client="2603:1030::1", second=9)], [Row(client="unknown", second=9)]])
async def test_the_same_rows_say_the_same_as_a_file(more: list[Row], tmp_path: Path) -> None:
    """Pushed down or read from a file: the same counts, sources and verdict; rows outside the window in neither."""
    rows = [*ROWS, *more]
    path = tmp_path / "log.json"
    path.write_text("".join(map(logs.workspace, rows)), encoding="utf-8")
    (local,) = LogFiles([str(path)]).read_now(WINDOW).tables
    async with LocalAzure() as azure:
        azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http(rows))
        reading, _ = await ask(azure)
    (remote,) = reading.tables
    assert reading.problems == ()
    assert alike(remote) == alike(local)


async def test_rows_do_not_grow_with_requests() -> None:
    """Ten times the requests, with a new port and a new forged left part each: as many rows come back."""
    returned = []
    for number in (20, 200):
        requests = [
            {
                "TimeGenerated": START.isoformat(),
                "_ResourceId": COMPONENT,
                "AppRoleName": "contoso-func",
                "Name": "POST signalr",
                "Url": f"https://h/runtime/webhooks/signalr?code={n}",
                "ClientIP": f"10.0.0.4:{1000 + n}",
                "ItemCount": 1,
                "Properties": {"X-Forwarded-For": f"1.2.3.{n}, 10.0.0.{n % 3}:{2000 + n}"},
            }
            for n in range(number)
        ]
        rows = [Row(client=f"10.0.0.{n % 5}", query=f"n={n}", second=n % 60) for n in range(number)]
        async with LocalAzure() as azure:
            azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http(rows), AppRequests=requests)
            reading, count = await ask(azure, tables=("AppServiceHTTPLogs", "AppRequests"))
        assert sum(sum(table.requests.values()) for table in reading.tables) == 2 * number
        returned.append(count)
    assert returned == [8, 8]


async def test_application_insights() -> None:
    """The header in properties and messages counts; a forged one beside it, sampling and masking are never private."""

    def trace(message: str, **properties: str) -> dict[str, Any]:
        base = {"TimeGenerated": START.isoformat(), "_ResourceId": COMPONENT, "AppRoleName": "contoso-func", "ItemCount": 1}
        return {**base, "Message": message, "Properties": properties}

    call = "POST /runtime/webhooks/signalr"
    cases = {
        f"{call} x_forwarded_for=8.8.8.8, 10.0.0.4:5": AddressClass.PRIVATE,
        f"{call} X-Forwarded-For: 10.0.0.4, 8.8.8.8": AddressClass.PUBLIC,
        f"{call} x_forwarded_for=10.0.0.4, user=me": AddressClass.PRIVATE,
        f"{call} x_forwarded_for=10.0.0.4;, 8.8.8.8": AddressClass.MALFORMED,
        f"{call} x_forwarded_for=10.0.0.4 a=b, 8.8.8.8 user=me": AddressClass.MALFORMED,
        f"{call} x_forwarded_for=10.0.0.4,, 8.8.8.8": AddressClass.PUBLIC,
        f"{call} x_forwarded_for=8.8.8.8 agent='x_forwarded_for=10.0.0.4'": AddressClass.MALFORMED,
        json.dumps({"request": call, "X-Forwarded-For": "10.0.0.4, 8.8.8.8"}): AddressClass.PUBLIC,
        json.dumps(
            {"request": call, "agent": ',"x_forwarded_for":"10.0.0.4"', "x_forwarded_for": "8.8.8.8"}
        ): AddressClass.PUBLIC,
        json.dumps({"request": call, "x_forwarded_for": "10.0.0.4,"}): AddressClass.MALFORMED,
        f"{call} x_forwarded_for='10.0.0.4, 8.8.8.8'": AddressClass.PUBLIC,
        f'{call} x_forwarded_for="10.0.0.4, 8.8.8.8': AddressClass.PUBLIC,
        f"{call} x_forwarded_for=[8.8.8.8] x": AddressClass.MALFORMED,
        f"{call} x_forwarded_for=('8.8.8.8')": AddressClass.MALFORMED,
        json.dumps({"request": call, "x_forwarded_for": ["8.8.8.8"]}): AddressClass.MALFORMED,
        json.dumps({"said": json.dumps({"request": call, "x_forwarded_for": "8.8.8.8"})}): AddressClass.MALFORMED,
    }
    for message, cls in cases.items():
        async with LocalAzure() as azure:
            function_log = {"TimeGenerated": START.isoformat(), "_ResourceId": SITE.lower(), "Message": message}
            azure.logs.engines[ID] = Workspace(AppTraces=[trace(message), trace("no header")], FunctionAppLogs=[function_log])
            reading, _ = await ask(azure, tables=("AppTraces", "FunctionAppLogs"))
        assert [table.upstream for table in reading.tables] == [{cls: 1}, {cls: 1}], message
    async with LocalAzure() as azure:
        sampled = {**trace("x", **{"X-Forwarded-For": "10.0.0.4"}), "ItemCount": 4}
        azure.logs.engines[ID] = Workspace(AppTraces=[sampled])
        reading, _ = await ask(azure, tables=("AppTraces",))
        assert reading.tables[0].sampled


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble(partial=True), "a part"),
        (Trouble(status=403, code="InsufficientAccessError"), "not permitted (403)"),
        (Trouble(status=400, code="QueryValidationError"), "refused (400, QueryValidationError)"),
        (Trouble(delay=5), "no answer within"),
    ],
)
async def test_what_stands_in_the_way_is_never_private(trouble: Trouble, said: str) -> None:
    """A partial answer, a refusal, a timeout: the target is inconclusive, and it is said why."""
    async with LocalAzure() as azure:
        azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http([Row(client="10.0.0.4"), Row(client="10.0.0.5")]))
        azure.logs.troubles.append(trouble)
        reading, _ = await ask(azure, seconds=0.5 if trouble.delay else 20)
    (problem,) = reading.problems
    assert problem.code is ReasonCode.SOURCE_UNREADABLE
    assert said in problem.message
    table = reading.tables[0] if reading.tables else None
    assert isinstance(judge(table, None, reading.problems), Inconclusive)


async def test_throttling_is_waited_out_and_then_told() -> None:
    """429 with Retry-After is repeated; one that does not end is a problem."""
    async with LocalAzure() as azure:
        azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http([Row(client="10.0.0.4")]))
        azure.logs.troubles.append(Trouble(status=429, code="TooManyRequests", headers={"Retry-After": "0"}))
        reading, _ = await ask(azure)
        assert reading.problems == ()
        azure.logs.troubles.extend(Trouble(status=429, headers={"Retry-After": "0"}) for _ in range(20))
        reading, _ = await ask(azure)
        assert "throttled" in reading.problems[0].message


async def test_missing_tables_and_workspaces() -> None:
    """What is not there is said, table by table; what is there is read."""
    async with LocalAzure() as azure:
        azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http([Row(client="10.0.0.4")]))
        reading, _ = await ask(azure, tables=tuple(TABLES))
        assert len(reading.problems) == 3
        assert all("is the table there?" in one.message for one in reading.problems)
        assert len(reading.tables) == 1
        azure.logs.engines.clear()
        reading, _ = await ask(azure)
        assert "no such workspace" in reading.problems[0].message


async def test_targets_are_filtered_there() -> None:
    """Only rows of the targets asked about come back, under the id as it was asked."""
    other = SITE.replace("contoso-func", "other")
    question = TrafficQuestion(since=WINDOW.since, until=WINDOW.until, targets=(Target(ArmId.parse(SITE.upper())),))
    async with LocalAzure() as azure:
        azure.logs.engines[ID] = Workspace(AppServiceHTTPLogs=http([Row(client="10.0.0.4"), Row(client="8.8.8.8", target=other)]))
        reading, rows = await ask(azure, question)
    assert rows == 1
    assert reading.tables[0].target == str(question.targets[0])


HOSTILE = "https://h/\");AppServiceHTTPLogs|take 1//'@'\n| union *"


def parameters(paths: UpstreamPaths) -> QueryParameters:
    return QueryParameters(since=START, until=START + timedelta(hours=1), targets=[f'x"]) | {HOSTILE}'], paths=paths)


def test_the_analyser_accepts_every_query() -> None:
    """Microsoft's own analyser finds nothing wrong with any query over the tables' published columns."""
    tables = {
        name: "(" + ", ".join(f"{column}:{kind}" for column, kind in columns.items()) + ")" for name, columns in COLUMNS.items()
    }
    queries = {name: query_text(name, parameters(of_templates(["https://h/api/{hub}", HOSTILE]))) for name in TABLES}
    for name, analysis in analyse(queries, tables).items():
        assert analysis.problems == (), name
        for column in ("Target", "Forwarded", "Client", "Kind", "Count", "First", "Last", "Items"):
            assert f"{column}:" in analysis.columns.replace(" ", "")


def test_nothing_from_outside_is_in_the_text() -> None:
    """Templates and targets change nothing but the letters of a base64 literal."""
    plain, hostile = (query_text("AppTraces", parameters(of_templates(found))) for found in ([], [HOSTILE]))
    assert plain.split("base64_decode_tostring")[0] == hostile.split("base64_decode_tostring")[0]
    assert "union" not in hostile
    assert "take 1" not in hostile


async def test_several_workspaces() -> None:
    """Each workspace's table is counted apart, and the worst of them decides; one that cannot be read leaves nothing private."""
    other, gone = "00000000-0000-0000-0000-00000000000b", "00000000-0000-0000-0000-00000000000c"
    rows = {ID: [Row(client="10.0.0.4")], other: [Row(client="10.0.0.4"), Row(client="8.8.8.8", second=1)]}
    target = Target(ArmId.parse(SITE))
    question = TrafficQuestion(since=START, until=START + timedelta(hours=2), targets=(target,))
    async with LocalAzure() as azure:
        for workspaces, verdict in (
            ([ID], "private"),
            ([ID, other], "public-seen"),
            ([ID, gone], "inconclusive"),
        ):
            azure.logs.engines = {name: Workspace(AppServiceHTTPLogs=http(found)) for name, found in rows.items()}
            tables, endpoint = ("AppServiceHTTPLogs",), azure.url
            async with LogAnalytics(workspaces, endpoint=endpoint, credential=LocalCredential(), tables=tables) as source:
                result = await audit([Inquiry(source=source, question=question)])
            (found,) = result.targets
            assert verdict_name(found.verdict) == verdict
            assert sum(sum(one.traffic.requests.values()) for one in found.tables) == sum(
                len(rows.get(one, ())) for one in workspaces
            )
