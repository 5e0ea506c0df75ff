"""Malformed pictures and bodies through the real API: refused, nothing stored, no memory kept, nothing fails inside.

The server runs in a process of its own, whose resident memory is looked at before and after.
"""

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from loop.data import digits
from loop.errors import BadImage
from loop.store import tables
from tests.api import operations, wire
from tests.api.conftest import Phone
from tests.api.operations import BOUNDARY
from tests.api.process import Process, apart
from tests.api.test_corrections import correction
from tests.helpers import malformed
from tests.helpers.drawn import encoded, seven
from tests.helpers.malformed import Fate, File

GROWTH = 32  # MiB
LONGEST = 250_000  # bytes of a picture that fits into a body
LARGEST = encoded(Image.fromarray(np.asarray(seven(2000))).convert("RGBA"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Process]:
    """A server on SQLite."""
    with apart(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path) as found:
        yield found


@pytest.fixture
def process(url: str, tmp_path: Path) -> Iterator[Process]:
    """A server on each database, warmed up with the largest accepted pictures, two at a time."""
    with apart(url, tmp_path) as found:
        with ThreadPoolExecutor(4) as senders:
            list(senders.map(lambda _: upload(found, found.phone(), LARGEST), range(6)))
        found.send(found.phone())
        yield found


def upload(process: Process, phone: Phone, data: bytes, *, as_json: bool = False) -> int:
    """Send a file as the picture; the status."""
    if as_json:
        body, kind = json.dumps(correction(image=base64.b64encode(data).decode())).encode(), b"application/json"
    else:
        kind = b"multipart/form-data; boundary=" + BOUNDARY
        body = operations.multipart({b"label": b"4", b"predicted": b"9", b"image": data})
    headers = operations.headers(phone.key, phone, kind)
    answer = wire.ask(process.url, wire.request("POST", b"/v1/corrections", headers.items(), body))
    return 413 if answer is None else answer.status  # None: it closed while a body too long was on its way


def stored(process: Process) -> set[str]:
    """Digests in the store."""
    with process.home.store.read() as tx:
        return {row.digest for row in tx.query(tables.Correction.digest)}


def digest(data: bytes) -> str | None:
    """The digest under which a file would be stored; None if it is no picture."""
    try:
        return digits.read(data).digest
    except BadImage:
        return None


@pytest.mark.slow
def test_the_generator_is_what_it_says() -> None:
    """More than 500 files; those that claim to be pictures are, those that claim not to be are not."""
    found = malformed.files(1)
    assert len(found) > 500
    assert [each.data for each in malformed.files(1)] == [each.data for each in found]
    assert [each.name for each in found if each.fate is Fate.TAKEN and digest(each.data) is None] == []
    assert [each.name for each in found if each.fate is Fate.REFUSED and digest(each.data) is not None] == []
    assert [each for each in found if each.fate is Fate.EITHER]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "every"), [([1], 4), pytest.param(range(1, 11), 1, marks=pytest.mark.campaign)], ids=["short", "whole"]
)
def test_malformed_files(process: Process, seeds: list[int], every: int) -> None:
    """No 5xx; exactly the pictures are stored; memory does not grow."""
    before, already, phone = process.megabytes(), stored(process), process.phone()
    ends: Counter[int] = Counter()
    expected = set()
    for seed in seeds:
        files: list[File] = malformed.files(seed)[seed % every :: every]
        for number, each in enumerate(files):
            fits = len(each.data) < 180_000
            status = upload(process, phone, each.data, as_json=fits and number % 2 == 0)
            ends[status] += 1
            read = digest(each.data) if len(each.data) < LONGEST else None
            assert status == (201 if read is not None else 422 if len(each.data) < LONGEST else 413), (
                each.name,
                status,
            )
            expected |= {read} - {None}
    grown = process.megabytes() - before
    print(f"{ends.total():,} files, {dict(ends)}, {len(expected)} pictures stored, {grown:+.1f} MiB")  # noqa: T201
    assert stored(process) - already == expected
    assert httpx.get(f"{process.url}/readyz").status_code == 200
    assert grown < GROWTH


