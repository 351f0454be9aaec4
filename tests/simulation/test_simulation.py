"""A small part of the simulation, at every test run. All of it: ``make simulate``."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.campaign import campaign
from tests.simulation.generator import story_of
from tests.simulation.happened import CATALOGUE, Happened
from tests.simulation.mutants import CONFIRM, DRIFT, MUTANTS, STEP, Edit
from tests.simulation.mutation import edited, mutated, planted
from tests.simulation.run import run
from tests.simulation.shrink import cut, shrink
from tests.simulation.story import Act, Action, RuleSpec, ServiceSpec, Story, TargetSpec, from_json
from tests.simulation.telling import MEANING, tell

SEEDS = range(100_000, 100_040)
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds(seed: int) -> None:
    """Whatever goes wrong around the engine, the invariants hold."""
    outcome = run(story_of(seed))
    assert not outcome.violations, f"{outcome.violations[0]}: .venv/bin/python -m tests.simulation replay --seed {seed} --shrink"


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_was_found_once_stays_mended(path: Path) -> None:
    """A story that broke an invariant before breaks none any more."""
    outcome = run(from_json(path.read_text(encoding="utf-8")))
    assert not outcome.violations, f"{outcome.violations[0]}: .venv/bin/python -m tests.simulation replay --story {path.name}"


HISTORY = "shared.core.history"
QUARANTINE = Edit(HISTORY, "History.quarantined_by", "self.revocations | self.quarantines", "self.quarantines")
UNDONE = {
    "an-adopted-approval-is-not-taken-back": Edit(HISTORY, "_read_human", "intent.connection == human.connection", "False"),
    "an-impostors-approval-whose-link-is-made-anew-stays-critical": Edit(
        DRIFT, "_was_never_shown", "approval is not None and", "False and"
    ),
    "of-two-unanswered-approvals-one-is-on-record": Edit(
        "tests.simulation.invariants", "Checker._check_writes", "newest is None or newest.outcome in", "told.outcome in"
    ),
    "revoked-by-deleting-a-links-name-is-not-for-the-next-who-asks": QUARANTINE,
    "revoked-by-rejecting-a-links-name-is-not-for-the-next-who-asks": QUARANTINE,
    "what-a-person-approves-after-we-gave-up-is-that-persons": Edit(
        STEP, "Step._was_written_late", "self.journal.history.wrote(connection)", "True"
    ),
    "what-a-person-approves-while-our-write-is-on-its-way-is-that-persons": Edit(
        CONFIRM, "judge", "not situation.written_by_us", "False"
    ),
    "what-is-lost-after-a-step-has-read-it-is-known-to-that-step": Edit(
        "tests.simulation.oracle", "Oracle.earlier", "frame.lost_with or", "() or"
    ),
}
"""By story: what undoes its mend, be it the product's or the oracle's."""


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_was_found_once_would_be_found_again(path: Path) -> None:
    """Whatever changes when things happen may turn a story into another one, which then tells nothing."""
    with edited(UNDONE[path.stem]):
        assert run(from_json(path.read_text(encoding="utf-8"))).violations


LINK = Action(
    at=10, act=Act.MAKE_LINK, name="func-pe", message="please approve", connects_after=41, provisioned_after=70, shows_after=300
)
IMPOSTOR = Action(at=40, act=Act.IMPOSTOR, name="func-pe", message="please approve")
RACES = {
    # The genuine connection is there for half a second, unseen, while the impostor waits.
    "race 1": (LINK, IMPOSTOR, Action(at=51.5, act=Act.PORTAL_DELETE)),
    # The genuine connection comes a quarter of an hour after the link's Succeeded.
    "race 2": (replace(LINK, connects_after=900), IMPOSTOR),
    # The link's status never moves, and an impostor comes after the approval of the genuine connection.
    "race 3": (replace(LINK, shows_after=-1.0), replace(IMPOSTOR, at=400)),
}


@pytest.mark.parametrize("race", RACES)
def test_each_race_that_remains_happens_and_ends_as_it_is_said_to(race: str) -> None:
    """The races that the documentation names are real, break no invariant, and end taken back or with an alarm."""
    story = Story(
        seed=1,
        late=race == "race 2",
        services=(ServiceSpec(subscription=0),),
        targets=(TargetSpec(),),
        rules=(RuleSpec(id="rule0", service=0, target=0),),
        actions=RACES[race],
        deadline=600.0,
        skews=(0.0,),
    )
    outcome = run(story)
    assert not outcome.violations
    assert outcome.counts[race] == 1
    assert outcome.counts["taken back, genuine" if race == "race 3" else "taken back, impostor"] == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_can_be_planted(mutant: object) -> None:
    """Each planted bug still changes what the product says: one that no longer does would be caught by nobody."""
    for edit in mutant.edits:  # type: ignore[attr-defined]
        assert mutated(edit)


def test_a_worker_dies_at_every_await_that_one_comes_to() -> None:
    """Where chance spares one, the story is told again."""
    result = campaign(range(6))
    assert result.again > 0
    assert result.awaits
    assert result.awaits <= result.died_at
    assert result.failed == []


def test_a_story_in_which_nobody_dies_where_somebody_has_to_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The lines of the services move: that nothing is broken would be no news of the await that was meant."""
    place = min(run(story_of(2)).awaits)
    for die_at, status in ((place, 0), ("step.py:1", 2)):
        assert main(["replay", "--seed", "2", "--die-at", die_at]) == status
        assert ("no worker came to step.py:1" in capsys.readouterr().err) is (status == 2)


