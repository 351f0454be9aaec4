"""Alerts to an Event Grid custom topic, as CloudEvents 1.0 (docs/schemas/alert.schema.json is their data's schema)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from shared.adapters.arm_http import retry_after_seconds
from shared.adapters.urls import is_loopback
from shared.core.alert_body import EVENT_SOURCE, alert_document, event_type
from shared.core.errors import ConfigError, SinkError, SinkRefusedError

if TYPE_CHECKING:
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.messaging import CloudEvent
    from azure.eventgrid.aio import EventGridPublisherClient

    from shared.core.finding_life import Alert
    from shared.core.ledger import JsonObject
    from shared.ports import Clock

_REFUSES_THE_CONTENT: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})


class EventGridSink:
    """One topic. An async context manager; the credential is the caller's to close."""

    def __init__(self, endpoint: str, credential: AsyncTokenCredential, clock: Clock, *, timeout: float = 10.0) -> None:
        """Prepare; nothing is sent yet.

        Args:
            endpoint: the topic's, such as ``https://<topic>.<region>-1.eventgrid.azure.net/api/events``.
            credential: where tokens come from; its identity needs the role EventGrid Data Sender.
            clock: to read a ``Retry-After`` that names a date.
            timeout: seconds for one delivery.

        Raises:
            ConfigError: where the endpoint is plain http and not this machine.

        """
        at_home = endpoint.startswith("http://") and is_loopback(endpoint)
        if not (endpoint.startswith("https://") or at_home):
            problem = "the Event Grid topic's endpoint is neither https nor a loopback address: no token is sent there"
            raise ConfigError([problem])
        self._endpoint = endpoint
        self._credential = credential
        self._clock = clock
        self._options: dict[str, Any] = {"enforce_https": False} if at_home else {}
        self._timeout = timeout
        self._client: EventGridPublisherClient | None = None
        self._host = urlsplit(endpoint).hostname or ""

    @property
    def name(self) -> str:
        """Of the topic."""
        return f"event-grid:{self._host}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def send(self, alert: Alert) -> None:
        """Publish it, once: the outbox repeats, in order, and not the SDK."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError  # noqa: PLC0415  heavy
        from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415  heavy

        if self._client is None:
            self._client = EventGridPublisherClient(
                self._endpoint,
                self._credential,
                retry_total=0,
                connection_timeout=self._timeout,
                read_timeout=self._timeout,
            )
        try:
            await self._client.send(cloud_event(alert), **self._options)
        except ClientAuthenticationError:
            message = f"{self._host} does not accept the identity: it needs the role EventGrid Data Sender"
            raise SinkError(message) from None
        except HttpResponseError as error:
            message = f"{self._host} answered {error.status_code}"
            if error.status_code in _REFUSES_THE_CONTENT:
                raise SinkRefusedError(message) from None
            wait = retry_after_seconds(getattr(error.response, "headers", {}), self._clock.now())
            raise SinkError(message, retry_after=wait) from None
        except AzureError as error:
            message = f"{self._host} gave no answer ({type(error).__name__})"
            raise SinkError(message) from None


def cloud_event(alert: Alert) -> CloudEvent[JsonObject]:
    """The event, by the SDK's own type."""
    from azure.core.messaging import CloudEvent  # noqa: PLC0415  heavy

    return CloudEvent(
        source=EVENT_SOURCE,
        type=event_type(alert),
        id=alert.id,
        time=alert.at,
        subject=alert.finding.target or alert.finding.id.value,
        datacontenttype="application/json",
        data=alert_document(alert),
    )
