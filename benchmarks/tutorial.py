"""The tutorial's way, by itself: train the 2017 network from scratch for ten epochs, then convert it.

The network and its augmentation are those of the tutorial (three convolutions, dropout, softmax; rotation ≤ 10°,
zoom ≤ 10 %, shift ≤ 10 %, no flips); the augmentation runs as one batched transform on the training graph,
which is far faster than the tutorial's own ``ImageDataGenerator``: this is its way at its best.

    python benchmarks/tutorial.py [--epochs 10] [--seed 0] [--output tutorial.mlmodel] [--json]
"""

import argparse
import gzip
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))


def idx(name: str, header: int) -> Any:
    """Read one of MNIST's files, bytes after the header."""
    import numpy as np

    data = gzip.decompress((SHARED / "data" / "mnist" / name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=header)


def augmented(tf: Any, images: Any) -> Any:
    """Rotate, zoom and shift a batch at random."""
    count = tf.shape(images)[0]
    angle = tf.random.uniform((count,), -math.pi / 18, math.pi / 18)
    zoom_x, zoom_y = tf.random.uniform((count,), 0.9, 1.1), tf.random.uniform((count,), 0.9, 1.1)
    right, below = tf.random.uniform((count,), -2.8, 2.8), tf.random.uniform((count,), -2.8, 2.8)
    a, b = tf.cos(angle) * zoom_x, -tf.sin(angle) * zoom_y
    c, d = tf.sin(angle) * zoom_x, tf.cos(angle) * zoom_y
    nought = tf.zeros_like(angle)
    rows = [a, b, 13.5 * (1 - a - b) + right, c, d, 13.5 * (1 - c - d) + below, nought, nought]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=[28, 28],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def network(tf: Any) -> Any:
    """Build the tutorial's network, 131k weights."""
    kl = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((28, 28, 1)),
            kl.Conv2D(32, 5, activation="relu"),
            kl.MaxPool2D(),
            kl.Conv2D(64, 3, activation="relu"),
            kl.MaxPool2D(),
            kl.Conv2D(64, 3, activation="relu"),
            kl.Flatten(),
            kl.Dropout(0.5),
            kl.Dense(128, activation="relu"),
            kl.Dense(10, activation="softmax"),
        ]
    )


def convert(tf: Any, model: Any, output: Path) -> None:
    """Convert with coremltools and save."""
    import coremltools as ct

    one = tf.TensorSpec((1, 28, 28, 1), tf.float32, name="image")
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(one)
    image = ct.ImageType(name="image", shape=(1, 28, 28, 1), scale=1 / 255, color_layout=ct.colorlayout.GRAYSCALE)
    labels = ct.ClassifierConfig([str(digit) for digit in range(10)])
    converted = ct.convert(
        [function],
        source="tensorflow",
        inputs=[image],
        classifier_config=labels,
        convert_to="neuralnetwork",
    )
    converted.save(str(output))


def main() -> None:
    """Train, convert, score and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("tutorial.mlmodel"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    imported = time.perf_counter()
    tf.keras.utils.set_random_seed(asked.seed)
    images = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    labels = idx("train-labels-idx1-ubyte.gz", 8)
    model = network(tf)
    model.compile(tf.keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(60_000, seed=asked.seed).batch(100)
    data = data.map(lambda x, y: (augmented(tf, tf.cast(x, tf.float32) / 255.0), y)).prefetch(2)
    model.fit(data, epochs=asked.epochs, verbose=0 if asked.json else 2)
    trained = time.perf_counter()
    convert(tf, model, asked.output)
    converted = time.perf_counter()
    test = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    guesses = model.predict(test.astype("float32") / 255.0, batch_size=500, verbose=0).argmax(1)
    result = {
        "way": "tutorial",
        "epochs": asked.epochs,
        "seed": asked.seed,
        "n": len(guesses),
        "accuracy": float((guesses == idx("t10k-labels-idx1-ubyte.gz", 8)).mean()),
        "seconds": {
            "imports": imported - START,
            "training": trained - imported,
            "conversion": converted - trained,
            "scoring": time.perf_counter() - converted,
            "whole": time.perf_counter() - START,
        },
        "bytes": asked.output.stat().st_size,
    }
    json.dump(result, sys.stdout, indent=None if asked.json else 2)
    print()


if __name__ == "__main__":
    main()
