"""Real programs answer as what they were made from: Keras, coremltools' own decompression, our published files."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml
from models.cnn import Cnn
from models.coreml import package
from models.family import Card, Precision
from tests.models.cnn.tiny import random_weights
from tests.models.coreml.networks import shaken

CARD = Card("Reads a digit", "Digit Loop", "MIT", "7")
LABELS = [str(digit) for digit in range(10)]


def _digits(bundled: tuple[np.ndarray, np.ndarray], count: int = 300) -> np.ndarray:
    """Return scikit-learn's digits as 28×28 images."""
    large = np.kron(bundled[0][:count].reshape(-1, 8, 8) * 15.9, np.ones((3, 3)))
    return np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)


@pytest.fixture(scope="module")
def taught(ct: ModuleType, bundled: tuple[np.ndarray, np.ndarray]) -> Any:
    """A small CNN of the layers that digit classifiers have, taught some digits, so that it tells them apart."""
    import keras
    from keras import layers

    assert ct  # imported before Keras
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 5, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3, padding="same", activation="elu"),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="swish"),
            layers.AveragePooling2D(2, padding="same"),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(20, activation="tanh"),
            layers.LayerNormalization(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images = _digits(bundled, 1797)[..., None] / np.float32(255)
    model.fit(images, bundled[1], epochs=4, batch_size=32, verbose=0)
    return model


def converted(ct: ModuleType, model: Any, folder: Path, half: bool) -> bytes:
    """Return the package of a Keras model with a grayscale input, as docs/coreml-runtime.md converts it."""
    import tensorflow as tf

    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 28, 28, 1), tf.float32, name="image"))
    image = ct.ImageType(name="image", shape=(1, 28, 28, 1), scale=1 / 255, color_layout=ct.colorlayout.GRAYSCALE)
    made = ct.convert(
        [concrete],
        source="tensorflow",
        convert_to="mlprogram",
        inputs=[image],
        classifier_config=ct.ClassifierConfig(LABELS),
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        skip_model_load=True,
    )
    made.save(str(folder / "made.mlpackage"))
    return package.packed(folder / "made.mlpackage")


