"""A strict reading of YAML: the few constructs that people need, each node with its place, every mistake reported.

The scanner and parser are ruamel.yaml's. What is built from their events is narrower than YAML 1.2 on purpose: one
document, no anchors, aliases, merge keys, tags or directives (what is written is what is meant, and nothing grows when
it is read), no key twice, no block texts (they end with a line break that nobody sees), no characters that make a
person read something else than the parser does, and bounds on size and depth.

Plain scalars mean what YAML 1.2's core schema says: ``yes`` and ``2027-06-30`` are texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from shared.core.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 1024 * 1024
"""Of the document in UTF-8."""
MAX_DEPTH: Final = 16
"""Of lists and mappings within one another."""
MAX_NODES: Final = 100_000
"""More than rules have that fit into MAX_BYTES, ids being as long as they are."""
MAX_PROBLEMS: Final = 1_000
"""After so many the rest is not looked at: whoever mends them looks again."""
MORE_PROBLEMS: Final = "there are more problems than these: mend them and check again"

_QUOTED_AT_MOST: Final = 200
"""An ARM id is rarely longer, and what is wrong with one is often at its end."""
_SAID_AT_MOST: Final = 200
_BYTE_ORDER_MARK: Final = "\ufeff"
# Controls (C0 but tab and line feed, DEL, C1 with its line break), line and paragraph separators, the controls of text
# direction, a byte order mark inside the text, halves of surrogate pairs and the two non-characters that YAML bars.
_BARRED: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


class Kind(StrEnum):
    """What a scalar is by the core schema; the values are how sentences name it."""

    TEXT = "a text"
    NOTHING = "nothing"
    TRUTH = "a truth value"
    NUMBER = "a number"


# YAML 1.2.2, 10.3.2 "Tag Resolution".
_CORE_SCHEMA: Final = (
    (Kind.NOTHING, re.compile(r"~|null|Null|NULL|")),
    (Kind.TRUTH, re.compile(r"true|True|TRUE|false|False|FALSE")),
    (Kind.NUMBER, re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (Kind.NUMBER, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")),
    (Kind.NUMBER, re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value."""

    line: int
    column: int
    kind: Kind
    text: str
    """As written, without quotes and escapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Keys and values."""

    line: int
    column: int
    entries: dict[str, Entry]
    source: str
    """As written, without the indentation that its lines share; with the comments inside, not those around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A value that cannot be read; its problem is reported."""

    line: int
    column: int


type Node = Scalar | Sequence | Mapping | Refused


