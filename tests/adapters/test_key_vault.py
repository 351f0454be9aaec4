"""Signing in Key Vault: the real SDK client, led to a vault on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from azure.core.pipeline.transport import AioHttpTransport
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from shared.adapters.credentials import LocalCredential
from shared.adapters.key_vault import sign_digest
from shared.core.errors import (
    AzureError,
    AzureForbiddenError,
    AzureNotFoundError,
    AzureRefusedError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    ConfigError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DIGEST = hashlib.sha256(b"what is signed").digest()


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Vault:
    """One P-256 key, in a vault that asks for a token first and may refuse whatever it is told to."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.status = 200
        self.resource = "https://vault.azure.net"
        self.tokens: list[str] = []
        self.hangs = False
        self.url = ""
        # The SDK remembers for the whole process what a vault asked for, so each has a name of its own.
        self.name = f"https://contoso-{secrets.token_hex(4)}.vault.azure.net"

    async def answer(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            challenge = f'Bearer authorization="https://login.microsoftonline.com/tenant", resource="{self.resource}"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        self.tokens.append(request.headers["Authorization"])
        if self.hangs:
            await asyncio.sleep(60)
        if request.method == "GET":
            # Who may sign need not be allowed to read the key.
            return web.json_response({"error": {"code": "Forbidden"}}, status=403)
        if self.status != 200:
            return web.json_response({"error": {"code": "SomeCode"}}, status=self.status)
        asked = await request.json()
        assert asked["alg"] == "ES256"
        digest = urlsafe_b64decode(asked["value"] + "=" * (-len(asked["value"]) % 4))
        r, s = decode_dss_signature(self.key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return web.json_response({"kid": f"{self.name}/keys/requests/0", "value": base64url(signature)})


class Led(AioHttpTransport):  # type: ignore[misc]  # the SDK loads it lazily
    """Sends to this machine what is meant for the vault."""

    def __init__(self, vault: Vault) -> None:
        super().__init__()
        self._vault = vault

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401  the SDK's signature
        meant = request.url
        request.url = meant.replace(self._vault.name, self._vault.url)
        try:
            return await super().send(request, **options)
        finally:
            request.url = meant  # The SDK looks at it again: it sends a token over nothing but https.


@asynccontextmanager
async def open_vault() -> AsyncIterator[Vault]:
    vault = Vault()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vault.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vault.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vault
    finally:
        await runner.cleanup()


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    async with open_vault() as one:
        yield one


async def sign(vault: Vault, key: str = "", *, seconds: float = 10) -> bytes:
    key = key or f"{vault.name}/keys/requests"
    return await sign_digest(key, LocalCredential(), DIGEST, seconds=seconds, transport=Led(vault), retry_total=0)


async def test_the_signature_is_the_vaults(vault: Vault) -> None:
    """64 bytes, r and s, that the public key verifies; the token went to the vault that asked for it."""
    signature = await sign(vault)
    assert len(signature) == 64
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    vault.key.public_key().verify(der, DIGEST, ec.ECDSA(Prehashed(SHA256())))
    assert set(vault.tokens) == {"Bearer local"}


async def test_no_token_for_a_vault_of_another_domain(vault: Vault) -> None:
    """A challenge that names a resource elsewhere gets no token: it could be somebody's who wants one."""
    vault.resource = "https://vault.example.org"
    with pytest.raises(ConfigError):
        await sign(vault)
    assert vault.tokens == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, AzureRefusedError),
        (401, AzureUnauthorizedError),
        (403, AzureForbiddenError),
        (404, AzureNotFoundError),
        (429, AzureUnavailableError),
        (503, AzureUnavailableError),
    ],
)
async def test_a_refusal_says_what_to_do(vault: Vault, status: int, error: type[AzureError]) -> None:
    """Each as one of our own errors."""
    vault.status = status
    with pytest.raises(error) as raised:
        await sign(vault)
    assert "Key Vault" in str(raised.value) or "vault" in str(raised.value)


async def test_a_vault_that_hangs_is_left(vault: Vault) -> None:
    """No wait is without end."""
    vault.hangs = True
    with pytest.raises(AzureUnavailableError, match="TimeoutError"):
        await sign(vault, seconds=0.5)


@pytest.mark.parametrize(
    "key",
    [
        "http://contoso.vault.azure.net/keys/requests",
        "https://contoso.vault.azure.net/secrets/requests",
        "https://contoso.vault.azure.net/keys/",
        "https://user:password@contoso.vault.azure.net/keys/requests",
        "https://contoso.vault.azure.net/keys/requests?sig=secret",
        "requests",
    ],
)
async def test_what_is_no_keys_url(vault: Vault, key: str) -> None:
    """Refused before anything is sent, without being repeated: it may hold a secret."""
    with pytest.raises(ConfigError) as raised:
        await sign(vault, key)
    assert vault.tokens == []
    assert key not in str(raised.value)
