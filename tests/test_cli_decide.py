"""A person's decision: the evidence first, then the question, then the record, then the write."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING, Self

import pytest

from shared.cli import ExitCode
from shared.local_azure import LocalAzure
from shared.report.exit_codes import INTERRUPTED
from tests.desk import MESSAGE, Desk, Ran, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with LocalAzure().in_thread() as azure:
        yield Desk(azure, tmp_path)


@pytest.fixture
def stranger(desk: Desk) -> str:
    return desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)


def kinds(desk: Desk) -> list[str]:
    """The kinds of what is recorded; nothing where there is no ledger."""
    return [one["kind"] for one in desk.run("ledger", "list", "--json").json["records"]] if desk.ledger.exists() else []


class Person:
    """Somebody at a terminal: standard input and standard error are one, standard output is a pipe."""

    def __init__(self, desk: Desk, *arguments: str, **settings: str) -> None:
        self._terminal, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command("decide", *arguments),
            env={**desk.environment(**settings), "TERM": "xterm"},
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def read_to(self, what: str) -> str:
        """Read until this is on the screen; returns what was new."""
        before = len(self.seen)
        while what not in self.seen[before:]:
            self.seen += os.read(self._terminal, 4096).decode()
        return self.seen[before:]

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def leave(self) -> Ran:
        """The end: what the command answered."""
        stdout, _ = self._process.communicate(timeout=60)
        try:
            while part := os.read(self._terminal, 4096):
                self.seen += part.decode()
        except OSError:  # Linux's way to say that nobody has the terminal open any more.
            pass
        os.close(self._terminal)
        return Ran(self._process.returncode, stdout, self.seen)


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "YES\n"])
def test_the_evidence_is_shown_then_the_person_is_asked(desk: Desk, stranger: str, answer: str) -> None:
    """On the terminal; the answer to the command alone goes to standard output."""
    with Person(desk, stranger, "--reject", "--reason", "a stranger", "--ticket", "CHG-1", "--json") as person:
        shown = person.read_to("[y/N]")
        assert "no_link" in shown
        assert "stranger-pe" in shown
        assert kinds(desk) == []
        person.type(answer)
        ran = person.leave()
        (decision,) = ran.json["decisions"]
        assert (ran.code, decision["decision"], decision["written"]) == (ExitCode.OK, "reject", True)
        assert desk.world.connection_status(stranger) == "Rejected"
        (human,) = [one for one in desk.run("ledger", "list", "--json").json["records"] if one["kind"] == "human_decision"]
        assert (human["body"]["by"], human["body"]["reason"], human["body"]["ticket"]) == ("local", "a stranger", "CHG-1")


@pytest.mark.parametrize("answer", ["n\n", "\n", "yes please\n", "\x04"], ids=["no", "nothing", "something else", "end of input"])
def test_anything_but_yes_is_no(desk: Desk, stranger: str, answer: str) -> None:
    """Nothing is recorded, nothing is written, and a person is still needed."""
    with Person(desk, stranger, "--reject", "--reason", "a stranger") as person:
        person.read_to("[y/N]")
        person.type(answer)
        ran = person.leave()
        assert ran.code == ExitCode.ATTENTION
        assert "nothing was recorded" in ran.stderr
        assert kinds(desk) == []
        assert desk.world.connection_status(stranger) == "Pending"


def test_ctrl_c_at_the_question(desk: Desk, stranger: str) -> None:
    """Ends at once, with nothing done."""
    with Person(desk, stranger, "--reject", "--reason", "a stranger") as person:
        person.read_to("[y/N]")
        person.interrupt()
        ran = person.leave()
        assert ran.code == INTERRUPTED
        assert "Traceback" not in ran.stderr
        assert kinds(desk) == []


def test_evidence_that_changes_while_it_is_read_is_shown_again(desk: Desk, stranger: str) -> None:
    """Nobody decides on what was so when they began to read."""
    with Person(desk, stranger, "--reject", "--reason", "a stranger") as person:
        person.read_to("[y/N]")
        desk.put_link("stranger-pe")
        person.type("yes\n")
        again = person.read_to("[y/N]")
        assert "has changed" in again
        assert "ambiguous" in again
        assert kinds(desk) == []
        person.type("no\n")
        assert person.leave().code == ExitCode.ATTENTION


def test_without_a_terminal_only_yes_decides(desk: Desk, stranger: str) -> None:
    """A script that forgot --yes is refused before anything is read or written."""
    refused = desk.spawn("decide", stranger, "--reject", "--reason", "a stranger")
    assert (refused.code, refused.stdout, desk.ledger.exists()) == (ExitCode.USAGE, "", False)
    assert "--yes" in refused.stderr
    done = desk.spawn("decide", stranger, "--reject", "--reason", "a stranger", "--yes")
    assert done.code == ExitCode.OK
    assert "no_link" in done.stderr
    assert desk.world.connection_status(stranger) == "Rejected"


def test_an_approval_by_hand_is_written_and_confirmed_by_the_next_sweep(desk: Desk) -> None:
    """Of one of two that cannot be told apart; the other stays held."""
    link, genuine = desk.put_link()
    impostor = desk.world.request_connection(desk.target, "func-pe", MESSAGE)
    assert desk.run("sweep").code == ExitCode.ATTENTION
    assert desk.run("decide", genuine, "--approve", "--reason", "mine", "--yes").code == ExitCode.OK
    swept = desk.run("sweep", "--json").json
    states = {one["connection"]: (one["verdict"], one["state"]) for one in swept["decisions"]}
    assert states[genuine] == ("settled", "Approved")
    assert states[impostor] == ("hold", "Pending")
    assert desk.world.link_status(link) == ("Approved", "Succeeded")


@pytest.mark.parametrize(
    ("prepare", "settings", "advice"),
    [
        (lambda _: None, {"LINKGUARD_MODE": "observe"}, "LINKGUARD_MODE=enforce"),
        (lambda desk: desk.allowlist.write_text("paused: true\n" + desk.allowlist.read_text()), {}, "paused"),
        (lambda desk: desk.allowlist.unlink(), {}, "allowlist"),
    ],
    ids=["observe", "paused", "unreadable"],
)
def test_what_stops_all_approvals_stops_a_persons_too(
    desk: Desk, prepare: Callable[[Desk], object], settings: dict[str, str], advice: str
) -> None:
    """Exit code 2, what to do about it, and nothing recorded."""
    _, connection = desk.put_link()
    prepare(desk)
    ran = desk.run("decide", connection, "--approve", "--reason", "mine", "--yes", **settings)
    assert (ran.code, ran.stdout, kinds(desk)) == (ExitCode.USAGE, "", [])
    assert advice in ran.stderr
    assert desk.world.connection_status(connection) == "Pending"


def test_a_rejection_in_observe_mode_is_recorded_and_not_written(desk: Desk, stranger: str) -> None:
    """The decision stands; Azure is not touched."""
    ran = desk.run("decide", stranger, "--reject", "--reason", "r", "--yes", "--json", LINKGUARD_MODE="observe")
    (decision,) = ran.json["decisions"]
    assert (ran.code, decision["written"], decision["ok"]) == (ExitCode.OK, False, True)
    assert kinds(desk) == ["human_decision"]
    assert desk.world.connection_status(stranger) == "Pending"


def test_a_write_that_azure_refuses_is_exit_code_3(desk: Desk, stranger: str) -> None:
    """The decision is recorded; that it was not written is said."""
    desk.azure.faults.forbid_by_policy("*/privateEndpointConnections/write")
    ran = desk.run("decide", stranger, "--reject", "--reason", "r", "--yes", "--json")
    (decision,) = ran.json["decisions"]
    assert (ran.code, decision["written"], decision["ok"]) == (ExitCode.INCOMPLETE, False, False)
    assert "human_decision" in kinds(desk)


def test_what_is_rejected_already_needs_no_write(desk: Desk, stranger: str) -> None:
    """Recorded, and nothing is missing."""
    desk.world.reject(stranger)
    ran = desk.run("decide", stranger, "--reject", "--reason", "r", "--yes", "--json")
    assert (ran.code, ran.json["decisions"][0]["written"]) == (ExitCode.OK, False)


def test_everything_approved_today_is_adopted_at_once(desk: Desk, stranger: str) -> None:
    """Shown first; each is recorded; the second time there is nothing left to adopt."""
    _, connection = desk.put_link()
    desk.world.approve(connection)
    desk.world.approve(stranger)
    ran = desk.run("decide", "--adopt", "--all", "--reason", "day one", "--yes", "--json")
    assert (ran.code, sorted(one["connection"] for one in ran.json["decisions"])) == (ExitCode.OK, sorted([connection, stranger]))
    assert all(one in ran.stderr for one in (connection, stranger))
    assert kinds(desk) == ["human_decision", "human_decision"]
    again = desk.run("decide", "--adopt", "--all", "--reason", "day two", "--yes", "--json")
    assert (again.code, again.json["decisions"]) == (ExitCode.OK, [])


def test_many_targets_are_adopted_side_by_side_and_told_in_order(desk: Desk) -> None:
    """Each target's own one after another."""
    for number in range(6):
        site = desk.world.add_site(f"site-{number}", public_network_access="Enabled")
        for name in (f"one-{number}", f"two-{number}"):
            link = desk.world.put_link(desk.signalr, name, site, MESSAGE)
            desk.world.approve(*desk.world.connections_of(link))
    ran = desk.run("decide", "--adopt", "--all", "--reason", "day one", "--yes", "--json")
    adopted = [one["connection"] for one in ran.json["decisions"]]
    assert (ran.code, len(adopted)) == (ExitCode.OK, 12)
    assert adopted == sorted(adopted)
    assert all(one["ok"] for one in ran.json["decisions"])
    assert desk.run("ledger", "verify").code == ExitCode.OK


def test_adopting_all_asks_once(desk: Desk, stranger: str) -> None:
    """With every id on the screen."""
    desk.world.approve(stranger)
    with Person(desk, "--adopt", "--all", "--reason", "day one") as person:
        assert stranger in person.read_to("[y/N]").replace("\r\n", "")
        person.type("no\n")
        assert person.leave().code == ExitCode.ATTENTION
        assert kinds(desk) == []
