"""The composition root: settings in, a working application out, everything closed again."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.bootstrap.application import Application, make_engine_settings, open_application
from shared.bootstrap.stores import open_ledger
from shared.config import load_settings
from shared.core.errors import ConfigError, StoreError
from shared.core.ledger import SYSTEM_CHAIN
from shared.core.verdict import Mode
from shared.local_azure import LocalAzure
from tests.desk import ROOT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
PEM = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
DER = base64.b64encode(KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with LocalAzure() as azure:
        yield Desk(azure, tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Good settings for an Azure that nobody asks."""
    return {
        "LINKGUARD_ALLOWLIST": str(tmp_path / "allowlist.yaml"),
        "LINKGUARD_SUBSCRIPTIONS": "00000000-0000-0000-0000-0000000000a1",
        "LINKGUARD_LEDGER": f"sqlite:///{tmp_path / 'ledger.sqlite3'}",
        "LINKGUARD_ARM_ENDPOINT": "http://127.0.0.1:9",
        "LINKGUARD_CREDENTIAL": "local",
    }


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_an_application_sweeps(desk: Desk) -> None:
    """With the real SDKs, the real stores and the file of rules."""
    desk.put_link()
    async with open_application(desk.settings) as application:
        first = await application.sweep()
        second = await application.sweep()
    assert [one.verdict for one in first.decisions] == ["wait"]
    (approved,) = second.decisions
    assert approved.verdict == "approve"
    assert approved.outcome in {"sent", "confirmed"}
    with pytest.raises(StoreError):
        await application.engine.ledger.chains()


async def test_nothing_is_sent_until_something_is_asked(settings: dict[str, str]) -> None:
    """An application over an Azure that does not answer opens and closes."""
    async with open_application(settings) as application:
        assert application.engine.azure.calls.reads == 0


async def test_a_dry_run_is_in_observe_mode_whatever_the_settings_say(settings: dict[str, str], tmp_path: Path) -> None:
    """The mode is the switch that stops every write; the report still names the configured one."""
    async with open_application(settings | {"LINKGUARD_MODE": "enforce"}, dry_run=True) as application:
        assert application.engine.settings.mode is Mode.OBSERVE
        assert application.settings.mode is Mode.ENFORCE
        assert await application.engine.ledger.chains() == ()
    assert files(tmp_path) == []


async def test_what_only_looks_cannot_record(settings: dict[str, str], tmp_path: Path) -> None:
    """The store itself refuses, and no file is made."""
    async with open_application(settings, read_only=True) as application:
        with pytest.raises(StoreError):
            await application.engine.state.put("p", "k", 1, replaces=None)
    assert files(tmp_path) == []


async def test_a_mode_in_place_of_the_settings(settings: dict[str, str]) -> None:
    """For callers that know better than the environment."""
    async with open_application(settings, mode=Mode.ENFORCE) as application:
        assert application.engine.settings.mode is Mode.ENFORCE
        assert application.settings.mode is Mode.ENFORCE


async def test_the_settings_reach_the_engine(settings: dict[str, str]) -> None:
    """Each by its own name."""
    values = {
        "LINKGUARD_SETTLE": "1s",
        "LINKGUARD_CONFIRM_DEADLINE": "2s",
        "LINKGUARD_RECHECK_DELAY": "3s",
        "LINKGUARD_RECHECK_MAX": "4s",
        "LINKGUARD_APPROVALS_PER_TARGET_PER_HOUR": "5",
        "LINKGUARD_APPROVALS_PER_HOUR": "6",
        "LINKGUARD_SNAPSHOT_MAX_AGE": "7s",
        "LINKGUARD_ARM_TIMEOUT": "8s",
        "LINKGUARD_CONCURRENCY": "9",
    }
    made = make_engine_settings(load_settings(settings | values))
    numbers = (
        made.settle.total_seconds(),
        made.confirm_deadline.total_seconds(),
        made.recheck_delay.total_seconds(),
        made.recheck_max.total_seconds(),
        made.approvals_per_target_per_hour,
        made.approvals_per_hour,
        made.snapshot_max_age.total_seconds(),
        made.arm_timeout.total_seconds(),
        made.concurrency,
    )
    assert numbers == (1, 2, 3, 4, 5, 6, 7, 8, 9)


