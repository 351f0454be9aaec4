"""The README's commands work as written.

Blocks fenced as ``sh`` are run, one after another, in a copy of the project. Those fenced as ``console`` need Azure: a
desk's commands are run against the local one, each placeholder filled in. Others are shown only. A line ``make X`` is checked
for its target, since ``.ci/run`` runs the checks and the tests, and each in a test of its own would run the others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.local_azure import SUBSCRIPTION, LocalAzure
from tests.desk import MESSAGE, Desk
from tools.markdown import CodeBlock, read_page

ROOT = Path(__file__).parent.parent
SHOWN_ONLY = {"console", "text", "json", "yaml", "python", "mermaid", ""}
"""Languages of blocks that are not run. Any other but ``sh`` is a mistake: a typo must not keep a block from being run."""
LIMIT_SECONDS = 240
NOT_COPIED = {
    ".git",
    ".venv",
    "node_modules",
    "build",
    "dist",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
}


def script(block: CodeBlock) -> str:
    """What the block has a person type: without the prompts, without ``make`` (looked at apart)."""
    lines = (re.sub(r"^\$ ", "", line) for line in block.text.splitlines())
    return "\n".join(line for line in lines if not line.startswith("make "))


def make_targets(blocks: tuple[CodeBlock, ...]) -> list[str]:
    lines = (re.sub(r"^\$ ", "", line) for block in blocks for line in block.text.splitlines())
    return [match[1] for line in lines if (match := re.match(r"make ([a-z]+)", line))]


def blocks() -> tuple[CodeBlock, ...]:
    return read_page((ROOT / "README.md").read_text()).code_blocks


def clean_environment(home: Path) -> dict[str, str]:
    """A newcomer's: no settings, no identity, the project's commands first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1"}


def test_every_block_says_what_it_is() -> None:
    """Run, or shown only."""
    assert {block.language.split()[0] if block.language else "" for block in blocks()} <= SHOWN_ONLY | {"sh"}


@pytest.mark.timeout(1800)
def test_the_readmes_commands_run(tmp_path: Path) -> None:
    """Each block succeeds, in order, for somebody who has just set the project up."""
    scripts = [(block.line, text) for block in blocks() if block.language == "sh" and (text := script(block)).strip()]
    assert scripts, "the README has no command to run"
    project, home = tmp_path / "linkguard", tmp_path / "home"
    shutil.copytree(ROOT, project, ignore=lambda _folder, names: NOT_COPIED.intersection(names))
    (project / ".venv").symlink_to(Path(sys.executable).parent.parent)
    home.mkdir()
    for line, text in scripts:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=project,
            env=clean_environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"README.md:{line}\n{text}\n{done.stdout}\n{done.stderr}"


def test_the_readmes_commands_for_azure_run_against_the_local_one(tmp_path: Path) -> None:
    """As typed there: from the check of the configuration to an approval, and what explains it."""
    (block,) = (block for block in blocks() if block.language == "console" and "linkguard sweep" in block.text)
    typed = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in block.text.splitlines()]
    assert any("sweep --wait" in line for line in typed)
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        _, pending = desk.put_link()
        desk.world.request_connection(desk.target, "stranger-pe", MESSAGE)
        # Those that the README sets itself.
        itself = {"LINKGUARD_ALLOWLIST", "LINKGUARD_SUBSCRIPTIONS", "LINKGUARD_MODE"}
        environ = clean_environment(tmp_path) | {name: text for name, text in desk.settings.items() if name not in itself}
        # 1 is "something needs a person": the stranger beside the link.
        lines = [f"{line} || test $? = 1" if line.startswith(("linkguard", "LINKGUARD")) else line for line in typed]
        text = "\n".join(lines).replace("<subscription id>", SUBSCRIPTION).replace("<connection or target id>", desk.target)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert desk.world.connection_status(pending) == "Approved"


def test_the_readmes_make_targets_exist() -> None:
    """Whatever ``make`` is told there, the Makefile knows; the newcomer's two are among it."""
    targets = make_targets(blocks())
    assert {"demo", "test"} <= set(targets)
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target


def test_ci_runs_the_checks_and_then_the_readmes_test_command() -> None:
    """What CI runs is what a person is told to run."""
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make ")]
    assert commands == ["make check", "make test"]
