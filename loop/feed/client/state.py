"""What a device keeps: one small state file, replaced atomically, and the models that it names.

::

    state.json                  trusted root, last sequences, device id, channel, current and previous model, policy
    models/DIGEST.mlmodel       installed models; verified before they get this name
    golden/DIGEST.json
    partial/DIGEST.part         a download that the next sync resumes

Replacing ``state.json`` switches models: after a kill at any point, it names models that are complete.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from loop import durable
from loop.errors import BadSettings, DiskFull, FeedRefused
from loop.feed import canonical, fields, trust
from loop.feed.asking import AskingPolicy
from loop.feed.canonical import Plain
from loop.feed.document import HEX64
from loop.feed.refusals import StateUnreadable
from loop.feed.trust import SeenAsking, Trusted
from loop.home import artifacts

FORMAT = 1
FILE, LOCK = "state.json", ".lock"


@dataclass(frozen=True, slots=True)
class Held:
    """An installed model."""

    version: int
    digest: str
    golden_digest: str


@dataclass(frozen=True, slots=True)
class HeldAsking:
    """The last asking policy, and until when it is valid."""

    seen: SeenAsking
    expires: datetime
    policy: AskingPolicy


@dataclass(frozen=True, slots=True)
class State:
    """Everything in ``state.json``."""

    trusted: Trusted
    device: str
    channel: str
    current: Held | None = None
    previous: Held | None = None
    asking: HeldAsking | None = None


def begin(root: bytes, channel: str, device: str | None = None) -> State:
    """The state of a new device, which has only the root in its app. Raises ``FeedRefused``."""
    return State(trust.begin(root), device or secrets.token_hex(16), channel)


def model_file(folder: Path, digest: str) -> Path:
    """The file of an installed model."""
    return folder / "models" / f"{digest}.mlmodel"


def golden_file(folder: Path, digest: str) -> Path:
    """The file of a model's golden vectors."""
    return folder / "golden" / f"{digest}.json"


def partial_file(folder: Path, digest: str) -> Path:
    """The file of an unfinished download."""
    return folder / "partial" / f"{digest}.part"


def is_intact(folder: Path, held: Held | None) -> bool:
    """Whether the model's file exists with the verified bytes."""
    if held is None:
        return False
    path = model_file(folder, held.digest)
    return path.is_file() and artifacts.digest(path.read_bytes()) == held.digest


def load(folder: Path) -> State | None:
    """The state in a folder, or None if none was written yet. Raises ``StateUnreadable``."""
    path = folder / FILE
    try:
        plain = canonical.parse(path.read_bytes())
        if plain["format"] != FORMAT:
            raise StateUnreadable(f"{path}: expected format {FORMAT}, got {plain['format']!r:.20}")
        return _state(plain)
    except FileNotFoundError:
        return None
    except StateUnreadable:
        raise
    except (OSError, FeedRefused, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise StateUnreadable(f"{path}: damaged ({reason}); remove the folder and start again with --root") from None


def save(folder: Path, state: State) -> None:
    """Replace the state. Raises ``DiskFull``; then the old state remains."""
    durable.write_whole(folder / FILE, canonical.encode(_plain(state)))


def tidy(folder: Path, state: State) -> None:
    """Remove every model, golden file and partial download that the state does not name."""
    installed = [held for held in (state.current, state.previous) if held is not None]
    names = {model_file(folder, held.digest) for held in installed}
    names |= {golden_file(folder, held.golden_digest) for held in installed}
    for kind in ("models", "golden", "partial"):
        for path in (folder / kind).glob("*"):
            if path not in names:
                path.unlink()
    for path in folder.glob(f"{durable.TEMPORARY_PREFIX}*"):  # left by a killed ``write_whole``
        path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Allow one sync at a time per folder; a killed process loses its lock.

    Raises ``BadSettings``, and ``DiskFull`` for any error of the disk inside the block.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(durable.locked(folder / LOCK, wait_seconds=None))
        except OSError as error:
            raise BadSettings(f"{folder}: expected a folder for the device's state ({error.strerror})") from None
        try:
            yield
        except OSError as error:
            raise DiskFull(f"{folder}: cannot write ({error.strerror}); free some space and sync again") from error


def _plain(state: State) -> Plain:
    trusted = state.trusted
    plain: Plain = {
        "channel": state.channel,
        "device": state.device,
        "format": FORMAT,
        "root": canonical.parse(trusted.root_data),
        "sequence": trusted.sequence,
    }
    if trusted.feed_digest is not None and trusted.issued is not None:
        plain |= {"feed_digest": trusted.feed_digest, "issued": fields.when(trusted.issued)}
    for name, held in (("current", state.current), ("previous", state.previous)):
        if held is not None:
            plain[name] = {"digest": held.digest, "golden_digest": held.golden_digest, "version": held.version}
    if state.asking is not None:
        seen = {"expires": fields.when(state.asking.expires), "policy": asdict(state.asking.policy)}
        plain["asking"] = asdict(state.asking.seen) | seen
    return plain


def _state(plain: Plain) -> State:
    issued = None if "issued" not in plain else fields.parse_time(plain, "issued")
    trusted = trust.begin(canonical.encode(plain["root"]))
    trusted = Trusted(trusted.root, trusted.root_data, int(plain["sequence"]), plain.get("feed_digest"), issued)
    current, previous = (_held(plain.get(name)) for name in ("current", "previous"))
    asking = _asking(plain.get("asking"))
    return State(trusted, str(plain["device"]), str(plain["channel"]), current, previous, asking)


def _held(plain: Plain | None) -> Held | None:
    if plain is None:
        return None
    held = Held(int(plain["version"]), plain["digest"], plain["golden_digest"])
    if not (HEX64.fullmatch(held.digest) and HEX64.fullmatch(held.golden_digest)):
        raise ValueError("expected SHA-256 digests")
    return held


def _asking(plain: Plain | None) -> HeldAsking | None:
    if plain is None:
        return None
    seen = SeenAsking(int(plain["epoch"]), int(plain["sequence"]), str(plain["digest"]))
    return HeldAsking(seen, fields.parse_time(plain, "expires"), AskingPolicy(**plain["policy"]))
