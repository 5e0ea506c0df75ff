"""The answers to uploads: a receipt as JSON, and for a batch one answer to each correction."""

from collections.abc import Iterable

from loop.api import problems, schemas
from loop.clock import iso
from loop.errors import LoopError
from loop.intake import Receipt


def accepted(receipt: Receipt) -> bytes:
    """A receipt as JSON. It is formatted by hand because every upload needs it, and no field needs escaping."""
    duplicate = "true" if receipt.duplicate else "false"
    supersedes, at = receipt.supersedes or "null", iso(receipt.received_at)
    return (
        f'{{"id":{receipt.id},"digest":"{receipt.digest}","duplicate":{duplicate},"supersedes":{supersedes},'
        f'"received_at":"{at}"}}'
    ).encode()


def to_batch(answers: Iterable[Receipt | LoopError]) -> schemas.Answers:
    """The answer to a batch; answer i is for correction i."""
    return schemas.Answers(answers=[_answer(each) for each in answers])


def _answer(answer: Receipt | LoopError) -> schemas.Answer:
    if isinstance(answer, Receipt):
        accepted = schemas.Accepted(
            id=answer.id,
            digest=answer.digest,
            duplicate=answer.duplicate,
            supersedes=answer.supersedes,
            received_at=answer.received_at,
        )
        return schemas.Answer(status=201, accepted=accepted)
    problem = schemas.Problem(**problems.of(answer))
    return schemas.Answer(status=problem.status, problem=problem)
