"""``linkguard audit`` on files."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from subprocess import PIPE
from typing import IO, TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema  # type: ignore[import-untyped]  # it has none

from shared.cli import app
from shared.local_azure import LocalAzure
from shared.report.exit_codes import INTERRUPTED, ExitCode
from tests import traffic_logs as logs
from tests.desk import Ran, command
from tests.kql.engine import Workspace
from tests.traffic_logs import SITE, Row

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = [Row(client="10.0.0.4"), Row(client="8.8.8.8", method="GET", path="/", second=1)]
PUBLIC = [*PRIVATE, Row(client="8.8.8.8", second=2)]
SECRET = "sesame"
WORKSPACE = "00000000-0000-0000-0000-00000000000a"


def run(*arguments: str, **settings: str) -> Ran:
    done = CliRunner().invoke(app, list(arguments), env=settings, catch_exceptions=False)
    return Ran(done.exit_code, done.stdout, done.stderr)


def put(folder: Path, rows: list[Row], name: str = "log.json") -> str:
    path = folder / name
    path.write_text("".join(map(logs.windows, rows)), encoding="utf-8")
    return str(path)


def test_the_document(tmp_path: Path) -> None:
    """One JSON document with the verdict, its basis, counts by class, sources and lines."""
    ran = run("audit", "--logs", put(tmp_path, PUBLIC), "--json")
    assert ran.code == 1
    (target,) = ran.json["targets"]
    assert target["target"].lower() == SITE.lower()
    assert (target["verdict"], target["basis"], target["reasons"]) == ("public-seen", "client_ip", [])
    assert (target["requests"]["private"], target["requests"]["public"]) == (1, 2)
    assert (target["upstream"]["private"], target["upstream"]["public"]) == (1, 1)
    assert target["requests"]["malformed"] == target["requests"]["absent"] == target["requests"]["loopback"] == 0
    assert target["first_seen"] == "2026-11-23T10:00:00+00:00"
    assert target["sources"][0] == {
        "address": "8.8.8.8",
        "class": "public",
        "count": 2,
        "first_seen": "2026-11-23T10:00:01+00:00",
        "last_seen": "2026-11-23T10:00:02+00:00",
    }
    assert (target["other_sources"], target["disagreements"]) == (0, 0)
    lines = ran.json["lines"]
    assert (lines["read"], lines["broken"], lines["skipped"]) == (3, 0, 0)


def test_exit_codes(tmp_path: Path) -> None:
    """0 only where every target is private; an empty log is no pass; a wrong option is 2."""
    assert run("audit", "--logs", put(tmp_path, PRIVATE)).code == 0
    assert run("audit", "--logs", put(tmp_path, [])).code == 1
    assert run("audit", "--logs", put(tmp_path, PRIVATE), "--target", SITE + "x").code == 1
    assert run("audit", "--logs", put(tmp_path, PRIVATE), "--target", SITE).code == 0
    assert run("audit", "--logs", put(tmp_path, PRIVATE), "--upstream-path", "/other").code == 1
    for wrong in (
        ["--logs", str(tmp_path / "nothing")],
        [],
        ["--logs", str(tmp_path), "--since", "yesterday"],
        ["--logs", str(tmp_path), "--since", "2026-11-24T00:00:00Z", "--until", "2026-11-23T00:00:00Z"],
        ["--logs", str(tmp_path), "--since", "2999-01-01T00:00:00Z"],
        ["--logs", str(tmp_path), "--target", "x"],
        ["--logs", str(tmp_path), "--private-range", "x"],
        ["--logs", str(tmp_path), "--upstream-path", "x"],
    ):
        assert run("audit", *wrong).code == 2, wrong


def test_several_paths_after_one_option(tmp_path: Path) -> None:
    """As a shell expands a glob."""
    paths = [put(tmp_path, PRIVATE, f"{number}.json") for number in range(3)]
    assert run("audit", "--logs", *paths, "--json").json["lines"]["read"] == 6


def test_staleness_needs_until(tmp_path: Path) -> None:
    """A file without --until is never stale."""
    path = put(tmp_path, PRIVATE)
    assert run("audit", "--logs", path, "--until", "2026-11-23T10:30:00Z").code == 0
    ran = run("audit", "--logs", path, "--until", "2026-11-23T13:00:00Z", "--json")
    assert [one["code"] for one in ran.json["targets"][0]["reasons"]] == ["stale"]


def test_own_ranges(tmp_path: Path) -> None:
    """An estate may narrow what is private."""
    path = put(tmp_path, PRIVATE)
    assert run("audit", "--logs", path, "--private-range", "10.0.0.0/24").code == 0
    ran = run("audit", "--logs", path, "--private-range", "10.20.0.0/16", "--json")
    assert [one["code"] for one in ran.json["targets"][0]["reasons"]] == ["address_unclear"]


HOSTILE = Row(
    client=f"=cmd|' /C calc'!A0?code={SECRET}",
    agent=f"<script>{SECRET}</script>",
    path=f"/runtime/webhooks/signalr?code={SECRET}",
    target="/subscriptions/x/<b>=1+1",
)


@pytest.mark.parametrize("form", ["text", "json", "csv", "ocsf", "html"])
def test_nothing_secret_or_active_in_any_output(form: str, tmp_path: Path) -> None:
    """Query strings, cookies, user agents and malformed sources are nowhere; what is shown is inert where it is shown."""
    broken = put(tmp_path, [])
    (tmp_path / "broken.json").write_text(f'{logs.windows(PRIVATE[0])}{{"code={SECRET}\n', encoding="utf-8")
    ran = run("audit", "--logs", put(tmp_path, [*PUBLIC, HOSTILE]), str(tmp_path / "broken.json"), broken, "--format", form)
    assert ran.code == 1
    assert SECRET not in ran.stdout + ran.stderr
    assert "\u202e" not in ran.stdout
    if form in {"text", "html"}:
        verdicts = re.findall(
            r"^public-seen|^inconclusive|(?<=>)public-seen(?=</span>)|(?<=>)inconclusive(?=</span>)", ran.stdout, re.MULTILINE
        )
        assert verdicts == ["public-seen", "inconclusive"], "the worst stands first"
    if form == "html":
        assert "<b>" not in ran.stdout
        assert "<script" not in ran.stdout
    if form == "csv":
        for row in csv.reader(io.StringIO(ran.stdout)):
            assert not any(cell.startswith(("=", "+", "@", "-")) for cell in row)


@pytest.mark.parametrize("form", ["text", "json", "csv", "ocsf", "html"])
def test_a_files_name_does_nothing_where_it_is_shown(form: str, tmp_path: Path) -> None:
    """Whoever may put a file into a folder of logs chooses its name: it neither turns text around nor is markup."""
    (tmp_path / "a\u202e\x1b[2J<i>.gz").write_bytes(b"\x1f\x8b\x08")
    put(tmp_path, PRIVATE)
    ran = run("audit", "--logs", str(tmp_path), "--format", form)
    assert ran.code == 1
    assert "\u202e" not in ran.stdout
    assert "\x1b" not in ran.stdout
    assert form != "html" or "<i>" not in ran.stdout


def test_ocsf(tmp_path: Path) -> None:
    """Public calls are Detection Findings, anything else Compliance Findings, each valid by OCSF's own schema."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
    seen = {}
    for name, rows in (("private", PRIVATE), ("public-seen", PUBLIC), ("inconclusive", [])):
        (line,) = run("audit", "--logs", put(tmp_path, rows), "--format", "ocsf").stdout.splitlines()
        event = json.loads(line)
        jsonschema.validate(event, schema.get_class_schema(schema.lookup_class_name_from_uid(event["class_uid"])))
        seen[name] = (event["class_uid"], event.get("compliance", {}).get("status"))
    assert seen == {"private": (2003, "Pass"), "public-seen": (2004, None), "inconclusive": (2003, "Fail")}


