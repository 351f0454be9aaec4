"""The state store in memory."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING

from shared.core.errors import StoreConflictError, StoreUnavailableError
from shared.core.ledger import canonical
from shared.ports import Versioned

if TYPE_CHECKING:
    from shared.core.ledger import Json


class MemoryStateStore:
    """Rows with versions that never come twice. ``unavailable`` makes every call fail."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, tuple[str, str]]] = {}
        self._versions = count(1)
        self.unavailable = False

    async def get(self, partition: str, key: str) -> Versioned | None:
        self._answer()
        row = self._rows.get(partition, {}).get(key)
        return _versioned(*row) if row else None

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        self._answer()
        rows = self._rows.setdefault(partition, {})
        _, version = rows.get(key, ("", None))
        if version != replaces:
            message = f"the row is at version {version}, not {replaces}"
            raise StoreConflictError(message)
        new = f"v{next(self._versions)}"
        rows[key] = (canonical(value), new)
        return new

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        self._answer()
        rows = self._rows.get(partition, {})
        if key not in rows:
            return
        if rows[key][1] != version:
            message = f"the row is at version {rows[key][1]}, not {version}"
            raise StoreConflictError(message)
        del rows[key]

    async def rows(self, partition: str) -> dict[str, Versioned]:
        self._answer()
        return {key: _versioned(*row) for key, row in self._rows.get(partition, {}).items()}

    def _answer(self) -> None:
        if self.unavailable:
            message = "the state store did not answer"
            raise StoreUnavailableError(message)


def _versioned(text: str, version: str) -> Versioned:
    return Versioned(value=json.loads(text), version=version)
