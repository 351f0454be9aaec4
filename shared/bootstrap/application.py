"""The engine, wired."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shared.bootstrap.allowlists import open_allowlist
from shared.bootstrap.clock import make_clock
from shared.bootstrap.keys import load_keys
from shared.bootstrap.stores import open_queue, open_settings_store
from shared.config import Settings, load_settings, read_storage
from shared.core.errors import ConfigError
from shared.core.verdict import Mode
from shared.services.budget import Budgets
from shared.services.engine import Engine
from shared.services.overlay import without_records
from shared.services.settings import EngineSettings
from shared.services.snapshot import Snapshots
from shared.services.sweep import sweep
from shared.services.telemetry import ToldLedger
from shared.services.work import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

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
    from shared.adapters.arm import Arm  # noqa: PLC0415  see the package's docstring
    from shared.adapters.credentials import identity_object_id, make_credential  # noqa: PLC0415  the same

    endpoint, clock = settings.arm_endpoint, make_clock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_settings_store(settings, read_only=dry_run or read_only))
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
            allowlist=await stack.enter_async_context(open_allowlist(settings)),
            clock=clock,
            settings=engine_settings,
            snapshots=Snapshots(azure, store),
            budgets=Budgets(store),
        )
        if dry_run:
            engine = without_records(engine)
        ask_identity = partial(identity_object_id, credential, endpoint.scope)
        yield Application(settings, engine, ask_identity, dry_run=dry_run)


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
        keys=load_keys(settings.verify_keys),
    )


@asynccontextmanager
async def open_work(environ: Mapping[str, str]) -> AsyncIterator[Work]:
    """What the deployed app's triggers work with, as ``environ`` describes it; closed again at the end.

    Raises:
        ConfigError: with every problem of the settings.
        StoreError: where the ledger cannot be opened.

    """
    from shared.adapters.log_telemetry import LogTelemetry  # noqa: PLC0415  see the package's docstring

    problems = read_storage(environ)[1]
    if problems:
        raise ConfigError(problems)
    async with open_application(environ) as application, open_queue(application.settings.storage) as queue:
        telemetry, engine = LogTelemetry(), application.engine
        yield Work(
            engine=replace(engine, ledger=ToldLedger(engine.ledger, telemetry, engine.clock)),
            queue=queue,
            telemetry=telemetry,
            sweep_run=application.settings.sweep_run,
            sweep_max_age=application.settings.sweep_max_age,
        )
