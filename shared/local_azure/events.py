"""The Event Grid events that ARM emits for writes and deletes, in both schemas.

``claims``, ``authorization`` and ``httpRequest`` hold made-up personal data on purpose: whoever reads the events must not
keep any of it, and a test can look for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.local_azure.ids import ResourceId
    from shared.local_azure.resources import JsonObject

PERSONAL: Final = ("Petra", "Privatperson", "petra.privatperson@contoso.example", "203.0.113.77", "eyJsb2NhbCI6InNlY3JldCJ9")
"""Made-up personal data and a token; every event holds all of it."""

_TENANT: Final = "11111111-2222-3333-4444-555555555555"
_XMLSOAP: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_MICROSOFT: Final = "http://schemas.microsoft.com/identity/claims/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A write or a delete that ARM took."""

    id: str
    at: datetime
    """When Event Grid has it."""
    resource: str
    """The id of what was written, as ARM spells it."""
    subscription: str
    group: str
    provider: str
    operation: str
    """Such as ``Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/write``."""
    method: str
    correlation: str
    caller: str

    @property
    def type(self) -> str:
        """The event's type, by its operation."""
        kind = "Delete" if self.operation.endswith("/delete") else "Write"
        return f"Microsoft.Resources.Resource{kind}Success"

    def event_grid(self) -> JsonObject:
        """In the Event Grid schema."""
        return {
            "subject": self.resource,
            "eventType": self.type,
            "eventTime": _time(self.at),
            "id": self.id,
            "data": self._data(),
            "dataVersion": "2",
            "metadataVersion": "1",
            "topic": f"/subscriptions/{self.subscription}",
        }

    def cloud_event(self) -> JsonObject:
        """In the CloudEvents 1.0 schema."""
        return {
            "subject": self.resource,
            "source": f"/subscriptions/{self.subscription}",
            "type": self.type,
            "time": _time(self.at),
            "id": self.id,
            "data": self._data(),
            "specversion": "1.0",
        }

    def _data(self) -> JsonObject:
        given, family, upn, address, token = PERSONAL
        issued = int(self.at.timestamp())
        return {
            "authorization": {"scope": self.resource, "action": self.operation, "evidence": {"role": "Subscription Admin"}},
            "claims": {
                "aud": "https://management.core.windows.net/",
                "iss": f"https://sts.windows.net/{_TENANT}/",
                "iat": str(issued),
                "nbf": str(issued),
                "exp": str(issued + 3600),
                "_claim_names": '{"groups":"src1"}',
                "_claim_sources": '{"src1":{"endpoint":"https://graph.windows.net/"}}',
                "http://schemas.microsoft.com/claims/authnclassreference": "1",
                "aio": token,
                "http://schemas.microsoft.com/claims/authnmethodsreferences": "rsa,mfa",
                "appid": self.caller,
                "appidacr": "2",
                "http://schemas.microsoft.com/2012/01/devicecontext/claims/identifier": self.caller,
                "e_exp": "262800",
                f"{_XMLSOAP}surname": family,
                f"{_XMLSOAP}givenname": given,
                "ipaddr": address,
                "name": f"{given} {family}",
                f"{_MICROSOFT}objectidentifier": self.caller,
                "onprem_sid": "S-1-5-21-1",
                "puid": "1003000000000000",
                f"{_MICROSOFT}scope": "user_impersonation",
                f"{_XMLSOAP}nameidentifier": self.caller,
                f"{_MICROSOFT}tenantid": _TENANT,
                f"{_XMLSOAP}name": upn,
                f"{_XMLSOAP}upn": upn,
                "uti": token,
                "ver": "1.0",
            },
            "correlationId": self.correlation,
            "httpRequest": {
                "clientRequestId": self.correlation,
                "clientIpAddress": address,
                "method": self.method,
                "url": f"https://management.azure.com{self.resource}?api-version=2023-02-01",
            },
            "resourceProvider": self.provider,
            "resourceUri": self.resource,
            "operationName": self.operation,
            "status": "Succeeded",
            "subscriptionId": self.subscription,
            "tenantId": _TENANT,
        }


def operation_name(resource: ResourceId, verb: str) -> str:
    """The name of what was done: the resource's type and ``write`` or ``delete``."""
    return f"{resource.type}/{verb}"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
