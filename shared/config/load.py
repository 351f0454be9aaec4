"""Every setting read and held to the others; every problem kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.config.model import CredentialKind, Settings, StorageByKey, TablesLedger
from shared.config.parse import did_you_mean, format_duration, quote, resolved
from shared.config.storage import STORAGE, read_storage
from shared.config.table import (
    ALERTS_EVENT_GRID,
    ALERTS_LOG,
    ALERTS_REMINDER,
    ALERTS_SCHEDULE,
    ALERTS_WEBHOOKS,
    ALL_SITES,
    ALLOWLIST,
    ANCHORS,
    APPROVALS_PER_HOUR,
    APPROVALS_PER_TARGET_PER_HOUR,
    ARM_ENDPOINT,
    ARM_READS_PER_SECOND,
    ARM_TIMEOUT,
    AUDIT_SCHEDULE,
    AUDIT_TABLES,
    CONCURRENCY,
    CONFIRM_DEADLINE,
    CREDENTIAL,
    DEAD_LETTERS,
    DEAD_LETTERS_SCHEDULE,
    EXPORT_SCHEDULE,
    LEDGER,
    LOGS_ENDPOINT,
    MANAGED_IDENTITY_CLIENT_ID,
    MODE,
    PREFIX,
    PRIVATE_RANGES,
    RECHECK_DELAY,
    RECHECK_MAX,
    REPORT_REQUIRE_PRINCIPAL,
    REQUIRED,
    SETTINGS,
    SETTLE,
    SNAPSHOT_MAX_AGE,
    SUBSCRIPTIONS,
    SWEEP_MAX_AGE,
    SWEEP_RUN,
    SWEEP_SCHEDULE,
    TAKE_BACK,
    VERIFY_KEYS,
    WORKSPACES,
    Setting,
)
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class _Reader:
    """Reads one setting after another and keeps every problem instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: set[str] = set()
        self.problems: list[str] = []

    def read[T](self, setting: Setting[T]) -> T:
        """What the environment says; the default after a problem, so that the reading can go on."""
        try:
            return setting.parse(resolved(setting.text(self._environ)))
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
        dead_letters=reader.read(DEAD_LETTERS),
        dead_letters_schedule=reader.read(DEAD_LETTERS_SCHEDULE),
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


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [setting.name for setting in SETTINGS]
    return [
        f"{name if name.isprintable() else quote(name)}: no such setting{did_you_mean(name.upper(), known)}"
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name not in known
    ]
