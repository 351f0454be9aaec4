"""ARM's JSON as the core's models, once, at the edge.

The wire types hold only what is used: what Azure adds or fills with junk elsewhere is no concern of ours. What is used is
taken strictly, and one bad item refuses the whole answer: an item that was skipped might be a rival.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from shared.adapters.arm_errors import LINK_CHILD, PLAN_TYPE, Operation, malformed
from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import AzureMalformedError, InvalidIdError
from shared.core.model import (
    CONNECTION_CHILD,
    SIGNALR_TYPE,
    SITE_TYPE,
    Connection,
    ConnectionStatus,
    Link,
    LinkProvisioning,
    LinkStatus,
    ListedSite,
    SignalR,
    Site,
    Target,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_TEXT: Final = 2048
"""Characters. Longer than any name, message or id that Azure can make, so that only junk is replaced."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64} \([0-9]+ characters\)")
_SERVICE_MODE: Final = fold_case("ServiceMode")
_USER_OF_URL: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@{]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """One page of a list."""

    items: tuple[T, ...]
    next_link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineSignalR:
    """A SignalR service as its own resource shows it."""

    signalr: SignalR
    has_links: bool
    """Whether the links came inline; where not, ``signalr.links`` is empty and they have to be listed."""


class _Wire(msgspec.Struct, rename="camel"):
    """Unknown members are ignored; a member of another type than declared refuses the document."""


class _WirePage[T](_Wire):
    value: list[T]
    next_link: str | None = None


class _SystemData(_Wire):
    created_at: str | None = None


class _LinkProperties(_Wire):
    group_id: str
    private_link_resource_id: str
    request_message: str | None = None
    status: str | None = None
    provisioning_state: str | None = None


class _Link(_Wire):
    properties: _LinkProperties
    id: str | None = None
    name: str | None = None
    system_data: _SystemData | None = None


class _Sku(_Wire):
    tier: str | None = None


class _Feature(_Wire):
    flag: str | None = None
    value: str | None = None


class _UpstreamTemplate(_Wire):
    url_template: str | None = None


class _Upstream(_Wire):
    templates: list[_UpstreamTemplate] | None = None


class _SignalRProperties(_Wire):
    features: list[_Feature] | None = None
    upstream: _Upstream | None = None
    shared_private_link_resources: list[_Link] | None = None


class _SignalR(_Wire):
    id: str
    sku: _Sku | None = None
    properties: _SignalRProperties | None = None


class _SiteConfig(_Wire):
    public_network_access: str | None = None


class _SiteProperties(_Wire):
    public_network_access: str | None = None
    default_host_name: str | None = None
    host_names: list[str] | None = None
    enabled_host_names: list[str] | None = None
    # Converted apart: what comes inline is a hint alone, and refuses nothing.
    private_endpoint_connections: object = None
    site_config: _SiteConfig | None = None
    server_farm_id: str | None = None
    # A text in the api-versions seen; what the newest gives is not known, and the plan's own GET says the same.
    sku: object = None


class _Site(_Wire):
    id: str
    properties: _SiteProperties


class _Plan(_Wire):
    sku: _Sku | None = None


class _PrivateEndpoint(_Wire):
    id: str | None = None


class _ConnectionState(_Wire):
    status: str | None = None
    description: str | None = None


class _ConnectionProperties(_Wire):
    private_endpoint: _PrivateEndpoint | None = None
    private_link_service_connection_state: _ConnectionState | None = None


class _Connection(_Wire):
    id: str
    properties: _ConnectionProperties


def parse_signalr_page(operation: Operation, body: bytes) -> Page[InlineSignalR]:
    """A page of a subscription's services.

    Raises:
        AzureMalformedError: where anything that is used is not what it should be; so do the others here.

    """
    page = _decode(operation, body, _WirePage[_SignalR])

    def parse(wire: _SignalR, place: str) -> InlineSignalR:
        parsed = _signalr(operation, wire, place)
        if fold_case(parsed.signalr.id.subscription) != fold_case(operation.subscription):
            raise malformed(operation, f"{place}.id is of another subscription")
        return parsed

    return Page(items=_each(page.value, "$.value", parse), next_link=page.next_link)


def parse_signalr(operation: Operation, body: bytes, service: ArmId) -> InlineSignalR:
    """The answer to the GET of ``service``."""
    parsed = _signalr(operation, _decode(operation, body, _SignalR), "$")
    if parsed.signalr.id != service:
        raise malformed(operation, "$.id is another resource's")
    return parsed


