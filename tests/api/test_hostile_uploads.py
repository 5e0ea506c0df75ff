"""No upload of any content stops a night or weighs more than its share: attacks 3, 4, 5, 9 and 13 through the API."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from loop.clock import utc_now
from loop.evaluation import gate, scoring
from loop.home.sections import Jury, Serving
from loop.intake.live_accuracy import score_waiting
from loop.night import jury
from loop.operations import doctor
from loop.operations.metrics import Metrics
from loop.store import tables
from loop.store.feedback import live_accuracy, live_scores, split, weighing
from loop.store.feedback.live_accuracy import Live
from loop.store.values import Flag, Kind, Role
from tests.api.conftest import Phone, Server, opened, picture, serving
from tests.conftest import NOW
from tests.helpers import crowd, stores
from tests.helpers.people import season
from tests.intake.test_live_accuracy import crown, stubborn
from tests.night.test_jury import some_corpus

RATE = 0.05
PEOPLE = 60
UNLIMITED = Serving(
    **dict.fromkeys(["key_per_minute", "source_per_minute", "source_per_day", "sources_per_minute"], 10**7)
)
SALT = "salt"
FAST = examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Server]:
    """A server with a champion that reads everything as 1, on each database in turn."""
    on_postgres = request.param == "postgresql"
    url = stores.cleared(request.getfixturevalue("postgres")) if on_postgres else f"sqlite:///{tmp_path / 'loop.db'}"
    home = opened(url, tmp_path, serve=UNLIMITED, confirm_rate=RATE)
    with home.store.write() as tx:
        split.set_salt(tx, SALT)
    crown(home, stubborn(1), NOW)
    with serving(home) as found:
        yield found


def judge_phone(server: Server) -> Phone:
    """A phone whose source judges."""
    share = server.home.settings.holdout_share
    while True:
        phone = server.phone()
        if split.role_of(phone.source, SALT, share) is Role.HOLDOUT:
            return phone


def body(seed: int = 0, **fields: Any) -> dict[str, Any]:
    """A valid confirmation, with these fields instead."""
    image = base64.b64encode(picture(seed)).decode()
    return {"image": image, "label": 4, "predicted": 4, "kind": "confirmation", "version": 1, "rate": RATE} | fields


def post(server: Server, phone: Phone, sent: dict[str, Any]) -> httpx.Response:
    """Send JSON as Python writes it: with NaN, Infinity and every float."""
    headers = phone.headers | {"Content-Type": "application/json"}
    return httpx.post(f"{server.url}/v1/corrections", content=json.dumps(sent), headers=headers, timeout=60)


def live(server: Server) -> dict[str, Live]:
    """Live accuracy of version 1 by kind of evidence, after every upload was scored."""
    while score_waiting(server.home, utc_now()):
        pass
    with server.home.store.read() as tx:
        return {each.how: each for each in live_accuracy.live(tx, weighing.least_announced(tx, RATE))}


def judged(server: Server) -> scoring.Slice:
    """The slice on which this moment's uploads would judge."""
    return jury.draw(server.home.store, some_corpus(), Jury(), RATE, utc_now()).slices[1]


def verdict(server: Server) -> gate.Verdict:
    """The gate's verdict on a challenger that reads everything as 4, beside the champion."""
    base, feedback = jury.draw(server.home.store, some_corpus(), Jury(), RATE, utc_now()).slices
    reports = [
        scoring.score(
            lambda images, digit=digit: np.eye(10)[np.full(len(images), digit)], f"{digit:064x}", [base, feedback]
        )
        for digit in (1, 4)
    ]
    sound = [replace(each, health=replace(each.health, varied=True, unpredicted=())) for each in reports]
    return gate.judge(sound[0], sound[1], gate.Policy())


def people(server: Server) -> None:
    """Sixty honest people, 95 % of whose digits the champion reads rightly."""
    with server.home.store.write() as tx:
        crowd.send(tx, crowd.write(1, PEOPLE, 40, 0.95, RATE), NOW, version=1, arrived=1)


@pytest.mark.parametrize("rate", [1e-309, 1e-6, 1e-3, 0.02])
def test_attacks_3_4_and_5_a_rate_that_nobody_announced(server: Server, rate: float) -> None:
    """Refused with the announced rate, alone and in a batch; nothing of it judges. The honest rate is accepted."""
    phone = judge_phone(server)
    refused = post(server, phone, body(1, rate=rate))
    assert refused.status_code == 422
    expected = "rate-not-announced" if rate >= 1e-6 else "bad-rate"
    assert refused.json()["type"] == f"urn:digit-loop:{expected}"
    assert expected == "bad-rate" or "expected 0.05" in refused.json()["detail"]
    items = [body(1, rate=rate, key="a"), body(2, key="b")]
    answer = httpx.post(f"{server.url}/v1/corrections:batch", json={"corrections": items}, headers=phone.headers)
    assert [each["status"] for each in answer.json()["answers"]] == [422, 201]
    season(server.home.store)
    assert judged(server).weights.tolist() == [1 / RATE]


