"""``linkguard demo --functions``."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from shared import demo_functions
from tests.desk import command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.azurite.server import Azurite


def test_the_story_through_the_worker(azurite: Azurite) -> None:
    """It ends as the demo in one process does."""
    del azurite  # So that it is installed, or the test is skipped where there is no Node.
    done = subprocess.run(command("demo", "--functions"), capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "one connection approved and confirmed by events alone" in done.stdout


def test_without_node_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is missing where it is no checkout."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "node and npm" in demo_functions.missing()
    monkeypatch.setattr(demo_functions, "_PROGRAM", tmp_path / "nothing.py")
    assert "checkout" in demo_functions.missing()
