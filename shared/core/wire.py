"""The core's values as JSON and back, for the ledger's inputs and the state store's rows.

Reading back is strict: an unknown key, a missing key or another type is an error, never a guess.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from functools import cache, partial
from operator import is_
from typing import TYPE_CHECKING, cast

from cattrs import Converter
from cattrs.errors import BaseValidationError

from shared.core.allowlist import IdPattern
from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError, LedgerBrokenError
from shared.core.model import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.ledger import Json


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
    converter.register_unstructure_hook(ArmId, str)
    converter.register_structure_hook(ArmId, lambda value, _: ArmId.parse(_as(str, value)))
    converter.register_unstructure_hook(Target, str)
    converter.register_structure_hook(Target, lambda value, _: Target(ArmId.parse(_as(str, value))))
    converter.register_unstructure_hook(IdPattern, str)
    converter.register_structure_hook(IdPattern, lambda value, _: IdPattern(ArmId.parse(_as(str, value))))
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(_as(str, value)))
    converter.register_structure_hook(float, lambda value, _: float(value))
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_structure_hook(date, lambda value, _: date.fromisoformat(_as(str, value)))
    for kind in (str, int, bool):
        # By identity: an enumeration of texts is a text too, and must not be read as one.
        converter.register_structure_hook_func(partial(is_, kind), _exactly(kind))
    converter.register_unstructure_hook(StrEnum, lambda member: member.value)
    return converter


def _as[T](kind: type[T], value: object) -> T:
    if type(value) is not kind:
        message = f"{kind.__name__} expected, {type(value).__name__} found"
        raise TypeError(message)
    return value


def _exactly[T](kind: type[T]) -> Callable[[object, object], T]:
    return lambda value, _: _as(kind, value)


def to_json(value: object) -> Json:
    """The JSON of a core value."""
    return cast("Json", _converter().unstructure(value))


def from_json[T](kind: type[T], value: Json) -> T:
    """The core value of type ``kind`` that ``value`` is the JSON of.

    Raises:
        LedgerBrokenError: where it is not the JSON of such a value.

    """
    try:
        return _converter().structure(value, kind)
    except (BaseValidationError, InvalidIdError, ValueError, TypeError, KeyError) as error:
        message = f"this is not the JSON of a {kind.__name__}: {type(error).__name__}"
        raise LedgerBrokenError(message) from error
