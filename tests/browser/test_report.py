"""The report in a real browser: what it shows, what it does, and what it never does."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from shared.adapters.log_files import LogFiles
from shared.adapters.log_format import LogFormat
from shared.core.finding import Severity
from shared.core.report_data import TrafficItem
from shared.core.traffic_record import verdict_body
from shared.ports import TrafficQuestion
from shared.report.html import content_security_policy, report_html
from shared.report.html.parts import link_anchor
from shared.report.link_state import LABELS, LinkState, state_of
from shared.services.audit import Inquiry, audit
from tests.browser.chromium import axe_script, chromium
from tests.report import estate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Request

    from shared.core.ledger import JsonObject
    from shared.core.report_data import ReportData

HOSTILE = '"><script>window.pwned=1</script><img src=x onerror=window.pwned=2>{{7*7}}${7*7}\u202egnp.exe\u202c</script>'
"""A message, a user agent, a header: markup in every context, a template, and text that runs backwards."""


@dataclass
class Shown:
    """A page and everything that it did."""

    page: Page
    messages: list[str] = field(default_factory=list)
    """Of the console, and errors of scripts."""
    requests: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def number(self, selector: str) -> int:
        return int(self.page.locator(selector).inner_text().replace(",", ""))

    def rows(self, section: str) -> int:
        return self.page.locator(f"#{section} [data-items] > *").count()

    def status(self, section: str) -> str:
        return self.page.locator(f"#{section} [data-count]").inner_text()


type Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a report as a file and waits until its script has run."""
    contexts = []

    def open_(data: ReportData, fragment: str = "", *, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Shown:
        file = tmp_path / "report.html"
        file.write_text(report_html(data), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        shown = Shown(context.new_page())
        shown.page.on("console", lambda message: shown.messages.append(message.text))
        shown.page.on("pageerror", lambda error: shown.messages.append(str(error)))
        context.on("request", lambda request: shown.requests.append(_address(request)))
        shown.page.goto(file.as_uri() + fragment)
        if scripts:
            shown.page.wait_for_selector("html[data-ready]", state="attached")
        return shown

    yield open_
    for context in contexts:
        context.close()


def _address(request: Request) -> str:
    return request.url.partition("#")[0]


# What it shows


def test_its_numbers_are_the_datas(show: Show) -> None:
    """Findings by severity, links by state, and the size of every table."""
    data = estate.small()
    shown = show(data)
    assert data.sweep is not None
    open_ones = [view.finding.severity for view in data.findings if view.is_open]
    assert shown.number("#count-critical") == open_ones.count(Severity.CRITICAL) == 1
    assert shown.number("#count-warning") == open_ones.count(Severity.WARNING) == 2
    states = [state_of(view) for view in data.sweep.every_link]
    for state in set(states) | {LinkState.HELD, LinkState.CONNECTED}:
        assert shown.number(f"#count-{state}") == states.count(state)
    for section, rows in (
        ("findings", data.findings),
        ("links", data.sweep.every_link),
        ("held", data.sweep.held),
        ("traffic", {item.target for item in data.traffic}),
        ("ledger", data.ledger.timeline),
    ):
        assert shown.number(f"#{section} [data-total]") == shown.rows(section) == len(rows)
        ids = shown.page.locator(f"#{section} [data-items] > *").evaluate_all("all => all.map((one) => one.id)")
        assert len(set(ids)) == len(rows)
        assert shown.status(section) == f"1 to {len(rows)} of {len(rows)}"
    assert data.ledger.verified
    assert "Verified" in shown.page.locator("#ledger").inner_text()


def test_a_large_estates_numbers_are_its_datas_too(show: Show) -> None:
    """Only the first rows are shown; all of them are counted, found and reached by turning pages."""
    data = estate.large(420, 130)
    assert data.sweep is not None
    shown = show(data)
    assert shown.number("#links [data-total]") == 420
    assert shown.status("links") == "1 to 50 of 420"
    shown.page.locator("#links [data-next]").click()
    assert shown.status("links") == "51 to 100 of 420"
    seen = shown.page.evaluate("views.find(v => v.section.id === 'links').items.length")
    assert seen == 420
    assert shown.number("#count-held") == sum(state_of(view) is LinkState.HELD for view in data.sweep.every_link)


def test_whoever_opens_it_reads_first_whether_something_is_wrong(show: Show) -> None:
    """The headline, and each thing that is wrong as a link."""
    assert show(estate.small()).texts("h1") == ["Something is wrong"]
    assert show(estate.QUIET).texts("h1") == ["Nothing needs a person"]
    assert show(estate.NOTHING).texts("h1") == ["Something is wrong"]
    problems = show(estate.small()).texts(".problems a")
    assert [text.split(":")[0] for text in problems] == [
        "1 critical finding",
        "Upstream calls over the public network at 1 target",
        "2 warnings",
        "5 connections held until somebody decides",
    ]


def test_two_clicks_from_wrong_to_why(show: Show) -> None:
    """The problem leads to its finding, the finding to its evidence."""
    shown = show(estate.small())
    shown.page.locator(".problems a").first.click()
    # The page follows once the browser tells that its address has changed, which is a moment after the click.
    expect(shown.page.locator("#findings [data-count]")).to_have_text("1 to 1 of 1 (4 in all)")
    shown.page.locator("#findings [data-items] a.why").first.click()
    here = shown.page.locator(".here")
    assert here.get_attribute("id", timeout=5000) is not None
    assert here.evaluate("one => one.matches('#held article') && document.activeElement === one")
    assert "it is not alone" in here.inner_text()


def test_held_connections_come_with_every_reason_and_both_sides(show: Show) -> None:
    """All reasons, the evidence side by side, and the command."""
    data = estate.small()
    shown = show(data)
    assert data.sweep is not None
    for held in data.sweep.held:
        card = shown.page.locator(f'#held article[data-find^="{held.connection or ""} {held.link or ""}"]')
        text = card.inner_text()
        for reason in held.reasons:
            assert reason.message in text
            assert reason.code.value in text
        if held.connection is not None:
            assert f"linkguard decide {held.connection} --reject --reason TEXT" in text
    assert shown.texts("#held article:first-of-type .compare thead th")[1:3] == ["the link says", "the connection says"]


def test_every_link_says_all_that_is_asked_of_it(show: Show) -> None:
    """State, rule, owner, ticket, decision, since when, and the last traffic verdict: as the data has them."""
    data = estate.small()
    shown = show(data)
    assert data.sweep is not None
    verdicts = {item.target: item.verdict for item in data.traffic}
    for view in data.sweep.every_link:
        (row,) = shown.page.locator(f"#{link_anchor(view)}").all()
        state, service, target, endpoint, rule, ticket, decision, since, traffic = row.locator("td").all_inner_texts()
        assert LABELS[state_of(view)] in state
        assert (view.signalr.name if view.signalr else "no link") in service
        assert view.target.id.name in target
        assert view.connection_state in endpoint
        assert view.link_status in endpoint
        assert (view.rule or "\N{EN DASH}") in rule
        assert view.owner in rule
        assert (view.ticket or "\N{EN DASH}") in ticket
        assert view.decision_id[:12] in decision
        assert (view.since.strftime("%Y-%m-%d %H:%M") if view.since else "") in since
        assert verdicts.get(view.target, "not audited") in traffic


def test_the_picture_shows_who_is_connected_to_whom_by_state(show: Show) -> None:
    """Each service and target by name, each line by its state's style and sign; a line leads to its link."""
    data = estate.small()
    shown = show(data)
    assert data.sweep is not None
    boxes = set(shown.page.locator(".picture .label").all_text_contents())
    assert boxes == {view.target.id.name for view in data.sweep.every_link} | {
        view.signalr.name if view.signalr else "no link: a stranger?" for view in data.sweep.every_link
    }
    lines = shown.page.locator(".picture a").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    states = [state_of(view) for view in data.sweep.every_link]
    for state in set(states):
        assert any(line.partition(": ")[2].startswith(LABELS[state]) for line in lines)
        assert shown.page.locator(f".picture .edge.{state}").count() > 0
    shown.page.locator(".picture a", has_text="chat-signalr to chat-func: connected").locator(".dot").click()
    assert shown.page.locator(".here td").first.inner_text() == "connected"


def test_a_verdict_that_is_not_private_leads_to_its_chart(show: Show) -> None:
    """By class and over time, with the top public sources; the table below the chart has the same numbers."""
    data = estate.small()
    shown = show(data)
    shown.page.locator("#links td:last-child a.why").first.click()
    card = shown.page.locator("#traffic article.here")
    assert "public-seen" in card.inner_text()
    assert "203.0.113.7" in card.locator(".sources").inner_text()
    items = [item for item in data.traffic if item.verdict == "public-seen" or item.target.id.name == "chat-func"]
    total = sum(item.body["requests"]["public"] for item in items)  # type: ignore[index,call-overload,misc]  # a test's own
    assert f"public {total:,}" in card.locator(".legend").inner_text().replace("\n", " ")
    card.locator(".numbers summary").click()
    assert card.locator(".numbers tbody tr").count() == len(items)
    assert card.locator(".chart rect.fill-bad").count() == sum(bool(item.body["sources"]) for item in items)


def test_a_broken_ledger_says_where(show: Show) -> None:
    """The chain, the record, a link to it; and the headline."""
    shown = show(estate.broken(estate.small()))
    assert "The ledger does not verify: 1 fault, the first at record 2" in "".join(shown.texts(".problems a"))
    shown.page.locator("#ledger .panel.bad a.why").click()
    assert "broken here" in shown.page.locator("tr.here").inner_text()


# What it does


@pytest.mark.parametrize(
    "data",
    [
        estate.small(),
        estate.small(message=HOSTILE),
        estate.small(message="⟦anchor⟧ $& $1 {anchor}"),  # As the form's own marks.
        estate.broken(estate.small()),
        estate.large(100, 60),
    ],
)
def test_what_the_script_fills_in_is_what_was_there(show: Show, data: ReportData) -> None:
    """An item made in the browser is, to the letter, the one that came with the page."""
    shown = show(data)
    for section in ("findings", "links", "held", "ledger"):
        came, made = shown.page.evaluate(
            f"""(() => {{
                const view = views.find((one) => one.section.id === "{section}");
                const there = view.items.slice(0, view.size);
                const came = there.map((item) => view.elements.get(item).outerHTML);
                return [came, there.map((item) => fill(view.form, item).outerHTML)];
            }})()"""
        )
        assert len(came) > 1
        assert made == came


def test_searching_needs_every_word(show: Show) -> None:
    """Whatever their case and place in the row."""
    shown = show(estate.small())
    shown.page.locator("#links [data-search]").fill("BILLING connected")
    assert shown.rows("links") == 1
    shown.page.locator("#links [data-search]").fill(
        "web-pe-7c31d2aa 0000000000a1/resourceGroups/chat-prod/providers/microsoft.web/sites/chat-web"
    )
    assert shown.rows("links") == 1
    shown.page.locator("#links [data-search]").fill("billing nonsense")
    assert shown.rows("links") == 0
    assert shown.status("links") == "Nothing matches (10 in all)"
    shown.page.locator("#links [data-clear]").click()
    assert shown.rows("links") == 10


def test_filters_leave_what_fits(show: Show) -> None:
    """By state, by severity, by status: each alone and together."""
    shown = show(estate.small())
    shown.page.locator("#links select[data-filter=state]").select_option("held")
    assert {one.split()[0] for one in shown.texts("#links [data-items] td:first-child")} == {"held"}
    assert shown.rows("links") == 5
    shown.page.locator("#findings select[data-filter=severity]").select_option("warning")
    assert shown.rows("findings") == 3
    shown.page.locator("#findings select[data-filter=status]").select_option("open")
    assert shown.rows("findings") == 2


RANKS = {"critical": "0", "warning": "1", "resolved": "2"}


@pytest.mark.parametrize(("section", "column"), [("links", 3), ("links", 8), ("findings", 1), ("findings", 2), ("ledger", 5)])
def test_a_heading_sorts_and_sorts_back(show: Show, section: str, column: int) -> None:
    """Up, then down; screen readers are told."""
    shown = show(estate.small())
    heading = shown.page.locator(f"#{section} .rows thead th:nth-child({column})")
    cells = f"[...document.querySelectorAll('#{section} [data-items] td:nth-child({column})')]"
    key = f"({json.dumps(RANKS)})[cell.innerText] ?? cell.querySelector('time')?.dateTime ?? cell.textContent"
    keys = f"{cells}.map((cell) => {key})"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    up = shown.page.evaluate(keys)
    natural = "new Intl.Collator('en', {numeric: true, sensitivity: 'base'}).compare"
    assert up == shown.page.evaluate(f"({keys}).sort({natural})")
    assert len(set(up)) > 1
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert shown.page.evaluate(f"({keys}).map(k => ({natural})(k, {json.dumps(up[-1])}))")[0] == 0


def test_cards_are_sorted_too(show: Show) -> None:
    """Held connections and traffic, by what their list offers, and back to how they came."""
    shown = show(estate.small())
    came = shown.texts("#held article h3")
    titles = "[...document.querySelectorAll('#held article h3')].map((one) => one.textContent.split(' to ')[1])"
    shown.page.locator("#held select[data-order]").select_option("target")
    assert shown.page.evaluate(titles) == sorted(title.split(" to ")[1] for title in came)
    shown.page.locator("#held select[data-order]").select_option("the most urgent")
    assert shown.texts("#held article h3") == came
    shown.page.locator("#traffic select[data-order]").select_option("target")
    assert shown.texts("#traffic article h3") == ["billing-api", "chat-func"]
    shown.page.locator("#traffic select[data-order]").select_option("public requests")
    assert shown.texts("#traffic article h3") == ["chat-func", "billing-api"]


def test_deep_links_open_what_they_name(show: Show) -> None:
    """A finding, a connection on a later page, the evidence of a decision, a record; and filters."""
    data = estate.large(420, 130)
    everything = show(data)
    for section, place in (("links", 300), ("findings", 120), ("held", 15), ("ledger", 3)):
        wanted = everything.page.evaluate(f"views.find(v => v.section.id === '{section}').items[{place}].anchor")
        shown = show(data, f"#{wanted}")
        assert shown.page.locator(f"#{section} .here").get_attribute("id") == wanted
        assert shown.page.locator(f"#{wanted}").is_visible()
        assert shown.page.evaluate("document.activeElement.id") == wanted
    shown = show(data, "#findings?severity=critical&q=site-00020")
    assert shown.rows("findings") == 1
    assert show(data, "#links?state=held").status("links") == "1 to 21 of 21 (420 in all)"


def test_a_deep_link_shows_its_item_though_a_filter_hides_it(show: Show) -> None:
    """The filter goes, not the item."""
    shown = show(estate.small())
    hidden = shown.page.evaluate("views.find(v => v.section.id === 'links').items.at(-1).anchor")
    shown.page.locator("#links select[data-filter=state]").select_option("held")
    assert shown.page.locator(f"#{hidden}").count() == 0
    shown.page.evaluate(f"location.hash = '#{hidden}'")
    shown.page.locator(f"#{hidden}.here").wait_for()


@pytest.mark.parametrize("fragment", ["#no-such-thing", "#%E0%A4%A", "#links?state=%22%3E&q=(", "#?", "#links?nonsense"])
def test_a_fragment_that_names_nothing_does_no_harm(show: Show, fragment: str) -> None:
    """Whoever made it."""
    shown = show(estate.small(), fragment)
    assert shown.messages == []
    assert shown.number("#links [data-total]") == 10


def test_the_keyboard_reaches_and_works_everything(show: Show) -> None:
    """The first stop skips to the report; headings, filters and lines of the picture are stops of their own."""
    shown = show(estate.small())
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.className") == "skip"
    shown.page.keyboard.press("Enter")
    assert shown.page.evaluate("document.activeElement.id") == "main"
    stops = set()
    for _ in range(70):
        shown.page.keyboard.press("Tab")
        stops.add(shown.page.evaluate("document.activeElement.tagName.toLowerCase()"))
    assert {"a", "input", "select", "button", "div", "summary"} <= stops
    shown.page.locator("#links thead button").first.focus()
    shown.page.keyboard.press("Enter")
    assert shown.page.locator("#links thead th").first.get_attribute("aria-sort") == "ascending"
    shown.page.locator(".picture a").first.focus()
    shown.page.keyboard.press("Enter")
    assert shown.page.locator(".here, #links [data-items]").first.is_visible()


def test_a_command_can_be_copied(show: Show) -> None:
    """Whole, as one line."""
    shown = show(estate.small())
    shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = shown.page.locator("#held .command").first
    command.locator("button").click()
    command.locator("button", has_text="Copied").wait_for()
    assert shown.page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()


def test_paper_gets_every_row_that_the_filters_leave(show: Show) -> None:
    """And the screen its pages back."""
    shown = show(estate.large(120, 10))
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.rows("links") == 120
    shown.page.emulate_media(media="print")
    assert not shown.page.locator(".bar").is_visible()
    assert not shown.page.locator("#links .tools").is_visible()
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.rows("links") == 50


def test_paper_is_white(show: Show) -> None:
    """Whatever the screen's theme."""
    shown = show(estate.small(), scheme="dark")
    shown.page.emulate_media(media="print", color_scheme="dark")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"


def test_without_scripts_it_still_says_what_matters(show: Show) -> None:
    """The headline, the problems, the first rows; no control that does nothing."""
    shown = show(estate.small(), scripts=False)
    assert shown.texts("h1") == ["Something is wrong"]
    assert shown.rows("findings") == 4
    assert not shown.page.locator("#links .tools").is_visible()
    assert not shown.page.locator(".copy").first.is_visible()


# What it never does


@pytest.mark.parametrize("where", ["message", "name", "address"])
def test_hostile_text_is_text(show: Show, where: str) -> None:
    """Script in a request message, in an endpoint's name, in a header or an address: shown, never run, never turned around."""
    name = HOSTILE.replace("/", "|")  # An ARM id's segment cannot hold a slash.
    data = estate.small(**{where: name if where == "name" else HOSTILE})
    shown = show(data)
    assert shown.page.evaluate("window.pwned") is None
    assert shown.messages == []
    assert shown.page.locator("script:not([type='application/json'])").count() == 1
    assert shown.page.locator("img").count() == 0
    text = shown.page.locator("main").text_content() or ""
    assert "window.pwned=1" in text
    assert r"\u202egnp.exe" in text
    assert "\u202e" not in text
    assert "{{7*7}}" in text
    shown.page.locator("#links [data-search]").fill(HOSTILE)
    shown.page.locator("#held [data-search]").fill("pwned")
    assert shown.page.evaluate("window.pwned") is None
    assert shown.messages == []


def test_hostile_traffic_is_text(show: Show, tmp_path: Path) -> None:
    """User agents, headers and paths of a real log, audited: what is shown of them is text, and most is not kept at all.

    And whatever a record might hold: classes, reasons, addresses, times.
    """
    target = estate.site("chat-func")
    log = tmp_path / "PT1H.json"
    message = {"method": "POST", "path": "/runtime/webhooks/signalr", "X-Forwarded-For": HOSTILE, "User-Agent": HOSTILE}
    fields = {
        "CsMethod": "POST",
        "CsUriStem": "/runtime/webhooks/signalr",
        "CIp": HOSTILE,
        "UserAgent": HOSTILE,
        "CsHost": HOSTILE,
    }
    head = {"time": "2027-01-04T11:00:00Z", "resourceId": str(target.id)}
    log.write_text(
        json.dumps({**head, "category": "AppServiceHTTPLogs", "properties": fields})
        + "\n"
        + json.dumps({**head, "category": "FunctionAppLogs", "properties": {"message": json.dumps(message)}})
        + "\n"
    )
    inquiry = Inquiry(source=LogFiles([str(log)], log_format=LogFormat.AUTO), question=TrafficQuestion())
    with ThreadPoolExecutor() as pool:  # Playwright's own loop runs in this thread.
        (judged,) = pool.submit(asyncio.run, audit([inquiry])).result().targets
    worst: JsonObject = {
        "verdict": HOSTILE,
        "basis": HOSTILE,
        "reasons": [{"code": HOSTILE, "message": HOSTILE}],
        "requests": {HOSTILE: 3, "public": 4},
        "sources": [{"address": HOSTILE, "class": "public", "count": 4, "last_seen": HOSTILE}],
    }
    items = tuple(
        TrafficItem(target=one, record="0" * 64, at=estate.NOW, body=body)
        for one, body in ((target, verdict_body(judged)), (estate.site("chat-web"), worst))
    )
    shown = show(replace(estate.small(), traffic=items, audit_at=estate.NOW))
    assert shown.rows("traffic") == 2
    assert "window.pwned=1" in (shown.page.locator("#traffic").text_content() or "")
    assert "window.pwned" not in json.dumps(verdict_body(judged))
    assert shown.page.evaluate("window.pwned") is None
    assert shown.page.locator("main img").count() == 0
    assert shown.messages == []


@pytest.mark.parametrize("data", [estate.small(), estate.QUIET, estate.NOTHING, estate.broken(estate.small())])
def test_nothing_is_fetched_and_nothing_goes_wrong(show: Show, data: ReportData) -> None:
    """One file; no word on the console."""
    shown = show(data)
    shown.page.locator("body").click()
    assert len(shown.requests) == 1
    assert shown.requests[0].startswith("file:")
    assert shown.messages == []


def test_it_may_not_fetch_even_if_it_wanted(show: Show) -> None:
    """The content security policy stands in the page itself: no connection, no image, no style or script of others."""
    shown = show(estate.small())
    with loopback() as (address, seen):
        blocked = shown.page.evaluate(
            """async (address) => {
                const blocked = [];
                document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
                await fetch(address + "/fetch").catch(() => {});
                const image = new Image(); image.src = address + "/image"; document.body.append(image);
                const style = document.createElement("style"); style.textContent = "body{color:red}"; document.head.append(style);
                const frame = document.createElement("iframe"); frame.src = address + "/frame"; document.body.append(frame);
                await new Promise((resolve) => setTimeout(resolve, 200));
                return blocked;
            }""",
            address,
        )
        assert seen == []
    assert {"connect-src", "img-src", "style-src-elem", "frame-src"} <= set(blocked)


@contextmanager
def loopback(page: str = "", policy: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that notes what it is asked for."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_over_http_it_is_one_request_under_the_same_policy(browser: Browser) -> None:
    """The header's policy lets in what the page's does."""
    with loopback(report_html(estate.small()), content_security_policy()) as (address, seen):
        context = browser.new_context()
        page = context.new_page()
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.goto(address)
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.evaluate("getComputedStyle(document.querySelector('.hero')).borderLeftWidth") == "6px"
        assert messages == []
        assert seen == ["/"]
        context.close()


# For whom


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("data", [estate.broken(estate.small()), estate.QUIET], ids=["broken", "quiet"])
def test_axe_finds_no_serious_violation(show: Show, data: ReportData, width: int, scheme: str) -> None:
    """WCAG 2.2 A and AA and best practices, in both themes, wide and narrow, with everything unfolded."""
    shown = show(data, width=width, scheme=scheme)
    shown.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    shown.page.evaluate(axe_script())
    found = shown.page.evaluate("axe.run().then((result) => result.violations)")
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert serious == []


@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_never_wider_than_the_screen(show: Show, width: int) -> None:
    """What does not fit scrolls in its own place, whatever strangers call themselves."""
    shown = show(estate.small(name="x" * 60, message="y" * 140), width=width)
    assert shown.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [1280, 390])
def test_no_stranger_pushes_a_column_out_of_sight(show: Show, width: int) -> None:
    """A long word in a message or a name breaks: what the link says stays beside what the connection says."""
    shown = show(estate.small(name="x" * 80, message="y" * 140), width=width)
    hidden = shown.page.locator(".scroll").evaluate_all(
        "all => all.filter((one) => one.querySelector('table') && one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"
    )
    assert hidden == []


def test_dark_is_dark(show: Show) -> None:
    """It follows the system's theme."""
    shades = [
        show(estate.small(), scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert shades[0] != shades[1]
