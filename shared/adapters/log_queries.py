"""What Log Analytics is asked: one query a table, aggregated there, so that what comes back does not grow with requests.

What differs from audit to audit goes in as base64 in a literal, or as a time that we write: nothing from outside is ever part of
the query's text. The right-most forwarded element is cut out there, without its port, since everything to its left and the
port may differ at every request; classes are ours, so that no address falls through a function that knows IPv4 alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.adapters.log_records import PING_AGENT
from shared.core.upstream_path import UpstreamPaths

EMPTY: Final = "(empty)"
"""Stands for a right-most element that is there and empty."""
SEVERAL: Final = "(several)"
"""Stands for several headers in one record, one of which may be a caller's forgery, and for one that cannot be read."""

# An object's own key in JSON text: a caller's quotation marks are escaped there.
_STRICT: Final = r"""@'(?i)[{,]\s*"x[-_]?forwarded[-_]?for"\s*:\s*"((?:[^"\\]|\\.)*)"'"""
_ELEMENT: Final = r"0-9A-Za-z\[\]:._%"
_LOOSE: Final = (
    r"""@'(?i)x[-_]?forwarded[-_]?for["\x27]?\s*[=:]\s*["\x27]?"""
    rf"""([{_ELEMENT}-]+(?:(?:\s*,)+\s*[{_ELEMENT}-]+)*)(?:[^{_ELEMENT}=-]|$)'"""
)
# A header with a value, however it is written: where nothing else reads it, the request must not be left out.
_UNREAD: Final = r"""@'(?i)x[-_]?forwarded[-_]?for[\\"\x27]*\s*[=:][\s\\"\x27\[({]*[^\s\\"\x27\[({-]'"""
# An address after a comma, anywhere behind the header: a caller's part may hold what looks like the header's end.
_LATER: Final = r"""@'(?is)x[-_]?forwarded[-_]?for.*,\s*"?\[?([0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*[0-9A-Fa-f])'"""
_METHOD: Final = r"""@'(?i)(?:^|[^a-z])(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)(?:[^a-z]|$)'"""
_PATH: Final = (
    r"""@'(?i)(?:(?:^|[^a-z])(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+|(?:path|uri|url|requestpath|csuristem)"?\s*[=:]\s*"?)"""
    r"""(?:https?://[^/\s"]+)?(/[^\s"\\?#,;]*)'"""
)
_PORT: Final = r"""@'^(\[[^\]]+\]|[^\[\]]*\.[0-9]+):[0-9]{1,5}$'"""
_IN_ROLE: Final = 'iff(_ResourceId contains "/providers/microsoft.web/sites/", tolower(_ResourceId), tolower(AppRoleName))'

