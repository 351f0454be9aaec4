"""Alerts to a webhook: generic JSON, a Microsoft Teams card, or Slack blocks.

The whole URL is a secret, since whoever has it may post: no more than its host is ever said.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self, assert_never
from urllib.parse import urlsplit

from shared.adapters.arm_http import retry_after_seconds
from shared.adapters.urls import is_loopback
from shared.core.alert_body import alert_document, slack_blocks, teams_card
from shared.core.errors import ConfigError, SinkError, SinkRefusedError
from shared.core.ledger import canonical
from shared.core.webhook import Webhook, WebhookFormat

if TYPE_CHECKING:
    from types import TracebackType

    import aiohttp

    from shared.core.finding_life import Alert
    from shared.core.ledger import JsonObject
    from shared.ports import Clock

_REFUSES_THE_CONTENT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)


class WebhookSink:
    """One webhook. An async context manager: the HTTP session comes with the first alert and goes at the end."""

    def __init__(self, webhook: Webhook, clock: Clock, *, timeout: float = 10.0) -> None:
        """Prepare; nothing is sent yet.

        Args:
            webhook: where to, and in which format.
            clock: to read a ``Retry-After`` that names a date.
            timeout: seconds for one delivery.

        Raises:
            ConfigError: where the URL is plain http and not this machine.

        """
        if not (webhook.url.startswith("https://") or (webhook.url.startswith("http://") and is_loopback(webhook.url))):
            problem = "a webhook is neither https nor a loopback address: nothing is sent there"
            raise ConfigError([problem])
        self._webhook = webhook
        self._clock = clock
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._host = urlsplit(webhook.url).hostname or ""

    @property
    def name(self) -> str:
        """Format and host, and so much of a digest of the URL as tells two on one host apart."""
        told = hashlib.sha256(self._webhook.url.encode()).hexdigest()[:8]
        return f"{self._webhook.format.value}:{self._host}#{told}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, alert: Alert) -> None:
        """POST it, once; redirects are not followed, and what comes back is not read."""
        import aiohttp  # noqa: PLC0415  heavy, and not needed until something happens

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=not is_loopback(self._webhook.url),
            )
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "linkguard"}
        body = _body(self._webhook.format, alert)
        try:
            async with self._session.post(self._webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
                wait = retry_after_seconds(answer.headers, self._clock.now())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Neither chained nor quoted: it may name the URL.
            message = f"{self._host} gave no answer ({type(error).__name__})"
            raise SinkError(message) from None
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        message = f"{self._host} answered {status}"
        if status in _REFUSES_THE_CONTENT:
            raise SinkRefusedError(message)
        raise SinkError(message, retry_after=wait)


def _body(form: WebhookFormat, alert: Alert) -> bytes:
    """Cards and blocks as UTF-8: as ASCII escapes, a stranger's text could be longer than what Teams takes (28 KB)."""
    match form:
        case WebhookFormat.GENERIC:
            return canonical(alert_document(alert)).encode("ascii")
        case WebhookFormat.TEAMS:
            return _utf8(teams_card(alert))
        case WebhookFormat.SLACK:
            return _utf8(slack_blocks(alert))
        case _ as never:
            assert_never(never)


def _utf8(body: JsonObject) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
