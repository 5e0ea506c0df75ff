"""Private keys in a backup, encrypted with a passphrase (scrypt, then ChaCha20-Poly1305).

The PEM files are encrypted as they are on disk, so a key with its own passphrase keeps it.
"""

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from loop import durable
from loop.errors import BadBackup, BadKey
from loop.feed.keys import MAX_BYTES

FILE_NAME = re.compile(r"(root|recovery|feed)-[0-9a-f]{12}\.pem")
SEALING_KEY = "sealing.key"
"""The name of the file that opens the database's secrets, wherever the settings place it."""
ASSOCIATED_DATA = b"digit-loop backup keys 1\n"
SALT_BYTES, NONCE_BYTES, MIN_PASSPHRASE_LENGTH = 16, 12, 12
SCRYPT_COST = {"n": 1 << 17, "r": 8, "p": 1}  # 128 MiB and about half a second: OWASP's figure for scrypt


def gather(folder: Path) -> dict[str, bytes]:
    """The key files of a folder, by name."""
    return {
        path.name: path.read_bytes()[:MAX_BYTES]
        for path in sorted(folder.glob("*.pem"))
        if FILE_NAME.fullmatch(path.name)
    }


def seal(files: Mapping[str, bytes], passphrase: str) -> bytes:
    """Encrypt the files. Raises ``BadKey`` for a short passphrase."""
    if len(passphrase) < MIN_PASSPHRASE_LENGTH:
        raise BadKey(f"passphrase: expected {MIN_PASSPHRASE_LENGTH} characters or more, got {len(passphrase)}")
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    plain = json.dumps({name: data.decode("ascii") for name, data in files.items()}).encode()
    return (
        ASSOCIATED_DATA
        + salt
        + nonce
        + ChaCha20Poly1305(_key(passphrase, salt)).encrypt(nonce, plain, ASSOCIATED_DATA + salt)
    )


def unseal(sealed: bytes, passphrase: str) -> dict[str, bytes]:
    """Decrypt the files. Raises ``BadKey`` for a wrong passphrase, ``BadBackup`` for other content than ours."""
    if not sealed.startswith(ASSOCIATED_DATA) or len(sealed) < len(ASSOCIATED_DATA) + SALT_BYTES + NONCE_BYTES:
        raise BadBackup("the encrypted keys are of another format; use the release that made the backup")
    rest = sealed.removeprefix(ASSOCIATED_DATA)
    salt, rest = rest[:SALT_BYTES], rest[SALT_BYTES:]
    nonce, ciphertext = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    try:
        plain = ChaCha20Poly1305(_key(passphrase, salt)).decrypt(nonce, ciphertext, ASSOCIATED_DATA + salt)
    except InvalidTag:
        raise BadKey("the keys in the backup cannot be decrypted: wrong passphrase, or damaged data") from None
    files = json.loads(plain)
    if any(name != SEALING_KEY and not FILE_NAME.fullmatch(name) for name in files):
        raise BadBackup("the encrypted keys contain a file that is not a key; nothing was written")
    return {name: text.encode("ascii") for name, text in files.items()}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the keys with mode 0600. A different key of the same name is never overwritten: raises ``BadKey``."""
    for name, data in files.items():
        path = folder / name
        if path.exists() and path.read_bytes() != data:
            raise BadKey(f"{path}: already exists and differs from the backup's key; move it away first")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in files.items():
        durable.write_whole(folder / name, data, mode=0o600)


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, **SCRYPT_COST).derive(passphrase.encode())
