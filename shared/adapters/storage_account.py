"""Options that every client of Azure Storage gets: timeouts, bounded repeats, and what an identity needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_REPEATS: Final = 4

CALL_SECONDS: Final = 60.0
"""A call with all its repeats."""


def client_options() -> dict[str, Any]:
    """For clients of azure-storage-queue and azure-storage-blob."""
    return {
        "connection_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retry_total": _REPEATS,
        "retry_connect": _REPEATS,
        "retry_read": _REPEATS,
        "retry_status": _REPEATS,
        # Each request would be logged with its URL and its headers.
        "logging_enable": False,
    }


@contextmanager
def as_setting(problem: str) -> Iterator[None]:
    """A client that cannot be built is a wrong setting, whose text may hold a key and is not quoted."""
    try:
        yield
    except ValueError as error:
        raise ConfigError([problem]) from error
