"""Programs from npm, installed as a lock file says: once, for all test processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

INSTALL_SECONDS: Final = 900


def require_node(what_for: str) -> str:
    """Node's path. Where Node or npm is not there, the test is skipped, except in CI: there it fails."""
    node = shutil.which("node")
    if node and shutil.which("npm"):
        return node
    message = f"Node and npm are needed {what_for}, and are not here"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def install(folder: Path) -> Path:
    """The folder ``node_modules`` beside a ``package-lock.json``, made where it is not there or out of date."""
    lock = folder / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    modules = folder / "node_modules"
    mark = modules / ".installed"
    with lock.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_text() == wanted):
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            if done.returncode != 0:
                pytest.fail(f"npm ci in {folder.name} failed:\n{done.stderr[-2000:]}")
            mark.write_text(wanted)
    return modules
