"""One form for each kind of item, written once, as a macro of the templates.

The page's first items are filled in by Jinja2, so that they are there at once and without scripts. All others travel as data,
which a browser reads in a fraction of the time that markup takes: the macro is rendered once more with :class:`Slot` in place
of an item, and the script fills a copy of that form for each item that is to be shown. What it fills in becomes text and the
values of attributes, never markup.
"""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Final, override

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

type Columns = dict[str, dict[str, list[Any]]]

_OPEN: Final = "⟦"
_CLOSE: Final = "⟧"
"""The script knows them too. They are looked for in the form alone, never in what is filled in."""


class Slot:
    """Stands for an item, or for what is at ``path`` within one: written out, it marks where the value goes."""

    __slots__ = ("_path",)

    def __init__(self, path: str = "") -> None:
        """``path``: names with dots between them, "" for the item itself."""
        self._path = path

    def __getattr__(self, name: str) -> Slot:
        """What has this name within."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int) -> Slot:
        """What has this name or this place within."""
        return Slot(f"{self._path}.{key}" if self._path else str(key))

    def __iter__(self) -> Iterator[Slot]:
        """One that stands for each item of a list; its path begins anew."""
        return iter((Slot(),))

    @override
    def __str__(self) -> str:
        return f"{_OPEN}{self._path}{_CLOSE}"

    __html__ = __str__


def each(value: object) -> Markup:
    """For the element that is there once for each of a list: in a form, an attribute that says of which."""
    return Markup(' data-each="{}"').format(value._path) if isinstance(value, Slot) else Markup()  # noqa: SLF001  its own module


def given(value: object) -> Markup:
    """For the element that is there only where there is something: in a form, an attribute that says what."""
    return Markup(' data-if="{}"').format(value._path) if isinstance(value, Slot) else Markup()  # noqa: SLF001  its own module


def packed(items: Sequence[object]) -> Columns:
    """Dataclasses of one kind, column by column, so that what many of them share is there once.

    Columns are named by the field, or by two with a dot between them where a field is a dataclass itself. Each has ``values``;
    and ``of``, the place of each item's among them, where they are fewer than the items.
    """
    rows = [_flat(item) for item in items]
    columns: Columns = {}
    for name in rows[0] if rows else ():
        every = [row[name] for row in rows]
        places: dict[object, int] = {}
        of = [places.setdefault(value, len(places)) for value in every]
        columns[name] = {"values": list(places), "of": of} if len(places) * 2 <= len(rows) else {"values": every}
    return columns


def _flat(item: object) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in _object(item).items():
        flat |= {f"{name}.{inner}": one for inner, one in _object(value).items()} if is_dataclass(value) else {name: value}
    return flat


def as_json(value: object, **_: object) -> str:
    """With dataclasses as objects."""
    return json.dumps(value, default=_object, separators=(",", ":"), allow_nan=False)


def _object(value: object) -> dict[str, object]:
    if not is_dataclass(value):
        message = f"{type(value).__name__} is no dataclass"
        raise TypeError(message)
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
