"""Why one target's connections are what they are: a look, without recording anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.arm_id import fold_case
from shared.core.entries import Decision
from shared.core.errors import ConfigError, InvalidIdError
from shared.core.finding import Finding
from shared.core.model import CONNECTION_CHILD, Target
from shared.core.observation import Observation
from shared.services.allowlist import LoadedAllowlist
from shared.services.overlay import without_records
from shared.services.reconcile import begin
from shared.services.results import DecisionReport

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.services.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a look shows, and what would be decided."""

    target: Target
    observation: Observation
    decisions: tuple[Decision, ...]
    """With their evidence; of the named connection alone where one was named."""
    reports: tuple[DecisionReport, ...]
    """The same decisions with what came of them."""
    findings: tuple[Finding, ...]
    allowlist: LoadedAllowlist


def split_subject(subject: ArmId) -> tuple[Target, ArmId | None]:
    """The target that an id names, and the connection if it names one.

    Raises:
        ConfigError: where it is neither a site, a slot, nor a connection of one.

    """
    try:
        if fold_case(subject.path[-1][0]) == fold_case(CONNECTION_CHILD):
            return Target(subject.parent), subject
        return Target(subject), None
    except InvalidIdError:
        message = f"{subject} is not the id of a site, a slot, or a private endpoint connection of one"
        raise ConfigError([message]) from None


async def explain(engine: Engine, subject: ArmId) -> Explanation:
    """Look at a target, or at one of its connections.

    Raises:
        ConfigError: where the id is of something else, or the target or connection does not exist.
        AzureError: where Azure could not be read.
        StoreError: where the ledger or the state store could not be read.

    """
    target, connection = split_subject(subject)
    step = await begin(without_records(engine), target)
    if not step.observation.exists:
        message = f"{target} does not exist, or this identity may not see it"
        raise ConfigError([message])
    if connection is not None and all(one.id != connection for one in step.observation.connections):
        message = f"{target} has no connection {connection.name}; it has {len(step.observation.connections)}"
        raise ConfigError([message])
    decisions = step.decisions()
    result = await step.note()
    chosen = [place for place, one in enumerate(decisions) if connection is None or _is_about(one, connection)]
    return Explanation(
        target=target,
        observation=step.observation,
        decisions=tuple(decisions[place] for place in chosen),
        reports=tuple(result.decisions[place] for place in chosen),
        findings=result.findings,
        allowlist=step.loaded,
    )


def _is_about(decision: Decision, connection: ArmId) -> bool:
    return decision.evidence.connection is not None and decision.evidence.connection.id == connection
