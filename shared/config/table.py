"""The one table of settings: names, defaults, meanings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.config.lists import private_ranges, tables, verify_keys
from shared.config.model import CredentialKind
from shared.config.parse import choice, duration, flag, guid, guids, integer, schedule
from shared.config.places import allowlist, arm_endpoint, container, ledger, logs_endpoint, topic, webhook_hosts, webhooks
from shared.core.confirm import TakeBackPolicy
from shared.core.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "LINKGUARD_"
"""Every setting's name starts so; a name that does and is no setting is a problem, since it may be a mistyped one."""


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


MODE: Final = Setting(
    name="LINKGUARD_MODE",
    default=Mode.OBSERVE.value,
    values="`observe` or `enforce`",
    doc="Whether Linkguard only decides and records, or also approves.",
    parse=choice(Mode),
)
ALLOWLIST: Final = Setting(
    name="LINKGUARD_ALLOWLIST",
    default="",
    values="the path of a YAML file, or `https://<account>.blob.core.windows.net/<container>/<blob>`",
    doc="What may be approved.",
    parse=allowlist,
)
SUBSCRIPTIONS: Final = Setting(
    name="LINKGUARD_SUBSCRIPTIONS",
    default="",
    values="subscription ids, comma-separated",
    doc="Where SignalR services and their links are looked for.",
    parse=guids,
)
LEDGER: Final = Setting(
    name="LINKGUARD_LEDGER",
    default="sqlite:///linkguard.sqlite3",
    values="`sqlite:///relative/path`, `sqlite:////absolute/path` or `tables`",
    doc="Where the ledger and the state store are; `tables` are those of the storage account in `AzureWebJobsStorage`.",
    parse=ledger,
)
ARM_ENDPOINT: Final = Setting(
    name="LINKGUARD_ARM_ENDPOINT",
    default="public",
    values="`public`, `usgov`, `china`, or a URL",
    doc="Azure Resource Manager; the scope of a URL's tokens is `<url>/.default`, and plain http is for loopback alone.",
    parse=arm_endpoint,
)
CREDENTIAL: Final = Setting(
    name="LINKGUARD_CREDENTIAL",
    default=CredentialKind.DEFAULT.value,
    values="`default`, `managed-identity` or `local`",
    doc="Where tokens come from; `local` is a fixed token, for loopback endpoints alone.",
    parse=choice(CredentialKind),
)
MANAGED_IDENTITY_CLIENT_ID: Final = Setting(
    name="LINKGUARD_MANAGED_IDENTITY_CLIENT_ID",
    default="",
    values="a client id",
    doc="The user-assigned managed identity to use; the system-assigned one without it.",
    parse=lambda text: guid(text) if text else None,
)
SETTLE: Final = Setting(
    name="LINKGUARD_SETTLE",
    default="30s",
    values="a duration from `1ms` to `1d`",
    doc="How far apart two observations must be, at least, that say the same before anything is approved.",
    parse=duration(least="1ms", most="1d"),
)
CONFIRM_DEADLINE: Final = Setting(
    name="LINKGUARD_CONFIRM_DEADLINE",
    default="60m",
    values="a duration from `1ms` to `7d`",
    doc="How long the link itself may take to become Approved before a contradiction counts.",
    parse=duration(least="1ms", most="7d"),
)
TAKE_BACK: Final = Setting(
    name="LINKGUARD_TAKE_BACK",
    default=TakeBackPolicy.CONTRADICTION.value,
    values="`contradiction`, `deadline` or `never`",
    doc="When an unconfirmed approval is taken back: contradicted at the deadline, merely unconfirmed then, or never.",
    parse=choice(TakeBackPolicy),
)
RECHECK_DELAY: Final = Setting(
    name="LINKGUARD_RECHECK_DELAY",
    default="15s",
    values="a duration from `1ms` to `1d`",
    doc="The first wait before a target is looked at again; it doubles each time.",
    parse=duration(least="1ms", most="1d"),
)
RECHECK_MAX: Final = Setting(
    name="LINKGUARD_RECHECK_MAX",
    default="10m",
    values="a duration from `1ms` to `1d`",
    doc="What that wait grows to at most.",
    parse=duration(least="1ms", most="1d"),
)
APPROVALS_PER_TARGET_PER_HOUR: Final = Setting(
    name="LINKGUARD_APPROVALS_PER_TARGET_PER_HOUR",
    default="5",
    values="a number from 0 to 1000",
    doc="How many connections of one target may be approved in an hour.",
    parse=integer(least=0, most=1000),
)
APPROVALS_PER_HOUR: Final = Setting(
    name="LINKGUARD_APPROVALS_PER_HOUR",
    default="100",
    values="a number from 0 to 100000",
    doc="How many connections may be approved in an hour in all.",
    parse=integer(least=0, most=100_000),
)
VERIFY_KEYS: Final = Setting(
    name="LINKGUARD_VERIFY_KEYS",
    default="",
    values="`<key id>=<path of a PEM file>` or `<key id>=spki:<base64 of the DER>`, comma-separated",
    doc="The public keys (P-256) that signed request messages are verified with.",
    parse=verify_keys,
)
SNAPSHOT_MAX_AGE: Final = Setting(
    name="LINKGUARD_SNAPSHOT_MAX_AGE",
    default="10m",
    values="a duration from `0s` to `1d`",
    doc="How old the last sweep's view of other services' links may be; older, and the subscriptions are listed again.",
    parse=duration(least="0s", most="1d"),
)
ARM_TIMEOUT: Final = Setting(
    name="LINKGUARD_ARM_TIMEOUT",
    default="30s",
    values="a duration from `100ms` to `10m`",
    doc="How long one call to Azure Resource Manager may take.",
    parse=duration(least="100ms", most="10m"),
)
ARM_READS_PER_SECOND: Final = Setting(
    name="LINKGUARD_ARM_READS_PER_SECOND",
    default="20",
    values="a number from 1 to 24; 0, no limit, for loopback endpoints alone",
    doc="Reads a second in each subscription; Azure refills 25 and others share them.",
    parse=integer(least=0, most=24),
)
CONCURRENCY: Final = Setting(
    name="LINKGUARD_CONCURRENCY",
    default="32",
    values="a number from 1 to 256",
    doc="How many calls and targets are worked on at once.",
    parse=integer(least=1, most=256),
)
SWEEP_SCHEDULE: Final = Setting(
    name="LINKGUARD_SWEEP_SCHEDULE",
    default="0 */10 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app sweeps; the Functions host reads it, so it must be set there.",
    parse=schedule,
)
SWEEP_RUN: Final = Setting(
    name="LINKGUARD_SWEEP_RUN",
    default="5m",
    values="a duration from `1ms` to `1h`",
    doc="How long one run of the deployed sweep begins with further targets; what is left goes on in messages.",
    parse=duration(least="1ms", most="1h"),
)
SWEEP_MAX_AGE: Final = Setting(
    name="LINKGUARD_SWEEP_MAX_AGE",
    default="45m",
    values="a duration from `1s` to `7d`",
    doc="How long ago the last sweep may have ended before the deployed app says that it is not well.",
    parse=duration(least="1s", most="7d"),
)
REPORT_REQUIRE_PRINCIPAL: Final = Setting(
    name="LINKGUARD_REPORT_REQUIRE_PRINCIPAL",
    default="false",
    values="`true` or `false`",
    doc="Whether the function that serves the report demands that App Service authentication has signed the caller in.",
    parse=flag,
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
    parse=schedule,
)
DEAD_LETTERS: Final = Setting(
    name="LINKGUARD_DEAD_LETTERS",
    default="",
    values="the name of a container",
    doc="Where Event Grid puts what it cannot deliver, in the storage account of `AzureWebJobsStorage`; nowhere without it.",
    parse=container,
)
DEAD_LETTERS_SCHEDULE: Final = Setting(
    name="LINKGUARD_DEAD_LETTERS_SCHEDULE",
    default="45 */5 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app looks there; the Functions host reads it, so it must be set there.",
    parse=schedule,
)
ALL_SITES: Final = Setting(
    name="LINKGUARD_ALL_SITES",
    default="false",
    values="`true` or `false`",
    doc="Whether a sweep reports pending connections of every site of the subscriptions, watched or not.",
    parse=flag,
)
ALERTS_LOG: Final = Setting(
    name="LINKGUARD_ALERTS_LOG",
    default="true",
    values="`true` or `false`",
    doc="Whether each alert is a structured line of the log, for Azure Monitor's alert rules.",
    parse=flag,
)
ALERTS_WEBHOOKS: Final = Setting(
    name="LINKGUARD_ALERTS_WEBHOOKS",
    default="",
    values="`generic=<url>`, `teams=<url>` or `slack=<url>`, comma-separated; https, and a secret",
    doc="Webhooks that alerts are sent to, each in its format.",
    parse=webhooks,
    shown=webhook_hosts,
)
ALERTS_EVENT_GRID: Final = Setting(
    name="LINKGUARD_ALERTS_EVENT_GRID",
    default="",
    values="the endpoint of an Event Grid custom topic with the CloudEvents 1.0 schema",
    doc="A topic that alerts are published to, by the identity of `LINKGUARD_CREDENTIAL`.",
    parse=topic,
)
ALERTS_REMINDER: Final = Setting(
    name="LINKGUARD_ALERTS_REMINDER",
    default="24h",
    values="a duration from `0s` to `30d`",
    doc="How often an open critical finding is told again; 0s is never.",
    parse=duration(least="0s", most="30d"),
)
ALERTS_SCHEDULE: Final = Setting(
    name="LINKGUARD_ALERTS_SCHEDULE",
    default="30 * * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app delivers alerts; the Functions host reads it, so it must be set there.",
    parse=schedule,
)
LOGS_ENDPOINT: Final = Setting(
    name="LINKGUARD_LOGS_ENDPOINT",
    default="public",
    values="`public`, `usgov`, `china`, or a URL",
    doc="The query API of Log Analytics; plain http is for loopback alone.",
    parse=logs_endpoint,
)
WORKSPACES: Final = Setting(
    name="LINKGUARD_WORKSPACES",
    default="",
    values="workspace ids, comma-separated",
    doc="The Log Analytics workspaces whose traffic logs the deployed app audits; none without it.",
    parse=guids,
)
AUDIT_TABLES: Final = Setting(
    name="LINKGUARD_AUDIT_TABLES",
    default="AppServiceHTTPLogs",
    values="`AppServiceHTTPLogs`, `AppRequests`, `AppTraces`, `FunctionAppLogs`, comma-separated",
    doc="The tables that are audited; one that cannot be read makes every target inconclusive.",
    parse=tables,
)
PRIVATE_RANGES: Final = Setting(
    name="LINKGUARD_PRIVATE_RANGES",
    default="",
    values="ranges such as `10.20.0.0/16`, comma-separated",
    doc="What alone counts as private in an audit; RFC 1918 and fc00::/7 without it.",
    parse=private_ranges,
)
AUDIT_SCHEDULE: Final = Setting(
    name="LINKGUARD_AUDIT_SCHEDULE",
    default="0 35 * * * *",
    values="an NCRONTAB expression of six fields, UTC",
    doc="When the deployed app audits traffic; the Functions host reads it, so it must be set there.",
    parse=schedule,
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
    DEAD_LETTERS,
    DEAD_LETTERS_SCHEDULE,
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
