"""Microsoft's own analyser of the Kusto query language, from npm, run by Node."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.npm import install, require_node

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the analyser says of one query."""

    problems: tuple[str, ...]
    """``<line>:<column> <severity> <message>``."""
    columns: str
    """Of its result: ``(name: type, ...)``."""


def analyse(queries: Mapping[str, str], tables: Mapping[str, str]) -> dict[str, Analysis]:
    """Every query by its name. ``tables``: what there is to be queried, ``(column:type, ...)`` by name."""
    node = require_node("to analyse queries")
    install(FOLDER)
    done = subprocess.run(
        [node, str(FOLDER / "analyse.cjs")],
        input=json.dumps({"tables": dict(tables), "queries": dict(queries)}),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the analyser failed:\n{done.stderr[-2000:]}")
    answers = json.loads(done.stdout)
    return {name: Analysis(problems=tuple(one["problems"]), columns=one["columns"]) for name, one in answers.items()}
