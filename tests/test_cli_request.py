"""Request messages that a stranger cannot guess, or that are of no use to one."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.cli import ExitCode
from shared.core.arm_id import ArmId
from shared.core.request_message import MAX_MESSAGE_LENGTH, ValidSignature, load_public_key, verify
from shared.local_azure import LocalAzure
from tests.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with LocalAzure().in_thread() as azure:
        yield Desk(azure, tmp_path)


@pytest.fixture
def public_key(desk: Desk) -> str:
    """The public key's PEM; both keys are files on the desk."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (desk.folder / "private.pem").write_bytes(private)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (desk.folder / "public.pem").write_text(public)
    return public


def signed(desk: Desk, link: str = "func-pe", target: str = "", **options: str) -> list[str]:
    more = [word for name, value in options.items() for word in (f"--{name}", value)]
    where = ["request", f"{desk.signalr}/sharedPrivateLinkResources/{link}", "--target", target or desk.target]
    return [*where, "--key", str(desk.folder / "private.pem"), "--key-id", "prod", *more]


def test_a_random_message_cannot_be_guessed(desk: Desk) -> None:
    """160 bits, never the same, plain characters, no signed message by accident."""
    messages = {desk.run("request", "--json").json["message"] for _ in range(20)}
    assert len(messages) == 20
    assert all(re.fullmatch("[0-9a-f]{40}", message) for message in messages)


def test_a_signed_message_is_for_this_link_alone(desk: Desk, public_key: str) -> None:
    """It verifies with the public key, until it expires, and fits a private endpoint."""
    ran = desk.run(*signed(desk, expires="2h"), "--json")
    message, keys, now = ran.json["message"], {"prod": load_public_key(public_key)}, datetime.now(UTC)
    signalr, target = ArmId.parse(desk.signalr), ArmId.parse(desk.target)
    assert len(message) <= MAX_MESSAGE_LENGTH
    result = verify(message, signalr, target, "func-pe", keys, now)
    assert isinstance(result, ValidSignature)
    assert abs(result.expires - now - timedelta(hours=2)) < timedelta(minutes=5)
    assert datetime.fromisoformat(ran.json["expires"]) == result.expires
    assert not isinstance(verify(message, signalr, target, "other-pe", keys, now), ValidSignature)


def test_the_command_makes_the_link(desk: Desk) -> None:
    """The how-to's own PUT, as a shell reads it."""
    link = f"{desk.signalr}/sharedPrivateLinkResources/func-pe"
    document = desk.run("request", link, "--target", f"{desk.target}/slots/staging", "--json").json
    words = shlex.split(document["command"])
    assert words[:5] == ["az", "rest", "--method", "put", "--url"]
    assert words[5] == f"{link}?api-version=2023-02-01"
    assert json.loads(words[7]) == {
        "properties": {
            "groupId": "sites-staging",
            "privateLinkResourceId": desk.target,
            "requestMessage": document["message"],
        }
    }
    assert document["message"] in desk.run("request").stdout or desk.run("request").stdout.startswith("Request message")


def test_a_link_made_with_a_signed_message_is_strong_evidence(desk: Desk, public_key: str) -> None:
    """From the request to the confirmed approval; a stranger's copy on another link is held."""
    assert public_key
    desk.allowlist.write_text(desk.allowlist.read_text() + "    request_message: {signed: true}\n")
    message = desk.run(*signed(desk), "--json").json["message"]
    desk.put_link("func-pe", message)
    copied, _ = desk.put_link("other-pe", message)
    keys = f"prod={desk.folder / 'public.pem'}"
    ran = desk.run("sweep", "--wait", "--timeout", "20s", "--json", LINKGUARD_VERIFY_KEYS=keys)
    by_link = {one["link"].rpartition("/")[2]: one for one in ran.json["decisions"]}
    assert (by_link["func-pe"]["outcome"], by_link["func-pe"]["evidence"]) == ("confirmed", "strong")
    assert by_link["other-pe"]["verdict"] == "hold"
    assert "signature_wrong" in [reason["code"] for reason in by_link["other-pe"]["reasons"]]
    assert copied


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("public.pem", None),
        ("private.pem", "not a key"),
        ("private.pem", "A" * 100_000),
    ],
    ids=["the public key", "no key", "too large"],
)
def test_a_key_that_cannot_sign(desk: Desk, public_key: str, name: str, content: str | None) -> None:
    """Exit code 2; what is in the file is not repeated."""
    assert public_key
    file = desk.folder / name
    if content is not None:
        file.write_text(content)
    arguments = [str(file) if one.endswith("private.pem") else one for one in signed(desk)]
    ran = desk.run(*arguments)
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert file.read_text()[:20] not in ran.stderr


@pytest.mark.parametrize("expires", ["0s", "never", "400d"])
def test_an_expiry_that_is_none(desk: Desk, public_key: str, expires: str) -> None:
    """Exit code 2."""
    assert public_key
    assert desk.run(*signed(desk, expires=expires)).code == ExitCode.USAGE


def test_a_key_in_key_vault_that_is_none(desk: Desk) -> None:
    """Exit code 2; a URL may hold a secret, so it is not repeated."""
    arguments = ["request", f"{desk.signalr}/sharedPrivateLinkResources/func-pe", "--target", desk.target]
    ran = desk.run(*arguments, "--key-id", "prod", "--key", "https://contoso.vault.azure.net/secrets/requests?sig=hidden")
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert "https://<vault>.vault.azure.net/keys/<name>" in ran.stderr
    assert "hidden" not in ran.stderr


def test_the_local_credential_is_not_for_key_vault(desk: Desk) -> None:
    """The desk's own credential opens nothing but servers on this machine."""
    arguments = ["request", f"{desk.signalr}/sharedPrivateLinkResources/func-pe", "--target", desk.target]
    ran = desk.run(*arguments, "--key-id", "prod", "--key", "https://contoso.vault.azure.net/keys/requests")
    assert ran.code == ExitCode.USAGE
    assert "loopback" in ran.stderr
