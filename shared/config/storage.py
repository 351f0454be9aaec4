"""The storage account of the Functions host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.config.model import StorageByIdentity, StorageByKey
from shared.config.parse import guid, is_loopback, quote, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping


STORAGE: Final = "AzureWebJobsStorage"
"""The Functions host's own setting, or the stem of its identity-based form."""
_EMULATOR: Final = "UseDevelopmentStorage=true"
# The key of Azurite's one account, the same everywhere and published with it.
_EMULATOR_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_ACCOUNT: Final = "devstoreaccount1"
_SERVICES: Final = ("blob", "queue", "table")


def read_storage(environ: Mapping[str, str]) -> tuple[StorageByKey | StorageByIdentity | None, list[str]]:
    """The storage account of ``AzureWebJobsStorage``, and what is wrong with it. A value is never quoted: it may hold a key.

    The forms are the Functions host's own: a connection string, or ``AzureWebJobsStorage__accountName`` or
    ``__blobServiceUri``, ``__queueServiceUri``, ``__tableServiceUri``, with ``__credential`` and ``__clientId``.
    https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
    """
    text = environ.get(STORAGE, "").strip()
    if text:
        return _by_key(text)
    fields = {
        name: environ.get(f"{STORAGE}__{name}", "").strip()
        for name in ("accountName", "blobServiceUri", "queueServiceUri", "tableServiceUri", "credential", "clientId")
    }
    if not any(fields[name] for name in ("accountName", "blobServiceUri", "queueServiceUri", "tableServiceUri")):
        return None, []
    problems: list[str] = []
    account = fields["accountName"]
    if account and not re.fullmatch(r"[a-z0-9]{3,24}", account):
        problems.append(f"{STORAGE}__accountName: {quote(account)} is not the name of a storage account")
    urls: dict[str, str | None] = {}
    for service in _SERVICES:
        url = fields[f"{service}ServiceUri"].rstrip("/")
        if url and not re.fullmatch(r"https://[A-Za-z0-9.-]+", url):
            problems.append(f"{STORAGE}__{service}ServiceUri: it must be https:// and a host; tokens are sent to nothing else")
        urls[service] = url or (f"https://{account}.{service}.core.windows.net" if account else None)
    credential = fields["credential"]
    if credential and credential.lower() != "managedidentity":
        problems.append(f"{STORAGE}__credential: {quote(credential)} is not managedidentity")
    client_id = fields["clientId"]
    if client_id:
        try:
            guid(client_id)
        except ValueError as error:
            problems.append(f"{STORAGE}__clientId: {error}")
    if problems:
        return None, problems
    found = StorageByIdentity(**urls, managed_identity=bool(credential), client_id=client_id or None)
    return found, []


def _by_key(text: str) -> tuple[StorageByKey | None, list[str]]:
    try:
        resolved(text)
    except ValueError as error:
        return None, [f"{STORAGE}: {error}"]
    if text.rstrip(";") == _EMULATOR:
        local = "".join(
            f"{service.title()}Endpoint=http://127.0.0.1:{port}/{_EMULATOR_ACCOUNT};"
            for port, service in enumerate(_SERVICES, start=10000)
        )
        text = f"DefaultEndpointsProtocol=http;AccountName={_EMULATOR_ACCOUNT};AccountKey={_EMULATOR_KEY};{local}"
    pairs = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    folded = {name.strip().lower(): value for name, value in pairs.items()}
    endpoints = [value for name, value in folded.items() if name.endswith("endpoint")]
    if "accountname" not in folded and not endpoints:
        return None, [f"{STORAGE}: it is not a connection string of a storage account"]
    plain = [url for url in endpoints if url.lower().startswith("http:") and not is_loopback(_host(url))]
    if plain or (folded.get("defaultendpointsprotocol", "https").lower() != "https" and len(endpoints) < len(_SERVICES)):
        return None, [f"{STORAGE}: plain http is accepted for loopback alone"]
    return StorageByKey(text), []


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
