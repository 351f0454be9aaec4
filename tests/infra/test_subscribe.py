"""infra/subscribe.sh, run with an ``az`` that only writes down what it is asked to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from ruamel.yaml import YAML

from tests.infra import bicep
from tests.infra.bicep import INFRA

SCRIPT: Final = INFRA / "subscribe.sh"
ONE, TWO = "00000000-0000-0000-0000-0000000000a1", "00000000-0000-0000-0000-0000000000B2"
AZ: Final = """\
#!{python}
import json, os, pathlib, sys
with open(os.environ["CALLS"], "a", encoding="utf-8") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
with open(os.environ["CALLS"] + ".path-conversion", "w", encoding="utf-8") as setting:
    setting.write(os.environ.get("MSYS_NO_PATHCONV", "left on"))
failing = pathlib.Path(os.environ["FAILING"])
left = int(failing.read_text())
failing.write_text(str(left - 1))
sys.exit(1 if left > 0 else 0)
"""


@dataclass
class Shell:
    """A shell whose ``az`` is ours."""

    folder: Path
    values: dict[str, str] = field(
        default_factory=lambda: {
            "APP_ID": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/func",
            "HOST_STORAGE_ID": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/sthost",
            "DEAD_LETTER_CONTAINER": "dead-letters",
            "AZURE_LOCATION": "westeurope",
            "WATCHED_SUBSCRIPTIONS": ONE,
            "ATTEMPT_SECONDS": "0",
        }
    )
    failures: int = 0

    def run(self, **values: str) -> subprocess.CompletedProcess[str]:
        """Run the script; an empty value is an absent one."""
        az = self.folder / "az"
        az.write_text(AZ.format(python=sys.executable))
        az.chmod(0o755)
        (self.folder / "failing").write_text(str(self.failures))
        environment = {name: value for name, value in (self.values | values).items() if value}
        environment |= {
            "PATH": f"{self.folder}{os.pathsep}{os.defpath}",
            "CALLS": str(self.calls),
            "FAILING": str(self.folder / "failing"),
        }
        return subprocess.run(["sh", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> Path:
        return self.folder / "calls"

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def option(call: list[str], name: str) -> str:
    return call[call.index(name) + 1]


def parameters(call: list[str]) -> dict[str, str]:
    given = call[call.index("--parameters") + 1 :]
    return dict(one.split("=", 1) for one in given)


def test_one_deployment_for_each_subscription(shell: Shell) -> None:
    """Into that subscription, of events.bicep, with what azd knows."""
    done = shell.run(WATCHED_SUBSCRIPTIONS=f"{ONE},{TWO}")
    assert done.returncode == 0, done.stderr
    calls = shell.asked()
    assert [call[:3] for call in calls] == [["deployment", "sub", "create"]] * 2
    assert [option(call, "--subscription") for call in calls] == [ONE, TWO]
    assert {Path(option(call, "--template-file")).resolve() for call in calls} == {INFRA / "events.bicep"}
    assert parameters(calls[0]) == parameters(calls[1])
    assert parameters(calls[0]) == {
        "location": "westeurope",
        "appId": shell.values["APP_ID"],
        "storageId": shell.values["HOST_STORAGE_ID"],
        "deadLetterContainerName": "dead-letters",
        "existingTopic": "",
        "deadLetters": "identity",
    }


def test_a_second_region_does_not_collide_with_the_first(shell: Shell) -> None:
    """Azure keeps a deployment's name in the region where it was first used, and refuses the same name in another."""
    for location in ("westeurope", "northeurope", "North Europe"):
        assert shell.run(AZURE_LOCATION=location).returncode == 0
    names = [option(call, "--name") for call in shell.asked()]
    assert names == ["linkguard-events-westeurope", "linkguard-events-northeurope", "linkguard-events-northeurope"]


def test_git_bash_leaves_resource_ids_as_they_are(shell: Shell) -> None:
    """On Windows it takes what begins with a slash for a path of its own, and puts a drive before it, unless told otherwise."""
    shell.run()
    assert Path(f"{shell.calls}.path-conversion").read_text() == "1"


