"""What a report comes to, and its formats for other programs."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema  # type: ignore[import-untyped]  # it has none

from shared.core.finding import DRIFT, FindingId, Severity
from shared.core.finding_life import Life
from shared.core.report_data import LedgerView
from shared.core.wire import to_json
from shared.report import web
from shared.report.csv_text import csv_text
from shared.report.html import content_security_policy, report_html
from shared.report.html.chart import Bar, stack
from shared.report.html.form import as_json, packed
from shared.report.html.parts import link_anchor, moment, short_ids, traffic_anchor
from shared.report.html.picture import MOST_TARGETS, draw
from shared.report.html.traffic import MOST_TARGETS as MOST_CHARTS
from shared.report.html.traffic import traffic_cards
from shared.report.html.view import Side, make_view
from shared.report.json_text import json_text
from shared.report.link_state import LABELS, TONES, LinkState, Tone, state_of
from shared.report.ocsf import OCSF_VERSION, ocsf_event, ocsf_finding, ocsf_lines
from shared.report.report_csv import HEADERS, ReportTable, report_csv
from shared.report.report_document import AUDIT_STALE_AFTER, SWEEP_STALE_AFTER, ago, report_document, summarize
from tests.report import estate

if TYPE_CHECKING:
    from shared.core.report_data import ReportData

# The state of a link


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, LinkState.CONNECTED),
        ({"outcome": "ambiguous"}, LinkState.WRONG),
        ({"outcome": "taken_back"}, LinkState.WRONG),
        ({"outcome": "sent"}, LinkState.UNCONFIRMED),
        ({"outcome": None, "link_status": "Pending"}, LinkState.DRIFTED),
        ({"outcome": None, "link_status": ""}, LinkState.DRIFTED),
        ({"outcome": None, "link_provisioning": "Failed"}, LinkState.DRIFTED),
        ({"link_status": "Disconnected"}, LinkState.DRIFTED),
        ({"outcome": None, "connection_state": "Pending", "verdict": "hold"}, LinkState.HELD),
        ({"outcome": None, "connection_state": "Pending", "verdict": "wait"}, LinkState.WAITING),
        ({"outcome": "not_written", "connection_state": "Pending", "verdict": "approve"}, LinkState.WOULD_APPROVE),
        ({"outcome": None, "connection_state": "rejected"}, LinkState.REJECTED),
        ({"outcome": None, "connection_state": "Disconnected"}, LinkState.CLOSED),
        ({"outcome": None, "connection_state": "something new"}, LinkState.CLOSED),
        ({"verdict": "", "outcome": None, "connection_state": ""}, LinkState.UNSEEN),
    ],
)
def test_the_state_of_a_link(change: dict[str, str | None], state: LinkState) -> None:
    """What needs a person comes first; approved on one side alone is never called connected."""
    view = estate.connected(estate.signalr("s"), "pe", estate.site("app"))
    assert state_of(replace(view, **change)) is state  # type: ignore[arg-type]  # fields by name


def test_every_state_has_a_label_and_a_tone() -> None:
    """So that each can be shown."""
    assert set(LABELS) == set(TONES) == set(LinkState)


# Is anything wrong?


def test_a_quiet_estate_is_well() -> None:
    """Nothing is wrong where nothing is."""
    assert summarize(estate.QUIET).ok


def test_no_sweep_is_critical() -> None:
    """Silence is not health."""
    (problem,) = summarize(estate.NOTHING).problems
    assert problem.severity is Severity.CRITICAL


def test_a_broken_ledger_is_critical() -> None:
    """And named first, with its record."""
    first, *_ = summarize(estate.broken(replace(estate.QUIET, ledger=estate.small().ledger))).problems
    assert (first.severity, first.anchor) == (Severity.CRITICAL, "ledger")
    assert "record 2" in first.message


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=1)])
def test_an_old_sweep_and_an_old_audit_are_problems(late: timedelta) -> None:
    """Beyond their limits, not at them."""
    sweep = estate.QUIET.sweep
    assert sweep is not None
    at = estate.NOW - SWEEP_STALE_AFTER - late
    old = replace(estate.QUIET, sweep=replace(sweep, finished=at), audit_at=estate.NOW - AUDIT_STALE_AFTER - late)
    assert len(summarize(old).problems) == (2 if late else 0)


@pytest.mark.parametrize(
    ("sweep", "audit", "said"),
    [
        (timedelta(minutes=59), timedelta(hours=23), []),
        (timedelta(hours=2), timedelta(hours=23), ["The last sweep is 2 h old"]),
        (timedelta(minutes=59), timedelta(days=2), ["The last traffic audit is 2 d old"]),
    ],
)
def test_a_sweep_is_fresh_for_an_hour_and_an_audit_for_a_day(sweep: timedelta, audit: timedelta, said: list[str]) -> None:
    """As the page's reader is told."""
    kept = estate.QUIET.sweep
    assert kept is not None
    data = replace(estate.QUIET, sweep=replace(kept, finished=estate.NOW - sweep), audit_at=estate.NOW - audit)
    assert [problem.message for problem in summarize(data).problems] == said


