"""Logs where SignalR's upstream calls come from: a line of JSON for each, which ``linkguard audit`` reads.

One file without dependencies, to be copied into an upstream written in Python:

    app = ForwardedForAsgi(app)                       # FastAPI, Starlette, Quart, func.AsgiFunctionApp
    app.wsgi_app = ForwardedForWsgi(app.wsgi_app)     # Flask, Django, func.WsgiFunctionApp
    log_request(req.method, req.url, req.headers)     # in a function with an HTTP trigger
    log_invocation(invocation)                        # in a function with a SignalR trigger, whose binding takes the call itself

A line holds the time, the method, the path and X-Forwarded-For, and nothing else: no query, no cookie, no user agent, no body.
Only POSTs to the paths of SignalR's upstream templates are logged, so other callers' addresses never are. Logging that fails
never fails a call.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

LOGGER = logging.getLogger("forwarded_for")
UPSTREAM = ("/runtime/webhooks/signalr",)
"""Where upstream templates lead to: paths, each with all that is below it. This is Azure Functions' own."""
LONGEST = 1000
"""Characters of the header that are kept, from its right end: the right-most address is the one that the platform wrote."""


def line(method: str, url: str, forwarded_for: str, paths: Iterable[str] = UPSTREAM) -> str | None:
    """The line for one request; None where it is no upstream call. ``url``: a path or a whole URL, with or without a query."""
    path = urlsplit(url).path if "://" in url[:12] else url.partition("?")[0].partition("#")[0]
    if method.upper() != "POST" or not any(path == one.rstrip("/") or path.startswith(one.rstrip("/") + "/") for one in paths):
        return None
    if len(forwarded_for) > LONGEST:
        forwarded_for = forwarded_for[-LONGEST:].partition(",")[2]
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    record = {"time": now, "method": method.upper(), "path": path, "x_forwarded_for": forwarded_for.strip()}
    return json.dumps(record, separators=(",", ":"))


def log_request(method: str, url: str, headers: Mapping[str, str], paths: Iterable[str] = UPSTREAM) -> None:
    """Log one request."""
    try:
        values = [value for name, value in headers.items() if name.lower() == "x-forwarded-for"]
        found = line(method, url, ", ".join(values), paths)
        if found is not None:
            LOGGER.info("%s", found)
    except Exception:  # noqa: BLE001  whatever is wrong with a header, the call goes on
        LOGGER.warning("a request's X-Forwarded-For could not be logged")


def log_invocation(invocation: str | Mapping[str, Any]) -> None:
    """Log the upstream call behind an invocation of a SignalR trigger, by the headers that the trigger hands over."""
    try:
        context = json.loads(invocation) if isinstance(invocation, str) else invocation
        found = context.get("Headers", {}).items()
        headers = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in found}
    except (AttributeError, TypeError, ValueError):
        LOGGER.warning("an invocation's X-Forwarded-For could not be logged")
        return
    log_request("POST", UPSTREAM[0], headers)


class ForwardedForAsgi:
    """Middleware for ASGI."""

    def __init__(self, app: Callable[..., Awaitable[None]], paths: Iterable[str] = UPSTREAM) -> None:
        self._app = app
        self._paths = tuple(paths)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own
        """Log the request, then go on."""
        if scope["type"] == "http":
            values = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
            log_request(scope["method"], scope["path"], {"x-forwarded-for": ", ".join(values)}, self._paths)
        await self._app(scope, receive, send)


class ForwardedForWsgi:
    """Middleware for WSGI."""

    def __init__(self, app: Callable[..., Iterable[bytes]], paths: Iterable[str] = UPSTREAM) -> None:
        self._app = app
        self._paths = tuple(paths)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401  WSGI's own
        """Log the request, then go on."""
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        header = environ.get("HTTP_X_FORWARDED_FOR", "")
        log_request(environ["REQUEST_METHOD"], path, {"x-forwarded-for": header}, self._paths)
        return self._app(environ, start_response)
