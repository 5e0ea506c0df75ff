"""The training loop: written by hand, so that it runs unchanged under any ``tf.distribute`` strategy.

Rules: every replica gets the same indices and the same step number and uses its own part of them; the
loss is summed and divided by the *global* batch, so gradients add up to those of one machine; every random
number is a function of ``(seed, step)``; the weights' running average is kept outside the graph, in numpy.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cnn import augment
from models.cnn.recipe import Training
from models.family import Images, Labels, Progress, Weights

Indices = NDArray[np.int32]

REPORT_EVERY = 10  # steps between two calls of progress


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The training data: the base corpus, followed by the corrections."""

    images: Images
    labels: Labels
    base: int  # number of base corpus images
    chances: NDArray[np.float64]  # probability of drawing each correction, sum 1; empty without corrections


def material(
    replay: tuple[Images, Labels], corrections: tuple[Images, Labels], weights: NDArray[np.float64]
) -> Material:
    """Join the base corpus and the corrections. ``ValueError`` names the arrays that do not match."""
    for images, labels in (replay, corrections):
        if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8:
            raise ValueError(f"expected images (n, 28, 28) uint8, got {images.shape} {images.dtype}")
        if labels.shape != (len(images),) or (len(labels) and labels.max() > 9):
            raise ValueError(f"expected labels ({len(images)},) from 0 to 9, got {labels.shape}")
    if weights.shape != (len(corrections[0]),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"weights: expected {len(corrections[0])} finite numbers of at least 0")
    if len(weights) and not weights.sum() > 0:
        raise ValueError("the corrections' weights are all 0: none could be drawn")
    if not len(replay[0]):
        raise ValueError("the replayed base corpus is empty: training on corrections alone forgets it")
    images = np.concatenate([replay[0], corrections[0]])
    labels = np.concatenate([replay[1], corrections[1]]).astype(np.uint8)
    return Material(images, labels, len(replay[0]), weights / weights.sum() if len(weights) else weights)


def spread(chances: NDArray[np.float64], count: int, generator: np.random.Generator) -> Indices:
    """Draw ``count`` indices with these chances, as evenly as they allow (systematic resampling), shuffled.

    Each index is drawn ``floor`` or ``ceil`` of ``count × chance`` times, so that chance skips no correction.
    """
    points = (np.arange(count) + generator.random()) / count
    drawn = np.searchsorted(np.cumsum(chances), points, side="right").clip(max=len(chances) - 1)
    return generator.permutation(drawn).astype(np.int32)


def epochs(size: int, count: int, generator: np.random.Generator) -> Indices:
    """Draw ``count`` indices below ``size``, each pass in a new order, none twice in a pass."""
    passes = [generator.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(passes)[:count].astype(np.int32)


def fitted(training: Training, size: int) -> Training:
    """Return the recipe for a base corpus of ``size`` images; a small corpus shortens the run and its average."""
    steps = min(training.steps, math.ceil(training.passes * size / training.batch))
    every = max(1, round(training.average_every * steps / training.steps))
    return replace(training, steps=steps, average_every=every)


def share(training: Training, corrections: int) -> int:
    """Return the number of corrections in each batch, for this total number of corrections."""
    return min(training.corrections, math.ceil(corrections * training.visits / training.steps))


def batches(given: Material, training: Training, seed: int) -> Iterator[Indices]:
    """Yield the indices of every batch: corrections first, then the base corpus."""
    generator = np.random.default_rng([seed, 1])
    corrections = share(training, len(given.chances))
    rest = epochs(given.base, training.steps * (training.batch - corrections), generator)
    base = rest.reshape(training.steps, training.batch - corrections)
    if not corrections:
        yield from base
        return
    drawn = spread(given.chances, training.steps * corrections, generator).reshape(training.steps, corrections)
    yield from np.concatenate([drawn + given.base, base], axis=1).astype(np.int32)


def learning_rate(training: Training) -> Any:
    """Return Keras's schedule: a linear rise, then half a cosine to zero."""
    from keras.optimizers.schedules import CosineDecay

    rise = round(training.warmup * training.steps)
    return CosineDecay(0.0, max(1, training.steps - rise), warmup_target=training.learning_rate, warmup_steps=rise)


def arrays(model: Any) -> Weights:
    """Return every array of a model, named ``<layer>/<part>``."""
    return {"/".join(v.path.split("/")[-2:]): v.numpy() for v in model.variables}


def run(model: Any, given: Material, training: Training, seed: int, progress: Progress, what: str) -> Weights:
    """Train ``model`` in place under the current strategy; return its averaged arrays, moved by the recipe's reach."""
    training = fitted(training, given.base)
    start = arrays(model)
    step = stepper(model, given, training, seed)
    average: Weights = {}
    for done, indices in enumerate(batches(given, training, seed), start=1):
        step(indices, np.int32(done))
        if done % training.average_every == 0 or done == training.steps:
            average = blend(average, arrays(model), training.average_decay)
        if done % REPORT_EVERY == 0 or done == training.steps:
            progress(what, done, training.steps)
    return average if training.reach == 1.0 else blend(start, average, 1.0 - training.reach)


def blend(average: Weights, new: Weights, decay: float) -> Weights:
    """Move a running average towards new arrays; the first ones start it."""
    if not average:
        return new
    part = np.float32(1.0 - decay)
    return {name: old + part * (new[name] - old) for name, old in average.items()}


def stepper(model: Any, given: Material, training: Training, seed: int) -> Any:
    """Return ``step(indices, number) -> loss``, one compiled update on every replica of the current strategy."""
    import tensorflow as tf
    from keras import optimizers

    strategy = tf.distribute.get_strategy()
    part, odd = divmod(training.batch, strategy.num_replicas_in_sync)
    if odd:
        raise ValueError(f"a batch of {training.batch} cannot be divided by {strategy.num_replicas_in_sync} replicas")
    optimizer = optimizers.SGD(learning_rate(training), momentum=training.momentum, nesterov=True)
    optimizer.build(model.trainable_variables)
    images, labels = tf.constant(given.images), tf.constant(given.labels)
    bounds = tf.constant(
        [augment.strengths(training.augmentation), augment.strengths(training.correction_augmentation)]
    )
    bent = training.augmentation.bend > 0 or training.correction_augmentation.bend > 0
    part_decay = training.weight_decay / strategy.num_replicas_in_sync
    decays = [part_decay if v.path.endswith("kernel") else 0.0 for v in model.trainable_variables]

    def update(indices: Any, number: Any) -> Any:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * part
        mine = indices[first : first + part]
        chance = augment.draws(seed, number, training.batch)[first : first + part]
        digits = tf.cast(tf.gather(images, mine), tf.float32)[..., None] / 255.0
        is_correction = tf.cast(mine >= given.base, tf.int32)
        digits = augment.distort(digits, chance, tf.gather(bounds, is_correction), bent=bent)
        truth = tf.one_hot(tf.gather(labels, mine), 10)
        truth = truth * (1.0 - training.label_smoothing) + training.label_smoothing / 10.0
        with tf.GradientTape() as tape:
            logits = model(digits, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(truth, logits)
            loss = tf.reduce_sum(losses) / training.batch
        gradients = tape.gradient(loss, model.trainable_variables)
        variables = model.trainable_variables
        gradients = [g + d * v for g, d, v in zip(gradients, decays, variables, strict=True)]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def step(indices: Any, number: Any) -> Any:
        losses = strategy.run(update, args=(indices, number))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    signature = [tf.TensorSpec((training.batch,), tf.int32), tf.TensorSpec((), tf.int32)]
    return tf.function(step, input_signature=signature, autograph=False)
