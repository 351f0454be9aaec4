"""Rows of the state store as values of the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.errors import LedgerBrokenError
from shared.core.memory import Memory
from shared.core.wire import from_json, to_json

if TYPE_CHECKING:
    from shared.core.model import Target
    from shared.ports import StateStore

TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class Kept[T]:
    """A value and the version of its row; None where there is no row."""

    value: T
    version: str | None


async def fetch[T](state: StateStore, partition: str, key: str, kind: type[T], default: T) -> Kept[T]:
    """The row as a value. One that cannot be read any more is as good as lost: the state may be lost without harm."""
    row = await state.get(partition, key)
    if row is None:
        return Kept(default, None)
    try:
        return Kept(from_json(kind, row.value), row.version)
    except LedgerBrokenError:
        return Kept(default, row.version)


async def keep[T](state: StateStore, partition: str, key: str, kept: Kept[object], value: T) -> Kept[T]:
    """Replace the row that ``kept`` came from.

    Raises:
        StoreConflictError: where somebody else replaced it first.

    """
    return Kept(value, await state.put(partition, key, to_json(value), replaces=kept.version))


async def fetch_memory(state: StateStore, target: Target) -> Kept[Memory]:
    """What is remembered about a target."""
    return await fetch(state, TARGETS, target.id.key, Memory, Memory())


async def keep_memory(state: StateStore, target: Target, kept: Kept[Memory], memory: Memory) -> Kept[Memory]:
    """Remember this about the target.

    Raises:
        StoreConflictError: where somebody else looked at the target meanwhile.

    """
    return await keep(state, TARGETS, target.id.key, kept, memory)
