"""Azurite over https, for tokens in place of a key: what an identity needs."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import TYPE_CHECKING, Any, Self

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.core.ledger import canonical
from tests.azurite.server import ACCOUNT, free_ports, programs, serve
from tests.npm import require_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.ledger import Json


class Identity:
    """A credential whose tokens Azurite takes: it checks their audience and times, not their signature."""

    def __init__(self) -> None:
        self.scopes: set[str] = set()

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401  the SDK's protocol
        self.scopes |= set(scopes)
        now = datetime.now(UTC)
        claims: dict[str, Json] = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-00000000000a/",
            "iat": int((now - timedelta(minutes=5)).timestamp()),
            "nbf": int((now - timedelta(minutes=5)).timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
        }
        header: dict[str, Json] = {"alg": "none", "typ": "JWT"}
        parts = [urlsafe_b64encode(canonical(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
        signature = urlsafe_b64encode(token_bytes(8)).decode().rstrip("=")
        return AccessToken(".".join([*parts, signature]), int(now.timestamp()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureAzurite:
    """A running emulator that takes tokens."""

    blob_endpoint: str
    queue_endpoint: str
    table_endpoint: str
    certificate: Path
    """The one to trust."""

    def transport(self) -> AioHttpTransport:
        """Connections that trust it. Each client wants its own."""
        return AioHttpTransport(connection_verify=str(self.certificate))


@contextmanager
def run_secure(folder: Path) -> Iterator[SecureAzurite]:
    """All three services over https with tokens while the context lasts; what they need and print goes to ``folder``."""
    node = require_node("to run Azurite")
    _make_certificate(folder)
    ports = free_ports(3)
    command = [node, str(programs() / "azurite.js"), "--silent", "--inMemoryPersistence", "--disableTelemetry"]
    command += ["--skipApiVersionCheck", "--oauth", "basic", "--cert", str(folder / "cert.pem"), "--key", str(folder / "key.pem")]
    for name, port in zip(("blob", "queue", "table"), ports, strict=True):
        command += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
    with serve(command, ports, folder, environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{token_hex(32)}"}):
        blob, queue, table = (f"https://127.0.0.1:{port}/{ACCOUNT}" for port in ports)
        yield SecureAzurite(blob_endpoint=blob, queue_endpoint=queue, table_endpoint=table, certificate=folder / "cert.pem")


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
