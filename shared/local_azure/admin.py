"""``/_local/``: the world for other processes, in JSON. Loopback only, no token, nothing of it is in the request log.

GET    /_local/state                    what exists and what is true
GET    /_local/requests                 what was asked; DELETE starts counting anew
GET    /_local/events?schema=...        what Event Grid has: ``eventgrid`` (default) or ``cloudevents``
GET    /_local/knobs                    PATCH turns them
GET    /_local/faults                   POST adds one, DELETE removes all
POST   /_local/clock                    {"advance": seconds}
POST   /_local/world/<action>           an action of the world's, its arguments by name, such as
                                        request_connection {"target": ..., "endpoint_name": ..., "message": ...}
"""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, fields
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shared.local_azure.arm_error import ArmError
from shared.local_azure.clock import ManualClock, RunningClock
from shared.local_azure.faults import CloseSocket, Delay, Fault, FaultRule, Hang, Junk, Refuse, Stale
from shared.local_azure.front_door import HttpAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.local_azure.front_door import FrontDoor, HttpRequest
    from shared.local_azure.resources import Connection, JsonObject, Link
    from shared.local_azure.world import World

ROOT: Final = "/_local/"

_ACTIONS: Final = (
    "add_subscription",
    "add_signalr",
    "add_plan",
    "add_site",
    "add_slot",
    "put_link",
    "delete_link",
    "request_connection",
    "withdraw_connection",
    "approve",
    "reject",
    "delete_connection",
    "delete_signalr",
    "delete_target",
    "set_exposure",
    "set_tier",
    "override_link",
    "genuine",
)
_FAULTS: Final = {
    "refuse": Refuse,
    "close": CloseSocket,
    "hang": Hang,
    "delay": Delay,
    "stale": Stale,
    "junk": Junk,
}
_SHOWN: Final = 1000
"""Requests shown at most, the latest."""


