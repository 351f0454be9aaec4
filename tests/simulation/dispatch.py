"""From an event to the targets to look at. An event is a hint to look, never a fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError
from shared.core.model import CONNECTION_CHILD, Target

if TYPE_CHECKING:
    from shared.services.reconcile import Engine


async def targets_of(engine: Engine, resource_uri: str) -> list[tuple[Target, tuple[ArmId, ...]]]:
    """The target that a link leads to, or that a connection belongs to, and the service to read; none for anything else.

    Raises:
        AzureError: where the link cannot be read.

    """
    try:
        id_ = ArmId.parse(resource_uri)
    except InvalidIdError:
        return []
    if id_.path[-1][0].lower() == CONNECTION_CHILD.lower():
        try:
            return [(Target(id_.parent), ())]
        except InvalidIdError:
            return []
    if id_.path[-1][0].lower() != "sharedprivatelinkresources":
        return []
    service = (await engine.azure.get_signalr(id_.parent)).value
    links = service.links if service else ()
    return [(link.target, (link.signalr,)) for link in links if link.id == id_ and link.target is not None]
