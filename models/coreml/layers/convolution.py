"""Convolution, as one matrix product per group over windows that are copied out (im2col).

Formula: ``ConvolutionLayerParams`` in NeuralNetwork.proto. A window's values are copied as runs of whole channels,
so images lie channels last; rows are taken in bands where one image's windows would not fit the working memory.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .layer import Array, Layer, Plan, plan
from .windows import Axis, axes, images, padded, tensor

BAND = 4 << 20
"""Values of copied-out windows per image, above which an image is worked on in bands of rows."""


def convolution(layer: Layer) -> Plan:
    """Plan a 2-D convolution of ``(…, C, H, W)``; deconvolution is refused by name."""
    layer.known(1, "weights")
    layer.expect(1, rank=3)
    params = layer.params
    if params.isDeconvolution:
        raise layer.unsupported("deconvolution")
    channels, groups, outputs = layer.shape[-3], params.nGroups or 1, params.outputChannels
    if channels != params.kernelChannels * groups or outputs < 1 or outputs % groups:
        raise layer.malformed(
            f"expected {channels} channels in, got {groups} groups of {params.kernelChannels} to {outputs} outputs"
        )
    kernel = layer.pair("kernelSize", 3)
    height, width = axes(layer, kernel, layer.pair("dilationFactor", 1), params.WhichOneof("ConvolutionPaddingType"))
    shape = layer.fits((*layer.shape[:-3], outputs, height.windows, width.windows))
    layer.fits((channels, height.extent, width.extent), what="padded image")
    values = params.kernelChannels * math.prod(kernel)
    rows = max(1, min(height.windows, BAND // (values * width.windows)))
    layer.fits((rows, width.windows, values), what="working memory")
    layer.budget.spend_products(groups * -(-height.windows // rows))
    weights = layer.weights("weights", (outputs, params.kernelChannels, *kernel))
    bias = layer.weights("bias", (outputs,)) if params.hasBias else None
    matrices = [
        np.ascontiguousarray(group.transpose(2, 3, 1, 0).reshape(values, -1)) for group in np.split(weights, groups)
    ]

    def run(x: Array) -> Array:
        source = padded(images(x, layer.shape), height, width, 0.0)
        result = np.empty((source.shape[0], height.windows, width.windows, outputs), dtype=np.float32)
        for top in range(0, height.windows, rows):
            band = source[:, top * height.stride :]
            _convolve(band, matrices, height, width, result[:, top : top + rows])
        if bias is not None:
            result += bias
        return tensor(result, x.shape[0], shape)

    return plan(shape, run, math.prod(shape) * values, rows * width.windows * values)


def _convolve(x: Array, matrices: list[Array], height: Axis, width: Axis, result: Array) -> None:
    """Write the convolution of ``(N, H, W, C)`` into ``result`` ``(N, rows, columns, outputs)``."""
    channels, outputs = x.shape[3] // len(matrices), result.shape[3] // len(matrices)
    for group, matrix in enumerate(matrices):
        part = x[..., group * channels : (group + 1) * channels]
        windows = _windows(part, height, width, result.shape[1]).reshape(-1, matrix.shape[0])
        if len(matrices) == 1 and result.flags.c_contiguous:
            np.matmul(windows, matrix, out=result.reshape(-1, outputs))
        else:
            product = (windows @ matrix).reshape(*result.shape[:3], outputs)
            result[..., group * outputs : (group + 1) * outputs] = product


def _windows(x: Array, height: Axis, width: Axis, rows: int) -> Array:
    """Return a view ``(N, rows, columns, kernel height, kernel width, C)`` of all windows."""
    image, row, column, channel = x.strides
    return as_strided(
        x,
        (x.shape[0], rows, width.windows, height.kernel, width.kernel, x.shape[3]),
        (image, row * height.stride, column * width.stride, row * height.dilation, column * width.dilation, channel),
        writeable=False,
    )
