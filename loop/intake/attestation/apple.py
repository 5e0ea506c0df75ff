"""Verify an attestation object of Apple's App Attest, as Apple documents it. Pure: no clock, no file but the root.

Apple's documentation: "Validating apps that connect to your server", https://developer.apple.com/documentation/
devicecheck/validating-apps-that-connect-to-your-server. Each check raises an error of its own. The receipt is not
used: it is for asking Apple about fraud.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from loop.errors import BadSettings, one_line
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
from loop.intake.attestation import cbor

MAX_BYTES = 12 * 1024
"""Apple's objects have some 5,700 bytes."""
MAX_CERTIFICATE_BYTES = 4096
MAX_ROOT_BYTES = 64 * 1024
CHAIN = 2
"""Certificates in an object: the key's and the one that issued it."""
FORMAT = "apple-appattest"
NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
NONCE_PREFIX = bytes.fromhex("3024a1220420")
"""The extension's DER before the nonce: a sequence with the element [1], an octet string of 32 bytes."""
AAGUIDS = {"production": b"appattest" + bytes(7), "development": b"appattestdevelop"}
UNREADABLE = (
    VerificationError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
)
"""What reading and verifying a certificate raises."""
DIGEST_BYTES = 32
CREDENTIAL_AT = 55
"""Where the credential id begins in the authenticator data: after the hash of the app's id (32 bytes), flags (1),
counter (4), AAGUID (16) and the length of the credential id (2)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose attestations are accepted: the root that they must lead to, the apps' ids, and the AAGUID."""

    root: x509.Certificate
    app_ids: tuple[str, ...]
    aaguid: bytes


@dataclass(frozen=True, slots=True)
class _Attestation:
    """The parts of an object that are verified: certificates in DER, and the authenticator data."""

    certificates: list[bytes]
    data: bytes

    @property
    def counter(self) -> int:
        return int.from_bytes(self.data[33:37], "big")

    @property
    def aaguid(self) -> bytes:
        return self.data[37:53]

    @property
    def credential(self) -> bytes:
        return self.data[CREDENTIAL_AT : CREDENTIAL_AT + DIGEST_BYTES]


def policy(settings: Settings) -> Policy:
    """The policy of the settings. Raises ``BadSettings`` if the root certificate is missing or unreadable."""
    path, attest = settings.attest_root_file, settings.attest
    return Policy(_root(path), attest.apps, AAGUIDS[attest.environment])


def verify(attestation: bytes, key_id: bytes, client_data_hash: bytes, wanted: Policy, now: datetime) -> str:
    """Verify an attestation of the key ``key_id`` (SHA-256) for a challenge with the digest ``client_data_hash``.

    Returns the id of the app. Raises ``BadAttestation`` or one of its kinds, in the order of Apple's steps.
    """
    found = _parsed(attestation)
    leaf = _verified(found.certificates, wanted.root, now)
    if _nonce(leaf) != NONCE_PREFIX + sha256(found.data + client_data_hash).digest():
        raise WrongNonce("attestation: expected one for this challenge, got one for another; attest the key again")
    if sha256(_point(leaf)).digest() != key_id:
        raise WrongKeyId("key_id: expected the SHA-256 of the attested public key, got another; send the key's own id")
    apps = {sha256(app.encode()).digest(): app for app in wanted.app_ids}
    app = apps.get(found.data[:DIGEST_BYTES])
    if app is None:
        raise WrongApp(f"attestation: expected that of {' or '.join(wanted.app_ids)}, got another app's")
    if found.counter != 0:
        raise WrongCounter(f"attestation: expected a key that was never used, got one used {found.counter:,} times")
    if found.aaguid != wanted.aaguid:
        name = next((name for name, aaguid in AAGUIDS.items() if aaguid == found.aaguid), "an unknown environment")
        raise WrongEnvironment(f"attestation: expected one of the other environment, got one of {name}")
    if found.credential != key_id:
        raise WrongCredential("attestation: expected its credential id to be the key's id, got another; correct it")
    return app


