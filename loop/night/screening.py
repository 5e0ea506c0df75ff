"""Screen the chosen lesson before it is frozen: read it with base, champion and an independent reader, hold back lies.

What is held back is a question for a reviewer, never lost: a row in ``quarantines`` with reasons, and the status
``quarantined`` until somebody decides; ``loop status``, the metrics and the night's log count it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.data.corpus import Corpus
from loop.evaluation import contradictions, independent_reader, odd_ink, screening
from loop.evaluation.digit_classifier import DigitClassifier
from loop.evaluation.screening import Items
from loop.home import Home
from loop.night.choosing import Chosen
from loop.store import Store, values
from loop.store.feedback import quarantines
from loop.store.feedback.labelled import SECONDS_A_DAY
from loop.store.values import Pool

READ_IMAGES, LIKE_IMAGES = 3_000, 12_000
"""Training images of the corpus that the independent reader learns, and that show where digits have ink."""


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """What a night holds back: how many uploads it looked at; the reasons (JSON values) of each held one, by id.

    ``agrees (n,) bool``: whether the independent reader reads the label of each upload of the lesson; None if it did
    not read, or is not credible.
    """

    looked_at: int
    reasons: Mapping[int, Sequence[Mapping[str, Any]]]
    credible: bool = True
    """Whether base, champion and the independent reader agree with most people; if not, only their marks count."""
    agrees: NDArray[np.bool_] | None = None

    @property
    def ids(self) -> NDArray[np.int64]:
        """The held uploads, ascending."""
        return np.array(sorted(self.reasons), np.int64)

    @property
    def signals(self) -> dict[str, int]:
        """How many uploads each signal holds back; an upload may have several."""
        counts = Counter(signal for each in self.reasons.values() for signal in {one["signal"] for one in each})
        return {signal: counts[signal] for signal in screening.SIGNALS if counts[signal]}

    @property
    def text(self) -> str:
        """One line for a log."""
        by = ", ".join(f"{signal} {count:,}" for signal, count in self.signals.items())
        line = f"{len(self.reasons):,} of {self.looked_at:,} uploads held back for a reviewer{f': {by}' if by else ''}"
        doubt = "; the readers contradict most people, so their contradictions held nothing back"
        return line if self.credible else line + doubt


def screen(
    home: Home, chosen: Chosen, versions: tuple[values.Version, values.Version], corpus: Corpus, now: datetime
) -> Screened:
    """Find what to hold back of the chosen lesson; ``versions`` are base and champion. Nothing is stored.

    Uploads of sources that an operator vouches for, and those that a reviewer accepted before, are never held back.
    """
    pool, settings = chosen.pool, home.settings
    if not len(pool) or not settings.screen.on:
        return Screened(0, {})
    base, champion = (home.models.get(version.artifact_digest) for version in versions)
    with home.store.read() as tx:
        accepted = quarantines.accepted(tx)
    of = np.searchsorted(chosen.sources.ids, pool.sources)
    vouched = chosen.sources.vouched[of]
    oldest = (now - timedelta(days=settings.trust.days)).timestamp() / SECONDS_A_DAY
    known = vouched | (chosen.sources.seen[of] <= oldest)
    learnt = np.where(known, chosen.assessed.values[of], 0.0)
    items = examine(base, champion, corpus, pool, learnt, vouched | np.isin(pool.ids, accepted))
    found = screening.screen(items, like(corpus))
    reasons = {int(pool.ids[row]): [reason.as_json() for reason in each] for row, each in found.reasons.items()}
    agrees = items.reader.argmax(axis=1) == pool.labels if found.credible else None
    return Screened(len(pool), reasons, found.credible, agrees)


def quarantine(store: Store, screened: Screened, run_id: int, now: datetime) -> int:
    """Store what is held back, as questions for a reviewer; how many. What was taken back meanwhile is left out."""
    with store.exclusive() as tx:
        return quarantines.hold(tx, screened.reasons, run_id, now)


def examine(
    base: DigitClassifier,
    champion: DigitClassifier,
    corpus: Corpus,
    pool: Pool,
    learnt: NDArray[np.float64],
    exempt: NDArray[np.bool_],
) -> Items:
    """Read the pool: each model once, and the independent reader on the base's embeddings.

    ``learnt (n,)``, 0 to 1: how far that reader may believe each upload. 0 for sources that nobody knows yet: else a
    crowd of them would teach it their lie.
    """
    step = max(1, len(corpus.train_labels) // READ_IMAGES)
    sample, labels = base.embeddings(corpus.train_images[::step]), corpus.train_labels[::step]
    read = base.read(pool.pixels)
    other = read.probabilities if champion.model == base.model else champion.probabilities(pool.pixels)
    reader = independent_reader.out_of_fold(read.embeddings, pool.labels, pool.sources, sample, labels, learnt)
    nobody = np.zeros(len(pool))
    unmoved = independent_reader.out_of_fold(
        read.embeddings, pool.labels, pool.sources, sample, labels, nobody, folds=1
    )
    atypical, plain = (
        contradictions.atypical(read.embeddings, answers.argmax(axis=1), sample, labels)
        for answers in (reader, unmoved)
    )
    return Items(
        pixels=pool.pixels,
        labels=pool.labels,
        sources=pool.sources,
        base=read.probabilities,
        champion=other,
        reader=reader,
        atypical=atypical,
        unmoved=unmoved,
        unmoved_atypical=plain,
        exempt=exempt,
        known=learnt > 0,
    )


def like(corpus: Corpus) -> odd_ink.Likeness:
    """Where the corpus's digits have ink, from a sample of its training images."""
    step = max(1, len(corpus.train_labels) // LIKE_IMAGES)
    return odd_ink.likeness(corpus.train_images[::step], corpus.train_labels[::step])
