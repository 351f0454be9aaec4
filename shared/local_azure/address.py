"""What a path of ARM's means: which resource, or which list, or which running operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.local_azure.ids import LINK, PLAN, SIGNALR, SITE, SITE_CONNECTION, SLOT, SLOT_CONNECTION, ResourceId, fold

OPERATION: Final = "operations"
"""Stands as type for the URLs of running operations."""

_TYPES: Final = {fold(known): known for known in (SIGNALR, LINK, SITE, SLOT, PLAN, SITE_CONNECTION, SLOT_CONNECTION)}
_OPERATION_KINDS: Final = {"operationstatuses", "operationresults"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A path, taken apart."""

    type: str
    """The resource type, spelt as Azure does; :data:`OPERATION` for a running operation."""
    subscription: str
    group: str | None = None
    """None for a list over a subscription, and for operations."""
    resource: ResourceId | None = None
    """The resource, or the parent of the list; None where the list has no parent resource."""
    is_list: bool = False
    operation_kind: str = ""
    """``operationstatuses`` or ``operationresults``."""
    operation_id: str = ""


def read_path(path: str) -> Address | None:
    """What ``path`` (decoded, without the query) names; None where it names nothing that is served here."""
    parts = path.rstrip("/").split("/")
    words = [fold(part) for part in parts]
    match words:
        case ["", "subscriptions", _, "providers", _, "locations", _, kind, *_, operation] if kind in _OPERATION_KINDS:
            return Address(type=OPERATION, subscription=parts[2], operation_kind=kind, operation_id=operation)
        case ["", "subscriptions", _, "providers", provider, kind] if known := _TYPES.get(f"{provider}/{kind}"):
            return Address(type=known, subscription=parts[2], is_list=True)
        case ["", "subscriptions", _, "resourcegroups", _, "providers", provider, *path_words] if path_words:
            known = _TYPES.get("/".join((provider, *path_words[::2])))
            return _grouped(parts, known) if known and all(parts[1:]) else None
    return None


def _grouped(parts: list[str], known: str) -> Address:
    names = parts[7:]
    is_list = len(names) % 2 == 1
    pairs = tuple(zip(names[::2], names[1::2], strict=False))
    resource = ResourceId(parts[2], parts[4], parts[6], pairs) if pairs else None
    return Address(type=known, subscription=parts[2], group=parts[4], resource=resource, is_list=is_list)
