"""The SDKs' clients over one pipeline, and everything that a request meets on its way out.

Importing this imports the SDKs, which takes seconds; :mod:`shared.adapters.arm` does so when the first call is made.

The clients build the requests and this pipeline sends them; the answers are handed out raw, before the SDKs' models see
them. Those of azure-mgmt-signalr turn numbers into text, refuse a whole list for a junk date in a member that nobody
reads, and quote junk in their errors; see :mod:`shared.adapters.arm_parse` for what reads the answers instead.

What the SDKs' own default pipeline does and this one does not: follow redirects, register resource providers (a write that
nobody asked for), log URLs, retry writes.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiolimiter import AsyncLimiter
from azure.core.exceptions import AzureError as SdkError
from azure.core.exceptions import (
    ClientAuthenticationError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import AsyncPipeline, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncHTTPPolicy,
    AsyncRetryPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.signalr.aio import SignalRManagementClient
from azure.mgmt.web.aio import WebSiteManagementClient
from azure.mgmt.web.models import (
    PrivateLinkConnectionState,
    RemotePrivateEndpointConnectionARMResource,
    RemotePrivateEndpointConnectionARMResourceProperties,
)
from yarl import URL

from shared.adapters.arm_errors import Operation, malformed, no_answer, no_token, refusal
from shared.adapters.arm_http import Answer, by_azures_clock, http_date, retry_after_seconds
from shared.adapters.urls import is_loopback
from shared.core.arm_id import fold_case
from shared.core.errors import AzureError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.core.credentials_async import AsyncTokenCredential

    from shared.ports import CallCount, Clock

RETRIES: Final = 4
"""How often a read is repeated, at most."""
MAX_RETRY_AFTER: Final = 60.0
"""Seconds. Azure asking for a longer wait is an error that says so: the caller has better things to do."""
MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer, decompressed."""

_BACKOFF: Final = 0.5
_MAX_BACKOFF: Final = 8.0
_ATTEMPTS_IN_TIME: Final = 4
_BLOCK: Final = 64 * 1024
_BURST: Final = 5
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})

type _Request = PipelineRequest[HttpRequest]
type _Response = PipelineResponse[HttpRequest, AsyncHttpResponse]


@dataclass(slots=True)
class _Exchange:
    """One request and what came of it."""

    operation: Operation
    limit: asyncio.Timeout
    answer: Answer | None = None
    """The answer to the last attempt that had one."""


class _AnsweredError(Exception):
    """Not a failure: how an answer leaves the SDK's operation before the SDK's models are made from it."""


class _ForeignUrlError(Exception):
    """A request to another host than the endpoint, where our token has no business."""


class _NotRepeatedError(aiohttp.ClientError):
    """A connection that broke. aiohttp repeats a request, a PUT included, on the errors that this one stands for."""


