"""A desk: the command line over the local Azure, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from shared.cli import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.local_azure import LocalAzure

ROOT = Path(__file__).parent.parent
MESSAGE = "please approve"
RULE = """\
version: 1
rules:
  - id: contoso-upstream
    effect: allow
    signalr: {signalr}
    target: {target}
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:  # noqa: ANN401  whatever it is
        """The one document on standard output."""
        return json.loads(self.stdout)


class Desk:
    """One SignalR service, one function app, an allowlist that names both, and the settings for them."""

    def __init__(self, azure: LocalAzure, folder: Path) -> None:
        self.azure = azure
        self.world = azure.world
        self.folder = folder
        self.signalr = self.world.add_signalr("contoso-signalr")
        self.target = self.world.add_site("contoso-func", public_network_access="Enabled")
        self.allowlist = folder / "allowlist.yaml"
        self.allowlist.write_text(RULE.format(signalr=self.signalr, target=self.target))
        self.ledger = folder / "ledger.sqlite3"
        self.settings = {
            "LINKGUARD_MODE": "enforce",
            "LINKGUARD_ALLOWLIST": str(self.allowlist),
            "LINKGUARD_SUBSCRIPTIONS": self.signalr.split("/")[2],
            "LINKGUARD_LEDGER": f"sqlite:///{self.ledger}",
            "LINKGUARD_ARM_ENDPOINT": azure.url,
            "LINKGUARD_CREDENTIAL": "local",
            "LINKGUARD_SETTLE": "1ms",
            "LINKGUARD_RECHECK_DELAY": "20ms",
            "LINKGUARD_RECHECK_MAX": "40ms",
            "LINKGUARD_ARM_TIMEOUT": "5s",
            "LINKGUARD_ARM_READS_PER_SECOND": "0",
        }

    def put_link(self, name: str = "func-pe", message: str = MESSAGE) -> tuple[str, str]:
        """A link and its own connection."""
        link = self.world.put_link(self.signalr, name, self.target, message)
        (connection,) = self.world.connections_of(link)
        return link, connection

    def run(self, *arguments: str, **settings: str) -> Ran:
        """A command in this process."""
        done = CliRunner().invoke(app, list(arguments), env=self.settings | settings, catch_exceptions=False)
        return Ran(done.exit_code, done.stdout, done.stderr)

    def environment(self, **settings: str) -> Mapping[str, str]:
        """For a command in a process of its own."""
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.folder)} | self.settings | settings

    def spawn(self, *arguments: str, **settings: str) -> Ran:
        """A command in a process of its own, without a terminal."""
        done = subprocess.run(
            command(*arguments),
            cwd=self.folder,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def command(*arguments: str) -> list[str]:
    """The installed command's own entry point, whatever the working directory."""
    # A shell has whatever it runs in the background ignore Ctrl-C, these tests perhaps, and all that they start.
    heeds_ctrl_c = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heeds_ctrl_c}; import sys; sys.path.insert(0, {str(ROOT)!r}); from shared.cli import main; main()"
    return [sys.executable, "-c", code, *arguments]
