"""Where a webhook is, and what it wants to be told in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WebhookFormat(StrEnum):
    """The body of a delivery."""

    GENERIC = "generic"
    """The alert's own JSON document."""
    TEAMS = "teams"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook."""

    format: WebhookFormat
    url: str = field(repr=False)
    """A secret as a whole."""