def test_attack_3_a_row_from_before_the_check(server: Server) -> None:
    """It is set aside, counted and named, and the others judge on; a correction weighs 1, whatever its rate says."""
    phone, other = judge_phone(server), judge_phone(server)
    first, _ = (post(server, each, body(seed)).json()["id"] for seed, each in enumerate((phone, other)))
    correction = post(server, phone, body(7, kind="correction", predicted=9, rate=1)).json()["id"]
    season(server.home.store)
    rewrite(server, [first, correction], 1e-309)
    assert sorted(judged(server).weights.tolist()) == [1.0, 1 / RATE]
    with server.home.store.read() as tx:
        counts = weighing.counts(tx, weighing.least_announced(tx, RATE))
    assert counts == {"unknown-version": 0, "captured-at": 0, "unannounced-rate": 1}
    (finding,) = [each for each in doctor.examine(server.home, utc_now()) if each.check == "set aside"]
    assert f"{first} of {phone.source}" in finding.actual
    said = Metrics(server.home).exposition(utc_now()).decode()
    assert 'loop_uploads_set_aside{reason="unannounced-rate"} 1.0' in said
    assert live(server)["told"].n == 2
    rewrite(server, [first, correction], RATE)
    assert sorted(judged(server).weights.tolist()) == [1.0, 1 / RATE, 1 / RATE]


def test_a_row_of_any_rate(server: Server) -> None:
    """Over all floats that the column takes: no weight is above that of the lowest rate a phone can have had."""
    number = post(server, judge_phone(server), body(1)).json()["id"]
    post(server, judge_phone(server), body(2))
    season(server.home.store)

    @FAST
    @given(st.floats(5e-324, 1) | st.sampled_from([5e-324, 1e-309, 2.3e-308, 1e-3, RATE / 2, RATE, 1.0]))
    def each(rate: float) -> None:
        rewrite(server, [number], rate)
        assert judged(server).weights.max() <= 2 / RATE
        assert verdict(server).reasons
        assert all(math.isfinite(each.accuracy + each.effective_n) for each in live(server).values())

    each()


def rewrite(server: Server, numbers: list[int], rate: float) -> None:
    """Give rows a rate, as a sender could before rates were checked."""
    with server.home.store.write() as tx:
        tx.execute(update(tables.Correction).where(tables.Correction.id.in_(numbers)).values(rate=rate))


