"""The one place where adapters are built: settings in, a working application out.

Entry points and tests come here. Adapters are imported where they are built, so that a command that needs none of Azure
does not wait for Azure's SDKs.
"""

from __future__ import annotations

import base64
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from shared.config import (
    LEDGER,
    STORAGE,
    VERIFY_KEYS,
    WORKSPACES,
    BlobUrl,
    Settings,
    SqliteLedger,
    StorageByIdentity,
    StorageByKey,
    TablesLedger,
    VerifyKeyFile,
    VerifyKeyInline,
    load_settings,
    read_storage,
)
from shared.core.errors import ConfigError, StoreError
from shared.core.request_message import PublicKey, is_key_id, load_public_key
from shared.core.verdict import Mode
from shared.ports import TrafficSource
from shared.report.escape import clean
from shared.services.overlay import without_records
from shared.services.reconcile import Engine
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from shared.services.sweep import sweep
from shared.services.telemetry import ToldLedger
from shared.services.work import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from shared.adapters.credentials import Credential
    from shared.adapters.log_format import LogFormat
    from shared.adapters.sqlite_store import SqliteStore
    from shared.adapters.tables_store import TablesStore
    from shared.config import VerifyKey
    from shared.core.allowlist import Allowlist
    from shared.core.report_data import ReportData
    from shared.ports import AlertSink, AllowlistSource, Clock, Ledger, WorkQueue
    from shared.report.web import WebAnswer
    from shared.services.alerting import Delivered, Outside
    from shared.services.allowlist_diff import AllowlistDiff
    from shared.services.anchor import AnchorStore
    from shared.services.audit_timer import AuditRound
    from shared.services.results import SweepResult
    from shared.services.sweep import Progress


class Application:
    """Everything wired. Nothing was sent to Azure yet."""

    def __init__(self, settings: Settings, engine: Engine, ask_identity: Callable[[], Awaitable[str]], *, dry_run: bool) -> None:
        """Keep what was built.

        Args:
            settings: as configured.
            engine: what the services work with.
            ask_identity: answers the object id of the identity that Azure sees, "" where its token does not tell.
            dry_run: whether nothing is recorded, and nothing written to Azure, whatever the mode.

        """
        self.settings = settings
        self.engine = engine
        self.dry_run = dry_run
        self._ask_identity = ask_identity

    async def sweep(self, progress: Progress | None = None, *, all_sites: bool | None = None) -> SweepResult:
        """One sweep. ``all_sites``: in place of ``LINKGUARD_ALL_SITES``.

        Raises:
            StoreError: where the state store failed as a whole.

        """
        return await sweep(self.engine, progress, dry_run=self.dry_run, all_sites=all_sites)

    async def identity(self) -> str:
        """The object id of the identity that Azure sees.

        Raises:
            AzureError: where there is no token to be had.
            ConfigError: where the token does not say whose it is.

        """
        found = await self._ask_identity()
        if not found:
            message = "the token names no object id, so it could not be recorded who decided: sign in as a person or an identity"
            raise ConfigError([message])
        return found


@asynccontextmanager
async def open_application(
    environ: Mapping[str, str], *, dry_run: bool = False, read_only: bool = False, mode: Mode | None = None
) -> AsyncIterator[Application]:
    """The application that ``environ`` describes; closed again at the end.

    Args:
        environ: the settings (:mod:`shared.config`).
        dry_run: observe, and record nothing; a ledger that does not exist yet is not made.
        read_only: for what only looks: the stores take no writes, and a ledger that does not exist yet is not made.
        mode: in place of ``LINKGUARD_MODE``.

    Raises:
        ConfigError: with every problem of the settings, or of the keys that they name.
        StoreError: where the ledger cannot be opened.

    """
    settings = load_settings(environ)
    settings = replace(settings, mode=mode or settings.mode)
    engine_settings = make_engine_settings(settings)
    if dry_run:
        # The mode is the switch that stops every write; the stores' overlay stops every record.
        engine_settings = replace(engine_settings, mode=Mode.OBSERVE)
    from shared.adapters.arm import Arm  # noqa: PLC0415  see the module's docstring
    from shared.adapters.credentials import identity_object_id, make_credential  # noqa: PLC0415  the same

    endpoint, clock = settings.arm_endpoint, make_clock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_store(settings, read_only=dry_run or read_only))
        credential = make_credential(
            settings.credential.value,
            endpoint=endpoint.url,
            authority=endpoint.authority,
            client_id=settings.managed_identity_client_id,
        )
        await stack.enter_async_context(credential)
        azure = Arm(
            endpoint=endpoint.url,
            scope=endpoint.scope,
            credential=credential,
            clock=clock,
            timeout=settings.arm_timeout.total_seconds(),
            reads_per_second=settings.arm_reads_per_second,
            concurrency=settings.concurrency,
        )
        await stack.enter_async_context(azure)
        engine = Engine(
            azure=azure,
            ledger=store,
            state=store,
            allowlist=await stack.enter_async_context(_allowlist(settings)),
            clock=clock,
            settings=engine_settings,
            snapshots=Snapshots(azure, store),
        )
        if dry_run:
            engine = without_records(engine)
        ask_identity = partial(identity_object_id, credential, endpoint.scope)
        yield Application(settings, engine, ask_identity, dry_run=dry_run)


