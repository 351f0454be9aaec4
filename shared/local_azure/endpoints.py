"""What all of ARM's endpoints have in common: requests, answers, bodies, pages and accepted operations."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shared.local_azure.address import Address
from shared.local_azure.arm_error import ArmError, bad_request
from shared.local_azure.clock import after
from shared.local_azure.ids import LINK, SIGNALR, ResourceId, fold
from shared.local_azure.operations import RESULTS, SIGNALR_STATUSES, Operation
from shared.local_azure.resources import Resource, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.local_azure.operations import Operations
    from shared.local_azure.render import Renderer
    from shared.local_azure.resources import JsonObject
    from shared.local_azure.world import World

WEB_PROVIDER: Final = "Microsoft.Web"
SIGNALR_PROVIDER: Final = "Microsoft.SignalRService"
_SKIP: Final = "$skiptoken"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRequest:
    """What was asked."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    base: str
    """Scheme and host, for the links in the answer."""
    caller: str
    address: Address
    lag: float = 0.0
    """How old the answer to a read is to be, in seconds."""

    @property
    def api_version(self) -> str:
        """The ``api-version`` asked for."""
        return self.query.get("api-version", "")

    @property
    def resource(self) -> ResourceId:
        """The resource that the path names, or the parent of the list.

        Raises:
            ArmError: 400 where there is none.

        """
        if self.address.resource is None:
            raise bad_request(code="InvalidRequestUri", message=f"The request to '{self.path[:200]}' names no resource.")
        return self.address.resource

    def properties(self) -> JsonObject:
        """``properties`` of the body.

        Raises:
            ArmError: 400 where there are none.

        """
        return member(self.json(), "properties")

    def json(self) -> JsonObject:
        """The body.

        Raises:
            ArmError: 400 where it is no JSON object.

        """
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            message = "The request content was invalid and could not be deserialized."
            raise bad_request(code="InvalidRequestContent", message=message)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAnswer:
    """What is answered; ``body`` is JSON, None for no body at all."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(body: object) -> ArmAnswer:
    """200."""
    return ArmAnswer(status=HTTPStatus.OK, body=body)


def member(value: JsonObject, name: str) -> JsonObject:
    """The object at ``name``.

    Raises:
        ArmError: 400 where there is none.

    """
    found = value.get(name)
    if not isinstance(found, dict):
        raise bad_request(code="InvalidRequestContent", message=f"The request content is invalid: '{name}' is missing.")
    return found


def optional_text(value: JsonObject, name: str) -> str | None:
    """The text at ``name``, None where it is null or missing.

    Raises:
        ArmError: 400 where it is something else.

    """
    found = value.get(name)
    if found is None or isinstance(found, str):
        return found
    raise bad_request(code="InvalidRequestContent", message=f"The request content is invalid: '{name}' is no text.")


def required_text(value: JsonObject, name: str) -> str:
    """The text at ``name``.

    Raises:
        ArmError: 400 where there is none.

    """
    found = optional_text(value, name)
    if found is None:
        raise bad_request(code="InvalidRequestContent", message=f"The request content is invalid: '{name}' is missing.")
    return found


class Endpoints:
    """Endpoints of one provider."""

    def __init__(self, world: World, render: Renderer, operations: Operations) -> None:
        self.world = world
        self.render = render
        self.operations = operations

    def as_of(self, request: ArmRequest) -> datetime:
        """The moment that the answer to a read is from; lists may lag."""
        lag = request.lag or (self.world.knobs.stale_lists if request.address.is_list else 0.0)
        return self.world.clock.now() - timedelta(seconds=lag)

    def exists(self, find: Callable[[ResourceId], Resource], request: ArmRequest) -> bool:
        """Whether the resource exists; what it is in must.

        Raises:
            ArmError: 404 where the subscription, the group or the parent does not exist.

        """
        arm_id = request.resource
        if len(arm_id.path) == 1:
            self.world.group(arm_id.subscription, arm_id.group)
        elif fold(arm_id.provider) == fold(SIGNALR_PROVIDER):
            self.world.service(arm_id.parent())
        else:
            self.world.target(arm_id.parent())
        try:
            find(arm_id)
        except ArmError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def page[R: Resource](self, request: ArmRequest, shelf: Shelf[R], render: Callable[[R, datetime], JsonObject]) -> ArmAnswer:
        """A page of ``shelf``, of one resource group where the path names one and no parent."""
        address = request.address
        when = self.as_of(request)
        prefix = ""
        if address.resource is None and address.group is not None:
            prefix = f"{self.world.group(address.subscription, address.group)}/"
        start = _read_skip_token(request.query.get(_SKIP, ""))
        found, last = shelf.page(when, after=start, size=self.world.knobs.page_size, prefix=prefix)
        body: JsonObject = {"value": [render(resource, when) for resource in found]}
        if last is not None:
            token = quote(urlsafe_b64encode(last.encode()).decode())
            body["nextLink"] = f"{request.base}{quote(request.path)}?api-version={request.api_version}&%24skipToken={token}"
        elif address.type not in {SIGNALR, LINK}:
            body["nextLink"] = None
        return ok(body)

    def accepted(self, request: ArmRequest, status: int, body: object, seconds: float, *, error: str | None = None) -> ArmAnswer:
        """The answer to what takes ``seconds``, with the URLs to ask how it is going. It ends in ``error`` where there is one."""
        arm_id = request.resource
        now = self.world.clock.now()
        is_web = fold(arm_id.provider) == fold(WEB_PROVIDER)
        operation = self.operations.start(
            Operation(
                id=self.world.new_guid(),
                subscription=arm_id.subscription,
                provider=WEB_PROVIDER if is_web else SIGNALR_PROVIDER,
                location="West US" if is_web else "eastus",
                resource=arm_id,
                started=now,
                ends=after(now, seconds),
                deletes=request.method == "DELETE",
                error=error,
            )
        )
        kind = RESULTS if is_web else SIGNALR_STATUSES
        headers = {
            "Azure-AsyncOperation": operation.url(request.base, kind, request.api_version, signed=not is_web),
            "Location": operation.url(request.base, RESULTS, request.api_version, signed=not is_web),
        }
        return ArmAnswer(status=status, body=body, headers=headers)


def _read_skip_token(token: str) -> str:
    try:
        return b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise bad_request(code="InvalidSkipToken", message="The skip token is invalid.") from None
