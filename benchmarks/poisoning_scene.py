"""A deployment in miniature for ``poisoning``: a served home with a simulated clock, honest people, and one night.

Everything goes in through HTTP with the app's key; each source is a secret. The server runs in a thread of this
process. The clock stands still within a simulated day: quotas by the minute are raised, those by the day are not.
"""

import base64
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray
from scipy import ndimage
from sqlalchemy import delete

from benchmarks.poisoning_attacks import DAYS, Material, Upload, secret
from loop import access, api, registry
from loop import home as homes
from loop.api import protocol
from loop.data import corpus, digits, handwriting
from loop.evaluation import digit_classifier
from loop.home import Home
from loop.home.sections import Serving
from loop.home.settings import Settings
from loop.night import retrain
from loop.store import schema, tables
from loop.store.feedback import split
from loop.store.values import Role

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
DEVELOPMENT = ("0002", "0005", "0010", "0014")
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
HURRIED = Serving(key_per_minute=10**9, source_per_minute=10**9, sources_per_minute=10**9)
"""A fortnight passes within seconds. The quota by the day stays: the store counts it by the simulated clock."""
ATTACKERS_IMAGES = 10_000

Images = NDArray[np.uint8]


@dataclass(slots=True)
class DayClock:
    """The time that the server and the night see."""

    now: datetime = BEGIN - timedelta(days=1)

    def __call__(self) -> datetime:
        """The current simulated time."""
        return self.now

    def turn_to(self, day: int, hour: int = 12) -> None:
        """Set the clock to a day of the fortnight."""
        self.now = BEGIN.replace(hour=hour) + timedelta(days=day)


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """One person: images ``(n, 28, 28) uint8`` and labels ``(n,)``."""

    name: str
    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Who is who for one seed: honest writers, writers who are only measured, and the attacker's own hand."""

    honest: tuple[Writer, ...]
    measured: tuple[Writer, ...]
    attacker: Writer


@dataclass(eq=False)
class World:
    """What all nights share: corpora, writers, and the base as it is published."""

    folder: Path
    confirm_rate: float
    parts: int
    clock: DayClock = field(default_factory=DayClock)
    measured: dict[Any, dict[str, Any]] = field(default_factory=dict)
    """Figures of files that were measured already: the base stands in every night."""

    @cached_property
    def mnist(self) -> corpus.Corpus:
        """The base corpus."""
        return corpus.mnist(SHARED / "data" / "mnist")

    @cached_property
    def writers(self) -> tuple[Writer, ...]:
        """Every European writer."""
        found = []
        for person in handwriting.people(sorted((SHARED / "data" / "european-writers").glob("*.zip"))):
            samples = list(person.samples())
            images = np.stack([sample.digit().pixels for sample in samples])
            found.append(Writer(person.name, images, np.array([sample.label for sample in samples])))
        return tuple(found)

    @cached_property
    def attackers_digits(self) -> tuple[Images, NDArray[np.int64]]:
        """The last MNIST training images, slanted and shifted: digits that the replayed corpus does not contain."""
        generator = np.random.default_rng(ATTACKERS_IMAGES)
        images, labels = self.mnist.train_images[-ATTACKERS_IMAGES:], self.mnist.train_labels[-ATTACKERS_IMAGES:]
        made = np.stack([_slanted(image, generator) for image in images])
        return made, labels.astype(np.int64)

    @cached_property
    def template(self) -> Path:
        """A home with the base as version 1 and champion, and nothing else; nights begin with a copy."""
        path = self.folder / "template"
        home = homes.at(self.settings(path), migrated=False)
        schema.migrate(home.store)
        retrain.create_base(home, clock=self.clock)
        home.store.close()
        return path

    def settings(self, path: Path, **more: Any) -> Settings:
        """The settings of a home at ``path``."""
        return Settings(
            home=path,
            mnist=SHARED / "data" / "mnist",
            actor="benchmark",
            serve=HURRIED,
            confirm_rate=self.confirm_rate,
            **more,
        )

    def cast(self, group: str, seed: int) -> Cast:
        """Who plays what: by turns, so that each writer is measured in one of a few seeds."""
        pool = [one for one in self.writers if group == "all" or one.name.startswith(DEVELOPMENT)]
        measured = 2 if group == "all" else 1
        turned = pool[measured * seed % len(pool) :] + pool[: measured * seed % len(pool)]
        return Cast(tuple(turned[measured + 1 :]), tuple(turned[:measured]), turned[measured])


