"""Which requests are SignalR's upstream calls: a POST to a path that one of its upstream templates expands to.

A template is a URL with ``{hub}``, ``{category}``, ``{event}`` and ``{@Microsoft.KeyVault(...)}`` in it; what these become is not
known beforehand. The pattern is a regular expression that Python and RE2 read alike, so that a query engine can match it too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

FUNCTIONS_WEBHOOK: Final = "/runtime/webhooks/signalr"
"""Where Azure Functions' SignalR trigger listens."""
METHOD: Final = "POST"

_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_LONGEST: Final = 1024
_NOTHING: Final = r"[^\s\S]"
"""Matches no character."""


@dataclass(frozen=True, slots=True)
class UpstreamPaths:
    """The paths of upstream calls."""

    patterns: tuple[str, ...]
    """As given; ``*`` stands for any text, ``{name}`` for one segment's part."""
    regex: str = field(init=False)
    """Matches a whole path, whatever the case, with or without a slash at its end."""
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        body = "|".join(sorted({_regex(pattern) for pattern in self.patterns})) if self.patterns else _NOTHING
        object.__setattr__(self, "regex", f"(?is)(?:{body})/?")
        object.__setattr__(self, "_compiled", re.compile(self.regex))

    @property
    def literals(self) -> tuple[str, ...]:
        """Patterns that stand for themselves alone, which are quicker to compare."""
        return tuple(pattern for pattern in self.patterns if not re.search(r"[*{}]", pattern))

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is an upstream call."""
        return method.upper() == METHOD and self._compiled.fullmatch(path) is not None


def parse_patterns(texts: Iterable[str]) -> UpstreamPaths:
    """Read what a person gave.

    Raises:
        ConfigError: with every text that is no path.

    """
    given = tuple(texts)
    problems = [
        f"{text[:80]!r} is not a path such as {FUNCTIONS_WEBHOOK}"
        for text in given
        if not text.startswith("/") or len(text) > _LONGEST or not text.isprintable() or "?" in text or "#" in text
    ]
    if problems:
        raise ConfigError(problems)
    return UpstreamPaths(given)


def of_templates(templates: Iterable[str]) -> UpstreamPaths:
    """The paths that SignalR's own upstream templates expand to, and the Functions webhook."""
    return UpstreamPaths(tuple(dict.fromkeys((FUNCTIONS_WEBHOOK, *map(_path_of, templates)))))


def _path_of(template: str) -> str:
    """The path of a template. Where even the host is a placeholder nobody knows the path, so it is any."""
    # A Key Vault reference holds a URL of its own, and may stand for any text.
    text = re.sub(r"\{@[^{}]*\}", "*", template[:_LONGEST])
    origin = _ORIGIN.match(_PLACEHOLDER.sub("x", text))
    if origin is None:
        return "*"
    # The origin with its placeholders: up to the first slash that follows the two of "://".
    rest = text.partition("://")[2]
    path = rest[position:] if (position := rest.find("/")) >= 0 else "/"
    return re.split(r"[?#]", path, maxsplit=1)[0]


def _regex(pattern: str) -> str:
    text = pattern.removesuffix("/")
    parts = re.split(r"(\*|\{[^{}]*\})", text)
    return "".join(".*" if part == "*" else "[^/]*" if _PLACEHOLDER.fullmatch(part) else _escape(part) for part in parts)


def _escape(text: str) -> str:
    """Only letters, digits and what needs no escape stay: every other character is written by its number."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "/_-") else _by_number(one) for one in text)


def _by_number(character: str) -> str:
    # ``\xhh`` is read alike by Python and RE2; beyond that a character stands for itself in both.
    return f"\\x{ord(character):02x}" if ord(character) < 0x80 else character  # noqa: PLR2004  ASCII