async def test_public_keys_come_from_files_and_from_the_setting(settings: dict[str, str], tmp_path: Path) -> None:
    """As PEM and as DER in base64."""
    (tmp_path / "key.pem").write_text(PEM)
    keys = f"file={tmp_path / 'key.pem'},inline=spki:{DER}"
    async with open_application(settings | {"LINKGUARD_VERIFY_KEYS": keys}) as application:
        found = application.engine.settings.keys
    assert {name: key.public_numbers() for name, key in found.items()} == dict.fromkeys(("file", "inline"), KEY.public_numbers())


async def test_every_key_that_cannot_be_used_is_named(settings: dict[str, str], tmp_path: Path) -> None:
    """By the setting and its id, all at once, without its content; the ledger is not even made."""
    (tmp_path / "secret.pem").write_text("-----BEGIN PRIVATE KEY-----\nMIGHsecret\n-----END PRIVATE KEY-----\n")
    (tmp_path / "large.pem").write_text("A" * 100_000)
    (tmp_path / "binary.pem").write_bytes(b"\xff\xfe")
    names = ("missing", "secret", "large", "binary")
    keys = ",".join([*(f"{name}={tmp_path / name}.pem" for name in names), f"folder={tmp_path}", "inline=spki:AAAA"])
    with pytest.raises(ConfigError) as caught:
        async with open_application(settings | {"LINKGUARD_VERIFY_KEYS": keys}):
            pass
    problems = caught.value.problems
    assert [problem.split(": ")[1] for problem in problems] == [*names, "folder", "inline"]
    assert all(problem.startswith("LINKGUARD_VERIFY_KEYS: ") for problem in problems)
    assert "MIGHsecret" not in str(caught.value)
    assert not (tmp_path / "ledger.sqlite3").exists()


async def test_wrong_settings_open_nothing(settings: dict[str, str], tmp_path: Path) -> None:
    """No file is made, and every problem is there."""
    with pytest.raises(ConfigError) as caught:
        async with open_application(settings | {"LINKGUARD_MODE": "x", "LINKGUARD_SETTLE": "x"}):
            pass
    assert len(caught.value.problems) == 2
    assert files(tmp_path) == []


async def test_the_identity_is_named(settings: dict[str, str]) -> None:
    """Whoever decides is recorded; at a desk without Azure that is a fixed name."""
    async with open_application(settings) as application:
        assert await application.identity() == "local"


async def test_whoever_cannot_be_named_decides_nothing(settings: dict[str, str]) -> None:
    """A record of who decided with nobody in it would look like a decision made with other tools."""

    async def nobody() -> str:
        return ""

    async with open_application(settings) as application:
        nameless = Application(application.settings, application.engine, nobody, dry_run=False)
        with pytest.raises(ConfigError, match="object id"):
            await nameless.identity()


async def test_the_ledger_alone_needs_its_setting_alone(settings: dict[str, str]) -> None:
    """And takes no records."""
    only = {"LINKGUARD_LEDGER": settings["LINKGUARD_LEDGER"], "LINKGUARD_MODE": "nonsense"}
    async with open_application(settings):
        pass
    async with open_ledger(only) as ledger:
        assert await ledger.chains() == ()
        assert (await ledger.head(SYSTEM_CHAIN)).sequence == 0


@pytest.mark.parametrize("value", ["sqlite:///missing.sqlite3", "tables", "sqlite:///"])
async def test_a_ledger_that_is_not_there(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong configuration, by its name; nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="LINKGUARD_LEDGER"):
        async with open_ledger({"LINKGUARD_LEDGER": value}):
            pass
    assert files(tmp_path) == []


def test_importing_it_imports_no_adapter() -> None:
    """Cold start: each adapter comes with what needs it."""
    code = "import pkgutil, sys, shared.bootstrap as it\n"
    code += "for one in pkgutil.iter_modules(it.__path__): __import__(f'{it.__name__}.{one.name}')\n"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    heavy = ("azure", "aiohttp", "aiosqlite", "msgspec", "shared.adapters", "click", "rich")
    assert [name for name in done.stdout.split() if name.startswith(heavy)] == []
