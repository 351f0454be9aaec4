"""Azure Resource Manager through Microsoft's own SDKs: the real side of the port ``Azure``."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from shared.adapters import arm_parse
from shared.adapters.arm_errors import (
    DELETE,
    GET,
    LINK_TYPE,
    PLAN_TYPE,
    PUT,
    SITE_CONNECTION_TYPE,
    SLOT_CONNECTION_TYPE,
    Operation,
    is_missing,
    malformed,
    not_found,
    refusal,
)
from shared.adapters.arm_parse import distinct
from shared.adapters.urls import has_origin, is_loopback
from shared.core.errors import AzureForbiddenError, ConfigError
from shared.core.model import SIGNALR_TYPE, SITE_TYPE, SLOT_TYPE, Connection, ListedSite, SignalR, Site, Target
from shared.ports import CallCount, Reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential

    from shared.adapters.arm_http import Answer
    from shared.adapters.arm_parse import InlineSignalR, Page
    from shared.adapters.arm_sdk import Sdk
    from shared.core.arm_id import ArmId
    from shared.ports import Clock

MAX_PAGES: Final = 10_000
"""Pages of one list; more is a server that never ends."""
PLAN_KEPT: Final = timedelta(days=1)
"""How long a plan's tier is taken as read: plans are rarely scaled to another tier."""
PLAN_DENIED_KEPT: Final = timedelta(minutes=15)
"""The same where the plan is missing or may not be read: somebody may be granting that just now."""
MAX_PLANS: Final = 10_000
"""Plans kept at once."""

_WRITTEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})
_DELETED: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})

type Options = dict[str, Any]
"""Keyword arguments that every operation of the SDKs passes on to the pipeline."""
type Paged = Any
"""An ``AsyncItemPaged`` of the SDKs, declared by one of them as something less."""


@dataclass(frozen=True, slots=True)
class _Tier:
    tier: str
    until: datetime


