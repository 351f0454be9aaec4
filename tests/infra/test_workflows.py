"""The sample workflows: pinned by commit, and no more rights than they use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from shared.local_azure import LocalAzure
from tests.desk import RULE, Desk
from tests.infra.bicep import INFRA
from tests.traffic_logs import SITE

SIGNALR: Final = (
    "/subscriptions/00000000-0000-0000-0000-0000000000a1/resourceGroups/c/providers/Microsoft.SignalRService/signalR/s"
)

WORKFLOWS: Final = sorted((INFRA.parent / "docs" / "examples" / "github").glob("*.yml"))


def load(name: str) -> dict[str, Any]:
    (path,) = (path for path in WORKFLOWS if path.name == name)
    found: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit(path: Any) -> None:  # noqa: ANN401  a path, by a parameter
    """Forty digits, and the release beside it."""
    uses = re.findall(r"uses: (.+)", path.read_text())
    assert uses
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", one) for one in uses)


def test_a_token_is_only_for_those_who_need_one() -> None:
    """OpenID Connect, each in an environment of its own: the upload after a merge, the comparison where no fork asks for it."""
    workflow = load("allowlist.yml")
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert "permissions" not in jobs["check"]
    assert not any("azure/login" in step.get("uses", "") for step in jobs["check"]["steps"])
    for name, environment in (("upload", "production"), ("compare", "allowlist-review")):
        job = jobs[name]
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        assert (job["needs"], job["environment"]) == ("check", environment)
    assert jobs["upload"]["if"] == "github.event_name == 'push'"
    assert "github.event.pull_request.head.repo.full_name == github.repository" in jobs["compare"]["if"]


def test_no_untrusted_text_becomes_part_of_a_script() -> None:
    """What a pull request or a variable holds reaches a script as an environment variable, or not at all."""
    for path in WORKFLOWS:
        for job in load(path.name)["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", "")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An allowlist's repository with one commit, and the tool where the workflow checks it out."""
    (tmp_path / "linkguard" / ".venv").mkdir(parents=True)
    (tmp_path / "linkguard" / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "README.md").write_text("An allowlist.\n")
    for command in (["init", "-q"], ["add", "README.md"], ["commit", "-qm", "Begin"]):
        git(tmp_path, *command)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@contoso.example"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def run_job(name: str, folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """A job's scripts one after another, as GitHub runs them; what makes the tool is left out, since it is there."""
    scripts = [step["run"] for step in load("allowlist.yml")["jobs"][name]["steps"] if "run" in step]
    assert scripts[0] == "make -C linkguard setup"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GITHUB_STEP_SUMMARY": str(folder / "summary"), **values}
    command = ["bash", "-e", "-c", "\n".join(scripts[1:])]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_change_is_checked_and_its_rules_are_shown(repository: Path) -> None:
    """The first one, one that adds a rule, and one with a mistake, which fails with its place."""
    allowlist = repository / "allowlist.yaml"
    for text, code, said in (
        ("version: 1\nrules: []\n", 0, "valid, 0 rules"),
        (RULE.format(signalr=SIGNALR, target=SITE), 0, "added     rule contoso-upstream"),
        ("version: 1\nrules: nonsense\n", 2, "2:8"),
    ):
        allowlist.write_text(text)
        git(repository, "add", "allowlist.yaml")
        git(repository, "commit", "-qm", "Change")
        done = run_job("check", repository)
        assert done.returncode == code, done.stderr
        assert said in done.stdout + done.stderr


def test_a_change_is_compared_with_the_last_sweep_and_the_ledger(repository: Path) -> None:
    """Which link would newly be allowed, in the log and in the summary."""
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, repository)
        rule = desk.allowlist.read_text()
        desk.put_link()
        desk.run("sweep", LINKGUARD_MODE="observe")
        for text in ("version: 1\nrules: []\n", rule):
            desk.allowlist.write_text(text)
            git(repository, "add", "allowlist.yaml")
            git(repository, "commit", "-qm", "Change")
        done = run_job("compare", repository, LINKGUARD_LEDGER=desk.settings["LINKGUARD_LEDGER"])
    assert done.returncode == 0, done.stderr
    assert "not allowed -> allowed by contoso-upstream" in done.stdout
    assert "not allowed -> allowed by contoso-upstream" in (repository / "summary").read_text()


def test_the_comparison_reads_the_deployed_ledger_and_writes_nothing() -> None:
    """The tables of the host account; the identity may read them and no more."""
    (step,) = (step for step in load("allowlist.yml")["jobs"]["compare"]["steps"] if "env" in step)
    assert step["env"] == {"LINKGUARD_LEDGER": "tables", "AzureWebJobsStorage__accountName": "${{ vars.HOST_STORAGE_NAME }}"}
    page = (INFRA.parent / "docs" / "gitops.md").read_text()
    assert "--role 76199698-9eea-4c19-bc75-cec21354c6b6" in page


def test_every_entry_point_is_compiled() -> None:
    """By the compiler that this project's tests do without."""
    (step,) = (step["run"] for step in load("deploy-check.yml")["jobs"]["bicep"]["steps"] if "run" in step)
    for path in INFRA.glob("*.bicep"):
        assert f"--file infra/{path.name}" in step