def read_tree(text: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """The document's tree and everything that is wrong with it as YAML, sorted.

    The tree is None where there is none: an empty document, or one that breaks off at something that is not YAML, of
    which only the first place can be told.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return None, (Problem(0, 0, f"the document has more than {MAX_BYTES} bytes: split it, or write rules with *"),)
    lines = text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    if barred := _BARRED.search(lines):
        line, column = lines.count("\n", 0, barred.start()) + 1, barred.start() - lines.rfind("\n", 0, barred.start())
        code = f"U+{ord(barred.group()):04X}"
        message = f"the character {code} may not stand here: take it out, or write it as an escape in double quotes"
        return None, (Problem(line, column, message),)
    builder = _Builder(lines)
    tree = builder.document()
    return tree, tuple(sorted(set(builder.problems)))


def shown(text: str) -> str:
    """``text`` quoted for a sentence: control characters escaped, its end cut where it is long."""
    return repr(text) if len(text) <= _QUOTED_AT_MOST else f"{text[:_QUOTED_AT_MOST]!r}..."


class _StopReadingError(Exception):
    """What follows cannot be read; the problem is reported."""


class _Builder:
    """Builds the tree of one document from the parser's events. ``lines`` has line feeds alone."""

    def __init__(self, lines: str) -> None:
        self.problems: list[Problem] = []
        self._lines = lines
        self._rows = lines.split("\n")
        self._events = self._read_events()
        self._line = self._column = 1
        self._nodes = 0
        self._end = 0
        """Where the last thing that is not empty ended, as an index."""

    def document(self) -> Node | None:
        try:
            event = self._next()
            while not isinstance(event, DocumentStartEvent):
                event = self._next()
            self._refuse_directives(event)
            tree = self._node(self._next(), depth=1)
            self._next()
            if isinstance(self._next(), DocumentStartEvent):
                self._report("a second document starts here: an allowlist is one document, without ---")
        except StopIteration:
            return None
        except _StopReadingError:
            return None
        return tree

    def _read_events(self) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._lines)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark is not None:
                self._line, self._column = mark.line + 1, mark.column + 1
            said = f"{error.context or ''} {error.problem or ''}".strip()
            self._stop(f"this is not YAML: {_printable(said)}; check the indentation, and put the text in quotes")
        except Exception as error:  # noqa: BLE001  whatever a foreign parser does with a hostile text, the document is refused
            self._stop(f"this is not YAML ({type(error).__name__}): check it from here on")

    def _next(self) -> Any:  # noqa: ANN401  ruamel.yaml's events have no types
        event = next(self._events)
        self._line, self._column = event.start_mark.line + 1, event.start_mark.column + 1
        return event

    def _report(self, message: str) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self._stop(MORE_PROBLEMS)
        self.problems.append(Problem(self._line, self._column, message))

    def _stop(self, message: str) -> NoReturn:
        self.problems.append(Problem(self._line, self._column, message))
        raise _StopReadingError

    def _refuse_directives(self, start: DocumentStartEvent) -> None:
        for number, row in enumerate(self._rows[: start.end_mark.line], 1):
            if row.startswith("%"):
                self._line, self._column = number, 1
                self._stop("a directive (%) is not allowed: take the line out")

    def _node(self, event: Any, *, depth: int) -> Node:  # noqa: ANN401  as above
        line, column = self._line, self._column
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(f"the document has more than {MAX_NODES} keys and values: no allowlist of its size needs so many")
        if depth > MAX_DEPTH:
            self._stop(f"lists and mappings are more than {MAX_DEPTH} deep within one another here: nothing needs that")
        if isinstance(event, AliasEvent):
            self._end = event.end_mark.index
            self._report("an alias (*name) is not allowed: write the value out, and put a text that starts with * in quotes")
            return Refused(line=line, column=column)
        if event.anchor is not None:
            self._report("an anchor (&name) is not allowed: write each value out, and put a text that starts with & in quotes")
        tagged = event.tag is not None
        if tagged:
            self._report("a tag (!name) is not allowed: take it out, and put a text that starts with ! in quotes")
        if isinstance(event, SequenceStartEvent):
            return self._sequence(line, column, depth=depth)
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, line, column, depth=depth)
        self._end = max(self._end, event.end_mark.index if event.value or event.style else 0)
        if event.style in ("|", ">"):
            self._report("a block text (| or >) is not allowed, since it ends with a line break: write it in quotes on one line")
            return Refused(line=line, column=column)
        if tagged:
            return Refused(line=line, column=column)
        return Scalar(line=line, column=column, kind=_kind(event), text=_joined(event.value))

    def _sequence(self, line: int, column: int, *, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        self._end = max(self._end, self._flow_end(event))
        return Sequence(line=line, column=column, items=tuple(items))

    def _mapping(self, start: MappingStartEvent, line: int, column: int, *, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(self._next(), depth=depth + 1)
            self._line, self._column = key.line, key.column
            if isinstance(value, Scalar) and value.kind is Kind.NOTHING and not value.text:
                # The parser puts an empty value where the next thing starts.
                value = Scalar(line=key.line, column=key.column, kind=Kind.NOTHING, text="")
            match key:
                case Scalar(text="<<", kind=Kind.TEXT):
                    self._report("a merge key (<<) is not allowed: write the keys out, or use defaults")
                case Scalar(text=text) if text in entries:
                    first = entries[text].key.line
                    self._report(f"the key {shown(text)} is here twice, first in line {first}: keep one of them")
                case Scalar(text=text):
                    entries[text] = Entry(key=key, value=value)
                case Refused():
                    pass
                case _:
                    self._report("a list or a mapping cannot be a key: write a name")
        self._end = max(self._end, self._flow_end(event))
        source = self._source(start, flow=event.end_mark.index > event.start_mark.index)
        return Mapping(line=line, column=column, entries=entries, source=source)

    def _flow_end(self, event: SequenceEndEvent | MappingEndEvent) -> int:
        """Where a list or mapping in brackets ends; 0 for one by indentation, whose end is its last value's."""
        end: int = event.end_mark.index
        return end if end > event.start_mark.index else 0

    def _source(self, start: MappingStartEvent, *, flow: bool) -> str:
        begin, end = start.start_mark.index, self._end
        if not flow:
            end_of_line = self._lines.find("\n", end)
            end = len(self._lines) if end_of_line < 0 else end_of_line
        first, *others = self._lines[begin:end].split("\n")
        margin = start.start_mark.column
        return "\n".join([first, *(line[margin:] if not line[:margin].strip() else line.lstrip() for line in others)])


def _kind(event: ScalarEvent) -> Kind:
    if event.style is not None:
        return Kind.TEXT
    return next((kind for kind, pattern in _CORE_SCHEMA if pattern.fullmatch(event.value)), Kind.TEXT)


def _joined(text: str) -> str:
    """``text`` with the pairs of surrogates that JSON's escapes leave joined to the characters that they stand for."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _printable(text: str) -> str:
    """``text`` on one line, without controls, cut."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= _SAID_AT_MOST else clean[:_SAID_AT_MOST] + "..."
