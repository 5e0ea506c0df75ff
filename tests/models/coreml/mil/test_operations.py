"""Every operation, in programs that coremltools writes, gives what TensorFlow or numpy gives for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml
from models.coreml import package
from models.coreml.mil import program

SHAPE = (1, 4, 7, 6)
CLOSE = 2e-5
RNG = np.random.default_rng(7)
KERNEL = RNG.normal(size=(6, 4, 3, 2)).astype(np.float32)
GROUPED = RNG.normal(size=(8, 2, 3, 3)).astype(np.float32)
SQUARE = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
MATRIX = RNG.normal(size=(5, 6)).astype(np.float32)
CHANNELS = {key: RNG.random(4).astype(np.float32) + 0.2 for key in ("mean", "variance", "gamma", "beta")}
GRID = RNG.normal(size=(7, 6)).astype(np.float32)
OTHER = (RNG.random(SHAPE) * 2 + 0.5).astype(np.float32)
LAST = {key: RNG.normal(size=6).astype(np.float32) for key in ("gamma", "beta")}

Case = tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]
"""How coremltools' builder writes the operation, from the builder and the input, and what it should give."""


def _tf() -> Any:
    import tensorflow as tf

    return tf


def _conv(x: np.ndarray, kernel: np.ndarray, padding: str, **options: Any) -> np.ndarray:
    turned = kernel.transpose(2, 3, 1, 0)
    found = _tf().nn.conv2d(x.transpose(0, 2, 3, 1), turned, padding=padding, **({"strides": 1} | options)).numpy()
    return found.transpose(0, 3, 1, 2)


def _pool(kind: str, x: np.ndarray, size: Any, strides: Any, padding: str) -> np.ndarray:
    function = getattr(_tf().nn, f"{kind}_pool2d")
    return function(x.transpose(0, 2, 3, 1), size, strides, padding).numpy().transpose(0, 3, 1, 2)


def _grouped(x: np.ndarray, kernel: np.ndarray, groups: int) -> np.ndarray:
    parts = zip(np.split(x, groups, axis=1), np.split(kernel, groups), strict=True)
    return np.concatenate([_conv(part, weights, "VALID") for part, weights in parts], axis=1)


def _numbers(x: np.ndarray) -> np.ndarray:
    """Positive values, for roots and logarithms."""
    return np.abs(x) + 0.5


def _normalised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def _each(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]