def parse_link_page(operation: Operation, body: bytes, service: ArmId) -> Page[Link]:
    """A page of the shared private links of ``service``."""
    page = _decode(operation, body, _WirePage[_Link])
    links = _each(page.value, "$.value", lambda wire, place: _link(operation, wire, service, place))
    return Page(items=links, next_link=page.next_link)


def parse_connection_page(operation: Operation, body: bytes, target: Target) -> Page[Connection]:
    """A page of the private endpoint connections of ``target``."""
    page = _decode(operation, body, _WirePage[_Connection])
    items = _each(page.value, "$.value", lambda wire, place: _connection(operation, wire, target, place))
    return Page(items=items, next_link=page.next_link)


def parse_site(operation: Operation, body: bytes, target: Target) -> tuple[Site, ArmId | None]:
    """A site or slot, and the plan to ask for its tier: None where the site told it, or has no plan that is one."""
    wire = _decode(operation, body, _Site)
    if _id(operation, wire.id, "$.id") != target.id:
        raise malformed(operation, "$.id is another resource's")
    return _site(wire, target)


def parse_site_page(operation: Operation, body: bytes) -> Page[ListedSite]:
    """A page of a subscription's sites."""
    page = _decode(operation, body, _WirePage[_Site])

    def parse(wire: _Site, place: str) -> ListedSite:
        site_id = _id(operation, wire.id, f"{place}.id")
        if not site_id.is_type(SITE_TYPE):
            raise malformed(operation, f"{place}.id is not of type {SITE_TYPE}")
        if fold_case(site_id.subscription) != fold_case(operation.subscription):
            raise malformed(operation, f"{place}.id is of another subscription")
        target = Target(site_id)
        site, _ = _site(wire, target)
        return ListedSite(site=site, host_names=_host_names(wire.properties), connections=_inline(operation, wire, target))

    return Page(items=_each(page.value, "$.value", parse), next_link=page.next_link)


def _host_names(properties: _SiteProperties) -> tuple[str, ...]:
    """Every name that the site answers to, but for its deployment service's."""
    named = [properties.default_host_name, *(properties.host_names or ()), *(properties.enabled_host_names or ())]
    return tuple(sorted({bounded(name).lower() for name in named if name and ".scm." not in name.lower()}))


def _inline(operation: Operation, wire: _Site, target: Target) -> tuple[Connection, ...] | None:
    """The connections that came with the site; None where none came, or not what they should be."""
    inline = wire.properties.private_endpoint_connections
    if inline is None:
        return None
    try:
        found = msgspec.convert(inline, list[_Connection])
        return _each(found, "$", lambda one, place: _connection(operation, one, target, place))
    except (msgspec.ValidationError, AzureMalformedError):
        return None


def _site(wire: _Site, target: Target) -> tuple[Site, ArmId | None]:
    properties = wire.properties
    in_config = properties.site_config.public_network_access if properties.site_config else None
    tier = properties.sku if isinstance(properties.sku, str) else ""
    site = Site(
        target=target,
        public_network_access=bounded(properties.public_network_access or in_config),
        tier=bounded(tier),
    )
    return site, None if tier else _plan(properties.server_farm_id)


def parse_plan_tier(operation: Operation, body: bytes) -> str:
    """The tier of an App Service plan, "" where it has none."""
    sku = _decode(operation, body, _Plan).sku
    return bounded(sku.tier if sku else None)


def distinct[T](operation: Operation, items: Iterable[T], key: Callable[[T], ArmId]) -> tuple[T, ...]:
    """``items``, none of whose ids is there twice.

    Raises:
        AzureMalformedError: where two items have one id, since one of them would hide the other.

    """
    found: dict[ArmId, T] = {}
    for item in items:
        if key(item) in found:
            raise malformed(operation, f"{key(item)} is listed twice")
        found[key(item)] = item
    return tuple(found.values())


def bounded(text: str | None) -> str:
    """``text``, "" for None; one too long to record and to show is told by its digest, so that it still compares exactly.

    What already looks like such a digest is replaced too, so that no text equals another one's digest.
    """
    if not text:
        return ""
    if len(text) <= MAX_TEXT and not _DIGEST.fullmatch(text):
        return text
    return f"sha256:{sha256(text.encode()).hexdigest()} ({len(text)} characters)"


