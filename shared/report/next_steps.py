"""What to type next, as commands for a POSIX shell. Ids in them come from Azure and are quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.model import ConnectionStatus
from shared.core.reason import Code
from shared.core.verdict import Mode
from shared.report.escape import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.arm_id import ArmId
    from shared.report.documents import DecisionItem

_STOP: Final = frozenset({Code.ALLOWLIST_UNREADABLE, Code.PAUSED, Code.DENIED})
"""What a person cannot approve past: the allowlist has to be changed first."""


def explain(item: DecisionItem) -> str:
    """The command that shows the evidence."""
    return f"linkguard explain {shell(str(item.connection or item.target))}"


def reject(connection: ArmId) -> str:
    """The command by which a person rejects."""
    return f"linkguard decide {shell(str(connection))} --reject --reason TEXT"


def approve(connection: ArmId) -> str:
    """The command by which a person approves."""
    return f"linkguard decide {shell(str(connection))} --approve --reason TEXT"


def after_sweep(item: DecisionItem, *, dry_run: bool) -> tuple[str, ...]:
    """What to type next about a decision that a sweep reports."""
    sweep = f"linkguard sweep{' --dry-run' if dry_run else ''} --wait"
    match item.verdict, item.outcome:
        case "hold", _:
            return (explain(item),)
        case "approve", "not_written":
            # In enforce mode: refused or called off just now.
            observed = any(reason.code is Code.OBSERVE_ONLY for reason in item.reasons)
            return ("LINKGUARD_MODE=enforce linkguard sweep --wait",) if observed else (explain(item), sweep)
        case _, "ambiguous" | "taken_back":
            return (explain(item),)
        case ("wait", _) | ("approve", _):
            return () if item.outcome == "confirmed" else (sweep,)
        case _:
            return ()


def after_look(item: DecisionItem, mode: Mode) -> tuple[str, ...]:
    """What to type next about a decision whose evidence a person has before them."""
    return tuple(_after_look(item, mode))


def _after_look(item: DecisionItem, mode: Mode) -> Iterator[str]:
    codes = {reason.code for reason in item.reasons}
    pending = (item.state or "").casefold() == ConnectionStatus.PENDING.value.casefold()
    if Code.ALLOWLIST_UNREADABLE in codes:
        yield "linkguard allowlist check FILE"
    match item.verdict:
        case "hold":
            if item.connection is not None and pending:
                yield reject(item.connection)
                if not codes & _STOP:
                    prefix = "" if mode is Mode.ENFORCE else "LINKGUARD_MODE=enforce "
                    yield prefix + approve(item.connection)
        case "approve":
            yield "linkguard sweep --wait" if mode is Mode.ENFORCE else "LINKGUARD_MODE=enforce linkguard sweep --wait"
        case "wait":
            yield "linkguard sweep --wait"
        case _ if item.connection is not None and item.outcome == "ambiguous":
            yield reject(item.connection)
            yield f"linkguard decide {shell(str(item.connection))} --adopt --reason TEXT"
        case _:
            pass
