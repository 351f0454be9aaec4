"""Options that every client of Azure Storage gets: timeouts, bounded repeats, and what an identity needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from shared.core.errors import ConfigError, StoreConflictError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_REPEATS: Final = 4
_REFUSED: Final = frozenset({401, 403})

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


@contextmanager
def blob_errors(what: str, *, conflict: str) -> Iterator[None]:
    """Failures of a container's calls as ours. ``what``: whose storage account it is; ``conflict``: what a lost race means.

    Raises:
        StoreConflictError: where a blob is there already, or is another version.
        StoreUnavailableError: for whatever else went wrong.

    """
    from azure.core.exceptions import (  # noqa: PLC0415  loaded with the client
        AzureError,
        HttpResponseError,
        ResourceExistsError,
        ResourceModifiedError,
    )

    try:
        yield
    except (ResourceExistsError, ResourceModifiedError) as error:
        raise StoreConflictError(conflict) from error
    except HttpResponseError as error:
        why = "refused the identity" if error.status_code in _REFUSED else "answered"
        message = f"{what} storage account {why} ({error.status_code})"
        raise StoreUnavailableError(message) from error
    except (AzureError, TimeoutError) as error:
        message = f"{what} storage account did not answer ({type(error).__name__})"
        raise StoreUnavailableError(message) from error
