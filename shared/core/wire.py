"""The core's values as JSON and back, for the ledger's inputs and the state store's rows.

Reading back is strict: an unknown key, a missing key or another type is an error, never a guess.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, cast, get_args, get_origin

from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_unstructure_fn

from shared.core.allowlist import IdPattern
from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import InvalidIdError, LedgerBrokenError
from shared.core.model import Connection, Link, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.ledger import Json


@cache
def _converter() -> Converter:
    """To JSON and back, nothing lost."""
    converter = Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
    converter.register_unstructure_hook(ArmId, str)
    converter.register_structure_hook(ArmId, lambda value, _: ArmId.parse(_as(str, value)))
    converter.register_unstructure_hook(Target, str)
    converter.register_structure_hook(Target, lambda value, _: Target(ArmId.parse(_as(str, value))))
    converter.register_unstructure_hook(IdPattern, str)
    converter.register_structure_hook(IdPattern, lambda value, _: IdPattern(ArmId.parse(_as(str, value))))
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda value, _: _moment(_as(str, value)))
    converter.register_unstructure_hook(timedelta, timedelta.total_seconds)
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(seconds=_number(value)))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_structure_hook(date, lambda value, _: date.fromisoformat(_as(str, value)))
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_unstructure_hook(StrEnum, lambda member: member.value)
    return converter


@cache
def _folding_converter() -> Converter:
    """To JSON that is the same whatever case Azure spells ids and states in; never back."""
    converter = _converter().copy()
    converter.register_unstructure_hook(ArmId, lambda id_: id_.key)
    converter.register_unstructure_hook(Target, lambda target: target.id.key)
    link, connection = make_dict_unstructure_fn(Link, converter), make_dict_unstructure_fn(Connection, converter)
    converter.register_unstructure_hook(
        Link,
        lambda one: link(replace(one, resource_id=fold_case(one.resource_id), group_id=fold_case(one.group_id))),
    )
    converter.register_unstructure_hook(
        Connection,
        lambda one: connection(replace(one, endpoint_id=fold_case(one.endpoint_id), status_text=fold_case(one.status_text))),
    )
    return converter


def _is_tuple(kind: object) -> bool:
    return get_origin(kind) is tuple


def _tuple_hook(kind: object, converter: Converter) -> Callable[[object, object], tuple[object, ...]]:
    """Of any length and one kind of item, as all the core's are; a text is none, though it has characters."""
    item = get_args(kind)[0]
    hook = converter.get_structure_hook(item)
    return lambda value, _: tuple(hook(one, item) for one in cast("list[object]", _as(list, value)))


def _number(value: object) -> float:
    if type(value) not in {int, float}:
        message = f"a number expected, {type(value).__name__} found"
        raise TypeError(message)
    return float(cast("float", value))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        message = "a time without its offset from UTC"
        raise ValueError(message)
    return moment


def _as[T](kind: type[T], value: object) -> T:
    if type(value) is not kind:
        message = f"{kind.__name__} expected, {type(value).__name__} found"
        raise TypeError(message)
    return value


def _exactly[T](kind: type[T]) -> Callable[[object, type[T]], T]:
    """Of that type and no other; then as what is asked for, which may be an enumeration of such values."""

    def read(value: object, wanted: type[T]) -> T:
        exact = _as(kind, value)
        return exact if wanted is kind else cast("Callable[[T], T]", wanted)(exact)

    return read


def to_json(value: object) -> Json:
    """The JSON of a core value."""
    return cast("Json", _converter().unstructure(value))


def to_identity(value: object) -> Json:
    """The JSON of a core value as far as it tells one thing from another: Azure spells the same id in many ways."""
    return cast("Json", _folding_converter().unstructure(value))


def from_json[T](kind: type[T], value: Json) -> T:
    """The core value of type ``kind`` that ``value`` is the JSON of.

    Raises:
        LedgerBrokenError: where it is not the JSON of such a value.

    """
    try:
        return _converter().structure(value, kind)
    except (BaseValidationError, InvalidIdError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        message = f"this is not the JSON of a {kind.__name__}: {type(error).__name__}"
        raise LedgerBrokenError(message) from error
