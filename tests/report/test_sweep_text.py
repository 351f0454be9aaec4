"""A sweep as text, for somebody who was woken up by it."""

from __future__ import annotations

import re

import pytest

from shared.core.arm_id import ArmId
from shared.core.finding import FindingId, Severity
from shared.core.reason import Code, Reason
from shared.core.verdict import Mode, Strength
from shared.report.style import Style
from shared.report.sweep_text import sweep_text
from tests.report.documents import connection_named, decision, finding, reason, sweep

ANSI = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nApproved by Linkguard\u202e [bold]x[/bold]\ud800"


def headings(text: str) -> list[str]:
    """The first line of each block."""
    blocks = text.split("\n\n")[1:-1]
    return [block.splitlines()[0] for block in blocks]


def test_the_worst_comes_first() -> None:
    """Critical findings and suspected impostors, then what is held, then what would be approved, what waits, what is done."""
    impostor = decision("impostor")
    document = sweep(
        decision("done", "approve", "confirmed", state="Approved"),
        decision("waits", "wait"),
        decision("wanted", "approve", "not_written"),
        decision("held"),
        impostor,
        findings=(
            finding(FindingId.IMPOSTOR_SUSPECTED, decision=impostor.decision_id),
            finding(FindingId.TARGET_UNREADABLE),
            finding(FindingId.BUDGET_SPENT, Severity.WARNING),
        ),
    )
    assert headings(sweep_text(document)) == [
        "CRITICAL  target_unreadable",
        "HELD  critical  impostor  to contoso-func",
        "HELD  held  to contoso-func",
        "WARNING  budget_spent",
        "NOT WRITTEN  wanted  to contoso-func",
        "WAITING  waits  to contoso-func",
        "APPROVED, confirmed  done  to contoso-func",
    ]


def test_the_last_line_says_what_is_needed() -> None:
    """It is what is on the screen when the command ends."""
    document = sweep(decision("a"), decision("b"), decision("c", "wait"), findings=(finding(),), complete=False)
    last = sweep_text(document).splitlines()[-1]
    assert last == "not everything could be read, 1 critical, 2 held, 1 waiting, 1 other finding."


def test_a_quiet_night() -> None:
    """Nothing to do is said in one line, and what there is is counted."""
    document = sweep(
        decision("a", "settled", "confirmed", state="Approved"),
        decision("b", "settled", state="Approved"),
        decision("c", "settled", state="Rejected"),
    )
    assert sweep_text(document).splitlines()[-2:] == [
        "Nothing to decide about: 2 Approved, 1 Rejected.",
        "Nothing needs a person.",
    ]


@pytest.mark.parametrize("outcome", ["ambiguous", "taken_back"])
def test_what_went_wrong_after_an_approval_is_never_only_counted(outcome: str) -> None:
    """The connection is in a final state; a person is needed all the same."""
    text = sweep_text(sweep(decision("wrong", "settled", outcome, state="Approved")))
    assert headings(text)[0].startswith(outcome.upper().replace("_", " "))
    assert "linkguard explain" in text


def test_every_reason_shows_with_its_facts_and_what_would_resolve_it() -> None:
    """Not only the first."""
    item = decision(
        reasons=(
            reason(Code.NAME_DIFFERS, message="the name does not fit", endpoint="evil", resolve="endpoint_name: <template>"),
            reason(Code.DENIED, message="a deny rule names it", rule="no-strangers"),
        )
    )
    text = sweep_text(sweep(item))
    for part in (
        "name_differs: the name does not fit",
        "endpoint  evil",
        "resolve   endpoint_name: <template>",
        "denied: a deny rule",
    ):
        assert part in text


def test_a_finding_that_a_decisions_block_tells_has_none_of_its_own() -> None:
    """One connection a block. A finding whose decision is not shown is."""
    item = decision("held")
    told = finding(FindingId.CONNECTION_HELD, Severity.WARNING, decision=item.decision_id)
    stray = finding(FindingId.CONNECTION_HELD, Severity.WARNING, decision="0" * 64)
    assert len(headings(sweep_text(sweep(item, findings=(told,))))) == 1
    assert len(headings(sweep_text(sweep(item, findings=(told, stray))))) == 2


def test_what_to_type_next_is_one_line_that_can_be_pasted() -> None:
    """Whatever the width: a broken command is none."""
    item = decision("func-pe-11111111-1111-1111-1111-111111111111")
    text = sweep_text(sweep(item), Style(width=60, colour=True))
    assert f"linkguard explain {item.connection}" in ANSI.sub("", text).splitlines()[-3].strip()


def test_a_pasted_command_runs_nothing_of_a_name() -> None:
    """A connection's name is chosen by whoever asks for it."""
    text = sweep_text(sweep(decision("x$(reboot);`reboot`")))
    (command,) = (line.split("next", 1)[1].strip() for line in text.splitlines() if line.startswith("  next"))
    assert command == f"linkguard explain '{connection_named('x$(reboot);`reboot`')}'"


