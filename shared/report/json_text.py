"""A document as JSON text."""

from __future__ import annotations

import json

from shared.core.wire import to_json


def json_text(document: object) -> str:
    """One JSON document, indented, in ASCII: so no terminal acts on what somebody else put in it."""
    return json.dumps(to_json(document), indent=2, ensure_ascii=True, allow_nan=False) + "\n"
