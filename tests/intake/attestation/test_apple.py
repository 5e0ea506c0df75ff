"""Apple's checks of an attestation, each broken in turn, with an authority of our own."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.errors import BadSettings
from loop.errors.attestation import (
    BadAttestation,
    UntrustedChain,
    WrongApp,
    WrongCounter,
    WrongCredential,
    WrongEnvironment,
    WrongKeyId,
    WrongNonce,
)
from loop.home.settings import Settings
from loop.intake.attestation import apple
from tests.helpers.attesting import APP, DAY, NOW, Authority, Device

CHALLENGE = b"a challenge of the server's"
HASH = sha256(CHALLENGE).digest()
AUTHORITY = Authority()
Change = Callable[[dict[str, Any]], object]


def verified(device: Device, attestation: bytes | None = None, **changed: Any) -> str:
    """The app of an attestation, by default a good one, as a server that trusts the made-up authority sees it."""
    given = {"key_id": device.key_id, "client_data_hash": HASH, "wanted": AUTHORITY.policy(), "now": NOW} | changed
    return apple.verify(device.attest(CHALLENGE) if attestation is None else attestation, **given)


def refused(device: Device, change: Change, why: str) -> None:
    """The object with something changed is refused as malformed."""
    with pytest.raises(BadAttestation, match=why) as caught:
        verified(device, device.attest(CHALLENGE, change))
    assert type(caught.value) is BadAttestation


def test_a_good_one_is_accepted() -> None:
    """The control of everything below; of several apps, the one that was attested is named."""
    assert verified(Device(AUTHORITY)) == APP
    assert verified(Device(AUTHORITY), wanted=AUTHORITY.policy("ABCDE12345.org.other", APP)) == APP
    builds = AUTHORITY.policy(environment="development")
    assert verified(Device(AUTHORITY, environment="development"), wanted=builds) == APP


def test_another_authority() -> None:
    """The same names, another key: the signature decides."""
    with pytest.raises(UntrustedChain):
        verified(Device(Authority()))


def test_a_chain_that_expired_or_begins_later() -> None:
    """The key's certificate is valid for three days, its authority's for years, the root's for longer."""
    for when in (NOW - 2 * DAY, NOW + 4 * DAY, NOW + 2001 * DAY, NOW + 4001 * DAY):
        with pytest.raises(UntrustedChain, match="not valid"):
            verified(Device(AUTHORITY), now=when)
    assert verified(Device(AUTHORITY), now=NOW + timedelta(days=2)) == APP


def test_a_leaf_that_signs() -> None:
    """A certificate that is no authority issues none, although the root signed it."""
    below = Authority(root_key=AUTHORITY.root_key, ca=False)
    with pytest.raises(UntrustedChain):
        verified(Device(below), wanted=below.policy())


def test_another_challenge() -> None:
    """And one without the extension, or with another's nonce."""
    device = Device(AUTHORITY)
    with pytest.raises(WrongNonce):
        verified(device, client_data_hash=sha256(b"another challenge").digest())
    for nonce in (None, bytes(32), bytes(31)):
        with pytest.raises(WrongNonce):
            verified(device, device.attest(CHALLENGE, lambda p, n=nonce: _set_leaf(p, device, n)))


def test_authenticator_data_of_another_attestation() -> None:
    """The nonce covers all of it."""
    device, other = Device(AUTHORITY), Device(AUTHORITY)
    with pytest.raises(WrongNonce):
        verified(device, device.attest(CHALLENGE, lambda parts: parts.update(authData=other.data)))


def test_another_key_id() -> None:
    """The id that the app sends must be that of the attested key."""
    with pytest.raises(WrongKeyId):
        verified(Device(AUTHORITY), key_id=Device(AUTHORITY).key_id)


def test_another_app() -> None:
    """A genuine device attests any app; ours must be the one."""
    with pytest.raises(WrongApp, match="another app"):
        verified(Device(AUTHORITY, app="ABCDE12345.org.example.digits2"))


def test_a_key_that_was_used() -> None:
    """A fresh key has the counter 0."""
    with pytest.raises(WrongCounter, match="3 times"):
        verified(Device(AUTHORITY, counter=3))


def test_the_other_environment() -> None:
    """A build that Xcode installs is not one from the App Store, and the reverse."""
    with pytest.raises(WrongEnvironment, match="development"):
        verified(Device(AUTHORITY, environment="development"))
    with pytest.raises(WrongEnvironment, match="production"):
        verified(Device(AUTHORITY), wanted=AUTHORITY.policy(environment="development"))