@pytest.mark.parametrize(("half", "close"), [(False, 1e-5), (True, 1e-2)])
def test_as_keras(
    half: bool, close: float, taught: Any, ct: ModuleType, bundled: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """Over 300 digits a converted CNN gives Keras's probabilities: to 1e-5, and to 1e-2 with weights as halves."""
    images = _digits(bundled)
    loaded = coreml.load(converted(ct, taught, tmp_path, half))
    found = loaded.predict({"image": images})
    expected = taught.predict(images[..., None] / np.float32(255), verbose=0)
    assert len(set(expected.argmax(1))) >= 8, "the network tells its inputs apart"
    np.testing.assert_allclose(found[loaded.probabilities_name], expected, atol=close)
    agreeing = found[loaded.label_name] == np.array(LABELS)[expected.argmax(1)]
    assert agreeing.mean() >= (0.98 if half else 1)


def test_half_precision_rounds_weights_and_nothing_else(
    ct: ModuleType, bundled: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """A half-precision program answers as Keras does with weights that were halves before: computing is in float32."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    plain = [layers.Input((28, 28, 1)), layers.Conv2D(6, 5, activation="relu"), layers.MaxPooling2D(4)]
    model = shaken(keras.Sequential([*plain, layers.Flatten(), layers.Dense(10, activation="softmax")]), 6)
    for variable in model.variables:
        variable.assign(variable.numpy().astype(np.float16).astype(np.float32))
    images = _digits(bundled)
    loaded = coreml.load(converted(ct, model, tmp_path, half=True))
    expected = model.predict(images[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(loaded.predict({"image": images})[loaded.probabilities_name], expected, atol=1e-5)


def test_the_documented_conversion(
    taught: Any, bundled: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines in docs/coreml-runtime.md, run as they stand on a saved Keras model, make a file that answers alike."""
    text = (Path(__file__).parents[4] / "docs" / "coreml-runtime.md").read_text(encoding="utf-8")
    lines = text.partition("## Converting")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    taught.save("model.keras")
    exec(compile(lines, "coreml-runtime.md", "exec"), {})  # noqa: S102  (our own documentation)
    loaded, images = coreml.load((tmp_path / "model.mlmodel").read_bytes()), _digits(bundled)
    expected = taught.predict(images[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(loaded.predict({"image": images})[loaded.probabilities_name], expected, atol=1e-5)


def _compressed(ct: ModuleType, model: Any, how: str) -> Any:
    """Return the model with its weights compressed by coremltools."""
    optimize, of = ct.optimize.coreml, ct.optimize.coreml.OptimizationConfig
    if how.startswith("linear"):
        symmetric = {"linear": {"mode": "linear_symmetric"}, "linear uint8": {"mode": "linear", "dtype": "uint8"}}[how]
        return optimize.linear_quantize_weights(
            model, of(global_config=optimize.OpLinearQuantizerConfig(weight_threshold=10, **symmetric))
        )
    if how == "sparse":
        config = optimize.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=10)
        return optimize.prune_weights(model, of(global_config=config))
    config = optimize.OpPalettizerConfig(mode="uniform", nbits=int(how.split()[1]), weight_threshold=10)
    return optimize.palettize_weights(model, of(global_config=config))


@pytest.mark.parametrize("how", ["linear", "linear uint8", "table 1", "table 4", "table 6", "table 8", "sparse"])
@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_compressed_weights(how: str, target: str, ct: ModuleType, tmp_path: Path) -> None:
    """Compressed weights give what coremltools' own decompression of the same package gives, in both generations."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813 - so it is called in every example

    rng = np.random.default_rng(0)
    kernel, matrix = rng.normal(size=(6, 1, 3, 3)), rng.normal(size=(10, 6 * 8 * 8)) / 8

    def network(x: Any) -> Any:
        x = mb.relu(x=mb.conv(x=x, weight=kernel.astype(np.float32), pad_type="valid"))
        return mb.linear(x=mb.reshape(x=x, shape=[1, -1]), weight=matrix.astype(np.float32))

    opset = getattr(ct.target, target)
    made = mb.program(input_specs=[mb.TensorSpec((1, 1, 10, 10))], opset_version=opset)(network)
    model = ct.convert(made, convert_to="mlprogram", minimum_deployment_target=opset, skip_model_load=True)
    small = _compressed(ct, model, how)
    small.save(str(tmp_path / "small.mlpackage"))
    ct.optimize.coreml.decompress_weights(small).save(str(tmp_path / "large.mlpackage"))
    packages = [package.packed(tmp_path / f"{name}.mlpackage") for name in ("small", "large")]
    assert any(how.split()[0] in each for each in coreml.inspect(packages[0]).precisions)
    given = {"x": rng.normal(size=(50, 1, 1, 10, 10)).astype(np.float32)}
    one, other = (next(iter(coreml.load(data).predict(given).values())) for data in packages)
    np.testing.assert_allclose(one, other, atol=2e-2 if "linear" in how else 1e-5)  # their zeros and scales are halves


@pytest.mark.slow
@pytest.mark.parametrize("precision", Cnn().precisions)
def test_our_published_package(precision: Precision, bundled: tuple[np.ndarray, np.ndarray]) -> None:
    """The package that is published beside a version answers as its judged ``.mlmodel`` does, label by label."""
    network = Cnn().load(random_weights()).rounded(precision)
    images = _digits(bundled)
    ours = coreml.load(network.package(CARD))
    judged = coreml.load(network.export(CARD)).predict({"image": images})
    found = ours.predict({"image": images})
    np.testing.assert_allclose(found["probabilities"], judged["probabilities"], atol=1e-5)
    assert (found["classLabel"] == judged["classLabel"]).all()
    assert ours.metadata["version"] == "7"
