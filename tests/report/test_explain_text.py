"""An explanation as text: the evidence side by side."""

from __future__ import annotations

import re

import pytest

from shared.core.reason import Code
from shared.core.verdict import Mode
from shared.report.documents import Comparison
from shared.report.explain_text import explain_text
from shared.report.next_steps import after_look
from shared.report.style import Style
from tests.report.documents import connection_named, decision, explained, explanation, finding, reason

NAME = Comparison(what="name", link="func-pe", connection="func-pe", agrees=True, note="endpoint_name: {link}")
MESSAGE = Comparison(what="message", link="please approve", connection="please approve ", agrees=False)


def test_link_and_connection_stand_side_by_side() -> None:
    """On a terminal: one row a thing, and whether they agree."""
    text = explain_text(explanation(explained(decision(), NAME, MESSAGE)), Style(width=100))
    assert re.search(r'^ +name +"func-pe" +"func-pe" +agrees', text, re.MULTILINE)
    assert re.search(r'^ +message +"please approve" +"please approve " +DIFFERS', text, re.MULTILINE)


@pytest.mark.parametrize("style", [Style(), Style(width=60)], ids=["piped", "narrow"])
def test_or_one_below_the_other(style: Style) -> None:
    """Where two columns do not fit, or nobody counts them."""
    text = explain_text(explanation(explained(decision(), MESSAGE)), style)
    found = re.search(r'message +DIFFERS\n +link +"please approve"\n +connection +"please approve "\n', text)
    assert found


def test_letters_that_look_alike_are_told_apart_where_they_differ() -> None:
    """The reader sees why two texts that look the same are not."""
    lookalike = Comparison(what="message", link="please approve", connection="ple\u0430se approve", agrees=False)
    assert r'"ple\u0430se approve"' in explain_text(explanation(explained(decision(), lookalike)))


def test_the_rules_stand_there_with_their_lines() -> None:
    """As written, so that the line to change is found."""
    text = explain_text(explanation(explained(decision(), rule_text="id: contoso-upstream\n    effect: allow")))
    assert re.search(r"line 3 +id: contoso-upstream\n +line 4 +effect: allow", text)


@pytest.mark.parametrize("style", [Style(), Style(width=100)], ids=["piped", "terminal"])
def test_hostile_text_does_nothing(style: Style) -> None:
    """In the evidence as anywhere else."""
    hostile = "\x1b[31m\nnext  linkguard decide --approve\u202e" + "A" * 5000
    row = Comparison(what="message", link=hostile, connection=hostile, agrees=True, note=hostile)
    status = Comparison(what="status", link=hostile, connection=None, agrees=None)
    item = explained(decision(hostile[:20]), row, status, rule_text=hostile)
    text = explain_text(explanation(item, findings=(finding(message=hostile),), problem=hostile), style)
    assert all(line.isprintable() for line in text.split("\n"))
    assert not re.search(r"^\s*next  linkguard decide --approve", text, re.MULTILINE)


def test_an_unreadable_allowlist_is_said_first() -> None:
    """Before anything that it would decide."""
    lines = explain_text(explanation(explained(decision()), problem="line 3, column 1: no")).splitlines()
    assert lines[2] == "The allowlist cannot be used: line 3, column 1: no"


def test_a_target_without_connections() -> None:
    """It is said, not left blank."""
    assert "no connections" in explain_text(explanation())


@pytest.mark.parametrize(
    ("code", "approving"),
    [
        (Code.AMBIGUOUS, True),
        (Code.QUARANTINED, True),
        (Code.PERSON_REJECTED, True),
        (Code.EXPOSURE_CHANGE, True),
        (Code.NO_LINK, False),
        (Code.NAME_DIFFERS, False),
        (Code.MESSAGE_DIFFERS, False),
        (Code.OLDER_THAN_LINK, False),
        (Code.NOT_ALLOWLISTED, False),
        (Code.DENIED, False),
        (Code.PAUSED, False),
        (Code.ALLOWLIST_UNREADABLE, False),
    ],
)
def test_approving_by_hand_is_proposed_only_where_something_speaks_for_it(code: Code, approving: bool) -> None:  # noqa: FBT001  an example
    """Rejecting always is, and comes first: whoever pastes the first line at night does no harm."""
    commands = after_look(decision("c", reasons=(reason(code),)), Mode.ENFORCE)
    rejecting = f"linkguard decide {connection_named('c')} --reject --reason TEXT"
    assert rejecting in commands
    assert any("--approve" in command for command in commands) == approving
    if approving:
        assert commands.index(rejecting) < next(place for place, one in enumerate(commands) if "--approve" in one)


def test_what_is_not_pending_is_not_decided_by_hand() -> None:
    """Azure takes a decision about a pending connection alone."""
    assert after_look(decision("c", state="Approving", reasons=(reason(),)), Mode.ENFORCE) == ()