def test_an_incomplete_sweep_is_a_problem() -> None:
    """With the number of what could not be read."""
    sweep = estate.QUIET.sweep
    assert sweep is not None
    unread = replace(estate.QUIET, sweep=replace(sweep, complete=False, unread=(estate.site("app"),)))
    (problem,) = summarize(unread).problems
    assert "1 target could not be looked at" in problem.message


def test_each_thing_that_is_wrong_is_told_with_its_place() -> None:
    """An open finding by its severity; a resolved one not; the newest verdict of each target; links that are held or wrong."""
    func, sweep = estate.site("chat-func"), estate.QUIET.sweep
    assert sweep is not None
    critical = estate.finding(FindingId.SWEEP_OVERDUE, Severity.CRITICAL, None, "x")
    warning = estate.finding(FindingId.RULE_EXPIRED, Severity.WARNING, None, "x")
    over = replace(warning, resolved_at=estate.NOW)
    was_public, is_private = estate.traffic(func, 2, "public-seen", 5, 1), estate.traffic(func, 1, "private", 5, 0)
    is_public = estate.traffic(func, 0, "public-seen", 5, 1)
    wrong = replace(sweep.links[0], outcome="ambiguous")
    held = replace(sweep.links[0], outcome=None, connection_state="Pending", link_status="Pending", verdict="hold")

    def told(**changes: object) -> list[tuple[str, str]]:
        changed = replace(estate.QUIET, **changes)  # type: ignore[arg-type]  # fields by name
        return [(one.severity.value, one.anchor) for one in summarize(changed).problems]

    assert told(findings=(critical,)) == [("critical", "findings?severity=critical")]
    assert told(findings=(warning, over)) == [("warning", "findings?severity=warning")]
    assert told(findings=(over,)) == []
    assert told(traffic=(was_public, is_private)) == []
    assert told(traffic=(was_public, is_private, is_public)) == [("critical", "traffic?verdict=public-seen")]
    assert told(sweep=replace(sweep, links=(wrong,))) == [("critical", "links?state=wrong")]
    assert told(sweep=replace(sweep, links=(held,))) == [("warning", "held?verdict=hold")]
    summary = summarize(replace(estate.QUIET, findings=(critical, warning, over)))
    assert (summary.critical, summary.warning, summary.ok) == (1, 1, False)


@pytest.mark.parametrize(
    ("severities", "tone", "headline"),
    [
        ((), Tone.GOOD, "Nothing needs a person"),
        ((Severity.WARNING,), Tone.WARN, "Something needs a person"),
        ((Severity.WARNING, Severity.CRITICAL), Tone.BAD, "Something is wrong"),
    ],
)
def test_the_headline_is_as_bad_as_the_worst(severities: tuple[Severity, ...], tone: Tone, headline: str) -> None:
    """In words and in colour."""
    found = tuple(estate.finding(FindingId.RULE_EXPIRED, severity, None, "x") for severity in severities)
    view = make_view(replace(estate.QUIET, findings=found))
    assert (view.tone, view.headline) == (tone, headline)


