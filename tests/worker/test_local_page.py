"""docs/local.md, as typed: its own commands and files, but for the ports, with the real worker in place of the host."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from shared.adapters.tables_store import TablesStore
from shared.config import load_settings
from shared.core.ledger import RecordKind
from tests.azurite.server import free_ports, serve
from tests.worker.host import Host
from tests.worker.install import ROOT
from tests.worker.stage import clear
from tests.worker.test_triggers import FUNCTIONS
from tests.worker.worker import Worker
from tools.markdown import read_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tests.azurite.server import Azurite

PAGE = ROOT / "docs" / "local.md"
LOCAL_AZURE = "http://127.0.0.1:8080"


def commands() -> list[list[str]]:
    """Every command of the page, in order, as a shell would split it."""
    blocks = [block.text for block in read_page(PAGE.read_text(encoding="utf-8")).code_blocks if block.language == "sh"]
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def command(*start: str) -> list[str]:
    (found,) = [one for one in commands() if one[: len(start)] == list(start)]
    return found


def settings() -> dict[str, str]:
    """What is copied to local.settings.json."""
    _, source, target = command("cp")
    assert target == "local.settings.json"
    values: dict[str, str] = json.loads((ROOT / source).read_text(encoding="utf-8"))["Values"]
    return values


@contextmanager
def local_azure() -> Iterator[str]:
    """By the page's own command, on a free port; its URL."""
    typed = command(".venv/bin/python", "-m", "shared.local_azure")
    typed[typed.index("--port") + 1] = "0"
    with subprocess.Popen([sys.executable, *typed[1:]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


def test_azurites_command(tmp_path: Path, azurite: Azurite) -> None:
    """All three services listen, on other ports than the page's, which may be in use."""
    del azurite  # So that it is installed.
    assert command("npx")[:4] == ["npx", "--prefix", "tests/azurite", "azurite"]
    # What npx finds there; npx itself would leave it running when it is stopped.
    typed = [str(ROOT / "tests" / "azurite" / "node_modules" / ".bin" / "azurite"), *command("npx")[4:]]
    ports = free_ports(3)
    for name, port in zip(("blob", "queue", "table"), ports, strict=True):
        typed += [f"--{name}Port", str(port)]
    with serve(typed, ports, tmp_path, environment={}):
        pass


def test_the_settings_are_right_and_name_every_schedule() -> None:
    """The host needs each setting that a trigger refers to, or it does not start."""
    values = settings()
    read = load_settings(values)
    assert read.allowlist is not None
    schedules = {
        binding["schedule"].strip("%") for bindings in FUNCTIONS.values() for binding in bindings if "schedule" in binding
    }
    assert schedules <= set(values)
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    assert set(values) <= set(sample)


async def test_from_the_settings_to_the_approval(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep finds the connection, its follow-up approves it; the stranger's is held; the event is taken; the app is well."""
    monkeypatch.chdir(ROOT)
    await clear(azurite)
    with local_azure() as url:
        assert url.startswith("http://127.0.0.1:")
        environ = settings()
        assert environ["LINKGUARD_ARM_ENDPOINT"] == LOCAL_AZURE
        environ |= {"LINKGUARD_ARM_ENDPOINT": url, "AzureWebJobsStorage": azurite.connection_string}
        # Half a minute is long for a test.
        environ |= {"LINKGUARD_SETTLE": "1s", "LINKGUARD_RECHECK_DELAY": "1s"}
        async with Worker(environ) as worker, Host(worker, azurite.connection_string) as host:
            assert (await worker.timer()).ok
            await host.run_until(lambda: any(one["outcome"] == "confirmed" for one in worker.records("outcome")))
            (event,) = json.loads((ROOT / _event_file()).read_text(encoding="utf-8"))
            assert event["subject"] in await asyncio.to_thread(_events, url)
            assert (await host.deliver(event)).ok
            (told,) = worker.records("event")
            assert told["subject"] == event["subject"].rpartition("/sharedPrivateLinkResources")[0]
            await host.drain()
            for path in ("health", "report"):
                answer = await worker.get(path, f"http://127.0.0.1/api/{path}")
                assert answer.http is not None
                assert answer.http["status"] == 200, answer.http
    kinds = await _kinds(azurite)
    assert kinds.count(RecordKind.INTENT) == 1
    assert RecordKind.HOLD in kinds


def _event_file() -> str:
    typed = command("curl", "-i", "http://127.0.0.1:7071/runtime/webhooks/eventgrid?functionName=on_resource_write")
    assert "aeg-event-type: Notification" in typed
    return typed[-1].removeprefix("@")


def _events(url: str) -> list[str]:
    typed = command("curl", f"{LOCAL_AZURE}/_local/events")
    with urlopen(typed[-1].replace(LOCAL_AZURE, url), timeout=10) as answer:  # noqa: S310  loopback
        events: list[dict[str, Any]] = json.load(answer)
    return [str(event["subject"]) for event in events]


async def _kinds(azurite: Azurite) -> list[RecordKind]:
    async with TablesStore.with_connection_string(azurite.connection_string) as store:
        return [record.entry.kind for chain in await store.chains() async for record in store.records(chain)]
