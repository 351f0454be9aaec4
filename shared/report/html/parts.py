"""The small pieces that every part of the page shows: times, resources, text that was made visible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shared.core.arm_id import ArmId
from shared.core.errors import InvalidIdError
from shared.core.ledger import SYSTEM_CHAIN, digest
from shared.report.escape import clean, shorten
from shared.report.report_document import ago

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.model import Target
    from shared.core.report_data import LinkView

_ANCHOR = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time, for a person and for sorting."""

    iso: str
    shown: str
    ago: str


NO_MOMENT: Final = Moment(iso="", shown="", ago="")


def moment(at: datetime, now: datetime) -> Moment:
    """A time as it is shown at ``now``."""
    return Moment(iso=at.isoformat(timespec="seconds"), shown=at.strftime("%Y-%m-%d %H:%M"), ago=f"{ago(now - at)} ago")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An ARM id: its name, its resource group, and all of it."""

    name: str
    group: str
    id: str


def visible(text: str) -> str:
    """Text from anywhere, on one line, with nothing in it that cannot be seen."""
    return clean(shorten(text))


def visible_lines(text: str) -> str:
    """Text of several lines, such as a rule."""
    return "\n".join(map(visible, text.splitlines()))


def visible_facts(facts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Names and values; only those that say something."""
    return tuple((visible(name.replace("_", " ")), visible(value)) for name, value in facts.items() if value)


def parse(text: str) -> ArmId | None:
    """The ARM id that a text is, None where it is none."""
    try:
        return ArmId.parse(text)
    except InvalidIdError:
        return None


def resource_of(id_: ArmId) -> Resource:
    """An ARM id as it is shown."""
    segments = str(id_).split("/")
    group = segments[4] if len(segments) > 4 else ""  # noqa: PLR2004  /subscriptions/<id>/resourceGroups/<group>
    return Resource(name=visible(id_.name), group=visible(group), id=visible(str(id_)))


def target_of(target: Target) -> Resource:
    """A site by its name, a slot by its site's and its own."""
    resource = resource_of(target.id)
    return replace(resource, name=f"{visible(target.site.name)}/{resource.name}") if target.slot else resource


def short_ids(message: str) -> str:
    """A sentence with the last names of its ARM ids, but for those that are to be typed in a command."""
    words = message.split(" ")
    before = ["", *words]
    return " ".join(
        word.rsplit("/", 1)[-1] if word.startswith("/subscriptions/") and last not in _TYPED else word
        for last, word in zip(before, words, strict=False)
    )


_TYPED = frozenset({"explain", "decide", "request", "--id", "--ids"})


def chain_name(chain: str) -> str:
    """A chain by its target's name."""
    if chain == SYSTEM_CHAIN:
        return chain
    parsed = parse(chain)
    return visible(parsed.name.lower() if parsed else chain)  # A chain's name is folded to upper case.


# Anchors are digests, so that nothing from outside gets into an attribute that means something.


def link_anchor(view: LinkView) -> str:
    """Of a connection, or of a link without one: the same in every report."""
    about = view.connection or view.link
    return f"connection-{digest([about.key if about else '', view.target.id.key])[:_ANCHOR]}"


def held_anchor(decision_id: str) -> str:
    """Of a decision's evidence."""
    return f"held-{digest(decision_id)[:_ANCHOR]}"


def record_anchor(chain: str, sequence: int) -> str:
    """Of a record of the ledger."""
    return f"record-{digest([chain, sequence])[:_ANCHOR]}"


def traffic_anchor(target: Target) -> str:
    """Of a target's traffic: the same in every report."""
    return f"traffic-{digest(target.id.key)[:_ANCHOR]}"
