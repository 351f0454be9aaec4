"""The demo's story through the real Functions worker and Azurite (``linkguard demo --functions``): from a checkout, with Node.

The worker and Azurite are development tools that the tests bring; so is the program that plays the story with them.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT: Final = Path(__file__).parent.parent
_PROGRAM: Final = _ROOT / "tests" / "worker" / "story.py"


def missing() -> str:
    """What is not here and has to be; "" where all is."""
    if not _PROGRAM.exists():
        return "the Functions worker and Azurite come with the repository's tests: run it from a checkout"
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"Azurite wants Node, and {' and '.join(absent)} cannot be found" if absent else ""


async def run(say: Callable[[str], None]) -> int:
    """Play it, telling each line as it happens; returns 0 where it ended as it must."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.worker.story", cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101  for the type checker: asked for above
    async for line in process.stdout:
        say(line.decode("utf-8", "replace").rstrip("\n"))
    return await process.wait()
