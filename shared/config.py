"""Settings: a mapping of environment variables -> frozen :class:`Settings`, every problem at once.

Nothing here reads ``os.environ``: an entry point hands over the mapping. ``SETTINGS`` is the one table of names, defaults and
meanings; the README, ``local.settings.sample.json`` and ``linkguard config check`` are held to it.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from shared.core.address import PrivateRanges
from shared.core.confirm import TakeBackPolicy
from shared.core.errors import ConfigError
from shared.core.verdict import Mode
from shared.core.webhook import Webhook, WebhookFormat

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREFIX: Final = "LINKGUARD_"
"""Every setting's name starts so; a name that does and is no setting is a problem, since it may be a mistyped one."""

_QUOTED_AT_MOST: Final = 80


class CredentialKind(StrEnum):
    """Where tokens come from."""

    DEFAULT = "default"
    """azure-identity's DefaultAzureCredential: environment, managed identity, Azure CLI and so on."""
    MANAGED_IDENTITY = "managed-identity"
    LOCAL = "local"
    """A fixed token that is no secret; for loopback endpoints only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEndpoint:
    """Where Azure Resource Manager is."""

    url: str
    """Scheme, host and port; no path, no trailing slash."""
    authority: str | None
    """The host that issues the cloud's tokens; None leaves it to azure-identity (``AZURE_AUTHORITY_HOST``)."""

    @property
    def scope(self) -> str:
        """What a token for it is asked for."""
        return f"{self.url}/.default"

    @property
    def is_plain_http(self) -> bool:
        """Whether a token would cross the network unencrypted."""
        return self.url.startswith("http:")

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine: ``localhost``, ``127.0.0.0/8`` or ``::1``, written so."""
        return _is_loopback(urlsplit(self.url).hostname or "")


@dataclass(frozen=True, slots=True)
class SqliteLedger:
    """The ledger and the state store are one SQLite file."""

    path: Path
    """Absolute, or relative to the working directory."""


@dataclass(frozen=True, slots=True)
class TablesLedger:
    """The ledger and the state store are tables of the storage account in ``AzureWebJobsStorage``."""


@dataclass(frozen=True, slots=True)
class BlobUrl:
    """A blob by its URL, which has no query."""

    url: str

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine's: Azurite's."""
        return _is_loopback(urlsplit(self.url).hostname or "")


@dataclass(frozen=True, slots=True)
class StorageByKey:
    """A storage account by its connection string, which holds a key."""

    connection_string: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageByIdentity:
    """A storage account that an identity is let into. The services' URLs, without a slash at the end; None where unknown."""

    blob: str | None
    queue: str | None
    table: str | None
    managed_identity: bool
    """Whether the identity is a managed one; else whatever DefaultAzureCredential finds."""
    client_id: str | None
    """Of a user-assigned managed identity."""


@dataclass(frozen=True, slots=True)
class VerifyKeyFile:
    """A public key in a PEM file. Whoever builds the adapters reads it."""

    key_id: str
    path: Path


@dataclass(frozen=True, slots=True)
class VerifyKeyInline:
    """A public key written into the setting."""

    key_id: str
    der: bytes
    """SubjectPublicKeyInfo in DER; not looked into here."""


type VerifyKey = VerifyKeyFile | VerifyKeyInline


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says, checked. :data:`SETTINGS` describes each field."""

    mode: Mode
    allowlist: Path | BlobUrl | None
    subscriptions: tuple[str, ...]
    """Lower-case GUIDs, each once, in the order given; empty only where the caller did not require them."""
    ledger: SqliteLedger | TablesLedger
    arm_endpoint: ArmEndpoint
    credential: CredentialKind
    managed_identity_client_id: str | None
    settle: timedelta
    confirm_deadline: timedelta
    take_back: TakeBackPolicy
    recheck_delay: timedelta
    recheck_max: timedelta
    approvals_per_target_per_hour: int
    approvals_per_hour: int
    verify_keys: tuple[VerifyKey, ...]
    snapshot_max_age: timedelta
    arm_timeout: timedelta
    arm_reads_per_second: int
    """0: no limit."""
    concurrency: int
    sweep_schedule: str
    anchors: str | None
    export_schedule: str
    sweep_run: timedelta
    sweep_max_age: timedelta
    report_require_principal: bool
    all_sites: bool
    alerts_log: bool
    alerts_webhooks: tuple[Webhook, ...]
    alerts_event_grid: str | None
    alerts_reminder: timedelta
    alerts_schedule: str
    logs_endpoint: ArmEndpoint
    workspaces: tuple[str, ...]
    """Lower-case GUIDs, each once."""
    audit_tables: tuple[str, ...]
    private_ranges: PrivateRanges
    audit_schedule: str
    storage: StorageByKey | StorageByIdentity | None = None
    """The Functions host's own storage account; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting[T]:
    """One environment variable."""

    name: str
    default: str
    """What an absent or empty variable means; "" where there is no default."""
    values: str
    """What may be written, for a person."""
    doc: str
    """One sentence."""
    parse: Callable[[str], T]
    """Raises ValueError with a message for a person."""
    shown: Callable[[str], str] = str
    """What may be shown of a valid value: all of it, unless it holds a secret."""

    def text(self, environ: Mapping[str, str]) -> str:
        """What counts: the variable, stripped, or the default where it is absent or empty."""
        return environ.get(self.name, "").strip() or self.default