def without_secrets(url_template: str) -> str:
    """An upstream's URL template without its query, which may hold a key, and without a user's name and password."""
    return _USER_OF_URL.sub(r"\1", url_template.partition("?")[0].partition("#")[0])


def _decode[T](operation: Operation, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK), type=kind)
    except msgspec.ValidationError as error:
        # It names the JSON path and the kinds of value, never a value.
        raise malformed(operation, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise malformed(operation, "the answer is not JSON") from None


def _each[W, T](wires: list[W], place: str, parse: Callable[[W, str], T]) -> tuple[T, ...]:
    return tuple(parse(wire, f"{place}[{index}]") for index, wire in enumerate(wires))


def _id(operation: Operation, text: str, place: str) -> ArmId:
    try:
        return ArmId.parse(text)
    except InvalidIdError:
        # Not chained: its message quotes the text.
        raise malformed(operation, f"{place} is not an ARM id") from None


def _signalr(operation: Operation, wire: _SignalR, place: str) -> InlineSignalR:
    service = _id(operation, wire.id, f"{place}.id")
    if not service.is_type(SIGNALR_TYPE):
        raise malformed(operation, f"{place}.id is not of type {SIGNALR_TYPE}")
    properties = wire.properties or _SignalRProperties()
    features = properties.features or ()
    modes = (feature.value for feature in features if fold_case(feature.flag or "") == _SERVICE_MODE)
    templates = (properties.upstream.templates if properties.upstream else None) or ()
    inline = properties.shared_private_link_resources
    inline_place = f"{place}.properties.sharedPrivateLinkResources"
    links = _each(inline or [], inline_place, lambda link, at: _link(operation, link, service, at))
    signalr = SignalR(
        id=service,
        tier=bounded(wire.sku.tier if wire.sku else None),
        service_mode=bounded(next(modes, None)),
        upstream_templates=tuple(bounded(without_secrets(template.url_template or "")) for template in templates),
        links=distinct(operation, links, lambda link: link.id),
    )
    return InlineSignalR(signalr=signalr, has_links=inline is not None)


def _link(operation: Operation, wire: _Link, service: ArmId, place: str) -> Link:
    properties = wire.properties
    created_at = wire.system_data.created_at if wire.system_data else None
    return Link(
        id=_link_id(operation, wire, service, place),
        resource_id=bounded(properties.private_link_resource_id),
        group_id=bounded(properties.group_id),
        request_message=bounded(properties.request_message),
        status=LinkStatus.read(properties.status),
        provisioning=LinkProvisioning.read(properties.provisioning_state),
        created_at=None if created_at is None else _time(operation, created_at, f"{place}.systemData.createdAt"),
    )


def _link_id(operation: Operation, wire: _Link, service: ArmId, place: str) -> ArmId:
    """The link's id as it should be: Azure's published examples give it another type, and omit name and type in places."""
    if wire.id is not None:
        given = _id(operation, wire.id, f"{place}.id")
    elif wire.name is not None:
        # Parsed again, since a name may hold what no segment of an id may.
        given = _id(operation, str(service.child(LINK_CHILD, wire.name)), f"{place}.name")
    else:
        raise malformed(operation, f"{place} has neither id nor name")
    if len(given.path) != len(service.path) + 1 or given.parent != service:
        raise malformed(operation, f"{place} is not a link of {service}")
    return service.child(LINK_CHILD, given.name)


def _connection(operation: Operation, wire: _Connection, target: Target, place: str) -> Connection:
    connection = _id(operation, wire.id, f"{place}.id")
    if connection != target.id.child(CONNECTION_CHILD, connection.name):
        raise malformed(operation, f"{place}.id is not a connection of {target}")
    state = wire.properties.private_link_service_connection_state or _ConnectionState()
    endpoint = wire.properties.private_endpoint or _PrivateEndpoint()
    return Connection(
        id=connection,
        status=ConnectionStatus.read(state.status),
        status_text=bounded(state.status),
        description=bounded(state.description),
        endpoint_id=bounded(endpoint.id),
    )


def _plan(text: str | None) -> ArmId | None:
    try:
        plan = ArmId.parse(text or "")
    except InvalidIdError:
        return None
    return plan if plan.is_type(PLAN_TYPE) else None


def _time(operation: Operation, text: str, place: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed(operation, f"{place} is not a time") from None
