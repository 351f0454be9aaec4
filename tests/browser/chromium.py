"""Debian's Chromium, driven by Playwright, and the rules of axe-core."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import sync_playwright

from tests.npm import install, require_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).parent
COMMAND: Final = "apt-get install -y --no-install-recommends chromium"
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
    """The source of axe-core."""
    require_node("for axe-core")
    return (install(FOLDER) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
