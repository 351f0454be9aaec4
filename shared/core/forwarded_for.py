"""The forwarded header's text -> hops. Nothing is dropped, and what the platform added is told apart from what callers claim.

``X-Forwarded-For`` is a comma-separated list to which every proxy adds what it saw, at the right. On App Service the right-most
element is the platform front end's; everything to its left came with the request. ``Forwarded`` is RFC 7239's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.address import Address, AddressClass, PrivateRanges, canonical, classify, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One element."""

    text: str
    """As it stood there, white space around it removed."""
    address: Address | None
    """None where it is malformed: ``unknown``, an obfuscated name, empty, junk."""
    port: int | None = None

    def classify(self, ranges: PrivateRanges) -> AddressClass:
        """The class of its address."""
        return AddressClass.MALFORMED if self.address is None else classify(self.address, ranges)

    @property
    def name(self) -> str:
        """The address as it is counted under; the text itself where it is malformed."""
        return self.text if self.address is None else str(canonical(self.address))


@dataclass(frozen=True, slots=True)
class Hops:
    """A header's elements, left to right."""

    hops: tuple[Hop, ...]

    @property
    def platform(self) -> Hop | None:
        """The right-most element, which the platform added; None where the header has no value."""
        return self.hops[-1] if self.hops else None

    @property
    def claims(self) -> tuple[Hop, ...]:
        """What came with the request. Anybody can write anything there."""
        return self.hops[:-1]


NO_VALUE: Final = frozenset({"", "-"})
"""What logs write where a header was not there."""


def parse_forwarded_for(text: str) -> Hops:
    """Read ``X-Forwarded-For``. Several header lines joined by commas or line ends are one list (RFC 9110, 5.3)."""
    if text.strip() in NO_VALUE:
        return Hops(())
    return Hops(tuple(_hop(part) for part in re.split(r",|\r?\n|\r", text)))


def _hop(part: str) -> Hop:
    text = part.strip(" \t")
    bare = text[1:-1].strip(" \t") if len(text) > 1 and text[0] == text[-1] == '"' else text
    parsed = parse_address(bare)
    return Hop(text=text, address=parsed[0], port=parsed[1]) if parsed else Hop(text=text, address=None)


def parse_forwarded(text: str) -> Hops:
    """Read ``Forwarded`` (RFC 7239). An element without exactly one ``for`` is malformed.

    A quotation mark that a caller opened and never closed swallows what follows, the platform's element with it: that is then
    malformed, which is never private.
    """
    if text.strip() in NO_VALUE:
        return Hops(())
    return Hops(tuple(_forwarded_hop(element) for element in _split(text, ",")))


def _split(text: str, separator: str) -> Iterator[str]:
    """Split outside quoted strings (RFC 9110, 5.6.4)."""
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield text[start:position]
            start = position + 1
    yield text[start:]


_PAIR: Final = re.compile(r'\s*(?:[^\s",;=]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;=]*))?\s*', re.DOTALL)
"""A pair or nothing; a quotation mark that opens anywhere else, or never closes, may hide where the platform's element begins."""
_FOR: Final = re.compile(r'\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;=]*))\s*', re.IGNORECASE | re.DOTALL)


def _forwarded_hop(element: str) -> Hop:
    text = element.strip()
    pairs = list(_split(element, ";"))
    named = [match for pair in pairs if (match := _FOR.fullmatch(pair))]
    if len(named) != 1 or not all(map(_PAIR.fullmatch, pairs)):
        return Hop(text=text, address=None)
    match = named[0]
    node = match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])
    parsed = parse_address(node)
    return Hop(text=text, address=parsed[0], port=parsed[1]) if parsed else Hop(text=text, address=None)
