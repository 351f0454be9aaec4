"""Untrusted text on a terminal: names, messages and facts come from whoever asked for a connection.

A terminal acts on control characters, a reader is fooled by what cannot be seen, and a shell runs what is pasted into it.
Whatever Linkguard shows goes through here.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from typing import Final

LONGEST: Final = 400
"""Characters of one value that are shown; JSON and the ledger have all of it."""

_UNSEEN: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols by category that are drawn as nothing."""
_PLAIN: Final = re.compile(r"[!#-&(-\[\]-~]+")
"""A word that needs no quotation marks: printable ASCII without space, quotation marks and backslash."""
_SHELL_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str, *, ascii_only: bool = False) -> str:
    r"""``text`` on one line, with an escape such as ``\x1b`` or ``\u202e`` in place of whatever is not plainly visible.

    That is control and format characters (ANSI escapes, line ends, directional overrides), separators other than the
    space, combining marks, lone surrogates and what Unicode has not assigned. A backslash is doubled, so that no text can
    look like an escape that is not there. ``ascii_only`` also escapes letters that look like others.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_ascii if ascii_only else _visible, text))


def _visible(character: str) -> str:
    seen = character.isprintable() and character not in _UNSEEN and unicodedata.category(character) not in {"Mn", "Me"}
    return character if seen and character != "\\" else _escape(character)


def _ascii(character: str) -> str:
    return character if character.isascii() and character.isprintable() and character != "\\" else _escape(character)


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if code <= 0xFF:  # noqa: PLR2004  the largest that two hexadecimal digits hold
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  four digits


def shorten(text: str) -> str:
    """``text``, cut where it is longer than :data:`LONGEST`, and then saying so."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def quote(text: str, *, ascii_only: bool = False) -> str:
    """``text`` in quotation marks: where it begins and ends shows, and so does that it is empty."""
    shown = clean(text[:LONGEST], ascii_only=ascii_only).replace('"', '\\"')
    return f'"{shown}"' + (f" (the first {LONGEST} of {len(text)} characters)" if len(text) > LONGEST else "")


def value(text: str) -> str:
    """A fact's value: as it is where it is one plain word, else in quotation marks."""
    return text if len(text) <= LONGEST and _PLAIN.fullmatch(text) else quote(text)


def shell(text: str) -> str:
    """``text`` as one word for a POSIX shell; with escapes as bash and zsh read them where it is not plainly visible."""
    if clean(text) == text.replace("\\", "\\\\"):
        return shlex.quote(text)
    return "$'" + "".join(_SHELL_ESCAPES.get(character) or _in_dollar_quotes(character) for character in text) + "'"


def _in_dollar_quotes(character: str) -> str:
    r"""As :func:`_visible`, but never ``\x..``: that is a byte to a shell, not a character."""
    shown = _visible(character)
    return f"\\u{ord(character):04x}" if shown.startswith("\\x") else shown
