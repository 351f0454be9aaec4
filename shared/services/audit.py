"""The audit: what traffic logs say about targets, each judged by the worst of its tables."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import InvalidIdError
from shared.core.traffic import (
    Freshness,
    Lines,
    Private,
    TableTraffic,
    TableVerdict,
    TargetTraffic,
    TrafficReading,
    judge_target,
    rank,
    worst_of,
)
from shared.ports import TrafficQuestion, TrafficSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


NOTHING: Final = "unnamed"
"""What stands for the target where no log names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One source and what it is asked."""

    source: TrafficSource
    question: TrafficQuestion
    freshness: Freshness | None = None
    """None where the log cannot be stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """What all sources say."""

    targets: tuple[TargetTraffic, ...]
    lines: Lines | None
    """Of all files together; None where no file was read."""
    complete: bool
    """Whether Azure's logs could be read completely."""

    @property
    def is_private(self) -> bool:
        """Whether every target is private; where there is no target, nothing is."""
        return bool(self.targets) and all(isinstance(one.verdict, Private) for one in self.targets)


async def audit(inquiries: Sequence[Inquiry]) -> AuditResult:
    """Ask every source, and judge every target that was asked about or that a log names.

    Raises:
        LinkguardError: where a source cannot be asked at all.

    """
    readings = await asyncio.gather(*(one.source.read(one.question) for one in inquiries))
    judged: defaultdict[str, list[TargetTraffic]] = defaultdict(list)
    names = _names(inquiries, readings)
    for inquiry, reading in zip(inquiries, readings, strict=True):
        for target in _judge(inquiry, reading, names):
            judged[fold_case(target.target)].append(target)
    targets = tuple(merge(found) for _, found in sorted(judged.items()))
    return AuditResult(
        targets=targets,
        lines=_lines(reading.lines for reading in readings if reading.lines is not None),
        complete=not any(reading.remote and reading.problems for reading in readings),
    )


def _judge(inquiry: Inquiry, reading: TrafficReading, names: dict[str, str]) -> Iterable[TargetTraffic]:
    by_target: defaultdict[str, list[TableTraffic]] = defaultdict(list)
    spelt: dict[str, str] = {}
    for table in reading.tables:
        name = names.get(fold_case(table.target), table.target)
        spelt.setdefault(fold_case(name), name)
        by_target[fold_case(name)].append(table)
    for asked in inquiry.question.targets:
        spelt[fold_case(str(asked))] = str(asked)
    for key, name in spelt.items() or [(NOTHING, NOTHING)]:
        yield judge_target(name, by_target[key], inquiry.freshness, reading.problems)


def _names(inquiries: Iterable[Inquiry], readings: Iterable[TrafficReading]) -> dict[str, str]:
    """Site names as some logs give them -> the resource id, where just one site that is spoken of has this name."""
    ids = {fold_case(str(target)): str(target) for one in inquiries for target in one.question.targets}
    for reading in readings:
        for table in reading.tables:
            if "/" in table.target:
                ids.setdefault(fold_case(table.target), table.target)
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for text in ids.values():
        try:
            name = ArmId.parse(text).name
        except InvalidIdError:
            continue
        by_name[fold_case(name)].append(text)
    return {name: found[0] for name, found in by_name.items() if len(found) == 1}


def merge(found: Sequence[TargetTraffic]) -> TargetTraffic:
    """What several sources say about one target: the worst of it. One that has no row at all says nothing beside one that has."""
    tables: list[TableVerdict] = [table for one in found for table in one.tables]
    spoken = [one for one in found if one.tables or one.is_unreadable] or found
    tables.sort(key=lambda table: rank(table.verdict))
    return TargetTraffic(target=found[0].target, verdict=worst_of(one.verdict for one in spoken), tables=tuple(tables))


def _lines(found: Iterable[Lines]) -> Lines | None:
    total: Lines | None = None
    for lines in found:
        total = total or Lines()
        total.read += lines.read
        total.broken += lines.broken
        total.skipped += lines.skipped
        total.samples += lines.samples
    return total
