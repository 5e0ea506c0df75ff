"""Check a downloaded model. Each rule is a function in ``CHECKS`` with one ``if``.

The bytes have the digest that the feed names, the file loads, its metadata names the feed's family and version, and it
reproduces its golden vectors. A device applies the rules before it installs, the server before it publishes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from loop.errors import BadModel
from loop.evaluation import digit_classifier, export_check
from loop.feed import canonical, refusals
from loop.feed.document import Release
from loop.home import artifacts

GOLDEN_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Files:
    """The downloaded files of a release, not yet checked."""

    channel: str
    release: Release
    model: bytes
    golden: bytes


def has_the_digest(files: Files) -> None:
    """The model has the digest that the feed names."""
    digest = artifacts.digest(files.model)
    if digest != files.release.digest:
        raise refusals.WrongDigest(f"model: expected {files.release.digest:.12}…, got {digest:.12}…")


def golden_has_the_digest(files: Files) -> None:
    """The golden vectors have the digest that the feed names."""
    digest = artifacts.digest(files.golden)
    if digest != files.release.golden_digest:
        raise refusals.WrongDigest(f"golden vectors: expected {files.release.golden_digest:.12}…, got {digest:.12}…")


def golden_is_shallow(files: Files) -> None:
    """The golden vectors are not nested so deeply that a parser would recurse too far."""
    canonical.require_shallow(files.golden, GOLDEN_DEPTH)


def loads(files: Files) -> None:
    """The runtime loads the model as a classifier of the ten digits."""
    try:
        digit_classifier.classifier(digit_classifier.load(files.model))
    except BadModel as error:
        raise refusals.DoesNotLoad(f"model: it does not load ({error})") from None


def metadata_matches_the_feed(files: Files) -> None:
    """The model's metadata names the channel's family and the release's version."""
    metadata = digit_classifier.load(files.model).metadata
    expected = (files.channel.partition(".")[0], str(files.release.version))
    got = (metadata.get("loop.family", "none"), metadata.get("loop.version", "none"))
    if got != expected:
        raise refusals.WrongModel(
            f"model: expected family {expected[0]}, version {expected[1]}; got {got[0]:.20}, {got[1]:.20}"
        )


def reproduces_its_golden_vectors(files: Files) -> None:
    """The model gives the same answers as when it was judged."""
    mismatches = export_check.check_golden(files.model, files.golden)
    if mismatches:
        more = f" ({len(mismatches)} mismatches)" if len(mismatches) > 1 else ""
        raise refusals.SelfTestFailed(f"model: {mismatches[0]}{more}")


CHECKS: tuple[Callable[[Files], None], ...] = (
    has_the_digest,
    golden_has_the_digest,
    golden_is_shallow,
    loads,
    metadata_matches_the_feed,
    reproduces_its_golden_vectors,
)


def check(files: Files) -> None:
    """Apply every rule in order. Raises ``FeedRefused`` for the first broken one."""
    for rule in CHECKS:
        rule(files)
