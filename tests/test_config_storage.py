"""The settings that name a storage account, a blob, or a secret elsewhere."""

from __future__ import annotations

import pytest

from shared.config import BlobUrl, StorageByIdentity, StorageByKey, TablesLedger, load_settings, read_storage
from shared.core.errors import ConfigError

ENOUGH = {
    "LINKGUARD_ALLOWLIST": "allowlist.yaml",
    "LINKGUARD_SUBSCRIPTIONS": "00000000-0000-0000-0000-0000000000a1",
}
BLOB = "https://contoso.blob.core.windows.net/linkguard/allowlist.yaml"
CLIENT = "00000000-0000-0000-0000-0000000000c1"


def problems(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(ENOUGH | environ)
    return "\n".join(caught.value.problems)


def test_the_identity_based_forms() -> None:
    """An account's name, or its services' URLs; a managed identity, or whoever is signed in."""
    storage, _ = read_storage({"AzureWebJobsStorage__accountName": "contoso"})
    assert storage == StorageByIdentity(
        blob="https://contoso.blob.core.windows.net",
        queue="https://contoso.queue.core.windows.net",
        table="https://contoso.table.core.windows.net",
        managed_identity=False,
        client_id=None,
    )
    storage, _ = read_storage(
        {
            "AzureWebJobsStorage__queueServiceUri": "https://c.queue.core.usgovcloudapi.net/",
            "AzureWebJobsStorage__tableServiceUri": "https://c.table.core.usgovcloudapi.net",
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": CLIENT,
        }
    )
    assert storage == StorageByIdentity(
        blob=None,
        queue="https://c.queue.core.usgovcloudapi.net",
        table="https://c.table.core.usgovcloudapi.net",
        managed_identity=True,
        client_id=CLIENT,
    )


def test_the_emulator() -> None:
    """What ``func start`` calls Azurite, spelt out for clients that do not know it."""
    storage, found = read_storage({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert found == []
    assert isinstance(storage, StorageByKey)
    for part in ("http://127.0.0.1:10000/", "http://127.0.0.1:10001/", "http://127.0.0.1:10002/"):
        assert part in storage.connection_string
    assert "Eby8" not in repr(storage)


@pytest.mark.parametrize(
    "environ",
    [
        {"AzureWebJobsStorage": "SECRET"},
        {"AzureWebJobsStorage": "AccountName=a;AccountKey=SECRET;QueueEndpoint=http://contoso.example/"},
        {"AzureWebJobsStorage": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=SECRET"},
        {"AzureWebJobsStorage": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/SECRET)"},
        {"AzureWebJobsStorage__accountName": "a.evil.example/"},
        {"AzureWebJobsStorage__tableServiceUri": "http://c.table.core.windows.net"},
        {"AzureWebJobsStorage__tableServiceUri": "https://user:SECRET@c.table.core.windows.net"},
        {"AzureWebJobsStorage__tableServiceUri": "https://c.table.core.windows.net?sig=SECRET"},
        {"AzureWebJobsStorage__accountName": "contoso", "AzureWebJobsStorage__credential": "SECRET " * 50},
        {"AzureWebJobsStorage__accountName": "contoso", "AzureWebJobsStorage__clientId": "me"},
    ],
)
def test_a_wrong_account_is_said(environ: dict[str, str]) -> None:
    """By the setting's name; a key is never repeated, and neither it nor a token crosses the network in the open."""
    text = problems(LINKGUARD_LEDGER="tables", **environ)
    assert text.startswith("AzureWebJobsStorage")
    assert "AccountKey" not in text
    assert "sig=" not in text


def test_tables_want_an_account() -> None:
    """The ledger in tables needs to know whose."""
    assert "LINKGUARD_LEDGER" in problems(LINKGUARD_LEDGER="tables")
    assert "LINKGUARD_LEDGER" in problems(
        LINKGUARD_LEDGER="tables", AzureWebJobsStorage__queueServiceUri="https://c.queue.core.windows.net"
    )
    settings = load_settings(ENOUGH | {"LINKGUARD_LEDGER": "tables", "AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert settings.ledger == TablesLedger()


@pytest.mark.parametrize(
    "url",
    [
        BLOB,
        "https://contoso.blob.core.usgovcloudapi.net/c/a/b.yaml",
        "https://contoso.z12.blob.storage.azure.net/c/a.yaml",
        "http://127.0.0.1:10000/devstoreaccount1/c/a.yaml",
    ],
)
def test_an_allowlist_in_a_blob(url: str) -> None:
    """In any cloud; plain http for this machine alone."""
    assert load_settings(ENOUGH | {"LINKGUARD_ALLOWLIST": url}).allowlist == BlobUrl(url)


@pytest.mark.parametrize(
    "url",
    [
        BLOB.replace("https", "http"),
        BLOB.replace("contoso.blob.core.windows.net", "evil.example"),
        BLOB.replace("contoso.blob.core.windows.net", "contoso.blob.core.windows.net.evil.example"),
        BLOB.replace("contoso.blob.core.windows.net", "contoso.blob.core.windows.net:8443"),
        "https://contoso.blob.core.windows.net/",
        "https://contoso.blob.core.windows.net/container",
        f"{BLOB}#x",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_a_url_that_is_no_blobs(url: str) -> None:
    """A token would be sent there."""
    assert problems(LINKGUARD_ALLOWLIST=url).startswith("LINKGUARD_ALLOWLIST")


@pytest.mark.parametrize("url", [f"{BLOB}?sv=2024&sig=VERYSECRET", BLOB.replace("https://", "https://user:VERYSECRET@")])
def test_a_url_with_a_secret(url: str) -> None:
    """Refused with advice, and not repeated."""
    text = problems(LINKGUARD_ALLOWLIST=url)
    assert "Storage Blob Data Reader" in text
    assert "VERYSECRET" not in text


@pytest.mark.parametrize("name", ["LINKGUARD_VERIFY_KEYS", "LINKGUARD_ALLOWLIST", "LINKGUARD_SETTLE"])
def test_a_reference_that_was_not_resolved(name: str) -> None:
    """The platform leaves a Key Vault reference as it is where it cannot read the secret: said, whatever the setting."""
    text = problems(**{name: "@Microsoft.KeyVault(VaultName=v;SecretName=s)"})
    assert text.startswith(f"{name}: it is a Key Vault reference that the platform did not resolve")
