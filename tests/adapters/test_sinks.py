"""The sinks: what each sends, what it makes of an answer, and what it never says."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from aiohttp import web
from azure.core.messaging import CloudEvent

from shared.adapters.alert_log import PREFIX, LogSink
from shared.adapters.credentials import LocalCredential
from shared.adapters.event_grid import EventGridSink, cloud_event
from shared.adapters.webhook import WebhookSink
from shared.core.alert_body import alert_document, teams_card
from shared.core.errors import ConfigError, SinkError, SinkRefusedError
from shared.core.finding import Finding, FindingId, Severity
from shared.core.finding_life import Alert, Change
from shared.core.webhook import Webhook, WebhookFormat
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT = datetime(2027, 1, 4, 9, tzinfo=UTC)
HOSTILE = "[click](https://evil.example) <!channel> <script>\nlinkguard.alert {} \u202e"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/alert.schema.json").read_text())


def an_alert() -> Alert:
    finding = Finding(
        id=FindingId.PENDING_UNEXPLAINED,
        severity=Severity.CRITICAL,
        target="/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/g/providers/Microsoft.Web/sites/s",
        about="c",
        message="a connection",
        facts={"message": HOSTILE},
    )
    return Alert(sequence=1, change=Change.NEW, at=AT, finding=finding, first_seen=AT)


class Receiver:
    """Keeps what it was sent, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.answer_headers: dict[str, str] = {}
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        return web.Response(status=self.status, headers=self.answer_headers)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    taker = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", taker.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    taker.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?sig=SECRET"
    try:
        yield taker
    finally:
        await runner.cleanup()


async def posted(form: WebhookFormat) -> Any:  # noqa: ANN401  JSON
    async with receiver() as taker, WebhookSink(Webhook(format=form, url=taker.url), FakeClock()) as sink:
        await sink.send(an_alert())
        (body,) = taker.bodies
        return body


async def test_the_generic_body_is_the_document() -> None:
    """And the document is what its schema says."""
    body = await posted(WebhookFormat.GENERIC)
    assert body == alert_document(an_alert())
    jsonschema.validate(body, SCHEMA)


async def test_a_teams_card_has_what_teams_demands_and_reads_no_mark_up_of_strangers() -> None:
    """One attachment with an adaptive card; text from outside is in text runs alone."""
    body = await posted(WebhookFormat.TEAMS)
    (attachment,) = body["attachments"]
    assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    blocks = [one["text"] for one in card["body"] if one["type"] == "TextBlock"]
    assert blocks == ["Linkguard: critical pending_unexplained (new)"]
    runs = [run["text"] for one in card["body"] if one["type"] == "RichTextBlock" for run in one["inlines"]]
    assert any("evil.example" in run for run in runs)
    assert all("\n" not in run and "\u202e" not in run for run in runs)


@pytest.mark.parametrize(
    ("severity", "change", "colour"),
    [
        (Severity.CRITICAL, Change.NEW, "Attention"),
        (Severity.CRITICAL, Change.REMINDER, "Attention"),
        (Severity.WARNING, Change.NEW, "Warning"),
        (Severity.CRITICAL, Change.RESOLVED, "Good"),
    ],
)
def test_a_cards_headline_has_the_colour_of_what_it_says(severity: Severity, change: Change, colour: str) -> None:
    """What is over is not red."""
    alert = replace(an_alert(), change=change, finding=replace(an_alert().finding, severity=severity))
    card: Any = teams_card(alert)
    assert card["attachments"][0]["content"]["body"][0]["color"] == colour


async def test_slack_blocks_are_plain_text() -> None:
    """Within Slack's limits, and nothing that mentions a channel or makes a link."""
    body = await posted(WebhookFormat.SLACK)
    assert body["text"] == "Linkguard: critical pending_unexplained (new)"
    kinds = [block["type"] for block in body["blocks"]]
    assert kinds == ["header", "section", "section"]
    texts = [block["text"] for block in body["blocks"] if "text" in block] + body["blocks"][2]["fields"]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert len(body["blocks"][2]["fields"]) <= 10


@pytest.mark.parametrize("character", ["x", "\U0001f4a3", "\ud800", "\u202e", '"', "\\", "<", "&"])
@pytest.mark.parametrize("form", [WebhookFormat.TEAMS, WebhookFormat.SLACK])
async def test_no_stranger_makes_a_body_that_is_refused(form: WebhookFormat, character: str) -> None:
    """Teams takes 28 KB, Slack 3,000 characters a text, 2,000 a field and none that is empty: whatever fills the facts."""
    finding = replace(an_alert().finding, message=character * 9000, facts={f"fact {n}": character * 9000 for n in range(30)})
    async with receiver() as taker, WebhookSink(Webhook(format=form, url=taker.url), FakeClock()) as sink:
        await sink.send(replace(an_alert(), finding=finding))
        assert int(taker.headers[0]["Content-Length"]) < 28_000
        (body,) = taker.bodies
    if form is WebhookFormat.SLACK:
        header, message, facts = body["blocks"]
        assert 0 < len(header["text"]["text"]) <= 150
        assert 0 < len(message["text"]["text"]) <= 3000
        assert all(0 < len(field["text"]) <= 2000 for field in facts["fields"])
        assert len(facts["fields"]) <= 10
    else:
        assert body["attachments"][0]["content"]["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, SinkRefusedError), (413, SinkRefusedError), (302, SinkError), (429, SinkError), (500, SinkError)]
)
async def test_what_an_answer_means(status: int, kind: type[SinkError]) -> None:
    """A refusal of the content, or a bad moment; the URL is told by its host alone."""
    async with receiver() as taker, WebhookSink(Webhook(format=WebhookFormat.SLACK, url=taker.url), FakeClock()) as sink:
        taker.status, taker.answer_headers = status, {"Retry-After": "7", "Location": "http://127.0.0.1:1/"}
        with pytest.raises(SinkError) as caught:
            await sink.send(an_alert())
        assert type(caught.value) is kind
        assert "SECRET" not in f"{caught.value} {sink.name} {caught.value.__cause__}"
        assert str(status) in str(caught.value)
        if kind is SinkError:
            assert caught.value.retry_after == 7


