"""What an alert looks like to whoever receives it: a JSON document, a Microsoft Teams card, Slack blocks.

Pure. The document's schema is docs/schemas/alert.schema.json. Messages and facts may hold text from strangers: in cards and
blocks it stands only where no mark-up is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.finding import Severity

if TYPE_CHECKING:
    from shared.core.finding_life import Alert
    from shared.core.ledger import Json, JsonObject

DOCUMENT_VERSION: Final = 1
EVENT_TYPE: Final = "Linkguard.Finding"
"""A CloudEvent's type is this, a dot, and the change: ``Linkguard.Finding.New``."""
EVENT_SOURCE: Final = "urn:linkguard"

_FACTS: Final = 10
_FACT_CHARACTERS: Final = 300
_MESSAGE_CHARACTERS: Final = 1_500
_HEADER_CHARACTERS: Final = 150
"""Slack's limit for a header."""


def alert_document(alert: Alert) -> JsonObject:
    """The whole alert."""
    finding = alert.finding
    facts: JsonObject = dict(finding.facts)
    return {
        "v": DOCUMENT_VERSION,
        "id": alert.id,
        "sequence": alert.sequence,
        "change": alert.change.value,
        "at": alert.at.isoformat(),
        "first_seen": alert.first_seen.isoformat(),
        "finding": {
            "id": finding.id.value,
            "severity": finding.severity.value,
            "target": finding.target,
            "message": finding.message,
            "facts": facts,
            "fingerprint": finding.fingerprint,
        },
    }


def event_type(alert: Alert) -> str:
    """A CloudEvent's ``type``."""
    return f"{EVENT_TYPE}.{alert.change.value.capitalize()}"


def headline(alert: Alert) -> str:
    """One line in our own words alone."""
    return f"Linkguard: {alert.finding.severity.value} {alert.finding.id.value} ({alert.change.value})"


def teams_card(alert: Alert) -> JsonObject:
    """A message with an adaptive card, as Teams' workflows and incoming webhooks take it.

    Text runs show text as it is; a text block would read Markdown, links included.
    """
    colour = _colour(alert)
    body: list[Json] = [
        {"type": "TextBlock", "text": headline(alert), "weight": "Bolder", "size": "Medium", "color": colour, "wrap": True},
        _runs({"text": _cut(alert.finding.message, _MESSAGE_CHARACTERS)}),
        *(_runs({"text": f"{name}: ", "weight": "Bolder"}, {"text": text}) for name, text in _facts(alert)),
    ]
    card: JsonObject = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    attachment: JsonObject = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _runs(*runs: JsonObject) -> JsonObject:
    inlines: list[Json] = [{"type": "TextRun", **run} for run in runs]
    return {"type": "RichTextBlock", "inlines": inlines}


def slack_blocks(alert: Alert) -> JsonObject:
    """A message of blocks, all of plain text; ``text`` is what a notification shows, in our own words alone."""
    fields: list[Json] = [_plain(f"{name}: {text}") for name, text in _facts(alert)]
    blocks: list[Json] = [
        {"type": "header", "text": _plain(_cut(headline(alert), _HEADER_CHARACTERS))},
        {"type": "section", "text": _plain(_cut(alert.finding.message, _MESSAGE_CHARACTERS))},
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    return {"text": headline(alert), "blocks": blocks}


def _plain(text: str) -> JsonObject:
    return {"type": "plain_text", "text": text, "emoji": False}


def _facts(alert: Alert) -> list[tuple[str, str]]:
    finding = alert.finding
    facts = [("target", finding.target), *sorted(finding.facts.items()), ("since", alert.first_seen.isoformat())]
    shown = [(name, _cut(text, _FACT_CHARACTERS)) for name, text in facts if text][: _FACTS - 1]
    return [*shown, ("what to do", f"docs/findings.md#{finding.id.value}")]


def _cut(text: str, most: int) -> str:
    """Text that fits, and without what would break a line or turn it around."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= most else shown[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _colour(alert: Alert) -> str:
    if alert.change.value == "resolved":
        return "Good"
    return "Attention" if alert.finding.severity is Severity.CRITICAL else "Warning"
