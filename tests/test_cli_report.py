"""``linkguard report`` and its function, over what a real sweep kept."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shared.bootstrap.reports import answer_report
from shared.local_azure import LocalAzure
from shared.report.exit_codes import ExitCode
from tests.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A link that was approved and confirmed, and a stranger's connection that is held."""
    with LocalAzure().in_thread() as azure:
        found = Desk(azure, tmp_path)
        found.put_link()
        azure.world.request_connection(found.target, "stranger-pe", "<script>alert(1)</script>")
        found.run("sweep", "--wait", "--timeout", "30s")
        yield found


def test_the_page_is_written_to_a_file(desk: Desk, tmp_path: Path) -> None:
    """With what the sweep found; the exit code says that a person is needed."""
    file = tmp_path / "report.html"
    ran = desk.run("report", "--output", str(file))
    assert (ran.code, ran.stdout) == (ExitCode.ATTENTION, "")
    page = file.read_text(encoding="utf-8")
    assert "contoso-func" in page
    assert "stranger-pe" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_it_never_asks_azure(desk: Desk) -> None:
    """Nothing but the ledger is needed: no allowlist, no subscription, no credential, and no request is sent."""
    desk.azure.requests.clear()
    ran = desk.run(
        "report",
        "--json",
        LINKGUARD_ALLOWLIST="",
        LINKGUARD_SUBSCRIPTIONS="",
        LINKGUARD_CREDENTIAL="",
        LINKGUARD_ARM_ENDPOINT="",
    )
    assert ran.json["summary"]["states"]["connected"] == 1
    assert ran.json["summary"]["states"]["held"] == 1
    assert ran.json["summary"]["ledger_verified"] is True
    assert desk.azure.requests.reads == desk.azure.requests.writes == 0


def test_every_format_says_the_same(desk: Desk) -> None:
    """CSV has a row a link, OCSF a line a finding."""
    data = desk.run("report", "--format", "json").json["data"]
    links = list(csv.DictReader(io.StringIO(desk.run("report", "--format", "csv").stdout, newline="")))
    assert sorted(row["connection"] for row in links) == sorted(one["connection"] for one in data["sweep"]["links"])
    events = [json.loads(line) for line in desk.run("report", "--format", "ocsf").stdout.splitlines()]
    assert [one["finding_info"]["desc"] for one in events] == [one["finding"]["message"] for one in data["findings"]]
    assert len(events) == len(data["findings"]) > 0


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("UPDATE records SET body = replace(body, 'approve', 'reject') WHERE chain = :chain AND kind = 'intent'", "was changed"),
        ("DELETE FROM records WHERE chain = :chain AND sequence = 2", "missing"),
        ("DELETE FROM records WHERE chain = :chain AND sequence = (SELECT max(sequence) FROM records WHERE chain = :chain)", ""),
    ],
)
def test_a_ledger_that_somebody_wrote_into_is_told_first(desk: Desk, tamper: str, said: str) -> None:
    """A record changed, taken out of the middle, or cut off the end: the chain and the record, at the top of the page."""
    chain = desk.run("ledger", "list", "--json").json["records"][0]["chain"]
    with closing(sqlite3.connect(desk.ledger, autocommit=True)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        assert database.execute(tamper, {"chain": chain}).rowcount >= 1
    summary = desk.run("report", "--json").json["summary"]
    assert summary["ok"] is False
    assert summary["ledger_verified"] is False
    (problem,) = [one["message"] for one in summary["problems"] if "ledger" in one["message"]]
    assert "at record" in problem
    page = desk.run("report").stdout
    panel = page.partition("The ledger does not verify.")[2].partition("</ul>")[0]
    assert re.search(r"record \d+:", panel)
    assert said in panel


def test_a_table_is_for_csv_alone(desk: Desk) -> None:
    """An option that would be ignored is refused."""
    assert desk.run("report", "--table", "held").code == ExitCode.USAGE
    held = desk.run("report", "--format", "csv", "--table", "held").stdout
    assert held.count("stranger-pe") >= 1


def test_without_a_ledger_there_is_no_report(tmp_path: Path) -> None:
    """It says so, and makes none."""
    with LocalAzure().in_thread() as azure:
        ran = Desk(azure, tmp_path).run("report")
    assert ran.code == ExitCode.USAGE
    assert "the first sweep makes it" in ran.stderr
    assert not (tmp_path / "ledger.sqlite3").exists()


async def test_the_function_answers_whoever_the_host_lets_in(desk: Desk) -> None:
    """The page, or JSON; a demanded principal refuses before anything is read."""
    assert (await answer_report(desk.settings, {}, "")).status == 200
    answered = await answer_report(desk.settings, {}, "json")
    assert json.loads(answered.body)["summary"]["states"]["connected"] == 1
    demanding = desk.settings | {"LINKGUARD_REPORT_REQUIRE_PRINCIPAL": "true"}
    assert (await answer_report(demanding, {}, "")).status == 403
    enabled = demanding | {"WEBSITE_AUTH_ENABLED": "True", "LINKGUARD_LEDGER": "sqlite:///nowhere.sqlite3"}
    assert (await answer_report(enabled, {}, "")).status == 401
