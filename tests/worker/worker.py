"""The parent's side of a real Functions worker: start it with an app's settings, invoke its functions, read its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.telemetry_page import check_record
from tests.worker.install import ROOT, install

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType

CHILD: Final = Path(__file__).with_name("child.py")
_LINE_LIMIT: Final = 64 * 1024 * 1024
_ANSWER_SECONDS: Final = 240
_KEPT: Final = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an invocation."""

    ok: bool
    error: str = ""
    trace: str = ""
    http: dict[str, Any] | None = None


class WorkerError(Exception):
    """The worker did not start, or has ended."""


class Worker:
    """A worker process. ``async with Worker(settings) as worker``."""

    def __init__(self, settings: Mapping[str, str], *, app: Path = ROOT) -> None:
        self._settings = dict(settings)
        self._app = app
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._process: asyncio.subprocess.Process | None = None
        self.log: list[str] = []
        """Every line that it has logged."""
        self.functions: dict[str, list[dict[str, Any]]] = {}
        """Each function's raw bindings."""
        self.index_seconds = 0.0

    async def __aenter__(self) -> Self:
        packages = await asyncio.to_thread(install)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | self._settings
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CHILD), str(packages), str(self._app)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self._app,
            limit=_LINE_LIMIT,
        )
        self._tasks = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._read_log())]
        started = await self.ask("start")
        if not started["ok"]:
            await self._stop()
            raise WorkerError(started["error"] + started.get("trace", ""))
        self.functions = started["functions"]
        self.index_seconds = started["index_seconds"]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stop()
        if kind is None:
            left = [line for line in self.log if "Unclosed" in line or "was never awaited" in line]
            assert not left, left

    async def kill(self) -> None:
        """End it without any notice, as a machine that fails."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._stop()

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)
        self._process = None

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
        """A request and its answer."""
        if self._process is None or self._process.stdin is None:
            message = "the worker is not running"
            raise WorkerError(message)
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"n": number, "op": op, **fields}).encode() + b"\n")
        await self._process.stdin.drain()
        return await asyncio.wait_for(self._waiting[number], _ANSWER_SECONDS)

    async def _read_answers(self) -> None:
        process = self._process
        while process and process.stdout and (line := await process.stdout.readline()):
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["n"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerError("the worker has ended:\n" + "\n".join(self.log[-30:])))

    async def _read_log(self) -> None:
        process = self._process
        while process and process.stderr and (line := await process.stderr.readline()):
            self.log.append(line.decode(errors="replace").rstrip("\n"))

    def telemetry(self) -> list[dict[str, Any]]:
        """Every record that it has told, in order, held to docs/telemetry.md."""
        marker = "linkguard.telemetry "
        told = [json.loads(line.partition(marker)[2]) for line in self.log if marker in line]
        for record in told:
            check_record(record["linkguard"], record)
        return told

    def records(self, name: str) -> list[dict[str, Any]]:
        """Those of one name."""
        return [line for line in self.telemetry() if line["linkguard"] == name]

    # The triggers, with the payloads that the host sends

    async def invoke(self, function: str, parameter: str, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> Result:
        """Invoke a function."""
        answer = await self.ask(
            "invoke",
            function=function,
            parameter=parameter,
            data=data,
            metadata=metadata or {},
            invocation=f"i{next(self._numbers)}",
        )
        return Result(ok=answer["ok"], error=answer.get("error", ""), trace=answer.get("trace", ""), http=answer.get("http"))

    async def event(self, event: Mapping[str, Any]) -> Result:
        """Deliver an event, in whichever schema it is."""
        return await self.invoke("on_resource_write", "event", {"json": json.dumps(event)})

    async def message(
        self,
        text: str,
        *,
        function: str = "reconcile",
        id_: str = "11111111-0000-0000-0000-000000000000",
        inserted: datetime | None = None,
        dequeue_count: int = 1,
    ) -> Result:
        """Deliver a queue message."""
        at = json.dumps(inserted.isoformat() if inserted else "2027-01-04T09:00:00+00:00")
        metadata = {
            "Id": {"string": id_},
            "PopReceipt": {"string": "receipt"},
            "DequeueCount": {"json": str(dequeue_count)},
            "InsertionTime": {"json": at},
            "ExpirationTime": {"json": json.dumps("9999-12-31T23:59:59+00:00")},
            "NextVisibleTime": {"json": at},
        }
        return await self.invoke(function, "message", {"string": text}, metadata)

    async def timer(self, function: str = "sweep", *, past_due: bool = False) -> Result:
        """The timer fires."""
        status = {
            "Last": "2027-01-04T09:00:00+00:00",
            "Next": "2027-01-04T09:10:00+00:00",
            "LastUpdated": "2027-01-04T09:00:00+00:00",
        }
        body = {"IsPastDue": past_due, "ScheduleStatus": status, "Schedule": {"AdjustForDST": True}}
        return await self.invoke(function, "timer", {"json": json.dumps(body)})

    async def get(self, function: str, url: str, query: Mapping[str, str] | None = None) -> Result:
        """A GET request to an HTTP function."""
        http = {"method": "GET", "url": url, "headers": {"host": "127.0.0.1"}, "query": dict(query or {})}
        return await self.invoke(function, "request", {"http": http})
