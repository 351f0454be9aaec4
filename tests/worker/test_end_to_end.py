"""Local Azure, Azurite and the real Functions worker: from an event to an approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worker.stage import MESSAGE, open_host, open_stage

if TYPE_CHECKING:
    from tests.azurite.server import Azurite


async def test_an_event_becomes_an_approval(azurite: Azurite) -> None:
    """A link is put; ARM's event is delivered; its connection becomes Approved, and that is confirmed."""
    async with open_stage(azurite) as stage, open_host(stage) as host:
        link = stage.azure.world.put_link(stage.service, "func-pe", stage.site, MESSAGE)
        (event,) = stage.events()
        assert (await host.deliver(event)).ok
        await host.run_until(stage.confirmed)
        assert stage.approved == list(stage.azure.world.connections_of(link))
        assert stage.breaches == []
        assert all(result.ok for result in host.results)
