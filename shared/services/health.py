"""Whether the deployed app does its work: for whoever asks over HTTP. Reasons name no resource and hold no secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.core.errors import LinkguardError, StoreConflictError
from shared.core.ledger import SYSTEM_CHAIN
from shared.services.allowlist import load_allowlist
from shared.services.notebook import fetch, keep
from shared.services.sweep import LAST, SWEEPS, LastSweep

if TYPE_CHECKING:
    from shared.core.ledger import JsonObject
    from shared.services.work import Work

_PARTITION: Final = "health"
_ROW: Final = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is not well; nothing where all is."""

    reasons: tuple[str, ...]
    last_sweep: LastSweep | None

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.reasons

    def as_json(self) -> JsonObject:
        """For the answer's body."""
        last = self.last_sweep
        finished = last.finished.isoformat() if last and last.finished else None
        sweep: JsonObject = {
            "finished": finished,
            "complete": bool(last and last.complete),
            "targets": last.targets if last else 0,
        }
        return {"status": "ok" if self.is_well else "unhealthy", "reasons": list(self.reasons), "last_sweep": sweep}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a check writes, to see that it can."""

    at: datetime | None


async def check_health(work: Work) -> Health:
    """Look at the last sweep, the allowlist and the stores. Never raises for what is not well; no call to Resource Manager."""
    reasons: list[str] = []
    last: LastSweep | None = None
    try:
        last = await _last_sweep(work)
        await _write(work)
    except LinkguardError as error:
        reasons.append(f"ledger: {type(error).__name__}")
    else:
        reasons += _of_sweep(work, last)
    if (await load_allowlist(work.engine.allowlist)).allowlist is None:
        reasons.append("allowlist: it cannot be read or is not valid, so nothing is approved; linkguard config check")
    return Health(reasons=tuple(reasons), last_sweep=last)


async def _last_sweep(work: Work) -> LastSweep:
    nothing = LastSweep(started=None, finished=None, complete=False, targets=0)
    return (await fetch(work.engine.state, SWEEPS, LAST, LastSweep, nothing)).value


async def _write(work: Work) -> None:
    """Read the ledger, and write beside it: what is appended to it stays for ever, so nothing is, just to see.

    Raises:
        StoreError: where either failed.

    """
    await work.engine.ledger.head(SYSTEM_CHAIN)
    now = work.engine.clock.now()
    kept = await fetch(work.engine.state, _PARTITION, _ROW, Probe, Probe(at=None))
    try:
        await keep(work.engine.state, _PARTITION, _ROW, kept, Probe(at=now))
    except StoreConflictError:
        return  # Somebody else has just written it, so it can be.


def _of_sweep(work: Work, last: LastSweep) -> list[str]:
    if last.finished is None:
        return ["sweep: none has ended yet"]
    reasons = [] if last.complete else ["sweep: the last one was not complete; its log records say why"]
    if work.engine.clock.now() - last.finished > work.sweep_max_age:
        reasons.append(f"sweep: none has ended since {last.finished.isoformat(timespec='seconds')}")
    return reasons
