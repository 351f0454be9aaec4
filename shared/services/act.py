"""The one place that writes to Azure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from shared.core.errors import AzureError, AzureMalformedError, AzureThrottledError, AzureUnavailableError
from shared.core.history import Action

if TYPE_CHECKING:
    from shared.core.history import Intent
    from shared.ports import Azure


@dataclass(frozen=True, slots=True)
class Written:
    """Azure accepted it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Azure said no: it was not done."""

    error: AzureError


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer: nobody knows whether it was done, until the connection is read again."""

    error: AzureError


type WriteResult = Written | Refused | Unanswered


async def write(azure: Azure, intent: Intent, description: str) -> WriteResult:
    """Do what a recorded intent announces, once."""
    try:
        match intent.action:
            case Action.APPROVE:
                await azure.set_connection(intent.connection, "Approved", description)
            case Action.REJECT:
                await azure.set_connection(intent.connection, "Rejected", description)
            case Action.DELETE:
                await azure.delete_connection(intent.connection)
            case _ as never:
                assert_never(never)
    except (AzureUnavailableError, AzureMalformedError) as error:
        return Unanswered(error)
    except AzureThrottledError as error:
        # Not done; but to call it refused would take an approval back by deleting what a rejection later would do for.
        return Refused(error) if intent.action is Action.APPROVE else Unanswered(error)
    except AzureError as error:
        return Refused(error)
    return Written()
