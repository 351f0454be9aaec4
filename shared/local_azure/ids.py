"""ARM ids as the local Azure reads and writes them.

Made apart from the product's own ids on purpose: a mistake in those would otherwise be on both sides, and unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from random import Random
from typing import Final, Self

SIGNALR: Final = "Microsoft.SignalRService/SignalR"
LINK: Final = "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources"
SITE: Final = "Microsoft.Web/sites"
SLOT: Final = "Microsoft.Web/sites/slots"
PLAN: Final = "Microsoft.Web/serverfarms"
SITE_CONNECTION: Final = "Microsoft.Web/sites/privateEndpointConnections"
SLOT_CONNECTION: Final = "Microsoft.Web/sites/slots/privateEndpointConnections"

_PROVIDER_AT: Final = 6


@lru_cache(maxsize=1 << 16)
def fold(text: str) -> str:
    """``text`` so that two names that ARM holds for the same become equal. Names beyond ASCII are left alone."""
    return text.lower() if text.isascii() else text


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The id of a resource in a resource group, in the spelling it was given in."""

    subscription: str
    group: str
    provider: str
    path: tuple[tuple[str, str], ...]
    """Type and name pairs, the outermost first."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``text``.

        Raises:
            ValueError: where it is not the id of a resource in a resource group.

        """
        parts = text.split("/")
        words = [fold(part) for part in parts[:_PROVIDER_AT]]
        if (
            len(parts) < 9  # noqa: PLR2004  an empty part, three pairs, a namespace and one pair
            or len(parts) % 2 == 0
            or not all(parts[1:])
            or (words[0], words[1], words[3], words[5]) != ("", "subscriptions", "resourcegroups", "providers")
        ):
            message = f"not the id of a resource in a resource group: {text[:200]!r}"
            raise ValueError(message)
        return cls(parts[2], parts[4], parts[6], tuple(zip(parts[7::2], parts[8::2], strict=True)))

    @property
    def type(self) -> str:
        """The resource type, such as ``Microsoft.Web/sites``."""
        return "/".join((self.provider, *(kind for kind, _ in self.path)))

    @property
    def name(self) -> str:
        """The last segment."""
        return self.path[-1][1]

    @property
    def key(self) -> str:
        """The same text for every spelling of this id."""
        return fold(str(self))

    def child(self, kind: str, name: str) -> Self:
        """The id of ``name`` of type ``kind`` below this resource."""
        return type(self)(self.subscription, self.group, self.provider, (*self.path, (kind, name)))

    def parent(self) -> Self:
        """The resource that this one is a child of."""
        return type(self)(self.subscription, self.group, self.provider, self.path[:-1])

    def __str__(self) -> str:
        tail = "".join(f"/{kind}/{name}" for kind, name in self.path)
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.provider}{tail}"


class Spelling(StrEnum):
    """How ids are written in answers. ARM promises no case, and uses several."""

    EXACT = "exact"
    """As the resource was created."""
    DOCUMENTED = "documented"
    """As in the examples of SignalR's specification: ``resourcegroups`` and ``SignalR``."""
    MIXED = "mixed"
    """Another way each time."""


def _documented(text: str) -> str:
    return text.replace("/resourceGroups/", "/resourcegroups/").replace("/signalR/", "/SignalR/")


def _shouted(text: str) -> str:
    return text.replace("/resourceGroups/", "/RESOURCEGROUPS/").replace("/SignalR/", "/SIGNALR/").replace("/sites/", "/SITES/")


def _small(text: str) -> str:
    return _documented(text).replace("/SignalR/", "/signalr/").replace("/providers/Microsoft.", "/providers/microsoft.")


class Speller:
    """Writes ids the way that a :class:`Spelling` says."""

    _WAYS: Final = (_documented, str, _small, _shouted, str.lower, str.upper)

    def __init__(self) -> None:
        self._random = Random(0)

    def spell(self, text: str, spelling: Spelling) -> str:
        """The id ``text`` in this spelling."""
        if spelling is Spelling.EXACT:
            return text
        if spelling is Spelling.DOCUMENTED:
            return _documented(text)
        return self._random.choice(self._WAYS)(text)
