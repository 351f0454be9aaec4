"""What an approval and a sweep cost in calls, through the real SDKs, by the local Azure's own log of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.bootstrap.application import open_application
from shared.core.arm_id import ArmId
from shared.core.model import Target
from shared.local_azure import Knobs, LocalAzure
from shared.services.reconcile import reconcile
from shared.services.sweep import sweep
from tests.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from shared.bootstrap.application import Application

SERVICE = "get Microsoft.SignalRService/SignalR"
SERVICES = "list Microsoft.SignalRService/SignalR"
CONNECTIONS = "list Microsoft.Web/sites/privateEndpointConnections"
SITE = "get Microsoft.Web/sites"


class Estate:
    """A desk, its application, and what it asked for since the last time."""

    def __init__(self, azure: LocalAzure, desk: Desk, application: Application) -> None:
        self.azure = azure
        self.desk = desk
        self.engine = application.engine

    def asked(self) -> dict[str, int]:
        """By operation; and begins to count anew."""
        counts = dict(self.azure.requests.counts)
        self.azure.requests.clear()
        return counts

    async def look(self) -> dict[str, int]:
        self.asked()
        await reconcile(self.engine, Target(ArmId.parse(self.desk.target)))
        return self.asked()

    async def sweep(self) -> dict[str, int]:
        self.asked()
        result = await sweep(self.engine)
        assert result.complete
        return self.asked()


@pytest.mark.parametrize("inline", [True, False])
async def test_an_approval_is_nine_calls_at_most_and_a_further_look_two(tmp_path: Path, inline: bool) -> None:  # noqa: FBT001  a parameter
    """Three reads, three and the write, two that confirm it; whether or not a site carries its connections."""
    knobs = Knobs(inline_connections=inline, link_status_lag=3600)
    async with LocalAzure(knobs=knobs) as azure:
        desk = Desk(azure, tmp_path)
        async with open_application(desk.settings) as application:
            estate = Estate(azure, desk, application)
            await estate.sweep()
            _, connection = desk.put_link()
            first = await estate.look()
            assert first == {SERVICE: 1, CONNECTIONS: 1, SITE: 1}
            approving = await estate.look()
            write = {key: count for key, count in approving.items() if key not in first}
            assert list(write.values()) == [1]
            assert azure.world.connection_status(connection) == "Approved"
            further = await estate.look()
            assert further == {SERVICE: 1, CONNECTIONS: 1}
            assert sum(first.values()) + sum(approving.values()) + sum(further.values()) == 9
            assert await estate.look() == further


async def test_a_sweep_with_nothing_to_do_is_the_pages_of_a_list_and_a_read_a_watched_target(tmp_path: Path) -> None:
    """However many services and sites there are, and whatever is approved."""
    async with LocalAzure(knobs=Knobs(page_size=4)) as azure:
        desk = Desk(azure, tmp_path)
        services = [azure.world.add_signalr(f"signalr-{number}") for number in range(9)]
        sites = [azure.world.add_site(f"site-{number}", public_network_access="Enabled") for number in range(20)]
        rules = [
            f"  - {{id: rule-{number}, effect: allow, signalr: {signalr}, target: {site}}}\n"
            for number, (signalr, site) in enumerate(zip(services, sites, strict=False))
        ]
        desk.allowlist.write_text(desk.allowlist.read_text() + "".join(rules))
        for number, (signalr, site) in enumerate(zip(services[:5], sites[:5], strict=True)):
            azure.world.put_link(signalr, f"link-{number}", site, f"message {number}")
        async with open_application(desk.settings) as application:
            estate = Estate(azure, desk, application)
            for _ in range(3):
                await estate.sweep()  # Seen, approved, confirmed.
            counts = await estate.sweep()
    pages, watched = 3, 10
    assert counts == {SERVICES: pages, CONNECTIONS: watched}


async def test_a_sweep_costs_three_reads_more_for_each_target_where_something_is_pending(tmp_path: Path) -> None:
    """And the others cost what they always do."""
    async with LocalAzure() as azure:
        desk = Desk(azure, tmp_path)
        quiet = [azure.world.add_site(f"site-{number}", public_network_access="Enabled") for number in range(6)]
        rules = [
            f"  - {{id: rule-{number}, effect: allow, signalr: {desk.signalr}, target: {site}}}\n"
            for number, site in enumerate(quiet)
        ]
        desk.allowlist.write_text(desk.allowlist.read_text() + "".join(rules))
        desk.put_link()
        async with open_application(desk.settings | {"LINKGUARD_SETTLE": "1h"}) as application:
            counts = await Estate(azure, desk, application).sweep()
    assert counts == {SERVICES: 1, CONNECTIONS: 7 + 1, SERVICE: 1, SITE: 1}
