"""Debian's Chromium, driven by Playwright, and the rules of axe-core."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).parent
COMMAND: Final = "apt-get install -y --no-install-recommends chromium"
_INSTALL_SECONDS: Final = 600
_ARGUMENTS: Final = (
    # A container's root may not make Chromium's own sandbox; nothing but our own pages is opened.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def require_chromium() -> str:
    """Its path. Where there is none, the test is skipped with the command to type, except in CI: there it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    message = f"the report's tests need a browser: sudo {COMMAND}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window while the context lasts."""
    path = require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def axe_script() -> str:
    """The source of axe-core, installed once for all test processes as its lock file says."""
    npm = shutil.which("npm")
    if npm is None:
        message = "npm is needed for axe-core, and is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    lock = FOLDER / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    mark = FOLDER / "node_modules" / ".installed"
    with lock.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_text() == wanted):
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
            if done.returncode != 0:
                pytest.fail(f"npm ci in tests/browser failed:\n{done.stderr[-2000:]}")
            mark.write_text(wanted)
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
