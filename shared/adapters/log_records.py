"""One record of a log -> a request, whatever shape the log has. What the query engine does not read comes through here.

Keys are compared without case and punctuation, so that ``X-Forwarded-For``, ``x_forwarded_for`` and ``XForwardedFor`` are one.
Only fields are looked at, never text that a caller may have put somewhere else; where a record names several forwarded headers,
the one that speaks most against "private" counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from shared.core.address import AddressClass, parse_address
from shared.core.time_text import parse_time
from shared.core.traffic import Kind, Resolved, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.core.address import PrivateRanges
    from shared.core.upstream_path import UpstreamPaths

HTTP_LOGS: Final = "AppServiceHTTPLogs"
APPLICATION_LOG: Final = "application log"
W3C_LOG: Final = "web server log"
UNNAMED: Final = "unnamed"
"""What stands for the target of records that name none."""

_NESTED: Final = 3
"""Levels of JSON in JSON that are looked into."""
PING_AGENT: Final = r"(?i)^(?:AlwaysOn|HealthCheck|ReadyForRequest)(?:[^A-Za-z0-9]|$)"
"""User agents of the platform's own pings, for Python and RE2 alike."""
SCM_HOST: Final = r"(?i)[.]scm[.]"
"""Hosts of SCM sites: ``<site>.scm.azurewebsites.net``, also behind an App Service Environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as a log tells it; None for what the log does not tell."""

    at: datetime | None
    target: str | None
    table: str
    method: str | None
    path: str | None
    """Without its query."""
    host: str | None
    agent: str | None
    forwarded: tuple[str, ...]
    """Every value that the record has of X-Forwarded-For."""
    rfc_7239: str | None
    client: str | None
    sampled: bool = False

    def kind(self, paths: UpstreamPaths) -> Kind:
        """What the request is."""
        pinged = self.client is not None and self.client.strip() in {"127.0.0.1", "::1"}
        if pinged and re.search(PING_AGENT, self.agent or ""):
            return Kind.PING
        if re.search(SCM_HOST, self.host or ""):
            return Kind.SCM
        if self.path is not None and paths.matches(self.method or "POST", self.path):
            return Kind.UPSTREAM
        return Kind.OTHER

    def source(self, ranges: PrivateRanges) -> Resolved:
        """Where it came from; of several forwarded values the worst."""
        values: Sequence[str | None] = self.forwarded or (None,)
        return min((resolve(one, self.client, ranges, rfc_7239=self.rfc_7239) for one in values), key=_harm)


def _harm(source: Resolved) -> int:
    return {AddressClass.PUBLIC: 0, AddressClass.PRIVATE: 2}.get(source.cls, 1)


def folded(key: str) -> str:
    """A key without case and punctuation."""
    return _folded(key) if len(key) <= _LONGEST_KEY else _PUNCTUATION.sub("", key.lower())


@lru_cache(maxsize=1024)
def _folded(key: str) -> str:
    """A log has few keys, and has them in every line."""
    return _PUNCTUATION.sub("", key.lower())


_LONGEST_KEY: Final = 64
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")


type _Fields = dict[str, Any]


def from_object(record: object) -> Request | None:
    """A JSON record, None where it is not about a request.

    Raises:
        ValueError: where it is not a JSON object.

    """
    if not isinstance(record, dict):
        message = "not a JSON object"
        raise ValueError(message)  # noqa: TRY004  the caller counts it as broken, like any line that is no record
    levels = list(_levels(record, _NESTED))
    texts = [text for level in levels for key in _MESSAGES if isinstance(text := level.get(key), str)]
    is_http = any("cip" in level or "csmethod" in level for level in levels)
    table = _text(levels, "category", "type", "tablename") or (HTTP_LOGS if is_http else APPLICATION_LOG)
    forwarded = _forwarded(levels, texts)
    client = _text(levels, "cip", "clientip")
    if not forwarded and client is None and folded(table) != folded(HTTP_LOGS):
        return None
    method, url = _request_line(levels, texts)
    return Request(
        at=_time(levels),
        target=_target(levels),
        table=table,
        method=method,
        path=_path(url),
        host=_text(levels, "cshost", "host") or _host(url),
        agent=_text(levels, "useragent", "csuseragent"),
        forwarded=forwarded,
        rfc_7239=_text(levels, "forwarded"),
        client=client,
        sampled=_number(_text(levels, "itemcount")) > 1,
    )


