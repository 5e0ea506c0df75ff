"""What screening held back, on both databases: held, found, decided, and never held again."""

from datetime import timedelta

import numpy as np

from loop import intake
from loop.data.digits import digit
from loop.intake import Upload
from loop.store import Store
from loop.store.feedback import corrections, own_uploads, quarantines, trust
from loop.store.feedback.quarantines import ACCEPTED, REJECTED, Which
from loop.store.values import Attribution, Role, Status
from tests.conftest import NOW

RITA = Attribution("rita", "I looked at them")
INK = {"signal": "ink", "text": "ink where digits have none", "numbers": {"amount": 2805.0}}
PAIR = {"signal": "pair", "text": "label 7, read as 1", "numbers": {"read": 1.0}}


def upload(source: str, seed: int, label: int = 7) -> Upload:
    """An upload with a picture of its own."""
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)
    return Upload(source, digit(pixels), label)


def send(store: Store, *uploads: Upload) -> list[int]:
    """Store them; their ids."""
    answers = intake.accept_many(store, list(uploads), 0.0, NOW)
    assert all(isinstance(answer, intake.Receipt) for answer in answers)
    return [answer.id for answer in answers]


def held(store: Store) -> list[int]:
    """Three uploads, two of anna's, that are held back, and a fourth that is not; their ids."""
    ids = send(store, upload("anna", 1), upload("anna", 2), upload("ben", 3), upload("cara", 4))
    with store.exclusive() as tx:
        assert quarantines.hold(tx, {ids[0]: [INK], ids[1]: [INK, PAIR], ids[2]: [PAIR]}, None, NOW) == 3
    return ids


def taught(store: Store) -> list[int]:
    """The ids that a night could teach."""
    with store.read() as tx:
        return corrections.pool(tx, Role.TRAIN).ids.tolist()


def test_held_uploads_do_not_teach_and_are_questions(store: Store) -> None:
    """Held uploads leave what is taught, and are listed with picture and reasons; each counts once."""
    ids = held(store)
    assert taught(store) == ids[3:]
    with store.read() as tx:
        found = quarantines.find(tx, Which())
        assert quarantines.waiting(tx) == {"all": 3, "ink": 2, "pair": 2}
        assert quarantines.count(tx) == 3
    assert [(each.id, each.source, each.status) for each in found] == [
        (ids[0], "anna", Status.QUARANTINED),
        (ids[1], "anna", Status.QUARANTINED),
        (ids[2], "ben", Status.QUARANTINED),
    ]
    assert found[1].reasons == [INK, PAIR]
    assert found[0].pixels == upload("anna", 1).image.pixels.tobytes()


def test_found_by_source_signal_and_page(store: Store) -> None:
    """The parts of a choice narrow it; pages follow the ids."""
    ids = held(store)
    with store.read() as tx:
        assert [each.id for each in quarantines.find(tx, Which(signal="pair"))] == ids[1:3]
        assert [each.id for each in quarantines.find(tx, Which(source="anna", signal="pair"))] == ids[1:2]
        assert [each.id for each in quarantines.find(tx, Which(ids=(ids[2],), source="anna"))] == []
        assert [each.id for each in quarantines.find(tx, Which(), limit=1, after=ids[0])] == ids[1:2]


def test_accepted_ones_teach_and_are_never_held_again(store: Store) -> None:
    """An accepted upload teaches again, with who and when on record; screening cannot hold it back again."""
    ids = held(store)
    later = NOW + timedelta(days=1)
    with store.exclusive() as tx:
        assert quarantines.decide(tx, Which(source="anna"), ACCEPTED, RITA, later) == ids[:2]
        assert quarantines.hold(tx, {ids[0]: [INK]}, None, later) == 0
        assert quarantines.accepted(tx) == ids[:2]
        found = quarantines.get(tx, ids[0])
    assert found is not None
    assert found.reasons == [INK, {"signal": "decision", "text": "accepted by rita: I looked at them", "numbers": {}}]
    assert (found.decision, found.decided_by, found.decided_at) == (ACCEPTED, "rita", later)
    assert taught(store) == [*ids[:2], ids[3]]


def test_rejected_ones_never_teach(store: Store) -> None:
    """A rejected upload stays out, and counts against its source; a second decision about it changes nothing."""
    ids = held(store)
    with store.exclusive() as tx:
        assert quarantines.decide(tx, Which(signal="ink"), REJECTED, RITA, NOW) == ids[:2]
        assert quarantines.decide(tx, Which(ids=tuple(ids)), ACCEPTED, Attribution("otto", "it is a 7"), NOW) == [
            ids[2]
        ]
        assert quarantines.waiting(tx) == {"all": 0}
        assert trust.decisions(tx).accepted.tolist() == [False, False, True]
    assert taught(store) == ids[2:]


def test_its_source_may_still_withdraw_and_relabel(store: Store) -> None:
    """A source takes a held upload back, or says another label: then nobody is asked about the old word."""
    ids = held(store)
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "anna", ids[0])
    (new,) = send(store, upload("ben", 3, label=1))
    with store.exclusive() as tx:
        assert [each.id for each in quarantines.find(tx, Which())] == [ids[1]]
        assert quarantines.decide(tx, Which(), ACCEPTED, RITA, NOW) == [ids[1]]
        withdrawn = quarantines.find(tx, Which(decided=ACCEPTED))
    assert [each.id for each in withdrawn] == [ids[1]]
    assert taught(store) == sorted([ids[1], ids[3], new])


def test_only_accepted_uploads_are_held(store: Store) -> None:
    """What its source withdrew since it was screened is left out, and so is a number that does not exist."""
    ids = held(store)
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "cara", ids[3])
        assert quarantines.hold(tx, {ids[3]: [INK], 10**9: [INK]}, None, NOW) == 0
        assert quarantines.get(tx, ids[3]) is None
