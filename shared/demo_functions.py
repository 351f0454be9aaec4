"""The demo's story through the real Functions worker and Azurite (``linkguard demo --functions``): from a checkout, with Node.

The worker and Azurite are development tools that the tests bring; so is the program that plays the story with them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parent.parent
_PROGRAM: Final = _ROOT / "tests" / "worker" / "story.py"


def missing() -> str:
    """What is not here and has to be; "" where all is."""
    if not _PROGRAM.exists():
        return "the Functions worker and Azurite come with the repository's tests: run it from a checkout"
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"Azurite wants Node, and {' and '.join(absent)} cannot be found" if absent else ""


def main() -> int:
    """Play it on the terminal; returns 0 where it ended as it must."""
    return subprocess.run([sys.executable, "-m", "tests.worker.story"], cwd=_ROOT, check=False).returncode