@pytest.mark.parametrize("style", [Style(), Style(width=80, colour=True), Style(width=80)], ids=["piped", "colour", "no colour"])
def test_hostile_text_does_nothing(style: Style) -> None:
    """No escape, no line end and no markup of a requester's reaches the terminal, wherever it stands."""
    hostile = Reason(code=Code.NAME_DIFFERS, message=HOSTILE, resolve=HOSTILE, facts={HOSTILE: HOSTILE})
    item = decision(HOSTILE, reasons=(hostile,), state=HOSTILE, rule=HOSTILE)
    text = sweep_text(sweep(item, findings=(finding(message=HOSTILE, about=HOSTILE),)), style)
    plain = ANSI.sub("", text)
    assert all(line.isprintable() for line in plain.split("\n"))
    assert not re.search(r"^\s*Approved by Linkguard", plain, re.MULTILINE)
    assert "[bold]x[/bold]" in plain
    assert bool(ANSI.search(text)) == style.colour
    assert "\x1b[2J" not in text
    text.encode()


def test_a_huge_fact_fills_no_screen() -> None:
    """It is cut, and says so."""
    text = sweep_text(sweep(decision(reasons=(reason(connection_message="A" * 100_000),), state="Pending")))
    assert len(text) < 3000
    assert "100000 characters" in text


def test_prose_is_as_wide_as_the_terminal_and_unbroken_in_a_pipe() -> None:
    """Sentences are wrapped for a reader and left whole for grep."""
    long = reason(message="every word of a very long sentence that goes on and on until it does not fit a line any more")
    narrow = sweep_text(sweep(decision(reasons=(long,))), Style(width=50))
    assert long.message not in narrow
    assert re.sub(r"\s+", " ", narrow).count(long.message) == 1
    assert long.message in sweep_text(sweep(decision(reasons=(long,))))


def test_a_dry_run_says_so_and_speaks_of_what_would_be() -> None:
    """Nobody mistakes it for the real thing."""
    text = sweep_text(sweep(decision("a", "approve", "not_written", evidence=Strength.WEAK), dry_run=True))
    assert "dry run, nothing is recorded or written" in text.splitlines()[0]
    assert headings(text) == ["WOULD APPROVE  a  to contoso-func"]
    assert "weak: a name and a message, which any requester can copy" in text


@pytest.mark.parametrize(
    ("verdict", "outcome", "mode", "dry_run", "command"),
    [
        ("hold", None, Mode.ENFORCE, False, f"linkguard explain {connection_named('c')}"),
        ("wait", None, Mode.ENFORCE, False, "linkguard sweep --wait"),
        ("wait", None, Mode.ENFORCE, True, "linkguard sweep --dry-run --wait"),
        ("wait", "sent", Mode.ENFORCE, False, "linkguard sweep --wait"),
        ("approve", "sent", Mode.ENFORCE, False, "linkguard sweep --wait"),
        ("approve", None, Mode.ENFORCE, False, "linkguard sweep --wait"),
        ("approve", "not_written", Mode.OBSERVE, False, "LINKGUARD_MODE=enforce linkguard sweep --wait"),
        ("approve", "not_written", Mode.OBSERVE, True, "LINKGUARD_MODE=enforce linkguard sweep --wait"),
        ("approve", "not_written", Mode.ENFORCE, True, "linkguard sweep --wait"),
        ("approve", "not_written", Mode.ENFORCE, False, f"linkguard explain {connection_named('c')}"),
        ("settled", "ambiguous", Mode.ENFORCE, False, f"linkguard explain {connection_named('c')}"),
    ],
)
def test_what_to_type_next(verdict: str, outcome: str | None, mode: Mode, dry_run: bool, command: str) -> None:  # noqa: FBT001  an example
    """Each state has a next step."""
    text = sweep_text(sweep(decision("c", verdict, outcome), mode=mode, dry_run=dry_run))
    assert next(line for line in text.splitlines() if line.startswith("  next")).split(None, 1)[1] == command


def test_a_link_whose_connection_has_not_come() -> None:
    """The block is about the link, and the target is what can be explained."""
    item = decision("x", "wait", reasons=(reason(Code.CONNECTION_MISSING),), state=None)
    waiting = type(item)(**{**{name: getattr(item, name) for name in type(item).__dataclass_fields__}, "connection": None})
    text = sweep_text(sweep(waiting))
    assert headings(text) == ["WAITING  func-pe  to contoso-func"]
    assert "connection  has not come" in text


def test_a_slot_is_named() -> None:
    """Approving for a slot is not approving for the site."""
    item = decision("x")
    slot = type(item.target)(ArmId.parse(f"{item.target.id}/slots/staging"))
    on_slot = type(item)(**{**{name: getattr(item, name) for name in type(item).__dataclass_fields__}, "target": slot})
    assert headings(sweep_text(sweep(on_slot))) == ["HELD  x  to contoso-func (slot staging)"]
