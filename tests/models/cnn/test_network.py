"""The architecture: size, arrays, folding."""

import numpy as np
import pytest

from models.cnn import Cnn, network
from models.family import Weights


def test_size() -> None:
    """The network has at most 300,000 weights."""
    assert 50_000 < sum(int(np.prod(shape)) for shape in network.shapes().values()) <= 300_000


def test_inference_work() -> None:
    """One image costs at most 8 million multiply-adds: 10,000 of them run in 3 s in plain numpy."""
    macs, side = 0, network.SIDE
    shapes = network.shapes()
    for layer in network.LAYERS:
        if isinstance(layer, network.Pooling):
            side //= 2
            continue
        side -= layer.size - 1 if isinstance(layer, network.Convolution) and layer.padding == "valid" else 0
        places = side * side if isinstance(layer, network.Convolution) else 1
        macs += places * int(np.prod(shapes[f"{layer.name}/kernel"]))
    assert macs <= 8_000_000


def test_round_trip(weights: Weights) -> None:
    """``load`` takes back what ``weights`` gave, bit for bit, in float32 and in float16."""
    for given in (weights, network.rounded(weights)):
        back = Cnn().load(given).weights()
        assert list(back) == list(network.shapes())
        for name, array in given.items():
            assert back[name].dtype == array.dtype
            np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"conv1/kernel": None}, "conv1/kernel"),
        ({"conv9/kernel": np.zeros(3, np.float32)}, "conv9/kernel"),
        ({"conv2/bias": np.zeros(3, np.float32)}, "conv2/bias"),
        ({"conv2/bias": np.zeros(48, np.int32)}, "conv2/bias"),
        ({"conv2/bias": np.full(48, np.nan, np.float32)}, "conv2/bias"),
    ],
    ids=["missing", "extra", "shape", "type", "nan"],
)
def test_wrong_arrays_are_refused(weights: Weights, change: dict[str, np.ndarray | None], named: str) -> None:
    """A missing, extra, misshapen, mistyped or non-finite array is refused by its name."""
    wrong = {k: v for k, v in {**weights, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=named):
        Cnn().load(wrong)


@pytest.mark.slow
def test_folding_keeps_the_answer(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The folded network answers as the normalised one does with its running statistics."""
    from models.cnn import train

    model = network.build(normalised=True)
    network.start(model, 1)
    generator = np.random.default_rng(2)
    for variable in model.variables:
        if "norm" in variable.path:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape).astype(np.float32))
    plain = network.build(normalised=False)
    network.fill(plain, network.fold(train.arrays(model)))
    images = digits[0][:20, :, :, None].astype(np.float32) / 255.0
    np.testing.assert_allclose(plain(images).numpy(), model(images, training=False).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_start_is_a_function_of_the_seed() -> None:
    """Initial kernels repeat for a seed and differ between seeds."""
    kernels = []
    for seed in (1, 1, 2):
        model = network.build(normalised=True)
        network.start(model, seed)
        kernels.append(model.get_layer("conv3").kernel.numpy())
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
