"""The Functions worker, installed aside from what ``requirements.txt`` pins: once, for all test processes."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
ROOT: Final = FOLDER.parent.parent
REQUIREMENTS: Final = FOLDER / "requirements.txt"
INSTALL_SECONDS: Final = 600


class InstallError(Exception):
    """The worker could not be installed."""


def install() -> Path:
    """The folder with the worker's packages, made where it is not there. In the environment, so that ``make`` renews both.

    Raises:
        InstallError: with the installer's own words.

    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = Path(sys.prefix) / f"functions-worker-{wanted}"
    mark = folder / ".installed"
    with REQUIREMENTS.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not mark.exists():
            command = [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--require-hashes", "--upgrade", "--target", str(folder), "--requirement", str(REQUIREMENTS)),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            if done.returncode != 0:
                raise InstallError(done.stderr[-2000:])
            mark.touch()
    return folder
