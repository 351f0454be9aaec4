"""``linkguard decide``: a person's decision, with the evidence before them."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import Answer, Common, Group, command
from shared.cli.terminal import complain, confirm, is_interactive, style_of, tell
from shared.core.arm_id import ArmId
from shared.core.errors import ConfigError, LinkguardError
from shared.core.history import HumanDecision
from shared.core.model import ConnectionStatus
from shared.core.verdict import Mode
from shared.report.checks_text import hand_text
from shared.report.documents import HandDocument, HandItem
from shared.report.escape import clean
from shared.report.exit_codes import ExitCode
from shared.report.explain_text import explain_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.bootstrap.application import Application
    from shared.services.explain import Explanation

COMMANDS: Final = Group()

_LONGEST_NOTE = 1000
_LOOKS = 10
"""How often the evidence may change before a person's eyes until we give up."""


@command(COMMANDS, "decide")
@click.argument("subject", required=False, metavar="[CONNECTION_ID]", help="The ARM id of the connection.")
@click.option("--approve", is_flag=True, help="Approve it, although the evidence does not.")
@click.option("--reject", is_flag=True, help="Reject it, now and whenever its link asks again.")
@click.option("--adopt", is_flag=True, help="Take over as explained what is Approved already.")
@click.option("--all", "everything", is_flag=True, help="With --adopt: everything Approved that the ledger does not explain.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is recorded.")
@click.option("--ticket", default="", metavar="T", help="Where it was agreed; it is recorded.")
@click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
async def run(  # noqa: PLR0913  one option each
    common: Common,
    *,
    subject: str | None,
    approve: bool,
    reject: bool,
    adopt: bool,
    everything: bool,
    reason: str,
    ticket: str,
    yes: bool,
) -> Answer:
    """Decide about a connection as a person: approve, reject, or adopt what is approved already.

    Shows the evidence, asks, records who decided and why, then does it.
    """
    from shared.bootstrap.application import open_application  # noqa: PLC0415  not needed to show help

    chosen = {HumanDecision.APPROVE: approve, HumanDecision.REJECT: reject, HumanDecision.ADOPT: adopt}
    decisions = [decision for decision, wanted in chosen.items() if wanted]
    connection = ArmId.parse(subject) if subject is not None else None
    if problems := _problems(decisions, connection, everything=everything, reason=reason, ticket=ticket, yes=yes):
        raise ConfigError(problems)
    async with open_application(common.environ) as application:
        hand = _Hand(application, common, decisions[0], reason=reason.strip(), ticket=ticket.strip(), asks=not yes)
        document, code = await (hand.decide_all() if connection is None else hand.decide(connection))
    return Answer(document, partial(hand_text, document), code)


def _problems(  # noqa: PLR0913  all that the command line says
    decisions: list[HumanDecision], connection: ArmId | None, *, everything: bool, reason: str, ticket: str, yes: bool
) -> list[str]:
    problems = []
    if len(decisions) != 1:
        problems.append("say what you decide: exactly one of --approve, --reject, --adopt")
    if everything and decisions != [HumanDecision.ADOPT]:
        problems.append("--all goes with --adopt alone")
    if everything == (connection is not None):
        problems.append("give the id of one connection, or --adopt --all")
    if not reason.strip():
        problems.append("--reason: say why; whoever reads the ledger will want to know")
    problems += [
        f"{name}: at most {_LONGEST_NOTE} characters"
        for name, text in (("--reason", reason), ("--ticket", ticket))
        if len(text) > _LONGEST_NOTE
    ]
    if not yes and not is_interactive():
        problems.append("there is no terminal to ask on: look at linkguard explain, then repeat with --yes")
    return problems


