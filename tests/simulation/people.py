"""Operators and attackers: what a story's people do, at Azure's portal, at the allowlist and at a desk."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.errors import AzureError, LinkguardError
from shared.core.event import Verb
from shared.core.history import HumanDecision
from shared.core.model import CONNECTION_CHILD
from shared.services.human import decide_by_hand
from shared.services.wait import sweep_until_done
from tests.simulation.frame import forget
from tests.simulation.ports import Process
from tests.simulation.story import START, Act, Fault, RuleSpec
from tests.simulation.workers import tell, with_sweep

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Sequence

    from tests.simulation.rules import Editor, Rules
    from tests.simulation.story import Action
    from tests.simulation.workers import Queue, Setting, Worker

_BY_HAND = {
    Act.CLI_APPROVE: HumanDecision.APPROVE,
    Act.CLI_REJECT: HumanDecision.REJECT,
    Act.CLI_ADOPT: HumanDecision.ADOPT,
}


_AT_THE_PORTAL = {
    Act.PORTAL_APPROVE: "approve in the portal",
    Act.PORTAL_REJECT: "reject in the portal",
    Act.PORTAL_DELETE: "delete a connection in the portal",
}
YESTERDAY = (START - timedelta(days=1)).date().isoformat()


def _edited(specs: tuple[RuleSpec, ...], action: Action) -> tuple[RuleSpec, ...]:  # noqa: PLR0911  one case an act
    """The rules as somebody leaves them who means to change no more than that."""
    match action.act:
        case Act.DENY:
            deny = RuleSpec(id=f"deny{action.target}", service=None, target=action.target, deny=True)
            return (*(spec for spec in specs if spec.id != deny.id), deny)
        case Act.REMOVE_RULE:
            return specs[action.many :]
        case Act.RENAME_RULES:
            return tuple(replace(spec, id=f"again-{spec.id}"[:40]) for spec in specs)
        case Act.MOVE_RULES:
            return tuple(replace(spec, service=action.service) for spec in specs)
        case Act.EXPIRE_RULES:
            return tuple(replace(spec, expires=YESTERDAY) for spec in specs)
        case Act.ASK_FOR_REVOKING | Act.NO_REVOKING:
            asked = "revoke" if action.act is Act.ASK_FOR_REVOKING else ""
            return tuple(spec if spec.deny or spec.target is None else replace(spec, on_removal=asked) for spec in specs)
        case _:
            return specs


class People:
    """Everybody who is not Linkguard."""

    def __init__(self, setting: Setting, editor: Editor, rules: Rules, queue: Queue, workers: Sequence[Worker]) -> None:
        self._setting = setting
        self._editor = editor
        self._first = self._rules = rules
        self._queue = queue
        self._workers = workers
        self.desks: set[asyncio.Task[None]] = set()
        world = setting.world
        for action in setting.story.actions:
            world.loop.call_later(action.at, self._act, action)
        world.on_link_made = lambda link: queue.event(Verb.WRITE, str(link.id))
        world.on_link_deleted = lambda link: queue.event(Verb.DELETE, str(link.id))
        world.on_decided = lambda connection: queue.event(Verb.WRITE, str(connection.id))
        if Fault.FORGED_EVENTS in setting.story.faults:
            for _ in range(4):
                world.loop.call_later(world.rng.uniform(10, setting.story.duration), self._forge)

    @property
    def rules(self) -> Rules | None:
        """The allowlist as it is; None where it cannot be read."""
        return self._rules if self._setting.shelf.document is not None and self._rules.valid else None

    def _forge(self) -> None:
        """An event about what is not there, or is not ours, or is no id at all."""
        world = self._setting.world
        world.happened.note("an event forged")
        target = world.rng.choice(world.targets)
        if world.rng.random() < 0.3:
            world.happened.note("a message that is none")
            self._queue.insert(world.rng.choice(("junk", '{"v":1,"id":"/subscriptions/junk","attempt":1}')), timedelta())
        self._queue.event(
            world.rng.choice(tuple(Verb)),
            world.rng.choice(
                (
                    "/subscriptions/junk\r\nX: y",
                    str(target.id.child(CONNECTION_CHILD, "not-there")),
                    str(world.rng.choice(world.services).child("sharedPrivateLinkResources", "not-there")),
                    str(world.rng.choice([*world.connections, target.id])),
                )
            ),
        )

    def _act(self, action: Action) -> None:
        world, setting = self._setting.world, self._setting
        setting.say("people", f"{action.act.value}{f' {action.name}' if action.name else ''}")
        match action.act:
            case Act.MAKE_LINK:
                world.make_link(action)
            case Act.DELETE_LINK:
                world.delete_link(action)
            case Act.IMPOSTOR:
                world.impostor(action)
            case Act.IMPOSTOR_LEAVES:
                world.impostor_leaves(action)
            case Act.PORTAL_APPROVE | Act.PORTAL_REJECT | Act.PORTAL_DELETE:
                self._at_the_portal(action)
            case Act.CLI_APPROVE | Act.CLI_REJECT | Act.CLI_ADOPT:
                self._at_a_desk(self._decide(action))
            case Act.CLI_SWEEP:
                self._at_a_desk(self._sweep())
            case Act.OBSERVE | Act.ENFORCE:
                world.happened.note(f"deploy the app anew, in {action.act.value} mode")
                self._deploy(enforce=action.act is Act.ENFORCE)
            case _:
                self._edit(action)

    def _deploy(self, *, enforce: bool) -> None:
        """Every worker begins anew; whoever sits at a desk goes on."""
        self._setting.world.enforce = enforce
        for worker in self._workers:
            if worker.process is not None:
                worker.process.die()

    def _at_the_portal(self, action: Action) -> None:
        world = self._setting.world
        meant = world.pick(action.pick, genuine=action.genuine)
        if meant is None:
            return
        try:
            match action.act:
                case Act.PORTAL_APPROVE:
                    world.decide(meant.connection.id, "Approved", "fine", "portal")
                case Act.PORTAL_REJECT:
                    world.decide(meant.connection.id, "Rejected", "no", "portal")
                case _:
                    world.delete(meant.connection.id, "portal")
        except AzureError as error:
            self._setting.say("people", f"refused: {error}")
        else:
            world.happened.note(_AT_THE_PORTAL[action.act])

    def _edit(self, action: Action) -> None:
        shelf, note = self._setting.shelf, self._setting.world.happened.note
        match action.act:
            case Act.PAUSE:
                note("pause the allowlist")
                self._rules = replace(self._rules, paused=True)
            case Act.MEND:
                note("revert the allowlist")
                self._rules = self._first
                shelf.document = self._editor.back_to(self._first)
                return
            case Act.BREAK if action.genuine:
                note("break the allowlist: not valid")
                self._rules = replace(self._rules, valid=False)
            case Act.BREAK:
                note("break the allowlist: unreadable")
                shelf.document = None
                return
            case _:
                note("edit the allowlist")
                self._rules = replace(self._rules, specs=_edited(self._rules.specs, action))
        shelf.document = self._editor.write(self._rules)

    # At a desk

    def _at_a_desk(self, work: Coroutine[None, None, None]) -> None:
        task = self._setting.world.loop.create_task(work)
        self.desks.add(task)
        task.add_done_callback(self.desks.discard)

    def _desk(self) -> Process:
        self._setting.world.happened.note("a person at a desk runs the engine beside them")
        return Process("desk", self._setting.chaos, enforce=self._setting.world.enforce, may_die=False)

    async def _decide(self, action: Action) -> None:
        forget()
        meant = self._setting.world.pick(action.pick, genuine=action.genuine)
        if meant is None:
            return
        engine = self._setting.engine(self._desk())
        decision = _BY_HAND[action.act]
        try:
            result = await decide_by_hand(
                engine, meant.connection.id, decision, reason="because", ticket="", by="00000000-0000-0000-0000-00000000beef"
            )
        except LinkguardError as error:
            self._setting.say("desk", f"cannot {decision.value}: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001  what the engine raises without announcing it is a bug
            self._setting.checker.broken(5, f"a person's decision raises {type(error).__name__}: {error}")
        else:
            self._setting.world.happened.note(f"{decision.value} at a desk")
            self._setting.say("desk", f"{decision.value}: {result.message}")

    async def _sweep(self) -> None:
        forget()
        with_sweep(self._setting.world)
        self._setting.world.happened.note("sweep --wait at a desk")
        engine = self._setting.engine(self._desk())
        try:
            tell(self._setting, await sweep_until_done(engine, timeout=timedelta(minutes=5)))
        except LinkguardError as error:
            self._setting.say("desk", f"the sweep fails: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001  what the engine raises without announcing it is a bug
            self._setting.checker.broken(5, f"a sweep at a desk raises {type(error).__name__}: {error}")
