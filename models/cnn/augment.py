"""Random distortions of digits in the training graph. They never flip an image: a flipped 6 is a 9.

Rules: every draw is a pure function of ``(seed, step)``; images are float32 ``(n, 28, 28, 1)`` in 0 to 1 and
stay so; at zero strength the images pass unchanged.

One batched affine transform carries rotation, zoom, shift and slant; a smooth random field bends what it gives.
Stroke width is redrawn as a blur followed by a threshold relative to the blurred maximum: a high threshold
leaves a thin line, a low one a broad line, and it never exceeds the maximum, so no stroke vanishes.
"""

import math
from typing import Any

from models.cnn.recipe import Augmentation

KNOTS = 5
PLAIN_DRAWS = 11
DRAWS = PLAIN_DRAWS + 2 * KNOTS * KNOTS
"""Uniform numbers that one image needs."""


def draws(seed: Any, step: Any, count: int) -> Any:
    """Return ``(count, 61) float32`` in -1 to 1, a function of the two integers alone."""
    import tensorflow as tf

    key = tf.stack([tf.cast(seed, tf.int32), tf.cast(step, tf.int32)])
    return tf.random.stateless_uniform((count, DRAWS), key, -1.0, 1.0)


def distort(images: Any, chance: Any, bounds: Any, *, bent: bool = True) -> Any:
    """Distort each image by its row of ``chance``; ``bounds`` ``(n, 7)`` are rows of ``strengths``.

    ``bent=False`` leaves the bending out of the graph, for recipes that do not bend: it is the dearest part.
    """
    moved = move(images, chance, bounds)
    return redraw(bend(moved, chance, bounds) if bent else moved, chance, bounds)


def strengths(augmentation: Augmentation) -> list[float]:
    """Return the bounds in the order that ``distort`` reads, angles in radians."""
    return [
        math.radians(augmentation.rotation_degrees),
        augmentation.zoom,
        augmentation.shift,
        augmentation.slant,
        augmentation.bend,
        augmentation.stroke_share,
        augmentation.stroke,
    ]


def matrices(chance: Any, bounds: Any, side: int) -> Any:
    """Return ``(n, 8)`` affine transforms from output to input pixels, about the image's centre."""
    import tensorflow as tf

    angle = chance[:, 0] * bounds[:, 0]
    across, down = 1.0 + chance[:, 1] * bounds[:, 1], 1.0 + chance[:, 2] * bounds[:, 1]
    right, below = chance[:, 3] * bounds[:, 2] * side, chance[:, 4] * bounds[:, 2] * side
    slant = chance[:, 5] * bounds[:, 3]
    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b = cosine * across, (slant * cosine - sine) * down
    c, d = sine * across, (slant * sine + cosine) * down
    middle = (side - 1) / 2.0
    nought = tf.zeros_like(a)
    x, y = middle * (1.0 - a - b) + right, middle * (1.0 - c - d) + below
    return tf.stack([a, b, x, c, d, y, nought, nought], axis=1)


def move(images: Any, chance: Any, bounds: Any) -> Any:
    """Rotate, zoom, shift and slant, bilinearly; pixels from outside the image are background."""
    import tensorflow as tf

    side = int(images.shape[1])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrices(chance, bounds, side),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def bend(images: Any, chance: Any, bounds: Any) -> Any:
    """Displace every pixel by a smooth random field (after Simard et al. 2003), bilinearly.

    The knots' displacements are uniform; a bicubic resize joins them smoothly.
    """
    import tensorflow as tf

    side = int(images.shape[1])
    knots = tf.reshape(chance[:, PLAIN_DRAWS:], (-1, KNOTS, KNOTS, 2)) * bounds[:, None, None, None, 4]
    field = tf.image.resize(knots, (side, side), "bicubic") * side
    rows, columns = tf.meshgrid(tf.range(side), tf.range(side), indexing="ij")
    y = tf.clip_by_value(tf.cast(rows, tf.float32) + field[..., 0], 0.0, side - 1.0)
    x = tf.clip_by_value(tf.cast(columns, tf.float32) + field[..., 1], 0.0, side - 1.0)
    top, left = tf.minimum(tf.floor(y), side - 2.0), tf.minimum(tf.floor(x), side - 2.0)
    down, right = y - top, x - left
    first = tf.cast(top * side + left, tf.int32)
    first += tf.range(tf.shape(images)[0])[:, None, None] * (side * side)
    pixels = tf.reshape(images, (-1,))

    def at(offset: int) -> Any:
        return tf.gather(pixels, first + offset)

    upper = at(0) * (1.0 - right) + at(1) * right
    lower = at(side) * (1.0 - right) + at(side + 1) * right
    return (upper * (1.0 - down) + lower * down)[..., None]


def redraw(images: Any, chance: Any, bounds: Any) -> Any:
    """Redraw the stroke width of some of the images."""
    import tensorflow as tf

    binomial = tf.constant([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16.0
    blurred = tf.nn.conv2d(images, binomial[:, :, None, None], 1, "SAME")
    peak = tf.reduce_max(blurred, axis=(1, 2), keepdims=True)

    def column(value: Any) -> Any:
        return value[:, None, None, None]

    threshold = 0.45 + 0.30 * column(chance[:, 6])
    ramp = tf.minimum(0.35 + 0.20 * column(chance[:, 7]), 2.0 * threshold)  # so that background stays 0
    line = tf.clip_by_value((blurred / (peak + 1e-6) - threshold) / ramp + 0.5, 0.0, 1.0)
    chosen = tf.cast(column(chance[:, 8]) * 0.5 + 0.5 < column(bounds[:, 5]), images.dtype)
    amount = chosen * column(bounds[:, 6])
    return images + amount * (line - images)