def test_a_held_connection_has_every_reason_on_its_card() -> None:
    """However many there are."""
    data = estate.small()
    assert data.sweep is not None
    reasons = {held.decision_id: [one.code.value for one in held.reasons] for held in data.sweep.held}
    assert max(map(len, reasons.values())) > 1
    cards = make_view(data).held
    assert sorted([one.code for one in card.reasons] for card in cards) == sorted(reasons.values())


def test_critical_problems_come_first() -> None:
    """Whatever their number."""
    severities = [problem.severity for problem in summarize(estate.small()).problems]
    assert severities == sorted(severities, key=lambda one: one is not Severity.CRITICAL)


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (200_000, "2 d")])
def test_ages_are_in_their_largest_unit(seconds: int, said: str) -> None:
    """A clock that went back is no age."""
    assert ago(timedelta(seconds=seconds)) == said


# JSON


@pytest.mark.parametrize("data", [estate.small(), estate.NOTHING])
def test_json_has_the_whole_data(data: ReportData) -> None:
    """Nothing is left out."""
    document = json.loads(json_text(report_document(data)))
    assert document["version"] == 1
    assert document["summary"]["ok"] == summarize(data).ok
    assert set(document["summary"]["states"]) == {state.value for state in LinkState}
    assert document["data"] == to_json(data)


# CSV


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("table", ReportTable)
def test_every_table_has_a_row_for_each(table: ReportTable) -> None:
    """All rows, all with every column."""
    data = estate.small()
    assert data.sweep is not None
    header, *rows = rows_of(report_csv(data, table))
    expected = {
        ReportTable.LINKS: len(data.sweep.every_link),
        ReportTable.FINDINGS: len(data.findings),
        ReportTable.HELD: len(data.sweep.held),
        ReportTable.LEDGER: len(data.ledger.timeline),
    }
    assert tuple(header) == HEADERS[table]
    assert len(rows) == expected[table]
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("table", ReportTable)
def test_without_a_sweep_a_table_is_its_header(table: ReportTable) -> None:
    """Never an error."""
    assert rows_of(report_csv(estate.NOTHING, table)) == [list(HEADERS[table])]


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    """Whatever is in it: one cell, on one line, that nothing calculates."""
    ((cell,), (found,)) = rows_of(csv_text(["head"], [[text]]))
    assert cell == "head"
    assert not found.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))  # noqa: RUF001  the wide forms
    assert found.isprintable() or "\xa0" in found


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "＝1"])  # noqa: RUF001
def test_what_begins_a_formula_is_led_by_an_apostrophe_or_escaped(text: str) -> None:
    """As OWASP's page on CSV injection lists them."""
    ((_,), (found,)) = rows_of(csv_text(["head"], [[text]]))
    assert found.startswith(("'", "\\"))


def test_hostile_text_stays_in_its_cell() -> None:
    """Quotation marks, commas and line ends."""
    data = estate.small(message='=HYPERLINK("http://x","y"),\r\n"z"')
    for table in ReportTable:
        for row in rows_of(report_csv(data, table)):
            assert len(row) == len(HEADERS[table])


# OCSF


@cache
def ocsf_schema(class_uid: int) -> jsonschema.Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    return jsonschema.Draft202012Validator(schema.get_class_schema(schema.lookup_class_name_from_uid(class_uid)))


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("id_", [FindingId.IMPOSTOR_SUSPECTED, FindingId.PUBLIC_ACCESS_OPEN])
def test_events_are_what_the_schema_wants(id_: FindingId, severity: Severity, life: Life) -> None:
    """Of both classes, at every point of a finding's life, with a target and without."""
    for target in (estate.site("app"), None):
        view = replace(estate.finding(id_, severity, target, "a sentence", fact="a value"), life=life)
        event = ocsf_event(ocsf_finding(view), "1.2.3")
        assert [error.message for error in ocsf_schema(event["class_uid"]).iter_errors(event)] == []  # type: ignore[arg-type]
        assert event["class_uid"] == (2003 if id_ in DRIFT else 2004)


