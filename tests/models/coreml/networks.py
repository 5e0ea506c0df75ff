"""Keras networks and their conversion, as the loop itself exports them: a concrete function through ``ct.convert``."""

from types import ModuleType
from typing import Any

import numpy as np


def convert(ct: ModuleType, model: Any, shape: tuple[int, ...], **options: Any) -> bytes:
    """Return the ``.mlmodel`` of a Keras model with one input called ``image`` of ``shape`` without the batch."""
    import tensorflow as tf

    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32, name="image"))
    options.setdefault("inputs", [ct.TensorType(name="image", shape=(1, *shape))])
    converted = ct.convert([concrete], source="tensorflow", convert_to="neuralnetwork", **options)
    data: bytes = converted.get_spec().SerializeToString()
    return data


def shaken(model: Any, seed: int) -> Any:
    """Give every weight a random value, so that no bias, mean or scale is left at 0 or 1; variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        values = rng.normal(0, 0.3, variable.shape)
        variable.assign(np.abs(values) + 0.3 if "variance" in variable.path else values)
    return model
