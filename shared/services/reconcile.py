"""Reconciling one target: look, decide, do at most one thing, record; come back if not done.

Events and sweeps both come here. Crash anywhere, run it twice, run it on two workers at once: the end state is the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.core import drift
from shared.core.entries import chain_of
from shared.core.errors import StoreConflictError
from shared.core.model import ConnectionStatus
from shared.services.allowlist import load_allowlist
from shared.services.journal import Journal
from shared.services.look import Scope, look
from shared.services.notebook import fetch_memory
from shared.services.step import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.core.arm_id import ArmId
    from shared.core.model import Target
    from shared.services.allowlist import LoadedAllowlist
    from shared.services.engine import Engine
    from shared.services.results import TargetResult

_TRIES: Final = 5
_APPROVED: Final = frozenset({ConnectionStatus.APPROVING, ConnectionStatus.APPROVED})


async def reconcile(engine: Engine, target: Target, via: Sequence[ArmId] = ()) -> TargetResult:
    """One step on one target, begun again where somebody else wrote meanwhile.

    ``via``: SignalR services that are known to lead to the target, though the snapshot may be older than their links.

    Raises:
        AzureError: where Azure could not be read: nothing was decided.
        StoreError: where the ledger or the state store failed, or others kept writing.

    """
    for _ in range(_TRIES - 1):
        try:
            return await _step(engine, target, via)
        except StoreConflictError:
            continue
    return await _step(engine, target, via)


async def _step(engine: Engine, target: Target, via: Sequence[ArmId]) -> TargetResult:
    step = await begin(engine, target, via)
    return await step.run()


async def begin(engine: Engine, target: Target, via: Sequence[ArmId] = ()) -> Step:
    """Look at a target; nothing is decided or written yet.

    Raises:
        AzureError: where something could not be read.
        StoreError: where the ledger or the state store failed.

    """
    loaded = await load_allowlist(engine.allowlist)
    for _ in range(_TRIES - 1):
        step = await _look(engine, loaded, target, via)
        if not await is_overtaken(step):
            return step
    return await _look(engine, loaded, target, via)


async def _look(engine: Engine, loaded: LoadedAllowlist, target: Target, via: Sequence[ArmId]) -> Step:
    snapshot = await engine.snapshot()
    journal = Journal(engine.ledger, chain_of(target))
    await journal.load()
    # Before the look, so that whoever looks and remembers meanwhile makes this step begin anew with what is known then.
    kept = await fetch_memory(engine.state, target)
    scope = Scope(
        target=target,
        allowlist=loaded.allowlist,
        snapshot=snapshot,
        history=journal.history,
        subscriptions=engine.settings.subscriptions,
        via=via,
    )
    observation = await look(engine.azure, scope)
    if (recent := await engine.snapshot(observation.started)) is not snapshot:
        # By Azure's clock it was too old: this worker's own is behind.
        observation = await look(engine.azure, replace(scope, snapshot=recent))
    return Step(engine, loaded, journal, observation, kept)


async def is_overtaken(step: Step) -> bool:
    """Whether the look shows an approval that somebody announced in the ledger after it was read.

    Whoever approves through Linkguard says so there first. Without this, another worker's approval at the wrong moment would
    be told as one that nobody can explain.

    Raises:
        StoreError: where the ledger failed.

    """
    history = step.journal.history
    unexplained = any(
        connection.status in _APPROVED
        and connection.id not in history.adopted
        and drift.explained_by(history, connection.id) is None
        for connection in step.observation.connections
    )
    return unexplained and await step.journal.is_behind()