_HTTP_LOGS: Final = """
AppServiceHTTPLogs
| where {window}
| extend Target = tolower(_ResourceId), Header = "", Headers = 0, Client = CIp, Items = 1
| extend Method = CsMethod, Path = CsUriStem, Host = CsHost, Agent = UserAgent
"""
_REQUESTS: Final = f"""
AppRequests
| where {{window}}
| extend Found = extract_all({_STRICT}, tostring(Properties)), Parts = parse_url(Url)
| extend Target = {_IN_ROLE}, Header = tostring(Found[0]), Headers = coalesce(array_length(Found), 0)
| extend Headers = iff(Headers == 0 and tostring(Properties) matches regex {_UNREAD}, 2, Headers)
| extend Client = ClientIP, Items = ItemCount
| extend Method = extract(@'^([A-Za-z]+) ', 1, Name), Path = tostring(Parts.Path), Host = tostring(Parts.Host), Agent = ""
"""
_TRACES: Final = f"""
AppTraces
| where {{window}}
| extend Said = iff(Message startswith "{{{{", extract_all({_STRICT}, Message), extract_all({_LOOSE}, Message))
| extend Found = extract_all({_STRICT}, tostring(Properties)), Text = strcat(Message, " ", tostring(Properties))
| extend Headers = coalesce(array_length(Said), 0) + coalesce(array_length(Found), 0)
| extend Headers = iff(Headers == 0 and Text matches regex {_UNREAD}, 2, Headers)
| where Headers > 0
| extend Later = iff(Message startswith "{{{{", "", extract({_LATER}, 1, Message))
| extend Target = {_IN_ROLE}, Header = coalesce(tostring(Said[0]), tostring(Found[0])), Client = "", Items = ItemCount
| extend Headers = iff(isnotempty(Later) and tostring(Said[0]) !contains Later, 2, Headers)
| extend Method = extract({_METHOD}, 1, Text), Path = extract({_PATH}, 1, Text), Host = "", Agent = ""
"""
_FUNCTION_LOGS: Final = f"""
FunctionAppLogs
| where {{window}}
| extend Found = iff(Message startswith "{{{{", extract_all({_STRICT}, Message), extract_all({_LOOSE}, Message))
| extend Headers = coalesce(array_length(Found), 0)
| extend Headers = iff(Headers == 0 and Message matches regex {_UNREAD}, 2, Headers)
| where Headers > 0
| extend Later = iff(Message startswith "{{{{", "", extract({_LATER}, 1, Message))
| extend Target = tolower(_ResourceId), Header = tostring(Found[0]), Client = "", Items = 1
| extend Headers = iff(isnotempty(Later) and Header !contains Later, 2, Headers)
| extend Method = extract({_METHOD}, 1, Message), Path = extract({_PATH}, 1, Message), Host = "", Agent = ""
"""
_COMMON: Final = f"""\
{{targets}}| extend Last = trim(@'[ \\t]+', extract(@'([^,]*)$', 1, Header))
| extend Forwarded = case(Headers > 1, "{SEVERAL}", isempty(Header), "", isempty(Last), "{EMPTY}", Last)
| extend Forwarded = replace_regex(Forwarded, {_PORT}, @'\\1'), Client = replace_regex(Client, {_PORT}, @'\\1')
| extend Kind = case(
    Client in ("127.0.0.1", "::1") and Agent matches regex pings, "ping",
    Host contains ".scm.", "scm",
    toupper(Method) in ("POST", "") and Path matches regex upstream, "upstream",
    "other")
| summarize Count = count(), First = min(TimeGenerated), Last = max(TimeGenerated), Items = max(Items)
    by Target, Forwarded, Client, Kind, Hour = bin(TimeGenerated, 1h)
"""

TABLES: Final = {
    "AppServiceHTTPLogs": _HTTP_LOGS,
    "AppRequests": _REQUESTS,
    "AppTraces": _TRACES,
    "FunctionAppLogs": _FUNCTION_LOGS,
}
"""What each table is asked, up to the part that is common to all."""
COLUMNS: Final = ("Target", "Forwarded", "Client", "Kind", "Count", "First", "Last", "Items")
"""What is read of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameters:
    """What an audit asks for."""

    since: datetime
    until: datetime
    targets: Sequence[str]
    """Resource ids and site names in lower case; empty for all."""
    paths: UpstreamPaths


def query_text(table: str, parameters: QueryParameters) -> str:
    """The query over one of :data:`TABLES`."""
    window = f"TimeGenerated >= datetime({_time(parameters.since)}) and TimeGenerated < datetime({_time(parameters.until)})"
    flags, _, body = parameters.paths.regex.partition(")")
    preamble = f"let upstream = {_literal(f'{flags})^{body}$')};\nlet pings = {_literal(PING_AGENT)};"
    wanted = ", ".join(map(_literal, parameters.targets))
    common = _COMMON.replace("{targets}", f"| where Target in ({wanted})\n" if wanted else "")
    return preamble + TABLES[table].replace("{{", "{").replace("{window}", window) + common


def _literal(text: str) -> str:
    return f'base64_decode_tostring("{base64.b64encode(text.encode()).decode("ascii")}")'


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
