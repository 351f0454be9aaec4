"""Which URLs may be sent a token."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"https": 443, "http": 80}


def is_loopback(url: str) -> bool:
    """Whether ``url``'s host is ``localhost`` or an address of the loopback range, written so; nothing is looked up."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def has_origin(url: str, endpoint: str) -> bool:
    """Whether ``url`` is a whole one with the scheme, host and port of ``endpoint``, and names no user."""
    try:
        left, right = urlsplit(url), urlsplit(endpoint)
        return (
            "@" not in left.netloc
            and bool(left.hostname)
            and (left.scheme, left.hostname) == (right.scheme, right.hostname)
            and (left.port or _PORTS.get(left.scheme)) == (right.port or _PORTS.get(right.scheme))
        )
    except ValueError:
        return False
