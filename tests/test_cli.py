"""The command line, over an Azure on loopback: exit codes, standard output, wrong input, what is recorded and what is not."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from shared.cli import ExitCode, app
from shared.local_azure import LocalAzure
from shared.local_azure.faults import server_error
from shared.report.exit_codes import EXIT_CODES, INTERRUPTED
from shared.services.preflight import CONNECTIONS_READ, LINKS_READ, PLANS_READ, SERVICES_READ, SITES_READ
from tests.desk import MESSAGE, ROOT, Desk, Ran, command

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = ROOT / "docs/schemas"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with LocalAzure().in_thread() as azure:
        yield Desk(azure, tmp_path)


def valid(document: Any, schema: str) -> Any:  # noqa: ANN401  JSON
    """The document, held to its published schema."""
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text())).validate(document)
    return document


def verdicts(sweep: dict[str, Any]) -> list[tuple[str, str | None]]:
    return sorted((one["verdict"], one["outcome"]) for one in sweep["decisions"])


# The sweep


def test_a_link_is_approved_and_confirmed_and_nobody_is_needed(desk: Desk) -> None:
    """Exit code 0; the report and Azure agree."""
    link, connection = desk.put_link()
    ran = desk.run("sweep", "--wait", "--timeout", "30s", "--json")
    sweep = valid(ran.json, "sweep")
    assert (ran.code, sweep["complete"], verdicts(sweep)) == (ExitCode.OK, True, [("approve", "confirmed")])
    (decision,) = sweep["decisions"]
    assert (decision["connection"], decision["link"].lower(), decision["rule"]) == (connection, link.lower(), "contoso-upstream")
    assert (decision["evidence"], [reason["code"] for reason in decision["reasons"]]) == ("weak", ["weak_evidence"])
    assert desk.world.connection_status(connection) == "Approved"
    assert desk.run("sweep").code == ExitCode.OK


def test_every_site_is_looked_at_by_the_option_or_the_setting(desk: Desk) -> None:
    """A stranger's connection on a site that nobody watches: seen only where that was asked for."""
    desk.put_link()
    lonely = desk.world.add_site("lonely")
    desk.world.request_connection(lonely, "stranger-pe", MESSAGE)

    def unexplained(ran: Ran) -> list[str]:
        return [one["target"] for one in ran.json["findings"] if one["id"] == "pending_unexplained"]

    assert unexplained(desk.run("sweep", "--json")) == []
    assert unexplained(desk.run("sweep", "--all-sites", "--json")) == [lonely]
    assert unexplained(desk.run("sweep", "--json", LINKGUARD_ALL_SITES="true")) == [lonely]


def test_without_wait_what_waits_needs_nobody(desk: Desk) -> None:
    """The next sweep goes on."""
    desk.put_link()
    ran = desk.run("sweep", "--json", LINKGUARD_SETTLE="1h")
    assert (ran.code, verdicts(ran.json)) == (ExitCode.OK, [("wait", None)])


def test_a_timeout_while_something_waits_needs_a_person(desk: Desk) -> None:
    """Whoever asked to wait is told that it was not enough."""
    desk.put_link()
    ran = desk.run("sweep", "--wait", "--timeout", "50ms", "--json", LINKGUARD_SETTLE="1h")
    assert (ran.code, verdicts(ran.json)) == (ExitCode.ATTENTION, [("wait", None)])


def test_a_stranger_is_held_and_needs_a_person(desk: Desk) -> None:
    """Exit code 1, a finding, and a block of text that says why."""
    desk.put_link()
    stranger = desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    ran = desk.run("sweep")
    assert ran.code == ExitCode.ATTENTION
    assert "name_differs" in ran.stdout
    assert f"linkguard explain {stranger}" in ran.stdout
    found = valid(desk.run("sweep", "--json").json, "sweep")["findings"]
    assert [(one["id"], one["severity"]) for one in found] == [("connection_held", "warning")]