class Arm:
    """The port ``Azure`` over azure-mgmt-signalr and azure-mgmt-web.

    One HTTP session serves every subscription; it and the SDKs come with the first call, and go with ``aclose`` or at the
    end of ``async with``. The credential is the caller's to close.
    """

    def __init__(  # noqa: PLR0913  each is a setting of its own
        self,
        *,
        endpoint: str,
        scope: str,
        credential: AsyncTokenCredential,
        clock: Clock,
        timeout: float = 30.0,
        reads_per_second: float = 20,
        concurrency: int = 16,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            endpoint: ARM's URL: scheme, host and port.
            scope: what a token for it is asked for.
            credential: where tokens come from.
            clock: the local time, and how to wait between repeats.
            timeout: seconds for one request and its whole answer. A read's repeats together take at most four times that.
            reads_per_second: how fast a subscription is read, at most; 0 for no limit.
            concurrency: reads under way at once, at most, over all subscriptions. Writes do not wait for reads.

        Raises:
            ConfigError: where ``endpoint`` is plain http and not this machine.

        """
        if not endpoint.startswith("https://") and not (endpoint.startswith("http://") and is_loopback(endpoint)):
            problem = f"{endpoint!r} is neither https nor a loopback address: no token is sent there"
            raise ConfigError([problem])
        self._endpoint = endpoint.rstrip("/")
        self._scope = scope
        self._credential = credential
        self._clock = clock
        self._timeout = timeout
        self._reads_per_second = reads_per_second
        self._calls = CallCount()
        self._reads = asyncio.Semaphore(concurrency)
        self._starting = asyncio.Lock()
        self._sdk: Sdk | None = None
        self._is_closed = False
        self._tiers: dict[ArmId, _Tier] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; the last thing done with this."""
        self._is_closed = True
        async with self._starting:
            sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.aclose()

    @property
    def calls(self) -> CallCount:
        """What was sent so far."""
        return self._calls

    async def list_signalr(self, subscription: str) -> Reading[tuple[SignalR, ...]]:
        """Every service of a subscription with its links: the pages of one list where the links come inline."""
        operation = Operation(
            method=GET, resource_type=SIGNALR_TYPE, subject=f"/subscriptions/{subscription}", subscription=subscription
        )
        listed = await self._list(
            operation,
            lambda sdk, options: sdk.signalr(subscription).signal_r.list_by_subscription(**options),
            lambda body: arm_parse.parse_signalr_page(operation, body),
        )
        if listed.value is None:
            raise not_found(operation)
        services = distinct(operation, listed.value, lambda inline: inline.signalr.id)
        readings = await _all([self._with_links(inline, listed.started, listed.finished) for inline in services])
        return Reading(
            tuple(reading.value for reading in readings if reading.value is not None),
            started=listed.started,
            finished=max((listed.finished, *(reading.finished for reading in readings))),
        )

    async def get_signalr(self, service: ArmId) -> Reading[SignalR | None]:
        """One service with its links: one read where the links come inline."""
        operation = _on(GET, SIGNALR_TYPE, service)
        answer = await self._read(
            operation,
            lambda sdk, options: sdk.signalr(service.subscription).signal_r.get(service.resource_group, service.name, **options),
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            return Reading(None, answer.started, answer.finished)
        inline = arm_parse.parse_signalr(operation, answer.body, service)
        return await self._with_links(inline, answer.started, answer.finished)

    async def get_site(self, target: Target) -> Reading[Site | None]:
        """A target's exposure and tier: one read, and one of its plan a day where the site does not say its tier."""
        operation = _on(GET, SITE_TYPE if target.slot is None else SLOT_TYPE, target.id)

        def call(sdk: Sdk, options: Options) -> Awaitable[object]:
            apps = sdk.web(target.id.subscription).web_apps
            get = apps.get if target.slot is None else apps.get_slot
            return get(**_where(target), **options)

        answer = await self._read(operation, call)
        if answer.status == HTTPStatus.NOT_FOUND:
            return Reading(None, answer.started, answer.finished)
        site, plan = arm_parse.parse_site(operation, answer.body, target)
        if plan is not None:
            site = replace(site, tier=await self._tier(plan))
        return Reading(site, answer.started, answer.finished)

    async def list_sites(self, subscription: str) -> Reading[tuple[ListedSite, ...]]:
        """Every site of a subscription: the pages of one list. Plans are not asked."""
        operation = Operation(
            method=GET, resource_type=SITE_TYPE, subject=f"/subscriptions/{subscription}", subscription=subscription
        )
        listed = await self._list(
            operation,
            lambda sdk, options: sdk.web(subscription).web_apps.list(**options),
            lambda body: arm_parse.parse_site_page(operation, body),
        )
        if listed.value is None:
            raise not_found(operation)
        return Reading(distinct(operation, listed.value, lambda one: one.site.target.id), listed.started, listed.finished)

    async def list_connections(self, target: Target) -> Reading[tuple[Connection, ...] | None]:
        """A target's connections by the list call, all pages."""
        operation = _on(GET, _connection_type(target), target.id)

        def call(sdk: Sdk, options: Options) -> Paged:
            apps = sdk.web(target.id.subscription).web_apps
            list_all = (
                apps.get_private_endpoint_connection_list
                if target.slot is None
                else apps.get_private_endpoint_connection_list_slot
            )
            return list_all(**_where(target), **options)

        listed = await self._list(operation, call, lambda body: arm_parse.parse_connection_page(operation, body, target))
        if listed.value is None:
            return Reading(None, listed.started, listed.finished)
        return Reading(distinct(operation, listed.value, lambda found: found.id), listed.started, listed.finished)

    async def set_connection(self, connection: ArmId, status: Literal["Approved", "Rejected"], description: str) -> None:
        """PUT a decision, once. That Azure took it says nothing of what becomes of it: only a later read does."""
        target = Target(connection.parent)

        def call(sdk: Sdk, options: Options) -> Awaitable[object]:
            apps = sdk.web(target.id.subscription).web_apps
            put = (
                apps.begin_approve_or_reject_private_endpoint_connection
                if target.slot is None
                else apps.begin_approve_or_reject_private_endpoint_connection_slot
            )
            return put(
                **_where(target),
                private_endpoint_connection_name=connection.name,
                private_endpoint_wrapper=sdk.decision(status, description),
                # Its poller raises on answers that are no failure: the caller reads the connection instead.
                polling=False,
                **options,
            )

        operation = _on(PUT, _connection_type(target), connection)
        answer = await self._write(operation, call)
        if answer.status not in _WRITTEN:
            raise refusal(operation, answer)

    async def delete_connection(self, connection: ArmId) -> None:
        """DELETE a connection, once; no error where it is gone already."""
        target = Target(connection.parent)

        def call(sdk: Sdk, options: Options) -> Awaitable[object]:
            apps = sdk.web(target.id.subscription).web_apps
            delete = (
                apps.begin_delete_private_endpoint_connection
                if target.slot is None
                else apps.begin_delete_private_endpoint_connection_slot
            )
            return delete(**_where(target), private_endpoint_connection_name=connection.name, polling=False, **options)

        operation = _on(DELETE, _connection_type(target), connection)
        answer = await self._write(operation, call)
        if answer.status not in _DELETED and not is_missing(answer):
            raise refusal(operation, answer)

    async def _with_links(self, inline: InlineSignalR, started: datetime, finished: datetime) -> Reading[SignalR | None]:
        """The service with its links, listed where they did not come inline; None where it went away meanwhile."""
        if inline.has_links:
            return Reading(inline.signalr, started, finished)
        service = inline.signalr.id
        operation = _on(GET, LINK_TYPE, service)
        listed = await self._list(
            operation,
            lambda sdk, options: sdk.signalr(service.subscription).signal_rshared_private_link_resources.list(
                service.resource_group, service.name, **options
            ),
            lambda body: arm_parse.parse_link_page(operation, body, service),
        )
        if listed.value is None:
            return Reading(None, started, listed.finished)
        links = distinct(operation, listed.value, lambda link: link.id)
        return Reading(replace(inline.signalr, links=links), started, listed.finished)

    async def _tier(self, plan: ArmId) -> str:
        """A plan's tier as it was within the last day; "" where the plan is missing or may not be read."""
        now = self._clock.now()
        kept = self._tiers.get(plan)
        if kept is not None and now < kept.until:
            return kept.tier
        operation = _on(GET, PLAN_TYPE, plan)
        try:
            answer = await self._read(
                operation,
                lambda sdk, options: sdk.web(plan.subscription).app_service_plans.get(plan.resource_group, plan.name, **options),
            )
            is_told = answer.status == HTTPStatus.OK
            tier = arm_parse.parse_plan_tier(operation, answer.body) if is_told else ""
        except AzureForbiddenError:
            is_told, tier = False, ""
        if len(self._tiers) >= MAX_PLANS:
            self._tiers.clear()
        self._tiers[plan] = _Tier(tier, now + (PLAN_KEPT if is_told else PLAN_DENIED_KEPT))
        return tier

    async def _list[T](
        self,
        operation: Operation,
        call: Callable[[Sdk, Options], Paged],
        parse: Callable[[bytes], Page[T]],
    ) -> Reading[tuple[T, ...] | None]:
        """Every page of a list, None where what it belongs to does not exist."""
        items: list[T] = []
        followed: set[str | None] = {None}
        link: str | None = None
        started: datetime | None = None
        for _ in range(MAX_PAGES):
            answer = await self._read(operation, _page(call, link))
            started = started or answer.started
            if answer.status == HTTPStatus.NOT_FOUND:
                if link is not None:
                    raise refusal(operation, answer)
                return Reading(None, started, answer.finished)
            page = parse(answer.body)
            items.extend(page.items)
            link = page.next_link or None
            if link is None:
                return Reading(tuple(items), started, answer.finished)
            if not has_origin(link, self._endpoint):
                raise malformed(operation, "$.nextLink leads elsewhere; no token is sent there")
            if link in followed:
                raise malformed(operation, "$.nextLink leads back to a page that was read already")
            followed.add(link)
        raise malformed(operation, f"the list has more than {MAX_PAGES} pages")

    async def _read(self, operation: Operation, call: Callable[[Sdk, Options], Awaitable[object]]) -> Answer:
        """An answer of status 200, or 404 where the resource does not exist; anything else is raised."""
        async with self._reads:
            sdk = await self._ready()
            answer = await sdk.ask(operation, lambda options: call(sdk, options))
        if answer.status == HTTPStatus.OK or is_missing(answer):
            return answer
        raise refusal(operation, answer)

    async def _write(self, operation: Operation, call: Callable[[Sdk, Options], Awaitable[object]]) -> Answer:
        # Not behind the reads: what was decided from is as fresh as it gets, and so is the allowlist.
        sdk = await self._ready()
        return await sdk.ask(operation, lambda options: call(sdk, options))

    async def _ready(self) -> Sdk:
        """The SDKs' clients, imported in a thread the first time: that takes seconds."""
        async with self._starting:
            if self._is_closed:
                message = "this Arm was closed"
                raise RuntimeError(message)
            if self._sdk is None:
                make = await asyncio.to_thread(import_sdk)
                self._sdk = make(
                    endpoint=self._endpoint,
                    scope=self._scope,
                    credential=self._credential,
                    clock=self._clock,
                    calls=self._calls,
                    timeout=self._timeout,
                    reads_per_second=self._reads_per_second,
                )
            return self._sdk


def import_sdk() -> type[Sdk]:
    """Import the SDKs.

    The docstrings of azure-mgmt-signalr 1.2.0 hold invalid escapes, which Python tells users of when it first compiles them.
    """
    warnings.filterwarnings("ignore", category=SyntaxWarning, module=r".*azure.mgmt.signalr")
    from shared.adapters.arm_sdk import Sdk  # noqa: PLC0415  it takes seconds

    return Sdk


def _on(method: str, resource_type: str, resource: ArmId) -> Operation:
    return Operation(method=method, resource_type=resource_type, subject=str(resource), subscription=resource.subscription)


def _connection_type(target: Target) -> str:
    return SITE_CONNECTION_TYPE if target.slot is None else SLOT_CONNECTION_TYPE


def _where(target: Target) -> dict[str, str]:
    """A site or slot as the SDK's operations name it. By keyword: their order differs from one to the next."""
    where = {"resource_group_name": target.site.resource_group, "name": target.site.name}
    return where if target.slot is None else {**where, "slot": target.slot}


def _page(call: Callable[[Sdk, Options], Paged], link: str | None) -> Callable[[Sdk, Options], Awaitable[object]]:
    return lambda sdk, options: anext(call(sdk, options).by_page(link))


async def _all[T](calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What every call returns, or the first failure, the rest then being given up."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
