"""Forwarded headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import DEFAULT_RANGES, AddressClass
from shared.core.forwarded_for import parse_forwarded, parse_forwarded_for
from shared.core.traffic import Basis, resolve


def test_right_most_is_the_platforms() -> None:
    """The right-most element is the platform's; everything to its left is a claim, and nothing is dropped."""
    hops = parse_forwarded_for("unknown, , 1.2.3.4:5 ,\r\n junk, 10.0.0.4:50321")
    assert hops.platform is not None
    assert hops.platform.name == "10.0.0.4"
    assert hops.platform.port == 50321
    assert [hop.text for hop in hops.claims] == ["unknown", "", "1.2.3.4:5", "", "junk"]


@pytest.mark.parametrize("text", ["", "-", "  "])
def test_no_value(text: str) -> None:
    """What logs write for a header that was not there is no hop."""
    assert parse_forwarded_for(text).hops == ()
    assert parse_forwarded(text).hops == ()


def test_an_empty_right_most_element_is_malformed() -> None:
    """A trailing comma never makes a caller's claim the platform's element."""
    hop = parse_forwarded_for("10.0.0.1,").platform
    assert hop is not None
    assert hop.classify(DEFAULT_RANGES) is AddressClass.MALFORMED


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('for="[2001:db8::17]:4711";proto=https, for=10.0.0.4', "10.0.0.4"),
        ('by=1.1.1.1;For="[fd00::17]:4711"', "fd00::17"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("for=_hidden", "for=_hidden"),
        ("for=unknown", "for=unknown"),
        ("for=10.0.0.1;for=10.0.0.2", "for=10.0.0.1;for=10.0.0.2"),
        ('for="10.0.0.1, for=203.0.113.5', 'for="10.0.0.1, for=203.0.113.5'),
        ('for=10.0.0.1;by=b", for=203.0.113.5', 'for=10.0.0.1;by=b", for=203.0.113.5'),
        ('for=10.0.0.1;by=", for="[2603::1]:80"', 'for=10.0.0.1;by=", for="[2603::1]:80"'),
        ("for=10.0.0.4:5;;proto=https;", "10.0.0.4"),
    ],
)
def test_rfc_7239(text: str, name: str) -> None:
    """Forwarded's right-most node, quoted or not; what is no address stays as it is."""
    hop = parse_forwarded(text).platform
    assert hop is not None
    assert hop.name == name


@given(st.text(max_size=200))
def test_no_input_raises(text: str) -> None:
    """Any text is read, every element of it kept."""
    assert len(parse_forwarded_for(text).hops) >= (text.count(",") + 1 if text.strip() not in {"", "-"} else 0)
    parse_forwarded(text)


@given(st.text(max_size=100), st.sampled_from(["8.8.8.8", "8.8.8.8:443", "[2603:1030::1]:80", "::ffff:8.8.8.8:123"]))
def test_a_forged_left_part_changes_nothing(claim: str, public: str) -> None:
    """Whatever a caller sends, a public right-most element stays public."""
    assert resolve(f"{claim},{public}", None).cls is AddressClass.PUBLIC
    assert resolve(f"{claim}, {public}", "10.0.0.1").cls is AddressClass.PUBLIC


@given(
    st.lists(st.sampled_from(["for=10.0.0.1", ";", ",", '"', "\\", "by=b", "=", " ", "x"]), max_size=12).map("".join)
    | st.text(max_size=100)
)
def test_a_forged_left_part_of_forwarded_is_never_private(claim: str) -> None:
    """In Forwarded a caller can spoil the platform's element, but not make it private."""
    for public in ("for=8.8.8.8", 'for="[2603:1030::1]:80"'):
        assert resolve(None, None, rfc_7239=f"{claim}, {public}").cls in {AddressClass.PUBLIC, AddressClass.MALFORMED}


def test_public_wins_where_header_and_client_differ() -> None:
    """Where both are there and differ in class, the public one counts and the disagreement is told."""
    for forwarded, client in (("10.0.0.1", "8.8.8.8"), ("8.8.8.8", "10.0.0.1")):
        source = resolve(forwarded, client)
        assert (source.name, source.cls, source.basis, source.disagrees) == ("8.8.8.8", AddressClass.PUBLIC, Basis.BOTH, True)
    agreed = resolve("10.0.0.1", "10.0.0.2:5")
    assert (agreed.name, agreed.disagrees) == ("10.0.0.1", False)


def test_a_masked_client_says_nothing() -> None:
    """0.0.0.0 beside a header is no second opinion; alone it is masked."""
    assert resolve("10.0.0.1", "0.0.0.0").basis is Basis.FORWARDED_FOR
    assert resolve(None, "0.0.0.0").cls is AddressClass.MASKED
    assert resolve(None, None).cls is AddressClass.ABSENT
    assert resolve("-", "10.0.0.1").basis is Basis.CLIENT_IP
