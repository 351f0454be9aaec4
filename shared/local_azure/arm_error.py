"""ARM's refusals, as an exception inside and as a body outside."""

from __future__ import annotations

import json
from http import HTTPStatus


class ArmError(Exception):
    """What ARM answers instead of doing what was asked."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        more: dict[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self._more = more or {}

    def body(self) -> dict[str, object]:
        """``{"error": {"code", "message"}}``, with what else this kind of refusal carries."""
        return {"error": {"code": self.code, "message": self.message, **self._more}}


def bad_request(code: str, message: str) -> ArmError:
    """400: the request itself is wrong."""
    return ArmError(HTTPStatus.BAD_REQUEST, code, message)


def resource_not_found(resource_type: str, name: str, group: str) -> ArmError:
    """404 for a resource; ARM names the type and the top-level name."""
    message = (
        f"The Resource '{resource_type}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return ArmError(HTTPStatus.NOT_FOUND, "ResourceNotFound", message)


def group_not_found(group: str) -> ArmError:
    """404 for a resource group."""
    return ArmError(HTTPStatus.NOT_FOUND, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def subscription_not_found(subscription: str) -> ArmError:
    """404 for a subscription."""
    return ArmError(HTTPStatus.NOT_FOUND, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def connection_not_found(name: str) -> ArmError:
    """404 for a private endpoint connection."""
    return ArmError(HTTPStatus.NOT_FOUND, "NotFound", f"Cannot find PrivateEndpointConnection with name {name}.")


def connection_not_pending(name: str, status: str) -> ArmError:
    """409: somebody, or something, decided before."""
    message = (
        f"Private endpoint connection '{name}' cannot be approved or rejected because its status is '{status}', not 'Pending'."
    )
    return ArmError(HTTPStatus.CONFLICT, "PrivateEndpointConnectionStatusNotPending", message)


def not_authorized(action: str, scope: str, caller: str) -> ArmError:
    """403: the caller's roles do not hold ``action``."""
    message = (
        f"The client '{caller}' with object id '{caller}' does not have authorization to perform action '{action}' over scope "
        f"'{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    )
    return ArmError(HTTPStatus.FORBIDDEN, "AuthorizationFailed", message)


def disallowed_by_policy(resource: str, policy: str = "deny-private-endpoint-approvals") -> ArmError:
    """403: an Azure Policy refuses the write."""
    assignment = json.dumps([{"policyAssignment": {"name": policy}}])
    message = f"Resource '{resource}' was disallowed by policy. Policy identifiers: '{assignment}'."
    info = [{"type": "PolicyViolation", "info": {"policyDefinitionName": policy, "policyDefinitionEffect": "deny"}}]
    return ArmError(HTTPStatus.FORBIDDEN, "RequestDisallowedByPolicy", message, more={"target": resource, "additionalInfo": info})


def unauthenticated(why: str) -> ArmError:
    """401: no token, or none that is known."""
    challenge = 'Bearer authorization_uri="https://login.microsoftonline.com/common", error="invalid_token"'
    return ArmError(
        HTTPStatus.UNAUTHORIZED, "AuthenticationFailed", f"Authentication failed. {why}", headers={"WWW-Authenticate": challenge}
    )


def throttled(kind: str, retry_after: int) -> ArmError:
    """429: too many requests of a subscription and caller; ``kind`` is ``read`` or ``write``."""
    message = f"Number of {kind} requests for subscription exceeded the limit. Please try again after '{retry_after}' seconds."
    return ArmError(
        HTTPStatus.TOO_MANY_REQUESTS, "SubscriptionRequestsThrottled", message, headers={"Retry-After": str(retry_after)}
    )
