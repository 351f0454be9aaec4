"""The sample workflows: pinned by commit, and no more rights than they use."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tests.infra.bicep import INFRA

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


def test_only_the_upload_may_have_a_token_and_only_after_a_merge() -> None:
    """OpenID Connect, in an environment of its own; whoever opens a pull request gets none."""
    workflow = load("allowlist.yml")
    assert workflow["permissions"] == {"contents": "read"}
    upload = workflow["jobs"]["upload"]
    assert upload["permissions"] == {"contents": "read", "id-token": "write"}
    assert (upload["if"], upload["needs"], upload["environment"]) == ("github.event_name == 'push'", "check", "production")
    assert "permissions" not in workflow["jobs"]["check"]


def test_every_entry_point_is_compiled() -> None:
    """By the compiler that this project's tests do without."""
    (step,) = (step["run"] for step in load("deploy-check.yml")["jobs"]["bicep"]["steps"] if "run" in step)
    for path in INFRA.glob("*.bicep"):
        assert f"--file infra/{path.name}" in step
