"""The code of an app developer around the client that openapi-python-client makes. Prints one JSON object."""

import base64
import json
import sys
from io import BytesIO
from typing import Any

from digit_loop_client import AuthenticatedClient
from digit_loop_client.api.corrections import send_batch, send_correction
from digit_loop_client.api.feed import get_feed, get_golden, get_model, get_root
from digit_loop_client.api.predictions import predict
from digit_loop_client.api.versions import list_versions
from digit_loop_client.models import Batch, Correction, CorrectionForm, Problem, SignedFeed
from digit_loop_client.types import File


def main(url: str, app_key: str, reviewer_key: str, secret: str, image: str) -> dict[str, Any]:
    """Call the operations that an app needs; what the server answered."""
    app, reviewer = AuthenticatedClient(url, app_key), AuthenticatedClient(url, reviewer_key)
    picture = File(BytesIO(base64.b64decode(image)), "digit.png", "image/png")
    one = Correction(image=image, label=4, predicted=9)
    first = send_correction.sync_detailed(client=app, body=one, loop_source=secret, idempotency_key="one")
    form = CorrectionForm(image=picture, label=4, predicted=9)
    again = send_correction.sync_detailed(client=app, body=form, loop_source=secret, idempotency_key="one")
    wrong = send_correction.sync(client=app, body=Correction(image=image, label=17), loop_source=secret)
    items = [Correction(image=image, label=5, key="two"), Correction(image=image, label=12, key="three")]
    batch = send_batch.sync(client=app, body=Batch(items), loop_source=secret)
    empty = send_batch.sync(client=app, body=Batch([]), loop_source=secret)
    feed = get_feed.sync(client=app)
    assert isinstance(feed, SignedFeed)
    release = feed.signed.channels["cnn.mlmodel"]
    model = get_model.sync(release.digest, client=app)
    return {
        "first": first.parsed.id,
        "again": again.parsed.id,
        "replayed": again.headers.get("Idempotency-Replayed"),
        "received_at": json.loads(first.content)["received_at"],
        "wrong": following(wrong),
        "batch": [[each.status, following(each.problem)] for each in batch.answers],
        "empty": following(empty),
        "version": release.version,
        "model": len(model.payload.read()),
        "length": release.length,
        "golden": get_golden.sync(release.golden.digest, client=app).model == release.digest,
        "root": get_root.sync("1.json", client=app).signed.version,
        "versions": [[each.number, each.alias or None] for each in list_versions.sync(client=reviewer, limit=10)],
        "read": len(predict.sync(client=app, body=File(BytesIO(base64.b64decode(image)))).probabilities),
    }


def following(problem: object) -> str:
    """What an outbox does with a refusal."""
    if not isinstance(problem, Problem):
        return "drop: it is on disk"
    if problem.type_ == "urn:digit-loop:split-batch":
        return "split"
    return f"refused: {problem.type_.value}"


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 (the test reads it)
