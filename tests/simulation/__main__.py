"""``python -m tests.simulation``: run many seeds, replay one, or hunt planted bugs (docs/reliability.md)."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation import mutation, reliability
from tests.simulation.campaign import campaign
from tests.simulation.generator import story_of
from tests.simulation.run import run
from tests.simulation.shrink import cut, shrink
from tests.simulation.story import Story, from_json
from tests.simulation.telling import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLAY = ".venv/bin/python -m tests.simulation replay"
ENOUGH = 10_000
"""Seeds that make figures worth a page."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 where an invariant is broken or a planted bug is not caught, 2 where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    seeds = commands.add_parser("run", help="run the stories of many seeds")
    seeds.add_argument("--seeds", type=int, default=10_000, help="how many")
    seeds.add_argument("--first", type=int, default=0, help="the first of them")
    seeds.add_argument("--write", action="store_true", help="put the figures of 10,000 seeds or more into docs/reliability.md")
    seeds.set_defaults(do=_run)
    one = commands.add_parser("replay", help="tell one story")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int)
    which.add_argument("--story", type=Path, help="a file that --save wrote")
    one.add_argument("--without", default="", help="what shrinking left out, comma-separated")
    one.add_argument("--mutant", default="", help="with this bug planted")
    one.add_argument("--die-at", default="", metavar="FILE:LINE", help="a worker dies at this await of the services")
    one.add_argument("--shrink", action="store_true", help="look for the shortest story that breaks the same invariant")
    one.add_argument("--every-read", action="store_true", help="one line for each read too")
    one.add_argument("--save", type=Path, help="write the story to this file")
    one.set_defaults(do=_replay)
    mutants = commands.add_parser("mutants", help="plant each bug in turn, and see how many seeds it takes to catch it")
    mutants.add_argument("--seeds", type=int, default=5_000, help="the most seeds for each")
    mutants.add_argument("--only", default="", help="the name of one of them")
    mutants.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    mutants.set_defaults(do=_mutants)
    arguments = parser.parse_args(words)
    result: int = arguments.do(arguments)
    return result


def say(text: object) -> None:
    """To whoever runs it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    result = campaign(range(arguments.first, arguments.first + arguments.seeds), progress=sys.stderr.isatty())
    table, happened = reliability.figures(result, time.monotonic() - started), reliability.happened(result)
    say(f"{table}\n\n{happened}")
    if result.failed:
        for number, one in enumerate(result.failed[:20]):
            which = f"--seed {one.seed}" + (f" --die-at {one.die_at}" if one.die_at else "")
            say(f"\nseed {one.seed} breaks {one.message}")
            if number == 0:
                _tell_shrunk(story_of(one.seed), one.invariant, which, one.die_at)
            else:
                say(f"replay it: {REPLAY} {which} --shrink")
        return 1
    if arguments.seeds < ENOUGH:
        return 0
    if missing := reliability.missing(result):
        say(f"\nnever happened: {', '.join(missing)}")
        return 1
    if arguments.write:
        reliability.put("figures", table)
        reliability.put("happened", happened)
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    story = from_json(arguments.story.read_text(encoding="utf-8")) if arguments.story else story_of(arguments.seed)
    for part in filter(None, arguments.without.split(",")):
        story = cut(story, part)
    with mutation.planted(arguments.mutant):
        outcome = run(story, die_at=arguments.die_at)
        if arguments.die_at and not (outcome.violations or arguments.die_at in outcome.died_at):
            sys.stderr.write(f"no worker came to {arguments.die_at} in this story\n")
            return 2
        if outcome.violations and arguments.shrink:
            which = f"--story {arguments.story}" if arguments.story else f"--seed {arguments.seed}"
            mutant = f" --mutant {arguments.mutant}" if arguments.mutant else ""
            dying = f" --die-at {arguments.die_at}" if arguments.die_at else ""
            story = _tell_shrunk(story, outcome.violations[0].invariant, f"{which}{dying}{mutant}", arguments.die_at)
        else:
            say(tell(outcome, every_read=arguments.every_read))
    if arguments.save:
        arguments.save.write_text(story.to_json() + "\n", encoding="utf-8")
    return 1 if outcome.violations else 0


def _tell_shrunk(story: Story, invariant: int, which: str, die_at: str) -> Story:
    shrunk = shrink(story, invariant, die_at=die_at)
    say(f"\nthe shortest story found that breaks invariant {invariant}\n\n{tell(run(shrunk, die_at=die_at))}\n")
    without = f" --without {','.join(shrunk.left_out)}" if shrunk.left_out else ""
    say(f"replay it: {REPLAY} {which}{without}")
    return shrunk


def _mutants(arguments: argparse.Namespace) -> int:
    caught = mutation.hunt(arguments.seeds, only=arguments.only, tell=say)
    table = mutation.table(caught)
    say(table)
    if arguments.write and not arguments.only:
        reliability.put("mutants", table)
    return 0 if all(one.seed is not None for one in caught) else 1


if __name__ == "__main__":
    sys.exit(main())
