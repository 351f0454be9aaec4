"""The Azure Functions app: bindings, and triggers that only call a service."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.config.parse import parse_duration
from shared.config.table import SWEEP_RUN
from tests.functions import bindings

if TYPE_CHECKING:
    from azure.functions.decorators.function_app import Function

ROOT = Path(__file__).parent.parent


@pytest.fixture
def functions() -> dict[str, Function]:
    """The app's functions by name, as the host indexes them: once for each import."""
    spec = importlib.util.spec_from_file_location("function_app", ROOT / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {function.get_function_name(): function for function in module.app.get_functions()}


def test_the_sweeps_binding(functions: dict[str, Function]) -> None:
    """A timer by a setting; the host remembers the last run, and a start is no reason to sweep."""
    (binding,) = (bound.get_dict_repr() for bound in functions["sweep"].get_bindings())
    assert binding["type"] == "timerTrigger"
    assert binding["schedule"] == "%LINKGUARD_SWEEP_SCHEDULE%"
    assert binding["useMonitor"] is True
    assert binding["runOnStartup"] is False


def test_importing_it_imports_little() -> None:
    """Cold start: the host indexes the functions without the Azure SDKs, without a web client, without the product."""
    code = "import function_app, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    of_azure = {".".join(name.split(".")[:2]) for name in modules if name.startswith("azure.")}
    assert of_azure == {"azure.functions"}
    heavy = ("shared", "aiohttp", "cryptography", "ruamel", "click", "rich")
    assert [name for name in modules if name.startswith(heavy)] == []


def test_importing_it_opens_nothing() -> None:
    """No file that a setting names, no connection, no thread, whatever the settings."""
    code = """
import sys, threading
seen = []
def hook(event, args):
    if event in {"socket.connect", "sqlite3.connect", "subprocess.Popen"} or (event == "open" and "nothing" in str(args[0])):
        seen.append(event)
sys.addaudithook(hook)
import function_app
print(seen, threading.active_count())
"""
    environ = {"LINKGUARD_LEDGER": "sqlite:///nothing.sqlite3", "LINKGUARD_ALLOWLIST": "nothing.yaml", "LINKGUARD_MODE": "wrong"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_only_it_knows_azure_functions() -> None:
    """``azure.functions`` is imported nowhere in the product."""
    importers = []
    for path in sorted((ROOT / "shared").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    imported = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), names=names):
                    imported = [module, *(f"{module}.{alias.name}" for alias in names)]
                case _:
                    continue
            if any(f"{name}.".startswith("azure.functions.") for name in imported):
                importers.append(path)
    assert importers == []


def test_the_hosts_settings() -> None:
    """Version 2, the bundle that the bindings come from, and no sampling of what explains a decision."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["version"] == "2.0"
    assert host["extensionBundle"] == {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
    excluded = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    assert {"Request", "Exception", "Trace", "Event"} <= set(excluded)


def test_a_sweeps_run_ends_before_the_host_ends_it() -> None:
    """What is left goes on in messages; the host's limit is for what hangs."""
    limit = json.loads((ROOT / "host.json").read_text())["functionTimeout"]
    hours, minutes, seconds = map(int, limit.split(":"))
    run = parse_duration(SWEEP_RUN.default)
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) > 2 * run


def test_opentelemetry_is_off_and_its_page_says_why() -> None:
    """With it the host would ignore what keeps decisions out of sampling."""
    host = json.loads((ROOT / "host.json").read_text())
    page = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    section = page.partition("## OpenTelemetry")[2]
    assert "telemetryMode" not in host
    assert "`telemetryMode`" in section
    assert "samplingSettings" in section


def test_the_hosts_queue_settings() -> None:
    """Plain text, as the SDK's clients write it; set aside after five tries; a failed one waits before the next; few at once."""
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    assert queues["messageEncoding"] == "none"
    assert queues["maxDequeueCount"] == 5
    assert queues["visibilityTimeout"] != "00:00:00"
    # The service hands over 32 at most; a new batch is fetched while the last messages of the one before are worked on.
    assert 0 < queues["newBatchThreshold"] < queues["batchSize"] <= 32


def test_what_is_not_deployed() -> None:
    """The local Azure, the demo, the tests and everybody's own settings stay at home; what the app needs goes."""
    ignored = {line for line in (ROOT / ".funcignore").read_text().splitlines() if line and not line.startswith("#")}
    assert {
        "shared/local_azure",
        "shared/demo.py",
        "tests",
        "tools",
        "docs",
        "infra",
        ".venv",
        ".azure",
        "local.settings.json",
        "*.pem",
    } <= ignored
    assert ignored.isdisjoint({"shared", "function_app.py", "host.json", "requirements.txt", "*.yaml", "*.py", "*"})


def test_what_is_deployed_works_by_itself(tmp_path: Path) -> None:
    """Where only the deployed files are, every module of ``shared`` can be imported, and every function is found."""
    ignored = [line for line in (ROOT / ".funcignore").read_text().splitlines() if line and not line.startswith("#")]

    def left_at_home(folder: str, names: list[str]) -> list[str]:
        paths = {name: (Path(folder) / name).relative_to(ROOT).as_posix() for name in names}
        return [
            name
            for name, path in paths.items()
            if any(fnmatch(path, pattern) if "/" in pattern else fnmatch(name, pattern) for pattern in ignored)
        ]

    shutil.copytree(ROOT, tmp_path / "app", ignore=left_at_home)
    assert {"function_app.py", "host.json", "requirements.txt", "shared"} <= {path.name for path in (tmp_path / "app").iterdir()}
    deployed = {path.relative_to(tmp_path / "app") for path in (tmp_path / "app" / "shared").rglob("*.py")}
    assert {
        path.relative_to(ROOT).parts[:2] for path in (ROOT / "shared").rglob("*.py") if path.relative_to(ROOT) not in deployed
    } == {("shared", name) for name in ("demo.py", "demo_functions.py", "demo_traffic.py", "local_azure")}
    program = """
import importlib, pathlib, function_app
for path in pathlib.Path("shared").rglob("*.py"):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
print(*(function.get_function_name() for function in function_app.app.get_functions()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "app", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(bindings())
