"""A writer in a process of its own: ``python -m tests.contract.racer PATH NAME COUNT`` appends and counts beside others."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shared.adapters.sqlite_store import SqliteStore
from tests.contract.ledgers import append_whatever_others_do, count_up, entry


async def main(path: str, name: str, count: str) -> None:
    async with SqliteStore(Path(path)) as store:
        for number in range(int(count)):
            await append_whatever_others_do(store, entry(f"{name}-{number}", inputs={"by": name}))
            await count_up(store, "budget", "hour")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
