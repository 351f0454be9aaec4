"""What settings say, once they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from shared.config.parse import is_loopback
from shared.core.address import PrivateRanges
from shared.core.confirm import TakeBackPolicy
from shared.core.verdict import Mode
from shared.core.webhook import Webhook


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
        """Whether the host is this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")


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
        return is_loopback(urlsplit(self.url).hostname or "")


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
    dead_letters: str | None
    dead_letters_schedule: str
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
