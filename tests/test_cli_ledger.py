"""The ledger's commands: what was decided and done, whether the record of it is whole, the decisions derived again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shared.cli import ExitCode
from shared.core.ledger import Record, verify_chain
from shared.local_azure import LocalAzure
from tests.desk import MESSAGE, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A link that was approved and confirmed, and a stranger who was held."""
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        desk.put_link()
        desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
        assert desk.run("sweep", "--wait").code == ExitCode.ATTENTION
        yield desk


def tamper(desk: Desk, statement: str) -> None:
    """What somebody with the file in their hands can do."""
    with closing(sqlite3.connect(desk.ledger)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(statement)
        db.commit()


def test_the_list_is_oldest_first_and_says_when_it_is_cut(desk: Desk) -> None:
    """The newest, which matter most, are the last on the screen."""
    whole = desk.run("ledger", "list", "--json").json
    times = [one["at"] for one in whole["records"]]
    assert times == sorted(times)
    assert whole["total"] == len(times) > 3
    cut = desk.run("ledger", "list", "--limit", "2", "--json").json
    assert (cut["total"], cut["records"]) == (whole["total"], whole["records"][-2:])
    assert f"The newest 2 of {whole['total']} records" in desk.run("ledger", "list", "--limit", "2").stdout


def test_empty_anchors_are_not_this_folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set names none, and the ledger is held to nothing."""
    monkeypatch.chdir(desk.folder)
    ran = desk.run("ledger", "verify", "--against", "")
    assert (ran.code, ran.stdout, ran.stderr) == (ExitCode.USAGE, "", "linkguard: --against: it is empty\n")


def test_a_ledger_is_not_written_over(desk: Desk) -> None:
    """Neither by its own export, nor through a link to it: there is no other record."""
    before = desk.run("ledger", "list").stdout
    desk.folder.joinpath("alias").symlink_to(desk.ledger)
    for name in (desk.ledger.name, "alias"):
        ran = desk.run("ledger", "export", "--output", str(desk.folder / name))
        assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
        assert "is a database" in ran.stderr
    assert desk.run("ledger", "list").stdout == before != ""


def test_the_list_of_one_connection_or_kind(desk: Desk) -> None:
    """Whatever the case of the id."""
    stranger = desk.world.request_connection(desk.target, "other-pe", MESSAGE)
    desk.run("sweep")
    of_one = desk.run("ledger", "list", stranger.upper().replace("/SUBSCRIPTIONS", "/subscriptions"), "--json").json["records"]
    assert [one["body"]["connection"] for one in of_one] == [stranger] * len(of_one) != []
    intents = desk.run("ledger", "list", "--kind", "intent", "--json").json["records"]
    assert [one["kind"] for one in intents] == ["intent"]
    assert desk.run("ledger", "list", desk.target, "--json").json["total"] == desk.run("ledger", "list", "--json").json["total"]


def test_a_decision_is_shown_with_what_came_of_it(desk: Desk) -> None:
    """By its id or the first digits of it: the intent with all its inputs, and the outcomes."""
    (intent,) = desk.run("ledger", "list", "--kind", "intent", "--json").json["records"]
    shown = desk.run("ledger", "show", intent["id"][:8], "--json").json["records"]
    assert [one["kind"] for one in shown] == ["intent", "outcome", "outcome"]
    assert [one["body"].get("outcome") for one in shown] == [None, "sent", "confirmed"]
    assert shown[0]["inputs"]["evidence"]["rules"][0]["id"] == "contoso-upstream"


def test_a_persons_decision_is_shown_with_what_came_of_it(desk: Desk) -> None:
    """The record of the decision names the write that it led to."""
    stranger = desk.world.request_connection(desk.target, "other-pe", MESSAGE)
    ran = desk.run("decide", stranger, "--reject", "--reason", "r", "--yes", "--json")
    shown = desk.run("ledger", "show", ran.json["decisions"][0]["record"], "--json").json["records"]
    assert [one["kind"] for one in shown][:2] == ["human_decision", "intent"]


def test_a_whole_ledger_verifies(desk: Desk) -> None:
    """Exit code 0."""
    ran = desk.run("ledger", "verify", "--json")
    assert (ran.code, ran.json["ok"], ran.json["faults"]) == (ExitCode.OK, True, [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = replace(body, 'stranger', 'friend')",
        "UPDATE records SET inputs = replace(inputs, 'please', 'kindly') WHERE sequence = 1",
        "DELETE FROM records WHERE sequence = 2",
        "DELETE FROM records WHERE sequence = (SELECT max(sequence) FROM records)",
        "UPDATE records SET body = 'junk' WHERE sequence = 2",
        "DELETE FROM heads",
    ],
    ids=["a body", "inputs", "a record", "the last record", "junk", "the heads"],
)
def test_what_was_changed_or_is_missing_is_found(desk: Desk, statement: str) -> None:
    """Exit code 1, and the place."""
    tamper(desk, statement)
    ran = desk.run("ledger", "verify", "--json")
    assert (ran.code, ran.json["ok"]) == (ExitCode.ATTENTION, False)
    assert ran.json["faults"][0]["chain"]
    assert "NOT VERIFIED" in desk.run("ledger", "verify").stdout


def test_the_export_is_the_whole_ledger(desk: Desk) -> None:
    """One record a line; from it alone every chain verifies."""
    file = desk.folder / "ledger.jsonl"
    ran = desk.run("ledger", "export")
    assert desk.run("ledger", "export", "--output", str(file)).stdout == ""
    assert file.read_text() == ran.stdout
    records = [Record.from_json(json.loads(line)) for line in ran.stdout.splitlines()]
    assert len(records) == desk.run("ledger", "list", "--json").json["total"]
    for chain in {record.entry.chain for record in records}:
        mine = [record for record in records if record.entry.chain == chain]
        assert list(verify_chain(chain, mine, mine[-1].head)) == []


def test_every_decision_comes_out_the_same_again(desk: Desk) -> None:
    """From the records alone: neither Azure nor the allowlist is asked."""
    desk.allowlist.unlink()
    ran = desk.run("ledger", "replay", "--json", LINKGUARD_ARM_ENDPOINT="", LINKGUARD_CREDENTIAL="")
    assert (ran.code, ran.json["same"]) == (ExitCode.OK, True)
    recorded = [one["recorded"].split()[0] for one in ran.json["decisions"]]
    assert {"approve", "hold"} <= set(recorded)


def test_a_replay_under_another_allowlist_shows_what_it_would_change(desk: Desk) -> None:
    """Exit code 1 where anything would."""
    other = desk.folder / "other.yaml"
    other.write_text("version: 1\nrules: []\n")
    ran = desk.run("ledger", "replay", "--allowlist", str(other), "--json")
    changed = {one["recorded"].split()[0]: one["derived"] for one in ran.json["decisions"] if not one["same"]}
    assert (ran.code, ran.json["same"]) == (ExitCode.ATTENTION, False)
    assert "not_allowlisted" in changed["approve"]
    text = desk.run("ledger", "replay", "--allowlist", str(other)).stdout
    assert "DIFFERS" in text
    assert desk.run("ledger", "replay", "--allowlist", str(desk.allowlist)).code == ExitCode.OK


def test_one_decision_replayed(desk: Desk) -> None:
    """By the first digits of its id."""
    (intent,) = desk.run("ledger", "list", "--kind", "intent", "--json").json["records"]
    ran = desk.run("ledger", "replay", intent["id"][:10], "--json")
    assert [one["record"] for one in ran.json["decisions"]] == [intent["id"]]


def test_another_programs_file_is_no_ledger(desk: Desk) -> None:
    """Exit code 3: it is not read, and not changed."""
    other = desk.folder / "other.sqlite3"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = other.read_bytes()
    ran = desk.run("ledger", "verify", LINKGUARD_LEDGER=f"sqlite:///{other}")
    assert (ran.code, ran.stdout, other.read_bytes()) == (ExitCode.INCOMPLETE, "", before)
