"""Worlds to start from: the how-to's example, and an estate of the size that the benchmark wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.local_azure.building import SUBSCRIPTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.local_azure.world import World

MESSAGE: Final = "please approve"


def empty(world: World) -> None:
    """A subscription with nothing in it."""
    world.add_subscription(SUBSCRIPTION)


def how_to(world: World) -> None:
    """The example of Azure's how-to: ``contoso-signalr``, ``contoso-func``, link ``func-pe``, message "please approve".

    Beside it a stranger who copies the message but not the name.
    """
    service = world.add_signalr("contoso-signalr", upstream=["https://contoso-func.azurewebsites.net/runtime/webhooks/signalr"])
    target = world.add_site("contoso-func", public_network_access="Enabled")
    world.put_link(service, "func-pe", target, MESSAGE)
    world.request_connection(target, "stranger-pe", MESSAGE)


def impostor(world: World) -> None:
    """The how-to's example, and an impostor who copies name and message both."""
    how_to(world)
    (target,) = world.all_targets()
    world.request_connection(str(target.id), "func-pe", MESSAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A service, its link, and the target that the link leads to."""

    service: str
    target: str
    link: str
    connection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """A large world."""

    subscriptions: tuple[str, ...]
    approved: tuple[Pair, ...]
    pending: tuple[Pair, ...]


def estate(  # noqa: PLR0913  its dimensions
    world: World, *, subscriptions: int = 10, services: int = 1000, sites: int = 5000, linked: int = 500, pending: int = 100
) -> Estate:
    """Services and sites spread evenly over subscriptions; of ``linked`` links to as many sites, ``pending`` wait for approval.

    Everything was done an hour ago, so that nothing is still under way.
    """
    hour = 3600.0
    homes = tuple(world.add_subscription(f"00000000-0000-0000-0000-{number:012x}") for number in range(1, subscriptions + 1))
    made = [world.add_signalr(f"signalr-{n:05}", subscription=homes[n % subscriptions], group="estate") for n in range(services)]
    plans = [world.add_plan("plan", subscription=home, group="estate") for home in homes]
    targets = [
        world.add_site(
            f"site-{n:05}",
            subscription=homes[n % subscriptions],
            group="estate",
            plan=plans[n % subscriptions],
            public_network_access="Enabled",
        )
        for n in range(sites)
    ]
    pairs = []
    for n in range(linked):
        service, target = made[n % services], targets[n]
        link = world.put_link(service, f"link-{n:05}", target, f"{MESSAGE} {n}", ago=2 * hour)
        (connection,) = world.connections_of(link)
        pairs.append(Pair(service=service, target=target, link=link, connection=connection))
    for pair in pairs[pending:]:
        world.approve(pair.connection, by="estate", ago=hour)
    return Estate(subscriptions=homes, approved=tuple(pairs[pending:]), pending=tuple(pairs[:pending]))


def _of_benchmark_size(world: World) -> None:
    estate(world)


SCENARIOS: Final[dict[str, Callable[[World], None]]] = {
    "empty": empty,
    "estate": _of_benchmark_size,
    "how-to": how_to,
    "impostor": impostor,
}
"""By the names that the command line knows."""