def _root(path: Path) -> x509.Certificate:
    try:
        with path.open("rb") as file:
            return x509.load_pem_x509_certificate(file.read(MAX_ROOT_BYTES))
    except (OSError, ValueError) as error:
        raise BadSettings(
            f"attest.root_file: expected Apple's App Attest root certificate in PEM at {path} ({one_line(error)}); "
            "download it from https://www.apple.com/certificateauthority/, or set attest.mode to off"
        ) from None


def _parsed(attestation: bytes) -> _Attestation:
    if len(attestation) > MAX_BYTES:
        raise BadAttestation(f"attestation: expected at most {MAX_BYTES:,} bytes, got {len(attestation):,}")
    found = cbor.decode(attestation)
    whole = found if isinstance(found, dict) else {}
    statement = whole.get("attStmt")
    if whole.keys() != {"fmt", "attStmt", "authData"} or not isinstance(statement, dict):
        raise BadAttestation("attestation: expected a map with fmt, attStmt and authData, got another; correct it")
    if statement.keys() != {"x5c", "receipt"}:
        raise BadAttestation("attestation: expected an attStmt with x5c and receipt, got another; correct it")
    if whole["fmt"] != FORMAT:
        raise BadAttestation(f"attestation: expected the format {FORMAT}, got {str(whole['fmt'])[:40]!r}; correct it")
    return _Attestation(_certificates(statement["x5c"]), _authenticator_data(whole["authData"]))


def _certificates(chain: Any) -> list[bytes]:
    if not isinstance(chain, list) or len(chain) != CHAIN:
        raise BadAttestation(f"attestation: expected {CHAIN} certificates in x5c, got another number; correct it")
    for each in chain:
        if not isinstance(each, bytes) or len(each) > MAX_CERTIFICATE_BYTES:
            raise BadAttestation(
                f"attestation: expected certificates of at most {MAX_CERTIFICATE_BYTES:,} bytes in x5c"
            )
    return chain


def _authenticator_data(data: Any) -> bytes:
    fits = isinstance(data, bytes) and len(data) >= CREDENTIAL_AT + DIGEST_BYTES
    if not fits or data[CREDENTIAL_AT - 2 : CREDENTIAL_AT] != DIGEST_BYTES.to_bytes(2, "big"):
        raise BadAttestation(
            f"attestation: expected authData with a credential id of {DIGEST_BYTES} bytes, got another; correct it"
        )
    return bytes(data)


def _verified(chain: list[bytes], root: x509.Certificate, now: datetime) -> x509.Certificate:
    """The key's certificate, once the chain leads to the root and every certificate in it is valid now."""
    try:
        leaf, *above = [x509.load_der_x509_certificate(each) for each in chain]
        builder = PolicyBuilder().store(Store([root])).time(now).max_chain_depth(CHAIN - 1)
        # Apple's certificate of a key has no name and no purpose that web sites need: the checks below are its own.
        policies = builder.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        policies.build_client_verifier().verify(leaf, above)
    except UNREADABLE as error:
        raise UntrustedChain(
            f"attestation: expected certificates that lead to the configured root and are valid now ({one_line(error)})"
        ) from None
    return leaf


def _nonce(leaf: x509.Certificate) -> bytes:
    """The extension with the nonce, in DER; empty if there is none."""
    try:
        value = leaf.extensions.get_extension_for_oid(NONCE).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return b""
    return value.value if isinstance(value, x509.UnrecognizedExtension) else b""


def _point(leaf: x509.Certificate) -> bytes:
    """The public key as an uncompressed point. Raises ``BadAttestation`` if it is not one of P-256."""
    try:
        key = leaf.public_key()
    except UNREADABLE as error:
        raise BadAttestation(
            f"attestation: expected a key on the curve P-256 ({one_line(error)}); correct it"
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadAttestation("attestation: expected a key on the curve P-256, got another; correct it")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
