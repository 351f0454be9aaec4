"""Which ids are worth a read at all: an event may name anything, and a message on the queue as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.arm_id import fold_case
from shared.core.entries import chain_of
from shared.services.allowlist import load_allowlist
from shared.services.journal import Journal

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.model import Target
    from shared.services.engine import Engine


def is_scanned(engine: Engine, id_: ArmId) -> bool:
    """Whether it lies in a subscription that is scanned. Reads nothing."""
    return fold_case(id_.subscription) in set(map(fold_case, engine.settings.subscriptions))


async def is_known_service(engine: Engine, service: ArmId) -> bool:
    """Whether links of a SignalR service may matter: an allow rule names it. No ARM call.

    Where the allowlist cannot be read, nothing can be approved, and the sweep says so; no service is known then.
    """
    if not is_scanned(engine, service):
        return False
    allowlist = (await load_allowlist(engine.allowlist)).allowlist
    return allowlist is not None and allowlist.knows_service(service)


async def is_watched(engine: Engine, target: Target, via: ArmId | None) -> bool:
    """Whether a target is one that a sweep would look at, or that a known service was just seen to lead to.

    No ARM call, except where the last list of the subscriptions' services is too old to decide by.

    Raises:
        AzureError: where a subscription cannot be listed.
        StoreError: where a store failed.

    """
    if not is_scanned(engine, target.id):
        return False
    allowlist = (await load_allowlist(engine.allowlist)).allowlist
    if allowlist is not None:
        if target in allowlist.named_targets():
            return True
        if via is not None and is_scanned(engine, via) and allowlist.knows_service(via):
            return True
    links = (await engine.snapshot()).links_to(target)
    if any(allowlist is None or allowlist.knows_service(link.signalr) for link in links):
        return True
    journal = Journal(engine.ledger, chain_of(target))
    await journal.load()
    return journal.history.is_unfinished