@asynccontextmanager
async def open_ledger(environ: Mapping[str, str]) -> AsyncIterator[Ledger]:
    """The ledger alone, for reading: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be opened.

    """
    async with _open_store(environ) as store:
        yield store


async def read_report(environ: Mapping[str, str]) -> ReportData:
    """What a report is made from, of the stores alone: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be read.

    """
    from shared.services.report_data import collect  # noqa: PLC0415  only where a report is made

    async with _open_store(environ) as store:
        return await collect(store, store, make_clock().now())


async def answer_report(environ: Mapping[str, str], headers: Mapping[str, str], wanted: str) -> WebAnswer:
    """The report over HTTP. ``wanted``: ``html``, ``json`` or "".

    Raises:
        ConfigError: where a setting is wrong.

    """
    from shared.report.web import PLATFORM_AUTHENTICATION, answer, refuse, unavailable  # noqa: PLC0415  only for its function

    refused = refuse(
        headers,
        require_principal=load_settings(environ, required=()).report_require_principal,
        platform_authenticates=environ.get(PLATFORM_AUTHENTICATION, "").casefold() == "true",
    )
    if refused is not None:
        return refused
    try:
        data = await read_report(environ)
    except StoreError as error:
        logging.getLogger("linkguard").error("the report could not be made: %s", clean(str(error)))  # noqa: TRY400  a trace may quote anything
        return unavailable()
    return answer(data, wanted)


@asynccontextmanager
async def _open_store(environ: Mapping[str, str]) -> AsyncIterator[SqliteStore | TablesStore]:
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the module's docstring

    try:
        setting = LEDGER.parse(LEDGER.text(environ))
    except ValueError as error:
        raise ConfigError([f"{LEDGER.name}: {error}"]) from error
    if isinstance(setting, TablesLedger):
        storage, problems = read_storage(environ)
        if problems:
            raise ConfigError(problems)
        async with _tables(storage) as tables:
            yield tables
        return
    if not setting.path.exists():
        message = f"{LEDGER.name}: there is no ledger at {setting.path}; the first sweep makes it"
        raise ConfigError([message])
    async with SqliteStore(setting.path, Access.READ) as store:
        yield store


@asynccontextmanager
async def open_anchors(environ: Mapping[str, str], place: str) -> AsyncIterator[AnchorStore]:
    """The ledger's anchors at ``place``: the URL of a container, for which the identity of the settings is used, or a folder.

    Raises:
        ConfigError: where it is neither, or a setting is wrong.

    """
    from shared.adapters.anchors import BlobAnchors, FolderAnchors  # noqa: PLC0415  see the module's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same

    if "://" not in place:
        async with FolderAnchors.at(Path(place)) as folder:
            yield folder
        return
    if not place.startswith("https://"):
        raise ConfigError(["a token is sent to an https URL alone, and the anchors' is none"])
    settings = load_settings(environ, required=())
    kind, client_id = settings.credential.value, settings.managed_identity_client_id
    async with (
        make_credential(kind, endpoint=place, authority=settings.arm_endpoint.authority, client_id=client_id) as credential,
        BlobAnchors.with_identity(place, credential) as anchors,
    ):
        yield anchors


async def compare_allowlists(environ: Mapping[str, str], old: Allowlist, new: Allowlist) -> AllowlistDiff:
    """What changes between two allowlists, on the stores alone: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be read.

    """
    from shared.services.allowlist_diff import diff  # noqa: PLC0415  only for its command

    async with _open_store(environ) as store:
        return await diff(old, new, store, store, make_clock().now())


