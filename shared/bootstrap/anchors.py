"""Where the ledger is anchored."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.bootstrap.stores import open_ledger
from shared.config import load_settings
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.services.anchor import AnchorStore


@asynccontextmanager
async def open_anchors(environ: Mapping[str, str], place: str) -> AsyncIterator[AnchorStore]:
    """The ledger's anchors at ``place``: the URL of a container, for which the identity of the settings is used, or a folder.

    Raises:
        ConfigError: where it is neither, or a setting is wrong.

    """
    from shared.adapters.anchors import BlobAnchors, FolderAnchors  # noqa: PLC0415  see the package's docstring
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  the same

    if "://" not in place:
        async with FolderAnchors.at(Path(place)) as folder:
            yield folder
        return
    if not place.startswith("https://"):
        raise ConfigError(["a token is sent to an https URL alone, and the anchors' is none"])
    settings = load_settings(environ, required=())
    kind, client_id = settings.credential.value, settings.managed_identity_client_id
    async with (
        make_credential(kind, endpoint=place, authority=settings.arm_endpoint.authority, client_id=client_id) as credential,
        BlobAnchors.with_identity(place, credential) as anchors,
    ):
        yield anchors


@asynccontextmanager
async def open_export(environ: Mapping[str, str]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What anchors the ledger at ``LINKGUARD_ANCHORS``; it does nothing without it.

    Raises:
        ConfigError: where a setting is wrong.
        StoreError: by opening: where the ledger cannot be opened; by the call: where it cannot be read, an anchor not written,
            or a chain has a fault.

    """
    from shared.adapters.log_telemetry import LogTelemetry  # noqa: PLC0415  see the package's docstring
    from shared.services.anchor import export_and_tell  # noqa: PLC0415  only for its function

    async def nothing() -> None:
        return

    place = load_settings(environ, required=()).anchors
    if place is None:
        yield nothing
        return
    async with open_ledger(environ) as ledger, open_anchors(environ, place) as anchors:

        async def export() -> None:
            await export_and_tell(ledger, anchors, LogTelemetry())

        yield export


async def export_ledger(environ: Mapping[str, str]) -> None:
    """Anchor the ledger once.

    Raises:
        ConfigError: as :func:`open_export`.
        StoreError: likewise.

    """
    async with open_export(environ) as export:
        await export()
