"""ARM resource ids as a type, so that no code compares them as text.

Azure returns the same id in mixed case (``resourcegroups``, ``SignalR``/``signalr``; facts.md "The link and the
connection"), and ARM treats ids as equal whatever their case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering
from typing import Final, Self

from shared.core.errors import InvalidIdError

MAX_ID_LENGTH: Final = 2048
"""Longer than any id ARM can make; a longer text is junk and is refused."""

_REMEMBERED: Final = 4096
"""Ids that are not parsed again: one look meets each of them many times."""
SUBSCRIPTION_ID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""As Azure writes it. Python's own UUIDs may be written in more ways, each of which would be another key for one subscription."""

_SEGMENT: Final = re.compile(r"[^/\s\x00-\x1f\x7f?#%&\\]+")
_STEPS: Final = frozenset({".", ".."})
"""No names: whoever makes a URL of them leaves them out, and asks for another resource."""
_QUOTED_AT_MOST: Final = 120


def fold_case(text: str) -> str:
    """``text`` so that two names that Azure holds for the same become equal.

    Upper-cases one character at a time and only within its alphabet, as .NET's ordinal comparison does. Python's
    ``lower`` and ``casefold`` make the Kelvin sign a ``k`` and ``ß`` an ``ss``: two ids that Azure keeps apart would
    become one.
    """
    if text.isascii():
        return text.upper()
    return "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 and upper.isascii() == character.isascii() else character


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ArmId:
    """The id of a resource in a resource group: provider, then type and name pairs. Equal whatever the case."""

    subscription: str
    resource_group: str
    provider: str
    """The namespace, such as ``Microsoft.Web``."""
    path: tuple[tuple[str, str], ...]
    """Type and name pairs from the outermost resource in, at least one."""
    key: str = field(init=False)
    """The same text for every spelling of this id: for keys, digests and comparison, not for people."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", fold_case(str(self)))

    @classmethod
    @lru_cache(maxsize=_REMEMBERED)
    def parse(cls, text: str) -> Self:
        """Read ``text``.

        Raises:
            InvalidIdError: where it is not ``/subscriptions/<guid>/resourceGroups/<group>/providers/<namespace>``
                followed by type and name pairs.

        """
        if len(text) > MAX_ID_LENGTH:
            message = f"an ARM id has at most {MAX_ID_LENGTH} characters, this text has {len(text)}"
            raise InvalidIdError(message)
        parts = text.split("/")
        words = [fold_case(part) for part in parts[:6]]
        if (
            len(parts) < 9  # noqa: PLR2004  the shortest id: an empty part, three pairs and a namespace, one pair
            or len(parts) % 2 == 0
            or (words[0], words[1], words[3], words[5]) != ("", "SUBSCRIPTIONS", "RESOURCEGROUPS", "PROVIDERS")
            or not all(_SEGMENT.fullmatch(part) and part not in _STEPS for part in parts[1:])
        ):
            raise InvalidIdError(_not_an_id(text))
        if not SUBSCRIPTION_ID.fullmatch(parts[2]):
            message = (
                f"{_shown(parts[2])} is not a subscription id as Azure writes it: 8, 4, 4, 4 and 12 hex digits with - between"
            )
            raise InvalidIdError(message)
        pairs = tuple(zip(parts[7::2], parts[8::2], strict=True))
        return cls(parts[2], parts[4], parts[6], pairs)

    @property
    def type(self) -> str:
        """The resource type, such as ``Microsoft.Web/sites/slots``."""
        return "/".join((self.provider, *(kind for kind, _ in self.path)))

    @property
    def name(self) -> str:
        """The last segment."""
        return self.path[-1][1]

    @property
    def parent(self) -> Self:
        """The resource that this one is a child of.

        Raises:
            InvalidIdError: where this is a top-level resource.

        """
        if len(self.path) == 1:
            message = f"{self} is a top-level resource and has no parent"
            raise InvalidIdError(message)
        return type(self)(self.subscription, self.resource_group, self.provider, self.path[:-1])

    def child(self, kind: str, name: str) -> Self:
        """The id of the resource ``name`` of type ``kind`` below this one."""
        return type(self)(self.subscription, self.resource_group, self.provider, (*self.path, (kind, name)))

    def sibling(self, name: str) -> Self:
        """The id of the resource ``name`` of the same type beside this one."""
        (kind, _) = self.path[-1]
        return type(self)(self.subscription, self.resource_group, self.provider, (*self.path[:-1], (kind, name)))

    def is_type(self, resource_type: str) -> bool:
        """Whether this is a resource of ``resource_type``, whatever the case."""
        return fold_case(self.type) == fold_case(resource_type)

    def __str__(self) -> str:
        tail = "".join(f"/{kind}/{name}" for kind, name in self.path)
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}/providers/{self.provider}{tail}"

    def __repr__(self) -> str:
        return f"ArmId({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, ArmId) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.key < other.key if isinstance(other, ArmId) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)


def _not_an_id(text: str) -> str:
    return f"{_shown(text)} is not an ARM id: /subscriptions/<guid>/resourceGroups/<group>/providers/<namespace>/<type>/<name>"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _QUOTED_AT_MOST else text[:_QUOTED_AT_MOST] + "...")