@pytest.mark.parametrize("form", list(WebhookFormat))
async def test_a_webhooks_url_is_in_no_log(form: WebhookFormat, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens, and however much is logged."""
    with caplog.at_level(logging.DEBUG):
        async with receiver() as taker, WebhookSink(Webhook(format=form, url=taker.url), FakeClock()) as sink:
            await sink.send(an_alert())
            taker.status = 500
            with pytest.raises(SinkError):
                await sink.send(an_alert())
        async with WebhookSink(Webhook(format=form, url="http://127.0.0.1:1/SECRET?SECRET"), FakeClock()) as sink:
            with pytest.raises(SinkError):
                await sink.send(an_alert())
        assert "SECRET" not in repr(Webhook(format=form, url=taker.url))
    # The receiver's own access log is not ours.
    ours = [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
    assert not any("SECRET" in text for text in ours)


async def test_a_redirect_leads_nowhere() -> None:
    """To an address inside, say: it is a failure, and nobody is asked there."""
    async with receiver() as inside, receiver() as taker:
        taker.status, taker.answer_headers = 307, {"Location": inside.url}
        async with WebhookSink(Webhook(format=WebhookFormat.GENERIC, url=taker.url), FakeClock()) as sink:
            with pytest.raises(SinkError):
                await sink.send(an_alert())
        assert (len(taker.bodies), inside.bodies) == (1, [])


async def test_nobody_there_and_plain_http_elsewhere() -> None:
    """The one is a bad moment, the other a mistake."""
    async with WebhookSink(Webhook(format=WebhookFormat.TEAMS, url="http://127.0.0.1:1/SECRET"), FakeClock()) as sink:
        with pytest.raises(SinkError) as caught:
            await sink.send(an_alert())
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ConfigError):
        WebhookSink(Webhook(format=WebhookFormat.TEAMS, url="http://example.org/SECRET"), FakeClock())


async def test_a_cloud_event_is_one_by_the_sdks_own_parser() -> None:
    """What the topic got parses, and its data is the document."""
    async with receiver() as taker, EventGridSink(taker.url.partition("?")[0], LocalCredential(), FakeClock()) as sink:
        await sink.send(an_alert())
        ((sent,),) = taker.bodies
        assert taker.headers[0]["Content-Type"].startswith("application/cloudevents-batch+json")
    event = CloudEvent[Any].from_dict(sent)
    assert (event.specversion, event.type, event.source) == ("1.0", "Linkguard.Finding.New", "urn:linkguard")
    assert event.id == cloud_event(an_alert()).id == an_alert().id
    assert (event.time, event.datacontenttype) == (AT, "application/json")
    assert event.subject == an_alert().finding.target
    jsonschema.validate(event.data, SCHEMA)


@pytest.mark.parametrize("change", [one for one in Change if one is not Change.NEW])
def test_every_change_is_a_type_of_its_own(change: Change) -> None:
    """What is about no target has its finding as the subject: Event Grid refuses an event without one."""
    alert = replace(an_alert(), change=change, finding=replace(an_alert().finding, target=""))
    event = cloud_event(alert)
    assert (event.type, event.subject) == (f"Linkguard.Finding.{change.value.capitalize()}", "pending_unexplained")
    jsonschema.validate(event.data, SCHEMA)


async def test_a_topics_refusal_and_its_bad_moments() -> None:
    """400 is the content's, all else the moment's; the SDK does not repeat by itself."""
    async with receiver() as taker, EventGridSink(taker.url.partition("?")[0], LocalCredential(), FakeClock()) as sink:
        taker.answer_headers = {"Retry-After": "7"}
        for status, kind in ((400, SinkRefusedError), (401, SinkError), (429, SinkError), (503, SinkError)):
            taker.status, taker.bodies = status, []
            with pytest.raises(SinkError) as caught:
                await sink.send(an_alert())
            assert type(caught.value) is kind
            assert len(taker.bodies) == 1
            if status in {429, 503}:
                assert caught.value.retry_after == 7


async def test_a_log_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever strangers wrote; its JSON is the document."""
    with caplog.at_level(logging.INFO, "linkguard.alerts"):
        await LogSink().send(an_alert())
    (record,) = caplog.records
    line = record.getMessage()
    assert record.levelno == logging.ERROR
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line.removeprefix(PREFIX)) == alert_document(an_alert())


@pytest.mark.parametrize(
    ("severity", "change", "level"),
    [
        (Severity.CRITICAL, Change.NEW, logging.ERROR),
        (Severity.CRITICAL, Change.REMINDER, logging.ERROR),
        (Severity.WARNING, Change.NEW, logging.WARNING),
        (Severity.CRITICAL, Change.RESOLVED, logging.INFO),
        (Severity.CRITICAL, Change.TEST, logging.INFO),
    ],
)
async def test_a_log_lines_level_is_what_it_says(
    severity: Severity, change: Change, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is over, or a test, wakes nobody."""
    with caplog.at_level(logging.INFO, "linkguard.alerts"):
        await LogSink().send(replace(an_alert(), change=change, finding=replace(an_alert().finding, severity=severity)))
    assert [record.levelno for record in caplog.records] == [level]
