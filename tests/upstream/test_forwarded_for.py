"""The middleware for upstreams, in Python and for Node: the same line for the same request, which the audit reads."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import logging
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from shared.adapters.log_queries import QueryParameters, query_text
from shared.core.time_text import parse_time
from shared.core.upstream_path import of_templates
from tests.kql.engine import Workspace
from tests.npm import require_node
from tests.test_cli_audit import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples" / "upstream"
NODE: Final = EXAMPLES / "forwarded-for.cjs"
SERVER: Final = Path(__file__).with_name("server.cjs")
PATH: Final = "/runtime/webhooks/signalr"
SECRETS: Final = ("code=SYSTEMKEY", "SYSTEMKEY", "session=SECRET", "SECRET", "Petra", "Mozilla", "petra@contoso.example")


def load() -> Any:  # noqa: ANN401  a module that is no part of a package
    spec = importlib.util.spec_from_file_location("forwarded_for", EXAMPLES / "forwarded_for.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


forwarded_for = load()

type Request = tuple[str, str, list[tuple[str, str]]]
"""Method, path with query, headers."""
PERSONAL: Final = [
    ("cookie", "session=SECRET"),
    ("user-agent", "Mozilla Petra"),
    ("authorization", "Bearer SECRET"),
    ("x-ms-client-principal-name", "petra@contoso.example"),
    ("referer", "https://contoso.example/?who=Petra"),
]
REQUESTS: Final[dict[str, tuple[Request, dict[str, str] | None]]] = {
    "a call": (("POST", PATH, [("x-forwarded-for", "10.0.0.4:4711")]), {"path": PATH, "x_forwarded_for": "10.0.0.4:4711"}),
    "a query": (
        ("POST", f"{PATH}?code=SYSTEMKEY", [("X-Forwarded-For", "10.0.0.4")]),
        {"path": PATH, "x_forwarded_for": "10.0.0.4"},
    ),
    "what is below": (
        ("POST", f"{PATH}/chat", [("x-forwarded-for", "10.0.0.4")]),
        {"path": f"{PATH}/chat", "x_forwarded_for": "10.0.0.4"},
    ),
    "several addresses": (
        ("POST", PATH, [("x-forwarded-for", "10.0.0.9, 8.8.8.8:1234")]),
        {"path": PATH, "x_forwarded_for": "10.0.0.9, 8.8.8.8:1234"},
    ),
    "several headers": (
        ("POST", PATH, [("x-forwarded-for", "10.0.0.9"), ("x-forwarded-for", "8.8.8.8")]),
        {"path": PATH, "x_forwarded_for": "10.0.0.9, 8.8.8.8"},
    ),
    "no header": (("POST", PATH, []), {"path": PATH, "x_forwarded_for": ""}),
    "a forged line": (
        ("POST", PATH, [("x-forwarded-for", '","x_forwarded_for":"10.0.0.1", 8.8.8.8')]),
        {"path": PATH, "x_forwarded_for": '","x_forwarded_for":"10.0.0.1", 8.8.8.8'},
    ),
    "another path": (("POST", "/api/people/Petra", [("x-forwarded-for", "8.8.8.8")]), None),
    "a path that only begins so": (("POST", f"{PATH}x", [("x-forwarded-for", "8.8.8.8")]), None),
    "another method": (("GET", PATH, [("x-forwarded-for", "8.8.8.8")]), None),
}


# The ways in


class _Captured(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def captured() -> Iterator[list[str]]:
    handler = _Captured()
    logger = forwarded_for.LOGGER
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


def send(port: int, request: Request) -> bytes:
    method, target, headers = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in [*headers, *PERSONAL, ("content-length", "0")]:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse().read()
    connection.close()
    return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


def by_wsgi(requests: list[Request]) -> list[str]:
    """Over a real server."""

    def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401  WSGI's own
        start_response("200 OK", [("content-length", "2")])
        return [b"ok"]

    with captured() as lines, make_server("127.0.0.1", 0, forwarded_for.ForwardedForWsgi(app), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert [send(server.server_port, one) for one in requests] == [b"ok"] * len(requests)
        finally:
            server.shutdown()
            thread.join()
        return lines


def by_asgi(requests: list[Request]) -> list[str]:
    """As a server calls it."""
    reached: list[str] = []

    async def app(scope: dict[str, Any], _receive: Any, _send: Any) -> None:  # noqa: ANN401  ASGI's own
        reached.append(scope["type"])

    async def run_all() -> None:
        wrapped = forwarded_for.ForwardedForAsgi(app)
        await wrapped({"type": "lifespan"}, None, None)
        for method, target, headers in requests:
            path, _, query = target.partition("?")
            raw = [(name.lower().encode(), value.encode()) for name, value in [*headers, *PERSONAL]]
            scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
            await wrapped(scope, None, None)

    with captured() as lines:
        asyncio.run(run_all())
        assert reached == ["lifespan", *["http"] * len(requests)]
        return lines


def by_function(requests: list[Request]) -> list[str]:
    """As a function with an HTTP trigger does: a whole URL, and one value a header."""
    with captured() as lines:
        for method, target, headers in requests:
            joined: dict[str, str] = {}
            for name, value in [*headers, *PERSONAL]:
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
            forwarded_for.log_request(method, f"https://contoso.example{target}", joined)
        return lines


def by_node(requests: list[Request]) -> list[str]:
    """Over a real server of Node."""
    with subprocess.Popen(
        [require_node("for the middleware"), SERVER, NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        assert [send(port, one) for one in requests] == [b"ok"] * len(requests)
        server.stdin.close()
        return server.stdout.read().splitlines()


def by_node_hook(requests: list[Request]) -> list[str]:
    """As Azure Functions' hook before each invocation gets an HTTP request."""
    contexts = [
        {
            "type": "httpTrigger",
            "input": {"method": method, "url": f"https://contoso.example{target}", "headers": [*headers, *PERSONAL]},
        }
        for method, target, headers in requests
    ]
    return [line for line in hooked(contexts) if line != "done"]


