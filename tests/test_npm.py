"""What tests take from npm is pinned, and is missed loudly in CI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.npm import require_node

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/package.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_version_is_pinned_and_no_address_is_committed(folder: Path) -> None:
    """One exact version, and a lock file whose packages have digests and no download addresses."""
    ((name, version),) = json.loads((folder / "package.json").read_text())["devDependencies"].items()
    assert version[0].isdigit()
    lock = json.loads((folder / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in package and "resolved" not in package for package in packages.values())


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_node_a_test_is_skipped_but_not_in_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a desk without Node the rest can be tested; in CI nothing is left out unseen."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="Node"):
        require_node("to run it")