def test_a_planted_bug_is_caught_shrunk_and_gone_again() -> None:
    """A bug breaks an invariant, in a story that shrinks to a shorter one that breaks the same; taken out, nothing breaks."""
    with planted("settling-skipped"):
        story = next(story for story in map(story_of, range(100)) if run(story).violations)
        broken = run(story).violations[0].invariant
        shrunk = shrink(story, broken, tries=12)
        assert any(violation.invariant == broken for violation in run(shrunk).violations)
        assert len(shrunk.actions) + len(shrunk.faults) <= len(story.actions) + len(story.faults)
        told = tell(run(shrunk))
    assert not run(story).violations
    assert not run(shrunk).violations
    assert f"invariant {broken} says: {MEANING[broken]}" in told
    assert ">>>" in told
    assert "rule rule0: allow hub0 -> func0" in told


def test_reads_in_a_row_are_one_line() -> None:
    """A night's worth of looking is not what it is about."""
    outcome = run(story_of(7))
    told, all_of_it = tell(outcome).splitlines(), tell(outcome, every_read=True).splitlines()
    assert len(told) < len(all_of_it) / 2
    assert [line for line in told if " reads " not in line and " read " not in line] == [
        line for line in all_of_it if " reads " not in line
    ]
    assert told[-1] == f"nothing is broken (digest {outcome.digest})"


def test_whatever_happens_is_in_the_catalogue() -> None:
    """What a run notes is what the page counts, and a name that nobody knows is an error."""
    with pytest.raises(KeyError):
        Happened().note("an eclipse")
    names = [name for group in CATALOGUE.values() for name in group]
    assert len(names) == len(set(names))
    assert set(run(story_of(7)).happened) <= set(names)


def test_a_story_survives_its_text() -> None:
    """A saved story is the same story, and what shrinking left out of a seed's can be left out again."""
    story = next(story for story in map(story_of, range(100)) if story.faults and len(story.actions) > 1)
    assert from_json(story.to_json()) == story
    shorter = cut(cut(story, "0"), story.faults[0].value)
    again = story
    for part in shorter.left_out:
        again = cut(again, part)
    assert again == shorter


def test_a_seed_is_the_same_run_every_time() -> None:
    """The same seed gives the same run, step by step, in another process with other hashes too."""
    seeds = [7, 23]
    program = (
        "from tests.simulation.generator import story_of; from tests.simulation.run import run; "
        f"print(*(run(story_of(seed)).digest for seed in {seeds}))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1] == [run(story_of(seed)).digest for seed in seeds]
