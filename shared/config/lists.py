"""Texts -> what is listed in a setting: tables, ranges, public keys."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final

from shared.config.model import VerifyKey, VerifyKeyFile, VerifyKeyInline
from shared.config.parse import did_you_mean, each, items, quote
from shared.core.address import PrivateRanges
from shared.core.errors import ConfigError
from shared.core.request_message import is_key_id

AUDITED: Final = ("AppServiceHTTPLogs", "AppRequests", "AppTraces", "FunctionAppLogs")
"""The tables of Log Analytics that say where requests come from."""


def tables(text: str) -> tuple[str, ...]:
    """Tables of Log Analytics, each once."""
    found = tuple(dict.fromkeys(items(text)))
    if unknown := [one for one in found if one not in AUDITED]:
        message = f"{quote(unknown[0])} is none of {', '.join(AUDITED)}{did_you_mean(unknown[0], AUDITED)}"
        raise ValueError(message)
    return found


def private_ranges(text: str) -> PrivateRanges:
    """Ranges of addresses; none given is the default."""
    try:
        return PrivateRanges.parse(items(text))
    except ConfigError as error:
        raise ValueError("; ".join(error.problems)) from None


_INLINE: Final = "spki:"


def verify_keys(text: str) -> tuple[VerifyKey, ...]:
    """Public keys, each under an id of its own; a file's content is not read here."""
    keys = each(text, _verify_key)
    ids = [key.key_id for key in keys]
    if twice := sorted({key_id for key_id in ids if ids.count(key_id) > 1}):
        message = f"key id {', '.join(twice)} is there more than once"
        raise ValueError(message)
    return keys


def _verify_key(item: str) -> VerifyKey:
    key_id, _, source = (part.strip() for part in item.partition("="))
    if not is_key_id(key_id) or not source:
        message = (
            f"{quote(item)} is not <key id>=<path of a PEM file> or <key id>={_INLINE}<base64>, "
            "the key id of 1 to 16 letters, digits, - and _"
        )
        raise ValueError(message)
    if not source.startswith(_INLINE):
        return VerifyKeyFile(key_id, Path(source))
    try:
        der = base64.b64decode(source.removeprefix(_INLINE), validate=True)
    except binascii.Error:
        der = b""
    if not der:
        message = f"what follows {key_id}={_INLINE} is not base64"
        raise ValueError(message)
    return VerifyKeyInline(key_id, der)
