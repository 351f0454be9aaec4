"""What every test starts from."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.azurite.fixture import azurite, secure_azurite

__all__ = ["azurite", "secure_azurite"]

# A busy machine is slow, not wrong.
settings.register_profile("linkguard", deadline=None, print_blob=True)
settings.load_profile("linkguard")


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings or the Azure identity of whoever runs it."""
    for name in os.environ:
        if name.upper().startswith(("LINKGUARD_", "AZURE_", "MSI_", "IDENTITY_")):
            monkeypatch.delenv(name)
