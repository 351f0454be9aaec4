"""Where tokens come from, and whose they are."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.credentials import LocalCredential, identity_object_id, make_credential
from shared.core.errors import AzureUnauthorizedError, AzureUnavailableError, ConfigError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

AZURE = "https://management.azure.com"
LOOPBACK = "http://127.0.0.1:8080"
SOMEBODY = "11111111-2222-3333-4444-555555555555"


class Token(LocalCredential):
    """A credential with a token of the test's, or a failure."""

    def __init__(self, token: str | Exception) -> None:
        self.token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401  the SDK's signature
        del scopes, options
        if isinstance(self.token, Exception):
            raise self.token
        return AccessToken(self.token, 0)


class Remote:
    """The same for a credential that is not the local one."""

    def __init__(self, token: str | Exception) -> None:
        self.get_token = Token(token).get_token


def jwt(payload: object) -> str:
    return f"e30.{urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.c2ln"


async def whose(token: str | Exception) -> str:
    credential: Any = Remote(token)
    return await identity_object_id(credential, "scope")


async def test_the_local_credential_has_a_fixed_token() -> None:
    """By both of the SDK's ways, for any scope."""
    async with LocalCredential() as credential:
        assert (await credential.get_token("a", claims="b")).token == (await credential.get_token_info("c")).token == "local"


@pytest.mark.parametrize("endpoint", [AZURE, "http://10.0.0.1", "http://localhost.evil.example"])
def test_the_local_credential_is_for_this_machine_alone(endpoint: str) -> None:
    """Its token is no secret, so nobody may come to rely on it."""
    with pytest.raises(ConfigError, match="loopback"):
        make_credential("local", endpoint=endpoint)


@pytest.mark.parametrize(
    ("kind", "endpoint", "made"),
    [
        ("default", AZURE, DefaultAzureCredential),
        ("managed-identity", AZURE, ManagedIdentityCredential),
        ("local", LOOPBACK, LocalCredential),
    ],
)
@pytest.mark.parametrize("client_id", [None, SOMEBODY])
@pytest.mark.parametrize("authority", [None, "login.microsoftonline.us"])
async def test_each_kind_is_one_credential(
    kind: str, endpoint: str, made: type, client_id: str | None, authority: str | None
) -> None:
    """With and without a user-assigned identity and another cloud's authority."""
    credential: AsyncTokenCredential = make_credential(kind, endpoint=endpoint, authority=authority, client_id=client_id)
    assert type(credential) is made
    await credential.close()


def test_another_kind_is_refused() -> None:
    """By name, with what there is."""
    with pytest.raises(ConfigError, match="managed-identity"):
        make_credential("password", endpoint=AZURE)


async def test_whose_a_token_is() -> None:
    """Its object id and nothing else of it."""
    assert await whose(jwt({"oid": SOMEBODY, "upn": "somebody@contoso.example"})) == SOMEBODY
    assert await identity_object_id(LocalCredential(), "scope") == "local"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.!.c",
        "a.é.c",
        jwt({}),
        jwt({"oid": None}),
        jwt({"oid": 7}),
        jwt({"oid": "<b>"}),
        jwt([]),
        "a." + "W" * 9999 + ".c",
    ],
)
async def test_a_token_that_does_not_tell_is_nobodys(token: str) -> None:
    """Whatever is not an object id is not recorded."""
    assert await whose(token) == ""


@given(st.text() | st.binary().map(lambda payload: f"a.{urlsafe_b64encode(payload).decode()}.c"))
async def test_any_token_can_be_looked_at(token: str) -> None:
    """None of them is a failure."""
    assert isinstance(await whose(token), str)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ClientAuthenticationError("SECRET"), AzureUnauthorizedError),
        (ServiceRequestError("SECRET"), AzureUnavailableError),
        (TimeoutError("SECRET"), AzureUnavailableError),
    ],
)
async def test_no_token_is_an_error_of_ours(failure: Exception, error: type[Exception]) -> None:
    """That says nothing of what the credential said."""
    with pytest.raises(error) as caught:
        await whose(failure)
    assert "SECRET" not in str(caught.value)
