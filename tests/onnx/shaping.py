"""Node types that move elements: shapes, slices, joins, indices."""

import numpy as np

import graphnn as gn

from .adapter import UnsupportedError, constant, op, rule


@rule("Constant")
def given(call):
    [(name, value)] = call.attributes.items()
    if name not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        raise UnsupportedError("string tensors")
    kind = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}.get(name)
    return constant(value, kind)


@rule("ConstantOfShape")
def constant_of_shape(call):
    value = call.get("value", np.zeros(1, "float32"))
    return op("Broadcast")(constant(value.reshape(())), call.ints(0, "shape"))


@rule("Shape")
def shape(call):
    sizes = np.array(call[0].shape, "int64")
    return constant(sizes[slice(call.get("start", 0), call.get("end"))])


@rule("Size")
def size(call):
    return constant(np.prod(call[0].shape, dtype="int64"))


@rule("Range")
def range_(call):
    start, limit, delta = (call.known(i).reshape(()) for i in range(3))
    count = max(int(np.ceil((limit - start) / delta)), 0)
    return call[0] + constant(np.arange(count), call[0].dtype) * call[2]


@rule("EyeLike")
def eye_like(call):
    from .adapter import DTYPES

    rows, columns = call[0].shape
    kind = DTYPES[call.get("dtype")] if "dtype" in call.attributes else call[0].dtype
    k = call.get("k", 0)
    return gn.Equal(constant(np.arange(columns)) - k, constant(np.arange(rows)[:, None])).astype(kind)


@rule("Reshape")
def reshape(call):
    x, target = call[0], call.ints(1, "shape")
    if not call.get("allowzero", 0):
        target = tuple(x.shape[i] if n == 0 else n for i, n in enumerate(target))
    if -1 in target and 0 in x.shape:
        rest = [n for n in target if n != -1]
        target = tuple(0 if n == -1 and all(rest) else max(n, 0) for n in target)
    return gn.Reshape(x, target)


@rule("Flatten")
def flatten(call):
    x, axis = call[0], call.get("axis", 1)
    if axis == 0 or (axis == -x.ndim):
        return gn.Reshape(x, (1, -1))
    rows = int(np.prod(x.shape[:axis]))
    return gn.Reshape(x, (rows, int(np.prod(x.shape[axis:]))))


@rule("Squeeze")
def squeeze(call):
    return op("Squeeze")(call[0], call.ints(1, "axes"))


@rule("Unsqueeze")
def unsqueeze(call):
    return op("Unsqueeze")(call[0], call.ints(1, "axes"))


@rule("Transpose")
def transpose(call):
    order = call.get("perm")
    return gn.Transpose(call[0], None if order is None else tuple(order))


@rule("Expand")
def expand(call):
    wanted = call.ints(1, "shape")
    return op("Broadcast")(call[0], np.broadcast_shapes(call[0].shape, wanted))


@rule("Tile")
def tile(call):
    return op("Tile")(call[0], call.ints(1, "repeats"))


@rule("Concat")
def concat(call):
    return op("Concat")(call.inputs, call.get("axis"))


