"""JSON lines grouped by DuckDB, in memory that does not grow with them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.adapters.log_bytes import LONGEST_LINE
from shared.adapters.log_pump import SAMPLES
from shared.adapters.log_records import APPLICATION_LOG, HTTP_LOGS, PING_AGENT, from_object
from shared.core.address import AddressClass, classify_block
from shared.core.traffic import TOP_SOURCES, Basis, Kind, Resolved, Source, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from shared.adapters.log_pump import End, Pump
    from shared.core.traffic import TableTally
    from shared.ports import TrafficQuestion

_MEMORY: Final = "170MB"
"""What the engine may take before it goes to disk."""
_BUFFER: Final = 4 << 20
"""Bytes that it reads at once: with fewer it begins anew too often, with more it waits for memory."""
_AT_ONCE: Final = 10_000
_LINES_AT_ONCE: Final = 100
_FEW: Final = 50_000
"""So many groups are classified one by one; more, by blocks of addresses."""
_LONGEST_ADDRESS: Final = 128


class Engine:
    """Groups the pipe's lines by source in DuckDB, then classifies the groups with the core's own rules."""

    def __init__(self, pump: Pump, question: TrafficQuestion, folder: Path, *, trusting: bool) -> None:
        """Be ready.

        Args:
            pump: gives the lines, and takes what comes of them.
            question: which requests are asked for.
            folder: for what does not fit into memory.
            trusting: whether to fail where a line is no JSON; being ready for such lines takes time.

        """
        self._pump = pump
        self._question = question
        self._folder = folder
        self._trusting = trusting
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.over = threading.Event()
        """Everything is read, and what is left to do is to see what came of it."""
        self.failure = ""
        self.size = 0
        """Bytes of all lines that were read, with one for the end of each."""

    def share(self) -> float:
        """How much is done of what is read, from another thread; 0 to 1."""
        connection = self._connection
        if self.over.is_set() or connection is None:
            return float(self.over.is_set())
        return min(max(connection.query_progress(), 0) / 100, 0.99)

    def interrupt(self) -> None:
        """From another thread: end what is just being done. What has not begun yet is not ended by it."""
        import duckdb  # noqa: PLC0415  imported already

        if (connection := self._connection) is not None:
            with contextlib.suppress(duckdb.Error):  # It may be closed by now.
                connection.interrupt()

    def run(self, end: End) -> None:
        """Read the pipe and what the engine reads itself, to their end.

        Raises:
            duckdb.Error: where the engine fails or is interrupted.
            LeftError: where nobody waits for it any more.

        """
        import duckdb  # noqa: PLC0415  heavy: not before there is a file to read

        with duckdb.connect(config=_config(self._folder)) as connection:
            paths = self._question.paths_of(None)
            question, limits = self._question, []
            parameters: dict[str, object] = {
                "files": [f"/dev/fd/{end.descriptor}", *self._pump.whole],
                "ping": PING_AGENT,
                "upstream": paths.regex,
                "literal": paths.literals,
                "label": self._pump.scope.label,
            }
            if self._pump.scope.targets:
                limits.append(_OF_OTHERS)
                parameters["targets"] = sorted(self._pump.scope.targets)
            if question.since is not None or question.until is not None:
                limits.append(_OUTSIDE)
                parameters |= {"since": _micros(question.since), "until": _micros(question.until)}
            record = _RECORD if self._trusting else f"TRY({_RECORD})"
            connection.execute("SET TimeZone = 'UTC'")  # Of times without an offset; else it is this machine's.
            connection.execute("SET enable_progress_bar = true")  # Else it does not say how far it is.
            connection.execute("SET enable_progress_bar_print = false")
            self._connection = connection
            try:
                connection.execute(_GROUPED.replace("{record}", record).replace("{limits}", " ".join(limits)), parameters)
                self.over.set()
                self._read(connection)
            finally:
                self._connection = None
                self.over.set()

    def _read(self, connection: duckdb.DuckDBPyConnection) -> None:
        names: dict[int, tuple[str, str]] = {}
        counts: Counter[str] = Counter()
        named = "SELECT st, th, target, tbl, n, f, l, bytes FROM g WHERE named"
        for status, hashed, target, table, count, first, last, size in self._rows(connection, named):
            names[hashed] = target, table
            counts[status] += int(count)
            self.size += int(size or 0) + int(count)
            if kind := _APART.get(status):
                self._table(names, hashed).add(kind, _NOBODY, int(count), _moment(first), _moment(last))
        lines = self._pump.lines
        lines.broken += counts["b"]
        lines.skipped += counts["s"]
        lines.read += counts["r"] + counts["p"] + counts["m"]
        if counts["b"]:
            texts = connection.execute("SELECT src FROM g WHERE NOT named AND st = 'b' LIMIT ?", [SAMPLES]).fetchall()
            self._pump.broken_texts += [text.encode() for (text,) in texts if text]
        if counts["x"]:
            odd = "SELECT src, n FROM g WHERE NOT named AND st = 'x'"
            for line, count in self._rows(connection, odd, at_once=_LINES_AT_ONCE):
                self._odd(line, count)
        (groups,) = connection.execute("SELECT count(*) FROM g WHERE NOT named AND st = 'r'").fetchone() or (0,)
        if groups <= _FEW:
            self._one_by_one(connection, names, "SELECT th, src, up, n, f, l FROM g WHERE NOT named AND st = 'r'")
        else:
            self._by_blocks(connection, names)

    def _rows(
        self, connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None, *, at_once: int = _AT_ONCE
    ) -> Iterator[Any]:
        """Rows of a query, some at once; to be read to their end before the next query."""
        connection.execute(query, parameters)
        while rows := connection.fetchmany(at_once):
            self._pump.go_on()
            yield from rows

    def _table(self, names: dict[int, tuple[str, str]], hashed: int) -> TableTally:
        target, table = names[hashed]
        return self._pump.tally.table(target, table)

    def _odd(self, line: str, count: int) -> None:
        try:
            request = from_object(msgspec.json.decode(line))
        except (msgspec.DecodeError, ValueError, RecursionError):
            self._pump.lines.broken += count
            self._pump.broken_texts.append(line.encode())
        else:
            self._pump.request(request, count)

    def _one_by_one(
        self,
        connection: duckdb.DuckDBPyConnection,
        names: dict[int, tuple[str, str]],
        query: str,
        parameters: object = None,
        *,
        named: bool = True,
    ) -> None:
        for hashed, text, upstream, count, first, last in self._rows(connection, query, parameters):
            source = resolve(None, text, self._question.ranges)
            _add(self._table(names, hashed), source, int(upstream), int(count), first, last, named=named)

    def _by_blocks(self, connection: duckdb.DuckDBPyConnection, names: dict[int, tuple[str, str]]) -> None:
        """Classes by the first two octets, where they decide; everything else one by one; the most frequent sources by name."""
        connection.execute(_BLOCKS)
        distinct: Counter[int] = Counter()
        mixed: list[str] = []
        for hashed, block, upstream, count, first, last, sources in self._rows(connection, "SELECT * FROM blocks"):
            distinct[hashed] += sources
            cls = classify_block(*map(int, block.split(".")), self._question.ranges) if block else None
            if cls is None:
                mixed.append(block)
            else:
                source = Resolved(name="", cls=cls, basis=Basis.CLIENT_IP)
                _add(self._table(names, hashed), source, int(upstream), int(count), first, last, named=False)
        if mixed:
            query = f"SELECT th, src, up, n, f, l FROM g WHERE NOT named AND st = 'r' AND list_contains(?, {_BLOCK})"  # noqa: S608  a constant
            self._one_by_one(connection, names, query, [sorted(set(mixed))], named=False)
        for hashed, sources in distinct.items():
            table = self._table(names, hashed)
            top = list(self._rows(connection, _TOP, [hashed]))
            for text, count, first, last in top:
                found = resolve(None, text, self._question.ranges)
                if found.cls is not AddressClass.ABSENT:
                    seen = (_moment(first), _moment(last))
                    table.name(
                        Source(
                            address=found.name,
                            cls=found.cls,
                            count=int(count),
                            first_seen=seen[0],
                            last_seen=seen[1],
                            note=found.note,
                        )
                    )
            table.others += sources - len(top)


_APART: Final = {"p": Kind.PING, "m": Kind.SCM}
"""Requests that are counted apart, by nobody."""
_NOBODY: Final = Resolved(name="", cls=AddressClass.ABSENT, basis=Basis.CLIENT_IP)


def _add(  # noqa: PLR0913, PLR0917  one group
    table: TableTally, source: Resolved, upstream: int, count: int, first: int | None, last: int | None, *, named: bool = True
) -> None:
    for kind, share in ((Kind.UPSTREAM, upstream), (Kind.OTHER, count - upstream)):
        if share:
            table.add(kind, source, share, _moment(first), _moment(last), named=named)


def _config(folder: Path) -> dict[str, Any]:
    return {
        "threads": min(os.cpu_count() or 1, 4),  # Each needs memory of its own, and there is not enough for more.
        "async_threads": 0,  # They read ahead, as the system does anyway, and spin for as long as they wait for the others.
        "memory_limit": _MEMORY,
        "temp_directory": str(folder),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int | None) -> datetime | None:
    try:
        return None if micros is None else _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


_FIELDS: Final = ("CIp", "CsMethod", "CsUriStem", "CsHost", "UserAgent")


def _paths(*paths: str) -> str:
    return "[" + ", ".join(f"'$.{path}'" for path in paths) + "]"


_DIAGNOSTIC: Final = _paths("time", "resourceId", "category", *(f"properties.{name}" for name in _FIELDS[:-1]))
"""Diagnostic records whose properties are an object; the other shapes are looked for only where this one does not fit."""
_OTHERS: Final = _paths("time", "TimeGenerated", "resourceId", "_ResourceId", "category", "Type", "properties", *_FIELDS)
_FLAT: Final = _paths(*_FIELDS)
_ODD: Final = "(?i)client.?ip|c.?ip"
"""Other ways to write a client address, which only the reader in Python understands."""
_NAMED: Final = "(?i)resource.?id|role.?name|site.?name"
"""Other ways to name the site. A log that names none anywhere is the engine's all the same."""
_STEM: Final = "regexp_replace(path, '(?i)^[a-z][a-z0-9+.-]{0,9}://[^/?#]*|[?#].*$', '', 'g')"
"""The path where there is a whole URL."""

