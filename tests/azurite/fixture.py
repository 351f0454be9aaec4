"""The fixture ``azurite``: one server for all tests of a test process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.azurite.server import Azurite, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with run(tmp_path_factory.mktemp("azurite")) as server:
        yield server