_MESSAGES: Final = ("message", "msg", "log", "resultdescription")
_HOLDERS: Final = ("properties", "customdimensions", *_MESSAGES)
_HEADER: Final = "xforwardedfor"
_TWICE: Final = "x-forwarded-for"
"""Where all values of the header are if there is more than one; no folded key has punctuation."""


def _levels(record: Mapping[str, Any], depth: int) -> Iterable[_Fields]:
    """The record's own fields, and those of objects and JSON texts in the places where loggers put them."""
    level = {folded(key): value for key, value in record.items() if isinstance(key, str)}
    if len(level) < len(record):
        # Two keys that fold alike: a caller's own header does not take the place of the platform's.
        level[_TWICE] = [value for key, value in record.items() if isinstance(key, str) and folded(key) == _HEADER]
    yield level
    if depth:
        for name in _HOLDERS:
            inner = _object(level.get(name))
            if inner is not None:
                yield from _levels(inner, depth - 1)


def _object(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return None
    return value if isinstance(value, dict) else None


def _text(levels: Iterable[_Fields], *names: str) -> str | None:
    """The first field of one of these names that holds something."""
    for level in levels:
        for name in names:
            value = level.get(name)
            if isinstance(value, str):
                if value:
                    return value
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)
    return None


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0


_IN_TEXT: Final = re.compile(
    r"""(?i)(?<![a-z0-9])x[-_]?forwarded[-_]?for\\?["']?\s*+[=:]\s*+"""
    r"""(?:\\?"((?:[^"\\]|\\[^"])*+)\\?"|'([^']*+)'|\[([^\[\]"']*+)\]"""
    # Possessive: a line may be long, and every way to read it again would be tried.
    r"""|([^\s,;"'|&{}()\[]++(?:(?:\s*+,)++\s*+[^\s,;"'|&{}()=]++(?![^\s,]*=))*+)"""
    r"""|(["'\[\\{(]))"""
)
"""The last alternative is what opens a value and is never closed."""
_MOST_VALUES: Final = 256
_MORE: Final = "(more)"
"""Stands for values that were not looked at: malformed, which is never private."""


def _forwarded(levels: Iterable[_Fields], texts: Iterable[str]) -> tuple[str, ...]:
    values: list[str] = []
    for level in levels:
        for value in level.get(_TWICE) or [level.get(_HEADER)]:
            text = ",".join(one for one in value if isinstance(one, str)) if isinstance(value, list) else value
            if isinstance(text, str):
                values.append(text)
    for text in texts:
        if text.lstrip()[:1] != "{" or _object(text) is None:
            values += text_values(text)
    return tuple(dict.fromkeys(value for value in values if value.strip() not in {"", "-"}))


def text_values(text: str) -> list[str]:
    """Every ``X-Forwarded-For=...`` and ``x_forwarded_for: "..."`` in a line for people."""
    found = list(_IN_TEXT.finditer(text))
    if not found:
        return []
    values = [next(group for group in match.groups() if group is not None) for match in found]
    # A caller's part of the header may hold what looks like its end, so no address after a later comma is left out.
    later = dict.fromkeys(match[1] for match in _LATER.finditer(text, found[0].end()))
    values = list(dict.fromkeys([*values, *(one for one in later if parse_address(one) is not None)]))
    return [*values[:_MOST_VALUES], _MORE] if len(values) > _MOST_VALUES else values


_LATER: Final = re.compile(r""",\s*["']?(\[?[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*\]?(?::[0-9]{1,5})?)""")
_REQUEST_LINE: Final = re.compile(
    r"(?<![A-Za-z])(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)[\s\"',:=]{1,4}(?:[a-z_]{1,16}=)?\"?((?:https?://[^/\s\"']{1,255})?/[^\s\"',;]*)",
)