@rule("Split")
def split(call):
    x, axis = call[0], call.get("axis", 0)
    parts, count = call.ints(1, "split"), len(call.outputs)
    if parts is None:  # chunks of one size, the last a smaller one
        chunk = -(-x.shape[axis] // count)
        parts = tuple(max(min(chunk, x.shape[axis] - i * chunk), 0) for i in range(count))
    return op("Split")(x, parts, axis)


@rule("Slice")
def slice_(call):
    x = call[0]
    starts, stops = call.ints(1, "starts"), call.ints(2, "ends")
    axes = call.ints(3, "axes") or tuple(range(len(starts)))
    steps = call.ints(4, "steps") or (1,) * len(starts)
    # Far beyond the end is the end; for a negative step, far below the start is before the first element.
    stops = tuple(None if s < 0 and e < -x.shape[a] else e for e, s, a in zip(stops, steps, axes, strict=True))
    return op("Slice")(x, starts, stops, steps, axes)


@rule("Pad")
def pad(call):
    x, mode = call[0], call.get("mode", "constant")
    axes = [a % x.ndim for a in call.ints(3, "axes") or range(x.ndim)]
    pads = call.ints(1, "pads")
    before, after = [0] * x.ndim, [0] * x.ndim
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    if any(n < 0 for n in (*before, *after)):  # negative padding takes away
        stops = [x.shape[a] + min(after[a], 0) for a in range(x.ndim)]
        x = op("Slice")(x, tuple(max(-n, 0) for n in before), tuple(stops), (1,) * x.ndim, tuple(range(x.ndim)))
        before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    value = float(call.known(2).reshape(())) if call[2] is not None else call.get("value", 0.0)
    return op("Pad")(x, tuple(before), tuple(after), value=value, mode=mode)


@rule("Trilu")
def trilu(call):
    k = int(call.known(1).reshape(())) if call[1] is not None else 0
    return op("Trilu")(call[0], bool(call.get("upper", 1)), k)


@rule("DepthToSpace")
def depth_to_space(call):
    x, b = call[0], call.get("blocksize")
    n, c, h, w = x.shape
    if call.get("mode", "DCR") == "DCR":
        parts, order = (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)
    return gn.Transpose(x.reshape(parts), order).reshape((n, c // (b * b), h * b, w * b))


@rule("SpaceToDepth")
def space_to_depth(call):
    x, b = call[0], call.get("blocksize")
    n, c, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if call.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return gn.Transpose(x.reshape((n, c, h // b, b, w // b, b)), order).reshape((n, c * b * b, h // b, w // b))


@rule("CenterCropPad")
def center_crop_pad(call):
    x, target = call[0], call.ints(1, "shape")
    for axis, wanted in zip(call.get("axes", range(x.ndim)), target, strict=True):
        spare = x.shape[axis] - wanted
        if spare > 0:
            x = op("Slice")(x, spare // 2, spare // 2 + wanted, 1, axis)
        elif spare < 0:
            before = [0] * x.ndim
            after = [0] * x.ndim
            before[axis], after[axis] = -spare // 2, -spare - -spare // 2
            x = op("Pad")(x, tuple(before), tuple(after))
    return x


# Indices -------------------------------------------------------------------------------------------------------------


def from_start(indices, size):
    """Indices counted from the start, where negative ones count from the end."""
    return gn.Where(indices < 0, indices + size, indices).astype("int64")


@rule("Gather")
def gather(call):
    x, axis = call[0], call.get("axis", 0)
    return op("Gather")(x, from_start(call[1], x.shape[axis]), axis)


@rule("GatherElements")
def gather_elements(call):
    x, axis = call[0], call.get("axis", 0)
    return op("GatherElements")(x, from_start(call[1], x.shape[axis]), axis)


def flat_places(indices, shape):
    """Rows of indices into the leading axes, as places in those axes laid flat."""
    depth = indices.shape[-1]
    place = None
    for i in range(depth):
        column = from_start(op("Squeeze")(op("Slice")(indices, i, i + 1, 1, -1), -1), shape[i])
        place = column if place is None else place * shape[i] + column
    return place


@rule("GatherND")
def gather_nd(call):
    x, indices, batch = call[0], call[1], call.get("batch_dims", 0)
    depth, shape = indices.shape[-1], x.shape
    place = flat_places(indices, shape[batch : batch + depth])
    if batch:  # the batches lie one behind the other
        step = int(np.prod(shape[batch : batch + depth]))
        batches = np.arange(int(np.prod(shape[:batch]))).reshape(*shape[:batch], *[1] * (place.ndim - batch))
        place = place + constant(batches * step, "int64")
    flat = x.reshape((int(np.prod(shape[: batch + depth])), *shape[batch + depth :]))
    return op("Gather")(flat, place, 0)


@rule("OneHot")
def one_hot(call):
    depth, axis = int(call.known(1).reshape(())), call.get("axis", -1)
    labels = from_start(call[0].astype("int64"), depth)
    off, on = op("Split")(call[2], 2, 0)
    rows = gn.OneHot(labels, depth, "bool")
    axis = axis % rows.ndim
    order = list(range(rows.ndim - 1))
    order.insert(axis, rows.ndim - 1)
    return gn.Where(gn.Transpose(rows, tuple(order)), op("Squeeze")(on), op("Squeeze")(off))


@rule("ScatterElements", "Scatter")
def scatter_elements(call):
    x, axis = call[0], call.get("axis", 0)
    how = call.get("reduction", "none")
    return op("ScatterElements")(x, from_start(call[1], x.shape[axis]), call[2], axis, how)


@rule("ScatterND")
def scatter_nd(call):
    x, indices, updates = call[0], call[1], call[2]
    depth, shape = indices.shape[-1], x.shape
    rest = int(np.prod(shape[depth:]))
    flat = x.reshape((int(np.prod(shape[:depth])), rest))
    place = flat_places(indices, shape).reshape((-1, 1))
    count = place.shape[0]
    places = op("Broadcast")(place, (count, rest))
    how = call.get("reduction", "none")
    return op("ScatterElements")(flat, places, updates.reshape((count, rest)), 0, how).reshape(shape)


@rule("ReverseSequence")
def reverse_sequence(call):
    x, time = call[0], call.get("time_axis", 0)
    lengths = call[1]
    steps = np.arange(x.shape[time])
    first = time == 0  # time and batch are the first two axes, in either order
    t = constant(steps[:, None] if first else steps[None, :])
    n = op("Unsqueeze")(lengths, 0 if first else 1)
    place = gn.Where(t < n, n - 1 - t, t)
    tail = x.shape[2:]
    places = op("Broadcast")(place.reshape((*place.shape, *[1] * len(tail))), x.shape)
    return op("GatherElements")(x, places, time)


@rule("TensorScatter")
def tensor_scatter(call):
    past, update, axis = call[0], call[1], call.get("axis", -2) % call[0].ndim
    count, room = update.shape[axis], past.shape[axis]
    starts = constant(np.zeros(past.shape[0], "int64")) if call[2] is None else call[2]
    place = starts.reshape((-1, *[1] * (past.ndim - 1))) + along(np.arange(count), axis, past.ndim)
    if call.get("mode", "linear") == "circular":
        place = op("Mod")(place, room)
    return op("ScatterElements")(past, op("Broadcast")(place, update.shape), update, axis)


def along(numbers, axis, ndim):
    """A vector as a constant that lies along one of several axes."""
    return constant(np.asarray(numbers).reshape([-1 if a == axis else 1 for a in range(ndim)]))
