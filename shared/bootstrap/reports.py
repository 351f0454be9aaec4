"""What is made from the stores alone."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.bootstrap.clock import make_clock
from shared.bootstrap.stores import open_store
from shared.config import load_settings
from shared.core.errors import StoreError
from shared.report.escape import clean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.core.allowlist import Allowlist
    from shared.core.report_data import ReportData
    from shared.report.web import WebAnswer
    from shared.services.allowlist_diff import AllowlistDiff


@asynccontextmanager
async def open_report(environ: Mapping[str, str]) -> AsyncIterator[Callable[[], Awaitable[ReportData]]]:
    """What reads all that a report is made from, of the stores alone: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be opened, or, by the call, read.

    """
    from shared.services.report_data import collect  # noqa: PLC0415  only where a report is made

    async with open_store(environ) as store:

        async def read() -> ReportData:
            return await collect(store, store, make_clock().now())

        yield read


async def read_report(environ: Mapping[str, str]) -> ReportData:
    """What a report is made from, read once.

    Raises:
        ConfigError: as :func:`open_report`.
        StoreError: likewise.

    """
    async with open_report(environ) as read:
        return await read()


async def answer_report(
    environ: Mapping[str, str], headers: Mapping[str, str], wanted: str, read: Callable[[], Awaitable[ReportData]] | None = None
) -> WebAnswer:
    """The report over HTTP.

    Args:
        environ: the settings.
        headers: of the request.
        wanted: ``html``, ``json`` or "".
        read: what :func:`open_report` opened; without it the stores are opened, and closed again.

    Raises:
        ConfigError: where a setting is wrong.

    """
    from shared.report.web import PLATFORM_AUTHENTICATION, answer, refuse, unavailable  # noqa: PLC0415  only for its function

    refused = refuse(
        headers,
        require_principal=load_settings(environ, required=()).report_require_principal,
        platform_authenticates=environ.get(PLATFORM_AUTHENTICATION, "").casefold() == "true",
    )
    if refused is not None:
        return refused
    try:
        data = await (read() if read else read_report(environ))
    except StoreError as error:
        logging.getLogger("linkguard").error("the report could not be made: %s", clean(str(error)))  # noqa: TRY400  a trace may quote anything
        return unavailable()
    return answer(data, wanted)


async def compare_allowlists(environ: Mapping[str, str], old: Allowlist, new: Allowlist) -> AllowlistDiff:
    """What changes between two allowlists, on the stores alone: needs ``LINKGUARD_LEDGER`` and no other setting.

    Raises:
        ConfigError: where the setting is wrong, or there is no such ledger.
        StoreError: where it cannot be read.

    """
    from shared.services.allowlist_diff import diff  # noqa: PLC0415  only for its command

    async with open_store(environ) as store:
        return await diff(old, new, store, store, make_clock().now())
