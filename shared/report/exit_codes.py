"""What a command's exit code says: the first line that applies. The README's table is held to this one."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """Every code that a command exits with of itself."""

    OK = 0
    ATTENTION = 1
    USAGE = 2
    INCOMPLETE = 3


INTERRUPTED: Final = 130
"""What a shell takes for "ended by Ctrl-C": 128 and the number of the signal."""


EXIT_CODES: Final[tuple[tuple[ExitCode, str], ...]] = (
    (ExitCode.USAGE, "usage or configuration: the command line, a setting, the allowlist"),
    (ExitCode.INCOMPLETE, "Azure or the ledger could not be read or written completely"),
    (
        ExitCode.ATTENTION,
        (
            "something needs a person: held, drift, a finding, still unconfirmed or waiting when --wait times out, "
            "would be approved but for observe mode or a dry run, a ledger that does not verify or replay"
        ),
    ),
    (ExitCode.OK, "nothing needs a person"),
)
"""Each code with what it means, in the order in which they are decided."""
