"""The real SDKs' clients, talking to a local Azure."""

from __future__ import annotations

import warnings
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from azure.core.credentials import AccessToken

from shared.local_azure import LOCAL_TOKEN, SUBSCRIPTION

with warnings.catch_warnings():
    # A docstring of azure-mgmt-signalr has an invalid escape, which is told once, when it is compiled.
    warnings.simplefilter("ignore", SyntaxWarning)
    from azure.mgmt.signalr.aio import SignalRManagementClient
    from azure.mgmt.web.aio import WebSiteManagementClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.local_azure import LocalAzure

GROUP = "contoso"
SERVICE = "contoso-signalr"
SITE = "contoso-func"
PLAIN: dict[str, Any] = {"enforce_https": False}
"""What each call needs so that azure-core sends a token over plain http."""


class FixedCredential:
    """A token that is there already."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        del scopes, options
        return AccessToken(self._token, 2**32)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Typed loosely: the SDKs declare nearly everything that Azure always gives as optional."""

    signalr: Any
    web: Any


@asynccontextmanager
async def clients(azure: LocalAzure, *, subscription: str = SUBSCRIPTION, token: str = LOCAL_TOKEN) -> AsyncIterator[Clients]:
    """Clients that never repeat a request by themselves and poll without waiting."""
    options: dict[str, Any] = {
        "base_url": azure.url,
        "credential_scopes": [f"{azure.url}/.default"],
        "polling_interval": 0,
        "retry_total": 0,
    }
    async with AsyncExitStack() as stack:
        credential: Any = FixedCredential(token)
        yield Clients(
            await stack.enter_async_context(SignalRManagementClient(credential, subscription, **options)),
            await stack.enter_async_context(WebSiteManagementClient(credential, subscription, **options)),
        )


def link_body(target: str, message: str | None = "please approve", group_id: str = "sites") -> dict[str, object]:
    """The body of the how-to's PUT."""
    return {"properties": {"privateLinkResourceId": target, "groupId": group_id, "requestMessage": message}}


def decision_body(status: str, description: str | None = None) -> dict[str, object]:
    """The body of an approval or a rejection."""
    return {"properties": {"privateLinkServiceConnectionState": {"status": status, "description": description}}}