def parse_duration(text: str) -> timedelta:
    """Read ``500ms``, ``30s``, ``10m``, ``2h`` or ``1d``: a whole number and one unit.

    Raises:
        ValueError: for anything else.

    """
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{_quote(text)} is not a duration such as 500ms, 30s, 10m, 2h or 1d"
        raise ValueError(message)
    return int(match["number"]) * _UNITS[match["unit"]]


def format_duration(value: timedelta) -> str:
    """Write a duration, a whole number of milliseconds, in the largest unit that holds it exactly; 0 is ``0ms``."""
    unit = next((unit for unit, size in reversed(_UNITS.items()) if value and not value % size), "ms")
    return f"{value // _UNITS[unit]}{unit}"


_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def _quote(text: str) -> str:
    """``text`` for a message: escaped, and never so long that it hides the rest."""
    return repr(text if len(text) <= _QUOTED_AT_MOST else text[: _QUOTED_AT_MOST - 3] + "...")


def _duration(*, least: str, most: str) -> Callable[[str], timedelta]:
    low, high = parse_duration(least), parse_duration(most)

    def parse(text: str) -> timedelta:
        value = parse_duration(text)
        if not low <= value <= high:
            message = f"{text} is not from {least} to {most}"
            raise ValueError(message)
        return value

    return parse