def test_a_clone_on_windows_keeps_the_scripts_as_a_shell_reads_them() -> None:
    """Git may turn line ends into CRLF there, on which sh fails at once."""
    for script in (SCRIPT, INFRA.parent / ".ci" / "run"):
        command = ["git", "check-attr", "eol", str(script.relative_to(INFRA.parent))]
        done = subprocess.run(command, cwd=INFRA.parent, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.rstrip().endswith("eol: lf")
        assert b"\r" not in script.read_bytes()


def test_the_parameters_are_those_of_the_template(shell: Shell) -> None:
    """None that it does not have, and every one that has no default."""
    shell.run()
    wanted = bicep.file("events.bicep").params
    given = set(parameters(shell.asked()[0]))
    assert given <= set(wanted)
    assert {name for name, has_default in wanted.items() if not has_default} <= given


def test_what_it_needs_is_what_the_deployment_gives(shell: Shell) -> None:
    """Every variable is an output of main.bicep, but for azd's own location; without one it stops before any call."""
    needed = set(re.findall(r"\$\{(\w+):\?", SCRIPT.read_text()))
    assert needed - {"AZURE_LOCATION"} <= set(bicep.file("main.bicep").outputs)
    for name in needed:
        done = shell.run(**{name: ""})
        assert done.returncode != 0
        assert name in done.stderr
    assert shell.asked() == []


def test_further_subscriptions_with_topics_of_their_own(shell: Shell) -> None:
    """Azure allows one system topic a subscription; ids are compared without case."""
    done = shell.run(WATCHED_SUBSCRIPTIONS=f"{ONE} {TWO}", EXISTING_TOPICS=f"{TWO.lower()}=rg-events/topic")
    assert done.returncode == 0
    assert [parameters(call)["existingTopic"] for call in shell.asked()] == ["", "rg-events/topic"]


@pytest.mark.parametrize("topics", ["rg-events/topic", f"{ONE}=topic"])
def test_a_topic_that_is_mistyped_stops_it(shell: Shell, topics: str) -> None:
    """Before anything is deployed."""
    done = shell.run(EXISTING_TOPICS=topics)
    assert done.returncode == 2
    assert "EXISTING_TOPICS" in done.stderr
    assert shell.asked() == []


def test_a_function_that_azure_does_not_know_yet_is_waited_for(shell: Shell) -> None:
    """As often as is allowed; then it says so and fails, so that azd does."""
    shell.failures = 2
    assert shell.run(WATCHED_SUBSCRIPTIONS=f"{ONE},{TWO}").returncode == 0
    assert [option(call, "--subscription") for call in shell.asked()] == [ONE] * 3 + [TWO]
    shell.failures = 9
    shell.calls.unlink()
    done = shell.run(ATTEMPTS="3")
    assert done.returncode == 1
    assert len(shell.asked()) == 5
    assert "could not be subscribed to" in done.stderr


def test_where_azure_gives_the_topic_no_identity_events_come_without_dead_letters(shell: Shell) -> None:
    """The topic's own identity as often as is allowed, then Event Grid's, then none, and said; each subscription by itself."""
    for failures, ways, said in (
        (2, ["identity", "identity", "service", "identity"], f"{ONE}: dead letters are written by Event Grid itself"),
        (3, ["identity", "identity", "service", "none", "identity"], f"{ONE}: no dead letters"),
    ):
        shell.failures = failures
        done = shell.run(ATTEMPTS="2", WATCHED_SUBSCRIPTIONS=f"{ONE},{TWO}")
        assert done.returncode == 0
        assert [parameters(call)["deadLetters"] for call in shell.asked()] == ways
        assert said in done.stderr
        assert TWO not in done.stderr
        shell.calls.unlink()
    shell.failures = 0
    assert shell.run(DEAD_LETTERS="none").returncode == 0
    assert [parameters(call)["deadLetters"] for call in shell.asked()] == ["none"]


def test_the_ways_are_those_of_the_template() -> None:
    """In the order of the script, and as the parameter allows them."""
    (ways,) = set(re.findall(r"\$\{DEAD_LETTERS:-([a-z ]+)\}", SCRIPT.read_text()))
    text = (INFRA / "events.bicep").read_text()
    assert re.search(r"@allowed\(\[([^]]+)\]\)\nparam deadLetters", text)
    allowed = re.findall(r"@allowed\(\[([^]]+)\]\)\nparam deadLetters", text)[0]
    assert ways.split() == re.findall(r"'(\w+)'", allowed)


@pytest.mark.parametrize("path", [SCRIPT, INFRA.parent / ".ci" / "run"], ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    """With every optional check that makes sense for scripts so small."""
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([program, "--severity=style", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_what_azd_keeps_of_a_deployment_is_not_committed() -> None:
    """Its folder holds ids, addresses and whatever it was told."""
    command = ["git", "check-ignore", "--quiet", "--no-index", ".azure/production/config.json"]
    assert subprocess.run(command, cwd=INFRA.parent, timeout=60, check=False).returncode == 0


def test_azd_runs_it_after_the_code() -> None:
    """Whichever the machine; the service's name is the tag by which azd finds the app."""
    project = YAML(typ="safe").load((INFRA.parent / "azure.yaml").read_text())
    hook = project["hooks"]["postdeploy"]
    for machine in ("posix", "windows"):
        assert hook[machine]["run"].split() == [hook[machine]["run"].split()[0], "infra/subscribe.sh"]
        assert hook[machine]["continueOnError"] is False
    (service,) = project["services"]
    assert project["services"][service] == {"project": ".", "language": "py", "host": "function"}
    assert f"'azd-service-name': '{service}'" in bicep.text(bicep.file("modules/app.bicep").root)
    assert (INFRA / f"{project['infra']['module']}.bicep").is_file()
