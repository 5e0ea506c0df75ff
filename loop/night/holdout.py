"""The judge's slices: the base corpus's test images, and the uploads of sources that never teach."""

import numpy as np

from loop.data.corpus import Corpus
from loop.evaluation.gate import FEEDBACK
from loop.evaluation.scoring import Slice
from loop.store import Store
from loop.store.feedback import corrections
from loop.store.values import Role


def slices(store: Store, corpus: Corpus) -> tuple[Slice, Slice]:
    """The base slice, named after its corpus, and ``feedback``, weighted by inverse sampling rate."""
    with store.read() as tx:
        pool = corrections.pool(tx, Role.HOLDOUT)
    n = len(corpus.test_labels)
    base = Slice(corpus.name, corpus.test_images, corpus.test_labels, np.ones(n))
    # Without the phone's prediction nobody confirmed anything: a stranger leaves it out at will.
    confirmed = ~pool.corrected & pool.has_prediction
    judged = Slice(FEEDBACK, pool.pixels, pool.labels, 1 / pool.rates, pool.sources, confirmed)
    return base, judged
