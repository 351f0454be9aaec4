"""The one place where adapters are built: settings in, a working application out.

Entry points and tests come here. Adapters are imported where they are built, so that a command that needs none of Azure
does not wait for Azure's SDKs.
"""

from __future__ import annotations

import base64
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

from shared.config import LEDGER, VERIFY_KEYS, Settings, VerifyKeyFile, VerifyKeyInline, load_settings
from shared.core.errors import ConfigError, StoreError
from shared.core.request_message import PublicKey, is_key_id, load_public_key
from shared.core.verdict import Mode
from shared.report.escape import clean
from shared.services.overlay import without_records
from shared.services.reconcile import Engine
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from shared.services.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from shared.adapters.sqlite_store import SqliteStore
    from shared.config import VerifyKey
    from shared.core.report_data import ReportData
    from shared.ports import AllowlistSource, Clock, Ledger
    from shared.report.web import WebAnswer
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

    async def sweep(self, progress: Progress | None = None) -> SweepResult:
        """One sweep.

        Raises:
            StoreError: where the state store failed as a whole.

        """
        return await sweep(self.engine, progress, dry_run=self.dry_run)

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
            allowlist=_allowlist(settings),
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
async def _open_store(environ: Mapping[str, str]) -> AsyncIterator[SqliteStore]:
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the module's docstring

    try:
        setting = LEDGER.parse(LEDGER.text(environ))
    except ValueError as error:
        raise ConfigError([f"{LEDGER.name}: {error}"]) from error
    if not setting.path.exists():
        message = f"{LEDGER.name}: there is no ledger at {setting.path}; the first sweep makes it"
        raise ConfigError([message])
    async with SqliteStore(setting.path, Access.READ) as store:
        yield store


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


def _allowlist(settings: Settings) -> AllowlistSource:
    if settings.allowlist is None:
        message = "LINKGUARD_ALLOWLIST: not set"
        raise ConfigError([message])
    return allowlist_file(settings.allowlist)


def _store(settings: Settings, *, read_only: bool) -> SqliteStore:
    from shared.adapters.sqlite_store import Access, SqliteStore  # noqa: PLC0415  see the module's docstring

    return SqliteStore(settings.ledger.path, Access.READ_OR_EMPTY if read_only else Access.WRITE)