def test_a_workspace(tmp_path: Path) -> None:
    """A workspace is asked over its API; what cannot be read is exit code 3, and inconclusive."""
    now = datetime.now(UTC).replace(microsecond=0)
    row = {**json.loads(logs.workspace(PRIVATE[0])), "TimeGenerated": (now - timedelta(minutes=5)).isoformat()}
    with LocalAzure().in_thread() as azure:
        azure.logs.engines[WORKSPACE] = Workspace(AppServiceHTTPLogs=[row])
        settings = {
            "LINKGUARD_LOGS_ENDPOINT": azure.url,
            "LINKGUARD_ARM_ENDPOINT": azure.url,
            "LINKGUARD_CREDENTIAL": "local",
            "LINKGUARD_LEDGER": f"sqlite:///{tmp_path}/ledger.sqlite3",
        }
        ran = run("audit", "--workspace", WORKSPACE, "--json", **settings)
        assert (ran.code, ran.json["targets"][0]["verdict"], ran.json["lines"]) == (0, "private", None)
        # A file that says nothing takes nothing from what the workspace says; one that could not be read does.
        nothing, damaged = tmp_path / "nothing", tmp_path / "damaged"
        nothing.write_bytes(b"")
        damaged.write_bytes(b"\x1f\x8b\x08")
        target = ("--target", SITE, "--workspace", WORKSPACE, "--json")
        ran = run("audit", "--logs", str(nothing), *target, **settings)
        assert (ran.code, ran.json["targets"][0]["verdict"]) == (0, "private")
        ran = run("audit", "--logs", str(damaged), *target, **settings)
        assert (ran.code, ran.json["targets"][0]["reasons"][0]["code"]) == (1, "source_unreadable")
        # A workspace may be stale without --until, which then is now.
        azure.logs.engines[WORKSPACE] = Workspace(
            AppServiceHTTPLogs=[{**row, "TimeGenerated": (now - timedelta(hours=3)).isoformat()}]
        )
        ran = run("audit", "--workspace", WORKSPACE, "--json", **settings)
        assert (ran.code, [one["code"] for one in ran.json["targets"][0]["reasons"]]) == (1, ["stale"])
        settings["LINKGUARD_AUDIT_TABLES"] = "AppServiceHTTPLogs,AppTraces"
        ran = run("audit", "--workspace", WORKSPACE, "--json", **settings)
        assert (ran.code, ran.json["targets"][0]["reasons"][0]["code"]) == (3, "source_unreadable")
        ran = run("audit", "--workspace", "x", **settings)
        assert (ran.code, ran.stderr.partition(" is not a GUID")[0]) == (2, "linkguard: --workspace: 'x'")


