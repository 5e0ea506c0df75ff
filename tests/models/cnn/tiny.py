"""Code that the tests and their child processes share; ``python -m tests.models.cnn.tiny`` prints digests.

``same`` teaches the noise on one device, with this processor's arithmetic; ``mirrored`` on two logical devices;
``worker I PORTS`` as one of two processes. Each prints the SHA-256 of the taught weights and saves them to the
path given last.
"""

import hashlib
import json
import os
import sys
from dataclasses import replace

import numpy as np

from models.cnn import Cnn, backend, network, recipe, train
from models.family import Weights, no_progress

PLAIN = replace(
    recipe.NIGHT, steps=6, batch=16, corrections=4, visits=3, average_every=2, augmentation=recipe.Augmentation()
)


def random_weights(seed: int = 0) -> Weights:
    """Return folded weights with He's variances, small biases."""
    generator = np.random.default_rng(seed)
    made: Weights = {}
    for name, shape in network.shapes().items():
        scale = np.sqrt(2 / np.prod(shape[:-1])) if name.endswith("kernel") else 0.1
        made[name] = (generator.standard_normal(shape) * scale).astype(np.float32)
    return made


def shipped() -> Weights:
    """Return the shipped base."""
    found = Cnn().shipped()
    assert found is not None
    return found


def digest(weights: Weights) -> str:
    """Return the SHA-256 of names and bytes."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode() + weights[name].tobytes())
    return whole.hexdigest()


def noise() -> train.Material:
    """Return forty images of noise, ten of them corrections."""
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (40, 28, 28)).astype(np.uint8)
    labels = generator.integers(0, 10, 40).astype(np.uint8)
    return train.material((images[:30], labels[:30]), (images[30:], labels[30:]), np.ones(10))


def teach(policy: str = "float32") -> Weights:
    """Teach the noise under the current strategy, with repeatable sums as ``backend`` sets them."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    model = network.build(normalised=False, policy=policy)
    network.fill(model, random_weights())
    return network.fold(train.run(model, noise(), PLAIN, 7, no_progress, "test"))


def main(how: str, *rest: str) -> None:
    """Run one of the modes in the module's docstring."""
    if how == "worker":
        place, ports = int(rest[0]), rest[1].split(",")
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": place}})
    import tensorflow as tf

    if how == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif how == "worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    with strategy.scope():
        taught = teach(backend.policy() if how == "same" else "float32")
    np.savez(rest[-1], allow_pickle=False, **taught)
    print(digest(taught))  # noqa: T201 - the parent process reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