@pytest.mark.slow
def test_many_large_pictures_at_once(small: Process) -> None:
    """Twelve senders of four megapixels each: read two at a time, so memory stays within bounds, and a download does
    not wait for them.
    """
    small.reset_peak()
    with ThreadPoolExecutor(12) as senders:
        sent = [senders.submit(upload, small, small.phone(), LARGEST) for _ in range(12)]
        while not any(each.done() for each in sent):
            begun = time.monotonic()
            assert httpx.get(f"{small.url}/v1/feed").status_code == 404
            assert time.monotonic() - begun < 2
    assert {each.result() for each in sent} == {201}
    print(f"peak {small.peak():.0f} MiB")  # noqa: T201
    assert small.peak() < 512


# --- bodies

SOUND = json.dumps(correction(1, key="k")).encode()
BATCH = json.dumps({"corrections": [correction(1, key="k")] * 2}).encode()
FORM = operations.multipart({b"label": b"4", b"image": malformed.bases()["PNG 28"]})
FORM_KIND = b"multipart/form-data; boundary=" + BOUNDARY
JSON_KIND = b"application/json"
IMAGE = json.dumps(correction()["image"]).encode()
BY_APPS = ("/v1/corrections", "/v1/drawings")
BY_OPS = ("/v1/promotions", "/v1/rollbacks", "/v1/runs")
WITH_A_BODY = (*BY_APPS, *(f"{path}:batch" for path in BY_APPS), *BY_OPS)