def test_attack_9_one_source_lies_about_live_accuracy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred lies move the estimate by the share of three average sources at most; without the cap, far more."""
    people(server)
    before = live(server)
    phone, liar = server.phone(), server.phone()
    assert post(server, phone, body(1, rate=1e-3)).status_code == 422
    for seed in range(100):  # misreadings that it "confirms" at the announced rate
        assert post(server, liar, body(seed)).status_code == 201
    after = live(server)
    share = live_scores.MOST_AVERAGE_SOURCES / after["said"].sources
    assert before["said"].accuracy - after["said"].accuracy <= share + 0.002
    assert after["said"].accuracy > 0.88
    monkeypatch.setattr(live_scores, "capped_weight", lambda _: math.inf)
    assert before["said"].accuracy - live(server)["said"].accuracy > 5 * share


def test_attack_13_one_image_with_ten_labels(server: Server) -> None:
    """A source has one current word about an image: the last one."""
    phone = judge_phone(server)
    for label in range(10):
        fields = {"label": label, "kind": "correction", "predicted": (label + 1) % 10, "rate": 1, "key": f"k{label}"}
        assert post(server, phone, body(3, **fields)).status_code == 201
    with server.home.store.read() as tx:
        statuses = dict(
            tx.execute(select(tables.Correction.status, func.count()).group_by(tables.Correction.status)).all()
        )
    assert statuses == {"accepted": 1, "superseded": 9}
    season(server.home.store)
    assert judged(server).labels.tolist() == [9]


def test_attack_13_one_image_from_thirty_sources(server: Server) -> None:
    """It judges once, whatever the number of sources; thirty different images judge thirty times."""
    for _ in range(30):
        assert post(server, judge_phone(server), body(3)).status_code == 201
    season(server.home.store)
    assert len(judged(server).labels) == 1
    for seed in range(10, 40):
        assert post(server, judge_phone(server), body(seed)).status_code == 201
    season(server.home.store)
    assert len(judged(server).labels) == 31


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"version": 987_654}, Flag.UNKNOWN_VERSION),
        ({"captured_at": "9998-12-31T00:00:00Z"}, Flag.CAPTURED_AT),
        ({"captured_at": "1970-01-01T00:00:00Z"}, Flag.CAPTURED_AT),
        ({"captured_at": "2026-01-01T00:00:00Z"}, None),
        ({"version": None}, None),
    ],
)
def test_a_flagged_upload_is_kept_and_never_weighed(server: Server, fields: dict[str, Any], flag: Flag | None) -> None:
    """Its own source sees why; it does not judge and is no live accuracy. Without a flag it does both."""
    phone = judge_phone(server)
    sent = post(server, phone, body(1, **fields))
    assert sent.status_code == 201
    season(server.home.store)
    shown = httpx.get(f"{server.url}{sent.headers['Location']}", headers=phone.headers).json()
    assert (shown["status"], shown["flag"]) == ("accepted", flag)
    assert len(judged(server).labels) == (flag is None)
    assert ("said" in live(server)) == (flag is None)
    with server.home.store.read() as tx:
        assert sum(weighing.counts(tx, RATE / 2).values()) == (flag is not None)


ODD = (
    st.floats() | st.integers() | st.text(max_size=20) | st.none() | st.booleans() | st.lists(st.integers(), max_size=2)
)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}Z") | st.datetimes().map(str)


def field(*valid: Any) -> st.SearchStrategy[Any]:
    """Mostly valid values, so that many uploads reach the store; and any other."""
    return st.sampled_from(valid) | st.sampled_from(valid) | ODD


UPLOADS = st.fixed_dictionaries(
    {"image": st.integers(0, 5).map(lambda seed: base64.b64encode(picture(seed)).decode())},
    optional={
        "label": field(1, 4, 7),
        "predicted": field(1, 4, 7),
        "kind": field(*Kind),
        "confidence": field(0.0, 0.5, 1.0) | st.floats(0, 1),
        "version": field(1, 2, None) | st.integers(1, 2**31),
        "rate": field(RATE, 1, None) | st.floats(0, 1) | st.floats(0.02, 0.11),
        "captured_at": field("2026-05-03T08:00:00Z", None) | TIMES,
        "key": field("a", "b", None),
    },
)


def test_no_upload_of_any_content_stops_anything(server: Server) -> None:
    """Every field takes every value: each answer is 201 or a refusal, each row weighs 1 or 1/rate, and the slice, the
    gate, live accuracy, the metrics and doctor have an answer.
    """
    stored = set()

    @FAST
    @given(UPLOADS)
    @example(body())  # chance alone may find no upload that is accepted
    @example(body(1, captured_at="1999-01-01T00:00:00Z"))  # nor one that is set aside
    @example(body(2, rate=1e-309))
    def each(sent: dict[str, Any]) -> None:
        phone = judge_phone(server)
        answer = post(server, phone, sent)
        assert answer.status_code in {201, 400, 422}, answer.text
        stored.add(answer.status_code)

    each()
    assert stored >= {201, 422}
    season(server.home.store)
    with server.home.store.read() as tx:
        rows = tx.execute(select(tables.Correction.kind, tables.Correction.rate)).all()
    assert {rate for kind, rate in rows if kind == "confirmation"} <= {RATE}
    assert {rate for kind, rate in rows if kind != "confirmation"} <= {1.0}
    assert set(judged(server).weights.tolist()) <= {1.0, 1 / RATE}
    assert verdict(server).reasons
    assert all(0 <= each.low <= each.accuracy <= each.high <= 1 for each in live(server).values())
    assert b"loop_live_accuracy_ratio" in Metrics(server.home).exposition(utc_now())
    assert [each for each in doctor.examine(server.home, utc_now()) if each.check == "set aside"]


def test_no_source_moves_live_accuracy_by_more_than_its_share(server: Server) -> None:
    """Whatever one source sends, and however often."""
    people(server)
    before, liar = live(server), server.phone()

    @FAST
    @given(st.lists(UPLOADS, min_size=1, max_size=4))
    def each(sent: list[dict[str, Any]]) -> None:
        for seed, upload in enumerate(sent):
            post(server, liar, upload | {"image": base64.b64encode(picture(hash(str(upload)) % 10**6 + seed)).decode()})

    each()
    for how, after in live(server).items():
        share = live_scores.MOST_AVERAGE_SOURCES / after.sources
        assert abs(after.accuracy - before[how].accuracy) <= share + 0.002


@examples(max_examples=300, deadline=None)
@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=40))
def test_the_cap_is_what_it_says(weights: list[float]) -> None:
    """No capped weight is above three times the mean of the capped ones, and none is lowered without need."""
    limit = live_scores.capped_weight(weights)
    capped = [min(weight, limit) for weight in weights]
    mean = math.fsum(capped) / len(capped)
    if len(weights) > live_scores.MOST_AVERAGE_SOURCES:
        assert max(capped) <= live_scores.MOST_AVERAGE_SOURCES * mean * (1 + 1e-6)
    if max(weights) > limit:
        assert max(capped) == pytest.approx(live_scores.MOST_AVERAGE_SOURCES * mean, rel=1e-6)
