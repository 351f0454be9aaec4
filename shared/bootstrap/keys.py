"""Keys that settings and options name."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, assert_never

from shared.config import VERIFY_KEYS, VerifyKeyFile, VerifyKeyInline, load_settings
from shared.core.errors import ConfigError
from shared.core.request_message import PublicKey, load_public_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shared.config import VerifyKey


_MAX_KEY_BYTES = 64 * 1024


def load_keys(configured: tuple[VerifyKey, ...]) -> dict[str, PublicKey]:
    """The public keys of ``LINKGUARD_VERIFY_KEYS``, by key id.

    Raises:
        ConfigError: with every key that cannot be read or used.

    """
    keys: dict[str, PublicKey] = {}
    problems: list[str] = []
    for key in configured:
        try:
            keys[key.key_id] = load_public_key(_key_text(key))
        except ConfigError as error:
            problems += [f"{VERIFY_KEYS.name}: {key.key_id}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return keys


def _key_text(key: VerifyKey) -> str:
    match key:
        case VerifyKeyInline(der=der):
            return base64.b64encode(der).decode("ascii")
        case VerifyKeyFile(path=path):
            return read_small_file(path)
        case _ as never:
            assert_never(never)


async def sign_in_key_vault(environ: Mapping[str, str], key: str, digest: bytes) -> bytes:
    """An ES256 signature by a key in Azure Key Vault, with the credential of the settings.

    Raises:
        ConfigError: where a setting or the key is wrong.
        AzureError: where the vault refused, or did not answer.

    """
    from shared.adapters.credentials import make_credential  # noqa: PLC0415  see the package's docstring
    from shared.adapters.key_vault import check_key, sign_digest  # noqa: PLC0415  the same

    check_key(key)
    settings = load_settings(environ, required=())
    credential = make_credential(
        settings.credential.value,
        endpoint=key,
        authority=settings.arm_endpoint.authority,
        client_id=settings.managed_identity_client_id,
    )
    async with credential:
        return await sign_digest(key, credential, digest, seconds=settings.arm_timeout.total_seconds())


def read_small_file(path: Path) -> str:
    """The text of a file that holds a key.

    Raises:
        ConfigError: where it is missing, no regular file, too large for a key, or no text.

    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path} is no regular file"])
        with path.open("rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
        if len(content) > _MAX_KEY_BYTES:
            raise ConfigError([f"{path} is too large to be a key"])
        return content.decode("ascii")
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror or type(error).__name__}"]) from error
    except UnicodeDecodeError:
        raise ConfigError([f"{path} is no PEM file"]) from None
