"""The same id in another case, as Azure gives it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shared.core.arm_id import ArmId

if TYPE_CHECKING:
    import random


def respell(id_: ArmId, rng: random.Random) -> ArmId:
    """An id that is equal, spelt as this answer spells it."""
    return rng.choice(_spellings(str(id_)))


@cache
def _spellings(text: str) -> tuple[ArmId, ...]:
    return tuple(ArmId.parse(one) for one in (text, text.lower(), text.upper()))