def bodies(seed: int) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    """Path, media type, body, name: malformed by hand, then valid bodies damaged at random."""
    rng = random.Random(seed)  # noqa: S311  (repeatable)
    values = [
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"-1",
        b"10",
        b"1e999",
        b"NaN",
        b"Infinity",
        b"4.0",
        b"4.5",
        b"1" * 5000,
    ]
    values += [
        b'"4"',
        b'"\\u0000"',
        b'"\\ud800"',
        b"0x4",
        b"04",
        b"-0",
        b"1E400",
        b'"' + b"x" * 100_000 + b'"',
        b"[" * 9999,
    ]
    for name in ("label", "predicted", "confidence", "version", "rate", "kind", "captured_at", "key", "image", "other"):
        for value in values:
            yield "/v1/corrections", JSON_KIND, b'{"image":%s,"label":4,"%s":%s}' % (IMAGE, name.encode(), value), name
    for name in ("predicted", "runner_up", "runner_up_confidence", "probabilities", "rate", "label"):
        for value in (*values, b"[" + b"0.1," * 9 + b"0.2]", b"[" + b"1," * 99_999 + b"1]", b"1e-300"):
            yield "/v1/drawings", JSON_KIND, b'{"image":%s,"%s":%s}' % (IMAGE, name.encode(), value), name
    whole = [b"", b" ", b"null", b"[]", b'"x"', b"\xef\xbb\xbf" + SOUND, SOUND.decode().encode("utf-16"), SOUND * 2]
    whole += [
        SOUND + b"\0",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b'{"corrections":[]}',
        b'{"corrections":{}}',
        b"\xff" * 100,
    ]
    whole += [b'{"corrections":[' + b"[]," * 40_000 + b"[]]}", b'{"corrections":[' + b"1," * 100 + b"1]}"]
    for number, body in enumerate(whole):
        for path in WITH_A_BODY:
            yield path, JSON_KIND, body, f"whole {number}"
    crlf = b"\r\n"
    forms = {
        "nothing": b"",
        "the end alone": b"--" + BOUNDARY + b"--\r\n",
        "no head": b"--" + BOUNDARY + crlf + crlf + b"x" + crlf + b"--" + BOUNDARY + b"--",
        "no name": FORM.replace(b'; name="label"', b""),
        "a name twice": FORM.replace(b'name="label"', b'name="image"'),
        "a name of NUL": FORM.replace(b'name="label"', b'name="la\0bel"'),
        "bare line feeds": FORM.replace(crlf, b"\n"),
        "another boundary": FORM.replace(BOUNDARY, b"other"),
        "an inner boundary": FORM.replace(b"4\r\n", b"4\r\n--" + BOUNDARY + b"x\r\n"),
        "a transfer encoding": FORM.replace(b'"label"', b'"label"\r\nContent-Transfer-Encoding: base64'),
        "a charset": FORM.replace(b'"label"', b'"label"\r\nContent-Type: text/plain; charset=utf-7'),
        "a name in another charset": FORM.replace(b'name="label"', b"name*=utf-8''label"),
        "a long head": FORM.replace(b'"label"', b'"label"\r\nX: ' + b"x" * 20_000),
        "many heads": FORM.replace(b'"label"', b'"label"' + b"\r\nX: x" * 500),
        "many parts": (b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n') * 999,
        "a preamble": b"hello\r\n" + FORM,
        "an epilogue": FORM + b"more" * 1000,
    }
    for name, body in forms.items():
        yield "/v1/corrections", FORM_KIND, body, name
    kinds = [b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=" + b"b" * 500]
    kinds += [b"multipart/form-data; boundary=\xff", b"multipart/mixed; boundary=b", b"application/json; charset=utf-7"]
    kinds += [
        b"application/json" * 500,
        b"application/x-www-form-urlencoded",
        b"text/json",
        b"",
        b";;;",
        b"multipart/form-data;=;",
    ]
    for kind in kinds:
        yield "/v1/corrections", kind, SOUND, f"kind {kind[:30]!r}"
    for number in range(300):
        path, kind, body = rng.choice(
            [("", JSON_KIND, SOUND), (":batch", JSON_KIND, BATCH), ("", FORM_KIND, FORM), ("", FORM_KIND, FORM)]
        )
        damaged = body[: rng.randrange(len(body))] if number % 3 == 0 else malformed.mutated(body, rng)
        yield f"/v1/corrections{path}", kind, damaged, f"damaged {number}"


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [[1], pytest.param(range(1, 21), marks=pytest.mark.campaign)], ids=["short", "long"])
def test_malformed_bodies(process: Process, seeds: list[int]) -> None:
    """No 5xx, every refusal a problem document, only undamaged pictures are stored; memory does not grow."""
    before, already = process.megabytes(), stored(process)
    ends: Counter[int] = Counter()
    for seed in seeds:
        for path, kind, body, name in bodies(seed):
            phone = process.phone()
            key = phone.key if path.startswith(BY_APPS) else process.keys["ops"]
            headers = operations.headers(key, phone, kind)
            answer = wire.ask(process.url, wire.request("POST", path.encode(), headers.items(), body))
            if answer is None:
                continue
            ends[answer.status] += 1
            assert answer.status < 500, (path, name, answer)
            if answer.status >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (path, name)
    grown = process.megabytes() - before
    print(f"{ends.total():,} bodies, {dict(ends)}, {grown:+.1f} MiB")  # noqa: T201
    sound = {digest(base64.b64decode(correction(1)["image"])), digest(base64.b64decode(correction()["image"]))}
    assert ends[422] > 50
    assert ends[400] > 50
    assert stored(process) - already - sound - {digest(malformed.bases()["PNG 28"])} <= mutants(seeds)
    assert grown < GROWTH


def mutants(seeds: list[int]) -> set[str | None]:
    """Pictures in the damaged forms that are still pictures."""
    found: set[str | None] = set()
    for seed in seeds:
        for _, kind, body, name in bodies(seed):
            if name.startswith("damaged") and kind == FORM_KIND and (start := body.find(b"\x89PNG")) >= 0:
                found.add(digest(body[start : body.rfind(b"\r\n--" + BOUNDARY)]))
    return found