def test_another_credential() -> None:
    """The authenticator data is about the key in the certificate."""
    with pytest.raises(WrongCredential):
        verified(Device(AUTHORITY, credential=bytes(32)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda parts: parts.update(fmt="packed"), "expected the format apple-appattest"),
        (lambda parts: parts.update(fmt=b"apple-appattest"), "expected the format"),
        (lambda parts: parts.update(more="x"), "fmt, attStmt and authData"),
        (lambda parts: parts.pop("authData"), "fmt, attStmt and authData"),
        (lambda parts: parts.update(attStmt=[]), "fmt, attStmt and authData"),
        (lambda parts: parts["attStmt"].pop("x5c"), "x5c and receipt"),
        (lambda parts: parts["attStmt"].update(more=b""), "x5c and receipt"),
        (lambda parts: parts["attStmt"]["x5c"].pop(), "2 certificates"),
        (lambda parts: parts["attStmt"]["x5c"].append(b""), "2 certificates"),
        (lambda parts: parts["attStmt"].update(x5c=["a", "b"]), "certificates of at most"),
        (lambda parts: parts["attStmt"]["x5c"].__setitem__(0, bytes(4097)), "certificates of at most"),
        (lambda parts: parts.update(authData="text"), "a credential id of 32 bytes"),
        (lambda parts: parts.update(authData=parts["authData"][:86]), "a credential id of 32 bytes"),
        (lambda parts: parts["attStmt"].update(receipt=bytes(12 * 1024)), "at most 12,288 bytes"),
        (lambda parts: parts["attStmt"].update(receipt=[[[["x"]]]]), "at most 4 levels"),
    ],
)
def test_an_object_of_another_form(change: Change, why: str) -> None:
    """Sizes and depth come before any certificate is parsed."""
    refused(Device(AUTHORITY), change, why)


def test_a_certificate_that_is_none() -> None:
    """Bytes that are no certificate, and trailing bytes after one."""
    device = Device(AUTHORITY)
    for junk in (b"", b"0", b"\x30\x82\xff\xff", device.parts(CHALLENGE)["attStmt"]["x5c"][0] + b"0"):
        with pytest.raises(UntrustedChain):
            verified(device, device.attest(CHALLENGE, lambda p, j=junk: p["attStmt"]["x5c"].__setitem__(0, j)))


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["P-384", "RSA"]
)
def test_a_key_of_another_kind(key: Any) -> None:
    """The Secure Enclave makes keys on P-256 only."""
    device = Device(AUTHORITY)
    nonce = sha256(device.data + HASH).digest()

    def change(parts: dict[str, Any]) -> None:
        parts["attStmt"]["x5c"][0] = AUTHORITY.leaf(key, nonce)

    refused(device, change, "curve P-256")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_unless_it_is_the_receipts(place: int, change: int) -> None:
    """One byte of a good attestation, anywhere: nothing but the receipt may change."""
    whole = bytearray(GOOD)
    at = place % len(whole)
    whole[at] ^= change
    begin = GOOD.index(b"a receipt")
    if begin <= at < begin + 3600:
        assert verified(DEVICE, bytes(whole)) == APP
        return
    with pytest.raises(BadAttestation):
        verified(DEVICE, bytes(whole))


def test_the_root_comes_from_the_operator(tmp_path: Path) -> None:
    """A file in the home; without it the server does not start, and the message says where to find it."""
    made = Settings(home=tmp_path, attest={"mode": "require", "app_ids": f"{APP}, ABCDE12345.org.other"})  # type: ignore[arg-type]  # pydantic's conversion
    with pytest.raises(BadSettings, match="certificateauthority"):
        apple.policy(made)
    made.attest_root_file.write_bytes(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadSettings, match="root certificate in PEM"):
        apple.policy(made)
    made.attest_root_file.write_bytes(AUTHORITY.root.public_bytes(Encoding.PEM))
    assert apple.policy(made) == AUTHORITY.policy(APP, "ABCDE12345.org.other")


def _set_leaf(parts: dict[str, Any], device: Device, nonce: bytes | None) -> None:
    parts["attStmt"]["x5c"][0] = AUTHORITY.leaf(device.key, nonce)


DEVICE = Device(AUTHORITY)
GOOD = DEVICE.attest(CHALLENGE)
