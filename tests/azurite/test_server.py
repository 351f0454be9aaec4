"""The emulator's own installation and life."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.azurite.server import ACCOUNT, free_ports, run, serve
from tests.npm import require_node

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite.server import Azurite


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
    node = require_node("to run Azurite")
    with (
        pytest.raises(pytest.fail.Exception, match="ended with 3:\nno such option"),
        serve([node, *command], free_ports(1), tmp_path, environment={}),
    ):
        pytest.fail("it must not be taken for started")
