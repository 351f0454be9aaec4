"""``linkguard demo`` on its own."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.desk import command

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_needs_nothing_and_leaves_its_report_alone(tmp_path: Path) -> None:
    """No setting, no network but loopback, no file but the report, whose path it says; ends as it must."""
    done = subprocess.run(
        command("demo"),
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "confirmed" in done.stdout
    (report,) = tmp_path.iterdir()
    assert done.stdout.splitlines()[-1].strip() == str(report)
    page = report.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Something is wrong" in page
    assert "web-pe" in page
    assert "Upstream calls over the public network at 1 target" in page


def test_the_demo_as_one_document(tmp_path: Path) -> None:
    """Every line that it tells, and whether it ended as it must, in a file."""
    file = tmp_path / "demo.json"
    done = subprocess.run(
        command("demo", "--json", "--output", str(file)),
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads(file.read_text())
    assert document["ok"] is True
    assert any("-> confirmed" in line for line in document["told"])
