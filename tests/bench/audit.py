"""The audit of local files beside GoAccess, a bare scan by the same engine and ``wc -l``; what Log Analytics gives back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent.parent
MILLION = 1_000_000
SIZES = (MILLION, 10 * MILLION)
REQUESTS = (1_000, 10_000)
_ROUNDS = 7
_SLOW_ROUNDS = 2
"""Of GoAccess, whose time hardly varies."""
_ENOUGH = 20
"""Times the audit's own time that GoAccess is given: with millions of addresses it takes ever longer."""
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Modules are compiled once, as where Linkguard is installed, and not at every start."""
_WORKSPACE = "00000000-0000-0000-0000-00000000000a"
_HOUR = datetime(2026, 11, 23, 10, tzinfo=UTC)
_BATCH = 20_000
_GOACCESS = json.dumps(
    {
        "time": "%dT%t.%^",
        "properties": {"CsMethod": "%m", "CsUriStem": "%U", "CIp": "%h", "CsHost": "%v", "UserAgent": "%u"},
    }
)
_BARE = """
import os, sys, tempfile, duckdb
fields = ["time", "resourceId", "category", "properties.CIp", "properties.CsMethod"]
fields += ["properties.CsUriStem", "properties.CsHost", "properties.UserAgent"]
paths = ", ".join(f"'$.{field}'" for field in fields)
with tempfile.TemporaryDirectory() as folder:
    config = {"threads": min(os.cpu_count(), 4), "async_threads": 0, "memory_limit": "320MB", "temp_directory": folder}
    connection = duckdb.connect(config=config)
    connection.execute("SET preserve_insertion_order = false")
    lines = "read_csv(?, columns = {'line': 'VARCHAR'}, header = false, auto_detect = false, delim = chr(1) || chr(2), "
    lines += "quote = '', escape = '', buffer_size = 4194304, max_line_size = 2097152)"
    latest = ", ".join(f"max(d[{number}]) AS m{number}" for number in range(1, 9) if number != 4)
    records = f"SELECT json_extract_string(line, [{paths}]) AS d FROM {lines}"  # noqa: S608  names of our own
    groups = f"SELECT d[4], count(*) AS n, {latest} FROM ({records}) GROUP BY 1"  # noqa: S608  the same
    print(connection.execute(f"SELECT count(*), sum(n), max(m1) FROM ({groups})", [sys.argv[1]]).fetchone())
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process."""

    seconds: float
    cpu: float
    megabytes: float
    """Resident at most."""
    stopped: bool = False
    """Whether it was stopped before its end: the figures are at least so much."""


def main() -> str:
    """The table as Markdown."""
    goaccess = shutil.which("goaccess")
    if goaccess is None:
        message = "goaccess is not here: it is a Debian package"
        raise SystemExit(message)
    cells: dict[tuple[int, bool], dict[str, Run]] = {}
    with tempfile.TemporaryDirectory(prefix="linkguard-bench-") as folder:
        start = measure_start(Path(folder))
        for distinct in (False, True):
            for count in SIZES:
                cells[count, distinct] = measure(count, distinct, goaccess, Path(folder))
    started = f"- the audit's start-up: {start.seconds:.2f} s, {start.cpu:.2f} of CPU, in every figure above"
    return f"{table(cells)}\n{started}\n\n{asyncio.run(pushed_down())}"


async def pushed_down() -> str:
    """How many rows come back of Log Analytics for more requests from as many sources: the query run by an embedded engine."""
    # Not before the processes above have run: a process begins with what its parent has resident.
    from shared.adapters.credentials import LocalCredential  # noqa: PLC0415
    from shared.adapters.log_analytics import LogAnalytics  # noqa: PLC0415
    from shared.local_azure import LocalAzure  # noqa: PLC0415
    from shared.ports import TrafficQuestion  # noqa: PLC0415
    from tests.kql.engine import Workspace  # noqa: PLC0415

    rows = ["| requests in the workspace | rows returned | requests counted |", "|---|---|---|"]
    for number in REQUESTS:
        records = [json.loads(line) for line in _records(0, number, distinct=False)]
        found = [
            {"TimeGenerated": one["time"], "_ResourceId": one["resourceId"].lower(), **one["properties"], "CsUriQuery": f"n={n}"}
            for n, one in enumerate(records)
        ]
        async with LocalAzure() as azure:
            azure.logs.engines[_WORKSPACE] = Workspace(AppServiceHTTPLogs=found)
            tables, endpoint = ("AppServiceHTTPLogs",), azure.url
            async with LogAnalytics([_WORKSPACE], endpoint=endpoint, credential=LocalCredential(), tables=tables) as source:
                reading = await source.read(TrafficQuestion(since=_HOUR, until=_HOUR + timedelta(hours=1)))
        if reading.problems:
            raise SystemExit(reading.problems[0].message)
        counted = sum(sum(one.requests.values()) for one in reading.tables)
        rows.append(f"| {number:,} | {source.rows:,} | {counted:,} |")
    return "\n".join(rows)


def measure_start(folder: Path) -> Run:
    """What the audit takes whatever there is to read: a thousand records."""
    path = folder / "few.json"
    _write(path, 1_000, distinct=False)
    return min((_run(_audit(path), good=(0, 1)) for _ in range(5)), key=lambda one: one.seconds)


def _audit(path: Path) -> list[str]:
    return [sys.executable, "-c", "from shared.cli import main; main()", "audit", "--logs", str(path), "--json"]


def measure(count: int, distinct: bool, goaccess: str, folder: Path) -> dict[str, Run]:  # noqa: FBT001  half of a cell's name
    """One file, and every command on it."""
    path = folder / "log.json"
    _write(path, count, distinct=distinct)
    try:
        return _measure(path, goaccess, folder)
    finally:
        path.unlink()


def table(cells: Mapping[tuple[int, bool], Mapping[str, Run]]) -> str:
    """What was measured, by (records, whether every address is distinct)."""
    rows = [
        "| records, addresses | what | seconds | CPU, seconds | records a second | peak memory, MB | of the audit's time |",
        "|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for (count, distinct), runs in cells.items():
        label = f"{count // MILLION}M, {'all distinct' if distinct else '330'}"
        rows += [_row(label, name, run, count, runs["linkguard audit"]) for name, run in runs.items()]
        notes.append(_note(label, runs))
        if count != SIZES[0] and (SIZES[0], distinct) in cells:
            peaks = runs["linkguard audit"].megabytes, cells[SIZES[0], distinct]["linkguard audit"].megabytes
            notes[-1] += f"; peak memory {peaks[0] / peaks[1]:.2f} times that of {SIZES[0] // MILLION}M (goal at most 1.2)"
    return "\n".join(rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def _measure(path: Path, goaccess: str, folder: Path) -> dict[str, Run]:
    """Each command on the same file, in turn and the best of several, so that a busy moment hits none alone."""
    quick = {
        "linkguard audit": _audit(path),
        "bare scan": [sys.executable, "-c", _BARE, str(path)],
        "wc -l": ["wc", "-l", str(path)],
    }
    best: dict[str, Run] = {}
    for _ in range(_ROUNDS):
        for name, command in quick.items():
            run = _run(command, good=(0, 1))
            best[name] = min((best.get(name, run), run), key=lambda one: one.seconds)
    command = [goaccess, str(path), "--no-global-config", f"--log-format={_GOACCESS}", "--date-format=%Y-%m-%d"]
    command += ["--time-format=%H:%M:%S", "--no-progress", "-o", str(folder / "report.json")]
    for _ in range(_SLOW_ROUNDS):
        run = _run(command, good=(0,), limit=_ENOUGH * best["linkguard audit"].seconds)
        best["GoAccess"] = min((best.get("GoAccess", run), run), key=lambda one: one.seconds)
        if run.stopped:
            break
    if not best["GoAccess"].stopped:
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))["general"]
        if found["failed_requests"]:
            message = "GoAccess did not read every record"
            raise SystemExit(message)
    return best


def _run(command: Sequence[str], *, good: tuple[int, ...], limit: float = 3600) -> Run:
    """One command to its end, or to ``limit`` seconds."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    timer = threading.Timer(limit, process.kill)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    stopped = process.returncode == -signal.SIGKILL and seconds >= limit
    if process.returncode not in good and not stopped:
        message = f"{command[0]} ended with {process.returncode}"
        raise SystemExit(message)
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, stopped)


