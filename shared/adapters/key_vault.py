"""Signing with a key that never leaves Azure Key Vault: for whoever asks for a link. Linkguard itself only verifies."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from shared.core.errors import (
    AzureForbiddenError,
    AzureNotFoundError,
    AzureRefusedError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    ConfigError,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_KEY_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+/keys/[A-Za-z0-9-]{1,127}(/[0-9A-Fa-f]{32})?/?")
_ROLE: Final = "the identity needs the role Key Vault Crypto User on it"
_SERVER_ERROR: Final = 500
_THROTTLED: Final = 429


def check_key(key: str) -> None:
    """Whether this can be a key's URL. It is not repeated where it is none: it may hold a secret.

    Raises:
        ConfigError: where it is none.

    """
    if not _KEY_URL.fullmatch(key):
        raise ConfigError(["a key in Key Vault is https://<vault>.vault.azure.net/keys/<name>, with or without a version"])


async def sign_digest(
    key: str,
    credential: AsyncTokenCredential,
    digest: bytes,
    *,
    seconds: float,
    **options: Any,  # noqa: ANN401  the SDK's
) -> bytes:
    """The 64 bytes ``r || s`` of an ES256 signature.

    The SDK asks the vault for which resource it wants a token, and sends none where that is not the vault's own domain.

    Args:
        key: its URL, ``https://<vault>.vault.azure.net/keys/<name>``, with or without a version.
        credential: the caller's to close.
        digest: SHA-256, 32 bytes.
        seconds: how long the whole of it may take.
        options: further ones of ``CryptographyClient``, such as ``transport``.

    Raises:
        ConfigError: where ``key`` is no key's URL, or not one that signs with ES256.
        AzureError: where the vault refused, or did not answer.

    """
    from azure.core.exceptions import AzureError as SdkError  # noqa: PLC0415  heavy, and for this command alone
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError  # noqa: PLC0415  the same
    from azure.keyvault.keys.crypto import SignatureAlgorithm  # noqa: PLC0415  the same
    from azure.keyvault.keys.crypto.aio import CryptographyClient  # noqa: PLC0415  the same

    check_key(key)
    try:
        async with asyncio.timeout(seconds), CryptographyClient(key, credential, **options) as client:
            result = await client.sign(SignatureAlgorithm.es256, digest)
    except ClientAuthenticationError as error:
        message = "Key Vault does not accept the identity: run `az login`"
        raise AzureUnauthorizedError(message, status=401) from error
    except HttpResponseError as error:
        raise _refusal(error.status_code) from error
    except (SdkError, TimeoutError, OSError) as error:
        message = f"Key Vault did not answer ({type(error).__name__}); try again later"
        raise AzureUnavailableError(message) from error
    except ValueError as error:
        # The SDK's: no such URL, another domain's vault, a key of another type or one that has expired.
        message = "this key cannot be used: give the URL of a P-256 key (EC) that is in force, in a vault of Azure's own domain"
        raise ConfigError([message]) from error
    return result.signature


def _refusal(status: int | None) -> AzureForbiddenError | AzureNotFoundError | AzureRefusedError | AzureUnavailableError:
    match status:
        case 403:
            return AzureForbiddenError(f"Key Vault refuses to sign with this key: {_ROLE}", status=status)
        case 404:
            return AzureNotFoundError("there is no such key in the vault", status=status)
        case int() if status == _THROTTLED or status >= _SERVER_ERROR:
            return AzureUnavailableError(f"Key Vault answered {status}; try again later", status=status)
        case _:
            return AzureRefusedError(f"Key Vault answered {status}: is it a P-256 key (EC) that may sign?", status=status)
