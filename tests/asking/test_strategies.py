"""Every query strategy: one contract, and agreement with scikit-activeml where it has the same strategy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.asking.candidates import Candidates
from loop.asking.shortlist import Shortlist
from loop.asking.strategies import LOOKS, STRATEGIES, badge, least_margin, margin

NAMES = sorted(STRATEGIES)


def candidates(n: int, seed: int, labelled: int = 5, members: int = 2, repeated: bool = False) -> Candidates:
    """Drawings with random answers and embeddings; ``repeated``: every drawing occurs twice."""
    random = np.random.default_rng(seed)
    half = (n + 1) // 2 if repeated else n
    probabilities = random.dirichlet(np.full(10, 0.3), half)
    embeddings = random.normal(size=(half, 8)).astype(np.float32)
    if repeated:
        probabilities, embeddings = np.tile(probabilities, (2, 1))[:n], np.tile(embeddings, (2, 1))[:n]
    return Candidates(
        probabilities,
        embeddings,
        random.normal(size=(labelled, 8)).astype(np.float32),
        random.dirichlet(np.ones(10), (members, n)).reshape(members, n, 10),
    )


@pytest.mark.parametrize("name", NAMES)
@given(
    n=st.integers(0, 30),
    count=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
    labelled=st.integers(0, 3),
    repeated=st.booleans(),
)
def test_the_contract(name: str, n: int, count: int, seed: int, labelled: int, repeated: bool) -> None:
    """Different rows, as many as asked for or as there are; finite scores; equal arguments give an equal choice."""
    pool = candidates(n, seed, labelled, repeated=repeated)
    one, again = (STRATEGIES[name](pool, count, seed) for _ in range(2))
    assert len(one.rows) == len(one.scores) == min(n, count)
    assert len(set(one.rows.tolist())) == len(one.rows)
    assert not len(one.rows) or (one.rows.min() >= 0 and one.rows.max() < n)
    assert np.isfinite(one.scores).all()
    assert one.rows.tolist() == again.rows.tolist()
    assert one.scores.tolist() == again.scores.tolist()


@pytest.mark.parametrize("name", NAMES)
@given(
    n=st.integers(1, 40),
    wanted=st.integers(1, 45),
    seed=st.integers(0, 2**32 - 1),
    ends=st.lists(st.integers(1, 39), max_size=4),
    repeated=st.booleans(),
)
def test_a_shortlist_does_not_depend_on_the_parts(
    name: str, n: int, wanted: int, seed: int, ends: list[int], repeated: bool
) -> None:
    """The drawings that the strategy wants to see, in the pool's order, with their own arrays, however it is read."""
    pool, lots = candidates(n, seed, repeated=repeated), np.random.default_rng(seed).random(n)
    shortlist = Shortlist(name, wanted, lots)
    for part in np.split(np.arange(n), sorted({end for end in ends if end < n})):
        shortlist.add(part, pool[part])
    rows, seen = shortlist.found(pool.labelled)
    look = LOOKS.get(name, least_margin)
    worth = lots if look is None else look(pool)
    assert rows.tolist() == sorted(np.lexsort((lots, -worth))[:wanted].tolist())
    for field in ("probabilities", "embeddings"):
        assert (getattr(seen, field) == getattr(pool, field)[rows]).all()
    assert (seen.committee == pool.committee[:, rows]).all()


@pytest.mark.parametrize("name", ["least-confidence", "margin", "entropy", "committee", "margin-diverse"])
def test_a_shortlist_changes_no_choice(name: str) -> None:
    """Where the first look is the strategy's own measure, the choice is that among the whole pool."""
    pool = candidates(400, 6)
    shortlist = Shortlist(name, 50, np.random.default_rng(1).random(400))
    shortlist.add(np.arange(400), pool)
    rows, seen = shortlist.found(pool.labelled)
    assert rows[STRATEGIES[name](seen, 10, 3).rows].tolist() == STRATEGIES[name](pool, 10, 3).rows.tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"random", "badge", "margin-diverse"}])
def test_the_order_of_the_drawings_does_not_matter(name: str) -> None:
    """A strategy without chance chooses the same drawings, in whatever order the pool lists them."""
    pool, order = candidates(60, 4), np.random.default_rng(9).permutation(60)
    there = STRATEGIES[name](pool, 12, 0).rows
    here = order[STRATEGIES[name](pool[order], 12, 0).rows]
    assert here.tolist() == there.tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"random", "k-center"}])
def test_an_unsure_drawing_comes_first(name: str) -> None:
    """Of many sure drawings and one between two digits, the one is chosen first."""
    probabilities = np.full((40, 10), 0.001)
    probabilities[:, 3] = 0.991
    probabilities[17] = [0.06, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.30, 0.29]
    random = np.random.default_rng(2)
    embeddings = (1 + 0.1 * random.normal(size=(40, 6))).astype(np.float32)
    pool = Candidates(probabilities, embeddings, embeddings[:2], np.full((1, 40, 10), 0.1))
    wanted = STRATEGIES[name](pool, 5, 1).rows[0]
    assert wanted == 17 if name != "committee" else wanted != 17  # the committee is unsure of all, the champion of one


