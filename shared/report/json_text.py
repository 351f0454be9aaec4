"""A document as JSON text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.ledger import Json


def json_text(document: object) -> str:
    """One JSON document, indented, in ASCII: so no terminal acts on what somebody else put in it."""
    return json.dumps(document, default=_plain, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _plain(value: object) -> Json:
    from shared.core.wire import to_json  # noqa: PLC0415  an audit is JSON already, and this takes as long as all of its own

    return to_json(value)