class _Hand:
    """A person's hand: one decision, for one connection or for several."""

    def __init__(  # noqa: PLR0913  whose hand, and all that the command line says
        self, application: Application, common: Common, decision: HumanDecision, *, reason: str, ticket: str, asks: bool
    ) -> None:
        self._application = application
        self._common = common
        self._decision = decision
        self._reason = reason
        self._ticket = ticket
        self._asks = asks

    async def decide(self, connection: ArmId) -> tuple[HandDocument, ExitCode]:
        """About one connection, once the person has seen its evidence as it is now."""
        from shared.services.explain import explain  # noqa: PLC0415  not needed to show help

        by = await self._application.identity()
        explanation = await explain(self._application.engine, connection)
        self._show(explanation, connection)
        for _ in range(_LOOKS if self._asks else 0):
            if not confirm(f"{self._decision.value} this connection, as {by}?"):
                return self._nothing_done(by)
            again = await explain(self._application.engine, connection)
            if _seen(again) == _seen(explanation):
                break
            explanation = again
            complain("the evidence has changed since it was shown; this is how it is now")
            self._show(explanation, connection)
        item, code = await self._carry_out(connection, _state(explanation, connection), by)
        return HandDocument(by=by, decisions=(item,)), code

    async def decide_all(self) -> tuple[HandDocument, ExitCode]:
        """Adopt everything that is approved and not explained."""
        from shared.services.human import adoptable  # noqa: PLC0415  not needed to show help

        by = await self._application.identity()
        found = await adoptable(self._application.engine)
        for connection in found:
            tell(f"{clean(str(connection))}\n")
        if (
            found
            and self._asks
            and not confirm(f"adopt {'this connection' if len(found) == 1 else f'these {len(found):,} connections'}, as {by}?")
        ):
            return self._nothing_done(by)
        gate = asyncio.Semaphore(self._application.settings.concurrency)

        async def adopt(connections: Iterable[ArmId]) -> list[tuple[HandItem, ExitCode]]:
            async with gate:
                return [await self._carry_out(connection, ConnectionStatus.APPROVED, by) for connection in connections]

        # One target's after one another: they share a chain of the ledger. What was found is sorted, so a target's are together.
        by_target = [list(some) for _, some in groupby(found, key=lambda connection: connection.parent)]
        done = list(chain.from_iterable(await asyncio.gather(*map(adopt, by_target))))
        code = max((code for _, code in done), default=ExitCode.OK)
        return HandDocument(by=by, decisions=tuple(item for item, _ in done)), code

    def _show(self, explanation: Explanation, connection: ArmId) -> None:
        """To standard error, where the question comes too: standard output has the answer alone."""
        from shared.cli.present import explain_document  # noqa: PLC0415  not needed to show help

        document = explain_document(explanation, connection, self._application.settings.mode)
        tell(explain_text(document, style_of(sys.stderr, self._common.environ)) + "\n")

    def _nothing_done(self, by: str) -> tuple[HandDocument, ExitCode]:
        complain("not confirmed: nothing was recorded or written")
        return HandDocument(by=by, decisions=()), ExitCode.ATTENTION

    async def _carry_out(self, connection: ArmId, state: ConnectionStatus, by: str) -> tuple[HandItem, ExitCode]:
        from shared.services.human import decide_by_hand  # noqa: PLC0415  not needed to show help

        try:
            result = await decide_by_hand(
                self._application.engine, connection, self._decision, reason=self._reason, ticket=self._ticket, by=by
            )
        except ConfigError:
            raise
        except LinkguardError as error:
            return self._item(connection, None, written=False, ok=False, message=str(error)), ExitCode.INCOMPLETE
        ok = result.written or not self._is_to_write(state)
        item = self._item(connection, result.record, written=result.written, ok=ok, message=result.message)
        return item, ExitCode.OK if ok else ExitCode.INCOMPLETE

    def _is_to_write(self, state: ConnectionStatus) -> bool:
        if self._decision is HumanDecision.ADOPT or self._application.settings.mode is Mode.OBSERVE:
            return False
        return not (self._decision is HumanDecision.REJECT and state is ConnectionStatus.REJECTED)

    def _item(self, connection: ArmId, record: str | None, *, written: bool, ok: bool, message: str) -> HandItem:
        return HandItem(
            connection=connection, decision=self._decision.value, record=record, written=written, ok=ok, message=message
        )


def _seen(explanation: Explanation) -> list[str]:
    """What a person has seen, the same where nothing but time has passed.

    A look that is not recorded sees a connection that no sweep has seen for the first time, each time.
    """
    return [replace(decision.evidence, first_seen=None).digest() for decision in explanation.decisions]


def _state(explanation: Explanation, connection: ArmId) -> ConnectionStatus:
    found = (one.status for one in explanation.observation.connections if one.id == connection)
    return next(found, ConnectionStatus.UNKNOWN)
