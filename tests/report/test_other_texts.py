"""The smaller reports: nothing hostile gets through any of them, and what matters is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from shared.core.address import AddressClass
from shared.core.ledger import RecordKind
from shared.core.problem import Problem
from shared.core.traffic import Basis, Lines, PublicSeen, Source, TableTraffic, TableVerdict, TargetTraffic
from shared.report.audit_text import audit_html, audit_text, sentence
from shared.report.checks_text import allowlist_text, config_text, hand_text, request_text
from shared.report.documents import (
    AllowlistDocument,
    CheckItem,
    ConfigDocument,
    FaultItem,
    HandDocument,
    HandItem,
    LedgerListDocument,
    LedgerShowDocument,
    RecordItem,
    ReplayDocument,
    ReplayItem,
    RequestDocument,
    RuleRemark,
    SettingItem,
    VerifyDocument,
)
from shared.report.json_text import json_text
from shared.report.ledger_text import list_text, replay_text, show_text, verify_text
from shared.report.page import count_of
from shared.report.style import Style
from tests.report.documents import LINK, NOON, connection_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.ledger import JsonObject

BAD = "\x1b[2J\n0 problems\r\u202e\ud800[red]"
DOCUMENTS: dict[str, tuple[object, Callable[[Style], str]]] = {}


def add(name: str, document: object, text: Callable[[Style], str]) -> None:
    DOCUMENTS[name] = (document, text)


allowlist = AllowlistDocument(
    file=BAD,
    valid=False,
    digest=None,
    paused=None,
    rules=None,
    problems=(Problem(3, 5, BAD), Problem(0, 0, BAD)),
    remarks=(RuleRemark(rule=BAD, line=3, message=BAD),),
)
add("allowlist check", allowlist, lambda style: allowlist_text(allowlist, style))
config = ConfigDocument(
    ok=False,
    settings=(SettingItem(name="LINKGUARD_MODE", value=BAD, is_default=False),),
    checks=(CheckItem(name=BAD, ok=False, message=BAD, advice=BAD), CheckItem(name="a", ok=True, message="b", advice="")),
)
add("config check", config, lambda style: config_text(config, style))
hand = HandDocument(
    by=BAD,
    decisions=(HandItem(connection=connection_named(BAD), decision="reject", record="r", written=False, ok=False, message=BAD),),
)
add("decide", hand, lambda style: hand_text(hand, style))
listed = LedgerListDocument(
    total=2,
    records=(
        RecordItem(chain=BAD, sequence=1, id="a" * 64, kind="hold", at=NOON, summary=BAD, body={}),
        RecordItem(chain=str(LINK), sequence=1, id="b" * 64, kind="intent", at=NOON, summary="approve x", body={}),
    ),
)
add("ledger list", listed, lambda style: list_text(listed, style))
shown = LedgerShowDocument(
    records=({"kind": BAD, "id": BAD, "chain": BAD, "body": {BAD: [BAD, {BAD: BAD}, 1, None, True, [], {}]}, "inputs": None},)
)
add("ledger show", shown, lambda style: show_text(shown, style))
verified = VerifyDocument(ok=False, chains=1, records=2, faults=(FaultItem(chain=BAD, sequence=1, message=BAD),))
add("ledger verify", verified, lambda style: verify_text(verified, style))
replayed = ReplayDocument(
    same=False,
    allowlist=BAD,
    decisions=(
        ReplayItem(chain=BAD, record="a" * 64, at=NOON, about=BAD, recorded="hold", derived="approve", same=False),
        ReplayItem(chain=BAD, record="b" * 64, at=NOON, about="", recorded=BAD, derived=BAD, same=False),
    ),
)
add("ledger replay", replayed, lambda style: replay_text(replayed, style))
request = RequestDocument(message="m" * 40, key_id=None, expires=None, link=LINK, command="az rest")
add("request", request, lambda style: request_text(request, style))


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("style", [Style(), Style(width=60, colour=True)], ids=["piped", "terminal"])
def test_hostile_text_does_nothing(name: str, style: Style) -> None:
    """As text and as JSON."""
    document, text = DOCUMENTS[name]
    written = text(style)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
    assert all(line.isprintable() for line in plain.split("\n"))
    assert "\x1b[2J" not in written
    assert not re.search("^0 problems", plain, re.MULTILINE)
    assert json_text(document).isascii()
    assert "\x1b" not in json_text(document)


def test_problems_are_where_an_editor_finds_them() -> None:
    """``file:line:column: problem``; the document as a whole has no line."""
    document = AllowlistDocument(
        file="a.yaml",
        valid=False,
        digest=None,
        paused=None,
        rules=None,
        problems=(Problem(0, 0, "it is missing"), Problem(3, 5, "no such key")),
        remarks=(),
    )
    assert allowlist_text(document).splitlines() == [
        "a.yaml: it is missing",
        "a.yaml:3:5: no such key",
        "a.yaml: not valid, 2 problems; nothing is approved with it",
    ]


def test_a_paused_allowlist_is_valid_and_says_so() -> None:
    """Whoever checks it must not miss that it approves nothing."""
    document = AllowlistDocument(file="a.yaml", valid=True, digest="d", paused=True, rules=1, problems=(), remarks=())
    assert allowlist_text(document) == "a.yaml: valid, 1 rule, PAUSED: nothing is approved\n"


def test_only_what_differs_is_told_of_a_replay() -> None:
    """And how many came out the same."""
    same = ReplayItem(chain="c", record="a" * 64, at=NOON, about="x", recorded="hold", derived="hold", same=True)
    document = ReplayDocument(same=True, allowlist=None, decisions=(same, same))
    assert replay_text(document) == "2 of 2 recorded decisions come out the same.\n"


def test_every_kind_of_record_can_be_listed() -> None:
    """Also one whose body is not what this program writes."""
    from shared.core.ledger import Entry, Record  # noqa: PLC0415
    from shared.report.ledger_text import record_item  # noqa: PLC0415

    for kind in RecordKind:
        entry = Entry(chain="c", id="i", kind=kind, at=NOON, body={})
        record = Record(entry=entry, sequence=1, previous="", hash="", inputs_digest=None)
        assert record_item(record).kind == kind.value


def test_the_list_tells_the_end_of_a_drift_from_its_beginning() -> None:
    """Both records have the same message."""
    from shared.core.ledger import Entry, Record  # noqa: PLC0415
    from shared.report.ledger_text import record_item  # noqa: PLC0415

    for change in ("new", "worse", "resolved"):
        body: JsonObject = {"change": change, "message": "it is open"}
        entry = Entry(chain="c", id="i", kind=RecordKind.DRIFT, at=NOON, body=body)
        item = record_item(Record(entry=entry, sequence=1, previous="", hash="", inputs_digest=None))
        assert item.summary == f"{change}: it is open"


def test_one_is_one() -> None:
    """An audit's counts in words, one and more."""
    source = Source(address="203.0.113.7", cls=AddressClass.PUBLIC, count=1, first_seen=NOON, last_seen=NOON)
    for number, said, more in (
        (1, "1 upstream call came from a public address", "and 1 more source"),
        (1000, "1,000 upstream calls came from public addresses", "and 1,000 more sources"),
    ):
        calls = {AddressClass.PUBLIC: number}
        traffic = TableTraffic(
            target="x",
            table="file",
            requests=calls,
            upstream=calls,
            pings=0,
            scm=0,
            first_seen=NOON,
            last_seen=NOON,
            newest=NOON,
            bases=frozenset({Basis.CLIENT_IP}),
            disagreements=0,
            sources=(source,),
            other_sources=number,
        )
        verdict = PublicSeen()
        target = TargetTraffic(target="x", verdict=verdict, tables=(TableVerdict(traffic=traffic, verdict=verdict),))
        assert sentence(target) == said
        text = audit_text([target], Lines(read=number))
        assert f"{more}\n" in text
        assert f"{count_of(number, 'line')}: " in text
        assert f"<p>{more}</p>" in audit_html([target], None, NOON)
