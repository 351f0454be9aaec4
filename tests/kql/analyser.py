"""Microsoft's own analyser of the Kusto query language, from npm, run by Node."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent
_INSTALL_SECONDS: Final = 600
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the analyser says of one query."""

    problems: tuple[str, ...]
    """``<line>:<column> <severity> <message>``."""
    columns: str
    """Of its result: ``(name: type, ...)``."""


def analyse(queries: Mapping[str, str], tables: Mapping[str, str]) -> dict[str, Analysis]:
    """Every query by its name. ``tables``: what there is to be queried, ``(column:type, ...)`` by name."""
    node = _require_node()
    _install()
    done = subprocess.run(
        [node, str(FOLDER / "analyse.cjs")],
        input=json.dumps({"tables": dict(tables), "queries": dict(queries)}),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the analyser failed:\n{done.stderr[-2000:]}")
    answers = json.loads(done.stdout)
    return {name: Analysis(problems=tuple(one["problems"]), columns=one["columns"]) for name, one in answers.items()}


def _require_node() -> str:
    node = shutil.which("node")
    if node and shutil.which("npm"):
        return node
    message = "Node and npm are needed to analyse queries, and are not here"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _install() -> None:
    """What the lock file says, once for all test processes."""
    lock = FOLDER / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    mark = FOLDER / "node_modules" / ".installed"
    with lock.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_text() == wanted):
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
            if done.returncode != 0:
                pytest.fail(f"npm ci in tests/kql failed:\n{done.stderr[-2000:]}")
            mark.write_text(wanted)