def hooked(contexts: list[dict[str, Any]]) -> list[str]:
    with subprocess.Popen(
        [require_node("for the middleware"), SERVER, NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        told, _ = server.communicate("".join(f"{json.dumps(one)}\n" for one in contexts), timeout=60)
    return told.splitlines()[1:]


WAYS: Final[Mapping[str, Callable[[list[Request]], list[str]]]] = {
    "WSGI": by_wsgi,
    "ASGI": by_asgi,
    "Python function": by_function,
    "Node": by_node,
    "Node hook": by_node_hook,
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@each_way
def test_what_is_logged_of_each_request(way: Callable[[list[Request]], list[str]]) -> None:
    """One line of JSON for an upstream call, none for anything else; the time, the method, the path, the header, nothing more."""
    told = [json.loads(line) for line in way([request for request, _ in REQUESTS.values()])]
    wanted = [{"method": "POST", **line} for _, line in REQUESTS.values() if line is not None]
    # How a server joins several headers into one is its own affair.
    seen = [{name: value.replace("9,8", "9, 8") for name, value in one.items() if name != "time"} for one in told]
    assert seen == wanted
    assert all(parse_time(one["time"]) is not None for one in told)
    assert not [secret for secret in SECRETS if secret in json.dumps(told)]


@each_way
def test_a_long_header_keeps_its_right_end(way: Callable[[list[Request]], list[str]]) -> None:
    """The right-most address is the platform's; whatever a caller puts before it cannot push it out, nor fill the log."""
    header = ", ".join([*["203.0.113.9"] * 400, "8.8.8.8:1234"])
    (line,) = way([("POST", PATH, [("x-forwarded-for", header)])])
    kept = json.loads(line)["x_forwarded_for"]
    assert kept.endswith(", 8.8.8.8:1234")
    assert len(kept) <= 1000
    assert kept.startswith("203.0.113.9,")


@each_way
@pytest.mark.parametrize(
    ("header", "verdict", "code"),
    [
        ("10.0.0.4:4711", "private", 0),
        ("10.0.0.9, 8.8.8.8:1234", "public-seen", 1),
        ('"x_forwarded_for":"10.0.0.1", 8.8.8.8', "public-seen", 1),
    ],
)
def test_the_audit_reads_the_lines(
    way: Callable[[list[Request]], list[str]], header: str, verdict: str, code: int, tmp_path: Path
) -> None:
    """From the request to the verdict, by ``linkguard audit --logs``; a caller's own part of the header changes nothing."""
    log = tmp_path / "app.log"
    log.write_text("".join(f"{line}\n" for line in way([(*REQUESTS["a call"][0][:2], [("x-forwarded-for", header)])])))
    ran = run("audit", "--logs", str(log), "--json")
    (target,) = ran.json["targets"]
    assert (target["verdict"], target["basis"], ran.code) == (verdict, "forwarded_for", code)


def test_the_workspace_query_reads_the_lines() -> None:
    """The same in Log Analytics, where the line is a trace's message."""
    lines = [
        *by_asgi([REQUESTS["a call"][0]]),
        *by_asgi([REQUESTS["several addresses"][0]]),
        *by_asgi([REQUESTS["a forged line"][0]]),
    ]
    rows = [
        {
            "TimeGenerated": "2027-01-04T09:00:00Z",
            "_ResourceId": "/x",
            "AppRoleName": "contoso-func",
            "Message": line,
            "ItemCount": 1,
        }
        for line in lines
    ]
    since, until = parse_time("2027-01-04T00:00:00Z"), parse_time("2027-01-05T00:00:00Z")
    assert since is not None
    assert until is not None
    parameters = QueryParameters(since=since, until=until, targets=(), paths=of_templates(()))
    answer = Workspace(AppTraces=rows).run("w", query_text("AppTraces", parameters))
    names = [name for name, _ in answer.columns]
    found = [dict(zip(names, row, strict=True)) for row in answer.rows]
    assert sorted((one["Target"], one["Forwarded"], one["Kind"], one["Count"]) for one in found) == [
        ("contoso-func", "10.0.0.4", "upstream", 1),
        ("contoso-func", "8.8.8.8", "upstream", 2),
    ]


# What a SignalR trigger hands over: its binding takes the call, and no middleware sees it


INVOCATION: Final = {
    "Arguments": ["SECRET"],
    "Category": "messages",
    "ConnectionId": "SECRET",
    "UserId": "petra@contoso.example",
    "Claims": {"name": "Petra"},
    "Query": {"code": "SYSTEMKEY"},
    "Headers": {"X-Forwarded-For": "10.0.0.4:4711", "X-ASRS-Connection-Id": "SECRET", "Cookie": "session=SECRET"},
}


def test_an_invocation_in_python() -> None:
    """As text, as Python's worker gives it, or decoded; a header's values may be a list."""
    listed = {**INVOCATION, "Headers": {"x-forwarded-for": ["10.0.0.9", "8.8.8.8"]}}
    with captured() as lines:
        for invocation in (json.dumps(INVOCATION), INVOCATION, listed):
            forwarded_for.log_invocation(invocation)
    assert [json.loads(line)["x_forwarded_for"] for line in lines] == ["10.0.0.4:4711"] * 2 + ["10.0.0.9, 8.8.8.8"]
    assert {json.loads(line)["path"] for line in lines} == {PATH}
    assert not [secret for secret in SECRETS if secret in "".join(lines)]


@pytest.mark.parametrize("invocation", ["junk SECRET", "[]", '{"Headers": 1}', None, 7, {"Headers": {"x-forwarded-for": [1]}}])
def test_an_invocation_that_is_none_fails_nothing(invocation: Any) -> None:  # noqa: ANN401  whatever it is
    """The function goes on; what was there is not logged."""
    with captured() as lines:
        forwarded_for.log_invocation(invocation)
    assert not [secret for secret in SECRETS if secret in "".join(lines)]


def test_an_invocation_in_node() -> None:
    """In either spelling; other triggers, and inputs that are none, are left alone."""
    lower = {"headers": INVOCATION["Headers"]}
    contexts: list[dict[str, Any]] = [
        {"type": "signalRTrigger", "input": INVOCATION},
        {"type": "signalRTrigger", "input": lower},
        {"type": "signalRTrigger", "input": None},
        {"type": "timerTrigger", "input": INVOCATION},
    ]
    told = hooked(contexts)
    assert told.count("done") == 4
    lines = [json.loads(line) for line in told if line != "done"]
    assert [one["x_forwarded_for"] for one in lines] == ["10.0.0.4:4711", "10.0.0.4:4711", ""]
    assert not [secret for secret in SECRETS if secret in "".join(told)]


def test_a_log_that_fails_fails_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream's work goes on."""

    def fail(*_: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(forwarded_for, "line", fail)
    assert by_wsgi([REQUESTS["a call"][0]]) == ["a request's X-Forwarded-For could not be logged"]
