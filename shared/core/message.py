"""The messages on the work queue, version 1: small, strict, and with nothing in them but what to look at next.

The first message about something is ``{"v":1,"id":"<ARM id>","attempt":1}``. Those that Linkguard puts back itself carry what
ties them together as well. A part of a long sweep is ``{"v":1,"sweep":"<id>","part":1,"attempt":1}``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError, MessageError
from shared.core.model import SIGNALR_TYPE, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_VERSION: Final = 1
MAX_TEXT: Final = 8192
"""Characters of the longest message; an id has at most 2,048, and each of them may need six."""
_MAX_ATTEMPT: Final = 1_000_000
_MAX_PART: Final = 1_000_000
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookMessage:
    """Look at a SignalR service's links, or at a target."""

    id: ArmId
    attempt: int = 1
    """1 for what an event asked for; 2 and more for what was put back."""
    via: ArmId | None = None
    """The SignalR service that led to the target: its links are read too, though no list has them yet."""
    correlation: str | None = None
    """What ties all messages to their first one: its id on the queue, or the sweep's."""
    since: datetime | None = None
    """When the first one came."""
    token: str | None = None
    """Of a message that was put back: the target's newest one counts, the others end."""

    @property
    def target(self) -> Target | None:
        """The target; None where it is a SignalR service's id."""
        return None if self.id.is_type(SIGNALR_TYPE) else Target(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartMessage:
    """Go on with a part of a sweep."""

    sweep: str
    part: int
    attempt: int = 1
    """2 and more for what could not go on yet."""


type Message = LookMessage | PartMessage


def encode(message: Message) -> str:
    """The message's text: one line of ASCII."""
    values = {"v": MESSAGE_VERSION} | {field.name: _plain(getattr(message, field.name)) for field in fields(message)}
    present = {key: value for key, value in values.items() if value is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=True)


def _plain(value: object) -> object:
    match value:
        case ArmId():
            return str(value)
        case datetime():
            return value.isoformat()
        case _:
            return value


def decode(text: str) -> Message:
    """Read a message back.

    Raises:
        MessageError: for anything that :func:`encode` does not write. The text is not quoted: it may be anybody's.

    """
    if len(text) > MAX_TEXT:
        message = f"a message has at most {MAX_TEXT} characters, this one has {len(text)}"
        raise MessageError(message)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        message = "a message is JSON, and this is none"
        raise MessageError(message) from None
    if not isinstance(value, dict):
        message = "a message is an object, and this is none"
        raise MessageError(message)
    return _Reader(value).read()


class _Reader:
    def __init__(self, value: Mapping[str, object]) -> None:
        self._left = dict(value)

    def read(self) -> Message:
        version = self._integer("v", least=0, most=_MAX_ATTEMPT)
        if version != MESSAGE_VERSION:
            problem = f"this is a message of version {version}; this program reads version {MESSAGE_VERSION}"
            raise MessageError(problem)
        message: Message
        if "sweep" in self._left:
            message = PartMessage(
                sweep=self._token("sweep"),
                part=self._integer("part", least=1, most=_MAX_PART),
                attempt=self._integer("attempt", least=1, most=_MAX_ATTEMPT),
            )
        else:
            message = self._look()
        if self._left:
            raise MessageError(_unfit("its keys"))
        return message

    def _look(self) -> LookMessage:
        message = LookMessage(
            id=self._id("id"),
            attempt=self._integer("attempt", least=1, most=_MAX_ATTEMPT),
            via=self._id("via") if "via" in self._left else None,
            correlation=self._token("correlation") if "correlation" in self._left else None,
            since=self._moment("since") if "since" in self._left else None,
            token=self._token("token") if "token" in self._left else None,
        )
        try:
            target = message.target
        except InvalidIdError:
            raise MessageError(_unfit("id")) from None
        if message.via is not None and (target is None or not message.via.is_type(SIGNALR_TYPE)):
            raise MessageError(_unfit("via"))
        return message

    def _take(self, key: str) -> object:
        try:
            return self._left.pop(key)
        except KeyError:
            raise MessageError(_unfit(key)) from None

    def _integer(self, key: str, *, least: int, most: int) -> int:
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise MessageError(_unfit(key))
        return value

    def _text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            raise MessageError(_unfit(key))
        return value

    def _token(self, key: str) -> str:
        value = self._text(key)
        if not _TOKEN.fullmatch(value):
            raise MessageError(_unfit(key))
        return value

    def _id(self, key: str) -> ArmId:
        try:
            return ArmId.parse(self._text(key))
        except InvalidIdError:
            raise MessageError(_unfit(key)) from None

    def _moment(self, key: str) -> datetime:
        try:
            moment = datetime.fromisoformat(self._text(key))
        except ValueError:
            raise MessageError(_unfit(key)) from None
        if moment.utcoffset() is None:
            raise MessageError(_unfit(key))
        return moment


def _unfit(key: str) -> str:
    return f"{key} is missing from this message, or is not what version {MESSAGE_VERSION} has there"
