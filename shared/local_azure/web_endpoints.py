"""``Microsoft.Web``: sites, slots, plans, private endpoint connections, and their operations."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.local_azure.endpoints import ArmAnswer, ArmRequest, Endpoints, member, ok, optional_text, required_text
from shared.local_azure.ids import PLAN, SITE, SITE_CONNECTION, SLOT, SLOT_CONNECTION, fold
from shared.local_azure.knobs import OperationResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.local_azure.operations import Operation


class WebEndpoints(Endpoints):
    """The endpoints. A slot's are a site's, one level down."""

    def routes(self) -> dict[tuple[str, str], Callable[[ArmRequest], ArmAnswer]]:
        """By verb and resource type."""
        routes: dict[tuple[str, str], Callable[[ArmRequest], ArmAnswer]] = {
            ("list", SITE): self.list_sites,
            ("list", SLOT): self.list_slots,
            ("get", PLAN): self.get_plan,
        }
        for kind in (SITE, SLOT):
            routes[("get", kind)] = self.get_target
            routes[("put", kind)] = self.put_target
            routes[("delete", kind)] = self.delete_target
        for kind in (SITE_CONNECTION, SLOT_CONNECTION):
            routes[("list", kind)] = self.list_connections
            routes[("get", kind)] = self.get_connection
            routes[("put", kind)] = self.put_connection
            routes[("delete", kind)] = self.delete_connection
        return routes

    def list_sites(self, request: ArmRequest) -> ArmAnswer:
        """Of a subscription or a resource group."""
        shelf = self.world.subscription(request.address.subscription).sites
        return self.page(request, shelf, lambda site, when: self.render.target(site, when, item=True))

    def list_slots(self, request: ArmRequest) -> ArmAnswer:
        """Of a site."""
        shelf = self.world.target(request.resource).slots
        return self.page(request, shelf, lambda slot, when: self.render.target(slot, when, item=True))

    def get_target(self, request: ArmRequest) -> ArmAnswer:
        """One site or slot."""
        when = self.as_of(request)
        return ok(self.render.target(self.world.target(request.resource, when), when))

    def put_target(self, request: ArmRequest) -> ArmAnswer:
        """Create or change a site or a slot: its plan and its exposure."""
        arm_id = request.resource
        body = request.json()
        properties = member(body, "properties") if body.get("properties") else {}
        self.world.put_target(
            arm_id,
            plan=optional_text(properties, "serverFarmId"),
            public_network_access=optional_text(properties, "publicNetworkAccess"),
            kind=optional_text(body, "kind") or "app",
            location=optional_text(body, "location") or "East US",
            by=request.caller,
        )
        now = self.world.clock.now()
        return ok(self.render.target(self.world.target(arm_id, now), now))

    def delete_target(self, request: ArmRequest) -> ArmAnswer:
        """Delete a site or a slot."""
        if not self.exists(self.world.target, request):
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        self.world.delete_target(str(request.resource), by=request.caller)
        return ArmAnswer(status=HTTPStatus.OK)

    def get_plan(self, request: ArmRequest) -> ArmAnswer:
        """One App Service plan."""
        return ok(self.render.plan(self.world.plan(request.resource, self.as_of(request))))

    def list_connections(self, request: ArmRequest) -> ArmAnswer:
        """Of a site or a slot."""
        shelf = self.world.target(request.resource).connections
        return self.page(request, shelf, lambda found, when: self.render.connection(found, when, item=True))

    def get_connection(self, request: ArmRequest) -> ArmAnswer:
        """One connection."""
        when = self.as_of(request)
        return ok(self.render.connection(self.world.connection(request.resource, when), when))

    def put_connection(self, request: ArmRequest) -> ArmAnswer:
        """Approve or reject; the description is replaced."""
        state = member(request.properties(), "privateLinkServiceConnectionState")
        status, description = required_text(state, "status"), optional_text(state, "description")
        self.world.decide(str(request.resource), status, description, by=request.caller)
        now = self.world.clock.now()
        body = self.render.connection(self.world.connection(request.resource, now), now)
        knobs = self.world.knobs
        if knobs.put_answers == HTTPStatus.OK:
            return ok(body)
        seconds = knobs.approving if fold(status) == "approved" else knobs.rejecting
        return self.accepted(request, HTTPStatus.ACCEPTED, body, seconds)

    def delete_connection(self, request: ArmRequest) -> ArmAnswer:
        """Delete a connection; it may be listed as Disconnected for a while."""
        if not self.exists(self.world.connection, request):
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        self.world.delete_connection(str(request.resource), by=request.caller)
        return self.accepted(request, HTTPStatus.ACCEPTED, {}, self.world.knobs.disconnecting)

    def get_operation(self, request: ArmRequest, operation: Operation) -> ArmAnswer:
        """How a decision or a deletion is going; what Azure answers here is not known, so a knob decides."""
        now = self.world.clock.now()
        working = now < operation.ends
        status = HTTPStatus.ACCEPTED if working else HTTPStatus.OK
        result = self.world.knobs.site_operation_result
        if result is OperationResult.STATUS:
            return ArmAnswer(status=status, body=operation.status_body(now, "InProgress", request.path))
        if working:
            return ArmAnswer(status=HTTPStatus.ACCEPTED)
        if operation.deletes or result is OperationResult.EMPTY:
            return ArmAnswer(status=HTTPStatus.NO_CONTENT)
        return ok(self.render.connection(self.world.connection(operation.resource, now), now))
