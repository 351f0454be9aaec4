"""The fixtures ``azurite`` and ``secure_azurite``: one server each for all tests of a test process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.azurite.server import Azurite, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.azurite.secure import SecureAzurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with run(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def secure_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureAzurite]:
    from tests.azurite.secure import run_secure  # noqa: PLC0415  few tests want it, and what it imports

    with run_secure(tmp_path_factory.mktemp("secure-azurite")) as server:
        yield server
