"""Signed request messages: what verifies, and that nothing else does."""

from __future__ import annotations

import base64
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import ConfigError
from shared.core.request_message import (
    MAX_MESSAGE_LENGTH,
    ExpiredSignature,
    MissingSignature,
    SignatureResult,
    ValidSignature,
    WrongSignature,
    assemble,
    is_key_id,
    load_private_key,
    load_public_key,
    lower_case,
    message_payload,
    sign,
    verify,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

GROUP = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/contoso/providers/"
SIGNALR = ArmId.parse(GROUP + "Microsoft.SignalRService/signalR/contoso-signalr")
TARGET = ArmId.parse(GROUP + "Microsoft.Web/sites/contoso-func")
LINK = "func-pe"
EXPIRES = datetime(2027, 6, 30, tzinfo=UTC)
BEFORE = EXPIRES - timedelta(days=1)
KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEYS = {"2027-01": KEY.public_key()}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MESSAGE = "lg1.2027-01.1814313600.xpXu1i9ddsPSQ5S_XLLolVT_1g03Kx2YS_t1ZOcJ-KDosbCBPxJItiZOKeqgagZhFubRtrpAnYBGhHqQHvnI6A"
"""Made once; openssl verified its signature over PAYLOAD."""
PAYLOAD = (
    b"\x00\x00\x00\x85/subscriptions/00000000-0000-0000-0000-00000000000a/resourcegroups/contoso/providers"
    b"/microsoft.signalrservice/signalr/contoso-signalr"
    b"\x00\x00\x00\x75/subscriptions/00000000-0000-0000-0000-00000000000a/resourcegroups/contoso/providers"
    b"/microsoft.web/sites/contoso-func"
    b"\x00\x00\x00\x07func-pe"
    b"\x00\x00\x00\x0a1814313600"
)


def verdict(message: str, *, signalr: ArmId = SIGNALR, target: ArmId = TARGET, link: str = LINK) -> SignatureResult:
    return verify(message, signalr, target, link, KEYS, BEFORE)


def signed(*, key_id: str = "2027-01", link: str = LINK, expires: datetime = EXPIRES) -> str:
    return sign(KEY, key_id=key_id, signalr=SIGNALR, target=TARGET, link_name=link, expires=expires)


def with_signature(signature: bytes) -> str:
    return assemble(key_id="2027-01", expires=EXPIRES, signature=signature)


def raw_signature() -> bytes:
    return base64.urlsafe_b64decode(MESSAGE.rsplit(".", 1)[1] + "==")


def test_a_message_made_by_an_earlier_version_is_valid() -> None:
    """The format does not drift: a message once made verifies, and says until when."""
    result = verdict(MESSAGE)
    assert isinstance(result, ValidSignature)
    assert (result.key_id, result.expires) == ("2027-01", EXPIRES)


def test_the_payload_is_four_fields_each_after_its_length() -> None:
    """Byte for byte, so that a requester can make it in any language."""
    assert message_payload(signalr=SIGNALR, target=TARGET, link_name=LINK, expires=EXPIRES) == PAYLOAD


def test_what_is_signed_here_is_valid_here() -> None:
    """And no longer than a request message may be, whatever the key id and the expiry."""
    latest = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    message = sign(KEY, key_id="k" * 16, signalr=SIGNALR, target=TARGET, link_name=LINK, expires=latest)
    result = verify(message, SIGNALR, TARGET, LINK, {"k" * 16: KEY.public_key()}, BEFORE)
    assert isinstance(result, ValidSignature)
    assert result.expires == latest
    assert len(message) <= MAX_MESSAGE_LENGTH


def test_the_case_of_ids_and_names_does_not_count() -> None:
    """Azure gives the same id in mixed case."""
    upper, lower = ArmId.parse(str(SIGNALR).upper()), ArmId.parse(str(TARGET).lower())
    assert isinstance(verdict(MESSAGE, signalr=upper, target=lower, link="FUNC-pe"), ValidSignature)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (EXPIRES - timedelta(microseconds=1), ValidSignature),
        (EXPIRES, ValidSignature),
        (EXPIRES + timedelta(microseconds=1), ExpiredSignature),
    ],
)
def test_a_message_counts_up_to_its_expiry(now: datetime, expected: type) -> None:
    """That moment included, none after it."""
    assert type(verify(MESSAGE, SIGNALR, TARGET, LINK, KEYS, now)) is expected


