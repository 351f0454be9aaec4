"""ARM's endpoints over the world: a request in, an answer out, no sockets."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.local_azure.address import OPERATION, Address
from shared.local_azure.arm_error import ArmError
from shared.local_azure.endpoints import WEB_PROVIDER, ArmAnswer, ArmRequest
from shared.local_azure.operations import Operations
from shared.local_azure.render import Renderer
from shared.local_azure.signalr_endpoints import SignalREndpoints
from shared.local_azure.web_endpoints import WebEndpoints

if TYPE_CHECKING:
    from shared.local_azure.world import World


class ArmApi:
    """Every endpoint. Whoever asks has been let in already."""

    def __init__(self, world: World) -> None:
        self._operations = Operations()
        parts = (world, Renderer(world.knobs), self._operations)
        self._signalr = SignalREndpoints(*parts)
        self._web = WebEndpoints(*parts)
        self._routes = {**self._signalr.routes(), **self._web.routes()}

    def answer(self, request: ArmRequest) -> ArmAnswer:
        """Do what is asked.

        Raises:
            ArmError: where ARM would refuse.

        """
        verb = verb_of(request.method, request.address)
        if (verb, request.address.type) == ("get", OPERATION):
            return self._operation(request)
        handler = self._routes.get((verb, request.address.type))
        if handler is None or (request.address.is_list and verb != "list"):
            message = f"The requested resource does not support http method '{request.method}'."
            raise ArmError(HTTPStatus.METHOD_NOT_ALLOWED, "UnsupportedHttpMethod", message)
        return handler(request)

    def _operation(self, request: ArmRequest) -> ArmAnswer:
        operation = self._operations.get(request.address.operation_id)
        if operation is None:
            raise ArmError(HTTPStatus.NOT_FOUND, "OperationNotFound", "The operation was not found.")
        endpoints = self._web if operation.provider == WEB_PROVIDER else self._signalr
        return endpoints.get_operation(request, operation)


def verb_of(method: str, address: Address) -> str:
    """``list``, or the method in lower case."""
    return "list" if method == "GET" and address.is_list else method.lower()


def action_of(method: str, address: Address) -> str:
    """The ARM action that the request needs, such as ``Microsoft.Web/sites/read``."""
    verb = {"GET": "read", "DELETE": "delete"}.get(method, "write")
    return f"{address.type}/{verb}"