async def export_ledger(environ: Mapping[str, str]) -> None:
    """Anchor the ledger at ``LINKGUARD_ANCHORS``; nothing is done without it.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: where the ledger cannot be read, an anchor not written, or a chain has a fault.

    """
    from shared.adapters.log_telemetry import LogTelemetry  # noqa: PLC0415  see the module's docstring
    from shared.services.anchor import export_and_tell  # noqa: PLC0415  only for its function

    place = load_settings(environ, required=()).anchors
    if place is None:
        return
    async with open_ledger(environ) as ledger, open_anchors(environ, place) as anchors:
        await export_and_tell(ledger, anchors, LogTelemetry())


@asynccontextmanager
async def open_alerts(environ: Mapping[str, str], *, log: bool | None = None) -> AsyncIterator[Outside]:
    """The outbox and every sink that the settings name; needs the ledger, and nothing of Azure Resource Manager.

    ``log``: in place of ``LINKGUARD_ALERTS_LOG``.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: where the ledger cannot be opened.

    """
    from shared.adapters.alert_log import LogSink  # noqa: PLC0415  see the module's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same
    from shared.adapters.event_grid import EventGridSink  # noqa: PLC0415  the same
    from shared.adapters.webhook import WebhookSink  # noqa: PLC0415  the same
    from shared.services.alerting import Outside  # noqa: PLC0415  only where alerts are delivered

    settings, clock = load_settings(environ, required=()), make_clock()
    async with AsyncExitStack() as stack:
        sinks: list[AlertSink] = [LogSink()] if (settings.alerts_log if log is None else log) else []
        webhooks = (WebhookSink(webhook, clock) for webhook in settings.alerts_webhooks)
        sinks += [await stack.enter_async_context(webhook) for webhook in webhooks]
        if settings.alerts_event_grid is not None:
            credential = make_credential(
                settings.credential.value,
                endpoint=settings.alerts_event_grid,
                authority=settings.arm_endpoint.authority,
                client_id=settings.managed_identity_client_id,
            )
            await stack.enter_async_context(credential)
            sinks.append(await stack.enter_async_context(EventGridSink(settings.alerts_event_grid, credential)))
        store = await stack.enter_async_context(_store(settings, read_only=False))
        yield Outside(state=store, ledger=store, clock=clock, sinks=sinks, reminder=settings.alerts_reminder)


async def deliver_alerts(environ: Mapping[str, str]) -> Delivered:
    """Deliver what is due, once.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: where a store failed.

    """
    from shared.services.alerting import deliver  # noqa: PLC0415  only where alerts are delivered

    async with open_alerts(environ) as outside:
        return await deliver(outside)


def make_clock() -> Clock:
    """Real time."""
    from shared.adapters.system_clock import SystemClock  # noqa: PLC0415  see the module's docstring

    return SystemClock()


def allowlist_file(path: Path) -> AllowlistSource:
    """An allowlist in a local file."""
    from shared.adapters.files import FileAllowlist  # noqa: PLC0415  see the module's docstring

    return FileAllowlist(path)


def make_engine_settings(settings: Settings) -> EngineSettings:
    """What the services are told.

    Raises:
        ConfigError: where a public key cannot be read or is not one that signatures can be verified with.

    """
    return EngineSettings(
        mode=settings.mode,
        subscriptions=settings.subscriptions,
        settle=settings.settle,
        confirm_deadline=settings.confirm_deadline,
        take_back=settings.take_back,
        recheck_delay=settings.recheck_delay,
        recheck_max=settings.recheck_max,
        approvals_per_target_per_hour=settings.approvals_per_target_per_hour,
        approvals_per_hour=settings.approvals_per_hour,
        snapshot_max_age=settings.snapshot_max_age,
        arm_timeout=settings.arm_timeout,
        concurrency=settings.concurrency,
        all_sites=settings.all_sites,
        alerts_reminder=settings.alerts_reminder,
        keys=_load_keys(settings.verify_keys),
    )


_MAX_KEY_BYTES = 64 * 1024