def test_the_schema_can_refuse() -> None:
    """So that the test above means something."""
    (view, *_) = estate.small().findings
    event = ocsf_event(ocsf_finding(view), "1.2.3")
    assert list(ocsf_schema(2004).iter_errors({**event, "severity_id": 77}))
    assert list(ocsf_schema(2004).iter_errors({**event, "made_up": 1}))


def test_one_event_a_line_with_the_findings_own_id() -> None:
    """The same uid at every report; whatever the facts say, a line is a line."""
    data = estate.small(message="two\nlines\u2028and more")
    events = [json.loads(line) for line in ocsf_lines(map(ocsf_finding, data.findings), "1.2.3").splitlines()]
    assert [event["finding_info"]["uid"] for event in events] == [view.finding.fingerprint for view in data.findings]
    assert events[-1]["status"] == "Resolved"


# The page, apart from a browser


def test_the_page_is_the_same_each_time() -> None:
    """Nothing in it is random."""
    assert report_html(estate.small()) == report_html(estate.small())


def test_the_policy_lets_in_nothing_by_default() -> None:
    """No wildcard, no unsafe word, no host."""
    policy = content_security_policy()
    assert policy.startswith("default-src 'none'; ")
    assert not any(word in policy for word in ("unsafe", "*", "http"))
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy  # No script makes markup from text.


@given(st.text(min_size=1, max_size=200) | st.text("<>\"'&;/=!- {}%scriptmg\u202e", min_size=1, max_size=200))
@example("<b>")
@example('"><script>alert(1)</script><!--')
@example("' onload='x")
def test_no_text_becomes_markup(text: str) -> None:
    """The page has the same elements and attributes whatever a message says."""
    page = report_html(estate.small(message=text))
    assert _marks(page) == _marks(_plain_page())
    assert "\u202e" not in page


@cache
def _plain_page() -> str:
    return report_html(estate.small(message="plain"))


def _marks(page: str) -> list[int]:
    """How many there are of what makes markup; the data's own test is below."""
    markup, blocks = re.subn(r"(data-all>)[^<]*(</script>)", r"\1\2", page)
    return [blocks, *map(markup.count, '<>"')]


@given(st.lists(st.builds(Side, st.text(), st.sampled_from(["none", ""])), max_size=9))
def test_columns_hold_what_the_items_did(items: list[Side]) -> None:
    """Whatever repeats: each item is put together again from its column's values."""
    columns = json.loads(as_json(packed(items)))
    again = [
        {name: column["values"][column["of"][place] if "of" in column else place] for name, column in columns.items()}
        for place in range(len(items))
    ]
    assert again == [{"text": item.text, "css": item.css} for item in items]