def _row(label: str, name: str, run: Run, count: int, ours: Run) -> str:
    over, under = ("over ", "under ") if run.stopped else ("", "")
    return (
        f"| {label} | {name}{', stopped' if run.stopped else ''} | {over}{run.seconds:.2f} | {over}{run.cpu:.2f} "
        f"| {under}{count / run.seconds:,.0f} | {over}{run.megabytes:.0f} | {over}{run.seconds / ours.seconds:.2f} |"
    )


def _note(label: str, runs: Mapping[str, Run]) -> str:
    ours, bare, goaccess = runs["linkguard audit"], runs["bare scan"], runs["GoAccess"]
    return (
        f"{label}: {'over ' if goaccess.stopped else ''}{goaccess.seconds / ours.seconds:.1f} times GoAccess's rate (goal 15), "
        f"{ours.seconds / bare.seconds:.2f} times the bare scan's time (goal at most 2; by CPU {ours.cpu / bare.cpu:.2f})"
    )


def _write(path: Path, count: int, *, distinct: bool) -> None:
    with path.open("w", encoding="ascii") as file:
        for first in range(0, count, _BATCH):
            file.writelines(_records(first, min(first + _BATCH, count), distinct=distinct))
        # Out of the cache, into which the first to read it brings it anew: pages that were just written are smaller and slower.
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


_RECORD = (
    '{"time":"2026-11-23T%s.%03dZ","resourceId":"/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000001/RESOURCEGROUPS/CONTOSO/PROVIDERS/'
    'MICROSOFT.WEB/SITES/CONTOSO-FUNC","category":"AppServiceHTTPLogs","properties":{"CsMethod":"POST",'
    '"CsUriStem":"/runtime/webhooks/signalr","SPort":"443","CIp":"%s","UserAgent":"agent",'
    '"CsHost":"contoso-func.azurewebsites.net","ScStatus":200,"ScSubStatus":"0","ScWin32Status":"0",'
    '"ScBytes":%d,"CsBytes":%d,"TimeTaken":%d,"Result":"Success","Cookie":"-","CsUriQuery":"","CsUsername":"","Referer":""}}\n'
)
_SECONDS = [f"10:{second // 60:02}:{second % 60:02}" for second in range(3600)]
_FEW = [f"10.{seed % 3}.{seed % 256}.{seed % 7}" if seed % 11 else f"20.{seed % 200}.7.{seed % 250}" for seed in range(330)]


def _records(first: int, last: int, *, distinct: bool) -> Iterator[str]:
    for n in range(first, last):
        address = f"{20 + (n >> 24 & 31)}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" if distinct else _FEW[n % 330]
        yield _RECORD % (_SECONDS[n // 1000 % 3600], n % 1000, address, n % 5000, n % 900, n % 300)
