"""``linkguard alerts`` on the command line, over what a real sweep found and sinks that listen on loopback."""

from __future__ import annotations

import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from shared.local_azure import LocalAzure
from shared.report.exit_codes import ExitCode
from tests.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Hook:
    """A webhook: keeps what it is sent, and answers as it is told."""

    url: str = ""
    status: int = 200
    bodies: list[Any] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)

    @property
    def told(self) -> list[str]:
        """The findings that it was sent, by id."""
        return sorted(body["finding"]["id"] for body in self.bodies)


@contextmanager
def a_hook() -> Iterator[Hook]:
    hook = Hook()
    hook.may_answer.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.asked.set()
            hook.may_answer.wait(60)
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook?sig=SECRET"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as found:
        yield found


@pytest.fixture
def desk(tmp_path: Path, hook: Hook) -> Iterator[Desk]:
    """A stranger's connection is held, and a webhook is to be told."""
    with LocalAzure().in_thread() as azure:
        found = Desk(azure, tmp_path)
        found.settings |= {"LINKGUARD_ALERTS_WEBHOOKS": f"generic={hook.url}", "LINKGUARD_ALERTS_LOG": "false"}
        found.put_link()
        azure.world.request_connection(found.target, "stranger-pe", "<script>alert(1)</script>\x1b[31m")
        found.run("sweep", "--wait", "--timeout", "30s")
        yield found


def test_what_a_sweep_found_waits_until_somebody_delivers_it(desk: Desk, hook: Hook) -> None:
    """At a desk nothing is sent before ``retry``; then it is, once."""
    ran = desk.run("alerts", "list", "--json")
    assert ran.code == ExitCode.OK
    waiting = ran.json["waiting"]
    assert {(one["finding"], one["change"]) for one in waiting} >= {("connection_held", "new")}
    assert all(one["sink"].startswith("generic:127.0.0.1#") and one["error"] == "" for one in waiting)
    assert hook.bodies == []
    ran = desk.run("alerts", "retry")
    assert ran.code == ExitCode.OK
    assert f"Delivered: {len(waiting)}. Still waiting: 0." in ran.stdout
    assert hook.told == sorted(one["finding"] for one in waiting)
    assert desk.run("alerts", "retry").stdout.endswith("Delivered: 0. Still waiting: 0.\n")
    assert desk.run("alerts", "list").stdout == "Every alert is delivered.\n"
    assert len(hook.bodies) == len(waiting)


def test_a_flood_is_told_as_one(desk: Desk, hook: Hook) -> None:
    """Twenty strangers at once: one alert beside what was told before."""
    desk.run("alerts", "retry")
    hook.bodies.clear()
    for number in range(20):
        desk.world.request_connection(desk.target, f"stranger-{number}", "please approve")
    desk.run("sweep")
    desk.run("alerts", "retry")
    assert hook.told == ["findings_flood"]
    assert hook.bodies[0]["finding"]["facts"]["connection_held"] == "21"


def test_a_sink_that_is_down_is_named_and_its_alerts_wait(desk: Desk, hook: Hook) -> None:
    """By its host, never by its URL; the next retry does not wait for the next try."""
    hook.status = 503
    ran = desk.run("alerts", "retry")
    assert ran.code == ExitCode.INCOMPLETE
    assert "127.0.0.1 answered 503" in ran.stdout
    listed = desk.run("alerts", "list")
    assert listed.code == ExitCode.OK
    assert "127.0.0.1 answered 503" in listed.stdout
    assert "SECRET" not in ran.stdout + ran.stderr + listed.stdout + listed.stderr
    assert "\x1b" not in listed.stdout
    hook.status = 204
    assert desk.run("alerts", "retry").code == ExitCode.OK
    assert desk.run("alerts", "list", "--json").json["waiting"] == []


