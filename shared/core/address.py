"""What an IP address tells about where a request came from: its class.

The standard library's ``ipaddress`` knows the IANA special-purpose registries; this module only names what it says.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final, Self

from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network


class AddressClass(StrEnum):
    """Where an address belongs. PUBLIC is what must not be seen; everything unclear is neither public nor private."""

    PRIVATE = "private"
    """RFC 1918 and unique local addresses, or the estate's own ranges where it names some."""
    PUBLIC = "public"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link_local"
    SHARED = "shared"
    """Carrier-grade NAT, 100.64.0.0/10 (RFC 6598)."""
    OUTSIDE = "outside"
    """Private by its number, but in none of the ranges that the estate named."""
    RESERVED = "reserved"
    """Documentation, benchmarking, multicast, reserved."""
    MASKED = "masked"
    """0.0.0.0 or ::, which Application Insights writes in place of an address."""
    MALFORMED = "malformed"
    """A text that is no address."""
    ABSENT = "absent"
    """No text at all."""


_RFC_1918: Final = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
_UNIQUE_LOCAL: Final = IPv6Network("fc00::/7")
_SHARED: Final = IPv4Network("100.64.0.0/10")
_LONGEST_RANGE: Final = 64


@dataclass(frozen=True, slots=True)
class PrivateRanges:
    """What counts as private; empty: RFC 1918 and unique local addresses."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read ranges such as ``10.20.0.0/16``.

        Raises:
            ConfigError: with every text that is none.

        """
        networks: list[Network] = []
        problems: list[str] = []
        for text in texts:
            try:
                networks.append(ipaddress.ip_network(text.strip()))
            except ValueError:
                problems.append(f"{text[:_LONGEST_RANGE]!r} is not a range of addresses such as 10.20.0.0/16")
        if problems:
            raise ConfigError(problems)
        return cls(tuple(networks))

    def holds(self, address: Address) -> bool:
        """Whether the address is in one of the ranges, or private by its number where none is named."""
        if not self.networks:
            return is_private_by_number(address)
        return any(address in network for network in self.networks if network.version == address.version)


DEFAULT_RANGES: Final = PrivateRanges()


def is_private_by_number(address: Address) -> bool:
    """RFC 1918 or unique local (RFC 4193). ``ipaddress.is_private`` means more: all that is not globally reachable."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in _RFC_1918)
    return address in _UNIQUE_LOCAL


def canonical(address: Address) -> Address:
    """The IPv4 address where it is mapped into IPv6 (RFC 4291, 2.5.5.2), and never a zone: it names an interface, not a host."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return IPv6Address(int(address))
    return address


def classify(address: Address, ranges: PrivateRanges = DEFAULT_RANGES) -> AddressClass:  # noqa: PLR0911  one a class
    """The class of an address."""
    address = canonical(address)
    if address.is_unspecified:
        return AddressClass.MASKED
    if address.is_loopback:
        return AddressClass.LOOPBACK
    if ranges.holds(address):
        return AddressClass.PRIVATE
    if is_private_by_number(address):
        return AddressClass.OUTSIDE
    if address.is_link_local:
        return AddressClass.LINK_LOCAL
    if isinstance(address, IPv4Address) and address in _SHARED:
        return AddressClass.SHARED
    if address.is_global and not address.is_multicast:
        return AddressClass.PUBLIC
    return AddressClass.RESERVED


@lru_cache(maxsize=65536)
def classify_block(first: int, second: int, ranges: PrivateRanges) -> AddressClass | None:
    """The class of every IPv4 address that begins with these two octets; None where they are not all of one class.

    A class changes at the edge of a special-purpose range or of the estate's own, so the edges inside the block are all that
    has to be looked at.
    """
    start = first << 24 | second << 16
    end = start + 0xFFFF
    edges = {start, end}
    for low, high in _edges(ranges):
        edges.update(point for point in (low - 1, low, high, high + 1) if start <= point <= end)
    classes = {classify(IPv4Address(point), ranges) for point in edges}
    return classes.pop() if len(classes) == 1 else None


_SPECIAL: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/32",
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.0.0/29",
        "192.0.0.8/30",
        "192.0.0.170/31",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
    )
)
"""The IANA IPv4 special-purpose registry and multicast: where a class may change."""


def _edges(ranges: PrivateRanges) -> Iterable[tuple[int, int]]:
    for network in (*_SPECIAL, *(one for one in ranges.networks if isinstance(one, IPv4Network))):
        yield int(network.network_address), int(network.broadcast_address)


_EMBEDDED: Final = IPv6Network("fde4:8dba::/32")


def explain(address: Address) -> str:
    """What else the address says, for a person; "" where nothing does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"IPv4 address {address.ipv4_mapped} mapped into IPv6"
        if address in _EMBEDDED:
            # The platform's own form for traffic that came over a private endpoint or a virtual network.
            return f"unique local address whose last 32 bits read {IPv4Address(int(address) & 0xFFFFFFFF)}"
    return ""


_PORT: Final = re.compile(r"[0-9]{1,5}")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]\s]{1,64})?)\](?::([0-9]{1,5}))?")
_LONGEST: Final = 128
_KEPT: Final = 4096


def parse_address(text: str) -> tuple[Address, int | None] | None:
    """The address and the port that ``text`` names, in every form that forwarded headers and logs are known to have.

    Bare IPv4 and IPv6, ``ip:port``, ``[ipv6]`` and ``[ipv6]:port``, zone ids, and IPv4 mapped into IPv6 with a port and without
    brackets (``::FFFF:10.0.0.4:50321``). None for anything else, whatever it is.
    """
    if len(text) > _LONGEST or not text.isascii():
        return None
    if bracketed := _BRACKETED.fullmatch(text):
        address = _address(bracketed[1])
        return (address, int(bracketed[2]) if bracketed[2] else None) if isinstance(address, IPv6Address) else None
    # With one colon it is no address: IPv4 has none, IPv6 has two at least.
    if text.count(":") != 1 and (address := _address(text)) is not None:
        return address, None
    head, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port):
        return None
    address = _address(head)
    # Without brackets the end of an IPv6 address and a port look alike, except where the address ends in dots or is complete.
    if isinstance(address, IPv6Address) and "." not in head and head.count(":") < 7:  # noqa: PLR2004  eight groups
        return None
    return None if address is None else (address, int(port))


@lru_cache(maxsize=_KEPT)
def _address(text: str) -> Address | None:
    """Logs name the same few addresses again and again."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