def _load_keys(configured: tuple[VerifyKey, ...]) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    problems: list[str] = []
    for key in configured:
        if not is_key_id(key.key_id):
            problems.append(f"{VERIFY_KEYS.name}: {key.key_id!r} is not a key id: use 1 to 16 letters, digits, _ and -")
        try:
            keys[key.key_id] = load_public_key(_key_text(key))
        except ConfigError as error:
            problems += [f"{VERIFY_KEYS.name}: {key.key_id}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return keys


def _key_text(key: VerifyKey) -> str:
    match key:
        case VerifyKeyInline(der=der):
            return base64.b64encode(der).decode("ascii")
        case VerifyKeyFile(path=path):
            return read_small_file(path)
        case _ as never:
            assert_never(never)


def read_small_file(path: Path) -> str:
    """The text of a file that holds a key.

    Raises:
        ConfigError: where it is missing, no regular file, too large for a key, or no text.

    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path} is no regular file"])
        with path.open("rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
        if len(content) > _MAX_KEY_BYTES:
            raise ConfigError([f"{path} is too large to be a key"])
        return content.decode("ascii")
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror or type(error).__name__}"]) from error
    except UnicodeDecodeError:
        raise ConfigError([f"{path} is no PEM file"]) from None


@asynccontextmanager
async def _allowlist(settings: Settings) -> AsyncIterator[AllowlistSource]:
    match settings.allowlist:
        case None:
            message = "LINKGUARD_ALLOWLIST: not set"
            raise ConfigError([message])
        case BlobUrl() as blob:
            async with _blob_allowlist(settings, blob) as source:
                yield source
        case path:
            yield allowlist_file(path)


@asynccontextmanager
async def _blob_allowlist(settings: Settings, blob: BlobUrl) -> AsyncIterator[AllowlistSource]:
    from shared.adapters.blob_allowlist import BlobAllowlist  # noqa: PLC0415  see the module's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same

    if blob.is_loopback:
        if not isinstance(settings.storage, StorageByKey):
            message = (
                f"LINKGUARD_ALLOWLIST: a blob on this machine is read by the connection string in {STORAGE}, and there is none"
            )
            raise ConfigError([message])
        async with BlobAllowlist.with_connection_string(settings.storage.connection_string, blob.url) as source:
            yield source
    elif isinstance(settings.storage, StorageByIdentity):
        async with (
            _storage_credential(settings.storage) as credential,
            BlobAllowlist.with_identity(blob.url, credential) as source,
        ):
            yield source
    else:
        kind, client_id = settings.credential.value, settings.managed_identity_client_id
        async with (
            make_credential(
                kind, endpoint=blob.url, authority=settings.arm_endpoint.authority, client_id=client_id
            ) as credential,
            BlobAllowlist.with_identity(blob.url, credential) as source,
        ):
            yield source


@asynccontextmanager
async def _store(settings: Settings, *, read_only: bool) -> AsyncIterator[SqliteStore | TablesStore]:
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the module's docstring

    match settings.ledger:
        case TablesLedger():
            async with _tables(settings.storage) as tables:
                yield tables
        case SqliteLedger(path=path):
            async with SqliteStore(path, Access.READ_OR_EMPTY if read_only else Access.WRITE) as store:
                yield store
        case _ as never:
            assert_never(never)


# Azure Storage


def _storage_credential(storage: StorageByIdentity) -> Credential:
    from shared.adapters.credentials import DEFAULT, MANAGED_IDENTITY, make_credential  # noqa: PLC0415  see above

    kind = MANAGED_IDENTITY if storage.managed_identity else DEFAULT
    return make_credential(kind, endpoint=storage.queue or storage.table or storage.blob or "", client_id=storage.client_id)


@asynccontextmanager
async def _tables(storage: StorageByKey | StorageByIdentity | None) -> AsyncIterator[TablesStore]:
    from shared.adapters.tables_store import TablesStore  # noqa: PLC0415  see the module's docstring

    match storage:
        case StorageByKey(connection_string=text):
            async with TablesStore.with_connection_string(text) as store:
                yield store
        case StorageByIdentity(table=str(url)):
            async with _storage_credential(storage) as credential, TablesStore.with_identity(url, credential) as store:
                yield store
        case _:
            message = f"{LEDGER.name}: tables are those of the storage account in {STORAGE}, which names none"
            raise ConfigError([message])


@asynccontextmanager
async def _queue(storage: StorageByKey | StorageByIdentity | None) -> AsyncIterator[WorkQueue]:
    from shared.adapters.storage_queue import StorageQueue  # noqa: PLC0415  see the module's docstring

    match storage:
        case StorageByKey(connection_string=text):
            async with StorageQueue.with_connection_string(text) as queue:
                yield queue
        case StorageByIdentity(queue=str(url)):
            async with _storage_credential(storage) as credential, StorageQueue.with_identity(url, credential) as queue:
                yield queue
        case _:
            message = f"{STORAGE}: the queue is that of this storage account, and it names none"
            raise ConfigError([message])


@asynccontextmanager
async def open_work(environ: Mapping[str, str]) -> AsyncIterator[Work]:
    """What the deployed app's triggers work with, as ``environ`` describes it; closed again at the end.

    Raises:
        ConfigError: with every problem of the settings.
        StoreError: where the ledger cannot be opened.

    """
    from shared.adapters.log_telemetry import LogTelemetry  # noqa: PLC0415  see the module's docstring

    problems = read_storage(environ)[1]
    if problems:
        raise ConfigError(problems)
    async with open_application(environ) as application, _queue(application.settings.storage) as queue:
        telemetry, engine = LogTelemetry(), application.engine
        yield Work(
            engine=replace(engine, ledger=ToldLedger(engine.ledger, telemetry, engine.clock)),
            queue=queue,
            telemetry=telemetry,
            sweep_run=application.settings.sweep_run,
            sweep_max_age=application.settings.sweep_max_age,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Logs of traffic, wherever they are."""

    files: tuple[TrafficSource, ...]
    remote: tuple[TrafficSource, ...]
    """In Azure."""
    size: int | None
    """Bytes to read, None where that is not known."""


@asynccontextmanager
async def open_traffic(  # noqa: PLR0913  each names logs of another kind
    environ: Mapping[str, str],
    *,
    logs: Sequence[str] = (),
    log_format: LogFormat,
    blobs: Sequence[str] = (),
    workspaces: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> AsyncIterator[Traffic]:
    """The logs that are named; local files need no setting.

    Raises:
        ConfigError: where a path names nothing, a URL no container, or a setting is wrong.

    """
    from shared.adapters.log_files import LogFiles  # noqa: PLC0415  see the module's docstring

    files = [LogFiles(logs, log_format=log_format, progress=progress)] if logs else []
    remote: list[TrafficSource] = []
    async with AsyncExitStack() as stack:
        if blobs or workspaces:
            settings = load_settings({**environ, WORKSPACES.name: ",".join(workspaces)}, required=())
            remote += [await stack.enter_async_context(_log_blobs(settings, url, progress)) for url in blobs]
            if workspaces:
                remote.append(await stack.enter_async_context(_log_analytics(settings)))
        yield Traffic(files=tuple(files), remote=tuple(remote), size=files[0].size if files and not blobs else None)


@asynccontextmanager
async def _log_analytics(settings: Settings) -> AsyncIterator[TrafficSource]:
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  see the module's docstring
    from shared.adapters.log_analytics import LogAnalytics  # noqa: PLC0415  the same

    endpoint = settings.logs_endpoint
    async with (
        make_credential(
            settings.credential.value,
            endpoint=endpoint.url,
            authority=endpoint.authority,
            client_id=settings.managed_identity_client_id,
        ) as credential,
        LogAnalytics(settings.workspaces, endpoint=endpoint.url, credential=credential, tables=settings.audit_tables) as source,
    ):
        yield source


@asynccontextmanager
async def _log_blobs(settings: Settings, url: str, progress: Callable[[int], None] | None) -> AsyncIterator[TrafficSource]:
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  see the module's docstring
    from shared.adapters.log_blobs import LogBlobs  # noqa: PLC0415  the same

    if BlobUrl(url).is_loopback and isinstance(settings.storage, StorageByKey):
        async with LogBlobs.with_connection_string(settings.storage.connection_string, url, progress=progress) as source:
            yield source
        return
    kind, client_id = settings.credential.value, settings.managed_identity_client_id
    authority = settings.arm_endpoint.authority
    async with (
        make_credential(kind, endpoint=url, authority=authority, client_id=client_id) as credential,
        LogBlobs.with_identity(url, credential, progress=progress) as source,
    ):
        yield source


async def audit_traffic(environ: Mapping[str, str]) -> AuditRound | None:
    """Audit the window that is due; None where no workspace is named or nothing is due.

    Raises:
        ConfigError: where a setting is wrong.
        AzureError: where the links of the scanned subscriptions cannot be read.
        StoreError: where a store failed.

    """
    from shared.services.audit_timer import run_audit  # noqa: PLC0415  only where traffic is audited

    if not WORKSPACES.text(environ):
        return None
    async with open_application(environ) as application, _log_analytics(application.settings) as source:
        return await run_audit(application.engine, [source], application.settings.private_ranges)