def _request_line(levels: Sequence[_Fields], texts: Sequence[str]) -> tuple[str | None, str | None]:
    method = _text(levels, "csmethod", "method", "httpmethod", "requestmethod", "verb")
    url = _text(levels, "csuristem", "url", "requesturi", "requesturl", "uri", "path", "requestpath", "csuri")
    if method is None or url is None:
        names = [text for level in levels for key in ("name", "operationname") if isinstance(text := level.get(key), str)]
        for text in (*names, *texts):
            if match := _REQUEST_LINE.search(text):
                return method or match[1], url or match[2]
    return method, url


def _path(url: str | None) -> str | None:
    if url is None:
        return None
    if "://" in url[:12]:
        try:
            url = urlsplit(url).path or "/"
        except ValueError:
            return None
    return re.split(r"[?#]", url, maxsplit=1)[0]


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:
        return None


def _target(levels: Sequence[_Fields]) -> str | None:
    """The site. Application Insights' records name a component instead, and the site as their role."""
    resource = _text(levels, "resourceid")
    if resource is None or "/MICROSOFT.WEB/SITES/" not in resource.upper():
        return _text(levels, "approlename", "ssitename") or resource
    return resource


_TIMES: Final = ("timegenerated", "timegeneratedutc", "time", "timestamp", "eventtime", "ts")


def _time(levels: Sequence[_Fields]) -> datetime | None:
    return parse_time(_text(levels, *_TIMES) or "")


def from_text(line: str) -> Request | None:
    """A line for people, None where it has no forwarded header."""
    values = [value for value in text_values(line) if value.strip() not in {"", "-"}]
    if not values:
        return None
    request = _REQUEST_LINE.search(line)
    stamp = _STAMP.search(line[:100])
    return Request(
        at=parse_time(stamp[0]) if stamp else None,
        target=None,
        table=APPLICATION_LOG,
        method=request[1] if request else None,
        path=_path(request[2]) if request else _path(_path_in_text(line)),
        host=None,
        agent=None,
        forwarded=tuple(dict.fromkeys(values)),
        rfc_7239=None,
        client=None,
    )


_STAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?")
_PATH: Final = re.compile(r"""(?i)(?<![a-z])(?:path|uri|url|request_path|cs[-_]uri[-_]stem)["']?\s*[=:]\s*["']?([^\s"',;]+)""")


def _path_in_text(line: str) -> str | None:
    match = _PATH.search(line)
    return match[1] if match else None


class W3C:
    """The W3C extended log format, whose ``#Fields`` line may come again with other fields."""

    def __init__(self) -> None:
        self._fields: list[str] = []

    def directive(self, line: str) -> None:
        """A line that begins with ``#``."""
        name, _, value = line.partition(":")
        if name.strip().lower() == "#fields":
            self._fields = [folded(field) for field in value.split()]

    def read(self, line: str) -> Request:
        """A line of values.

        Raises:
            ValueError: where there are more or fewer values than fields, or no fields at all.

        """
        values = line.split(" ")
        if len(values) != len(self._fields):
            values = re.findall(r'"[^"]*"|\S+', line)
        if not self._fields or len(values) != len(self._fields):
            message = f"{len(values)} values, {len(self._fields)} fields"
            raise ValueError(message)
        pairs = [
            (name, value.strip('"').replace("+", " ")) for name, value in zip(self._fields, values, strict=True) if value != "-"
        ]
        row = dict(pairs)
        forwarded = [value for name, value in pairs if name.endswith(_HEADER)]
        return Request(
            at=parse_time(f"{row.get('date', '')}T{row.get('time', '')}"),
            target=row.get("ssitename"),
            table=W3C_LOG,
            method=row.get("csmethod"),
            path=_path(row.get("csuristem") or row.get("csuri")),
            host=row.get("cshost"),
            agent=row.get("csuseragent"),
            forwarded=tuple(forwarded),
            rfc_7239=row.get("csforwarded"),
            client=row.get("cip"),
        )