def _integer(*, least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            message = f"{_quote(text)} is not a whole number from {least} to {most}"
            raise ValueError(message)
        return int(text)

    return parse


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        message = f"{_quote(text)} is neither true nor false"
        raise ValueError(message)
    return text == "true"


_WEBHOOK: Final = re.compile(r",\s*(?=(?:generic|teams|slack)=)")


def _webhooks(text: str) -> tuple[Webhook, ...]:
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


def _topic(text: str) -> str | None:
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
    if url.scheme == "http" and not _is_loopback(host):
        message = f"{what}: plain http is accepted for loopback alone; use https"
        raise ValueError(message)


def _webhook_hosts(text: str) -> str:
    return ", ".join(f"{one.format.value}={urlsplit(one.url).hostname}" for one in _webhooks(text))


def _choice[E: StrEnum](kind: type[E]) -> Callable[[str], E]:
    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            message = f"{_quote(text)} is none of {', '.join(kind)}{_did_you_mean(text.lower(), kind)}"
            raise ValueError(message) from None

    return parse


def _did_you_mean(text: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(text, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _items(text: str) -> list[str]:
    """The elements of a comma-separated list; an empty one is left out, so a trailing comma does no harm."""
    return [item for item in (part.strip() for part in text.split(",")) if item]


def _guid(text: str) -> str:
    folded = text.lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", folded):
        message = f"{_quote(text)} is not a GUID such as {UUID(int=0)}"
        raise ValueError(message)
    return folded


def _each[T](text: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    """Every element parsed; where some cannot be, one ValueError says so of each."""
    values, problems = [], []
    for item in _items(text):
        try:
            values.append(parse(item))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(values)


def _subscriptions(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_each(text, _guid)))


_BLOB_HOST: Final = re.compile(
    r"[a-z0-9]{3,24}(-secondary)?\."
    r"(blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|z[0-9]{1,2}\.blob\.storage\.azure\.net)"
)
_BLOB_PATH: Final = re.compile(r"(/[A-Za-z0-9$._~-]+){2,20}")
"""A container and a name; of the characters that need no escaping."""


def _allowlist(text: str) -> Path | BlobUrl | None:
    if "://" not in text:
        return Path(text) if text else None
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        message = f"{_quote(text)} is not a URL"
        raise ValueError(message) from None
    if url.query or url.username is not None or url.password is not None:
        # Not quoted: it may hold a signature or a password.
        message = (
            "the URL carries a signature or a password; leave it out, and give the identity the role Storage Blob Data Reader on"
            " the container"
        )
        raise ValueError(message)
    local = _is_loopback(host) and url.scheme in {"http", "https"}
    if not local and not (url.scheme == "https" and _BLOB_HOST.fullmatch(host) and url.port in {None, 443}):
        message = f"{_quote(text)} is neither a path nor https://<account>.blob.core.windows.net/<container>/<blob>"
        raise ValueError(message)
    if url.fragment or not _BLOB_PATH.fullmatch(url.path):
        message = f"{_quote(text)} names no blob: after the account come the container and the name, of plain characters"
        raise ValueError(message)
    return BlobUrl(text)


def _ledger(text: str) -> SqliteLedger | TablesLedger:
    if text == "tables":
        return TablesLedger()
    path = text.removeprefix("sqlite:///")
    if path in {text, "", "/"} or path.endswith("/"):
        message = f"{_quote(text)} is not tables, sqlite:///relative/path or sqlite:////absolute/path"
        raise ValueError(message)
    if path.startswith(":"):
        message = f"{_quote(text)} would lose every record when the process ends; name a file"
        raise ValueError(message)
    return SqliteLedger(Path(path))


_CLOUDS: Final = {
    "public": ArmEndpoint(url="https://management.azure.com", authority="login.microsoftonline.com"),
    "usgov": ArmEndpoint(url="https://management.usgovcloudapi.net", authority="login.microsoftonline.us"),
    "china": ArmEndpoint(url="https://management.chinacloudapi.cn", authority="login.chinacloudapi.cn"),
}
"""The endpoints of azure-core's AzureClouds and the authorities of azure-identity's AzureAuthorityHosts."""


def _arm_endpoint(text: str) -> ArmEndpoint:
    if text in _CLOUDS:
        return _CLOUDS[text]
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        message = f"{_quote(text)} is not a URL"
        raise ValueError(message) from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        message = f"{_quote(text)} is none of {', '.join(_CLOUDS)} and no http or https URL{_did_you_mean(text.lower(), _CLOUDS)}"
        raise ValueError(message)
    if url.username is not None or url.password is not None:
        # Not quoted: it may hold a password.
        message = "the URL names a user; a credential has no place in it"
        raise ValueError(message)
    if url.path.strip("/") or url.query or url.fragment or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", url.netloc):
        message = f"{_quote(text)} has more than a scheme, a host and a port"
        raise ValueError(message)
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return ArmEndpoint(url=f"{url.scheme}://{host}" + ("" if port is None else f":{port}"), authority=None)


_LOGS: Final = {
    "public": ArmEndpoint(url="https://api.loganalytics.io", authority="login.microsoftonline.com"),
    "usgov": ArmEndpoint(url="https://api.loganalytics.us", authority="login.microsoftonline.us"),
    "china": ArmEndpoint(url="https://api.loganalytics.azure.cn", authority="login.chinacloudapi.cn"),
}


def _logs_endpoint(text: str) -> ArmEndpoint:
    endpoint = _LOGS.get(text) or _arm_endpoint(text)
    if endpoint.is_plain_http and not endpoint.is_loopback:
        message = f"plain http is accepted for loopback alone, and {endpoint.url} is not; use https"
        raise ValueError(message)
    return endpoint


AUDITED: Final = ("AppServiceHTTPLogs", "AppRequests", "AppTraces", "FunctionAppLogs")
"""The tables of Log Analytics that say where requests come from."""


def _tables(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_items(text)))
    if unknown := [one for one in found if one not in AUDITED]:
        message = f"{_quote(unknown[0])} is none of {', '.join(AUDITED)}{_did_you_mean(unknown[0], AUDITED)}"
        raise ValueError(message)
    return found


def _private_ranges(text: str) -> PrivateRanges:
    try:
        return PrivateRanges.parse(_items(text))
    except ConfigError as error:
        raise ValueError("; ".join(error.problems)) from None


_LOOPBACK_4: Final = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_6: Final = ipaddress.IPv6Address("::1")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK_4 if isinstance(address, ipaddress.IPv4Address) else address == _LOOPBACK_6


_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_INLINE: Final = "spki:"


def _verify_keys(text: str) -> tuple[VerifyKey, ...]:
    keys = _each(text, _verify_key)
    ids = [key.key_id for key in keys]
    if twice := sorted({key_id for key_id in ids if ids.count(key_id) > 1}):
        message = f"key id {', '.join(twice)} is there more than once"
        raise ValueError(message)
    return keys


def _verify_key(item: str) -> VerifyKey:
    key_id, _, source = (part.strip() for part in item.partition("="))
    if not _KEY_ID.fullmatch(key_id) or not source:
        message = (
            f"{_quote(item)} is not <key id>=<path of a PEM file> or <key id>={_INLINE}<base64>, "
            "the key id of 1 to 32 letters, digits, - and _"
        )
        raise ValueError(message)
    if not source.startswith(_INLINE):
        return VerifyKeyFile(key_id, Path(source))
    try:
        der = base64.b64decode(source.removeprefix(_INLINE), validate=True)
    except binascii.Error:
        der = b""
    if not der:
        message = f"what follows {key_id}={_INLINE} is not base64"
        raise ValueError(message)
    return VerifyKeyInline(key_id, der)


_CRON_FIELDS: Final = 6


def _schedule(text: str) -> str:
    fields = text.split()
    if len(fields) != _CRON_FIELDS or not all(re.fullmatch(r"[0-9A-Za-z*/,-]+", field) for field in fields):
        message = f"{_quote(text)} is not an NCRONTAB expression of six fields: second minute hour day month day-of-week"
        raise ValueError(message)
    return " ".join(fields)


MODE: Final = Setting(
    name="LINKGUARD_MODE",
    default=Mode.OBSERVE.value,
    values="`observe` or `enforce`",
    doc="Whether Linkguard only decides and records, or also approves.",
    parse=_choice(Mode),
)
ALLOWLIST: Final = Setting(
    name="LINKGUARD_ALLOWLIST",
    default="",
    values="the path of a YAML file, or `https://<account>.blob.core.windows.net/<container>/<blob>`",
    doc="What may be approved.",
    parse=_allowlist,
)
SUBSCRIPTIONS: Final = Setting(
    name="LINKGUARD_SUBSCRIPTIONS",
    default="",
    values="subscription ids, comma-separated",
    doc="Where SignalR services and their links are looked for.",
    parse=_subscriptions,
)
LEDGER: Final = Setting(
    name="LINKGUARD_LEDGER",
    default="sqlite:///linkguard.sqlite3",
    values="`sqlite:///relative/path`, `sqlite:////absolute/path` or `tables`",
    doc="Where the ledger and the state store are; `tables` are those of the storage account in `AzureWebJobsStorage`.",
    parse=_ledger,
)
ARM_ENDPOINT: Final = Setting(
    name="LINKGUARD_ARM_ENDPOINT",
    default="public",
    values="`public`, `usgov`, `china`, or a URL",
    doc="Azure Resource Manager; the scope of a URL's tokens is `<url>/.default`, and plain http is for loopback alone.",
    parse=_arm_endpoint,
)
CREDENTIAL: Final = Setting(
    name="LINKGUARD_CREDENTIAL",
    default=CredentialKind.DEFAULT.value,
    values="`default`, `managed-identity` or `local`",
    doc="Where tokens come from; `local` is a fixed token, for loopback endpoints alone.",
    parse=_choice(CredentialKind),
)
MANAGED_IDENTITY_CLIENT_ID: Final = Setting(
    name="LINKGUARD_MANAGED_IDENTITY_CLIENT_ID",
    default="",
    values="a client id",
    doc="The user-assigned managed identity to use; the system-assigned one without it.",
    parse=lambda text: _guid(text) if text else None,
)
SETTLE: Final = Setting(
    name="LINKGUARD_SETTLE",
    default="30s",
    values="a duration from `1ms` to `1d`",
    doc="How far apart two observations must be, at least, that say the same before anything is approved.",
    parse=_duration(least="1ms", most="1d"),
)
CONFIRM_DEADLINE: Final = Setting(
    name="LINKGUARD_CONFIRM_DEADLINE",
    default="60m",
    values="a duration from `1ms` to `7d`",
    doc="How long the link itself may take to become Approved before a contradiction counts.",
    parse=_duration(least="1ms", most="7d"),
)
TAKE_BACK: Final = Setting(
    name="LINKGUARD_TAKE_BACK",
    default=TakeBackPolicy.CONTRADICTION.value,
    values="`contradiction`, `deadline` or `never`",
    doc="When an unconfirmed approval is taken back: contradicted at the deadline, merely unconfirmed then, or never.",
    parse=_choice(TakeBackPolicy),
)
RECHECK_DELAY: Final = Setting(
    name="LINKGUARD_RECHECK_DELAY",
    default="15s",
    values="a duration from `1ms` to `1d`",
    doc="The first wait before a target is looked at again; it doubles each time.",
    parse=_duration(least="1ms", most="1d"),
)
RECHECK_MAX: Final = Setting(
    name="LINKGUARD_RECHECK_MAX",
    default="10m",
    values="a duration from `1ms` to `1d`",
    doc="What that wait grows to at most.",
    parse=_duration(least="1ms", most="1d"),
)
APPROVALS_PER_TARGET_PER_HOUR: Final = Setting(
    name="LINKGUARD_APPROVALS_PER_TARGET_PER_HOUR",
    default="5",
    values="a number from 0 to 1000",
    doc="How many connections of one target may be approved in an hour.",
    parse=_integer(least=0, most=1000),
)
APPROVALS_PER_HOUR: Final = Setting(
    name="LINKGUARD_APPROVALS_PER_HOUR",
    default="100",
    values="a number from 0 to 100000",
    doc="How many connections may be approved in an hour in all.",
    parse=_integer(least=0, most=100_000),
)
VERIFY_KEYS: Final = Setting(
    name="LINKGUARD_VERIFY_KEYS",
    default="",
    values="`<key id>=<path of a PEM file>` or `<key id>=spki:<base64 of the DER>`, comma-separated",
    doc="The public keys (P-256) that signed request messages are verified with.",
    parse=_verify_keys,
)
SNAPSHOT_MAX_AGE: Final = Setting(
    name="LINKGUARD_SNAPSHOT_MAX_AGE",
    default="10m",
    values="a duration from `0s` to `1d`",
    doc="How old the last sweep's view of other services' links may be; older, and the subscriptions are listed again.",
    parse=_duration(least="0s", most="1d"),
)
ARM_TIMEOUT: Final = Setting(
    name="LINKGUARD_ARM_TIMEOUT",
    default="30s",
    values="a duration from `100ms` to `10m`",
    doc="How long one call to Azure Resource Manager may take.",
    parse=_duration(least="100ms", most="10m"),
)
ARM_READS_PER_SECOND: Final = Setting(
    name="LINKGUARD_ARM_READS_PER_SECOND",
    default="20",
    values="a number from 1 to 24; 0, no limit, for loopback endpoints alone",
    doc="Reads a second in each subscription; Azure refills 25 and others share them.",
    parse=_integer(least=0, most=24),
)
CONCURRENCY: Final = Setting(
    name="LINKGUARD_CONCURRENCY",
    default="16",
    values="a number from 1 to 256",
    doc="How many calls and targets are worked on at once.",
    parse=_integer(least=1, most=256),
)
SWEEP_SCHEDULE: Final = Setting(
    name="LINKGUARD_SWEEP_SCHEDULE",
    default="0 */10 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app sweeps; the Functions host reads it, so it must be set there.",
    parse=_schedule,
)
SWEEP_RUN: Final = Setting(
    name="LINKGUARD_SWEEP_RUN",
    default="5m",
    values="a duration from `1ms` to `1h`",
    doc="How long one run of the deployed sweep begins with further targets; what is left goes on in messages.",
    parse=_duration(least="1ms", most="1h"),
)
SWEEP_MAX_AGE: Final = Setting(
    name="LINKGUARD_SWEEP_MAX_AGE",
    default="45m",
    values="a duration from `1s` to `7d`",
    doc="How long ago the last sweep may have ended before the deployed app says that it is not well.",
    parse=_duration(least="1s", most="7d"),
)
REPORT_REQUIRE_PRINCIPAL: Final = Setting(
    name="LINKGUARD_REPORT_REQUIRE_PRINCIPAL",
    default="false",
    values="`true` or `false`",
    doc="Whether the function that serves the report demands that App Service authentication has signed the caller in.",
    parse=_flag,
)
ANCHORS: Final = Setting(
    name="LINKGUARD_ANCHORS",
    default="",
    values="the URL of a container, or the path of a folder",
    doc="Where the ledger's chains are anchored, meant for an immutability policy; nowhere without it.",
    parse=lambda text: text or None,
)
EXPORT_SCHEDULE: Final = Setting(
    name="LINKGUARD_EXPORT_SCHEDULE",
    default="0 20 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app anchors the ledger; the Functions host reads it, so it must be set there.",
    parse=_schedule,
)
ALL_SITES: Final = Setting(
    name="LINKGUARD_ALL_SITES",
    default="false",
    values="`true` or `false`",
    doc="Whether a sweep reports pending connections of every site of the subscriptions, watched or not.",
    parse=_flag,
)
ALERTS_LOG: Final = Setting(
    name="LINKGUARD_ALERTS_LOG",
    default="true",
    values="`true` or `false`",
    doc="Whether each alert is a structured line of the log, for Azure Monitor's alert rules.",
    parse=_flag,
)
ALERTS_WEBHOOKS: Final = Setting(
    name="LINKGUARD_ALERTS_WEBHOOKS",
    default="",
    values="`generic=<url>`, `teams=<url>` or `slack=<url>`, comma-separated; https, and a secret",
    doc="Webhooks that alerts are sent to, each in its format.",
    parse=_webhooks,
    shown=_webhook_hosts,
)
ALERTS_EVENT_GRID: Final = Setting(
    name="LINKGUARD_ALERTS_EVENT_GRID",
    default="",
    values="the endpoint of an Event Grid custom topic with the CloudEvents 1.0 schema",
    doc="A topic that alerts are published to, by the identity of `LINKGUARD_CREDENTIAL`.",
    parse=_topic,
)
ALERTS_REMINDER: Final = Setting(
    name="LINKGUARD_ALERTS_REMINDER",
    default="24h",
    values="a duration from `0s` to `30d`",
    doc="How often an open critical finding is told again; 0s is never.",
    parse=_duration(least="0s", most="30d"),
)
ALERTS_SCHEDULE: Final = Setting(
    name="LINKGUARD_ALERTS_SCHEDULE",
    default="30 * * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app delivers alerts; the Functions host reads it, so it must be set there.",
    parse=_schedule,
)
LOGS_ENDPOINT: Final = Setting(
    name="LINKGUARD_LOGS_ENDPOINT",
    default="public",
    values="`public`, `usgov`, `china`, or a URL",
    doc="The query API of Log Analytics; plain http is for loopback alone.",
    parse=_logs_endpoint,
)
WORKSPACES: Final = Setting(
    name="LINKGUARD_WORKSPACES",
    default="",
    values="workspace ids, comma-separated",
    doc="The Log Analytics workspaces whose traffic logs the deployed app audits; none without it.",
    parse=_subscriptions,
)
AUDIT_TABLES: Final = Setting(
    name="LINKGUARD_AUDIT_TABLES",
    default="AppServiceHTTPLogs",
    values="`AppServiceHTTPLogs`, `AppRequests`, `AppTraces`, `FunctionAppLogs`, comma-separated",
    doc="The tables that are audited; one that cannot be read makes every target inconclusive.",
    parse=_tables,
)
PRIVATE_RANGES: Final = Setting(
    name="LINKGUARD_PRIVATE_RANGES",
    default="",
    values="ranges such as `10.20.0.0/16`, comma-separated",
    doc="What alone counts as private in an audit; RFC 1918 and fc00::/7 without it.",
    parse=_private_ranges,
)
AUDIT_SCHEDULE: Final = Setting(
    name="LINKGUARD_AUDIT_SCHEDULE",
    default="0 35 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app audits traffic; the Functions host reads it, so it must be set there.",
    parse=_schedule,
)

SETTINGS: Final[tuple[Setting[Any], ...]] = (
    MODE,
    ALLOWLIST,
    SUBSCRIPTIONS,
    LEDGER,
    ARM_ENDPOINT,
    CREDENTIAL,
    MANAGED_IDENTITY_CLIENT_ID,
    SETTLE,
    CONFIRM_DEADLINE,
    TAKE_BACK,
    RECHECK_DELAY,
    RECHECK_MAX,
    APPROVALS_PER_TARGET_PER_HOUR,
    APPROVALS_PER_HOUR,
    VERIFY_KEYS,
    SNAPSHOT_MAX_AGE,
    ARM_TIMEOUT,
    ARM_READS_PER_SECOND,
    CONCURRENCY,
    SWEEP_SCHEDULE,
    ANCHORS,
    EXPORT_SCHEDULE,
    SWEEP_RUN,
    SWEEP_MAX_AGE,
    REPORT_REQUIRE_PRINCIPAL,
    ALL_SITES,
    ALERTS_LOG,
    ALERTS_WEBHOOKS,
    ALERTS_EVENT_GRID,
    ALERTS_REMINDER,
    ALERTS_SCHEDULE,
    LOGS_ENDPOINT,
    WORKSPACES,
    AUDIT_TABLES,
    PRIVATE_RANGES,
    AUDIT_SCHEDULE,
)
"""Every setting, in the order in which the documentation lists them."""

REQUIRED: Final[tuple[Setting[Any], ...]] = (ALLOWLIST, SUBSCRIPTIONS)
"""What whoever observes Azure must set. A command that only reads the ledger requires nothing."""


class _Reader:
    """Reads one setting after another and keeps every problem instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: set[str] = set()
        self.problems: list[str] = []

    def read[T](self, setting: Setting[T]) -> T:
        """What the environment says; the default after a problem, so that the reading can go on."""
        try:
            return setting.parse(_resolved(setting.text(self._environ)))
        except ValueError as error:
            self._wrong.add(setting.name)
            self.problems.append(f"{setting.name}: {error}")
            return setting.parse(setting.default)

    def agree(self, message: str, *settings: Setting[Any], holds: bool) -> None:
        """A rule over several settings, ``message`` where it does not hold; not judged where one of them is wrong by itself."""
        if not holds and self._wrong.isdisjoint(setting.name for setting in settings):
            self.problems.append(f"{settings[0].name}: {message}")


def load_settings(environ: Mapping[str, str], *, required: Collection[Setting[Any]] = REQUIRED) -> Settings:
    """Read ``environ``, in which names outside :data:`PREFIX` are ignored and an empty value is an absent one.

    Raises:
        ConfigError: with every problem, each led by the name of its setting.

    """
    reader = _Reader(environ)
    settings = Settings(
        mode=reader.read(MODE),
        allowlist=reader.read(ALLOWLIST),
        subscriptions=reader.read(SUBSCRIPTIONS),
        ledger=reader.read(LEDGER),
        arm_endpoint=reader.read(ARM_ENDPOINT),
        credential=reader.read(CREDENTIAL),
        managed_identity_client_id=reader.read(MANAGED_IDENTITY_CLIENT_ID),
        settle=reader.read(SETTLE),
        confirm_deadline=reader.read(CONFIRM_DEADLINE),
        take_back=reader.read(TAKE_BACK),
        recheck_delay=reader.read(RECHECK_DELAY),
        recheck_max=reader.read(RECHECK_MAX),
        approvals_per_target_per_hour=reader.read(APPROVALS_PER_TARGET_PER_HOUR),
        approvals_per_hour=reader.read(APPROVALS_PER_HOUR),
        verify_keys=reader.read(VERIFY_KEYS),
        snapshot_max_age=reader.read(SNAPSHOT_MAX_AGE),
        arm_timeout=reader.read(ARM_TIMEOUT),
        arm_reads_per_second=reader.read(ARM_READS_PER_SECOND),
        concurrency=reader.read(CONCURRENCY),
        sweep_schedule=reader.read(SWEEP_SCHEDULE),
        anchors=reader.read(ANCHORS),
        export_schedule=reader.read(EXPORT_SCHEDULE),
        sweep_run=reader.read(SWEEP_RUN),
        sweep_max_age=reader.read(SWEEP_MAX_AGE),
        report_require_principal=reader.read(REPORT_REQUIRE_PRINCIPAL),
        all_sites=reader.read(ALL_SITES),
        alerts_log=reader.read(ALERTS_LOG),
        alerts_webhooks=reader.read(ALERTS_WEBHOOKS),
        alerts_event_grid=reader.read(ALERTS_EVENT_GRID),
        alerts_reminder=reader.read(ALERTS_REMINDER),
        alerts_schedule=reader.read(ALERTS_SCHEDULE),
        logs_endpoint=reader.read(LOGS_ENDPOINT),
        workspaces=reader.read(WORKSPACES),
        audit_tables=reader.read(AUDIT_TABLES),
        private_ranges=reader.read(PRIVATE_RANGES),
        audit_schedule=reader.read(AUDIT_SCHEDULE),
    )
    storage, storage_problems = read_storage(environ)
    settings = replace(settings, storage=storage)
    if isinstance(settings.ledger, TablesLedger):
        reader.problems += storage_problems
        has_tables = isinstance(storage, StorageByKey) or (storage is not None and storage.table is not None)
        reader.agree(
            f"tables are those of the storage account in {STORAGE}, which names none",
            LEDGER,
            holds=has_tables or bool(storage_problems),
        )
    endpoint, is_local = settings.arm_endpoint, settings.credential is CredentialKind.LOCAL
    reader.agree(
        f"plain http is accepted for loopback alone, and {endpoint.url} is not; use https",
        ARM_ENDPOINT,
        holds=endpoint.is_loopback or not endpoint.is_plain_http,
    )
    reader.agree(
        f"local is a fixed token for loopback endpoints alone, and {endpoint.url} is none",
        CREDENTIAL,
        ARM_ENDPOINT,
        holds=endpoint.is_loopback or not is_local,
    )
    reader.agree(
        f"a real token never goes over plain http; use local for {endpoint.url}",
        CREDENTIAL,
        ARM_ENDPOINT,
        holds=is_local or not (endpoint.is_plain_http and endpoint.is_loopback),
    )
    logs = settings.logs_endpoint
    reader.agree(
        f"{logs.url} takes real tokens and {endpoint.url} the local one; both must be on this machine, or neither",
        LOGS_ENDPOINT,
        CREDENTIAL,
        holds=not settings.workspaces or (is_local and logs.is_loopback) or not (is_local or logs.is_plain_http),
    )
    reader.agree(
        f"0 (no limit) is for loopback endpoints alone, and {endpoint.url} is none",
        ARM_READS_PER_SECOND,
        ARM_ENDPOINT,
        holds=endpoint.is_loopback or settings.arm_reads_per_second > 0,
    )
    reader.agree(
        f"{format_duration(settings.recheck_delay)} is more than {RECHECK_MAX.name}, {format_duration(settings.recheck_max)}",
        RECHECK_DELAY,
        RECHECK_MAX,
        holds=settings.recheck_delay <= settings.recheck_max,
    )
    missing = [f"{setting.name}: not set; it takes {setting.values}" for setting in required if not setting.text(environ)]
    problems = [*missing, *reader.problems, *_unknown(environ)]
    if problems:
        raise ConfigError(problems)
    return settings


def _resolved(text: str) -> str:
    """The text, unless it is a reference that the platform should have put a secret's value in the place of.

    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if text.startswith("@Microsoft.KeyVault("):
        message = (
            "it is a Key Vault reference that the platform did not resolve: the app's identity needs the role Key Vault Secrets"
            " User, the vault must be reachable, and the secret must exist"
        )
        raise ValueError(message)
    return text


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
        problems.append(f"{STORAGE}__accountName: {_quote(account)} is not the name of a storage account")
    urls: dict[str, str | None] = {}
    for service in _SERVICES:
        url = fields[f"{service}ServiceUri"].rstrip("/")
        if url and not re.fullmatch(r"https://[A-Za-z0-9.-]+", url):
            problems.append(f"{STORAGE}__{service}ServiceUri: it must be https:// and a host; tokens are sent to nothing else")
        urls[service] = url or (f"https://{account}.{service}.core.windows.net" if account else None)
    credential = fields["credential"]
    if credential and credential.lower() != "managedidentity":
        problems.append(f"{STORAGE}__credential: {_quote(credential)} is not managedidentity")
    client_id = fields["clientId"]
    if client_id:
        try:
            _guid(client_id)
        except ValueError as error:
            problems.append(f"{STORAGE}__clientId: {error}")
    if problems:
        return None, problems
    found = StorageByIdentity(**urls, managed_identity=bool(credential), client_id=client_id or None)
    return found, []


def _by_key(text: str) -> tuple[StorageByKey | None, list[str]]:
    try:
        _resolved(text)
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
    plain = [url for url in endpoints if url.lower().startswith("http:") and not _is_loopback(_host(url))]
    if plain or (folded.get("defaultendpointsprotocol", "https").lower() != "https" and len(endpoints) < len(_SERVICES)):
        return None, [f"{STORAGE}: plain http is accepted for loopback alone"]
    return StorageByKey(text), []


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [setting.name for setting in SETTINGS]
    return [
        f"{name if name.isprintable() else _quote(name)}: no such setting{_did_you_mean(name.upper(), known)}"
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name not in known
    ]
