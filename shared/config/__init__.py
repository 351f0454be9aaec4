"""Settings: a mapping of environment variables -> frozen :class:`Settings`, every problem at once.

Nothing here reads ``os.environ``: an entry point hands over the mapping. ``SETTINGS`` is the one table of names, defaults and
meanings; the README, ``local.settings.sample.json`` and ``linkguard config check`` are held to it. A new setting is a field of
``model.Settings``, an entry of ``table.SETTINGS`` and a line of ``load.load_settings``.
"""

from shared.config.load import load_settings
from shared.config.model import (
    ArmEndpoint,
    BlobUrl,
    CredentialKind,
    Settings,
    SqliteLedger,
    StorageByIdentity,
    StorageByKey,
    TablesLedger,
    VerifyKey,
    VerifyKeyFile,
    VerifyKeyInline,
)
from shared.config.parse import format_duration, parse_duration
from shared.config.storage import STORAGE, read_storage
from shared.config.table import (
    ALERTS_REMINDER,
    ALERTS_SCHEDULE,
    DEAD_LETTERS,
    DEAD_LETTERS_SCHEDULE,
    EXPORT_SCHEDULE,
    LEDGER,
    MODE,
    PREFIX,
    SETTINGS,
    SNAPSHOT_MAX_AGE,
    SUBSCRIPTIONS,
    VERIFY_KEYS,
    WORKSPACES,
    Setting,
)

__all__ = [
    "ALERTS_REMINDER",
    "ALERTS_SCHEDULE",
    "DEAD_LETTERS",
    "DEAD_LETTERS_SCHEDULE",
    "EXPORT_SCHEDULE",
    "LEDGER",
    "MODE",
    "PREFIX",
    "SETTINGS",
    "SNAPSHOT_MAX_AGE",
    "STORAGE",
    "SUBSCRIPTIONS",
    "VERIFY_KEYS",
    "WORKSPACES",
    "ArmEndpoint",
    "BlobUrl",
    "CredentialKind",
    "Setting",
    "Settings",
    "SqliteLedger",
    "StorageByIdentity",
    "StorageByKey",
    "TablesLedger",
    "VerifyKey",
    "VerifyKeyFile",
    "VerifyKeyInline",
    "format_duration",
    "load_settings",
    "parse_duration",
    "read_storage",
]
