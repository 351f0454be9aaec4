"""The values of an allowlist: what each key may hold, and what to say where it holds something else.

Nothing is coerced: a number is no text, ``yes`` is no truth value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import ANY_NAME, IdPattern
from shared.core.arm_id import SUBSCRIPTION_ID, ArmId, fold_case
from shared.core.endpoint_name import Template
from shared.core.errors import InvalidIdError, InvalidTemplateError
from shared.core.model import SITE_TYPE, SLOT_TYPE
from shared.core.problem import Problem
from shared.core.request_message import MAX_MESSAGE_LENGTH
from shared.core.yaml_tree import MAX_PROBLEMS, MORE_PROBLEMS, Kind, Mapping, Node, Refused, Scalar, Sequence, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

MAX_NOTE_LENGTH: Final = 256
"""Of ``owner`` and ``ticket``, in characters."""

_RULE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SLOT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,57}[A-Za-z0-9])?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_NOT_ON_ONE_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_MISSPELLING: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What ``request_message`` demands."""

    text: str | None
    """The exact text; None where the message must be a signed one."""


SIGNED: Final = Message(text=None)


class TooManyProblemsError(Exception):
    """The last problem says that there are more."""


class ValueReader:
    """Reads one value at a time: the value, or None and a problem more."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self.problems = list(problems)

    def report(self, node: Node, message: str) -> None:
        """Add a problem at ``node``, unless another one is told of it already.

        Raises:
            TooManyProblemsError: where there are MAX_PROBLEMS before.

        """
        if isinstance(node, Refused):
            return
        if len(self.problems) >= MAX_PROBLEMS:
            self.problems.append(Problem(node.line, node.column, MORE_PROBLEMS))
            raise TooManyProblemsError
        self.problems.append(Problem(node.line, node.column, message))

    def text(self, node: Node) -> str | None:
        """Any text."""
        match node:
            case Scalar(kind=Kind.TEXT, text=text):
                if not _SURROGATE.search(text):
                    return text
                self.report(node, f"{shown(text)} has half of a surrogate pair, which is no character: take it out")
            case Scalar(kind=Kind.NOTHING):
                self.report(node, 'nothing stands here where a text is wanted: write one ("" for an empty one)')
            case Scalar(text=text):
                self.report(node, f"{node.kind} ({shown(text)}) stands here where a text is wanted: put it in quotes")
            case _:
                self.report(node, f"{kind_of(node)} stands here where a text is wanted: write a text")
        return None

    def truth(self, node: Node) -> bool | None:
        """``true`` or ``false``."""
        if isinstance(node, Scalar) and node.kind is Kind.TRUTH:
            return fold_case(node.text) == "TRUE"
        found = shown(node.text) if isinstance(node, Scalar) and node.text else kind_of(node)
        self.report(node, f"{found} stands here where true or false is wanted: write one of them, without quotes")
        return None

    def choice[E: StrEnum](self, node: Node, choices: type[E]) -> E | None:
        """One of a few texts."""
        text = self.text(node)
        if text is None:
            return None
        known = {choice.value: choice for choice in choices}
        if text not in known:
            advice = suggestion(text, known) or f"write one of {', '.join(known)}"
            self.report(node, f"{shown(text)} is unknown here: {advice}")
        return known.get(text)

    def rule_id(self, node: Node) -> str | None:
        """A rule's id: short enough for a connection's description, plain enough for every report."""
        text = self.text(node)
        if text is None or _RULE_ID.fullmatch(text):
            return text
        self.report(node, f"{shown(text)} is no rule id: write 1 to 64 of A-Z a-z 0-9 . _ - with a letter or digit first")
        return None

    def pattern(self, node: Node, resource_type: str) -> IdPattern | None:
        """An ARM id of that type, whose last name may be ``*``."""
        text = self.text(node)
        if text is None:
            return None
        *outer, name = text.split("/")
        if any(ANY_NAME in segment for segment in outer) or (ANY_NAME in name and name != ANY_NAME):
            self.report(node, f"{shown(text)} has a * where none may be: the last name may be *, alone, and nothing else")
            return None
        try:
            found = ArmId.parse(text)
        except InvalidIdError as error:
            self.report(node, str(error))
            return None
        if resource_type == SITE_TYPE and found.is_type(SLOT_TYPE):
            self.report(node, f"{shown(text)} is a deployment slot: write its site here, and the slot's name under slots")
        elif not found.is_type(resource_type):
            self.report(node, f"{shown(text)} is a {shown(found.type)}: write the id of a {resource_type}")
        else:
            return IdPattern(found)
        return None

    def slots(self, node: Node) -> tuple[str, ...] | None:
        """Slot names, at least one."""
        found = self._texts(node, _SLOT, "a slot's name (letters, digits and -)", "[production]")
        if found == ():
            self.report(node, "no slot is listed, so the rule would be about nothing: write [production], or a slot's name")
            return None
        return found

    def subscriptions(self, node: Node) -> tuple[str, ...] | None:
        """Subscription ids, possibly none."""
        return self._texts(node, SUBSCRIPTION_ID, "a subscription id (8, 4, 4, 4 and 12 hex digits with - between)", "[]")

    def template(self, node: Node) -> str | None:
        """A template for an endpoint's name."""
        text = self.text(node)
        if text is None:
            return None
        try:
            Template.parse(text)
        except InvalidTemplateError as error:
            self.report(node, str(error))
            return None
        return text

    def message(self, node: Node) -> Message | None:
        """An exact text, or ``{signed: true}``."""
        if isinstance(node, Mapping):
            return self._signed(node)
        text = self.text(node)
        if text is None:
            return None
        if len(text) > MAX_MESSAGE_LENGTH:
            self.report(node, f"the request message has {len(text)} characters: Azure takes at most {MAX_MESSAGE_LENGTH}")
            return None
        return Message(text=text)

    def day(self, node: Node) -> date | None:
        """A day, as YYYY-MM-DD and nothing else."""
        if isinstance(node, Scalar) and _DATE.fullmatch(node.text):
            try:
                return date.fromisoformat(node.text)
            except ValueError:
                self.report(node, f"{shown(node.text)} is in no calendar: write a day that exists, as YYYY-MM-DD")
                return None
        found = shown(node.text) if isinstance(node, Scalar) and node.text else kind_of(node)
        self.report(node, f"{found} stands here where a day is wanted: write YYYY-MM-DD, such as 2027-06-30, and no time")
        return None

    def note(self, node: Node) -> str | None:
        """A short text on one line, for people."""
        text = self.text(node)
        if text is None:
            return None
        if len(text) > MAX_NOTE_LENGTH:
            self.report(node, f"this text has {len(text)} characters: write at most {MAX_NOTE_LENGTH}")
            return None
        if _NOT_ON_ONE_LINE.search(text):
            self.report(node, f"{shown(text)} has a line break or a control character: take it out")
            return None
        return text

    def _texts(self, node: Node, pattern: re.Pattern[str], wanted: str, example: str) -> tuple[str, ...] | None:
        if not isinstance(node, Sequence):
            self.report(node, f"{kind_of(node)} stands here where a list is wanted: write one, such as {example}")
            return None
        before = len(self.problems)
        found: dict[str, str] = {}
        refused = False
        for item in node.items:
            text = self.text(item)
            if text is None:
                refused = True
            elif not pattern.fullmatch(text):
                self.report(item, f"{shown(text)} is not {wanted}")
            elif fold_case(text) in found:
                self.report(item, f"{shown(text)} is here twice (case does not count): keep one of them")
            else:
                found[fold_case(text)] = text
        return None if refused or len(self.problems) > before else tuple(found.values())

    def _signed(self, node: Mapping) -> Message | None:
        for key, entry in node.entries.items():
            if key != "signed":
                self.report(entry.key, f"{shown(key)} is unknown here: write an exact text, or {{signed: true}}")
        if "signed" not in node.entries:
            self.report(node, "this demands nothing: write an exact text, or {signed: true}")
            return None
        value = node.entries["signed"].value
        demanded = self.truth(value)
        if demanded is False:
            self.report(value, "signed: false demands nothing: write {signed: true}, an exact text, or leave request_message out")
        return SIGNED if demanded else None


def kind_of(node: Node) -> str:
    """What a node is, for a sentence."""
    match node:
        case Scalar(kind=kind):
            return kind
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Refused():
            return "something unreadable"


def suggestion(text: str, known: Iterable[str]) -> str:
    """``did you mean ...?`` where one of ``known`` is close to ``text``, else an empty text."""
    if len(text) > _LONGEST_MISSPELLING:
        return ""
    close = get_close_matches(text.lower().replace("-", "_"), known, n=1)
    return f"did you mean {close[0]}?" if close else ""
