"""May a model be run? The rules for a downloaded model, each a function in ``CHECKS`` with one ``if``.

The bytes have the digest that the feed names; the file loads; its own description names the feed's family and version;
it answers its golden vectors. A device applies them before it installs, the server before it publishes.
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
    """What came for a release, before anything is believed."""

    channel: str
    release: Release
    model: bytes
    golden: bytes


def has_the_digest(files: Files) -> None:
    """The bytes are those that the feed names."""
    found = artifacts.digest(files.model)
    if found != files.release.digest:
        raise refusals.WrongDigest(f"model: expected {files.release.digest:.12}…, got {found:.12}…")


def golden_has_the_digest(files: Files) -> None:
    """So are the golden vectors'."""
    found = artifacts.digest(files.golden)
    if found != files.release.golden_digest:
        raise refusals.WrongDigest(f"golden vectors: expected {files.release.golden_digest:.12}…, got {found:.12}…")


def golden_is_shallow(files: Files) -> None:
    """No parser will drown in them."""
    canonical.require_shallow(files.golden, GOLDEN_DEPTH)


def loads(files: Files) -> None:
    """The runtime takes it, as a classifier of the ten digits."""
    try:
        digit_classifier.classifier(digit_classifier.load(files.model))
    except BadModel as error:
        raise refusals.DoesNotLoad(f"model: expected one that loads ({error})") from None


def is_what_the_feed_says(files: Files) -> None:
    """Family and version in the file's own description are those of the channel."""
    says = digit_classifier.load(files.model).metadata
    expected = (files.channel.partition(".")[0], str(files.release.version))
    found = (says.get("loop.family", "none"), says.get("loop.version", "none"))
    if found != expected:
        raise refusals.WrongModel(
            f"model: expected family {expected[0]}, version {expected[1]}; it says {found[0]:.20}, {found[1]:.20}"
        )


def answers_its_golden_vectors(files: Files) -> None:
    """It answers here as it answered where it was judged."""
    wrong = export_check.check_golden(files.model, files.golden)
    if wrong:
        raise refusals.SelfTestFailed(f"model: {wrong[0]}" + (f" ({len(wrong)} such)" if len(wrong) > 1 else ""))


CHECKS: tuple[Callable[[Files], None], ...] = (
    has_the_digest,
    golden_has_the_digest,
    golden_is_shallow,
    loads,
    is_what_the_feed_says,
    answers_its_golden_vectors,
)


def check(files: Files) -> None:
    """Apply every rule in order. Raises ``FeedRefused`` for the first that is broken."""
    for rule in CHECKS:
        rule(files)
