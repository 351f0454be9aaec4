"""What is asked of ARM, and how ARM's refusals become the project's own errors.

A message names the operation, the resource, the status and ARM's error code, and what to do. ARM's own message text is left
out: it repeats what callers sent, some of it chosen by strangers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.core.errors import (
    AzureConflictError,
    AzureError,
    AzureForbiddenError,
    AzureMalformedError,
    AzureNotFoundError,
    AzurePolicyError,
    AzureRefusedError,
    AzureThrottledError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    NotPendingError,
)
from shared.core.model import CONNECTION_CHILD, SIGNALR_TYPE, SITE_TYPE, SLOT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.adapters.arm_http import Answer

LINK_CHILD: Final = "sharedPrivateLinkResources"
LINK_TYPE: Final = f"{SIGNALR_TYPE}/{LINK_CHILD}"
PLAN_TYPE: Final = "Microsoft.Web/serverfarms"
SITE_CONNECTION_TYPE: Final = f"{SITE_TYPE}/{CONNECTION_CHILD}"
SLOT_CONNECTION_TYPE: Final = f"{SLOT_TYPE}/{CONNECTION_CHILD}"

GET: Final = "GET"
PUT: Final = "PUT"
DELETE: Final = "DELETE"

_ACTIONS: Final = {
    (GET, SIGNALR_TYPE): "Microsoft.SignalRService/SignalR/read",
    (GET, LINK_TYPE): "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read",
    (GET, SITE_TYPE): "Microsoft.Web/sites/Read",
    (GET, SLOT_TYPE): "Microsoft.Web/sites/slots/Read",
    (GET, PLAN_TYPE): "Microsoft.Web/serverfarms/Read",
    (GET, SITE_CONNECTION_TYPE): "Microsoft.Web/sites/privateEndpointConnections/Read",
    (GET, SLOT_CONNECTION_TYPE): "Microsoft.Web/sites/slots/privateEndpointConnections/Read",
    (PUT, SITE_CONNECTION_TYPE): "Microsoft.Web/sites/privateEndpointConnections/Write",
    (PUT, SLOT_CONNECTION_TYPE): "Microsoft.Web/sites/slots/privateEndpointConnections/Write",
    (DELETE, SITE_CONNECTION_TYPE): "Microsoft.Web/sites/privateEndpointConnections/Delete",
    (DELETE, SLOT_CONNECTION_TYPE): "Microsoft.Web/sites/slots/privateEndpointConnections/Delete",
}
"""The permission that each operation needs, for whoever has to grant it."""

_NOT_PENDING: Final = "PrivateEndpointConnectionStatusNotPending"
_POLICY: Final = "RequestDisallowedByPolicy"
_SUBSCRIPTION_CODES: Final = frozenset({"SubscriptionNotFound", "InvalidSubscriptionId"})
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,80}")
_MOST_DETAILS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that is asked of ARM."""

    method: str
    resource_type: str
    """One of the types above, always in the same spelling: calls are counted by it."""
    subject: str
    """The resource's id, or the subscription's."""
    subscription: str

    @property
    def name(self) -> str:
        """``<METHOD> <resource type>``."""
        return f"{self.method} {self.resource_type}"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, and may therefore be repeated."""
        return self.method == GET

    def __str__(self) -> str:
        return f"{self.name} ({self.subject})"


def malformed(operation: Operation, what: str) -> AzureMalformedError:
    """An answer that cannot be decoded. ``what`` names a place and a kind, never what the answer held."""
    return AzureMalformedError(f"{operation}: {what}")


def is_missing(answer: Answer) -> bool:
    """Whether ``answer`` says that the resource does not exist.

    A subscription that is not found is no such answer: the identity is not let in, and the resource may well be there.
    """
    return answer.status == HTTPStatus.NOT_FOUND and not _SUBSCRIPTION_CODES.intersection(arm_codes(answer.body))


def refusal(operation: Operation, answer: Answer) -> AzureError:
    """The error for an answer that is not the success that ``operation`` hoped for."""
    codes = arm_codes(answer.body)
    code = codes[0] if codes else ""
    said = f"{operation}: {answer.status}" + (f" {code}" if code else "")
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        if _NOT_PENDING in codes:
            return NotPendingError(f"{said}: somebody decided first; read it again", status=answer.status, code=_NOT_PENDING)
        if _POLICY in codes:
            message = f"{said}: an Azure Policy assignment refuses this; ask its owner for an exemption"
            return AzurePolicyError(message, status=answer.status, code=_POLICY)
        return _client_error(operation, answer, said, code)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or not operation.is_read:
        # Also a success that the contract does not name, or a redirect, after a write: only a later read tells what it did.
        return AzureUnavailableError(f"{said}: {_try_again(operation)}", status=answer.status, code=code)
    return AzureMalformedError(f"{said}: not an answer to this request", status=answer.status, code=code)


def _client_error(operation: Operation, answer: Answer, said: str, code: str) -> AzureError:  # noqa: PLR0911  one a status
    status = answer.status
    match status:
        case HTTPStatus.UNAUTHORIZED:
            message = f"{said}: the credential is not accepted here; run `az login`, or check the identity and its tenant"
            return AzureUnauthorizedError(message, status=status, code=code)
        case HTTPStatus.FORBIDDEN:
            return AzureForbiddenError(f"{said}: {_grant(operation)}", status=status, code=code)
        case HTTPStatus.NOT_FOUND:
            return not_found(operation, code)
        case HTTPStatus.REQUEST_TIMEOUT:
            return AzureUnavailableError(f"{said}: {_try_again(operation)}", status=status, code=code)
        case HTTPStatus.CONFLICT | HTTPStatus.PRECONDITION_FAILED:
            return AzureConflictError(f"{said}: it is being changed; read it again", status=status, code=code)
        case HTTPStatus.TOO_MANY_REQUESTS:
            wait = "" if answer.retry_after is None else f"; asked to wait {answer.retry_after:g} s"
            message = f"{said}: too many requests{wait}; try again later"
            return AzureThrottledError(message, retry_after=answer.retry_after, code=code)
        case _:
            return AzureRefusedError(f"{said}: the request itself is refused", status=status, code=code)


def not_found(operation: Operation, code: str = "") -> AzureNotFoundError:
    """The error for a 404."""
    said = f"{operation}: 404" + (f" {code}" if code else "")
    message = f"{said}: it does not exist, or the identity may not know that it does"
    return AzureNotFoundError(message, status=HTTPStatus.NOT_FOUND, code=code)


def no_answer(operation: Operation, why: str) -> AzureUnavailableError:
    """The error where nothing, or not all, came back."""
    return AzureUnavailableError(f"{operation}: {why}: {_try_again(operation)}")


def no_token(operation: Operation) -> AzureUnauthorizedError:
    """The error where the credential gave no token; nothing was sent."""
    message = f"{operation}: no token could be had; run `az login`, or check the managed identity and LINKGUARD_CREDENTIAL"
    return AzureUnauthorizedError(message)


def arm_codes(body: bytes) -> tuple[str, ...]:
    """ARM's error codes in an error's body, the outermost first; junk gives none.

    ARM's own shape is ``{"error": {"code", "details": [{"code"}]}}``; Microsoft.Web also answers ``{"Code", "Details"}``
    with nothing around it.
    """
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(code for code in _codes(answer) if _CODE.fullmatch(code)))


def _codes(answer: object) -> Iterator[str]:
    error = _member(answer, "error")
    for place in (error, answer):
        yield from _own_code(place)
    for place in (error, answer):
        details = _member(place, "details")
        for detail in details[:_MOST_DETAILS] if isinstance(details, list) else ():
            yield from _own_code(detail)


def _own_code(place: object) -> Iterator[str]:
    code = _member(place, "code")
    if isinstance(code, str):
        yield code


def _member(place: object, name: str) -> object:
    if not isinstance(place, dict):
        return None
    return place.get(name, place.get(name.capitalize()))


def _grant(operation: Operation) -> str:
    action = _ACTIONS.get((operation.method, operation.resource_type))
    return f"the identity may not do this; it needs {action} there" if action else "the identity may not do this"


def _try_again(operation: Operation) -> str:
    return "try again later" if operation.is_read else "not known whether it was done; read it again before anything else"
