"""The allowlist of a story: the document that the engine reads, and the same as data for the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from shared.ports import Document
from tests.simulation.story import RuleSpec
from tests.simulation.world import GROUP, PINNED, SUBSCRIPTIONS, World

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.model import Target


SOURCE: Final = "memory:allowlist.yaml"


@dataclass(frozen=True, slots=True)
class Rules:
    """One version of the allowlist; ``valid`` is False for a document that cannot be parsed."""

    specs: tuple[RuleSpec, ...]
    paused: bool = False
    valid: bool = True


@dataclass(slots=True)
class Editor:
    """Writes documents and remembers what each of them means."""

    world: World
    meaning: dict[str, Rules] = field(default_factory=dict)
    """By text."""
    digests: dict[str, Rules] = field(default_factory=dict)
    """By the digest that decisions record."""
    editions: int = 0

    def back_to(self, rules: Rules) -> Document:
        """The first document that said this, to the byte: as when a change is reverted."""
        text = next((text for text, meant in self.meaning.items() if meant == rules), None)
        return Document(source=SOURCE, text=text) if text is not None else self.write(rules)

    def write(self, rules: Rules) -> Document:
        """A new edition, with a digest of its own."""
        self.editions += 1
        lines = [f"# edition {self.editions}", "version: 1", f"paused: {str(rules.paused).lower()}"]
        lines.append("rules:" if rules.specs else "rules: []")
        for spec in rules.specs:
            lines += self._rule(spec)
        if not rules.valid:
            lines.append("surprise: true")
        text = "\n".join(lines) + "\n"
        self.meaning[text] = self.digests[digest_of(text)] = rules
        return Document(source=SOURCE, text=text)

    def _rule(self, spec: RuleSpec) -> list[str]:
        world = self.world
        root = f"/subscriptions/{SUBSCRIPTIONS[0]}/resourceGroups/{GROUP}/providers"
        anywhere = f"{root}/Microsoft.SignalRService/signalR/*"
        service = anywhere if spec.service is None else str(world.services[spec.service])
        target = None if spec.target is None else world.targets[spec.target]
        lines = [
            f"  - id: {spec.id}",
            f"    effect: {'deny' if spec.deny else 'allow'}",
            f"    signalr: {service}",
            f"    target: {target.site if target else f'{root}/Microsoft.Web/sites/*'}",
        ]
        if target is not None and target.slot:
            lines.append(f"    slots: [{target.slot}]")
        if spec.expires:
            lines.append(f"    expires: {spec.expires}")
        if spec.deny:
            return lines
        if spec.signed:
            lines.append("    request_message: {signed: true}")
        elif spec.message is not None:
            lines.append(f"    request_message: {spec.message}")
        if spec.pinned:
            lines.append(f"    endpoint_subscriptions: [{PINNED}]")
        if spec.template:
            lines.append(f'    endpoint_name: "{spec.template}"')
        if spec.accept_exposure_change:
            lines.append("    accept_exposure_change: true")
        if spec.on_removal:
            lines.append(f"    on_removal: {spec.on_removal}")
        return lines


def digest_of(text: str) -> str:
    """What decisions record of a document."""
    return sha256(text.encode()).hexdigest()


def is_about(spec: RuleSpec, service: ArmId, target: Target, world: World) -> bool:
    """Whether a rule names this service and this target."""
    return names_service(spec, service, world) and names_target(spec, target, world)


def names_service(spec: RuleSpec, service: ArmId, world: World) -> bool:
    if spec.service is None:
        return service.subscription.lower() == SUBSCRIPTIONS[0] and service.resource_group.lower() == GROUP
    return world.services[spec.service] == service


def names_target(spec: RuleSpec, target: Target, world: World) -> bool:
    return target.slot is None if spec.target is None else world.targets[spec.target] == target
