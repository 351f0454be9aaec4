"""Checkov, in an environment of its own: it is large and pins what the project pins otherwise.

``python -m tests.infra.checkov --lock`` compiles ``checkov.txt`` anew from ``checkov.in``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(__file__).parent
PINS: Final = FOLDER / "checkov.txt"
ENVIRONMENT: Final = FOLDER / ".venv"
_SECONDS: Final = 900


def python() -> Path:
    """The interpreter of an environment with what ``checkov.txt`` pins, made once for all test processes."""
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    mark = ENVIRONMENT / ".installed"
    interpreter = ENVIRONMENT / "bin" / "python"
    with PINS.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_text() == wanted):
            _run(sys.executable, "-m", "uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT))
            install = ["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", str(interpreter)]
            _run(sys.executable, "-m", "uv", *install, "--requirements", str(PINS))
            mark.write_text(wanted)
    return interpreter


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command[:6])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def scan(folder: Path) -> dict[str, Any]:
    """What checkov finds in a folder's Bicep. Nothing is downloaded."""
    program = ["-m", "checkov.main", "--directory", str(folder), "--framework", "bicep", "--output", "json"]
    options = ["--skip-download", "--compact", "--soft-fail"]
    found: dict[str, Any] = json.loads(_run(str(python()), *program, *options))
    return found


def declared(folder: Path) -> dict[str, dict[str, int]]:
    """How many declarations of each kind checkov's own parser reads in each file."""
    code = (
        "import json, sys; from pathlib import Path; from pycep import BicepParser; folder = Path(sys.argv[1]);"
        "kinds = ('parameters', 'variables', 'resources', 'modules', 'outputs');"
        "read = {p: BicepParser().parse(file_path=p) for p in sorted(folder.rglob('*.bicep'))};"
        "print(json.dumps({str(p.relative_to(folder)): {k: len(d.get(k) or ()) for k in kinds} for p, d in read.items()}))"
    )
    found: dict[str, dict[str, int]] = json.loads(_run(str(python()), "-c", code, str(folder)))
    return found


def _lock() -> None:
    options = ["--quiet", "--universal", "--python-version", "3.13", "--generate-hashes", "--no-emit-index-url"]
    named = ["--custom-compile-command", "python -m tests.infra.checkov --lock", "--no-emit-find-links"]
    command = [sys.executable, "-m", "uv", "pip", "compile", str(FOLDER / "checkov.in"), *options, *named]
    subprocess.run([*command, "--output-file", str(PINS)], check=True, timeout=_SECONDS)


if __name__ == "__main__" and "--lock" in sys.argv:
    _lock()
