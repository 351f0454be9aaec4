"""``Microsoft.SignalRService``: services, shared private links, and their operations."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.local_azure.clock import after
from shared.local_azure.endpoints import (
    ArmAnswer,
    ArmRequest,
    Endpoints,
    member,
    ok,
    optional_text,
    required_text,
)
from shared.local_azure.ids import LINK, SIGNALR, fold
from shared.local_azure.lifecycle import FAILED
from shared.local_azure.operations import SIGNALR_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.local_azure.operations import Operation
    from shared.local_azure.resources import JsonObject


class SignalREndpoints(Endpoints):
    """The endpoints."""

    def routes(self) -> dict[tuple[str, str], Callable[[ArmRequest], ArmAnswer]]:
        """By verb and resource type."""
        return {
            ("list", SIGNALR): self.list_services,
            ("get", SIGNALR): self.get_service,
            ("put", SIGNALR): self.put_service,
            ("delete", SIGNALR): self.delete_service,
            ("list", LINK): self.list_links,
            ("get", LINK): self.get_link,
            ("put", LINK): self.put_link,
            ("delete", LINK): self.delete_link,
        }

    def list_services(self, request: ArmRequest) -> ArmAnswer:
        """Of a subscription or a resource group."""
        shelf = self.world.subscription(request.address.subscription).services
        return self.page(request, shelf, lambda service, when: self.render.service(service, when, item=True))

    def get_service(self, request: ArmRequest) -> ArmAnswer:
        """One service."""
        when = self.as_of(request)
        return ok(self.render.service(self.world.service(request.resource, when), when))

    def put_service(self, request: ArmRequest) -> ArmAnswer:
        """Create or change a service: its tier, mode, upstream templates, tags."""
        arm_id = request.resource
        body = request.json()
        sku = body.get("sku")
        properties = body.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        upstream = properties.get("upstream")
        self.world.put_signalr(
            arm_id,
            location=optional_text(body, "location") or "eastus",
            tier=_tier(sku) if isinstance(sku, dict) else "Standard",
            mode=_mode(properties),
            upstream=_objects(upstream.get("templates") if isinstance(upstream, dict) else None),
            public_network_access=optional_text(properties, "publicNetworkAccess") or "Enabled",
            tags=_tags(body),
            by=request.caller,
        )
        now = self.world.clock.now()
        answer = self.render.service(self.world.service(arm_id, now), now)
        return self.accepted(request, HTTPStatus.CREATED, answer, self.world.knobs.service_provisioning)

    def delete_service(self, request: ArmRequest) -> ArmAnswer:
        """Delete a service with its links."""
        if not self.exists(self.world.service, request):
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        self.world.delete_signalr(str(request.resource), by=request.caller)
        return self.accepted(request, HTTPStatus.ACCEPTED, None, self.world.knobs.service_provisioning)

    def list_links(self, request: ArmRequest) -> ArmAnswer:
        """Of a service."""
        shelf = self.world.service(request.resource).links
        return self.page(request, shelf, lambda link, when: self.render.link(link, when, item=True))

    def get_link(self, request: ArmRequest) -> ArmAnswer:
        """One link."""
        when = self.as_of(request)
        return ok(self.render.link(self.world.link(request.resource, when), when))

    def put_link(self, request: ArmRequest) -> ArmAnswer:
        """Create a link (201 and an operation), or change its message (200)."""
        arm_id = request.resource
        properties = request.properties()
        resource, group = required_text(properties, "privateLinkResourceId"), required_text(properties, "groupId")
        message = optional_text(properties, "requestMessage")
        is_new = not self.exists(self.world.link, request)
        self.world.put_link(str(arm_id.parent()), arm_id.name, resource, message, group_id=group, by=request.caller)
        now = self.world.clock.now()
        link = self.world.link(arm_id, now)
        body = self.render.link(link, now)
        if not is_new:
            return ok(body)
        seconds = self.world.knobs.link_provisioning
        fails = link.provisioning.at(after(now, seconds)) == FAILED
        return self.accepted(request, HTTPStatus.CREATED, body, seconds, error="The target was not found." if fails else None)

    def delete_link(self, request: ArmRequest) -> ArmAnswer:
        """Delete a link; its connections go too."""
        if not self.exists(self.world.link, request):
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        self.world.delete_link(str(request.resource), by=request.caller)
        return self.accepted(request, HTTPStatus.ACCEPTED, None, self.world.knobs.link_deleting)

    def get_operation(self, request: ArmRequest, operation: Operation) -> ArmAnswer:
        """How an operation is going (``operationStatuses``), or what came of it (``operationResults``)."""
        now = self.world.clock.now()
        if request.address.operation_kind == fold(SIGNALR_STATUSES):
            return ok(operation.status_body(now, "Running", request.path))
        if now < operation.ends:
            return ArmAnswer(status=HTTPStatus.ACCEPTED)
        if operation.deletes:
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        if fold(operation.resource.type) == fold(LINK):
            return ok(self.render.link(self.world.link(operation.resource, now), now))
        return ok(self.render.service(self.world.service(operation.resource, now), now))


def _tier(sku: JsonObject) -> str:
    tier = optional_text(sku, "tier")
    return tier or (optional_text(sku, "name") or "Standard").partition("_")[0]


def _tags(body: JsonObject) -> dict[str, str]:
    tags = member(body, "tags") if body.get("tags") else {}
    return {name: str(value) for name, value in tags.items()}


def _mode(properties: JsonObject) -> str:
    flags = {fold(str(item.get("flag"))): str(item.get("value")) for item in _objects(properties.get("features"))}
    return flags.get("servicemode", "Default")


def _objects(value: object) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
