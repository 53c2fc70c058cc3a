"""Resize: along every axis a product with a matrix of interpolation weights, which depend on sizes alone."""

from math import ceil, floor

import numpy as np

import graphnn as gn

from .adapter import UnsupportedError, constant, rule


def coordinate(i, scale, old, new, mode, region):
    """Where output element i lies among the inputs."""
    match mode:
        case "half_pixel":
            return (i + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            ratio = new / (scale * old)
            return (old / 2) * (1 - ratio) + (i + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / scale - 0.5 if new > 1 else 0.0
        case "align_corners":
            return i * (old - 1) / (scale * old - 1) if new > 1 else 0.0
        case "asymmetric":
            return i / scale
        case "tf_crop_and_resize":
            start, end = region
            if new > 1:
                return start * (old - 1) + i * (end - start) * (old - 1) / (new - 1)
            return 0.5 * (start + end) * (old - 1)
    raise UnsupportedError(f"coordinates {mode}")


def nearest(at, how):
    match how:
        case "round_prefer_floor":
            return ceil(at - 0.5)
        case "round_prefer_ceil":
            return floor(at + 0.5)
        case "floor":
            return floor(at)
    return ceil(at)


def cubic(distance, a):
    """The cubic convolution kernel of R. Keys, IEEE Transactions on Acoustics 29, 1981."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def weights(call, at, scale, old):
    """The row of one output element: its weight for every input."""
    row, mode = np.zeros(old), call.get("mode", "nearest")
    if mode == "nearest":
        row[min(max(nearest(at, call.get("nearest_mode", "round_prefer_floor")), 0), old - 1)] = 1
        return row
    a = call.get("cubic_coeff_a", -0.75)
    shrink = min(scale, 1.0) if call.get("antialias", 0) else 1.0
    reach = (1 if mode == "linear" else 2) / shrink
    near = range(floor(at - reach) + 1, ceil(at + reach))
    kernel = (lambda d: max(1 - abs(d), 0)) if mode == "linear" else (lambda d: cubic(d, a))
    found = [(j, kernel((j - at) * shrink)) for j in near]
    if call.get("exclude_outside", 0):
        found = [(j, w) for j, w in found if 0 <= j < old]
    total = sum(w for _, w in found)
    for j, w in found:
        row[min(max(j, 0), old - 1)] += w / total
    return row


def sizes_and_scales(call, axes):
    """The new size and the scale of each axis in `axes`."""
    shape = [call[0].shape[a] for a in axes]
    if call[2] is not None and call[2].shape[0]:
        scales = [float(s) for s in call.known(2)]
        return [floor(n * s) for n, s in zip(shape, scales, strict=True)], scales
    wanted = [int(n) for n in call.known(3)]
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return wanted, [new / old for new, old in zip(wanted, shape, strict=True)]
    pick = min if policy == "not_larger" else max
    scale = pick(new / old for new, old in zip(wanted, shape, strict=True))
    return [floor(old * scale + 0.5) for old in shape], [scale] * len(axes)


@rule("Resize")
def resize(call):
    x = call[0]
    axes = [a % x.ndim for a in call.get("axes", range(x.ndim))]
    sizes, scales = sizes_and_scales(call, axes)
    mode = call.get("coordinate_transformation_mode", "half_pixel")
    roi = call.known(1) if call[1] is not None and call[1].shape[0] else None
    for k, (axis, new, scale) in enumerate(zip(axes, sizes, scales, strict=True)):
        old = x.shape[axis]
        if new == old and scale == 1 and mode != "tf_crop_and_resize":
            continue
        region = None if roi is None else (float(roi[k]), float(roi[k + len(axes)]))
        places = [coordinate(i, scale, old, new, mode, region) for i in range(new)]
        rows = np.stack([weights(call, at, scale, old) for at in places])
        x = along_axis(x, rows, axis)
        if mode == "tf_crop_and_resize":
            outside = np.array([not 0 <= at <= old - 1 for at in places])
            shape = [-1 if a == axis else 1 for a in range(x.ndim)]
            x = gn.Where(constant(outside.reshape(shape)), call.get("extrapolation_value", 0.0), x)
    return x


def along_axis(x, matrix, axis):
    """`matrix @ x` along an axis."""
    order = (*(a for a in range(x.ndim) if a != axis), axis)
    moved = gn.Transpose(x, order) @ constant(matrix.T, x.dtype)
    return gn.Transpose(moved, tuple(order.index(a) for a in range(x.ndim)))
