"""What goes wrong on demand: answers refused, lost, late, stale or junk, for the requests that a pattern names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from random import Random

from shared.local_azure.ids import fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """An error of ARM's instead of the answer."""

    status: int
    code: str
    message: str = "Refused by the local Azure, as it was told to."
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = False
    """Whether the request is carried out all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSocket:
    """The connection is closed without an answer."""

    applied: bool = False
    """Whether the request is carried out all the same: a PUT that was done and whose answer was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """No answer until the caller gives up."""

    applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """The right answer, so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The answer as it was so many seconds ago."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Junk:
    """Another body than the right one."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The right answer, with its JSON changed by ``change``."""

    change: Callable[[object], object]


type Fault = Refuse | CloseSocket | Hang | Delay | Stale | Junk | Rewrite


def throttled(retry_after: int = 1) -> Refuse:
    """429 with Retry-After."""
    return Refuse(status=429, code="SubscriptionRequestsThrottled", headers={"Retry-After": str(retry_after)})


def server_error(status: int = 503, *, applied: bool = False) -> Refuse:
    """A 5xx."""
    code = {500: "InternalServerError", 502: "BadGateway", 504: "GatewayTimeout"}.get(status, "ServiceUnavailable")
    return Refuse(status=status, code=code, applied=applied)


def lost_answer() -> CloseSocket:
    """The request is carried out, the answer never arrives."""
    return CloseSocket(applied=True)


def not_json() -> Junk:
    """HTML where JSON was due."""
    return Junk(body=b"<!DOCTYPE html><html><body>Service is being updated</body></html>", content_type="text/html")


def wrong_shape() -> Junk:
    """JSON, but nothing that was asked for."""
    return Junk(body=b'{"value": {"not": "a list"}, "id": 7, "properties": ["x"]}')


@dataclass(slots=True, kw_only=True, eq=False)
class FaultRule:
    """A fault and the requests that it is for."""

    fault: Fault
    method: str
    pattern: str
    """Of the path, as it was given."""
    regex: re.Pattern[str]
    times: int | None
    """How often it still happens; None for ever."""
    skip: int
    """How many matching requests pass first."""
    chance: float
    hits: int = 0
    """How often it happened."""


class Faults:
    """The rules; the first that is for a request decides."""

    def __init__(self, seed: int = 0) -> None:
        self.rules: list[FaultRule] = []
        self.denied: set[str] = set()
        """ARM actions (patterns) that nobody may do: 403 ``AuthorizationFailed``."""
        self.against_policy: set[str] = set()
        """ARM actions (patterns) that a policy refuses: 403 ``RequestDisallowedByPolicy``."""
        self._random = Random(seed)

    def add(  # noqa: PLR0913  which requests, and how often
        self, fault: Fault, *, method: str = "*", path: str = "*", times: int | None = 1, skip: int = 0, chance: float = 1.0
    ) -> FaultRule:
        """Let ``fault`` happen to ``times`` requests (None: to all) of this method whose path fits, after ``skip`` others.

        ``path`` is a pattern of ``*`` and ``?``, whatever the case, for the path without its query. ``chance``: of each.
        """
        rule = FaultRule(
            fault=fault,
            method=method.upper(),
            pattern=path,
            regex=re.compile(translate(fold(path))),
            times=times,
            skip=skip,
            chance=chance,
        )
        self.rules.append(rule)
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Let it happen no more."""
        self.rules = [known for known in self.rules if known is not rule]

    def deny(self, *actions: str) -> None:
        """Refuse actions, such as ``Microsoft.Web/sites/privateEndpointConnections/write``, or patterns of them."""
        self.denied.update(actions)

    def forbid_by_policy(self, *actions: str) -> None:
        """Refuse writes as an Azure Policy would."""
        self.against_policy.update(actions)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.rules.clear()
        self.denied.clear()
        self.against_policy.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """What happens to this request, if anything."""
        if not self.rules:
            return None
        path = fold(path)
        for rule in self.rules:
            if rule.times == 0 or rule.method not in {"*", method} or not rule.regex.fullmatch(path):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.chance < 1 and self._random.random() >= rule.chance:
                continue
            rule.hits += 1
            if rule.times is not None:
                rule.times -= 1
            return rule.fault
        return None

    def is_denied(self, action: str) -> bool:
        """Whether nobody may do this."""
        return _among(action, self.denied)

    def is_against_policy(self, action: str) -> bool:
        """Whether a policy refuses this."""
        return _among(action, self.against_policy)


def _among(action: str, patterns: set[str]) -> bool:
    return any(fnmatchcase(fold(action), fold(pattern)) for pattern in patterns)