def test_distances_of_gradients_are_those_of_the_outer_products() -> None:
    """BADGE never forms the products; their distances are the same."""
    pool = candidates(25, 3)
    errors, points = badge.errors_of(pool.probabilities), pool.embeddings.astype(np.float64)
    products = np.einsum("ni,nj->nij", errors, points).reshape(25, -1)
    lengths = np.einsum("ij,ij->i", errors, errors) * np.einsum("ij,ij->i", points, points)
    expected = ((products - products[7]) ** 2).sum(axis=1)
    assert badge.distances(errors, points, lengths, 7) == pytest.approx(expected, abs=1e-9)


def test_a_bug_in_the_arrays_is_named() -> None:
    """Arrays that do not belong together are refused with the name of the array."""
    pool = candidates(4, 0)
    for broken, name in (
        ((pool.probabilities * 2, pool.embeddings, pool.labelled, pool.committee), "sum to 1"),
        ((pool.probabilities, pool.embeddings[:3], pool.labelled, pool.committee), "embeddings"),
        ((pool.probabilities, pool.embeddings, pool.labelled[:, :3], pool.committee), "labelled"),
        ((pool.probabilities, pool.embeddings, pool.labelled, pool.committee[:, :2]), "committee"),
        ((np.full((4, 10), np.nan), pool.embeddings, pool.labelled, pool.committee), "finite"),
    ):
        with pytest.raises(ValueError, match=name):
            Candidates(*broken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scikit_activeml(seed: int) -> None:
    """Least confidence, margin, entropy, committee, k-center and BADGE: the same drawings, or the same chances."""
    pool_of = pytest.importorskip("skactiveml.pool", reason="scikit-activeml is not installed")
    from skactiveml.pool import _query_by_committee, _uncertainty_sampling

    pool = candidates(80, seed, labelled=7)
    for name, method in (
        ("least-confidence", "least_confident"),
        ("margin", "margin_sampling"),
        ("entropy", "entropy"),
    ):
        theirs = _uncertainty_sampling.uncertainty_scores(pool.probabilities.copy(), method=method)
        ours = STRATEGIES[name](pool, 80, seed)
        assert ours.scores == pytest.approx(theirs[ours.rows])
        assert ours.rows[:20].tolist() == np.argsort(-theirs, kind="stable")[:20].tolist()
    members = np.concatenate([pool.probabilities[None], pool.committee])
    disagreement = _query_by_committee.average_kl_divergence(members.copy())
    ours = STRATEGIES["committee"](pool, 20, seed)
    assert ours.scores == pytest.approx(disagreement[ours.rows])
    assert ours.rows.tolist() == np.argsort(-disagreement)[:20].tolist()
    known = np.concatenate([pool.embeddings, pool.labelled])
    labels = np.r_[np.full(80, np.nan), np.zeros(7)]
    centres = pool_of.CoreSet(random_state=seed).query(known, labels, batch_size=20)
    assert STRATEGIES["k-center"](pool, 20, seed).rows.tolist() == centres.tolist()
    _badge_agrees(pool_of, pool, seed)


def _badge_agrees(pool_of: object, pool: Candidates, seed: int) -> None:
    """The same first drawing; after the same drawings, the same chances for the next."""
    from skactiveml.base import SkactivemlClassifier

    table = pool.probabilities

    class Known(SkactivemlClassifier):
        """A classifier that knows each drawing's probabilities by its embedding."""

        def fit(self, X, y, sample_weight=None):  # noqa: N803  # scikit-learn's name
            return self

        def predict_proba(self, X):  # noqa: N803  # scikit-learn's name
            rows = [int(np.flatnonzero((pool.embeddings == x.astype(np.float32)).all(axis=1))[0]) for x in X]
            return table[rows]

    chosen, chances = pool_of.Badge(random_state=seed).query(  # type: ignore[attr-defined]
        pool.embeddings,
        np.full(80, np.nan),
        Known(classes=list(range(10))),
        fit_clf=False,
        batch_size=6,
        return_utilities=True,
    )
    errors, points = badge.errors_of(table), pool.embeddings.astype(np.float64)
    lengths = np.einsum("ij,ij->i", errors, errors) * np.einsum("ij,ij->i", points, points)
    assert STRATEGIES["badge"](pool, 1, seed).rows[0] == chosen[0]
    nearest = lengths.copy()
    for i, row in enumerate(chosen[:-1]):
        nearest = np.minimum(nearest, badge.distances(errors, points, lengths, int(row)))
        nearest[chosen[: i + 1]] = 0
        ours, theirs = nearest / nearest.sum(), np.nan_to_num(chances[i + 1])
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_margin_is_the_gap_of_the_two_best() -> None:
    """By hand."""
    p = np.array([[0.5, 0.3, 0.2] + [0.0] * 7, [0.4, 0.4, 0.2] + [0.0] * 7])
    assert margin.uncertainty(p) == pytest.approx([0.8, 1.0])
