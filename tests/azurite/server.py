"""Installs Azurite once, starts it, and stops it again."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.npm import install, require_node

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent
START_SECONDS: Final = 120
STOP_SECONDS: Final = 10
ACCOUNT: Final = "linkguard"


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running emulator with one account."""

    key: str
    """The account's key, made for this run."""
    blob_port: int
    queue_port: int
    table_port: int

    @property
    def blob_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.blob_port}/{ACCOUNT}"

    @property
    def queue_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.queue_port}/{ACCOUNT}"

    @property
    def table_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.table_port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What ``AzureWebJobsStorage`` takes."""
        return self.connection_string_for(table_endpoint=self.table_endpoint)

    def connection_string_for(self, *, table_endpoint: str) -> str:
        """The same with another endpoint for tables, such as a proxy's."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};BlobEndpoint={self.blob_endpoint};"
            f"QueueEndpoint={self.queue_endpoint};TableEndpoint={table_endpoint};"
        )


def programs() -> Path:
    """The folder of Azurite's programs, installed where it is not there."""
    return install(FOLDER) / "azurite" / "dist" / "src"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def run(folder: Path) -> Iterator[Azurite]:
    """Azurite with all three services while the context lasts; what it prints goes to ``folder``."""
    node = require_node("to run Azurite")
    program = programs() / "azurite.js"
    key = b64encode(secrets.token_bytes(32)).decode()
    blob, queue, table = ports = free_ports(3)
    command = [node, str(program), "--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    for name, port in zip(("blob", "queue", "table"), ports, strict=True):
        command += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
    with serve(command, ports, folder, environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}):
        yield Azurite(key=key, blob_port=blob, queue_port=queue, table_port=table)


@contextmanager
def serve(command: list[str], ports: list[int], folder: Path, *, environment: dict[str, str]) -> Iterator[None]:
    """Start a server, wait until it listens on every port, and stop it by its own process id at the end."""
    log = folder / "azurite.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=os.environ | environment) as process,
    ):
        try:
            _wait(process, ports, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], ports: list[int], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not all(map(_listens, ports)):
        if process.poll() is not None:
            pytest.fail(f"Azurite ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        if time.monotonic() > deadline:
            pytest.fail(f"Azurite does not listen after {START_SECONDS} s:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
