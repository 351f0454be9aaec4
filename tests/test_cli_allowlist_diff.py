"""``linkguard allowlist diff``: what another allowlist would change, before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.cli import ExitCode
from shared.local_azure import LocalAzure
from tests.desk import RULE, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EMPTY = "version: 1\nrules: []\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One link, seen by a sweep that only observed."""
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        desk.settings["LINKGUARD_MODE"] = "observe"
        desk.put_link()
        desk.run("sweep", "--wait", "--timeout", "2s")
        yield desk


def file(desk: Desk, name: str, text: str) -> str:
    path = desk.folder / name
    path.write_text(text)
    return str(path)


def rule(desk: Desk, more: str = "") -> str:
    return RULE.format(signalr=desk.signalr, target=desk.target) + more


def test_what_would_newly_be_allowed(desk: Desk) -> None:
    """By rule, by link, and by the decision that would come out differently."""
    ran = desk.run("allowlist", "diff", file(desk, "old", EMPTY), file(desk, "new", rule(desk)), "--json")
    assert ran.code == ExitCode.ATTENTION
    assert [(one["rule"], one["change"]) for one in ran.json["rules"]] == [("contoso-upstream", "added")]
    ((before, after),) = [(one["before"], one["after"]) for one in ran.json["links"]]
    assert (before, after) == ("not allowed", "allowed by contoso-upstream")
    ((before, after),) = [(one["before"], one["after"]) for one in ran.json["decisions"]]
    assert before.startswith("hold not_allowlisted")
    assert not after.startswith("hold")
    text = desk.run("allowlist", "diff", file(desk, "old", EMPTY), file(desk, "new", rule(desk)))
    assert "added     rule contoso-upstream" in text.stdout
    assert "not allowed -> allowed by contoso-upstream" in text.stdout


def test_what_would_no_longer_be_allowed(desk: Desk) -> None:
    """Removed, denied, paused, or another message."""
    old = file(desk, "old", rule(desk))
    denial = f"  - id: never\n    effect: deny\n    signalr: {desk.signalr}\n    target: {desk.target}\n"
    for text, after in (
        (EMPTY, "not allowed"),
        (rule(desk, denial), "denied by never"),
        (rule(desk, "paused: true\n"), "paused"),
        (rule(desk, "    request_message: another\n"), "not allowed"),
    ):
        ran = desk.run("allowlist", "diff", old, file(desk, "new", text), "--json")
        assert [(one["before"], one["after"]) for one in ran.json["links"]] == [("allowed by contoso-upstream", after)], text
        assert ran.code == ExitCode.ATTENTION


def test_nothing_changes_where_only_places_and_comments_do(desk: Desk) -> None:
    """Exit code 0."""
    new = "# a comment\n\n" + rule(desk)
    ran = desk.run("allowlist", "diff", file(desk, "old", rule(desk)), file(desk, "new", new), "--json")
    assert (ran.code, ran.json["same"]) == (ExitCode.OK, True)
    assert ran.json["links_seen"] == 1
    assert ran.json["decisions_seen"] >= 1
    said = desk.run("allowlist", "diff", file(desk, "old", rule(desk)), file(desk, "new", new)).stdout
    assert said.startswith("Nothing changes; 1 link of the last sweep")


def test_the_rules_can_be_compared_without_a_ledger(desk: Desk) -> None:
    """As in a pull request that may read nothing; without being told so, a missing ledger is a mistake."""
    pair = (file(desk, "old", EMPTY), file(desk, "new", rule(desk)))
    elsewhere = {"LINKGUARD_LEDGER": f"sqlite:///{desk.folder}/none.sqlite3"}
    assert desk.run("allowlist", "diff", *pair, **elsewhere).code == ExitCode.USAGE
    ran = desk.run("allowlist", "diff", *pair, "--rules-only", "--json", **elsewhere)
    assert (ran.code, ran.json["links_seen"]) == (ExitCode.ATTENTION, None)
    assert "Rules alone were compared." in desk.run("allowlist", "diff", *pair, "--rules-only", **elsewhere).stdout


def test_a_file_that_is_no_allowlist_is_a_mistake(desk: Desk) -> None:
    """Exit code 2, with the place."""
    ran = desk.run("allowlist", "diff", file(desk, "old", EMPTY), file(desk, "new", "rules: 1\n"))
    assert ran.code == ExitCode.USAGE
    assert "new" in ran.stderr