def test_observe_mode_writes_nothing_and_shows_what_would_be(desk: Desk) -> None:
    """Exit code 1: a person has to set enforce."""
    _, connection = desk.put_link()
    ran = desk.run("sweep", "--wait", "--json", LINKGUARD_MODE="observe")
    assert (ran.code, verdicts(ran.json)) == (ExitCode.ATTENTION, [("approve", "not_written")])
    assert "observe_only" in [reason["code"] for reason in ran.json["decisions"][0]["reasons"]]
    assert desk.world.connection_status(connection) == "Pending"


def test_a_dry_run_records_nothing_and_writes_nothing(desk: Desk) -> None:
    """In enforce mode, with something to approve and a stranger to hold; not even the ledger's file is made."""
    _, connection = desk.put_link()
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    ran = desk.run("sweep", "--dry-run", "--wait", "--json")
    sweep = valid(ran.json, "sweep")
    assert (ran.code, sweep["dry_run"], sweep["mode"]) == (ExitCode.ATTENTION, True, "enforce")
    assert verdicts(sweep) == [("approve", "not_written"), ("hold", None)]
    assert not {reason["code"] for one in sweep["decisions"] for reason in one["reasons"]} & {"observe_only"}
    assert desk.world.connection_status(connection) == "Pending"
    assert [path.name for path in desk.folder.iterdir()] == ["allowlist.yaml"]


def test_a_dry_run_adds_nothing_to_a_ledger_that_is_there(desk: Desk) -> None:
    """Byte for byte."""
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    desk.run("sweep")
    before = desk.run("ledger", "export").stdout
    desk.put_link()
    desk.run("sweep", "--dry-run", "--wait")
    assert before == desk.run("ledger", "export").stdout != ""


def test_a_subscription_that_cannot_be_listed_leaves_the_sweep_incomplete(desk: Desk) -> None:
    """Exit code 3, which comes before 1; the report says what was not read."""
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    desk.azure.faults.deny("Microsoft.SignalRService/*")
    ran = desk.run("sweep", "--json")
    sweep = valid(ran.json, "sweep")
    assert (ran.code, sweep["complete"]) == (ExitCode.INCOMPLETE, False)
    assert "subscription_unreadable" in [one["id"] for one in sweep["findings"]]


def test_a_target_that_cannot_be_read_leaves_the_sweep_incomplete(desk: Desk) -> None:
    """The finding names the target."""
    desk.put_link()
    desk.azure.faults.add(server_error(500), path="*privateEndpointConnections", times=None)
    ran = desk.run("sweep", "--json", LINKGUARD_ARM_TIMEOUT="200ms")
    found = [(one["id"], one["target"].lower()) for one in valid(ran.json, "sweep")["findings"]]
    assert (ran.code, found) == (ExitCode.INCOMPLETE, [("target_unreadable", desk.target.lower())])


def test_an_approval_that_a_policy_refuses_is_not_written_completely(desk: Desk) -> None:
    """Exit code 3."""
    desk.put_link()
    desk.azure.faults.forbid_by_policy("*/privateEndpointConnections/write")
    ran = desk.run("sweep", "--wait", "--timeout", "10s", "--json")
    assert ran.code == ExitCode.INCOMPLETE
    assert "write_refused" in [one["id"] for one in ran.json["findings"]]


@pytest.mark.parametrize("text", ["version: 1\nrules: [", None], ids=["broken", "missing"])
def test_a_sweep_without_a_valid_allowlist_is_a_wrong_configuration(desk: Desk, text: str | None) -> None:
    """Exit code 2, nothing approved; the report is whole all the same."""
    _, connection = desk.put_link()
    if text is None:
        desk.allowlist.unlink()
    else:
        desk.allowlist.write_text(text)
    ran = desk.run("sweep", "--wait", "--timeout", "100ms", "--json")
    sweep = valid(ran.json, "sweep")
    assert (ran.code, verdicts(sweep)) == (ExitCode.USAGE, [("hold", None)])
    assert "allowlist_unreadable" in [one["id"] for one in sweep["findings"]]
    assert desk.world.connection_status(connection) == "Pending"


# What goes where


def test_logs_go_to_standard_error_and_one_document_to_standard_output(desk: Desk) -> None:
    """Also with --verbose; no header and no token is logged."""
    desk.put_link()
    ran = desk.spawn("sweep", "--wait", "--timeout", "30s", "--json", "--verbose")
    assert (ran.code, valid(ran.json, "sweep")["complete"]) == (ExitCode.OK, True)
    assert "INFO linkguard: mode enforce" in ran.stderr
    assert not re.search(r"authorization|bearer|x-ms-", ran.stderr, re.IGNORECASE)


