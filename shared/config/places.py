"""Texts -> where things are: endpoints, the allowlist, the ledger, the sinks of alerts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shared.config.model import ArmEndpoint, BlobUrl, SqliteLedger, TablesLedger
from shared.config.parse import did_you_mean, is_loopback, quote
from shared.core.webhook import Webhook, WebhookFormat

_WEBHOOK: Final = re.compile(r",\s*(?=(?:generic|teams|slack)=)")


def webhooks(text: str) -> tuple[Webhook, ...]:
    """Each ``<format>=<url>``. No message quotes a URL: the whole of it is a secret."""
    found: list[Webhook] = []
    for number, item in enumerate((part.strip() for part in _WEBHOOK.split(text) if part.strip()), start=1):
        form, _, url = item.partition("=")
        if form not in set(WebhookFormat):
            message = f"webhook {number} does not begin with generic=, teams= or slack="
            raise ValueError(message)
        _check_alert_url(url, f"webhook {number}")
        found.append(Webhook(format=WebhookFormat(form), url=url))
    return tuple(found)


def topic(text: str) -> str | None:
    """The endpoint of an Event Grid custom topic; None where there is none."""
    if text:
        _check_alert_url(text, "the topic's endpoint")
    return text or None


def _check_alert_url(text: str, what: str) -> None:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if not host or url.scheme not in {"http", "https"} or not text.isprintable() or " " in text:
        message = f"{what} is no http or https URL"
        raise ValueError(message)
    if url.username is not None or url.password is not None:
        message = f"{what} names a user; a credential has no place in it"
        raise ValueError(message)
    if url.scheme == "http" and not is_loopback(host):
        message = f"{what}: plain http is accepted for loopback alone; use https"
        raise ValueError(message)


def webhook_hosts(text: str) -> str:
    """What may be shown of webhooks: formats and hosts."""
    return ", ".join(f"{one.format.value}={urlsplit(one.url).hostname}" for one in webhooks(text))


_BLOB_HOST: Final = re.compile(
    r"[a-z0-9]{3,24}(-secondary)?\."
    r"(blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|z[0-9]{1,2}\.blob\.storage\.azure\.net)"
)
_BLOB_PATH: Final = re.compile(r"(/[A-Za-z0-9$._~-]+){2,20}")
"""A container and a name; of the characters that need no escaping."""


def allowlist(text: str) -> Path | BlobUrl | None:
    """A file or a blob; None where neither is named."""
    if "://" not in text:
        return Path(text) if text else None
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        message = f"{quote(text)} is not a URL"
        raise ValueError(message) from None
    if url.query or url.username is not None or url.password is not None:
        # Not quoted: it may hold a signature or a password.
        message = (
            "the URL carries a signature or a password; leave it out, and give the identity the role Storage Blob Data Reader on"
            " the container"
        )
        raise ValueError(message)
    local = is_loopback(host) and url.scheme in {"http", "https"}
    if not local and not (url.scheme == "https" and _BLOB_HOST.fullmatch(host) and url.port in {None, 443}):
        message = f"{quote(text)} is neither a path nor https://<account>.blob.core.windows.net/<container>/<blob>"
        raise ValueError(message)
    if url.fragment or not _BLOB_PATH.fullmatch(url.path):
        message = f"{quote(text)} names no blob: after the account come the container and the name, of plain characters"
        raise ValueError(message)
    return BlobUrl(text)


_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")


def container(text: str) -> str | None:
    """The name of a container of the Functions host's storage account; None where there is none."""
    if text and not _CONTAINER.fullmatch(text):
        message = f"{quote(text)} is not the name of a container: 3 to 63 lower-case letters, digits and single dashes"
        raise ValueError(message)
    return text or None


def ledger(text: str) -> SqliteLedger | TablesLedger:
    """A SQLite file, or the storage account's tables."""
    if text == "tables":
        return TablesLedger()
    path = text.removeprefix("sqlite:///")
    if path in {text, "", "/"} or path.endswith("/"):
        message = f"{quote(text)} is not tables, sqlite:///relative/path or sqlite:////absolute/path"
        raise ValueError(message)
    if path.startswith(":"):
        message = f"{quote(text)} would lose every record when the process ends; name a file"
        raise ValueError(message)
    return SqliteLedger(Path(path))


_CLOUDS: Final = {
    "public": ArmEndpoint(url="https://management.azure.com", authority="login.microsoftonline.com"),
    "usgov": ArmEndpoint(url="https://management.usgovcloudapi.net", authority="login.microsoftonline.us"),
    "china": ArmEndpoint(url="https://management.chinacloudapi.cn", authority="login.chinacloudapi.cn"),
}
"""The endpoints of azure-core's AzureClouds and the authorities of azure-identity's AzureAuthorityHosts."""


def arm_endpoint(text: str) -> ArmEndpoint:
    """A cloud by its name, or a URL of a scheme, a host and a port."""
    if text in _CLOUDS:
        return _CLOUDS[text]
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        message = f"{quote(text)} is not a URL"
        raise ValueError(message) from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        message = f"{quote(text)} is none of {', '.join(_CLOUDS)} and no http or https URL{did_you_mean(text.lower(), _CLOUDS)}"
        raise ValueError(message)
    if url.username is not None or url.password is not None:
        # Not quoted: it may hold a password.
        message = "the URL names a user; a credential has no place in it"
        raise ValueError(message)
    if url.path.strip("/") or url.query or url.fragment or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", url.netloc):
        message = f"{quote(text)} has more than a scheme, a host and a port"
        raise ValueError(message)
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return ArmEndpoint(url=f"{url.scheme}://{host}" + ("" if port is None else f":{port}"), authority=None)


_LOGS: Final = {
    "public": ArmEndpoint(url="https://api.loganalytics.io", authority="login.microsoftonline.com"),
    "usgov": ArmEndpoint(url="https://api.loganalytics.us", authority="login.microsoftonline.us"),
    "china": ArmEndpoint(url="https://api.loganalytics.azure.cn", authority="login.chinacloudapi.cn"),
}


def logs_endpoint(text: str) -> ArmEndpoint:
    """The query API of Log Analytics, named in the same way."""
    endpoint = _LOGS.get(text) or arm_endpoint(text)
    if endpoint.is_plain_http and not endpoint.is_loopback:
        message = f"plain http is accepted for loopback alone, and {endpoint.url} is not; use https"
        raise ValueError(message)
    return endpoint