CASES: Mapping[str, Case] = {
    "conv": (lambda mb, x: mb.conv(x=x, weight=KERNEL, bias=BIAS, pad_type="valid"),
             lambda x: _conv(x, KERNEL, "VALID") + _each(BIAS)),
    "conv same": (lambda mb, x: mb.conv(x=x, weight=KERNEL, pad_type="same", strides=[2, 2]),
                  lambda x: _conv(x, KERNEL, "SAME", strides=2)),
    "conv same_lower": (
        lambda mb, x: mb.conv(x=x, weight=KERNEL, pad_type="same_lower"),
        lambda x: _conv(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 0))), KERNEL, "VALID")),
    "conv custom": (
        lambda mb, x: mb.conv(x=x, weight=KERNEL, pad_type="custom", pad=[1, 0, 2, 3], strides=[1, 2]),
        lambda x: _conv(np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 3))), KERNEL, "VALID", strides=(1, 2))),
    "conv dilations": (lambda mb, x: mb.conv(x=x, weight=SQUARE, pad_type="valid", dilations=[2, 2]),
                       lambda x: _conv(x, SQUARE, "VALID", dilations=2)),
    "conv groups": (lambda mb, x: mb.conv(x=x, weight=GROUPED, pad_type="valid", groups=2),
                    lambda x: _grouped(x, GROUPED, 2)),
    "max_pool": (lambda mb, x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"),
                 lambda x: _pool("max", x, 2, 2, "VALID")),
    "max_pool same": (lambda mb, x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 3], pad_type="same"),
                      lambda x: _pool("max", x, (3, 2), (2, 3), "SAME")),
    "max_pool ceil": (
        lambda mb, x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid", ceil_mode=True),
        lambda x: _pool("max", x, (3, 2), 2, "VALID")),
    "avg_pool": (
        lambda mb, x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="same", exclude_padding_from_average=True),
        lambda x: _pool("avg", x, 3, 2, "SAME")),
    "avg_pool padded": (
        lambda mb, x: mb.avg_pool(x=x, kernel_sizes=[2, 2], pad_type="custom", pad=[1, 1, 0, 0]),
        lambda x: _pool("avg", np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))), 2, 1, "VALID")),
    "linear": (lambda mb, x: mb.linear(x=x, weight=MATRIX, bias=BIAS[:5]), lambda x: x @ MATRIX.T + BIAS[:5]),
    "matmul": (lambda mb, x: mb.matmul(x=x, y=np.ascontiguousarray(MATRIX.T)), lambda x: x @ MATRIX.T),
    "matmul both": (lambda mb, x: mb.matmul(x=x, y=x, transpose_y=True), lambda x: x @ x.swapaxes(-1, -2)),
    "matmul turned": (lambda mb, x: mb.matmul(x=GRID, y=x, transpose_x=True), lambda x: GRID.T @ x),
    "batch_norm": (
        lambda mb, x: mb.batch_norm(x=x, epsilon=1e-3, **CHANNELS),
        lambda x: (x - _each(CHANNELS["mean"])) / np.sqrt(_each(CHANNELS["variance"]) + 1e-3)
        * _each(CHANNELS["gamma"]) + _each(CHANNELS["beta"])),
    "batch_norm plain": (
        lambda mb, x: mb.batch_norm(x=x, mean=CHANNELS["mean"], variance=CHANNELS["variance"]),
        lambda x: (x - _each(CHANNELS["mean"])) / np.sqrt(_each(CHANNELS["variance"]) + 1e-5)),
    "instance_norm": (
        lambda mb, x: mb.instance_norm(x=x, gamma=CHANNELS["gamma"], beta=CHANNELS["beta"]),
        lambda x: _normalised(x, (2, 3)) * _each(CHANNELS["gamma"]) + _each(CHANNELS["beta"])),
    "layer_norm": (lambda mb, x: mb.layer_norm(x=x, axes=[-1], **LAST),
                   lambda x: _normalised(x, (-1,)) * LAST["gamma"] + LAST["beta"]),
    "layer_norm plain": (lambda mb, x: mb.layer_norm(x=x, axes=[2, 3]), lambda x: _normalised(x, (2, 3))),
    "softmax": (lambda mb, x: mb.softmax(x=x, axis=1), lambda x: _tf().nn.softmax(x, axis=1).numpy()),
    "add": (lambda mb, x: mb.add(x=x, y=GRID), lambda x: x + GRID),
    "sub": (lambda mb, x: mb.sub(x=np.float32(1), y=x), lambda x: 1 - x),
    "mul": (lambda mb, x: mb.mul(x=x, y=OTHER), lambda x: x * OTHER),
    "real_div": (lambda mb, x: mb.real_div(x=x, y=OTHER), lambda x: x / OTHER),
    "floor_div": (lambda mb, x: mb.floor_div(x=x, y=OTHER), lambda x: np.floor(x / OTHER)),
    "mod": (lambda mb, x: mb.mod(x=x, y=OTHER), lambda x: np.mod(x, OTHER)),
    "pow": (lambda mb, x: mb.pow(x=OTHER, y=x), lambda x: OTHER**x),
    "maximum": (lambda mb, x: mb.maximum(x=x, y=GRID), lambda x: np.maximum(x, GRID)),
    "minimum": (lambda mb, x: mb.minimum(x=x, y=np.float32(0.5)), lambda x: np.minimum(x, 0.5)),
    "abs": (lambda mb, x: mb.abs(x=x), np.abs),
    "sqrt": (lambda mb, x: mb.sqrt(x=mb.add(x=mb.abs(x=x), y=np.float32(0.5))), lambda x: np.sqrt(_numbers(x))),
    "rsqrt": (lambda mb, x: mb.rsqrt(x=mb.add(x=mb.abs(x=x), y=np.float32(0.5)), epsilon=0.25),
              lambda x: 1 / np.sqrt(_numbers(x) + 0.25)),
    "log": (lambda mb, x: mb.log(x=mb.add(x=mb.abs(x=x), y=np.float32(0.5))), lambda x: np.log(_numbers(x))),
    "log epsilon": (lambda mb, x: mb.log(x=mb.add(x=mb.abs(x=x), y=np.float32(0.5)), epsilon=2.0),
                    lambda x: np.log(_numbers(x) + 2)),
    "inverse": (lambda mb, x: mb.inverse(x=mb.add(x=mb.abs(x=x), y=np.float32(0.5)), epsilon=0.5),
                lambda x: 1 / (_numbers(x) + 0.5)),
    "square": (lambda mb, x: mb.square(x=x), np.square),
    "exp": (lambda mb, x: mb.exp(x=x), np.exp),
    "exp2": (lambda mb, x: mb.exp2(x=x), np.exp2),
    "erf": (lambda mb, x: mb.erf(x=x), lambda x: _tf().math.erf(x).numpy()),
    **{name: (lambda mb, x, name=name: getattr(mb, name)(x=x), getattr(np, name))
       for name in ("ceil", "floor", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "round": (lambda mb, x: mb.round(x=x), np.rint),
    "atan": (lambda mb, x: mb.atan(x=x), np.arctan),
    "asin": (lambda mb, x: mb.asin(x=mb.tanh(x=x)), lambda x: np.arcsin(np.tanh(x))),
    "acos": (lambda mb, x: mb.acos(x=mb.tanh(x=x)), lambda x: np.arccos(np.tanh(x))),
    "atanh": (lambda mb, x: mb.atanh(x=mb.mul(x=mb.tanh(x=x), y=np.float32(0.5))),
              lambda x: np.arctanh(np.tanh(x) / 2)),
    "clip": (lambda mb, x: mb.clip(x=x, alpha=-0.5, beta=0.75), lambda x: np.clip(x, -0.5, 0.75)),
    "threshold": (lambda mb, x: mb.threshold(x=x, alpha=0.25), lambda x: np.maximum(x, 0.25)),
    "relu": (lambda mb, x: mb.relu(x=x), lambda x: np.maximum(x, 0)),
    "relu6": (lambda mb, x: mb.relu6(x=mb.mul(x=x, y=np.float32(9))), lambda x: np.clip(9 * x, 0, 6)),
    "leaky_relu": (lambda mb, x: mb.leaky_relu(x=x, alpha=0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    "clamped_relu": (lambda mb, x: mb.clamped_relu(x=x, alpha=0.3, beta=0.8),
                     lambda x: np.minimum(0.8, np.where(x > 0, x, 0.3 * x))),
    "thresholded_relu": (lambda mb, x: mb.thresholded_relu(x=x, alpha=0.4), lambda x: np.where(x >= 0.4, x, 0)),
    "prelu": (lambda mb, x: mb.prelu(x=x, alpha=CHANNELS["gamma"]),
              lambda x: np.where(x > 0, x, _each(CHANNELS["gamma"]) * x)),
    "elu": (lambda mb, x: mb.elu(x=x, alpha=0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "sigmoid": (lambda mb, x: mb.sigmoid(x=x), lambda x: 1 / (1 + np.exp(-x))),
    "sigmoid_hard": (lambda mb, x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.6), lambda x: np.clip(0.3 * x + 0.6, 0, 1)),
    "silu": (lambda mb, x: mb.silu(x=x), lambda x: x / (1 + np.exp(-x))),
    "scaled_tanh": (lambda mb, x: mb.scaled_tanh(x=x, alpha=1.7, beta=0.6), lambda x: 1.7 * np.tanh(0.6 * x)),
    "linear_activation": (lambda mb, x: mb.linear_activation(x=x, alpha=2.0, beta=0.5), lambda x: 2 * x + 0.5),
    "softplus": (lambda mb, x: mb.softplus(x=x), lambda x: np.log1p(np.exp(x))),
    "softsign": (lambda mb, x: mb.softsign(x=x), lambda x: x / (1 + np.abs(x))),
    "gelu": (lambda mb, x: mb.gelu(x=x, mode="EXACT"), lambda x: _tf().nn.gelu(x).numpy()),
    "gelu tanh": (lambda mb, x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
                  lambda x: _tf().nn.gelu(x, approximate=True).numpy()),
    "gelu sigmoid": (lambda mb, x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"), lambda x: x / (1 + np.exp(-1.702 * x))),
    **{f"reduce_{name}": (
        lambda mb, x, name=name, keep=keep: getattr(mb, f"reduce_{name}")(x=x, axes=[1, -1], keep_dims=keep),
        lambda x, f=function, keep=keep: f(x, axis=(1, 3), keepdims=keep))
       for name, function, keep in (
           ("sum", np.sum, False), ("mean", np.mean, True), ("prod", np.prod, False), ("max", np.max, True),
           ("min", np.min, False))},
    "reduce_sum all": (lambda mb, x: mb.add(x=mb.reduce_sum(x=x), y=np.float32([1])),
                       lambda x: x.sum(keepdims=True).ravel() + 1),
    "reduce_l1_norm": (lambda mb, x: mb.reduce_l1_norm(x=x, axes=[2]), lambda x: np.abs(x).sum(2)),
    "reduce_l2_norm": (lambda mb, x: mb.reduce_l2_norm(x=x, axes=[2]), lambda x: np.sqrt(np.square(x).sum(2))),
    "reduce_sum_square": (lambda mb, x: mb.reduce_sum_square(x=x, axes=[2]), lambda x: np.square(x).sum(2)),
    "reduce_log_sum": (lambda mb, x: mb.reduce_log_sum(x=mb.abs(x=x), axes=[2]), lambda x: np.log(np.abs(x).sum(2))),
    "reduce_log_sum_exp": (lambda mb, x: mb.reduce_log_sum_exp(x=x, axes=[2]), lambda x: np.log(np.exp(x).sum(2))),
    "reduce_argmax": (lambda mb, x: mb.cast(x=mb.reduce_argmax(x=x, axis=1), dtype="fp32"), lambda x: x.argmax(1)),
    "reduce_argmin": (lambda mb, x: mb.cast(x=mb.reduce_argmin(x=x, axis=-1, keep_dims=True), dtype="fp32"),
                      lambda x: x.argmin(-1)[..., None]),
    **{name: (lambda mb, x, name=name: mb.cast(x=getattr(mb, name)(x=x, y=GRID), dtype="fp32"),
              lambda x, f=function: f(x, GRID))
       for name, function in (
           ("equal", np.equal), ("not_equal", np.not_equal), ("less", np.less), ("less_equal", np.less_equal),
           ("greater", np.greater), ("greater_equal", np.greater_equal))},
    **{name: (lambda mb, x, name=name: mb.cast(x=getattr(mb, name)(
        x=mb.greater(x=x, y=np.float32(0)), y=mb.greater(x=x, y=GRID)), dtype="fp32"),
        lambda x, f=function: f(x > 0, x > GRID))
       for name, function in (("logical_and", np.logical_and), ("logical_or", np.logical_or),
                              ("logical_xor", np.logical_xor))},
    "logical_not": (lambda mb, x: mb.cast(x=mb.logical_not(x=mb.greater(x=x, y=GRID)), dtype="fp32"),
                    lambda x: ~(x > GRID)),
    "select": (lambda mb, x: mb.select(cond=mb.greater(x=x, y=GRID), a=x, b=OTHER),
               lambda x: np.where(x > GRID, x, OTHER)),
    "cast whole": (lambda mb, x: mb.cast(x=mb.cast(x=mb.mul(x=x, y=np.float32(3)), dtype="int32"), dtype="fp32"),
                   lambda x: np.trunc(3 * x)),
    "cast bool": (lambda mb, x: mb.cast(x=mb.cast(x=mb.relu(x=x), dtype="bool"), dtype="fp32"), lambda x: x > 0),
    "identity": (lambda mb, x: mb.identity(x=x), lambda x: x),
    "reshape": (lambda mb, x: mb.reshape(x=x, shape=[7, -1, 2]), lambda x: x.reshape(7, -1, 2)),
    "transpose": (lambda mb, x: mb.transpose(x=x, perm=[0, 2, -1, 1]), lambda x: x.transpose(0, 2, 3, 1)),
    "expand_dims": (lambda mb, x: mb.expand_dims(x=x, axes=[-1]), lambda x: x[..., None]),
    "squeeze": (lambda mb, x: mb.squeeze(x=x, axes=[0]), lambda x: x[0]),
    "squeeze all": (lambda mb, x: mb.squeeze(x=x), lambda x: x[0]),
    "flatten2d": (lambda mb, x: mb.flatten2d(x=x, axis=2), lambda x: x.reshape(4, 42)),
    "concat": (lambda mb, x: mb.concat(values=[x, OTHER, x], axis=-3), lambda x: np.concatenate([x, OTHER, x], 1)),
    "stack": (lambda mb, x: mb.stack(values=[x, x], axis=2), lambda x: np.stack([x, x], 2)),
    "split": (lambda mb, x: mb.split(x=x, num_splits=2, axis=1)[1], lambda x: x[:, 2:]),
    "split sizes": (lambda mb, x: mb.split(x=x, split_sizes=[2, 5], axis=2)[1], lambda x: x[:, :, 2:]),
    "tile": (lambda mb, x: mb.tile(x=x, reps=[1, 2, 1, 3]), lambda x: np.tile(x, (1, 2, 1, 3))),
    "reverse": (lambda mb, x: mb.reverse(x=x, axes=[1, -1]), lambda x: x[:, ::-1, :, ::-1]),
    "pad": (lambda mb, x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="constant", constant_val=0.5),
            lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 3)), constant_values=0.5)),
    "pad reflect": (lambda mb, x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="reflect"),
                    lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 3)), mode="reflect")),
    "pad replicate": (lambda mb, x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="replicate"),
                      lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 3)), mode="edge")),
    "slice_by_index": (
        lambda mb, x: mb.slice_by_index(
            x=x, begin=[0, 3, 1, 5], end=[0, 0, 6, 0], stride=[1, -1, 2, -1],
            begin_mask=[True, False, False, False], end_mask=[True, False, False, True],
            squeeze_mask=[False, False, False, False]),
        lambda x: x[:, 3:0:-1, 1:6:2, 5::-1]),
    "slice_by_index squeezed": (
        lambda mb, x: mb.slice_by_index(
            x=x, begin=[0, -1, 1, 0], end=[1, 0, 6, 6], squeeze_mask=[True, True, False, False]),
        lambda x: x[0, -1, 1:6]),
    "slice_by_size": (lambda mb, x: mb.slice_by_size(x=x, begin=[0, 1, 2, 0], size=[1, 2, -1, 6]),
                      lambda x: x[:, 1:3, 2:]),
    "upsample_nearest_neighbor": (
        lambda mb, x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x: x.repeat(2, 2).repeat(3, 3)),
}  # fmt: skip  # a row for each operation


