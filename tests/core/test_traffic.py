"""Counting and verdicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import traffic
from shared.core.address import AddressClass
from shared.core.traffic import (
    TOP_SOURCES,
    Basis,
    Freshness,
    Inconclusive,
    Kind,
    Private,
    PublicSeen,
    ReasonCode,
    Resolved,
    TableTally,
    TableTraffic,
    Tally,
    judge,
    judge_target,
    reason,
    resolve,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRESH = Freshness(until=NOON, at_most=timedelta(hours=1))


def count(*rows: tuple[Kind, str | None, int], table: str = "t", at: datetime = NOON) -> TableTraffic:
    tally = TableTally()
    for kind, client, number in rows:
        tally.add(kind, resolve(None, client), number, at, at)
    return tally.end("site", table)


def codes(verdict: object) -> set[ReasonCode]:
    assert isinstance(verdict, Inconclusive)
    return {one.code for one in verdict.reasons}


def test_private() -> None:
    """Upstream calls, all from private addresses, in a fresh log."""
    assert (
        judge(count((Kind.UPSTREAM, "10.0.0.1", 5), (Kind.OTHER, "8.8.8.8", 3), (Kind.PING, "127.0.0.1", 9)), FRESH) == Private()
    )


def test_public_seen() -> None:
    """One public upstream call is enough, however many are private and whatever else is wrong with the log."""
    rows = count((Kind.UPSTREAM, "10.0.0.1", 1000), (Kind.UPSTREAM, "8.8.8.8", 1))
    assert judge(rows, FRESH, [reason(ReasonCode.SOURCE_UNREADABLE)]) == PublicSeen()


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], ReasonCode.NO_ROWS),
        ([(Kind.SCM, "8.8.8.8", 1)], ReasonCode.NO_ROWS),
        ([(Kind.PING, "127.0.0.1", 1)], ReasonCode.ONLY_PINGS),
        ([(Kind.OTHER, "10.0.0.1", 1)], ReasonCode.NO_UPSTREAM_CALLS),
        ([(Kind.UPSTREAM, "127.0.0.1", 1)], ReasonCode.NO_UPSTREAM_CALLS),
        ([(Kind.UPSTREAM, None, 1)], ReasonCode.HEADER_ABSENT),
        ([(Kind.UPSTREAM, "0.0.0.0", 1)], ReasonCode.ADDRESS_MASKED),
        ([(Kind.UPSTREAM, "unknown", 1)], ReasonCode.ADDRESS_MALFORMED),
        ([(Kind.UPSTREAM, "100.64.0.1", 1)], ReasonCode.ADDRESS_UNCLEAR),
    ],
)
def test_inconclusive(rows: list[tuple[Kind, str | None, int]], code: ReasonCode) -> None:
    """Silence, and whatever hides a source, is never a pass; a private call beside it does not make it one."""
    assert codes(judge(count(*rows), FRESH)) == {code}
    if rows and rows[0][0] is Kind.UPSTREAM and rows[0][1] != "127.0.0.1":
        assert codes(judge(count(*rows, (Kind.UPSTREAM, "10.0.0.1", 5)), FRESH)) == {code}


def test_stale_only_against_a_window() -> None:
    """A log is stale against the end of a window; one that somebody handed over never is."""
    rows = count((Kind.UPSTREAM, "10.0.0.1", 1), at=NOON - timedelta(hours=2))
    assert codes(judge(rows, FRESH)) == {ReasonCode.STALE}
    assert judge(rows) == Private()


def test_sampled_and_unreadable() -> None:
    """A sampled log, and one that could not be read whole, is never private."""
    tally = TableTally()
    tally.sampled = True
    tally.add(Kind.UPSTREAM, resolve(None, "10.0.0.1"), 1, NOON, NOON)
    verdict = judge(tally.end("site", "t"), FRESH, [reason(ReasonCode.SOURCE_UNREADABLE, "throttled")])
    assert codes(verdict) == {ReasonCode.SAMPLED, ReasonCode.SOURCE_UNREADABLE}


def test_the_worst_table_decides_and_nothing_is_summed() -> None:
    """Several tables of one target: the worst verdict, counts kept apart."""
    private = count((Kind.UPSTREAM, "10.0.0.1", 3), table="a")
    public = count((Kind.UPSTREAM, "8.8.8.8", 1), table="b")
    unclear = count((Kind.OTHER, "10.0.0.1", 3), table="c")
    judged = judge_target("site", [private, unclear, public])
    assert judged.verdict == PublicSeen()
    assert judged.decisive is public
    assert [one.traffic.table for one in judged.tables] == ["b", "c", "a"]
    assert isinstance(judge_target("site", [private, unclear]).verdict, Inconclusive)
    assert codes(judge_target("site", []).verdict) == {ReasonCode.NO_ROWS}


_ROW = st.tuples(st.sampled_from(Kind), st.none() | st.text(max_size=20) | st.ip_addresses().map(str), st.integers(1, 1000))


@given(st.lists(_ROW, max_size=60))
def test_counts_add_up(rows: list[tuple[Kind, str | None, int]]) -> None:
    """Every request is in exactly one class, upstream calls are among all, and sources and absent ones are all traffic."""
    counted = count(*rows)
    assert counted.rows == sum(number for *_, number in rows)
    assert sum(counted.upstream.values()) == sum(number for kind, _, number in rows if kind is Kind.UPSTREAM)
    assert all(counted.requests[cls] >= number for cls, number in counted.upstream.items())
    named = sum(source.count for source in counted.sources) + counted.requests.get(AddressClass.ABSENT, 0)
    assert named == sum(counted.requests.values())


def test_a_target_is_spelt_alike_whatever_came_first() -> None:
    """One target, however its id is spelt, and one spelling of it."""
    for order in (("/A/b", "/a/B"), ("/a/B", "/A/b")):
        tally = Tally()
        for target in order:
            tally.table(target, "t").add(Kind.OTHER, resolve(None, "10.0.0.1"), 1, NOON, NOON)
        assert [(one.target, one.rows) for one in tally.end()] == [("/A/b", 2)]


def test_a_source_is_explained_alike_whatever_came_first() -> None:
    """One address written in two forms, of which one needs a word: one source, with that word."""
    for order in (("10.0.0.4", "::ffff:10.0.0.4"), ("::ffff:10.0.0.4", "10.0.0.4")):
        (source,) = count(*((Kind.OTHER, client, 1) for client in order)).sources
        assert (source.address, source.count) == ("10.0.0.4", 2)
        assert "mapped into IPv6" in source.note


def test_sources_stand_in_one_order_whatever_came_first() -> None:
    """One address may be there twice: read as one, and as what is shown of a header that is none."""
    classes = [AddressClass.PRIVATE, AddressClass.MALFORMED]
    for order in (classes, classes[::-1]):
        table = TableTally()
        for cls in order:
            table.add(Kind.OTHER, Resolved(name="10.0.0.1", cls=cls, basis=Basis.CLIENT_IP), 1, NOON, NOON)
        assert [one.cls for one in table.end("site", "t").sources] == sorted(classes)


@pytest.mark.parametrize("text", ["/subscriptions/s?code=x", 'a", "CsUriQuery": "code=x', "a=b", "", "a b", "x" * 2000])
def test_what_is_no_name_is_never_shown_as_one(text: str) -> None:
    """A damaged line may have a query or a cookie where the target or the table should be."""
    tally = Tally()
    tally.table(text, "t").add(Kind.OTHER, resolve(None, "10.0.0.1"), 1, NOON, NOON)
    tally.table("site", f"{text}=").add(Kind.OTHER, resolve(None, "10.0.0.1"), 1, NOON, NOON)
    assert [(one.target, one.table) for one in tally.end()] == [("(malformed)", "t"), ("site", "(malformed)")]


def test_only_the_most_frequent_sources_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The top hundred are named, the others counted; memory is bounded while counting."""
    monkeypatch.setattr(traffic, "DISTINCT_SOURCES", 300)
    tally = TableTally()
    for number in range(1000):
        tally.add(Kind.OTHER, resolve(None, f"8.8.{number >> 8}.{number & 255}"), 1 + (number == 7) * 50, NOON, NOON)
    counted = tally.end("site", "t")
    assert counted.sources[0].address == "8.8.0.7"
    assert len(counted.sources) == TOP_SOURCES
    assert counted.other_sources == 900
    assert sum(counted.requests.values()) == 1050