def test_without_verbose_standard_error_is_silent(desk: Desk) -> None:
    """Nothing to say is nothing said, and no progress bar without a terminal."""
    desk.put_link()
    assert desk.spawn("sweep").stderr == ""


def test_output_is_a_file_and_standard_output_stays_empty(desk: Desk) -> None:
    """Whatever the format; one that is there is replaced."""
    desk.put_link()
    file = desk.folder / "report.json"
    file.write_text("old")
    ran = desk.run("sweep", "--json", "--output", str(file))
    assert (ran.code, ran.stdout) == (ExitCode.OK, "")
    valid(json.loads(file.read_text()), "sweep")
    desk.run("sweep", "--format", "text", "--output", str(file))
    assert file.read_text().startswith("Sweep of ")


def test_a_minus_is_a_file_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """--output is always a file."""
    monkeypatch.chdir(desk.folder)
    ran = desk.run("allowlist", "check", "allowlist.yaml", "--output", "-")
    assert (ran.code, ran.stdout) == (ExitCode.OK, "")
    assert "valid" in Path("-").read_text()


def test_a_device_is_written_to_and_not_replaced(desk: Desk) -> None:
    """``--output /dev/null`` leaves the device as it is."""
    ran = desk.run("allowlist", "check", str(desk.allowlist), "--output", "/dev/null")
    assert ran.code == ExitCode.OK
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("file", ["missing/report.json", "."])
def test_an_output_that_cannot_be_written_is_found_before_anything_is_done(desk: Desk, file: str) -> None:
    """Nothing is approved whose report would be lost."""
    _, connection = desk.put_link()
    ran = desk.run("sweep", "--wait", "--output", str(desk.folder / file))
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert "--output" in ran.stderr
    assert desk.world.connection_status(connection) == "Pending"


