"""ONNX models decoded and run with NumPy alone: what `cra export --onnx` writes, read by code that shares
nothing with the writer. Only the operators that occur; semantics as in onnx.ai/onnx/operators at version 13.
"""

import struct

import numpy as np

TYPES = {1: np.float32, 7: np.int64, 9: np.bool_, 11: np.float64}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        assert shift < 70


def fields(data):
    """The fields of a message: {number: [values]}; integers, or bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
            value -= (value >> 63) << 64
        elif kind == 2:
            size, at = varint(data, at)
            assert at + size <= len(data), "a field ends outside its message"
            value, at = data[at:at + size], at + size
        elif kind == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            raise ValueError(f"wire type {kind}")
        found.setdefault(key >> 3, []).append(value)
    return found


def tensor(data):
    f = fields(data)
    dims = f.get(1, [])
    array = np.frombuffer(f[9][0], TYPES[f[2][0]])
    assert array.size == int(np.prod(dims)), "a tensor's data is not of its shape"
    return f[8][0].decode(), array.reshape(dims)


def value_info(data):
    f = fields(data)
    kind = fields(fields(f[2][0])[1][0])
    dims = [fields(d) for d in fields(kind[2][0]).get(1, [])]
    return f[1][0].decode(), TYPES[kind[1][0]], [d[1][0] if 1 in d else d[2][0].decode() for d in dims]


def attribute(data):
    f = fields(data)
    return f[1][0].decode(), f[3][0] if f[20][0] == 2 else f.get(8, [])


class Model:
    """inputs, outputs: {name: (type, shape)}; metadata: {key: text}."""

    def __init__(self, data):
        model = fields(data)
        assert [fields(o)[2] for o in model[8]] == [[13]], "operator set 13"
        assert model[1] == [7]
        self.metadata = {}
        for entry in model.get(14, []):
            f = fields(entry)
            self.metadata[f[1][0].decode()] = f[2][0].decode()
        graph = fields(model[7][0])
        self.constants = dict(tensor(t) for t in graph.get(5, []))
        self.inputs = {n: (t, s) for n, t, s in map(value_info, graph[11])}
        self.outputs = {n: (t, s) for n, t, s in map(value_info, graph[12])}
        self.nodes = []
        for node in graph[1]:
            f = fields(node)
            self.nodes.append((f[4][0].decode(), [i.decode() for i in f[1]], [o.decode() for o in f[2]],
                               dict(attribute(a) for a in f.get(5, []))))

    def run(self, **given):
        values = dict(self.constants)
        for name, array in given.items():
            kind, shape = self.inputs[name]
            assert array.dtype == kind and array.ndim == len(shape), name
            for size, wanted in zip(array.shape, shape):
                assert isinstance(wanted, str) or size == wanted, f"{name} is {array.shape}, not {shape}"
            values[name] = array
        for op, inputs, outputs, attributes in self.nodes:
            values[outputs[0]] = np.asarray(OPERATORS[op]([values[i] for i in inputs], **attributes))
        for name, (kind, shape) in self.outputs.items():
            assert values[name].dtype == kind and values[name].ndim == len(shape), name
        return {name: values[name] for name in self.outputs}


def same_type(function):
    def run(x):
        assert all(a.dtype == x[0].dtype for a in x), "an operator mixes types"
        return function(*x)
    return run


def reduced(function):
    return lambda x, axes, keepdims: function(x[0], axis=tuple(axes), keepdims=bool(keepdims))


def softmax(x, axis):
    e = np.exp(x[0] - x[0].max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def squeeze(x):
    return np.squeeze(x[0], axis=tuple(x[1].tolist()))


def unsqueeze(x):
    return np.expand_dims(x[0], axis=tuple(x[1].tolist()))


def reshape(x):
    dims = [x[0].shape[i] if d == 0 else d for i, d in enumerate(x[1].tolist())]
    return x[0].reshape(dims)


def where(x):
    assert x[0].dtype == np.bool_ and x[1].dtype == x[2].dtype
    return np.where(*x)


def cut(x):
    (begin,), (end,) = x[1].tolist(), x[2].tolist()
    return x[0][begin:end]


OPERATORS = {
    "Add": same_type(np.add), "Sub": same_type(np.subtract), "Mul": same_type(np.multiply),
    "Div": same_type(np.divide), "Max": same_type(np.maximum), "Min": same_type(np.minimum),
    "MatMul": same_type(np.matmul), "Greater": same_type(np.greater), "Equal": same_type(np.equal),
    "Tanh": same_type(np.tanh), "Sqrt": same_type(np.sqrt), "Exp": same_type(np.exp),
    "Floor": same_type(np.floor), "Sin": same_type(np.sin), "Cos": same_type(np.cos),
    "Identity": lambda x: x[0],
    "Cast": lambda x, to: x[0].astype(TYPES[to]),
    "Shape": lambda x: np.array(x[0].shape, np.int64),
    "Slice": cut,
    "Gather": lambda x: np.take(x[0], x[1], axis=0),
    "Range": lambda x: np.arange(*(v.item() for v in x), dtype=x[0].dtype),
    "Expand": lambda x: np.broadcast_to(x[0], np.broadcast_shapes(x[0].shape, tuple(x[1].tolist()))),
    "Where": where, "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Transpose": lambda x, perm: np.transpose(x[0], perm),
    "Softmax": softmax,
    "GatherElements": lambda x, axis: np.take_along_axis(x[0], x[1], axis),
    "ReduceSum": lambda x, keepdims: x[0].sum(axis=tuple(x[1].tolist()), keepdims=bool(keepdims)),
    "ReduceMean": reduced(np.mean), "ReduceMax": reduced(np.max),
}