@pytest.mark.parametrize("rows", [PRIVATE, PRIVATE * 15_000], ids=["small", "large"])
def test_a_bar_on_a_terminal(rows: list[Row], tmp_path: Path) -> None:
    """Whoever watches sees bytes and their rate on standard error, for small files and for those the engine opens itself."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-c", "from shared.cli import main; main()", "audit", "--logs", put(tmp_path, rows)]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # What Linux says where the other end is closed.
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    out, _ = done.communicate(timeout=60)
    assert done.returncode == 0
    assert b"1 private" in out
    assert re.search(rb"\d/\d+([.]\d)? (bytes|kB|MB)", shown), shown
    assert re.search(rb"\d (bytes|kB|MB|GB)/s", shown), shown


def feed(pipe: IO[bytes], text: bytes) -> None:
    with suppress(OSError), pipe:
        while True:
            pipe.write(text)


@pytest.mark.parametrize("what", ["nothing", "lines", "text"])
def test_ctrl_c_ends_a_reading(what: str, tmp_path: Path) -> None:
    """Wherever the reading is, also where it waits for input that never comes: exit code 130, one line, nothing left behind."""
    form = "text" if what == "text" else "jsonl"
    arguments = command("audit", "--logs", "-", "--log-format", form)
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(arguments, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE) as audit:
        assert audit.stdin is not None
        text = {"nothing": b"", "lines": logs.windows(Row(client="10.0.0.4")).encode(), "text": b"x_forwarded_for=10.0.0.4\n"}[
            what
        ]
        if text:
            threading.Thread(target=feed, args=(audit.stdin, text), daemon=True).start()
        try:
            while not list(tmp_path.iterdir()):
                assert audit.poll() is None
                time.sleep(0.02)
            time.sleep(0.5)
            audit.send_signal(signal.SIGINT)
            assert audit.wait(timeout=30) == INTERRUPTED
            assert audit.stdout is not None
            assert audit.stderr is not None
            assert audit.stdout.read() == b""
            (line,) = audit.stderr.read().splitlines()
            assert b"interrupted" in line
        finally:
            audit.kill()
    assert not list(tmp_path.iterdir())


def test_an_empty_path_is_not_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set names no log."""
    put(tmp_path, [Row(client="10.0.0.4")])
    monkeypatch.chdir(tmp_path)
    ran = run("audit", "--logs", "")
    assert ran.code == ExitCode.USAGE
    assert "a path is empty" in ran.stderr


@pytest.mark.parametrize("empty", ["", " ", ",", " , "])
def test_an_empty_workspace_is_not_none(empty: str, tmp_path: Path) -> None:
    """What a file says is no answer for the workspace that was to be asked too."""
    ran = run("audit", put(tmp_path, PRIVATE), "--workspace", WORKSPACE, "--workspace", empty)
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert "--workspace: an id is empty" in ran.stderr


def test_a_closed_standard_input_is_told(tmp_path: Path) -> None:
    """It is no log without requests, and no crash."""
    shell = f"exec {shlex.join(command('audit', '--logs', '-'))} <&-"
    done = subprocess.run(["/bin/sh", "-c", shell], cwd=tmp_path, capture_output=True, timeout=60, text=True, check=False)
    assert done.returncode == ExitCode.ATTENTION
    assert "source_unreadable" in done.stdout


@pytest.mark.parametrize(("closed", "said"), [(">&-", ""), ("2>&-", "1 private\n"), (">&- 2>&-", "")])
def test_a_closed_output_leaves_the_exit_code(closed: str, said: str, tmp_path: Path) -> None:
    """Whoever closes it wants no answer in words, or none of its complaints; it is no failure."""
    line = shlex.join(command("audit", "--logs", put(tmp_path, PRIVATE)))
    done = subprocess.run(["/bin/sh", "-c", f"exec {line} {closed}"], capture_output=True, timeout=60, text=True, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert done.stdout.endswith(said)
    assert bool(done.stdout) == bool(said)