def test_a_reader_who_has_seen_enough_is_no_failure(desk: Desk) -> None:
    """``linkguard ledger export | head``."""
    for number in range(20):
        desk.world.request_connection(desk.target, f"stranger-{number}", "A" * 140)
    desk.run("sweep")
    with subprocess.Popen(
        command("ledger", "export"), env=desk.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline()
        export.stdout.close()
        assert (export.wait(timeout=60), export.stderr.read()) == (ExitCode.OK, "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["ledger", "list", "--help"]], ids=" ".join)
def test_whoever_has_seen_enough_of_the_help_is_no_failure_either(arguments: list[str]) -> None:
    """``linkguard --help | true``: exit code 1 would say that something needs a person."""
    gone, theirs = os.pipe()
    os.close(gone)
    ran = subprocess.run(command(*arguments), stdout=theirs, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(theirs)
    assert (ran.returncode, ran.stderr) == (ExitCode.OK, b"")


@pytest.mark.parametrize("arguments", [[], ["--bogus"], ["sweep", "--bogus"], ["ledger"]], ids=" ".join)
def test_wrong_usage_is_wrong_usage_where_standard_error_cannot_be_written(arguments: list[str]) -> None:
    """The exit code is all that is left to say it."""
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command(*arguments), stdout=subprocess.PIPE, stderr=full, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (ExitCode.USAGE, b"")


def test_a_full_disk_behind_standard_output_is_told(desk: Desk) -> None:
    """In one line, as one behind ``--output`` is."""
    desk.run("sweep")
    for arguments in (["sweep", "--json"], ["report"], ["--help"], ["--version"], ["ledger", "list", "--help"]):
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                command(*arguments),
                env=desk.environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert (ran.returncode, ran.stderr) == (
            ExitCode.USAGE,
            "linkguard: standard output cannot be written: No space left on device\n",
        )


def test_hostile_names_and_messages_do_nothing_on_a_terminal(desk: Desk) -> None:
    """Whatever a stranger calls an endpoint or writes in a message is shown, spelled out, by every command."""
    message = "\x1b[2J\x1b]0;x\x07\r\nAll is well\u202e [red]"
    stranger = desk.world.request_connection(desk.target, "x$(reboot)'\u202e", message)
    for arguments in (["sweep"], ["explain", stranger], ["explain", desk.target], ["ledger", "list"]):
        ran = desk.run(*arguments)
        assert all(line.isprintable() for line in ran.stdout.splitlines()), arguments
        assert not re.search("^All is well", ran.stdout, re.MULTILINE), arguments
    record = desk.run("ledger", "list", "--json").json["records"][0]["id"]
    shown = desk.run("ledger", "show", record)
    assert all(line.isprintable() for line in shown.stdout.splitlines())
    assert r"\x1b[2J" in shown.stdout
    assert desk.run("sweep", "--json").stdout.isascii()


def test_a_terminal_that_knows_no_such_letters(desk: Desk) -> None:
    """What it cannot show is spelled out; the command does not fail over it."""
    desk.world.request_connection(desk.target, "stranger-pe", "bitte prüfen")
    ran = desk.spawn("sweep", PYTHONIOENCODING="ascii")
    assert ran.code == ExitCode.ATTENTION
    assert r"bitte pr\xfcfen" in ran.stdout


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_there_is_progress_and_colour(desk: Desk, no_color: str) -> None:
    """Progress on standard error, which is gone at the end; colour unless NO_COLOR says otherwise."""
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    terminal, theirs = pty.openpty()
    environment = {**desk.environment(NO_COLOR=no_color), "TERM": "xterm"}
    with subprocess.Popen(command("sweep"), env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as sweep:
        os.close(theirs)
        seen = ""
        with contextlib.suppress(OSError):  # Linux's way to say that nobody has the terminal open any more.
            while part := os.read(terminal, 4096):
                seen += part.decode()
        assert sweep.wait(timeout=60) == ExitCode.ATTENTION
    os.close(terminal)
    assert "looking at targets" in seen
    assert ("\x1b[1;31mHELD" in seen) == (not no_color)
    assert "HELD" in seen


# Wrong input


def test_all_wrong_settings_are_named_at_once(desk: Desk) -> None:
    """One line each, on standard error; standard output stays empty."""
    ran = desk.run("sweep", "--json", LINKGUARD_MODE="on", LINKGUARD_SETTLE="soon", LINKGUARD_ALLOWLIST="", LINKGUARD_TYPO="1")
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert len(ran.stderr.splitlines()) == 4
    assert all(name in ran.stderr for name in ("LINKGUARD_MODE", "LINKGUARD_SETTLE", "LINKGUARD_ALLOWLIST", "LINKGUARD_TYPO"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["swep"],
        ["sweep", "--colour"],
        ["sweep", "--format", "xml"],
        ["sweep", "--timeout", "5m1", "--wait"],
        ["sweep", "--timeout", "0s", "--wait"],
        ["sweep", "--timeout", "2d", "--wait"],
        ["sweep", "--timeout", "1m"],
        ["explain"],
        ["explain", "contoso-func"],
        ["explain", "/subscriptions/1/x\x1b[2J"],
        ["explain", "{signalr}"],
        ["explain", "{target}-that-is-not-there"],
        ["explain", "{target}/privateEndpointConnections/none"],
        ["decide", "{connection}", "--yes", "--reject"],
        ["decide", "{connection}", "--yes", "--reject", "--reason", " "],
        ["sweep", "--timeout", "5m"],
        ["decide", "{connection}", "--yes", "--reason", "r"],
        ["decide", "{connection}", "--yes", "--approve", "--reject", "--reason", "r"],
        ["decide", "--yes", "--reject", "--reason", "r"],
        ["decide", "--yes", "--reject", "--all", "--reason", "r"],
        ["decide", "{connection}", "--yes", "--adopt", "--all", "--reason", "r"],
        ["decide", "{connection}", "--yes", "--adopt", "--reason", "r"],
        ["decide", "{connection}", "--yes", "--reject", "--reason", "r" * 1001],
        ["decide", "{target}", "--yes", "--reject", "--reason", "r"],
        ["decide", "{connection}", "--reject", "--reason", "r"],
        ["sweep", "--format", "TEXT"],
        ["sweep", "x\x1b[2J"],
        ["--bogus"],
        ["ledger"],
        ["ledger", "lst"],
        ["allowlist", "check"],
        ["allowlist", "check", "missing.yaml"],
        ["allowlist", "check", "/"],
        ["ledger", "list", "nonsense"],
        ["ledger", "list", "--kind", "rumour"],
        ["ledger", "list", "--limit", "0"],
        ["ledger", "show"],
        ["ledger", "show", "xyz"],
        ["ledger", "show", "00000000"],
        ["ledger", "replay", "00000000"],
        ["ledger", "replay", "--allowlist", "missing.yaml"],
        ["request", "{target}"],
        ["request", "--key-id", "a"],
        ["request", "--expires", "1d"],
        ["request", "{signalr}/sharedPrivateLinkResources/l", "--target", "{signalr}"],
        ["request", "{signalr}/sharedPrivateLinkResources/l", "--target", "{target}", "--key", "missing.pem", "--key-id", "a"],
        ["request", "{target}", "--target", "{target}"],
    ],
    ids=" ".join,
)
def test_wrong_usage(desk: Desk, arguments: list[str]) -> None:
    """Exit code 2, a reason on standard error, nothing on standard output, nothing written, and no traceback."""
    _, connection = desk.put_link()
    assert desk.run("sweep", LINKGUARD_MODE="observe").code == ExitCode.OK
    filled = [one.format(connection=connection, target=desk.target, signalr=desk.signalr) for one in arguments]
    ran = desk.run(*filled)
    assert (ran.code, ran.stdout if "allowlist" not in arguments else "") == (ExitCode.USAGE, "")
    assert ran.stderr or "allowlist" in arguments
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stderr
    assert desk.world.connection_status(connection) == "Pending"


def test_there_is_no_ledger_yet(desk: Desk) -> None:
    """Every command that reads it says so, and makes none."""
    for arguments in (["list"], ["show", "0" * 64], ["verify"], ["export"], ["replay"]):
        ran = desk.run("ledger", *arguments)
        assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
        assert "LINKGUARD_LEDGER" in ran.stderr
    assert not desk.ledger.exists()


def test_the_ledger_needs_no_other_setting(desk: Desk) -> None:
    """Whoever reads it need not be able to sweep, and a wrong setting elsewhere does not stop them."""
    desk.run("sweep")
    keep = {name: "" for name in desk.settings if name != "LINKGUARD_LEDGER"}
    assert desk.run("ledger", "verify", **keep, LINKGUARD_MOOD="x").code == ExitCode.OK


def test_what_nobody_foresaw_is_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 and how to report it; the traceback with --verbose alone, with nothing in it that a terminal acts on."""

    def fail(*_: object, **__: object) -> None:
        message = "surprise \x1b[2J"
        raise RuntimeError(message)

    monkeypatch.setattr("shared.bootstrap.application.open_application", fail)
    ran = desk.run("sweep", "--json")
    assert (ran.code, ran.stdout, len(ran.stderr.splitlines())) == (ExitCode.INCOMPLETE, "", 1)
    assert "RuntimeError" in ran.stderr
    verbose = desk.run("sweep", "--verbose")
    assert r"surprise \x1b[2J" in verbose.stderr
    assert "\x1b" not in verbose.stderr


def test_ctrl_c_ends_cleanly(desk: Desk) -> None:
    """Exit code 130, one line, no traceback, and the ledger is whole."""
    desk.put_link()
    settings = desk.environment(LINKGUARD_SETTLE="1h")
    arguments = command("sweep", "--wait", "--timeout", "10m", "--verbose")
    with subprocess.Popen(arguments, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        assert sweep.stderr is not None
        assert sweep.stdout is not None
        for line in sweep.stderr:
            if ": wait" in line:
                break
        sweep.send_signal(signal.SIGINT)
        rest = sweep.stderr.read()
        assert sweep.wait(timeout=60) == INTERRUPTED
        assert sweep.stdout.read() == ""
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert desk.run("ledger", "verify").code == ExitCode.OK


# The rest of the commands


def test_explain_holds_the_evidence_side_by_side(desk: Desk) -> None:
    """By its schema; it names the rule line that would allow it, and records nothing."""
    desk.put_link()
    stranger = desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    ran = desk.run("explain", stranger, "--json")
    explained = valid(ran.json, "explain")
    (decision,) = explained["decisions"]
    assert (ran.code, explained["connection"], decision["verdict"]) == (ExitCode.ATTENTION, stranger, "hold")
    rows = {row["what"]: row for row in decision["comparison"]}
    assert (rows["name"]["link"], rows["name"]["connection"], rows["name"]["agrees"]) == ("func-pe", "stranger-pe", False)
    assert rows["message"]["agrees"] is True
    assert decision["rules"][0]["line"] == 3
    assert decision["inputs"]["connection"]["id"] == stranger
    assert explained["findings"] != []
    assert not desk.ledger.exists()


def test_explain_of_a_target_has_every_connection(desk: Desk) -> None:
    """And every link whose connection has not come."""
    desk.put_link()
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    explained = valid(desk.run("explain", desk.target, "--json").json, "explain")
    assert sorted(decision["verdict"] for decision in explained["decisions"]) == ["hold", "wait"]


def test_explain_proposes_the_rule_that_would_allow_it(desk: Desk) -> None:
    """To be pasted into the allowlist, which is then valid."""
    desk.put_link()
    desk.allowlist.write_text("version: 1\nrules: []\n")
    ran = desk.run("explain", desk.target, "--json")
    (reason,) = ran.json["decisions"][0]["reasons"]
    assert reason["code"] == "not_allowlisted"
    assert reason["resolve"] in desk.run("explain", desk.target).stdout
    desk.allowlist.write_text(f"version: 1\nrules:\n{reason['resolve'].replace('<name>', 'contoso')}\n")
    assert desk.run("allowlist", "check", str(desk.allowlist)).code == ExitCode.OK
    assert verdicts(desk.run("sweep", "--wait", "--json").json) == [("approve", "confirmed")]


def test_azure_that_cannot_be_read_is_exit_code_3(desk: Desk) -> None:
    """With the reason, and nothing on standard output."""
    desk.azure.faults.deny("Microsoft.Web/*")
    ran = desk.run("explain", desk.target)
    assert (ran.code, ran.stdout) == (ExitCode.INCOMPLETE, "")
    assert "403" in ran.stderr


def test_allowlist_check_lists_every_problem_with_its_place(desk: Desk) -> None:
    """Exit code 2; as text each in a line of its own, file:line:column."""
    desk.allowlist.write_text("version: 2\nrules:\n  - id: a\n    efect: allow\n")
    ran = desk.run("allowlist", "check", str(desk.allowlist))
    places = re.findall(rf"^{re.escape(str(desk.allowlist))}:(\d+):(\d+): ", ran.stdout, re.MULTILINE)
    checked = desk.run("allowlist", "check", str(desk.allowlist), "--json")
    assert (ran.code, checked.code, checked.json["valid"]) == (ExitCode.USAGE, ExitCode.USAGE, False)
    assert [(one["line"], one["column"]) for one in checked.json["problems"]] == [
        (int(line), int(column)) for line, column in places
    ]
    assert {line for line, _ in places} == {"1", "3", "4"}


def test_allowlist_check_remarks_on_what_is_valid_and_weak(desk: Desk) -> None:
    """Exit code 0: weak evidence is allowed, and said; so is a rule that has expired."""
    text = desk.allowlist.read_text()
    expired = text.partition("rules:\n")[2].replace("contoso-upstream", "over") + "    expires: 2020-01-01\n"
    desk.allowlist.write_text(text + expired)
    ran = desk.run("allowlist", "check", str(desk.allowlist), "--json")
    assert (ran.code, ran.json["valid"], ran.json["rules"]) == (ExitCode.OK, True, 2)
    assert [(one["rule"], one["message"].partition(":")[0].split()[0]) for one in ran.json["remarks"]] == [
        ("contoso-upstream", "weak"),
        ("over", "expired"),
    ]


def test_config_check_reads_and_writes_nothing(desk: Desk) -> None:
    """Everything that a sweep needs is tried; nothing is made, not even the ledger."""
    ran = desk.run("config", "check", "--json")
    assert (ran.code, ran.json["ok"]) == (ExitCode.OK, True)
    names = [one["name"] for one in ran.json["checks"]]
    assert {"settings", "credential", "allowlist", "ledger"} < set(names)
    for permission in (SERVICES_READ, LINKS_READ, SITES_READ, CONNECTIONS_READ, PLANS_READ):
        assert any(permission in name for name in names)
    assert [path.name for path in desk.folder.iterdir()] == ["allowlist.yaml"]
    assert {served.method for served in desk.azure.requests.entries} == {"GET"}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"LINKGUARD_SETTLE": "soon"}, ExitCode.USAGE),
        ({"LINKGUARD_VERIFY_KEYS": "prod=missing.pem"}, ExitCode.USAGE),
        ({"LINKGUARD_ALLOWLIST": "missing.yaml"}, ExitCode.USAGE),
    ],
)
def test_config_check_finds_what_is_wrong(desk: Desk, settings: dict[str, str], code: ExitCode) -> None:
    """A failed check says what to do; the exit code says whose fault it is."""
    ran = desk.run("config", "check", "--json", **settings)
    assert (ran.code, ran.json["ok"]) == (code, False)
    assert "FAILED" in desk.run("config", "check", **settings).stdout


@pytest.mark.parametrize(
    ("denied", "missing"),
    [
        ("Microsoft.SignalRService/*", [SERVICES_READ]),
        ("Microsoft.Web/sites/read", [SITES_READ]),
        ("Microsoft.Web/sites/privateEndpointConnections/read", [CONNECTIONS_READ]),
        ("Microsoft.Web/serverfarms/read", [PLANS_READ]),
        ("Microsoft.Web/*", [SITES_READ, CONNECTIONS_READ]),
    ],
)
def test_config_check_names_each_permission_that_is_missing_and_where(desk: Desk, denied: str, missing: list[str]) -> None:
    """By trying each read; the target is one that only a link leads to."""
    link_leads_to = desk.world.add_site("other-func", public_network_access="Enabled")
    desk.world.put_link(desk.signalr, "other-pe", link_leads_to, MESSAGE)
    desk.azure.knobs.site_sku = False  # So that plans are asked.
    desk.azure.faults.deny(denied)
    ran = desk.run("config", "check", "--json")
    failed = [one for one in ran.json["checks"] if not one["ok"]]
    assert ran.code == ExitCode.INCOMPLETE
    where = [" on the subscription "] if missing == [SERVICES_READ] else [f" on {desk.target}", f" on {link_leads_to}"]
    assert [one["name"].partition(" ")[0] for one in failed] == [name for name in missing for _ in where]
    assert all(any(place in one["name"] for place in where) and one["advice"] for one in failed)


def test_config_check_never_repeats_a_wrong_value(desk: Desk) -> None:
    """It may be a secret in the wrong place."""
    ran = desk.run("config", "check", LINKGUARD_ARM_ENDPOINT="https://user:hunter2@example.com")
    assert ran.code == ExitCode.USAGE
    assert "hunter2" not in ran.stdout + ran.stderr


# Every command


def commands() -> list[list[str]]:
    return [
        ["sweep"],
        ["explain", "{target}"],
        ["decide", "--adopt", "--all", "--reason", "r", "--yes"],
        ["request"],
        ["allowlist", "check", "{allowlist}"],
        ["config", "check"],
        ["ledger", "list"],
        ["ledger", "show", "{record}"],
        ["ledger", "verify"],
        ["ledger", "export"],
        ["ledger", "replay"],
    ]


def test_a_command_imports_no_other() -> None:
    """Importing all of them takes longer than most commands do."""
    code = "import sys; from shared.cli import app; app(['audit', '--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    imported = set(done.stdout.split())
    assert "shared.cli.audit" in imported
    other = {"shared.cli.sweep", "shared.cli.ledger", "shared.services.engine", "asyncio", "cryptography", "duckdb", "rich"}
    assert not imported & other


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, child in group.commands.items():
        yield from leaves(child, (*path, name)) if isinstance(child, click.Group) else [((*path, name), child)]


def test_every_command_is_tried_here() -> None:
    """None is left out of the tests of what all have in common."""
    known = {path for path, _ in leaves(app)}
    tried = {tuple(word for word in one if re.fullmatch("[a-z]+", word) and word != "r") for one in commands()}
    # These have test files of their own: what they read is not the desk's.
    elsewhere = {
        ("alerts", "list"),
        ("alerts", "retry"),
        ("alerts", "test"),
        ("allowlist", "diff"),
        ("audit",),
        ("report",),
        ("demo",),
    }
    assert known == tried | elsewhere
    for path, leaf in leaves(app):
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert {"--format", "--json", "--output", "--verbose"} <= options, path
        assert leaf.help


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_answers_in_both_formats_and_into_a_file(desk: Desk, arguments: list[str]) -> None:
    """Text, one JSON document (the export: one a line), and the same in a file."""
    desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
    desk.run("sweep")
    record = desk.run("ledger", "list", "--json").json["records"][0]["id"]
    filled = [one.format(target=desk.target, allowlist=desk.allowlist, record=record) for one in arguments]
    text, document = desk.run(*filled), desk.run(*filled, "--json")
    assert text.code in {ExitCode.OK, ExitCode.ATTENTION}
    assert document.code == text.code
    assert text.stdout
    for part in document.stdout.splitlines() if "export" in arguments else [document.stdout]:
        json.loads(part)
    file = desk.folder / "answer"
    ran = desk.run(*filled, "--format", "json", "--output", str(file))
    assert (ran.code, ran.stdout) == (text.code, "")
    assert json.loads(file.read_text().splitlines()[0] if "export" in arguments else file.read_text())


def test_version_and_help() -> None:
    """Each exits with 0; no command at all is wrong usage."""

    def run(*arguments: str) -> Ran:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    assert re.fullmatch(r"linkguard \d+\.\d+\.\d+\n", run("--version").stdout)
    assert run("--help").code == ExitCode.OK
    assert run().code == ExitCode.USAGE


@pytest.mark.parametrize("group", [[], ["allowlist"], ["config"], ["alerts"], ["ledger"]], ids=" ".join)
def test_the_list_of_commands_cuts_nothing_off(group: list[str]) -> None:
    """Each is told in its own first sentence, in as many lines as it takes."""
    shown = CliRunner().invoke(app, [*group, "--help"], terminal_width=40).stdout
    assert len(shown.partition("Commands:")[2].splitlines()) > 1
    assert "..." not in shown.replace("[ARGS]...", "")


def test_ctrl_c_before_a_command_has_begun() -> None:
    """The same exit code as after it: 1 would say that something needs a person."""
    code = "import importlib; from shared.cli import main\n"
    code += "def interrupted(name): raise KeyboardInterrupt\n"
    code += "importlib.import_module = interrupted; main()"
    for arguments in (["sweep"], ["--help"]):
        done = subprocess.run([*command()[:1], "-c", code, *arguments], cwd=ROOT, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr.strip()) == (INTERRUPTED, b"", b"")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("linkguard sw", ["plain,sweep"]),
        ("linkguard ledger re", ["plain,replay"]),
        ("linkguard audit --log-format j", ["plain,jsonl", "plain,json"]),
        ("linkguard audit --logs l", ["file,l"]),
    ],
)
def test_a_shell_completes(typed: str, completed: list[str]) -> None:
    """Commands, options, choices by their values; files are the shell's own to find."""
    asked = {"_LINKGUARD_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert CliRunner().invoke(app, prog_name="linkguard", env=asked).stdout.splitlines() == completed


def test_help_waits_for_no_sdk() -> None:
    """Nor for anything else that only a command's work needs."""
    code = "import shared.cli, sys; print(*sys.modules)"
    done = subprocess.run([*command()[:1], "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    heavy = ("azure", "aiohttp", "aiosqlite", "duckdb", "shared.adapters.arm", "shared.services.reconcile", "shared.local_azure")
    assert [name for name in done.stdout.split() if name.startswith(heavy)] == []


def test_the_table_of_exit_codes_is_whole() -> None:
    """Every code has its meaning, in the order in which they are decided."""
    assert [code for code, _ in EXIT_CODES] == [2, 3, 1, 0]
    assert {code for code, _ in EXIT_CODES} == set(ExitCode)
