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

_NO_APPROVING: Final = frozenset(
    {
        # The allowlist has to be changed first.
        Code.ALLOWLIST_UNREADABLE,
        Code.PAUSED,
        Code.DENIED,
        Code.NOT_ALLOWLISTED,
        # Nothing says that it is ours.
        Code.NO_LINK,
        Code.NAME_DIFFERS,
        Code.MESSAGE_DIFFERS,
        Code.OLDER_THAN_LINK,
        Code.LINK_NOT_PENDING,
    }
)
"""Where approving by hand is no advice to give."""


def explain(item: DecisionItem) -> str:
    """The command that shows the evidence."""
    return f"linkguard explain {shell(str(item.connection or item.target))}"


def reject(connection: ArmId) -> str:
    """The command by which a person rejects."""
    return f"linkguard decide {shell(str(connection))} --reject --reason TEXT"


def approve(connection: ArmId) -> str:
    """The command by which a person approves."""
    return f"linkguard decide {shell(str(connection))} --approve --reason TEXT"


def after_sweep(item: DecisionItem, mode: Mode, *, dry_run: bool) -> tuple[str, ...]:
    """What to type next about a decision that a sweep reports; ``mode`` is the configured one."""
    enforce = "" if mode is Mode.ENFORCE else "LINKGUARD_MODE=enforce "
    match item.verdict, item.outcome:
        case ("hold", _) | (_, "ambiguous" | "taken_back"):
            return (explain(item),)
        case "approve", "not_written" if dry_run or enforce:
            return (f"{enforce}linkguard sweep --wait",)
        case "approve", "not_written":
            # Refused, or called off just now.
            return (explain(item), "linkguard sweep --wait")
        case ("wait", _) | ("approve", "sent" | None):
            return (f"linkguard sweep{' --dry-run' if dry_run else ''} --wait",)
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
                if not codes & _NO_APPROVING:
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
