"""The demo's story, told by the triggers: ``linkguard demo --functions``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.core.ledger import RecordKind
from shared.local_azure import Knobs
from tests.azurite import server
from tests.worker.stage import MESSAGE, Stage, allowlist, open_host, open_stage

if TYPE_CHECKING:
    from tests.worker.host import Host

_DELAYS = Knobs(link_provisioning=0.8, connection_delay=0.4, approving=0.6, link_status_lag=0.8)


async def set_scene(stage: Stage) -> None:
    """As in ``linkguard demo``: a stranger who copies the message, a service that no rule names, an impostor who copies all."""
    world = stage.azure.world
    web = world.add_site("contoso-web", public_network_access="Enabled")
    fabrikam = world.add_signalr("fabrikam-signalr", group="fabrikam")
    await stage.set_allowlist(allowlist((stage.service, stage.site), (stage.service, web)))
    world.request_connection(stage.site, "stranger-pe", MESSAGE)
    world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
    world.put_link(fabrikam, "fabrikam-pe", stage.site, MESSAGE)
    world.put_link(stage.service, "web-pe", web, MESSAGE)
    world.request_connection(web, "web-pe", MESSAGE)


async def play(azurite: server.Azurite) -> int:
    """From the events to the end. Returns 0 where it ended as it must."""
    async with open_stage(azurite, knobs=_DELAYS) as stage:
        _say(f"1. A local Azure at {stage.azure.url}; Azurite with tables, a queue and the allowlist's blob")
        await set_scene(stage)
        async with open_host(stage) as host:
            _say("2. The real Functions worker has indexed the app")
            for name, bindings in sorted(host.worker.functions.items()):
                _say(f"   {name:<20} {bindings[0]['type']}")
            return await _tell(stage, host)


async def _tell(stage: Stage, host: Host) -> int:
    _say("3. Azure Resource Manager's events arrive; each becomes a message, each message a look")
    for event in stage.events():
        await host.deliver(event)
    told = 0

    async def confirmed() -> bool:
        nonlocal told
        told = _narrate(host, told)
        return await stage.confirmed()

    await host.run_until(confirmed)
    _narrate(host, told)
    _say("4. The sweep looks at everything, and finds nothing left to do")
    await host.worker.timer()
    health = await host.worker.get("health", "http://127.0.0.1/api/health")
    records = await stage.records()
    _say(f"   health: {health.http['body'] if health.http else health.error}")
    kinds = [record.entry.kind for record in records]
    _say(f"5. The ledger in Azure Tables: {len(records)} records, every chain verified")
    right = (
        len(stage.approved) == 1
        and stage.breaches == []
        and await stage.outcomes() == ["sent", "confirmed"]
        and kinds.count(RecordKind.INTENT) == 1
        and health.http is not None
    )
    _say(
        "Done: one connection approved and confirmed by events alone, the others held."
        if right
        else "This is not how it should have ended; please report it, with what is above."
    )
    return 0 if right else 1


def _narrate(host: Host, told: int) -> int:
    """Say what the worker's telemetry has told since."""
    lines = host.worker.telemetry()
    for line in lines[told:]:
        text = _sentence(line)
        if text:
            _say(f"   {text}")
    return len(lines)


def _sentence(line: dict[str, Any]) -> str:
    match line["linkguard"]:
        case "event":
            return f"event       {_name(line['subject'])}" if line.get("subject") else ""
        case "decision":
            return f"decision    {_name(line['connection'] or line['link'])}: {line['verdict']} ({', '.join(line['codes'])})"
        case "outcome":
            return f"outcome     {_name(line['connection'])}: {line['outcome']}"
        case "message":
            return f"message     {_name(line['id'])}, attempt {line['attempt']}: {line['what']}"
        case _:
            return ""


def _name(id_: object) -> str:
    return str(id_).rsplit("/", 1)[-1]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  the demo's output


def main() -> int:
    """Play it on the terminal."""
    _say("0. Starting Azurite and the Functions worker; the first time both are installed, which takes a minute or two")
    with tempfile.TemporaryDirectory(prefix="linkguard-demo-") as folder, server.run(Path(folder)) as azurite:
        return asyncio.run(play(azurite))


if __name__ == "__main__":
    sys.exit(main())