def test_data_in_the_page_cannot_end_its_element() -> None:
    """Nothing in it is a tag or a comment to a browser, and it is the JSON that it should be."""
    page = report_html(estate.small(message="</script><!--<script>&amp;\u2028"))
    blocks = re.findall(r'<script type="application/json" data-all>(.*?)</script>', page, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        assert "<" not in block
        assert block.isascii()
    assert any("</script><!--<script>" in str(json.loads(block)) for block in blocks)


def test_ids_in_sentences_are_short_but_those_in_commands() -> None:
    """What is to be typed stays whole."""
    id_ = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/sites/app"
    assert short_ids(f"{id_} is held: linkguard explain {id_}") == f"app is held: linkguard explain {id_}"


def test_the_picture_of_many_has_the_worst() -> None:
    """And says how many it leaves out."""
    data = estate.large(400, 0)
    assert data.sweep is not None
    picture = draw(data.sweep.every_link)
    assert len(picture.targets) == MOST_TARGETS
    assert picture.targets_left_out == 200 - MOST_TARGETS
    assert {edge.state for edge in picture.edges} >= {"held"}
    assert all(0 <= edge.x <= picture.width and 0 <= edge.y <= picture.height for edge in picture.edges)


def test_an_empty_picture_and_an_empty_chart_can_be_drawn() -> None:
    """Nothing is divided by nothing."""
    assert draw(()).edges == ()
    assert stack((), {}).segments == ()
    assert stack([Bar(label="now", counts={"a": 0})], {"a": "good"}).segments == ()


@pytest.mark.parametrize("count", [1, 3, 19, 20, 999, 1_234_567])
def test_a_charts_bars_are_as_tall_as_they_say(count: int) -> None:
    """The tallest reaches the count on the axis, never beyond."""
    chart = stack([Bar(label="now", counts={"a": count})], {"a": "good"})
    (segment,) = chart.segments
    top = max(int(tick.text.replace(",", "")) for tick in chart.up)
    assert count <= top <= max(2 * count, 2)
    assert segment.height == pytest.approx(count / top * (chart.base - min(tick.at for tick in chart.up)), abs=1.6)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": None, "sources": 3, "reasons": "x"},
        {"requests": {"private": True, "public": -3, "x": "y"}},
        {"tables": []},
        {"tables": [{"requests": {"public": 5}, "sources": [{"address": None, "class": "public", "count": 5}, 7]}]},
    ],
)
def test_a_traffic_record_that_says_less_shows_less(body: dict[str, object]) -> None:
    """Nothing in a record makes the report fail."""
    item = replace(estate.small().traffic[0], body={"verdict": "inconclusive", **body})  # type: ignore[dict-item]  # a test's own
    data = replace(estate.small(), traffic=(item,))
    assert "inconclusive" in report_html(data)


def test_of_very_many_targets_the_worst_have_a_chart() -> None:
    """And the page says how many there are."""
    items = [estate.traffic(estate.site(f"app-{n:04}"), 1, "private", 5, 0) for n in range(MOST_CHARTS + 20)]
    items.append(estate.traffic(estate.site("app-9999"), 1, "public-seen", 5, 5))
    cards = traffic_cards(items, partial(moment, now=estate.NOW))
    assert (len(cards), cards[0].verdict) == (MOST_CHARTS, "public-seen")
    assert f"of {MOST_CHARTS + 21} targets" in report_html(replace(estate.QUIET, traffic=tuple(items)))


def test_top_sources_are_public_ones_most_frequent_first() -> None:
    """Private addresses are no news."""
    sources = [{"address": f"203.0.113.{n}", "class": "public", "count": n} for n in range(20)]
    sources.append({"address": "10.0.0.4", "class": "private", "count": 99})
    item = estate.traffic(estate.site("app"), 1, "public-seen", 5, 5, sources=sources)
    (card,) = traffic_cards([item], partial(moment, now=estate.NOW))
    assert [row.count for row in card.sources] == list(range(19, 9, -1))


# Over HTTP


def principal(value: object) -> dict[str, str]:
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(value).encode()).decode()}


SIGNED_IN = principal({"auth_typ": "aad", "claims": [{"typ": "oid", "val": "1"}]})


def test_the_key_alone_does_unless_a_principal_is_demanded() -> None:
    """The host has checked the key."""
    assert web.refuse({}, require_principal=False, platform_authenticates=False) is None


def test_who_is_signed_in_by_the_platform_may_have_it() -> None:
    """Whatever the case of the header's name."""
    assert web.refuse(SIGNED_IN, require_principal=True, platform_authenticates=True) is None
    lower = {name.lower(): value for name, value in SIGNED_IN.items()}
    assert web.refuse(lower, require_principal=True, platform_authenticates=True) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-MS-CLIENT-PRINCIPAL": ""},
        {"X-MS-CLIENT-PRINCIPAL": "x"},
        {"X-MS-CLIENT-PRINCIPAL": "A" * 100_000},
        {"X-MS-CLIENT-PRINCIPAL-ID": "1"},
        principal([]),
        principal({}),
        principal({"claims": []}),
        principal("claims"),
    ],
)
def test_who_is_not_signed_in_is_refused(headers: dict[str, str]) -> None:
    """401, and no word of the report."""
    refused = web.refuse(headers, require_principal=True, platform_authenticates=True)
    assert refused is not None
    assert refused.status == 401


