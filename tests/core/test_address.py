"""Address classes."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import (
    DEFAULT_RANGES,
    AddressClass,
    PrivateRanges,
    classify,
    classify_block,
    explain,
    parse_address,
)
from shared.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", "public"),
        ("192.168.0.1", "private"),
        ("fde4:8dba:1:2::a02:126", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:8.8.8.8", "public"),
        ("8.8.8.8", "public"),
        ("2603:1030::1", "public"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("169.254.1.1", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("100.64.0.1", "shared"),
        ("100.128.0.1", "public"),
        ("203.0.113.9", "reserved"),
        ("2001:db8::1", "reserved"),
        ("224.0.1.1", "reserved"),
        ("0.0.0.0", "masked"),
        ("::", "masked"),
    ],
)
def test_class(text: str, cls: str) -> None:
    """Every special range has its class, IPv4 in IPv6 the class of the IPv4 address."""
    assert classify(ipaddress.ip_address(text)) == cls


@given(st.ip_addresses())
def test_agrees_with_ipaddress(address: IPv4Address | IPv6Address) -> None:
    """What is public is globally reachable, and what is private is not."""
    cls = classify(address)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    judged = mapped or address
    assert (cls is AddressClass.PUBLIC) == (judged.is_global and not judged.is_multicast)
    if cls is AddressClass.PRIVATE:
        assert judged.is_private
    assert (cls is AddressClass.LOOPBACK) == judged.is_loopback


@given(st.ip_addresses(v=4), st.lists(st.integers(1, 32), max_size=3), st.integers(0, 2**32 - 1))
def test_block_agrees_with_its_addresses(address: IPv4Address, lengths: list[int], seed: int) -> None:
    """The class of a block is the class of each address in it; a block of several classes has none."""
    networks = tuple(ipaddress.IPv4Network((seed, length), strict=False) for length in lengths)
    ranges = PrivateRanges(networks)
    number = int(address)
    cls = classify_block(number >> 24, number >> 16 & 0xFF, ranges)
    if cls is not None:
        assert classify(address, ranges) is cls


def test_every_edge_of_ipaddress_is_known() -> None:
    """A block that is said to be of one class is: every /24 of it, and the addresses at their ends."""
    for high in range(65536):
        cls = classify_block(high >> 8, high & 0xFF, DEFAULT_RANGES)
        if cls is None:
            continue
        for low in (0, 1, 0x7FFF, 0x8000, 0xFFFF, (high * 2654435761) & 0xFFFF):
            assert classify(IPv4Address(high << 16 | low)) is cls


def test_an_estate_may_narrow_private() -> None:
    """Where ranges are named, private addresses outside them are neither private nor public."""
    ranges = PrivateRanges.parse(["10.20.0.0/16", "fd00::/8"])
    assert classify(IPv4Address("10.20.1.1"), ranges) is AddressClass.PRIVATE
    assert classify(IPv4Address("10.21.1.1"), ranges) is AddressClass.OUTSIDE
    assert classify(IPv4Address("8.8.8.8"), ranges) is AddressClass.PUBLIC
    with pytest.raises(ConfigError) as caught:
        PrivateRanges.parse(["10.0.0.1/8", "x"])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("10.0.0.4", "10.0.0.4", None),
        ("10.0.0.4:50321", "10.0.0.4", 50321),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("::FFFF:10.0.0.4:50321", "::ffff:10.0.0.4", 50321),
        ("::ffff:10.0.0.4", "::ffff:10.0.0.4", None),
        ("1:2:3:4:5:6:7:8:443", "1:2:3:4:5:6:7:8", 443),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_forms(text: str, address: str, port: int | None) -> None:
    """Every form that logs are known to have is read."""
    assert parse_address(text) == (ipaddress.ip_address(address), port)


@pytest.mark.parametrize(
    "text", ["", "-", "unknown", "10.0.0", "010.0.0.1", "10.0.0.1:", "10.0.0.1:x", "[10.0.0.1]:80", "1.2.3.4.5"]
)
def test_junk(text: str) -> None:
    """What is no address is none."""
    assert parse_address(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """Any text is an address or is not."""
    parse_address(text)


def test_embedded_addresses_are_explained() -> None:
    """The platform's unique local form and mapped addresses tell the IPv4 address in them."""
    assert "10.2.1.38" in explain(IPv6Address("fde4:8dba:1000:1::a02:126"))
    assert "10.0.0.1" in explain(IPv6Address("::ffff:10.0.0.1"))
    assert explain(IPv4Address("10.0.0.1")) == ""
