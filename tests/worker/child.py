"""One real Functions worker in a process of its own. Requests come as lines of JSON on standard input; answers go out likewise.

The handlers are those of ``azure_functions_runtime``; what the host would send them by gRPC comes from the parent process.
Run as ``python child.py PACKAGES APP``.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import json
import logging
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_LINE_LIMIT = 64 * 1024 * 1024


class Worker:
    """The runtime, and the functions that it has indexed."""

    def __init__(self, packages: str, app: str) -> None:
        # Behind the environment's own packages, since one of these folders is called `tests`.
        sys.path.append(packages)
        sys.path.insert(0, app)
        self._app = app
        path = Path(packages) / "tests" / "protos" / "__init__.py"
        spec = importlib.util.spec_from_file_location("worker_protos", path, submodule_search_locations=[str(path.parent)])
        if spec is None or spec.loader is None:
            raise ImportError(str(path))
        self._protos: Any = importlib.util.module_from_spec(spec)
        sys.modules["worker_protos"] = self._protos
        spec.loader.exec_module(self._protos)
        self._runtime: Any = importlib.import_module("azure_functions_runtime")
        self._functions: dict[str, Any] = {}
        self.index_seconds = 0.0

    async def start(self) -> None:
        """What the host does with a new worker."""
        self._runtime.start_threadpool_executor()
        began = time.perf_counter()
        pb = self._protos
        init = pb.WorkerInitRequest(host_version="4.0", function_app_directory=self._app)
        answer = await self._ask(self._runtime.worker_init_request, "worker_init_request", init)
        _check(pb, answer)
        wanted = pb.FunctionsMetadataRequest(function_app_directory=self._app)
        answer = await self._ask(self._runtime.functions_metadata_request, "functions_metadata_request", wanted)
        _check(pb, answer)
        for one in answer.function_metadata_results or ():
            load = pb.FunctionLoadRequest(function_id=one.function_id, metadata=one)
            _check(pb, await self._ask(self._runtime.function_load_request, "function_load_request", load))
            self._functions[one.name] = one
        self.index_seconds = time.perf_counter() - began

    async def _ask(self, handler: Any, field: str, message: Any) -> Any:  # noqa: ANN401  the protos' types are made at run time
        request = self._protos.StreamingMessage(request_id="r", **{field: message})
        properties = {"host": "127.0.0.1", "protos": self._protos}
        return await handler(SimpleNamespace(name=field, request=request, properties=properties))

    def metadata(self) -> dict[str, list[Any]]:
        """Each function's bindings, as the host gets them."""
        return {name: [json.loads(binding) for binding in one.raw_bindings] for name, one in self._functions.items()}

    async def invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        """One invocation."""
        pb, function = self._protos, self._functions[request["function"]]
        data = self._typed(request["data"])
        binding = pb.ParameterBinding(name=request["parameter"], data=data)
        invocation = pb.InvocationRequest(
            invocation_id=request["invocation"],
            function_id=function.function_id,
            input_data=[binding],
            trigger_metadata={name: self._typed(value) for name, value in request.get("metadata", {}).items()},
        )
        answer = await self._ask(self._runtime.invocation_request, "invocation_request", invocation)
        if answer.result.status != pb.StatusResult.Success:
            exception = answer.result.exception
            return {"ok": False, "error": exception.message, "trace": exception.stack_trace}
        http = answer.return_value.http if answer.HasField("return_value") else None
        if http is None:
            return {"ok": True}
        body = http.body
        text = body.string or body.bytes.decode() or body.json
        return {"ok": True, "http": {"status": int(http.status_code), "body": text, "headers": dict(http.headers)}}

    def _typed(self, value: dict[str, Any]) -> Any:  # noqa: ANN401  as above
        pb = self._protos
        if "http" in value:
            http = value["http"]
            message = pb.RpcHttp(
                method=http["method"], url=http["url"], headers=http.get("headers", {}), query=http.get("query", {})
            )
            message.body.CopyFrom(pb.TypedData(bytes=b""))
            return pb.TypedData(http=message)
        return pb.TypedData(**value)


def _check(pb: Any, answer: Any) -> None:  # noqa: ANN401  as above
    if answer.result.status != pb.StatusResult.Success:
        message = f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}"
        raise RuntimeError(message)


async def serve(worker: Worker, answers: Any) -> None:  # noqa: ANN401  a text file
    """Answer each request on its own, as many at once as come."""
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()

    async def answer(request: dict[str, Any]) -> None:
        try:
            result = await _answer(worker, request)
        except Exception as error:  # noqa: BLE001  the parent is told whatever it is
            result = {"ok": False, "error": f"{type(error).__name__}: {error}", "trace": ""}
        answers.write(json.dumps({"n": request["n"], **result}) + "\n")
        answers.flush()

    while line := await reader.readline():
        task = asyncio.create_task(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    match request["op"]:
        case "start":
            await worker.start()
            return {"ok": True, "functions": worker.metadata(), "index_seconds": worker.index_seconds}
        case "invoke":
            return await worker.invoke(request)
        case "stats":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return {
                "ok": True,
                "max_rss_kib": usage.ru_maxrss,
                "rss_kib": _rss(),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "modules": sorted(sys.modules),
            }
        case other:
            return {"ok": False, "error": f"no such request: {other}", "trace": ""}


def _rss() -> int:
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # What the host gets as log messages goes to standard error, at the levels that its worker sets.
    level = logging.DEBUG if os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING") == "1" else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    asyncio.run(serve(Worker(sys.argv[1], sys.argv[2]), answers))
    _tell_what_is_open()


def _tell_what_is_open() -> None:
    """Connections that nobody closed, though the event loop has ended."""
    aiohttp = sys.modules.get("aiohttp")
    left = [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession) and not one.closed] if aiohttp else []
    for session in left:
        logging.getLogger("worker").error("Unclosed %s", type(session).__name__)


if __name__ == "__main__":
    main()
