"""The requirement files are what ``pyproject.toml`` asks for."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = tomllib.loads((lock.ROOT / "pyproject.toml").read_text())
DECLARED = {
    "requirements.txt": PYPROJECT["project"]["dependencies"],
    "requirements-dev.txt": PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"],
}


def pins(name: str) -> dict[str, str]:
    text = (lock.ROOT / name).read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", lock.FILES)
def test_every_declared_dependency_is_pinned_within_its_bounds(name: str) -> None:
    """Known without asking anybody."""
    pinned = pins(name)
    for requirement in map(Requirement, DECLARED[name]):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("name", lock.FILES)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    """What is installed is what was reviewed, wherever it comes from."""
    text = (lock.ROOT / name).read_text()
    for block in re.split(r"(?m)^(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_development_has_what_is_deployed() -> None:
    """The tests run with the very pins that go out."""
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_drift_is_shown_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check compares and leaves the files as they are."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / "requirements-dev.txt").write_text("a==1\n")

    def compile_into(folder: Path, *, upgrade: bool) -> None:
        assert not upgrade
        assert (folder / "pyproject.toml").read_text() == "[project]\n"
        (folder / "requirements.txt").write_text("a==1\nb==2\n")

    monkeypatch.setattr(lock, "compile_into", compile_into)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    assert "+b==2" in lock.drift(tmp_path)
    assert lock.main(["--check"]) == 1
    assert (tmp_path / "requirements.txt").read_text() == "a==1\n"


def test_no_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compiles to the same is right."""
    for name in ("pyproject.toml", *lock.FILES):
        (tmp_path / name).write_text("same\n")
    monkeypatch.setattr(lock, "compile_into", lambda _folder, *, upgrade: None)  # noqa: ARG005
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    assert lock.main(["--check"]) == 0


def test_what_cannot_be_compiled_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler's own words are shown; a check that could not look is no pass."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\ndependencies = ['not a requirement']\n")
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    assert lock.main(["--check"]) == 1
    assert "lock: requirements.txt: " in capsys.readouterr().err
