"""Why a device's attestation, or an upload without one, is refused: one error for each check."""

from loop.errors import CallerError, ClientError


class NotAttested(CallerError):
    """This server accepts uploads of new sources only once the device has attested the app."""


class AttestationOff(CallerError):
    """This server asks for no attestation."""


class NoChallenge(ClientError):
    """The source has no open attestation challenge: it asked for none, used it, or was too slow."""


class BadAttestation(ClientError):
    """The attestation is not the CBOR object that Apple's App Attest makes, or larger than its limits."""


class UntrustedChain(BadAttestation):
    """The attestation's certificates do not lead to the configured root, or are not valid now."""


class WrongNonce(BadAttestation):
    """The attestation was made for another challenge."""


class WrongKeyId(BadAttestation):
    """The key id is not the SHA-256 of the attested public key."""


class WrongApp(BadAttestation):
    """The attestation is that of another app."""


class WrongCounter(BadAttestation):
    """The attested key was used before it was attested."""


class WrongEnvironment(BadAttestation):
    """The attestation is from the other of Apple's environments, development or production."""


class WrongCredential(BadAttestation):
    """The attestation is about another key than the one that its certificate contains."""


class KeyAttested(ClientError):
    """The attested key vouches for another source already, or the source has another key."""