def test_without_the_platforms_authentication_the_header_proves_nothing() -> None:
    """Anybody can send it: 403."""
    refused = web.refuse(SIGNED_IN, require_principal=True, platform_authenticates=False)
    assert refused is not None
    assert refused.status == 403


def test_the_answer_carries_the_policy() -> None:
    """As a header, with what a meta element cannot say."""
    answered = web.answer(estate.small(), "")
    assert answered.status == 200
    assert answered.headers["Content-Security-Policy"] == content_security_policy()
    assert "frame-ancestors 'none'" in content_security_policy()
    for one in (answered, web.answer(estate.small(), "json"), web.answer(estate.small(), "exe"), web.unavailable()):
        assert (one.headers["Cache-Control"], one.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert answered.body == report_html(estate.small())


def test_json_is_to_be_had_and_nothing_else() -> None:
    """Another format is a bad request."""
    answered = web.answer(estate.small(), "json")
    assert json.loads(answered.body)["data"] == to_json(estate.small())
    assert web.answer(estate.small(), "<script>").status == 400
    assert "script" not in web.answer(estate.small(), "<script>").body


# From a finding to its why


def test_a_finding_leads_to_what_it_is_about() -> None:
    """A connection's or a link's row, and of one link's rows the worst; the target's chart where the traffic showed it."""
    data = estate.small()
    assert data.sweep is not None
    func = estate.site("chat-func")
    web = next(view for view in data.sweep.links if view.verdict == "hold" and view.link)
    assert web.link is not None
    assert web.connection is not None
    found = (
        estate.finding(FindingId.TRAFFIC_PUBLIC, Severity.CRITICAL, func, "public"),
        estate.finding(FindingId.TRAFFIC_INCONCLUSIVE, Severity.WARNING, estate.site("chat-web"), "not audited"),
        estate.finding(FindingId.APPROVED_LINK_GONE, Severity.WARNING, func, "gone", web.connection.key),
        estate.finding(FindingId.REPLICA_SUSPECTED, Severity.WARNING, func, "more", web.link.key),
        estate.finding(FindingId.SWEEP_OVERDUE, Severity.CRITICAL, None, "nobody"),
    )
    sweep = replace(data.sweep, links=(replace(estate.connected(web.link.parent, "x", func), link=web.link), *data.sweep.links))
    rows = make_view(replace(data, sweep=sweep, findings=found)).findings
    assert [row.why for row in rows] == [traffic_anchor(func), "", link_anchor(web), link_anchor(web), ""]


def test_an_empty_ledger_is_not_called_verified() -> None:
    """Nothing is recorded: nothing was verified."""
    empty = replace(estate.QUIET, ledger=LedgerView(chains=0, records=0, faults=(), timeline=()))
    assert "Nothing is recorded yet." in report_html(empty)
    assert "erified" not in report_html(empty).partition("<main")[2]
    assert "Verified: no record of 2 chains" in report_html(estate.small())


def test_before_the_first_sweep_nothing_is_called_well() -> None:
    """What is held is not known; a sweep that found nothing held says so."""
    assert "Not known: no sweep was kept." in report_html(estate.NOTHING)
    assert "Nothing is held" not in report_html(estate.NOTHING)
    assert "Nothing is held" in report_html(estate.QUIET)


def test_the_kinds_that_are_not_named_are_counted() -> None:
    """Three are named; one more is one."""
    kinds = (FindingId.CONNECTION_HELD, FindingId.RULE_EXPIRED, FindingId.WRITE_REFUSED, FindingId.SITES_UNREADABLE)
    found = tuple(estate.finding(id_, Severity.WARNING, None, "x") for id_ in kinds)
    (problem,) = summarize(replace(estate.QUIET, findings=found)).problems
    assert problem.message.endswith("and 1 more kind")
    fifth = estate.finding(FindingId.RULE_EXPIRES_SOON, Severity.WARNING, None, "x")
    (problem,) = summarize(replace(estate.QUIET, findings=(*found, fifth))).problems
    assert problem.message.endswith("and 2 more kinds")