class Sdk:
    """The clients of every subscription and the pipeline they share. Made inside a running event loop."""

    def __init__(  # noqa: PLR0913  each is a setting of its own
        self,
        *,
        endpoint: str,
        scope: str,
        credential: AsyncTokenCredential,
        clock: Clock,
        calls: CallCount,
        timeout: float,
        reads_per_second: float,
    ) -> None:
        self._endpoint = endpoint
        self._scope = scope
        self._credential = credential
        self._timeout = timeout
        at_home = is_loopback(endpoint)
        self._options = {"enforce_https": False} if at_home and endpoint.startswith("http:") else {}
        session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_never_repeat,),
            trust_env=not at_home,  # proxies of the environment
        )
        transport = AioHttpTransport(session=session, connection_timeout=timeout, read_timeout=timeout)
        # Any: azure-core types its own two as policies of requests of both its generations.
        policies: list[Any] = [
            _ExchangePolicy(endpoint),
            RequestIdPolicy(),
            UserAgentPolicy(base_user_agent="linkguard"),
            _ReadRetryPolicy(clock),
            _AuthenticationPolicy(credential, scope),
            _WirePolicy(clock=clock, calls=calls, timeout=timeout, reads_per_second=reads_per_second),
        ]
        self._pipeline = AsyncPipeline[HttpRequest, AsyncHttpResponse](transport, policies)
        self._signalr: dict[str, SignalRManagementClient] = {}
        self._web: dict[str, WebSiteManagementClient] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pipeline.__aexit__()

    def signalr(self, subscription: str) -> SignalRManagementClient:
        """The client for SignalR services of ``subscription``."""
        key = fold_case(subscription)
        if key not in self._signalr:
            self._signalr[key] = SignalRManagementClient(
                self._credential,
                subscription,
                self._endpoint,
                credential_scopes=[self._scope],
                pipeline=self._pipeline,
            )
        return self._signalr[key]

    def web(self, subscription: str) -> WebSiteManagementClient:
        """The client for sites, slots and plans of ``subscription``."""
        key = fold_case(subscription)
        if key not in self._web:
            self._web[key] = WebSiteManagementClient(
                self._credential,
                subscription,
                self._endpoint,
                credential_scopes=[self._scope],
                pipeline=self._pipeline,
            )
        return self._web[key]

    def decision(self, status: str, description: str) -> RemotePrivateEndpointConnectionARMResource:
        """The body that approves or rejects a connection: these two members and no other."""
        state = PrivateLinkConnectionState(status=status, description=description)
        properties = RemotePrivateEndpointConnectionARMResourceProperties(private_link_service_connection_state=state)
        return RemotePrivateEndpointConnectionARMResource(properties=properties)

    async def ask(self, operation: Operation, call: Callable[[dict[str, Any]], Awaitable[object]]) -> Answer:
        """Let ``call`` start an SDK's operation with the options that it is handed, and return the answer.

        A read is repeated where that can help, a write is sent once.

        Raises:
            AzureError: where there was no answer. An answer that refuses is an answer.

        """
        # A write takes one attempt, and a token may have to be had first.
        seconds = self._timeout * (_ATTEMPTS_IN_TIME if operation.is_read else 2)
        limit = asyncio.timeout(seconds)
        exchange = _Exchange(operation, limit)
        try:
            async with limit:
                await call({**self._options, "exchange": exchange})
        except _AnsweredError:
            if exchange.answer is not None:
                return exchange.answer
            raise
        except _ForeignUrlError:
            raise malformed(operation, "the request leads elsewhere; no token is sent there") from None
        except AzureError:
            raise
        except TimeoutError as error:
            if exchange.answer is not None and exchange.answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise refusal(operation, exchange.answer) from error
            raise no_answer(operation, f"no answer within {seconds:g} s") from error
        except ClientAuthenticationError as error:
            raise no_token(operation) from error
        except SdkError as error:
            raise no_answer(operation, _why(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # What the transport or a credential lets through. Anything else is a bug, and is not hidden as a bad line.
            raise no_answer(operation, type(error).__name__) from error
        raise no_answer(operation, "the SDK sent nothing")


def _why(error: SdkError) -> str:
    match error:
        case ServiceRequestTimeoutError() | ServiceResponseTimeoutError():
            return "no answer in time"
        case ServiceRequestError() if isinstance(error.inner_exception, aiohttp.ClientConnectorError):
            return f"no connection could be made ({type(error.inner_exception).__name__})"
        case ServiceRequestError() | ServiceResponseError():
            return "the connection broke"
        case _:
            return type(error).__name__


async def _never_repeat(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Hide a broken connection from aiohttp, which would send the request again at once.

    A write must not be sent twice, and a read's repeats are the retry policy's to pace and to count.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        # These are not repeated, and the transport tells them apart.
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NotRepeatedError(type(error).__name__) from error


class _ExchangePolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Outermost: keeps requests on the endpoint, and hands the answer out of the SDK."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._origin = _origin(endpoint)

    async def send(self, request: _Request) -> _Response:
        request.context["exchange"] = request.context.options.pop("exchange")
        # Where a request leads, the authentication policy sends our token. A next page's link was looked at before; this looks
        # at what the SDK made of it, with the eyes of the library that will open the connection.
        if _origin(request.http_request.url) != self._origin:
            raise _ForeignUrlError
        await self.next.send(request)
        raise _AnsweredError


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parsed = URL(url)
    return parsed.scheme, parsed.host, parsed.port


class _ReadRetryPolicy(AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """Repeats reads a bounded number of times, and nothing else ever."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(retry_total=RETRIES, retry_connect=RETRIES, retry_read=RETRIES, retry_status=RETRIES)
        self._clock = clock

    async def send(self, request: _Request) -> _Response:
        if not _exchange(request).operation.is_read:
            return await self.next.send(request)
        return await super().send(request)

    def is_retry(self, settings: dict[str, Any], response: _Response) -> bool:  # type: ignore[override]  # base: any response
        answer = _exchange(response).answer
        return (
            answer is not None
            and answer.status in _TRANSIENT
            and (answer.retry_after or 0.0) <= MAX_RETRY_AFTER
            and bool(super().is_retry(settings, response))
        )

    async def sleep(self, settings: dict[str, Any], transport: object, response: _Response | None = None) -> None:
        del transport  # The base lets it sleep by a clock of its own.
        answer = _exchange(response).answer if response is not None else None
        if answer is not None and answer.retry_after is not None:
            await self._clock.sleep(answer.retry_after)
            return
        backoff = min(_MAX_BACKOFF, _BACKOFF * 2 ** (len(settings["history"]) - 1))
        await self._clock.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311  only keeps workers from marching in step


class _AuthenticationPolicy(AsyncBearerTokenCredentialPolicy[HttpRequest, AsyncHttpResponse]):
    """Adds the token. A challenge is met by asking for another one and repeating the request: for reads alone."""

    async def on_challenge(self, request: _Request, response: _Response) -> bool:
        return _exchange(request).operation.is_read and await super().on_challenge(request, response)


class _WirePolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Innermost, once an attempt: paces, counts, bounds and times a request, and reads the whole answer.

    Reads stay below ARM's limit a subscription and principal (a bucket of 250, refilled by 25 a second); a burst is a
    fifth of a second's reads, so that no second sees more than 1.2 times ``reads_per_second``. Writes are not paced: they
    are few, and the allowlist was read right before them.
    """

    def __init__(self, *, clock: Clock, calls: CallCount, timeout: float, reads_per_second: float) -> None:
        super().__init__()
        self._clock = clock
        self._calls = calls
        self._timeout = timeout
        self._reads_per_second = reads_per_second
        self._limiters: dict[str, AsyncLimiter] = {}

    async def send(self, request: _Request) -> _Response:
        exchange = _exchange(request)
        operation = exchange.operation
        if operation.is_read and self._reads_per_second > 0:
            await self._turn(exchange)
        self._calls.sent(operation.name, is_read=operation.is_read)
        # The body is read here, so that its size and its time are bounded.
        request.context.options["stream"] = True
        started = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self.next.send(request)
                body = await _read(operation, response.http_response)
        except TimeoutError as error:
            why = f"no whole answer within {self._timeout:g} s"
            raise ServiceResponseTimeoutError(why, error=error) from error
        finished = self._clock.now()
        headers = response.http_response.headers
        started, finished = by_azures_clock(started, finished, http_date(headers.get("Date")))
        exchange.answer = Answer(
            status=response.http_response.status_code,
            body=body,
            retry_after=retry_after_seconds(headers, finished),
            started=started,
            finished=finished,
        )
        if exchange.answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._calls.refused_for_now()
        return response

    async def _turn(self, exchange: _Exchange) -> None:
        """Wait for the subscription's next read; the time that this takes is not the exchange's."""
        now = asyncio.get_running_loop().time
        limit = exchange.limit
        left = None if (when := limit.when()) is None else when - now()
        limit.reschedule(None)
        await self._limiter(exchange.operation.subscription).acquire()
        limit.reschedule(None if left is None else now() + left)

    def _limiter(self, subscription: str) -> AsyncLimiter:
        key = fold_case(subscription)
        if key not in self._limiters:
            burst = max(1.0, self._reads_per_second / _BURST)
            self._limiters[key] = AsyncLimiter(burst, burst / self._reads_per_second)
        return self._limiters[key]


async def _read(operation: Operation, response: Any) -> bytes:  # noqa: ANN401  azure-core's responses of both generations
    """The body, decompressed. By aiohttp itself: azure-core would read and inflate one of any size."""
    wire: aiohttp.ClientResponse = response.internal_response
    body = bytearray()
    try:
        async with wire:
            async for block in wire.content.iter_chunked(_BLOCK):
                body += block
                if len(body) > MAX_BODY and operation.is_read:
                    raise malformed(operation, f"the answer has more than {MAX_BODY} bytes")
                if len(body) > MAX_BODY:
                    # What a write's answer says beside its status counts for nothing.
                    return b""
    except aiohttp.ClientError as error:
        why = "the answer broke off"
        raise ServiceResponseError(why, error=error) from error
    return bytes(body)


def _exchange(of: _Request | _Response) -> _Exchange:
    exchange: _Exchange = of.context["exchange"]
    return exchange
