"""The dead-letter container in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import StoreConflictError, StoreUnavailableError
from shared.ports import DeadLetterBlob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class MemoryDeadLetters:
    """Blobs by name. ``stuck`` names those that cannot be deleted, ``changing`` those that are written anew after each read."""

    def __init__(self, blobs: Mapping[str, bytes] | None = None) -> None:
        self.blobs = dict(blobs or {})
        self.stuck: set[str] = set()
        self.changing: set[str] = set()
        self._versions: dict[str, int] = {}

    async def names(self, *, at_most: int) -> AsyncIterator[str]:
        for name in sorted(self.blobs)[:at_most]:
            yield name

    async def read(self, name: str, *, at_most: int) -> DeadLetterBlob | None:
        if name not in self.blobs:
            return None
        content, version = self.blobs[name], str(self._versions.get(name, 0))
        if name in self.changing:
            self._versions[name] = self._versions.get(name, 0) + 1
        return DeadLetterBlob(content=content if len(content) <= at_most else None, version=version)

    async def remove(self, name: str, *, version: str) -> None:
        if name in self.stuck:
            message = "the dead letters' storage account answered (503)"
            raise StoreUnavailableError(message)
        if name in self.blobs and version != str(self._versions.get(name, 0)):
            message = "the dead letter was written anew"
            raise StoreConflictError(message)
        self.blobs.pop(name, None)
