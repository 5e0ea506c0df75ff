"""An authority that is not Apple's, and devices that it attests: objects of App Attest, of which any part may be wrong.

The certificates, the extension and the authenticator data are those of Apple's documentation.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from loop.intake.attestation.apple import AAGUIDS, NONCE, Policy

APP = "ABCDE12345.org.example.digits"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CA_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
Key = ec.EllipticCurvePrivateKey


def encoded(value: Any) -> bytes:
    """CBOR of maps, lists, texts, byte strings and small numbers."""
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encoded, value))
    if isinstance(value, int):
        return _head(0, value)
    return _head(5, len(value)) + b"".join(encoded(key) + encoded(each) for key, each in value.items())


def _head(kind: int, length: int) -> bytes:
    if length < 24:
        return bytes([kind << 5 | length])
    size = next(power for power in range(4) if length < 1 << (8 << power))
    return bytes([kind << 5 | 24 + size]) + length.to_bytes(1 << size, "big")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def point(key: Key) -> bytes:
    """The public key as an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class Authority:
    """A root and the certificate authority below it."""

    now: datetime = NOW
    root_key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    ca: bool = True

    def __post_init__(self) -> None:
        """Make the two certificates."""
        root, below = _name("Made-up Attestation Root"), _name("Made-up Attestation CA 1")
        self.root = self._certificate(root, self.root_key, root, self.root_key, 4000 * DAY, self._ca(self.root_key))
        more = self._ca(self.key) if self.ca else {x509.BasicConstraints(False, None): True}
        self.below = self._certificate(below, self.key, root, self.root_key, 2000 * DAY, more)

    @property
    def pem(self) -> bytes:
        """The root, as an operator saves it."""
        return self.root.public_bytes(Encoding.PEM)

    def policy(self, *apps: str, environment: str = "production") -> Policy:
        """What a server that trusts this root accepts."""
        return Policy(self.root, apps or (APP,), AAGUIDS[environment])

    def _ca(self, key: Key) -> dict[x509.ExtensionType, bool]:
        return {
            x509.BasicConstraints(ca=True, path_length=None): True,
            CA_USAGE: True,
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()): False,
        }

    def _certificate(
        self,
        name: x509.Name,
        key: Key,
        issuer: x509.Name,
        issuer_key: Key,
        life: timedelta,
        extensions: dict[x509.ExtensionType, bool],
    ) -> x509.Certificate:
        made = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(self.now - DAY).not_valid_after(self.now + life)
        if issuer != name:
            above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
            made = made.add_extension(above, critical=False)
        for extension, critical in extensions.items():
            made = made.add_extension(extension, critical=critical)
        return made.sign(issuer_key, hashes.SHA384())

    def leaf(self, key: Any, nonce: bytes | None) -> bytes:
        """The certificate of an attested key, in DER."""
        extensions: dict[x509.ExtensionType, bool] = {x509.BasicConstraints(ca=False, path_length=None): True}
        if nonce is not None:
            extensions[x509.UnrecognizedExtension(NONCE, bytes.fromhex("3024a1220420") + nonce)] = False
        made = self._certificate(_name("a key"), key, self.below.subject, self.key, 3 * DAY, extensions)
        return made.public_bytes(Encoding.DER)


@dataclass
class Device:
    """A device with a key in its Secure Enclave, and the app that runs on it."""

    authority: Authority
    app: str = APP
    environment: str = "production"
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    counter: int = 0
    credential: bytes | None = None

    @property
    def key_id(self) -> bytes:
        """The id of its key."""
        return hashlib.sha256(point(self.key)).digest()

    @property
    def data(self) -> bytes:
        """The authenticator data."""
        x, y = point(self.key)[1:33], point(self.key)[33:]
        cose = bytes.fromhex("a5010203262001215820") + x + bytes.fromhex("225820") + y
        credential = self.key_id if self.credential is None else self.credential
        head = hashlib.sha256(self.app.encode()).digest() + b"\x40" + self.counter.to_bytes(4, "big")
        return head + AAGUIDS[self.environment] + len(credential).to_bytes(2, "big") + credential + cose

    def parts(self, challenge: bytes) -> dict[str, Any]:
        """The attestation for a challenge, before it is encoded."""
        nonce = hashlib.sha256(self.data + hashlib.sha256(challenge).digest()).digest()
        chain = [self.authority.leaf(self.key, nonce), self.authority.below.public_bytes(Encoding.DER)]
        statement = {"x5c": chain, "receipt": b"a receipt" * 400}
        return {"fmt": "apple-appattest", "attStmt": statement, "authData": self.data}

    def attest(self, challenge: bytes, change: Callable[[dict[str, Any]], object] = lambda parts: None) -> bytes:
        """The attestation for a challenge; ``change`` may alter its parts first."""
        parts = self.parts(challenge)
        change(parts)
        return encoded(parts)
