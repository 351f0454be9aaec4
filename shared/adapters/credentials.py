"""Where tokens for Azure come from, and whose they are. azure-identity is imported when a credential is made."""

from __future__ import annotations

import asyncio
import binascii
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import msgspec

from shared.adapters.urls import is_loopback
from shared.core.errors import AzureUnauthorizedError, AzureUnavailableError, ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from azure.core.credentials import AccessToken, AccessTokenInfo
    from azure.core.credentials_async import AsyncTokenCredential

type Credential = AsyncTokenCredential
"""What gives out tokens, for those who hand it on and import no SDK."""

DEFAULT: Final = "default"
MANAGED_IDENTITY: Final = "managed-identity"
LOCAL: Final = "local"

LOCAL_IDENTITY: Final = "local"
"""What stands for the object id of a person at a desk without Azure."""

_LOCAL_TOKEN: Final = "local"  # noqa: S105  it opens nothing but servers on this machine
_NEVER: Final = 4_102_444_800  # 2100-01-01 in Unix seconds
_TOKEN_PARTS: Final = 3
_TOKEN_SECONDS: Final = 60


class LocalCredential:
    """A fixed token that is no secret, for servers on this machine."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401  the SDK's signature
        """The same token for everything."""
        from azure.core.credentials import AccessToken  # noqa: PLC0415  only an SDK's pipeline calls this

        del scopes, options
        return AccessToken(_LOCAL_TOKEN, _NEVER)

    async def get_token_info(self, *scopes: str, options: object = None) -> AccessTokenInfo:
        """The same token for everything."""
        from azure.core.credentials import AccessTokenInfo  # noqa: PLC0415  only an SDK's pipeline calls this

        del scopes, options
        return AccessTokenInfo(_LOCAL_TOKEN, _NEVER)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


def make_credential(kind: str, *, endpoint: str, authority: str | None = None, client_id: str | None = None) -> Credential:
    """The credential of a kind, to be closed by the caller.

    Args:
        kind: ``default``, ``managed-identity`` or ``local``.
        endpoint: the URL that the tokens are for.
        authority: the host that issues the cloud's tokens; None leaves it to azure-identity.
        client_id: the user-assigned managed identity; None is the system-assigned one.

    Raises:
        ConfigError: for another kind, and for ``local`` where ``endpoint`` is not this machine.

    """
    at = {} if authority is None else {"authority": authority}
    match kind:
        case "default":
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  it takes a second

            whose = {} if client_id is None else {"managed_identity_client_id": client_id}
            return DefaultAzureCredential(**at, **whose)
        case "managed-identity":
            from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415  it takes a second

            return ManagedIdentityCredential(client_id=client_id)
        case "local" if is_loopback(endpoint):
            return LocalCredential()
        case "local":
            problem = f"the credential `local` is for loopback addresses alone, and {endpoint!r} is none"
            raise ConfigError([problem])
        case _:
            problem = f"{kind!r} is none of {DEFAULT}, {MANAGED_IDENTITY}, {LOCAL}"
            raise ConfigError([problem])


async def identity_object_id(credential: Credential, scope: str) -> str:
    """The object id of whoever ``credential`` stands for, "" where its token does not tell.

    Read from the token's ``oid`` claim and nothing else of it: the token is ours, so its signature is not checked; what it
    says is recorded beside a person's decision, and grants nothing.

    Raises:
        AzureUnauthorizedError: where there is no token to be had.
        AzureUnavailableError: where whoever issues tokens does not answer.

    """
    if isinstance(credential, LocalCredential):
        return LOCAL_IDENTITY
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415  the credential has it imported

    try:
        async with asyncio.timeout(_TOKEN_SECONDS):
            token = await credential.get_token(scope)
    except ClientAuthenticationError as error:
        message = "no token could be had; run `az login`, or check the managed identity and LINKGUARD_CREDENTIAL"
        raise AzureUnauthorizedError(message) from error
    except Exception as error:  # whatever a credential raises, there is no token
        message = f"no token could be had: {type(error).__name__}; try again later"
        raise AzureUnavailableError(message) from error
    return _object_id(token.token)


class _Claims(msgspec.Struct):
    oid: str | None = None


def _object_id(token: str) -> str:
    parts = token.split(".")
    if len(parts) != _TOKEN_PARTS:
        return ""
    try:
        payload = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return str(UUID(msgspec.json.decode(payload, type=_Claims).oid or ""))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return ""