_ESCAPE: Final = r"\u00"
_ESCAPED: Final = r"\\u00(?:[46][1-9A-Fa-f]|[57][0-9Aa])"
"""A letter that is written as its number: a key may be another one than it looks."""
_AGENT: Final = "CASE WHEN fits THEN json_extract_string(line, '$.properties.UserAgent') ELSE agent END"
"""Of few records: a ping comes from the machine itself."""

_OF_OTHERS: Final = """
WHEN CASE WHEN resource <> '' THEN NOT list_contains($targets, upper(resource)) END
THEN CASE WHEN contains(resource, '/') AND strlen(resource) = length(resource) THEN 's' ELSE 'x' END
"""
"""A site's bare name, and letters that are not ASCII and whose case the engine folds in its own way, are compared in Python."""
_OUTSIDE: Final = "WHEN t < $since OR t >= $until THEN 's'"
"""Asked of every row, so only where there is something to ask."""

_RECORD: Final = f"json_extract_string(line, {_DIAGNOSTIC})"
_MAYBE_FORWARDED: Final = " OR ".join(f"contains(line, '{two}')" for two in ("fo", "fO", "Fo", "FO"))
"""How "forwarded" begins, in any case: looking for that first is quicker, and a call to an App Service has it seldom."""

# A projection works out both sides of AND for every row, a CASE only what it comes to: hence a CASE around whatever is dear.
_GROUPED: Final = f"""
CREATE TEMP TABLE g AS
WITH raw AS (
    SELECT line FROM read_csv($files, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
        delim = chr(1) || chr(2), quote = '', escape = '', comment = '', strict_mode = false, null_padding = false,
        compression = 'none', hive_partitioning = false, max_line_size = {2 * LONGEST_LINE}, buffer_size = {_BUFFER})
), parsed AS (
    -- Where a line is no JSON, TRY makes it NULL; asking json_valid first would parse every line twice.
    SELECT line, {{record}} AS d FROM raw
), fitted AS (
    SELECT line, d, (d[4] IS NOT NULL OR d[5] IS NOT NULL) AND d[1] IS NOT NULL AND d[2] IS NOT NULL AND d[3] IS NOT NULL AS fits
    FROM parsed
), enveloped AS (
    SELECT line, d, fits, CASE WHEN NOT fits AND d IS NOT NULL THEN json_extract_string(line, {_OTHERS}) END AS e FROM fitted
), flattened AS (
    SELECT line, d, fits, e,
        CASE WHEN e[8] IS NOT NULL OR e[9] IS NOT NULL THEN e[8:12]
             WHEN e[7] IS NOT NULL THEN TRY(json_extract_string(e[7], {_FLAT})) END AS p
    FROM enveloped
), fields AS (
    SELECT line, fits, d IS NULL AS broken,
        CASE WHEN fits THEN d[1] ELSE coalesce(e[1], e[2]) END AS stamp,
        CASE WHEN fits THEN d[2] ELSE coalesce(e[3], e[4]) END AS resource,
        CASE WHEN fits THEN d[3]
             WHEN p[1] IS NOT NULL OR p[2] IS NOT NULL THEN coalesce(e[5], e[6], '{HTTP_LOGS}')
             ELSE coalesce(e[5], e[6], '{APPLICATION_LOG}') END AS tbl,
        CASE WHEN fits THEN d[4] ELSE p[1] END AS cip,
        CASE WHEN fits THEN d[5] ELSE p[2] END AS method,
        CASE WHEN fits THEN d[6] ELSE p[3] END AS path,
        CASE WHEN fits THEN d[7] ELSE p[4] END AS host,
        p[5] AS agent
    FROM flattened
), timed AS (
    SELECT *, try_cast(epoch_us(try_cast(stamp AS TIMESTAMPTZ)) AS BIGINT) AS t FROM fields
), judged AS (
    SELECT CASE WHEN resource <> '' THEN resource ELSE $label END AS target, tbl, cip, t, line,
        CASE WHEN broken THEN CASE WHEN line IS NULL OR ltrim(line) = '' THEN 's' ELSE 'b' END
             WHEN CASE WHEN NOT fits THEN left(ltrim(line), 1) <> '{{' END THEN 'b'
             WHEN CASE WHEN {_MAYBE_FORWARDED} THEN regexp_matches(line, '(?i)forwarded') END THEN 'x'
             WHEN CASE WHEN contains(line, '{_ESCAPE}') THEN regexp_matches(line, '{_ESCAPED}') END THEN 'x'
             -- What is missing may be there in another spelling, and the verdict rests on it.
             WHEN cip IS NULL AND method IS NULL
             THEN CASE WHEN tbl = '{HTTP_LOGS}' OR regexp_matches(line, '{_ODD}') THEN 'x' ELSE 's' END
             WHEN cip IS NULL OR method IS NULL OR path IS NULL OR t IS NULL THEN 'x'
             WHEN CASE WHEN resource IS NULL THEN regexp_matches(line, '{_NAMED}') END THEN 'x'
             WHEN CASE WHEN host IS NULL THEN regexp_matches(line, '(?i)host') END THEN 'x'
             {{limits}}
             WHEN CASE WHEN cip IN ('127.0.0.1', '::1') THEN regexp_matches({_AGENT}, $ping) END THEN 'p'
             WHEN contains(lower(host), '.scm.') THEN 'm'
             ELSE 'r' END AS st,
        CASE WHEN method = 'POST' AND list_contains($literal, path) THEN true
             WHEN upper(coalesce(nullif(method, ''), 'POST')) = 'POST' THEN regexp_full_match({_STEM}, $upstream) END AS upstream
    FROM timed
), keyed AS MATERIALIZED (
    -- Which means, read once: each chunk is handed to both groupings, and nothing of it is kept.
    SELECT st, t, upstream, target, tbl, hash(target, tbl) AS th, strlen(line) AS bytes,
        CASE WHEN st = 'r' AND strlen(cip) <= {_LONGEST_ADDRESS} THEN cip
             WHEN st = 'r' THEN left(coalesce(cip, ''), {_LONGEST_ADDRESS})
             WHEN st IN ('b', 'x') THEN line
             ELSE '' END AS src
    FROM judged
)
SELECT st, th, any_value(target) AS target, any_value(tbl) AS tbl, NULL AS src, true AS named, count(*) AS n,
    NULL AS up, min(t) AS f, max(t) AS l, sum(bytes) AS bytes
FROM keyed GROUP BY st, th
UNION ALL
SELECT st, th, NULL, NULL, src, false, count(*), count(*) FILTER (upstream), min(t), max(t), NULL
FROM keyed GROUP BY st, th, src
"""  # noqa: S608  constants; what is asked comes as parameters
_TOP: Final = f"""
SELECT src, n, f, l FROM g WHERE NOT named AND st = 'r' AND th = ? AND src <> ''
ORDER BY n DESC, src LIMIT {2 * TOP_SOURCES}
"""  # noqa: S608  constants; what is asked comes as parameters
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_BLOCK: Final = f"regexp_extract(src, '^({_OCTET}[.]{_OCTET})[.]{_OCTET}[.]{_OCTET}$', 1)"
"""The first two octets of an IPv4 address and nothing but one; "" for anything else."""
_BLOCKS: Final = f"""
CREATE TEMP TABLE blocks AS
SELECT th, {_BLOCK} AS block, sum(up) AS up, sum(n) AS n, min(f) AS f, max(l) AS l, count(*) FILTER (src <> '') AS d
FROM g WHERE NOT named AND st = 'r' GROUP BY ALL
"""  # noqa: S608  constants; what is asked comes as parameters