def test_expired_is_said_only_of_what_was_once_valid() -> None:
    """An old message for another link is wrong, not expired."""
    late = EXPIRES + timedelta(days=1)
    expired = verify(MESSAGE, SIGNALR, TARGET, LINK, KEYS, late)
    valid = verdict(MESSAGE)
    assert isinstance(expired, ExpiredSignature)
    assert isinstance(valid, ValidSignature)
    assert (expired.expires, expired.fingerprint) == (EXPIRES, valid.fingerprint)
    assert isinstance(verify(MESSAGE, SIGNALR, TARGET, "other", KEYS, late), WrongSignature)


@pytest.mark.parametrize(
    "message", ["", "please approve", "LG1." + MESSAGE[4:], " " + MESSAGE, "\n" + MESSAGE, "lg2" + MESSAGE[3:], "lg1"]
)
def test_a_message_that_does_not_start_as_a_signed_one_is_missing_its_signature(message: str) -> None:
    """Nothing is trimmed, and the prefix is exact."""
    assert verdict(message) == MissingSignature()


@pytest.mark.parametrize(
    "message",
    [
        "lg1.",
        "lg1.2027-01.1814313600",
        MESSAGE + " ",
        MESSAGE + "\n",
        MESSAGE + "=",
        MESSAGE + "==",
        MESSAGE[:-1],
        MESSAGE.replace("2027-01", ""),
        MESSAGE.replace("2027-01", "k" * 17),
        MESSAGE.replace("2027-01", "2027.01"),
        MESSAGE.replace("1814313600", "01814313600"),
        MESSAGE.replace("1814313600", "+1814313600"),
        MESSAGE.replace("1814313600", "-1"),
        MESSAGE.replace("1814313600", "1814313600.0"),
        MESSAGE.replace("1814313600", "1_814_313_600"),
        MESSAGE.replace("1814313600", "\N{ARABIC-INDIC DIGIT ONE}814313600"),
        MESSAGE.replace("1814313600", "253402300800"),
        MESSAGE.replace("1814313600", "9" * 30),
        MESSAGE.replace("_", "/"),
        MESSAGE.replace("lg1.", "lg1.."),
    ],
)
def test_a_message_in_another_form_is_wrong(message: str) -> None:
    """One form each for key id, expiry and signature: no padding, no sign, no leading zero, no other digits."""
    assert isinstance(verdict(message), WrongSignature)


def test_the_last_character_has_one_form() -> None:
    """86 characters hold four bits more than 64 bytes: another character there would be another text of the same signature."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(MESSAGE[-1])
    assert place % 16 == 0
    for other in alphabet[place + 1 : place + 16]:
        result = verdict(MESSAGE[:-1] + other)
        assert isinstance(result, WrongSignature)
        assert "base64url" in result.why


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (0, 0), (ORDER, 1), (1, ORDER), (2**256 - 1, 1), (1, 2**256 - 1)],
)
def test_numbers_out_of_range_are_wrong(r: int, s: int) -> None:
    """Both r and s are from 1 up to one less than the group's order."""
    result = verdict(with_signature(r.to_bytes(32, "big") + s.to_bytes(32, "big")))
    assert isinstance(result, WrongSignature)
    assert "out of range" in result.why


def test_r_plus_the_order_is_no_second_form_of_a_signature() -> None:
    """A number that is equal modulo the order is refused where 32 bytes could hold it."""
    raw = raw_signature()
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    for r2, s2 in ((r + ORDER, s), (r, s + ORDER)):
        if max(r2, s2) < 2**256:
            assert isinstance(verdict(with_signature(r2.to_bytes(32, "big") + s2.to_bytes(32, "big"))), WrongSignature)