def test_what_is_refused_three_times_is_a_dead_letter_until_it_is_sent_again(desk: Desk, hook: Hook) -> None:
    """``list`` says so and who refused it, and asks for a person; ``retry`` sends the dead letter too."""
    hook.status = 400
    for _ in range(3):
        assert desk.run("alerts", "retry").code == ExitCode.INCOMPLETE
    listed = desk.run("alerts", "list")
    assert listed.code == ExitCode.ATTENTION
    assert "NOT TAKEN" in listed.stdout
    assert "127.0.0.1 answered 400" in listed.stdout
    (dead,) = {one["finding"] for one in desk.run("alerts", "list", "--json").json["dead"]}
    hook.status, hook.bodies = 200, []
    desk.run("alerts", "retry")
    assert dead in hook.told
    assert desk.run("alerts", "list", "--json").json["dead"] == []


def test_a_test_says_of_every_sink_whether_it_takes_alerts(desk: Desk, hook: Hook) -> None:
    """Each is sent one; nothing is kept of it. The code says whether one failed."""
    with a_hook() as other:
        other.status = 404
        hooks = f"generic={hook.url},slack={other.url}"
        ran = desk.run("alerts", "test", LINKGUARD_ALERTS_WEBHOOKS=hooks)
        assert ran.code == ExitCode.INCOMPLETE
        assert "it takes alerts" in ran.stdout
        assert "127.0.0.1 answered 404" in ran.stdout
        assert "this is a test" in other.bodies[0]["blocks"][1]["text"]["text"]
    assert [body["change"] for body in hook.bodies] == ["test"]
    ran = desk.run("alerts", "test", "--json")
    assert ran.code == ExitCode.OK
    assert list(ran.json["sinks"].values()) == [""]


def test_without_a_sink_it_says_what_to_set(desk: Desk) -> None:
    """And does not pretend that anybody was told: what waits goes on waiting."""
    for command in ("test", "retry", "list"):
        ran = desk.run("alerts", command, LINKGUARD_ALERTS_WEBHOOKS="")
        assert ran.code == ExitCode.ATTENTION
        assert "LINKGUARD_ALERTS_WEBHOOKS" in ran.stdout
        assert "Every alert is delivered" not in ran.stdout
    assert desk.run("alerts", "list", "--json").json["waiting"]


def test_two_at_once_do_not_mix_up_the_order(desk: Desk, hook: Hook) -> None:
    """While another process delivers, nothing is sent by this one, and that is said."""
    hook.may_answer.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(desk.spawn, "alerts", "retry")
        assert hook.asked.wait(30)
        ran = desk.run("alerts", "retry")
        hook.may_answer.set()
        assert first.result().code == ExitCode.OK
    assert ran.code == ExitCode.ATTENTION
    assert "Another delivery is under way" in ran.stdout
    assert len(hook.bodies) == len({body["id"] for body in hook.bodies})


def test_a_mistyped_ledger_is_not_taken_for_an_empty_outbox(desk: Desk, tmp_path: Path) -> None:
    """It is refused, and no ledger is made there; the sinks themselves can be tried before the first sweep."""
    elsewhere = tmp_path / "mistyped.sqlite3"
    for command in ("list", "retry"):
        ran = desk.run("alerts", command, LINKGUARD_LEDGER=f"sqlite:///{elsewhere}")
        assert ran.code == ExitCode.USAGE
        assert "there is no ledger" in ran.stderr
    assert desk.run("alerts", "test", LINKGUARD_LEDGER=f"sqlite:///{elsewhere}").code == ExitCode.OK
    assert not elsewhere.exists()


@pytest.mark.parametrize("url", ["http://hooks.example/SECRET", "ftp://hooks.example/SECRET", "SECRET"])
def test_a_webhook_that_is_no_https_is_refused_and_not_repeated(desk: Desk, url: str) -> None:
    """By the setting's name; what stands in it may be a secret."""
    ran = desk.run("alerts", "test", LINKGUARD_ALERTS_WEBHOOKS=f"teams={url}")
    assert ran.code == ExitCode.USAGE
    assert "LINKGUARD_ALERTS_WEBHOOKS" in ran.stderr
    assert "SECRET" not in ran.stdout + ran.stderr
