"""Which refusal of ARM is which error, and what the error says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.arm_errors import DELETE, GET, PUT, SITE_CONNECTION_TYPE, Operation, arm_codes, is_missing, refusal
from shared.adapters.arm_http import Answer
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
from tests.adapters.scripted_arm import CONNECTION, SUBSCRIPTION

NOW = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)


def operation(method: str) -> Operation:
    return Operation(method=method, resource_type=SITE_CONNECTION_TYPE, subject=str(CONNECTION), subscription=SUBSCRIPTION)


def answer(status: int, body: object = None, retry_after: float | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, body=content, retry_after=retry_after, started=NOW, finished=NOW)


def arm(code: str) -> object:
    return {"error": {"code": code, "message": "SECRET"}}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidResource", AzureRefusedError),
        (401, "InvalidAuthenticationToken", AzureUnauthorizedError),
        (403, "AuthorizationFailed", AzureForbiddenError),
        (403, "RequestDisallowedByPolicy", AzurePolicyError),
        (404, "ResourceNotFound", AzureNotFoundError),
        (405, "MethodNotAllowed", AzureRefusedError),
        (408, "Timeout", AzureUnavailableError),
        (409, "Conflict", AzureConflictError),
        (409, "PrivateEndpointConnectionStatusNotPending", NotPendingError),
        (412, "PreconditionFailed", AzureConflictError),
        (429, "TooManyRequests", AzureThrottledError),
        (500, "InternalServerError", AzureUnavailableError),
        (503, "ServerBusy", AzureUnavailableError),
    ],
)
@pytest.mark.parametrize("method", [GET, PUT, DELETE])
def test_each_status_and_code_is_one_error(method: str, status: int, code: str, kind: type[AzureError]) -> None:
    """By status, and by code where the code says more; the error names operation, resource, status and code."""
    error = refusal(operation(method), answer(status, arm(code)))
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    for part in (method, SITE_CONNECTION_TYPE, str(CONNECTION), str(status), code):
        assert part in str(error)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 307, 308])
def test_an_answer_off_the_contract_is_malformed_for_a_read_and_unknown_for_a_write(status: int) -> None:
    """After a write nobody knows what was done until it is read again."""
    assert type(refusal(operation(GET), answer(status))) is AzureMalformedError
    assert type(refusal(operation(PUT), answer(status))) is AzureUnavailableError


def test_what_a_throttled_caller_has_to_wait() -> None:
    """As Azure said, None where it did not."""
    told, untold = (refusal(operation(GET), answer(429, arm("X"), seconds)) for seconds in (17.0, None))
    assert isinstance(told, AzureThrottledError)
    assert isinstance(untold, AzureThrottledError)
    assert (told.retry_after, untold.retry_after) == (17.0, None)
    assert "17 s" in str(told)


@pytest.mark.parametrize(
    ("method", "permission"),
    [(GET, "/Read"), (PUT, "/Write"), (DELETE, "/Delete")],
)
def test_a_missing_permission_is_named(method: str, permission: str) -> None:
    """A 403 tells what to grant."""
    error = refusal(operation(method), answer(403, arm("AuthorizationFailed")))
    assert f"Microsoft.Web/sites/privateEndpointConnections{permission}" in str(error)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"error": {"code": "A", "details": [{"code": "B"}, {"code": "A"}]}}, ("A", "B")),
        ({"Code": "A", "Message": "m", "Details": [{"Message": "m"}, {"Code": "B"}], "Innererror": None}, ("A", "B")),
        ({"code": "A"}, ("A",)),
        ({"error": {"code": "no spaces\nor lines"}}, ()),
        ({"error": {"code": "x" * 81}}, ()),
        ({"error": {"code": 7}}, ()),
        ({"error": "A"}, ()),
        ({"error": {"details": {"code": "A"}}}, ()),
        ([], ()),
        (b"<html>", ()),
        (b"\xff", ()),
        (b"[" * 100_000, ()),
        (b"", ()),
    ],
)
def test_where_a_code_is_found(body: object, codes: tuple[str, ...]) -> None:
    """In ARM's shape and in Microsoft.Web's; whatever does not look like a code is none."""
    assert arm_codes(answer(400, body).body) == codes


def test_a_code_in_the_details_counts() -> None:
    """Providers wrap their own error in a general one."""
    body = {"error": {"code": "Conflict", "details": [{"code": "PrivateEndpointConnectionStatusNotPending"}]}}
    assert isinstance(refusal(operation(PUT), answer(409, body)), NotPendingError)


@pytest.mark.parametrize(
    ("status", "body", "missing"),
    [
        (404, arm("ResourceNotFound"), True),
        (404, arm("ResourceGroupNotFound"), True),
        (404, b"", True),
        (404, arm("SubscriptionNotFound"), False),
        (403, arm("ResourceNotFound"), False),
        (200, {}, False),
    ],
)
def test_a_subscription_that_is_not_found_says_nothing_of_a_resource(status: int, body: object, missing: bool) -> None:  # noqa: FBT001
    """It means that the identity is not let in; the resource may be there."""
    assert is_missing(answer(status, body)) is missing


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "Code", "details", "Details"]), inner),
)


@given(status=st.integers(100, 999), body=json_values, method=st.sampled_from([GET, PUT, DELETE]))
def test_every_answer_is_an_error_of_ours(status: int, body: object, method: str) -> None:
    """Whatever the status and the body."""
    error = refusal(operation(method), answer(status, body))
    assert isinstance(error, AzureError)
    assert error.code.replace(".", "").isalnum() or error.code == ""
    assert str(error).isprintable()
