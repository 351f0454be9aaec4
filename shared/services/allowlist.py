"""The allowlist as it is now, or why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.allowlist import Allowlist
from shared.core.allowlist_document import parse_allowlist
from shared.core.errors import AllowlistError

if TYPE_CHECKING:
    from shared.ports import AllowlistSource


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAllowlist:
    """What was read. The last good version is never used in place of one that is not."""

    allowlist: Allowlist | None
    problem: str
    """Why there is none; "" where there is one."""


async def load_allowlist(source: AllowlistSource) -> LoadedAllowlist:
    """Read and parse the allowlist. One that is unreadable or invalid is a value here, since it decides: nothing is approved."""
    try:
        document = await source.read()
        return LoadedAllowlist(allowlist=parse_allowlist(document.text, document.source), problem="")
    except AllowlistError as error:
        return LoadedAllowlist(allowlist=None, problem=str(error))