@dataclass(eq=False)
class Scene:
    """One home while it is served: the app's key, and who sent which upload."""

    home: Home
    clock: DayClock
    client: httpx.Client
    champion: int
    confirm_rate: float
    sent: dict[int, Upload] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def send(self, uploads: Sequence[Upload]) -> None:
        """Send all uploads, day by day, as batches of a source."""
        order = sorted(uploads, key=lambda one: (one.day, one.source))
        for (day, _), group in groupby(order, key=lambda one: (one.day, one.source)):
            self.clock.turn_to(day)
            items = list(group)
            for first in range(0, len(items), HURRIED.max_batch_items):
                self._batch(items[first : first + HURRIED.max_batch_items])

    def _batch(self, uploads: list[Upload]) -> None:
        bodies = [self._body(one) for one in uploads]
        answer = self.client.post(
            "/v1/corrections:batch", json={"corrections": bodies}, headers={"Loop-Source": uploads[0].secret}
        )
        answer.raise_for_status()
        for one, said in zip(uploads, answer.json()["answers"], strict=True):
            if said["status"] == 201:
                self.sent[said["accepted"]["id"]] = one
            else:
                kind = f"{'poisoned' if one.poisoned else 'honest'}: {said['problem']['type']}"
                self.refused[kind] = self.refused.get(kind, 0) + 1

    def _body(self, upload: Upload) -> dict[str, Any]:
        body = {
            "image": base64.b64encode(digits.to_png(upload.image)).decode(),
            "label": upload.label,
            "kind": "confirmation" if upload.confirmed else "correction",
            "version": self.champion,
            "rate": self.confirm_rate if upload.confirmed else 1.0,
            "key": digits.digit(upload.image).digest[:32] + str(upload.label),
        }
        return body if upload.predicted is None else body | {"predicted": upload.predicted}


@contextmanager
def served(world: World, name: str, seed: int, **settings: Any) -> Iterator[Scene]:
    """A fresh home with the base as champion, served on a free port; it is deleted afterwards."""
    path = world.folder / name
    shutil.rmtree(path, ignore_errors=True)
    world.clock.now = DayClock().now
    shutil.copytree(world.template, path)
    home = homes.at(world.settings(path, seed=seed, **settings))
    wanted = secret(f"poisoning {seed}")[:32]
    with home.store.write() as tx:  # so that every attack of a seed meets the same teachers and judges
        tx.execute(delete(tables.Fact).where(tables.Fact.key == split.SALT_KEY))  # the base's jury made one
        split.set_salt(tx, wanted)
    key, _ = access.create(home, "app", access.Role.APP, actor="benchmark", now=world.clock())
    server = uvicorn.Server(
        uvicorn.Config(api.create(home, world.clock), host="127.0.0.1", port=0, **protocol.options())
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("the server did not start; run `loop serve` on a fresh home to see why")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    champion = registry.champion(home, "cnn")
    if champion is None:
        raise SystemExit("the base is no champion; read `loop verdict 1`")
    try:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
            yield Scene(home, world.clock, client, champion.number, world.confirm_rate)
    finally:
        server.should_exit = True
        thread.join(60)
        home.store.close()
        shutil.rmtree(path, ignore_errors=True)


def reader(data: bytes) -> Any:
    """What the published bytes answer: images → digits."""
    model = digit_classifier.classifier(digit_classifier.load(data))
    return lambda images: model.probabilities(images).argmax(axis=1)


def honest_uploads(cast: Cast, read: Any, confirm_rate: float, parts: int, seed: int) -> list[Upload]:
    """Corrections of all that the base misreads, confirmations at the feed's rate; each writer is ``parts`` sources."""
    generator = np.random.default_rng([seed, 1])
    made = []
    for writer in cast.honest:
        guesses = read(writer.images)
        source, day = generator.integers(0, parts, len(guesses)), generator.integers(0, DAYS, len(guesses))
        wrong = guesses != writer.labels
        kept = wrong | (generator.random(len(wrong)) < confirm_rate)
        made += [
            Upload(
                f"{writer.name}-{source[row]}",
                int(day[row]),
                writer.images[row],
                int(writer.labels[row]),
                int(guesses[row]),
                confirmed=not wrong[row],
            )
            for row in np.flatnonzero(kept)
        ]
    return made


def material(world: World, scene: Scene, cast: Cast, read: Any, seed: int) -> Material:
    """What the attacker has."""
    images, labels = world.attackers_digits
    wrong = read(cast.attacker.images) != cast.attacker.labels
    share = scene.home.settings.holdout_share
    with scene.home.store.write() as tx:
        salt = split.set_salt(tx)

    def teaches(install: str) -> bool:
        return split.role_of(access.source_name(install), salt, share) is Role.TRAIN

    return Material(
        images=images,
        labels=labels,
        read=read,
        misread_images=cast.attacker.images[wrong],
        misread_labels=cast.attacker.labels[wrong],
        honest_sources=len(cast.honest) * world.parts,
        generator=np.random.default_rng([seed, 2]),
        teaches=teaches,
    )


def _slanted(image: Images, generator: np.random.Generator) -> Images:
    slant, stretch = generator.uniform(-0.2, 0.2), generator.uniform(0.9, 1.1)
    matrix = np.array([[stretch, 0], [slant, 1 / stretch]])
    offset = 13.5 - matrix @ np.array([13.5, 13.5]) + generator.uniform(-1, 1, 2)
    moved = ndimage.affine_transform(image.astype(np.float64), matrix, offset, order=1)
    made: Images = np.clip(np.round(moved), 0, 255).astype(np.uint8)
    return made
