"""The emulator's own installation and life."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.azurite.server import ACCOUNT, FOLDER, free_ports, require_node, run, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite.server import Azurite


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_version_is_pinned_and_no_address_is_committed() -> None:
    """One exact version, and a lock file whose packages have digests and no download addresses."""
    (version,) = json.loads((FOLDER / "package.json").read_text())["devDependencies"].values()
    assert version[0].isdigit()
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/azurite"]["version"] == version
    assert all("integrity" in package and "resolved" not in package for package in packages.values())


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_node_a_test_is_skipped_but_not_in_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a desk without Node the rest can be tested; in CI nothing is left out unseen."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="Node"):
        require_node()


def test_all_three_services_listen_until_the_end(azurite: Azurite, tmp_path: Path) -> None:
    """A second server has ports and an account key of its own, and is gone once its tests are over."""
    with run(tmp_path) as server:
        ports = [server.blob_port, server.queue_port, server.table_port]
        assert all(map(listens, ports))
        assert f"AccountName={ACCOUNT};" in server.connection_string
        assert server.key != azurite.key
    assert not any(map(listens, ports))


@pytest.mark.parametrize("command", [["-e", "console.error('no such option'); process.exit(3)"]])
def test_a_server_that_ends_at_once_says_why(command: list[str], tmp_path: Path) -> None:
    """What it printed is in the failure."""
    node = require_node()
    with (
        pytest.raises(pytest.fail.Exception, match="ended with 3:\nno such option"),
        serve([node, *command], free_ports(1), tmp_path, environment={}),
    ):
        pytest.fail("it must not be taken for started")
