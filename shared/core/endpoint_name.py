"""Templates for the name of a link's private endpoint.

How SignalR names the endpoints that it makes for its shared private links is not published, so what to expect is the
estate's to say: ``{link}`` and ``{signalr}`` stand for the names of the link and of its service, ``*`` for any run of
characters (also none), and everything else for itself, whatever the case. The name is the last segment of
``privateEndpoint.id``: nothing here ever matches across a ``/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from typing import Final, Self

from shared.core.arm_id import fold_case
from shared.core.errors import InvalidTemplateError

MAX_TEMPLATE_LENGTH: Final = 128
"""Longer than any name that Azure gives a private endpoint (80)."""

_TOKEN: Final = re.compile(r"\{(?P<placeholder>[^{}]*)\}|(?P<run>\*+)|(?P<text>[^{}*]+)|(?P<brace>[{}])")
_NOT_IN_A_NAME: Final = re.compile(r"[/\s\x00-\x1f\x7f?#%&\\\ud800-\udfff]")


class Placeholder(Enum):
    """What a template may name in braces. No StrEnum: a template's text ``link`` must not equal ``{link}``."""

    LINK = "link"
    SIGNALR = "signalr"


class AnyRun(Enum):
    """The wildcard."""

    ANY = "*"


type Part = Placeholder | AnyRun | str


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read and found valid."""

    parts: tuple[Part, ...]
    """At least one; never two wildcards in a row."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``text``.

        Raises:
            InvalidTemplateError: where it is empty, too long, has an unknown placeholder, a brace without its partner,
                two wildcards in a row, or a character that no Azure resource name has.

        """
        if not text:
            message = "the template is empty: write {link}, or another template"
            raise InvalidTemplateError(message)
        if len(text) > MAX_TEMPLATE_LENGTH:
            message = f"the template has {len(text)} characters: write at most {MAX_TEMPLATE_LENGTH}"
            raise InvalidTemplateError(message)
        if bad := _NOT_IN_A_NAME.search(text):
            message = f"the template has {bad.group()!r}, which no endpoint's name can have: take it out"
            raise InvalidTemplateError(message)
        return cls(tuple(_part(token) for token in _TOKEN.finditer(text)))

    @property
    def has_link(self) -> bool:
        """Whether the link's own name is part of it: without, one name fits every link of a service."""
        return Placeholder.LINK in self.parts

    def fits(self, *, link_name: str, signalr_name: str, endpoint_name: str) -> bool:
        """Whether ``endpoint_name`` is a name that this template stands for, whatever the case.

        Time grows with the name's length times the number of wildcards at most. An empty name fits nothing.
        """
        if not endpoint_name or "/" in endpoint_name:
            return False
        runs = [""]
        for part in self.parts:
            match part:
                case AnyRun():
                    runs.append("")
                case Placeholder.LINK:
                    runs[-1] += fold_case(link_name)
                case Placeholder.SIGNALR:
                    runs[-1] += fold_case(signalr_name)
                case str():
                    runs[-1] += fold_case(part)
        return _glob(runs, fold_case(endpoint_name))


def fits(template: str, link_name: str, signalr_name: str, endpoint_name: str) -> bool:
    """Whether ``endpoint_name`` is a name that ``template`` stands for, for that link of that service.

    Raises:
        InvalidTemplateError: as :meth:`Template.parse`; the templates of a parsed allowlist are valid.

    """
    return _parsed(template).fits(link_name=link_name, signalr_name=signalr_name, endpoint_name=endpoint_name)


def has_link(template: str) -> bool:
    """Whether ``template`` has ``{link}``.

    Raises:
        InvalidTemplateError: as :meth:`Template.parse`.

    """
    return _parsed(template).has_link


@lru_cache(maxsize=256)
def _parsed(template: str) -> Template:
    return Template.parse(template)


def _part(token: re.Match[str]) -> Part:
    match token.lastgroup, token.group():
        case "text", text:
            return text
        case "run", "*":
            return AnyRun.ANY
        case "run", _:
            message = "the template has ** in it: one * already stands for any run of characters"
            raise InvalidTemplateError(message)
        case "placeholder", _:
            return _placeholder(token.group("placeholder"))
        case _, brace:
            message = f"the template has a {brace!r} without its partner: a placeholder is {{link}} or {{signalr}}"
            raise InvalidTemplateError(message)


def _placeholder(name: str) -> Placeholder:
    known = {placeholder.value: placeholder for placeholder in Placeholder}
    if name in known:
        return known[name]
    close = get_close_matches(name.lower(), known, n=1)
    advice = f"did you mean {{{close[0]}}}?" if close else "there are {link} and {signalr}"
    message = f"the template has the unknown placeholder {'{' + name + '}'!r}: {advice}"
    raise InvalidTemplateError(message)


def _glob(runs: list[str], name: str) -> bool:
    """Whether ``name`` is the first run, then the others in order with anything between, the last one at its end."""
    first, *others = runs
    if not others:
        return name == first
    *middle, last = others
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    # The leftmost place of each run leaves the most room for the next ones, so there is nothing to go back to.
    place, end = len(first), len(name) - len(last)
    for run in middle:
        found = name.find(run, place, end)
        if found < 0:
            return False
        place = found + len(run)
    return True
