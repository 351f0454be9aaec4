"""Logs of traffic."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ports import TrafficSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from shared.adapters.log_format import LogFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Logs of traffic, wherever they are."""

    files: tuple[TrafficSource, ...]
    remote: tuple[TrafficSource, ...]
    """In Azure."""
    size: int | None
    """Bytes to read, None where that is not known."""


@asynccontextmanager
async def open_traffic(  # noqa: PLR0913  each names logs of another kind
    environ: Mapping[str, str],
    *,
    logs: Sequence[str] = (),
    log_format: LogFormat,
    blobs: Sequence[str] = (),
    workspaces: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> AsyncIterator[Traffic]:
    """The logs that are named; local files need no setting.

    Raises:
        ConfigError: where a path names nothing, a URL no container, or a setting is wrong.

    """
    from shared.adapters.log_files import LogFiles  # noqa: PLC0415  see the package's docstring

    files = [LogFiles(logs, log_format=log_format, progress=progress)] if logs else []
    remote: list[TrafficSource] = []
    async with AsyncExitStack() as stack:
        if blobs or workspaces:
            from shared.bootstrap.remote_traffic import open_remote  # noqa: PLC0415  local files need no setting

            remote += await stack.enter_async_context(open_remote(environ, blobs, workspaces, progress))
        yield Traffic(files=tuple(files), remote=tuple(remote), size=files[0].size if files and not blobs else None)
