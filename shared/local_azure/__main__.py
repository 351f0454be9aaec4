"""The local Azure for people: ``python -m shared.local_azure``. Prints its URL and serves until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from shared.local_azure.front_door import LOCAL_TOKEN
from shared.local_azure.knobs import Knobs
from shared.local_azure.scenarios import SCENARIOS
from shared.local_azure.server import LocalAzure


async def serve(port: int, scenario: str, *, as_slow_as_azure: bool) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    knobs = Knobs.recorded() if as_slow_as_azure else Knobs()
    async with LocalAzure(knobs=knobs, port=port) as azure:
        SCENARIOS[scenario](azure.world)
        sys.stdout.write(f"{azure.url}\n")
        sys.stdout.flush()
        sys.stderr.write(
            f"scenario {scenario}; every request needs the header 'Authorization: Bearer {LOCAL_TOKEN}', "
            f"except those below {azure.url}/_local/ (state, requests, events, knobs, faults, clock, world/<action>)\n"
        )
        await stop.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m shared.local_azure", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="how-to", help="what exists at the start")
    parser.add_argument("--slow", action="store_true", help="take as long as Azure took when it was recorded")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.scenario, as_slow_as_azure=arguments.slow))


if __name__ == "__main__":
    main()
