"""Signed request messages: what makes a link's request message more than a text that anybody can copy.

A signed message is ``lg1.<key id>.<expiry>.<signature>``, at most 140 characters:

- *key id*: 1 to 16 of ``A-Z a-z 0-9 _ -``; names the public key that verifies it;
- *expiry*: seconds since 1970-01-01 UTC, decimal, no leading zero; after that moment the message counts no more;
- *signature*: ECDSA on P-256 with SHA-256 (ES256 of RFC 7518), the 64 bytes ``r || s`` in base64url without padding.

Signed is :func:`message_payload`: four fields, each as the length of its UTF-8 text in 4 bytes, big-endian, and then
the text itself:

1. the SignalR service's ARM id, lower-cased;
2. the target's ARM id, lower-cased: ``.../sites/<site>``, or ``.../sites/<site>/slots/<slot>`` for a deployment slot;
3. the link's name, lower-cased;
4. the expiry, as it is written in the message.

Lower-cased is :func:`lower_case`. In ASCII, which nearly every Azure name is, that is A-Z to a-z and nothing else.

A message is compared and verified as it is: nothing is trimmed. ECDSA lets anybody make a second valid signature out of
one, so a message is not its own identity: what has been spent shows in :attr:`ValidSignature.fingerprint`, which is the
same for every signature over the same payload.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key, load_pem_public_key

from shared.core.arm_id import fold_case
from shared.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.arm_id import ArmId

type PublicKey = ec.EllipticCurvePublicKey
type PrivateKey = ec.EllipticCurvePrivateKey

MAX_MESSAGE_LENGTH: Final = 140
"""The longest request message that a private endpoint takes, in characters (Azure's own limit)."""
SIGNED_PREFIX: Final = "lg1."
"""What every signed message starts with; no other does."""

_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_MESSAGE: Final = re.compile(r"lg1\.([A-Za-z0-9_-]{1,16})\.(0|[1-9][0-9]{0,11})\.([A-Za-z0-9_-]{86})")
_COORDINATE_BYTES: Final = 32
_LAST_EXPIRY: Final = 253_402_300_799
"""The last second of the year 9999, the last that a datetime can hold."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The number of points on P-256: r and s are from 1 up to one less (FIPS 186-5, 6.4.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidSignature:
    """Signed by a known key for this service, target and link, and not expired."""

    key_id: str
    expires: datetime
    fingerprint: str
    """SHA-256 of what was signed, in hex: what to remember once the message is spent."""


@dataclass(frozen=True, slots=True)
class MissingSignature:
    """The message is not a signed one: it does not start with ``lg1.``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongSignature:
    """The message starts like a signed one and is none, or not one for this service, target and link."""

    why: str
    """A sentence, without any text from the message but its key id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredSignature:
    """Signed by a known key for this service, target and link, and over."""

    key_id: str
    expires: datetime
    fingerprint: str
    """As in :class:`ValidSignature`."""


type SignatureResult = ValidSignature | MissingSignature | WrongSignature | ExpiredSignature


def lower_case(text: str) -> str:
    """The one lower-case text for every spelling that :func:`~shared.core.arm_id.fold_case` holds for the same.

    One character at a time, and a character stays in upper case where its lower case would be another one's: texts that
    ``fold_case`` keeps apart stay apart.
    """
    folded = fold_case(text)
    if folded.isascii():
        return folded.lower()
    return "".join(lower if fold_case(lower := character.lower()) == character else character for character in folded)


def message_payload(*, signalr: ArmId, target: ArmId, link_name: str, expires: datetime) -> bytes:
    """What is signed: see the top of this module."""
    fields = (lower_case(str(signalr)), lower_case(str(target)), lower_case(link_name), str(_seconds(expires)))
    return b"".join(len(field).to_bytes(4, "big") + field for field in (text.encode("utf-8", "surrogatepass") for text in fields))


def is_key_id(text: str) -> bool:
    """Whether ``text`` can name a key in a signed message."""
    return _KEY_ID.fullmatch(text) is not None


def assemble(*, key_id: str, expires: datetime, signature: bytes) -> str:
    """The message for a signature made elsewhere, such as by Key Vault's ES256 over the payload's SHA-256.

    Args:
        key_id: names the public key that verifies it.
        expires: aware; its fraction of a second is dropped, as in the payload.
        signature: the 64 bytes ``r || s``.

    Raises:
        ConfigError: where one of them is not what it must be.

    """
    problems = []
    if not is_key_id(key_id):
        problems.append(f"{key_id[:40]!r} is not a key id: use 1 to 16 letters, digits, _ and -")
    if not 0 <= _seconds(expires) <= _LAST_EXPIRY:
        problems.append(f"{expires.isoformat()} is no time at which a message can expire: use one after 1970")
    if len(signature) != 2 * _COORDINATE_BYTES:
        problems.append(f"an ES256 signature has {2 * _COORDINATE_BYTES} bytes (r, then s), this one has {len(signature)}")
    if problems:
        raise ConfigError(problems)
    return f"{SIGNED_PREFIX}{key_id}.{_seconds(expires)}.{_base64url(signature)}"


def sign(  # noqa: PLR0913  who signs, and the five things that are signed or said
    private_key: PrivateKey, *, key_id: str, signalr: ArmId, target: ArmId, link_name: str, expires: datetime
) -> str:
    """The signed message for one link: for a desk with a PEM file, and for tests.

    Raises:
        ConfigError: where the key is not on P-256, or as :func:`assemble`.

    """
    if not isinstance(private_key.curve, ec.SECP256R1):
        raise ConfigError([_wrong_curve(private_key.curve)])
    payload = message_payload(signalr=signalr, target=target, link_name=link_name, expires=expires)
    r, s = decode_dss_signature(private_key.sign(payload, ec.ECDSA(SHA256())))
    signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    return assemble(key_id=key_id, expires=expires, signature=signature)


def verify(  # noqa: PLR0913, PLR0917  a message, the three things it is about, and what it is judged by
    message: str, signalr: ArmId, target: ArmId, link_name: str, keys: Mapping[str, PublicKey], now: datetime
) -> SignatureResult:
    """Whether ``message`` is signed by one of ``keys`` (by key id) for this link of this service to this target.

    Expired is said only of a message that is right in everything else.
    """
    if not message.startswith(SIGNED_PREFIX):
        return MissingSignature()
    read = _MESSAGE.fullmatch(message)
    if read is None or int(read[2]) > _LAST_EXPIRY:
        return WrongSignature(why="the message starts like a signed one and is not lg1.<key id>.<expiry>.<signature>")
    key_id, expires, signature = read[1], _EPOCH + timedelta(seconds=int(read[2])), _signature(read[3])
    if signature is None:
        return WrongSignature(why="the signature is not 64 bytes in base64url, or its numbers are out of range")
    if key_id not in keys:
        return WrongSignature(why=f"no public key {key_id} is known")
    payload = message_payload(signalr=signalr, target=target, link_name=link_name, expires=expires)
    try:
        keys[key_id].verify(signature, payload, ec.ECDSA(SHA256()))
    except InvalidSignature:
        why = f"the signature is not one that the key {key_id} made for this service, target, link name and expiry"
        return WrongSignature(why=why)
    fingerprint = hashlib.sha256(payload).hexdigest()
    return (ExpiredSignature if now > expires else ValidSignature)(key_id=key_id, expires=expires, fingerprint=fingerprint)


def load_public_key(text: str) -> PublicKey:
    """Read a P-256 public key: PEM, or the base64 of its DER (SubjectPublicKeyInfo). White space around it is dropped.

    Raises:
        ConfigError: where it is anything else. The message never repeats the text.

    """
    stripped = text.strip()
    if "PRIVATE KEY" in stripped:
        raise ConfigError(["this is a private key: only the public key belongs here, and this private key is now in the open"])
    try:
        if stripped.startswith("-----"):
            key = load_pem_public_key(stripped.encode("ascii"))
        else:
            key = load_der_public_key(base64.b64decode(stripped, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ConfigError(
            ["not a public key: give a P-256 key as PEM, or the base64 of its DER (SubjectPublicKeyInfo)"]
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(["not an elliptic curve key: give a P-256 key"])
    if not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError([_wrong_curve(key.curve)])
    return key


def load_private_key(text: str) -> PrivateKey:
    """Read a P-256 private key from a PEM without a password, for signing at a desk.

    Raises:
        ConfigError: where it is anything else. The message never repeats the text.

    """
    try:
        key = load_pem_private_key(text.strip().encode("ascii"), password=None)
    except TypeError:
        raise ConfigError(["the private key has a password: give one without, or sign in Key Vault"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(["not a private key: give a P-256 key as PEM"]) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(["not an elliptic curve key: give a P-256 key"])
    if not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError([_wrong_curve(key.curve)])
    return key


def _wrong_curve(curve: ec.EllipticCurve) -> str:
    return f"a key on the curve {curve.name}: give a P-256 (secp256r1) key"


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _signature(text: str) -> bytes | None:
    """The DER of the signature that the 86 base64url characters are, None where they are none or another text's bytes."""
    data = base64.urlsafe_b64decode(text + "==")
    if _base64url(data) != text:
        return None
    r, s = int.from_bytes(data[:_COORDINATE_BYTES], "big"), int.from_bytes(data[_COORDINATE_BYTES:], "big")
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        return None
    return encode_dss_signature(r, s)
