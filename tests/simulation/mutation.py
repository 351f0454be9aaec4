"""Planting bugs in the product's own functions, in memory, to see whether the invariants catch them."""

from __future__ import annotations
import __future__

import importlib
import inspect
import multiprocessing
import os
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, cast

from tests.simulation.campaign import calm_collector
from tests.simulation.generator import story_of
from tests.simulation.mutants import MUTANTS, Edit, Mutant
from tests.simulation.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """How a planted bug was found."""

    mutant: Mutant
    seed: int | None
    """The first seed that finds it; None where none did."""
    message: str
    tried: int


def planted(name: str) -> AbstractContextManager[None]:
    """The product with this bug in it; with none where no name is given."""
    return edited(*(next(one for one in MUTANTS if one.name == name).edits if name else ()))


@contextmanager
def edited(*edits: Edit) -> Iterator[None]:
    """The product with these changes in it."""
    functions = [(_function(edit), mutated(edit)) for edit in edits]
    before = [function.__code__ for function, _ in functions]
    _SOUND.update(zip((function for function, _ in functions), before, strict=True))
    try:
        for function, code in functions:
            function.__code__ = code
        yield
    finally:
        for (function, _), code in zip(functions, before, strict=True):
            function.__code__ = code
            del _SOUND[function]


_SOUND: dict[FunctionType, CodeType] = {}
"""What the functions that have a bug in them are without it."""


@contextmanager
def sound() -> Iterator[None]:
    """The product as it is, in the midst of a planted bug."""
    planted_codes = {function: function.__code__ for function in _SOUND}
    try:
        for function, code in _SOUND.items():
            function.__code__ = code
        yield
    finally:
        for function, code in planted_codes.items():
            function.__code__ = code


def _function(edit: Edit) -> FunctionType:
    found: Any = importlib.import_module(edit.module)
    for part in edit.function.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    return cast("FunctionType", getattr(found, "__wrapped__", found))


def mutated(edit: Edit) -> CodeType:
    """The code of a function with the bug in it. The function itself stays the one that everybody has imported.

    Raises:
        LookupError: where the function no longer says what the bug changes: the mutant must be written anew.

    """
    function = _function(edit)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(edit.old) != 1:
        message = f"{edit.module}.{edit.function} does not say {edit.old!r} once"
        raise LookupError(message)
    source = source.replace(edit.old, edit.new)
    compiled = compile(
        source, f"<{edit.function}, planted>", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True
    )
    return _code_of(compiled, function.__name__)


def _code_of(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            try:
                return _code_of(constant, name)
            except LookupError:
                continue
    message = f"no function {name}"
    raise LookupError(message)


def chase(name: str, seeds: int) -> Caught:
    """Run seeds with a bug planted until one finds it."""
    mutant = next(one for one in MUTANTS if one.name == name)
    with planted(name):
        for seed in range(seeds):
            outcome = run(story_of(seed))
            if outcome.violations and _holds_without(seed):
                return Caught(mutant=mutant, seed=seed, message=str(outcome.violations[0]), tried=seed + 1)
    return Caught(mutant=mutant, seed=None, message="", tried=seeds)


def _holds_without(seed: int) -> bool:
    """Whether the same story breaks nothing in the sound product: only then was it the bug that was found."""
    with sound():
        return not run(story_of(seed)).violations


def hunt(seeds: int, *, only: str = "", tell: Callable[[str], object] | None = None) -> list[Caught]:
    """Chase every planted bug, in parallel processes; ``tell`` hears of each in turn."""
    names = [mutant.name for mutant in MUTANTS if only in {"", mutant.name}]
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count() or 1, initializer=calm_collector) as pool:
        found: list[Caught] = []
        for caught in pool.imap(partial(chase, seeds=seeds), names):
            found.append(caught)
            if tell is not None:
                tell(f"{caught.mutant.name}: {caught.message or 'NOT CAUGHT'} ({caught.tried})")
        return found


def table(caught: list[Caught]) -> str:
    """The mutation table as Markdown."""
    rows = ["| planted bug | what it does | caught within | by invariant |", "|---|---|---|---|"]
    for one in caught:
        within = f"{one.tried} seeds" if one.tried != 1 else "1 seed"
        by = one.message.partition(":")[0].removeprefix("invariant ")
        rows.append(f"| `{one.mutant.name}` | {one.mutant.says} | {within if one.seed is not None else 'NOT CAUGHT'} | {by} |")
    return "\n".join(rows)
