"""Every failure Linkguard can raise.

A refusal is a value (see :mod:`shared.core.verdict`); an exception means "could not judge" or "could not write".
``retryable`` says whether doing the same again later can help.

    LinkguardError
    ├── ConfigError            settings or arguments; exit code 2
    ├── AllowlistError         the allowlist could not be read or is not valid; nothing is approved
    ├── InvalidIdError         a text that is not the ARM id it should be
    ├── InvalidTemplateError   a text that is not a template for an endpoint's name
    ├── MessageError           a message on the work queue that is none of ours
    ├── AzureError             Azure could not be read or written; exit code 3
    │   ├── AzureMalformedError    an answer that cannot be decoded
    │   ├── AzureUnauthorizedError 401
    │   ├── AzureForbiddenError    403
    │   │   └── AzurePolicyError   403 RequestDisallowedByPolicy
    │   ├── AzureNotFoundError     404
    │   ├── AzureConflictError     409 and 412                                  (retryable)
    │   │   └── NotPendingError    409 PrivateEndpointConnectionStatusNotPending (re-read, never repeat)
    │   ├── AzureRefusedError      any other 4xx
    │   ├── AzureThrottledError    429, with ``retry_after``                    (retryable)
    │   └── AzureUnavailableError  5xx, timeouts, closed sockets                (retryable)
    ├── StoreError             the ledger or the state store
    │   ├── StoreUnavailableError  it did not answer                            (retryable)
    │   ├── StoreConflictError     somebody else wrote first: observe and decide again (retryable)
    │   └── LedgerBrokenError      what it holds contradicts itself
    └── QueueError             the work queue did not take a message            (retryable)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.core.problem import Problem


class LinkguardError(Exception):
    """The base of every failure that Linkguard raises on purpose."""

    retryable: ClassVar[bool] = False


class ConfigError(LinkguardError):
    """Settings or arguments that cannot be used. ``problems`` names every one, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class AllowlistError(LinkguardError):
    """The allowlist is unreadable or invalid. ``problems`` has every place that is wrong; the message the first few."""

    _SAID: ClassVar[int] = 20

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        said = [str(problem) for problem in problems[: self._SAID]]
        if len(problems) > self._SAID:
            said.append(f"and {len(problems) - self._SAID} more")
        super().__init__(f"{source}: " + "; ".join(said))
        self.source = source
        self.problems = tuple(problems)


class InvalidIdError(LinkguardError, ValueError):
    """A text is not the ARM id it was expected to be."""


class InvalidTemplateError(LinkguardError, ValueError):
    """A text is not a template for a private endpoint's name. The message quotes control characters."""


class MessageError(LinkguardError, ValueError):
    """A message on the work queue is not one that Linkguard puts there."""


class AzureError(LinkguardError):
    """Azure could not be read or written.

    ``status`` is the HTTP status, None where there was no answer; ``code`` is ARM's own error code, "" where it gave none.
    The message never carries a URL's query, a header or a body.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class AzureMalformedError(AzureError):
    """Azure answered something that cannot be decoded; it is refused whole, since what is missing might be a rival."""


class AzureUnauthorizedError(AzureError):
    """401: the credential is not accepted."""


class AzureForbiddenError(AzureError):
    """403: the identity lacks a permission."""


class AzurePolicyError(AzureForbiddenError):
    """403 ``RequestDisallowedByPolicy``: an Azure Policy assignment refuses the write."""


class AzureNotFoundError(AzureError):
    """404: the resource does not exist, or the identity may not know that it does."""


class AzureConflictError(AzureError):
    """409 or 412: the resource is being changed."""

    retryable = True


class NotPendingError(AzureConflictError):
    """409 ``PrivateEndpointConnectionStatusNotPending``: somebody decided first; read again, never repeat the write."""

    retryable = False


class AzureRefusedError(AzureError):
    """Another 4xx: the request itself is refused."""


class AzureThrottledError(AzureError):
    """429. ``retry_after`` is in seconds, None where Azure gave none."""

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None, code: str = "") -> None:
        super().__init__(message, status=429, code=code)
        self.retry_after = retry_after


class AzureUnavailableError(AzureError):
    """5xx, a timeout or a closed connection. After a write it means: not known whether it was done."""

    retryable = True


class SinkError(LinkguardError):
    """A sink did not take an alert. The message never names more of the sink's address than its host.

    ``retry_after`` is in seconds, None where the sink asked for no wait.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkRefusedError(SinkError):
    """The sink refused this very alert: its content, not the moment."""

    retryable = False


class StoreError(LinkguardError):
    """The ledger or the state store."""


class StoreUnavailableError(StoreError):
    """The store did not answer."""

    retryable = True


class StoreConflictError(StoreError):
    """Somebody else wrote first. The caller observes and decides again."""

    retryable = True


class LedgerBrokenError(StoreError):
    """A chain's records contradict each other or its head."""


class QueueError(LinkguardError):
    """The work queue did not take a message, or it is not known whether it did."""

    retryable = True
