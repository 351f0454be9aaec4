"""ARM's asynchronous operations: what is still going on, at the URLs that a PUT or a DELETE hands out.

Those URLs carry a signed query of some 4 KB, a secret of sorts. It is made up here, and long, so that whoever stores or logs
it is seen to do so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha512
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shared.local_azure.ids import ResourceId, fold

if TYPE_CHECKING:
    from shared.local_azure.resources import JsonObject

SIGNALR_STATUSES: Final = "operationStatuses"
RESULTS: Final = "operationResults"
SIGNATURE_MARK: Final = "c=MIIlocalAzureSignedQuery"
"""Starts the signed part of the query: nothing of it may be found in what is stored or logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that ARM said it would do."""

    id: str
    subscription: str
    provider: str
    location: str
    resource: ResourceId
    started: datetime
    ends: datetime
    deletes: bool
    error: str | None = None
    """Why it fails in the end; None where it succeeds."""

    def status(self, when: datetime, working: str) -> str:
        """``working`` until it ends, then ``Succeeded`` or ``Failed``."""
        if when < self.ends:
            return working
        return "Failed" if self.error else "Succeeded"

    def url(self, base: str, kind: str, api_version: str, *, signed: bool) -> str:
        """Where to ask for it."""
        place = f"/subscriptions/{self.subscription}/providers/{self.provider}/locations/{quote(self.location)}/{kind}/{self.id}"
        return f"{base}{place}?api-version={api_version}{_signed_query(self.id) if signed else ''}"

    def status_body(self, when: datetime, working: str, path: str) -> JsonObject:
        """What its status URL answers."""
        status = self.status(when, working)
        body: JsonObject = {"id": path, "name": self.id, "status": status, "startTime": _time(self.started)}
        if status != working:
            body["endTime"] = _time(self.ends)
        if status == "Failed":
            body["error"] = {"code": "SharedPrivateLinkResourceCreationFailed", "message": self.error}
        return body


class Operations:
    """All operations by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Operation] = {}

    def start(self, operation: Operation) -> Operation:
        """Keep it."""
        self._by_id[fold(operation.id)] = operation
        return operation

    def get(self, operation_id: str) -> Operation | None:
        """The operation with that id."""
        return self._by_id.get(fold(operation_id))


def _signed_query(seed: str) -> str:
    filler = "".join(sha512(f"{seed}{number}".encode()).hexdigest() for number in range(32))
    return f"&t=638700000000000000&{SIGNATURE_MARK}{filler[:3600]}&s={filler[-342:]}&h={filler[:43]}"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
