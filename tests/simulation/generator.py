"""From a seed to a story."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from tests.simulation.story import START, Act, Action, Fault, RuleSpec, ServiceSpec, Story, TargetSpec
from tests.simulation.world import STALE_FOR

SLOT: Final = "staging"
NAMES: Final = ("func-pe", "hub-pe")
MESSAGES: Final = ("please approve", "please approve", "", "ticket 4711")
EARLY: Final = STALE_FOR + 5
"""Seconds by which a connection comes before its link's Succeeded, where it does: more than a list lags."""


def story_of(seed: int) -> Story:
    """The story of a seed."""
    return _Author(seed).write()


class _Author:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"story {seed}")
        self.late = self.rng.random() < 0.3
        self.revoking = self.rng.random() < 0.12
        """Whether it is about approvals that end with their rules, which takes hours."""
        self.duration = self.rng.choice((7200.0, 9000.0) if self.revoking else (1200.0, 1800.0, 3600.0))
        self.actions: list[Action] = []

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def write(self) -> Story:
        rng = self.rng
        services = self._services()
        targets = self._targets()
        rules = self._rules(len(targets))
        if self.revoking:
            for target in range(len(targets)):
                self._link(rules, target, rng.uniform(0, 900))
            self._rules_go(len(targets), len(services))
        else:
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
                self._link(rules, rng.randrange(len(targets)), rng.uniform(0, self.duration * 0.5))
        if self.chance(0.25) and len(services) > 1:
            self._attackers_link(services)
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            self._operator(len(targets))
        return Story(
            seed=self.seed,
            late=self.late,
            services=services,
            targets=targets,
            rules=rules,
            # Afterwards all is calm, so that it can be told how things end.
            actions=tuple(
                sorted(
                    (replace(action, at=min(action.at, self.duration - 1)) for action in self.actions),
                    key=lambda action: action.at,
                )
            ),
            faults=self._faults(),
            skews=tuple(rng.choice((0.0, 0.0, rng.uniform(-300, 300))) for _ in range(rng.choice((1, 2, 2, 3)))),
            enforce=self.chance(0.96),
            take_back=rng.choice(("contradiction",) * 7 + ("deadline", "never")),
            deadline=rng.choice((600.0, 1200.0, 3600.0)),
            per_target=5 if self.revoking else rng.choice((5, 5, 1, 2)),
            per_hour=100 if self.revoking else rng.choice((100, 100, 1, 1, 2)),
            rejects_approved=self.chance(0.6),
            deletes=self.chance(0.7),
            approving=rng.choice((1.0, 60.0, 60.0, -1.0)),
            sweep_every=rng.choice((600.0, 900.0, 1200.0) if self.revoking else (300.0, 600.0, 600.0, 900.0)),
            duration=self.duration,
        )

    # Who is there

    def _services(self) -> tuple[ServiceSpec, ...]:
        first = ServiceSpec(subscription=0, tier="Free" if self.chance(0.02) else "Standard")
        others = [ServiceSpec(subscription=self.rng.choice((0, 1, 1, -1))) for _ in range(self.rng.choice((0, 0, 1, 2)))]
        return (first, *others)

    def _targets(self) -> tuple[TargetSpec, ...]:
        rng = self.rng
        return tuple(
            TargetSpec(
                slot=SLOT if self.chance(0.15) else "",
                exposure=rng.choice(("Enabled", "Enabled", "Disabled", "")),
                tier=rng.choice(("PremiumV3",) * 12 + ("PremiumV4", "Free")) if not self.revoking else "PremiumV3",
            )
            for _ in range(rng.choice((1, 2, 3, 5, 6) if self.revoking else (1, 1, 2)))
        )

    def _rules(self, targets: int) -> tuple[RuleSpec, ...]:
        rng = self.rng
        rules = []
        for target in range(targets):
            if self.chance(0.01 if self.revoking else 0.05):
                continue
            signed = self.chance(0.1 if self.revoking else 0.2)
            pinned = self.chance(0.15)
            rules.append(
                RuleSpec(
                    id=f"rule{target}",
                    service=0,
                    target=target,
                    signed=signed,
                    pinned=pinned,
                    message=rng.choice((None, None, None, "please approve")) if not signed and not self.revoking else None,
                    template=rng.choice(("{signalr}-{link}", "{signalr}-*")) if (signed or pinned) and self.chance(0.5) else "",
                    accept_exposure_change=self.chance(0.9 if self.revoking else 0.5),
                    expires=START.date().isoformat() if self.chance(0.04) else "",
                    on_removal="revoke" if self.chance(0.85 if self.revoking else 0.1) else "",
                )
            )
        if self.chance(0.1):
            rules.append(RuleSpec(id="anywhere", service=rng.choice((0, None)), target=None))
        if self.chance(0.05):
            rules.append(RuleSpec(id="denied", service=None, target=0, deny=True))
        return tuple(rules)

    def _faults(self) -> tuple[Fault, ...]:
        if self.chance(0.15):
            return ()
        likely = self.rng.choice((0.1, 0.25, 0.5))
        return tuple(fault for fault in Fault if self.chance(likely))

    # What happens

    def _link(self, rules: tuple[RuleSpec, ...], target: int, begin: float) -> None:
        rng = self.rng
        signed = any(rule.signed for rule in rules if rule.target == target)
        message = "signed" if signed and self.chance(0.9) else rng.choice(MESSAGES)
        # Teams deploy many things at once.
        others = [action.at for action in self.actions if action.act is Act.MAKE_LINK]
        at = others[0] if others and self.chance(0.4) else begin
        # A name for each target where all are to be there at once.
        link = self._making(at, target, f"pe-{target}" if self.revoking else rng.choice(NAMES), message)
        self.actions.append(link)
        for _ in range(rng.choice((0,) * 11 + (1,) if self.revoking else (0, 0, 1, 1, 2))):
            self._impostor(link)
        if self.chance(0.05 if self.revoking else 0.15):
            gone = at + rng.uniform(20, self.duration * 0.4)
            self.actions.append(Action(at=gone, act=Act.DELETE_LINK, target=target, name=link.name))
            if self.chance(0.7):
                # Whoever applies the same file again sends the same signed message again.
                same = "stolen" if message == "signed" else message
                again = self._making(gone + rng.uniform(45, 400), target, link.name, rng.choice((message, same)))
                self.actions.append(again)
                if self.chance(0.4):
                    self._impostor(again)

    def _making(self, at: float, target: int, name: str, message: str) -> Action:
        rng = self.rng
        provisioned = rng.uniform(40, 240)
        connects = rng.uniform(1, provisioned - EARLY)
        if self.late and self.chance(0.7):
            connects = provisioned + rng.uniform(0, rng.choice((60, 900)))
        stuck = self.chance(0.06)
        return Action(
            at=at,
            act=Act.MAKE_LINK,
            target=target,
            name=name,
            message=message,
            provisioned_after=provisioned,
            connects_after=connects,
            ends="Running" if self.chance(0.03) else rng.choice(("Succeeded",) * 20 + ("Failed",)),
            replicas=1 if self.chance(0.04) else 0,
            shows_after=-1.0 if stuck else rng.choice((rng.uniform(5, 200), rng.uniform(5, 200), rng.uniform(200, 3600))),
            null_for=rng.uniform(10, 1800) if self.chance(0.1) else 0.0,
            dated=self.chance(0.75),
        )

    def _impostor(self, link: Action) -> None:
        rng = self.rng
        # Before the link, with it, between its connection and its approval, and long after.
        reference = link.at + rng.choice((0.0, link.connects_after, link.provisioned_after, link.provisioned_after + 60))
        at = reference + rng.choice((rng.uniform(-300, -1), rng.uniform(-20, 20), rng.uniform(0, 120), rng.uniform(0, 2000)))
        copied = "stolen" if link.message == "signed" else link.message
        self.actions.append(
            Action(
                at=max(0.0, at),
                act=Act.IMPOSTOR,
                target=link.target,
                name=link.name if self.chance(0.85) else "other-pe",
                message=rng.choice((copied,) * 8 + ("let me in", f"{copied} " if copied != "stolen" else copied)),
                many=rng.choice((1,) * 24 + (2, 2, 2, 2, 2, 7, 7, 15)),
                pinned=self.chance(0.5),
            )
        )
        if self.chance(0.3):
            self.actions.append(Action(at=max(0.0, at) + rng.uniform(5, 900), act=Act.IMPOSTOR_LEAVES, pick=0))

    def _attackers_link(self, services: tuple[ServiceSpec, ...]) -> None:
        """A SignalR of the attacker's own, with a link of the same name and message."""
        rng = self.rng
        copied = rng.choice([action for action in self.actions if action.act is Act.MAKE_LINK])
        theirs = self._making(max(0.0, copied.at + rng.uniform(-300, 300)), copied.target, copied.name, copied.message)
        message = "stolen" if copied.message == "signed" else copied.message
        service = rng.randrange(1, len(services))
        self.actions.append(replace(theirs, service=service, message=message))

    def _rules_go(self, targets: int, services: int) -> None:
        """Rules are removed, changed and brought back, while what they approved stands."""
        rng = self.rng
        if self.chance(0.2):
            act = rng.choice((Act.ASK_FOR_REVOKING, Act.NO_REVOKING, Act.RENAME_RULES))
            self.actions.append(Action(at=rng.uniform(0, 2400), act=act))
        at = rng.uniform(1500, 3000)
        if self.chance(0.2):
            self.actions.append(Action(at=at - rng.uniform(1, 600), act=Act.CLI_ADOPT, pick=rng.randrange(targets)))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            act = rng.choice((Act.REMOVE_RULE,) * 5 + (Act.MOVE_RULES, Act.EXPIRE_RULES))
            many = rng.choice((1, 2, 3, targets, targets))
            self.actions.append(Action(at=at, act=act, many=many, service=rng.randrange(services)))
            at += rng.choice((rng.uniform(5, 600), rng.uniform(600, 5000)))
        if self.chance(0.3):
            act = rng.choice((Act.OTHER_WORDS, Act.PAUSE, Act.BREAK, Act.OBSERVE))
            self.actions.append(Action(at=at, act=act, genuine=self.chance(0.5)))
        if self.chance(0.3):
            self.actions.append(Action(at=at + rng.uniform(5, 6000), act=Act.MEND))
        if self.chance(0.2):
            self._in_a_revoked_name()

    def _in_a_revoked_name(self) -> None:
        """SignalR never notices anything, an impostor comes long after the rules have gone, and then they come back."""
        rng = self.rng
        self.duration += 5400.0
        for place, action in enumerate(self.actions):
            if action.act is Act.MAKE_LINK:
                self.actions[place] = replace(action, shows_after=-1.0)
        link = rng.choice([action for action in self.actions if action.act is Act.MAKE_LINK])
        message = "stolen" if link.message == "signed" else link.message
        end = self.duration - rng.uniform(900, 1800)
        copied = Action(at=end - rng.uniform(5, 1800), act=Act.IMPOSTOR, target=link.target, name=link.name, message=message)
        self.actions += [replace(copied, pinned=True), Action(at=end, act=Act.MEND)]

    def _operator(self, targets: int) -> None:
        rng = self.rng
        at = rng.uniform(0, self.duration)
        target = rng.randrange(targets)
        act = rng.choice(
            (
                Act.PORTAL_APPROVE, Act.PORTAL_REJECT, Act.PORTAL_REJECT, Act.PORTAL_DELETE, Act.CLI_APPROVE, Act.CLI_APPROVE,
                Act.CLI_REJECT, Act.CLI_REJECT, Act.CLI_ADOPT, Act.CLI_SWEEP, Act.PAUSE, Act.BREAK, Act.DENY, Act.REMOVE_RULE,
                Act.OTHER_WORDS, Act.RENAME_RULES, Act.EXPIRE_RULES, Act.OBSERVE,
            )
        )  # fmt: skip
        self.actions.append(Action(at=at, act=act, target=target, pick=rng.choice((0, 0, 1)), genuine=self.chance(0.6)))
        if act in {Act.PAUSE, Act.BREAK, Act.DENY, Act.REMOVE_RULE, Act.EXPIRE_RULES} and self.chance(0.7):
            self.actions.append(Action(at=at + rng.uniform(10, 1500), act=Act.MEND))
        if act is Act.OBSERVE and self.chance(0.6):
            self.actions.append(Action(at=at + rng.uniform(10, 1500), act=Act.ENFORCE))
