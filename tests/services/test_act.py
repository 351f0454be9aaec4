"""The one place that writes to Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.core.errors import (
    AzureConflictError,
    AzureError,
    AzureForbiddenError,
    AzureMalformedError,
    AzureNotFoundError,
    AzurePolicyError,
    AzureRefusedError,
    AzureThrottledError,
    AzureUnauthorizedError,
    AzureUnavailableError,
    NotPendingError,
)
from shared.core.history import Action
from shared.core.model import ConnectionStatus
from shared.services.act import Refused, Unanswered, Written, write
from tests.core.cases import a_connection, a_link, an_approval
from tests.fakes import FakeAzure, FakeClock

if TYPE_CHECKING:
    from tests.fakes.azure import Operation

OPERATION: dict[Action, Operation] = {
    Action.APPROVE: "set_connection",
    Action.REJECT: "set_connection",
    Action.DELETE: "delete_connection",
}
SURE = [
    AzureForbiddenError("no", status=403),
    AzurePolicyError("no", status=403),
    AzureUnauthorizedError("no", status=401),
    AzureNotFoundError("no", status=404),
    AzureConflictError("no", status=409),
    NotPendingError("no", status=409),
    AzureRefusedError("no", status=400),
]
UNSURE = [AzureUnavailableError("timeout"), AzureMalformedError("junk")]


async def attempt(action: Action, error: AzureError | None = None) -> tuple[object, FakeAzure]:
    azure = FakeAzure(FakeClock())
    target = azure.add_site()
    connection = azure.connections[azure.add_connection(target)]
    if error:
        azure.fail(OPERATION[action], error)
    intent = an_approval(connection, a_link(), action=action)
    return await write(azure, intent, "lg:1"), azure


@pytest.mark.parametrize(
    ("action", "status"), [(Action.APPROVE, ConnectionStatus.APPROVED), (Action.REJECT, ConnectionStatus.REJECTED)]
)
async def test_an_intent_is_carried_out(action: Action, status: ConnectionStatus) -> None:
    """By one call, with its description."""
    result, azure = await attempt(action)
    (connection,) = azure.connections.values()
    assert (result, connection.status, connection.description) == (Written(), status, "lg:1")
    assert azure.calls.writes == 1


async def test_a_deletion_is_carried_out() -> None:
    """There is nothing left to describe."""
    result, azure = await attempt(Action.DELETE)
    assert (result, azure.connections) == (Written(), {})


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("error", SURE, ids=lambda error: type(error).__name__)
async def test_what_azure_refuses_was_not_done(action: Action, error: AzureError) -> None:
    """Said so, with why; and asked for once."""
    result, azure = await attempt(action, error)
    assert (result, azure.calls.writes) == (Refused(error), 1)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("error", UNSURE, ids=lambda error: type(error).__name__)
async def test_without_an_answer_nobody_knows(action: Action, error: AzureError) -> None:
    """Neither done nor refused; and never repeated."""
    result, azure = await attempt(action, error)
    assert (result, azure.calls.writes) == (Unanswered(error), 1)


async def test_a_throttled_taking_back_is_tried_again_rather_than_replaced() -> None:
    """To call it refused would delete what a rejection later would do for."""
    error = AzureThrottledError("slow down", retry_after=17)
    assert (await attempt(Action.APPROVE, error))[0] == Refused(error)
    assert (await attempt(Action.REJECT, error))[0] == Unanswered(error)
    assert (await attempt(Action.DELETE, error))[0] == Unanswered(error)


async def test_anything_but_an_error_of_azures_is_not_caught() -> None:
    """It would be a bug of ours."""

    class Broken(FakeAzure):
        async def set_connection(self, *_: object) -> None:
            message = "a bug"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError):
        await write(Broken(FakeClock()), an_approval(a_connection(), a_link()), "")