class Admin:
    """Answers what is below :data:`ROOT`."""

    def __init__(self, world: World, door: FrontDoor) -> None:
        self._world = world
        self._door = door
        self._routes: dict[tuple[str, str], Callable[[HttpRequest], object]] = {
            ("GET", "state"): lambda _: state_of(world),
            ("GET", "requests"): lambda _: self._requests(),
            ("DELETE", "requests"): lambda _: door.requests.clear(),
            ("GET", "events"): self._events,
            ("GET", "knobs"): lambda _: asdict(world.knobs),
            ("PATCH", "knobs"): self._turn,
            ("GET", "faults"): lambda _: [_rule_as_json(rule) for rule in door.faults.rules],
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda _: door.faults.clear(),
            ("POST", "clock"): self._advance,
        }

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Do what is asked; what is wrong with it is said as ARM says it."""
        name = request.path.removeprefix(ROOT)
        try:
            route = self._routes.get((request.method, name))
            if route is not None:
                return _json(HTTPStatus.OK, route(request))
            area, _, action = name.partition("/")
            if (request.method, area) == ("POST", "world") and action in _ACTIONS:
                return _json(HTTPStatus.OK, {"result": self._act(action, _body(request))})
        except ArmError as error:
            return _json(error.status, error.body())
        except (TypeError, ValueError) as error:
            return _json(HTTPStatus.BAD_REQUEST, {"error": {"code": "BadRequest", "message": str(error)}})
        return _json(HTTPStatus.NOT_FOUND, {"error": {"code": "NotFound", "message": f"{request.method} {request.path}"}})

    def _act(self, action: str, arguments: JsonObject) -> object:
        method: Callable[..., object] = getattr(self._world, action)
        bound = inspect.signature(method).bind(**arguments)
        return method(*bound.args, **bound.kwargs)

    def _requests(self) -> JsonObject:
        log = self._door.requests
        return {
            "reads": log.reads,
            "writes": log.writes,
            "throttled": log.throttled,
            "counts": log.counts,
            "latest": [asdict(entry) for entry in log.entries[-_SHOWN:]],
        }

    def _events(self, request: HttpRequest) -> list[JsonObject]:
        due = self._world.due_events()
        if request.query.get("schema") == "cloudevents":
            return [event.cloud_event() for event in due]
        return [event.event_grid() for event in due]

    def _turn(self, request: HttpRequest) -> JsonObject:
        knobs = self._world.knobs
        for name, value in _body(request).items():
            now = getattr(knobs, name, None) if name in {known.name for known in fields(knobs)} else None
            if now is None:
                message = f"there is no knob {name!r}"
                raise ValueError(message)
            # The knob's own type reads the value, so that a wrong one is refused here and not where it is used.
            setattr(knobs, name, type(now)(value) if type(now) is not bool else value is True)
        return asdict(knobs)

    def _add_fault(self, request: HttpRequest) -> JsonObject:
        body = _body(request)
        kind = _FAULTS.get(str(body.pop("kind", "")))
        if kind is None:
            message = f"kind must be one of {', '.join(_FAULTS)}"
            raise ValueError(message)
        which = {name: body.pop(name) for name in ("method", "path", "times", "skip", "chance") if name in body}
        if isinstance(body.get("body"), str):
            body["body"] = str(body["body"]).encode()
        make: Callable[..., Fault] = kind
        add: Callable[..., FaultRule] = self._door.faults.add
        return _rule_as_json(add(make(**body), **which))

    def _advance(self, request: HttpRequest) -> JsonObject:
        clock = self._world.clock
        seconds = _body(request).get("advance", 0)
        if not isinstance(seconds, int | float):
            message = "advance must be a number of seconds"
            raise TypeError(message)
        if not isinstance(clock, ManualClock | RunningClock):
            message = "this clock cannot be moved"
            raise TypeError(message)
        clock.advance(seconds)
        return {"now": clock.now()}


def state_of(world: World) -> JsonObject:
    """Everything that exists, with what is true of it."""
    now = world.clock.now()
    return {
        "now": now,
        "signalr": [
            {
                "id": str(service.id),
                "tier": service.tier,
                "mode": service.mode,
                "links": [_link(link, now) for link in service.links.all(now)],
            }
            for service in world.all_services(now)
        ],
        "targets": [
            {
                "id": str(target.id),
                "tier": target.plan.tier,
                "publicNetworkAccess": target.public_network_access,
                "effectivePublicAccess": world.effective_public_access(str(target.id)),
                "connections": [_connection(connection, now) for connection in target.connections.all(now)],
            }
            for target in world.all_targets(now)
        ],
        "decisions": [asdict(decision) for decision in world.decisions],
    }


def _link(link: Link, now: datetime) -> JsonObject:
    return {
        "id": str(link.id),
        "status": link.status.at(now),
        "provisioningState": link.provisioning.at(now),
        "requestMessage": link.message,
        "privateLinkResourceId": link.resource_id,
        "connections": [str(connection.id) for connection in link.connections],
    }


def _connection(connection: Connection, now: datetime) -> JsonObject:
    state = connection.state.at(now)
    return {
        "id": str(connection.id),
        "status": state.status,
        "description": state.description,
        "privateEndpoint": str(connection.endpoint),
        "genuine": str(connection.link.id) if connection.link else None,
    }


def _rule_as_json(rule: FaultRule) -> JsonObject:
    return {
        "fault": type(rule.fault).__name__,
        "method": rule.method,
        "path": rule.pattern,
        "times": rule.times,
        "skip": rule.skip,
        "chance": rule.chance,
        "hits": rule.hits,
    }


def _body(request: HttpRequest) -> JsonObject:
    value = json.loads(request.body or b"{}")
    if not isinstance(value, dict):
        message = "the body must be a JSON object"
        raise TypeError(message)
    return value


def _json(status: int, value: object) -> HttpAnswer:
    body = json.dumps(value, default=str, indent=1).encode()
    return HttpAnswer(status=status, headers={"Content-Type": "application/json; charset=utf-8"}, body=body)
