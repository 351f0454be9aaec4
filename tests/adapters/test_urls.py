"""Which URLs may be sent a token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shared.adapters.urls import has_origin, is_loopback

AZURE = "https://management.azure.com"


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://LOCALHOST", "http://127.0.0.1", "http://127.1.2.3:80/x", "http://[::1]:80"]
)
def test_loopback(url: str) -> None:
    """This machine, by name or address."""
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        AZURE,
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "http://[::1",
    ],
)
def test_not_loopback(url: str) -> None:
    """Whatever looks like it."""
    assert not is_loopback(url)


@pytest.mark.parametrize("url", [AZURE, f"{AZURE}/x?$skipToken=a", f"{AZURE}:443/x", "HTTPS://Management.Azure.Com/x"])
def test_the_same_origin(url: str) -> None:
    """Whatever the path; the default port may be written."""
    assert has_origin(url, AZURE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/x",
        "//management.azure.com/x",
        "http://management.azure.com/x",
        f"{AZURE}:444/x",
        f"{AZURE}:99999/x",
        f"{AZURE}:x/x",
        f"{AZURE}.evil.example/x",
        f"{AZURE}@evil.example/x",
        "https://user@management.azure.com/x",
        "https://evil.example/management.azure.com",
        "https://evil.example\\@management.azure.com/",
        "https://[::1/",
    ],
)
def test_another_origin(url: str) -> None:
    """Another scheme, host or port, a user, or no whole URL."""
    assert not has_origin(url, AZURE)


@given(st.text(alphabet="hHtTpPsS:/\\@?#.[]%14 \t\n aem"), st.sampled_from([AZURE, "http://127.0.0.1:80", "http://[::1]:80"]))
def test_what_passes_leads_there_in_the_clients_eyes_too(tail: str, endpoint: str) -> None:
    """The HTTP client reads URLs by a parser of its own; none may take another host from what passed here."""
    for url in (tail, endpoint + tail, f"https:{tail}management.azure.com"):
        if has_origin(url, endpoint):
            assert URL(url).origin() == URL(endpoint).origin()
