"""ARM's front door: who may come in, how often, and what goes wrong. Behind it are the endpoints.

It answers with bytes and takes no socket, so that a simulation can call it directly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from http import HTTPStatus
from math import inf
from typing import TYPE_CHECKING, Final, assert_never

from shared.local_azure.address import OPERATION, read_path
from shared.local_azure.arm_api import ArmApi, action_of, verb_of
from shared.local_azure.arm_error import (
    ArmError,
    bad_request,
    disallowed_by_policy,
    not_authorized,
    unauthenticated,
)
from shared.local_azure.clock import after
from shared.local_azure.endpoints import ArmAnswer, ArmRequest
from shared.local_azure.faults import CloseSocket, Delay, Fault, Faults, Hang, Junk, Refuse, Rewrite, Stale
from shared.local_azure.rate_limit import RateLimits
from shared.local_azure.request_log import RequestLog, Served

if TYPE_CHECKING:
    from shared.local_azure.address import Address
    from shared.local_azure.rate_limit import Kind
    from shared.local_azure.world import World

LOCAL_TOKEN: Final = "local"  # noqa: S105  it opens nothing but this
"""The token of the ``local`` credential. It is no secret."""

_JSON: Final = "application/json; charset=utf-8"
_API_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?")
_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it arrives."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""
    """The header."""
    body: bytes = b""
    base: str = "http://127.0.0.1"
    """Scheme and host that it was sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer as it leaves."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    delay: float = 0.0
    """Seconds to wait first; infinite: no answer until the caller gives up."""
    dropped: bool = False
    """Whether the connection is closed instead."""


class FrontDoor:
    """Lets requests in, or not."""

    def __init__(self, world: World) -> None:
        self.faults = Faults()
        self.requests = RequestLog()
        self.tokens: dict[str, str] = {LOCAL_TOKEN: "local"}
        """Known tokens, and who has them."""
        self._world = world
        self._api = ArmApi(world)
        self._limits = RateLimits(world.knobs)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Let one request in and log it."""
        address = read_path(request.path)
        caller = self.tokens.get(request.authorization.removeprefix(_BEARER), "")
        fault = self.faults.take(request.method, request.path)
        answer = self._with_fault(fault, request, address, caller)
        self.requests.add(
            Served(
                at=self._world.clock.now(),
                method=request.method,
                path=request.path,
                status=0 if answer.dropped or answer.delay == inf else answer.status,
                operation=f"{verb_of(request.method, address)} {address.type}" if address else "",
                caller=caller,
                fault=type(fault).__name__ if fault else "",
            )
        )
        return answer

    def _with_fault(self, fault: Fault | None, request: HttpRequest, address: Address | None, caller: str) -> HttpAnswer:
        match fault:
            case None:
                return self._served(request, address, caller)
            case Delay(seconds=seconds):
                return self._served(request, address, caller, delay=seconds)
            case Stale(seconds=seconds):
                return self._served(request, address, caller, lag=seconds)
            case Rewrite(change=change):
                return self._rewritten(self._served(request, address, caller), change)
            case Refuse() | CloseSocket() | Hang() | Junk():
                if fault.applied:
                    self._served(request, address, caller)
                return self._instead(fault)
            case _:
                assert_never(fault)

    def _instead(self, fault: Refuse | CloseSocket | Hang | Junk) -> HttpAnswer:
        match fault:
            case Refuse():
                error = ArmError(fault.status, fault.code, fault.message, headers=fault.headers)
                return self._answer(error.status, error.body(), error.headers)
            case CloseSocket():
                return HttpAnswer(status=0, headers={}, dropped=True)
            case Hang():
                return HttpAnswer(status=0, headers={}, delay=inf, dropped=True)
            case Junk():
                headers = self._headers() | {"Content-Type": fault.content_type}
                return HttpAnswer(status=fault.status, headers=headers, body=fault.body, delay=self._world.knobs.latency)
            case _:
                assert_never(fault)

    def _rewritten(self, answer: HttpAnswer, change: object) -> HttpAnswer:
        if not answer.body or not callable(change):
            return answer
        body = json.dumps(change(json.loads(answer.body))).encode()
        return HttpAnswer(status=answer.status, headers=answer.headers, body=body, delay=answer.delay)

    def _served(
        self, request: HttpRequest, address: Address | None, caller: str, *, lag: float = 0.0, delay: float = 0.0
    ) -> HttpAnswer:
        remaining: dict[str, str] = {}
        try:
            remaining = self._let_in(request, address, caller)
            served = self._served_by_arm(request, address, caller, lag)
        except ArmError as error:
            return self._answer(error.status, error.body(), {**remaining, **error.headers}, delay=delay)
        return self._answer(served.status, served.body, {**remaining, **served.headers}, delay=delay)

    def _served_by_arm(self, request: HttpRequest, address: Address | None, caller: str, lag: float) -> ArmAnswer:
        if address is None:
            raise ArmError(HTTPStatus.NOT_FOUND, "InvalidResourceType", "The resource type could not be found.")
        return self._api.answer(
            ArmRequest(
                method=request.method,
                path=request.path,
                query={name.lower(): value for name, value in request.query.items()},
                body=request.body,
                base=request.base,
                caller=caller,
                address=address,
                lag=lag,
            )
        )

    def _let_in(self, request: HttpRequest, address: Address | None, caller: str) -> dict[str, str]:
        """The headers about what remains of the limits.

        Raises:
            ArmError: 401, 429, 400 (``api-version``) or 403.

        """
        if not request.authorization.startswith(_BEARER):
            raise unauthenticated(why="The 'Authorization' header is missing or has an invalid format.")
        if not caller:
            raise unauthenticated(why="The access token is invalid.")
        remaining: dict[str, str] = {}
        if address is not None:
            kind: Kind = "read" if request.method == "GET" else "write"
            left = self._limits.take(address.subscription, caller, kind, self._world.clock.now())
            remaining[f"x-ms-ratelimit-remaining-subscription-{kind}s"] = str(left)
        self._check_api_version(request)
        if address is not None and address.type != OPERATION:
            self._check_rights(request, address, caller)
        return remaining

    def _check_api_version(self, request: HttpRequest) -> None:
        version = next((value for name, value in request.query.items() if name.lower() == "api-version"), "")
        if not version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise bad_request(code="MissingApiVersionParameter", message=message)
        if not _API_VERSION.fullmatch(version):
            raise bad_request(code="InvalidApiVersionParameter", message=f"The api-version '{version[:100]}' is invalid.")

    def _check_rights(self, request: HttpRequest, address: Address, caller: str) -> None:
        action = action_of(request.method, address)
        if self.faults.is_denied(action):
            raise not_authorized(action, request.path, caller)
        if request.method == "PUT" and self.faults.is_against_policy(action):
            raise disallowed_by_policy(str(address.resource.name if address.resource else ""))

    def _answer(self, status: int, body: object, headers: Mapping[str, str], *, delay: float = 0.0) -> HttpAnswer:
        merged = {**self._headers(), **headers}
        content = b""
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            merged["Content-Type"] = _JSON
        return HttpAnswer(status=status, headers=merged, body=content, delay=delay + self._world.knobs.latency)

    def _headers(self) -> dict[str, str]:
        world = self._world
        request_id = world.new_guid()
        return {
            "Cache-Control": "no-cache",
            "Date": format_datetime(after(world.clock.now(), world.knobs.clock_skew), usegmt=True),
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": request_id,
        }