def test_the_twin_that_anybody_can_make_of_a_signature_has_the_same_fingerprint() -> None:
    """With s, also the order less s is valid: what is spent is the fingerprint, not the text."""
    raw = raw_signature()
    twin = with_signature(raw[:32] + (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big"))
    first, second = verdict(MESSAGE), verdict(twin)
    assert twin != MESSAGE
    assert isinstance(first, ValidSignature)
    assert first == second


def test_an_unknown_key_is_wrong() -> None:
    """A message names its key; without that key nobody can tell."""
    assert verdict(signed(key_id="2026-12")) == WrongSignature(why="no public key 2026-12 is known")
    assert isinstance(verify(MESSAGE, SIGNALR, TARGET, LINK, {}, BEFORE), WrongSignature)


def test_another_key_under_the_same_id_is_wrong() -> None:
    """The id only names the key."""
    other = ec.derive_private_key(0xBADC0DE, ec.SECP256R1())
    assert isinstance(verify(MESSAGE, SIGNALR, TARGET, LINK, {"2027-01": other.public_key()}, BEFORE), WrongSignature)


SLOT = TARGET.child("slots", "staging")


@pytest.mark.parametrize(
    ("signalr", "target", "link"),
    [
        (SIGNALR.sibling("contoso-signalr2"), TARGET, LINK),
        (SIGNALR, TARGET.sibling("other"), LINK),
        (SIGNALR, SLOT, LINK),
        (TARGET, SIGNALR, LINK),
        (SIGNALR, TARGET, "func-pe2"),
        (SIGNALR, TARGET, ""),
        (ArmId.parse(str(SIGNALR).replace("-00000000000a", "-00000000000b")), TARGET, LINK),
        (ArmId.parse(str(SIGNALR).replace("contoso/", "contoso2/")), TARGET, LINK),
    ],
)
def test_a_signature_is_for_one_service_target_and_link(signalr: ArmId, target: ArmId, link: str) -> None:
    """It verifies for no other, not even for the target's own slot."""
    assert isinstance(verdict(MESSAGE, signalr=signalr, target=target, link=link), WrongSignature)


def test_a_signature_is_for_one_expiry() -> None:
    """Nobody can give a message a longer life."""
    assert isinstance(verdict(MESSAGE.replace("1814313600", "1914313600")), WrongSignature)


words = st.text(st.characters(exclude_characters="/\\?#%&", exclude_categories=("C", "Z")), min_size=1, max_size=6)
subjects = st.tuples(words, words, words, st.integers(0, 253402300799))


@given(subjects, subjects)
@example(("a", "bc", "d", 1), ("ab", "c", "d", 1))
@example(("a", "b", "cd", 1), ("a", "bc", "d", 1))
@example(("a", "b", "c1", 2), ("a", "b", "c", 12))
@example(("k", "b", "c", 1), ("\N{KELVIN SIGN}", "b", "c", 1))
@example(("ß", "b", "c", 1), ("ss", "b", "c", 1))
def test_different_links_have_different_payloads(one: tuple[str, str, str, int], other: tuple[str, str, str, int]) -> None:
    """And the same link in another case has the same: what is signed for one never verifies for another."""

    def payload(subject: tuple[str, str, str, int]) -> bytes:
        signalr, target, link, seconds = subject
        expires = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        return message_payload(signalr=SIGNALR.sibling(signalr), target=TARGET.sibling(target), link_name=link, expires=expires)

    same = one[3] == other[3] and all(fold_case(a) == fold_case(b) for a, b in zip(one[:3], other[:3], strict=True))
    assert (payload(one) == payload(other)) is same


@given(words, words)
def test_a_signature_for_one_link_never_verifies_for_another(one: str, other: str) -> None:
    """Unless the two names are the same to Azure."""
    result = verdict(signed(link=one), link=other)
    assert isinstance(result, ValidSignature if fold_case(one) == fold_case(other) else WrongSignature)


@given(st.text(max_size=160) | st.text(max_size=150).map("lg1.".__add__))
def test_no_text_verifies_that_nobody_signed(message: str) -> None:
    """And no text makes verification fail otherwise than by its result."""
    assume(message != MESSAGE)
    assert not isinstance(verdict(message), ValidSignature | ExpiredSignature)


@given(st.binary(min_size=64, max_size=64))
def test_no_made_up_signature_verifies(signature: bytes) -> None:
    """64 bytes in the right place are not enough."""
    assume(signature != raw_signature())
    assert isinstance(verdict(with_signature(signature)), WrongSignature)


@given(st.integers(0, len(MESSAGE) - 1), st.characters())
def test_no_change_to_a_message_leaves_it_valid(place: int, character: str) -> None:
    """One character is enough."""
    changed = MESSAGE[:place] + character + MESSAGE[place + 1 :]
    assert isinstance(verdict(changed), ValidSignature) is (changed == MESSAGE)


def test_lower_case_keeps_apart_just_what_azure_keeps_apart() -> None:
    """For every character that fold_case moves, and for all around ASCII: lower case and fold_case tell the same ones apart."""
    for character in map(chr, range(0x3000)):
        lower = lower_case(character)
        assert fold_case(lower) == fold_case(character)
        assert lower_case(fold_case(character)) == lower
    assert lower_case("ContOSO-\N{KELVIN SIGN}İẞ") == "contoso-\N{KELVIN SIGN}İẞ"


@given(st.text(), st.text())
@example("ΑΣ", "ας")
@example("ﬀ", "ff")
@example("\N{LATIN SMALL LETTER DOTLESS I}", "i")
@example("\N{LATIN SMALL LETTER LONG S}", "s")
def test_lower_case_is_the_same_where_fold_case_is(one: str, other: str) -> None:
    """Two spellings share a payload if and only if Azure holds them for one name."""
    assert (lower_case(one) == lower_case(other)) is (fold_case(one) == fold_case(other))


@pytest.mark.parametrize("key_id", ["", "k" * 17, "a.b", "a b", "é", "a\n"])
def test_a_key_id_that_no_message_can_hold_is_refused(key_id: str) -> None:
    """When the message is made, by whoever makes it."""
    assert not is_key_id(key_id)
    with pytest.raises(ConfigError, match="is not a key id"):
        signed(key_id=key_id)


def test_every_problem_of_a_message_to_be_made_is_named() -> None:
    """Not only the first."""
    with pytest.raises(ConfigError) as caught:
        assemble(key_id="", expires=datetime(1969, 1, 1, tzinfo=UTC), signature=b"short")
    assert len(caught.value.problems) == 3


def test_a_signature_made_elsewhere_can_be_put_together() -> None:
    """As by Key Vault, which signs a digest and gives r and s."""
    r, s = decode_dss_signature(KEY.sign(PAYLOAD, ec.ECDSA(SHA256())))
    assert isinstance(verdict(with_signature(r.to_bytes(32, "big") + s.to_bytes(32, "big"))), ValidSignature)


def test_a_fraction_of_a_second_is_dropped_from_the_expiry() -> None:
    """From the message and from what is signed alike."""
    assert isinstance(verdict(signed(expires=EXPIRES + timedelta(microseconds=999_999))), ValidSignature)


def pem(key: PublicKeyTypes) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


DER = base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.parametrize("text", [pem(KEY.public_key()), DER, f"\n {DER} \n", pem(KEY.public_key()).replace("\n", "\r\n")])
def test_a_public_key_is_read_from_pem_or_base64(text: str) -> None:
    """PEM, or the base64 of its DER, with white space around it."""
    assert load_public_key(text).public_numbers() == KEY.public_key().public_numbers()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a public key"),
        ("AAAA", "not a public key"),
        ("{}", "not a public key"),
        ("é", "not a public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "not a public key"),
        ("-----BEGIN PUBLIC KEY-----\né", "not a public key"),
        (DER[:-4], "not a public key"),
        (DER[:40] + "\n" + "!" + DER[40:], "not a public key"),
        (private_pem(KEY), "only the public key belongs here"),
        (pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "secp384r1"),
        (pem(ec.generate_private_key(ec.SECP256K1()).public_key()), "secp256k1"),
        (pem(rsa.generate_private_key(65537, 2048).public_key()), "not an elliptic curve key"),
        (pem(ed25519.Ed25519PrivateKey.generate().public_key()), "not an elliptic curve key"),
    ],
)
def test_any_other_public_key_is_refused_without_repeating_it(text: str, said: str) -> None:
    """P-256 alone, and whatever stood there is not shown."""
    with pytest.raises(ConfigError, match=said) as caught:
        load_public_key(text)
    assert len(text) < 50 or text[30:50] not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_public_key_or_a_configuration_error(text: str) -> None:
    """Nothing else comes out."""
    with pytest.raises(ConfigError):
        load_public_key(text)


def test_a_private_key_is_read_from_pem() -> None:
    """For signing at a desk."""
    assert load_private_key(private_pem(KEY)).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a private key"),
        ("é", "not a private key"),
        (pem(KEY.public_key()), "not a private key"),
        (private_pem(KEY, b"secret"), "has a password"),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
        (private_pem(rsa.generate_private_key(65537, 2048)), "not an elliptic curve key"),
    ],
)
def test_any_other_private_key_is_refused(text: str, said: str) -> None:
    """P-256 alone, without a password."""
    with pytest.raises(ConfigError, match=said):
        load_private_key(text)


def test_a_key_on_another_curve_signs_nothing() -> None:
    """Where somebody made the key in code."""
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(ConfigError, match="secp384r1"):
        sign(other, key_id="k", signalr=SIGNALR, target=TARGET, link_name=LINK, expires=EXPIRES)


def test_every_character_is_folded_once() -> None:
    """Folding twice changes nothing, on which lower_case relies."""
    assert all(fold_case(fold_case(c)) == fold_case(c) for c in map(chr, range(0, sys.maxunicode, 17)))
