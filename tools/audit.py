"""The dependencies: declared what is used, consistent, and without a published advisory.

``python -m tools.audit`` runs deptry, ``pip check`` and pip-audit. pip-audit calls a dependency that its service knows
nothing of "skipped" and is content; so where the service answers nothing, "no known vulnerabilities" would be a guess. This
says then that the advisories could not be read, on a line of its own, and does not call it a pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parent.parent
_LIMIT_SECONDS: Final = 300
_QUOTED_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Clean:
    """Every dependency's advisories were read, and none applies."""

    dependencies: int


@dataclass(frozen=True, slots=True)
class Vulnerable:
    """At least one advisory applies."""

    advisories: tuple[str, ...]
    """``<name> <version>: <id>, fixed in <versions>``, one each."""
    unread: tuple[str, ...]
    """The dependencies whose advisories could not be read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """No advisory is known, but not every dependency's could be read."""

    reason: str


type Verdict = Clean | Vulnerable | Unread


def judge(output: str, errors: str) -> Verdict:
    """What pip-audit's JSON on standard output says; ``errors`` is its standard error, for a reason where there is no JSON."""
    try:
        dependencies = json.loads(output)["dependencies"]
        advisories = tuple(
            f"{dependency['name']} {dependency['version']}: {advisory['id']}, fixed in "
            + (" or ".join(advisory["fix_versions"]) or "no release yet")
            for dependency in dependencies
            for advisory in dependency.get("vulns", ())
        )
        unread = tuple(dependency["name"] for dependency in dependencies if "vulns" not in dependency)
        first_reason = next((dependency.get("skip_reason", "") for dependency in dependencies if "vulns" not in dependency), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unread(_last_line(errors) or "pip-audit answered nothing that can be read")
    if advisories:
        return Vulnerable(advisories, unread)
    if unread or not dependencies:
        return Unread(f"{len(unread)} of {len(dependencies)} dependencies were not audited ({_last_line(first_reason)})")
    return Clean(len(dependencies))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[-1][:_QUOTED_AT_MOST]


def report(verdict: Verdict) -> tuple[list[str], int]:
    """The lines that tell a person, and the exit code: an advisory fails, an unreachable service is said and does not."""
    match verdict:
        case Clean(dependencies):
            return [f"audit: {dependencies} dependencies, no published advisory applies"], 0
        case Vulnerable(advisories, unread):
            lines = [f"audit: {advisory}" for advisory in advisories]
            if unread:
                lines.append(f"audit: advisories could not be read from here for {', '.join(unread)}")
            return lines, 1
        case Unread(reason):
            return [f"audit: advisories could not be read from here: {reason}"], 0
        case _ as never:
            assert_never(never)


def _advisories(requirements: str) -> Verdict:
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", requirements, "--require-hashes", "--disable-pip"),
        *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Unread(f"no answer in {_LIMIT_SECONDS} s")
    return judge(done.stdout, done.stderr)


def _passes(*command: str) -> bool:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, timeout=_LIMIT_SECONDS, check=False).returncode == 0


def main(arguments: Sequence[str] = ("requirements.txt",)) -> int:
    """Exit code 1 where a dependency is unused, undeclared, inconsistent or vulnerable."""
    passed = [_passes("deptry", "."), _passes("pip", "check")]
    codes = []
    for requirements in arguments:
        lines, code = report(_advisories(requirements))
        print(*lines, sep="\n", flush=True)
        codes.append(code)
    return 0 if all(passed) and not any(codes) else 1


if __name__ == "__main__":
    sys.exit(main())