@pytest.fixture(scope="module")
def converted(ct: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> coreml.Model:
    """One program with an output for each case, written by coremltools in float32."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813 - so it is called in every example

    def network(x: Any) -> Any:
        return tuple(mb.identity(x=write(mb, x), name=f"y{i}") for i, (write, _) in enumerate(CASES.values()))

    made = mb.program(input_specs=[mb.TensorSpec(SHAPE)], opset_version=ct.target.iOS16)(network)
    model = ct.convert(
        made,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
        pass_pipeline=ct.PassPipeline.EMPTY,  # else operations are fused, folded and dropped
    )
    path = Path(tmp_path_factory.mktemp("operations")) / "operations.mlpackage"
    model.save(str(path))
    return coreml.load(package.packed(path))


@pytest.fixture(scope="module")
def found(converted: coreml.Model) -> Mapping[str, np.ndarray]:
    """The answers to three inputs at once."""
    return converted.predict({"x": _given()})


def _given() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(3, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_as_the_reference(case: str, found: Mapping[str, np.ndarray]) -> None:
    """The operation gives the reference's values and shape, for each of three inputs."""
    answers = found[f"y{list(CASES).index(case)}"]
    for x, answer in zip(_given(), answers, strict=True):
        expected = np.asarray(CASES[case][1](x), np.float32)
        assert answer.shape == expected.shape
        np.testing.assert_allclose(answer, expected, rtol=CLOSE, atol=CLOSE)


def test_every_operation_is_tried(converted: coreml.Model) -> None:
    """The program contains every operation that this runtime knows; each listed operation is tested."""
    (network,) = converted.body.networks
    assert {step.kind for step in network.steps} == set(program.OPERATIONS)
