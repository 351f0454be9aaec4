"""Texts -> values, for settings of any kind. Each raises ValueError with a message for a person."""

from __future__ import annotations

import difflib
import ipaddress
import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


_QUOTED_AT_MOST: Final = 80


def parse_duration(text: str) -> timedelta:
    """Read ``500ms``, ``30s``, ``10m``, ``2h`` or ``1d``: a whole number and one unit.

    Raises:
        ValueError: for anything else.

    """
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{quote(text)} is not a duration such as 500ms, 30s, 10m, 2h or 1d"
        raise ValueError(message)
    return int(match["number"]) * _UNITS[match["unit"]]


def format_duration(value: timedelta) -> str:
    """Write a duration, a whole number of milliseconds, in the largest unit that holds it exactly; 0 is ``0ms``."""
    unit = next((unit for unit, size in reversed(_UNITS.items()) if value and not value % size), "ms")
    return f"{value // _UNITS[unit]}{unit}"


_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def quote(text: str) -> str:
    """``text`` for a message: escaped, and never so long that it hides the rest."""
    return repr(text if len(text) <= _QUOTED_AT_MOST else text[: _QUOTED_AT_MOST - 3] + "...")


def duration(*, least: str, most: str) -> Callable[[str], timedelta]:
    """A parser of durations from ``least`` to ``most``."""
    low, high = parse_duration(least), parse_duration(most)

    def parse(text: str) -> timedelta:
        value = parse_duration(text)
        if not low <= value <= high:
            message = f"{text} is not from {least} to {most}"
            raise ValueError(message)
        return value

    return parse


def integer(*, least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from ``least`` to ``most``."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            message = f"{quote(text)} is not a whole number from {least} to {most}"
            raise ValueError(message)
        return int(text)

    return parse


def flag(text: str) -> bool:
    """``true`` or ``false``, and nothing else."""
    if text not in {"true", "false"}:
        message = f"{quote(text)} is neither true nor false"
        raise ValueError(message)
    return text == "true"


def choice[E: StrEnum](kind: type[E]) -> Callable[[str], E]:
    """A parser of an enum's values."""

    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            message = f"{quote(text)} is none of {', '.join(kind)}{did_you_mean(text.lower(), kind)}"
            raise ValueError(message) from None

    return parse


def did_you_mean(text: str, known: Collection[str]) -> str:
    """`` (did you mean x?)`` where something known is close to ``text``, else ""."""
    close = difflib.get_close_matches(text, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def items(text: str) -> list[str]:
    """The elements of a comma-separated list; an empty one is left out, so a trailing comma does no harm."""
    return [item for item in (part.strip() for part in text.split(",")) if item]


def guid(text: str) -> str:
    """A GUID, lower-cased."""
    folded = text.lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", folded):
        message = f"{quote(text)} is not a GUID such as {UUID(int=0)}"
        raise ValueError(message)
    return folded


def each[T](text: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    """Every element parsed; where some cannot be, one ValueError says so of each."""
    values, problems = [], []
    for item in items(text):
        try:
            values.append(parse(item))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(values)


def guids(text: str) -> tuple[str, ...]:
    """GUIDs, comma-separated, each once."""
    return tuple(dict.fromkeys(each(text, guid)))


_CRON_FIELDS: Final = 6


def schedule(text: str) -> str:
    """An NCRONTAB expression of six fields, which the Functions host reads in full."""
    fields = text.split()
    if len(fields) != _CRON_FIELDS or not all(re.fullmatch(r"[0-9A-Za-z*/,-]+", field) for field in fields):
        message = f"{quote(text)} is not an NCRONTAB expression of six fields: second minute hour day month day-of-week"
        raise ValueError(message)
    return " ".join(fields)


def resolved(text: str) -> str:
    """The text, unless it is a reference that the platform should have put a secret's value in the place of.

    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if text.startswith("@Microsoft.KeyVault("):
        message = (
            "it is a Key Vault reference that the platform did not resolve: the app's identity needs the role Key Vault Secrets"
            " User, the vault must be reachable, and the secret must exist"
        )
        raise ValueError(message)
    return text


_LOOPBACK_4: Final = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_6: Final = ipaddress.IPv6Address("::1")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: ``localhost``, ``127.0.0.0/8`` or ``::1``, written so."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK_4 if isinstance(address, ipaddress.IPv4Address) else address == _LOOPBACK_6
