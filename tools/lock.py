"""The pinned requirements, compiled from ``pyproject.toml``.

``python -m tools.lock`` writes them, keeping every pin that still fits; ``--upgrade`` takes the newest releases that fit;
``--check`` writes nothing and fails where what is committed differs from what would be written.

A pin that still fits is kept with its hashes, so a release made meanwhile changes nothing.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parent.parent

FILES: Final[dict[str, tuple[str, ...]]] = {
    "requirements.txt": (),
    "requirements-dev.txt": ("--group", "dev", "--constraint", "requirements.txt"),
}
"""What is compiled, in this order, and the options of each; the development set agrees with the deployed one."""

_LIMIT_SECONDS: Final = 300


class CompileError(Exception):
    """The requirements could not be compiled: they contradict each other, or the package index did not answer."""


def compile_into(folder: Path, *, upgrade: bool) -> None:
    """Compile ``folder/pyproject.toml`` into the requirement files beside it, which keep their pins unless ``upgrade``.

    Raises:
        CompileError: with the compiler's own words.

    """
    for name, options in FILES.items():
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet"),
            *("--universal", "--python-version", "3.13", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
            *("--custom-compile-command", "make lock", "--output-file", name),
            *options,
            *(["--upgrade"] if upgrade else []),
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            message = f"{name}: nothing compiled in {_LIMIT_SECONDS} s"
            raise CompileError(message) from None
        if done.returncode:
            message = f"{name}: {done.stderr.strip()}"
            raise CompileError(message)


def drift(root: Path) -> str:
    """The difference from what is committed to what ``pyproject.toml`` asks for; "" where there is none.

    Raises:
        CompileError: where that cannot be known.

    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("pyproject.toml", *FILES):
            if (root / name).exists():
                shutil.copy(root / name, folder / name)
        compile_into(folder, upgrade=False)
        return "".join(_difference(root / name, folder / name) for name in FILES)


def _difference(committed: Path, compiled: Path) -> str:
    before, after = (path.read_text().splitlines(keepends=True) if path.exists() else [] for path in (committed, compiled))
    return "".join(difflib.unified_diff(before, after, f"{committed.name} (committed)", f"{compiled.name} (from pyproject.toml)"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: done, or no drift; 1: drift, or nothing could be compiled."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description="Pinned requirements from pyproject.toml.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="fail on drift; write nothing")
    choice.add_argument("--upgrade", action="store_true", help="take the newest releases that fit")
    options = parser.parse_args(arguments)
    try:
        if not options.check:
            compile_into(ROOT, upgrade=options.upgrade)
            return 0
        difference = drift(ROOT)
    except CompileError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    if difference:
        print(difference, "lock: the requirements are not what pyproject.toml asks for; run make lock", sep="\n", file=sys.stderr)
        return 1
    print("lock: the requirements are what pyproject.toml asks for")
    return 0


if __name__ == "__main__":
    sys.exit(main())
