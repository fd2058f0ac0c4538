#!/usr/bin/env python3
"""Values of the attention encoder from independent code, for test_attention_reference.cpp.

Written from the formulas of attention/attention.h with numpy alone, tensor by tensor, and not from
the C++. Gradients are complex-step derivatives: with f analytic, Im f(p + i h) / h with h = 1e-30 is
df/dp to rounding, with no difference taken and no reverse code to get wrong.

    attention_reference.py --write attention_reference.h    make the table
    attention_reference.py --check attention_reference.h    exit 1 unless the table says the same
"""

import re
import sys

import numpy as np

FEATURES, WIDTH, HEADS, LAYERS, TEMPERATURE = 3, 6, 2, 2, 1.5
ENVS, NODES = 2, 3


def numbers(count, start):
    """Exact in any language: multiples of 1/2003 in [-1/2, 1/2)."""
    i = np.arange(start, start + count)
    return (i * 7919 % 2003) / 2003 - 0.5


def tensors():
    """(name, outputs, inputs) in the order of the flat block; vectors have outputs 1."""
    d = WIDTH
    out = [("embed.0.weight", d, FEATURES), ("embed.0.bias", 1, d)]
    out += [("embed.1.weight", d, d), ("embed.1.bias", 1, d)]
    for layer in range(LAYERS):
        out += [
            (f"layer{layer}.norm1.gain", 1, d), (f"layer{layer}.norm1.bias", 1, d),
            (f"layer{layer}.query.weight", d, d), (f"layer{layer}.key.weight", d, d),
            (f"layer{layer}.value.weight", d, d),
            (f"layer{layer}.out.weight", d, d), (f"layer{layer}.out.bias", 1, d),
            (f"layer{layer}.norm2.gain", 1, d), (f"layer{layer}.norm2.bias", 1, d),
            (f"layer{layer}.mlp.0.weight", 2 * d, d), (f"layer{layer}.mlp.0.bias", 1, 2 * d),
            (f"layer{layer}.mlp.1.weight", d, 2 * d), (f"layer{layer}.mlp.1.bias", 1, d),
        ]
    return out + [("norm.gain", 1, d), ("norm.bias", 1, d)]


def unflatten(block):
    named, offset = {}, 0
    for name, rows, cols in tensors():
        named[name] = block[offset:offset + rows * cols].reshape(rows, cols)
        offset += rows * cols
    assert offset == block.size
    return named


def encode(block, x):
    """block [parameters], x [E, N, F] -> embeddings [E, N, d], attention received [E, N]."""
    p = unflatten(block)

    def linear(name, v):
        return np.einsum("enk,ok->eno", v, p[name + ".weight"]) + p[name + ".bias"][0]

    def norm(name, v):
        centred = v - v.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-5) * p[name + ".gain"][0] + p[name + ".bias"][0]

    def split(v):  # [E, N, d] -> [E, H, N, d / H]
        return v.reshape(ENVS, NODES, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

    s = linear("embed.1", np.tanh(linear("embed.0", x)))
    for layer in range(LAYERS):
        at = f"layer{layer}."
        y = norm(at + "norm1", s)
        q, k, v = (split(y @ p[at + name + ".weight"].T) for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / (TEMPERATURE * np.sqrt(WIDTH // HEADS))
        weights = np.exp(scores)
        weights = weights / weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(ENVS, NODES, WIDTH)
        s = s + linear(at + "out", mixed)
        s = s + linear(at + "mlp.1", np.tanh(linear(at + "mlp.0", norm(at + "norm2", s))))
    return norm("norm", s), weights.mean(axis=(1, 2))


def complex_step(loss, at):
    gradient = np.empty(at.size)
    for i in range(at.size):
        moved = at.astype(complex)
        moved.flat[i] += 1e-30j
        gradient[i] = loss(moved).imag / 1e-30
    return gradient


def table():
    count = sum(rows * cols for _, rows, cols in tensors())
    block = 1.5 * numbers(count, 1)
    for name, view in unflatten(block).items():
        if name.endswith(".gain"):
            view += 1  # a view into block
    x = 4 * numbers(ENVS * NODES * FEATURES, 5000).reshape(ENVS, NODES, FEATURES)
    c = 2 * numbers(ENVS * NODES * WIDTH, 9000).reshape(ENVS, NODES, WIDTH)
    h, received = encode(block, x)
    return {
        "kH": h.ravel(),
        "kReceived": received.ravel(),
        "kDX": complex_step(lambda v: (c * encode(block, v)[0]).sum(), x),
        "kDParameters": complex_step(lambda v: (c * encode(v, x)[0]).sum(), block),
    }


def header(values):
    lines = ["// Made by attention_reference.py --write; do not edit.", "// clang-format off",
             "#pragma once", "", "namespace attention_reference {", ""]
    shape = [("kFeatures", FEATURES), ("kWidth", WIDTH), ("kHeads", HEADS), ("kLayers", LAYERS),
             ("kEnvs", ENVS), ("kNodes", NODES)]
    lines += [f"constexpr int {name} = {value};" for name, value in shape]
    lines += [f"constexpr double kTemperature = {TEMPERATURE};"]
    for name, array in values.items():
        lines += ["", f"constexpr double {name}[{array.size}] = {{"]
        text = [f"{v:.16e}," for v in array]
        lines += ["  " + " ".join(text[i:i + 4]) for i in range(0, len(text), 4)]
        lines += ["};"]
    return "\n".join(lines + ["", "}  // namespace attention_reference", ""])


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("--write", "--check"):
        sys.exit(__doc__)
    values = table()
    if sys.argv[1] == "--write":
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(header(values))
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    for name, array in values.items():
        found = re.search(rf"double {name}\[\d+\] = \{{(.*?)\}};", text, re.DOTALL)
        stored = np.array([float(v) for v in found[1].split(",") if v.strip()])
        # Other versions of numpy round otherwise; formulas that differ, differ by far more.
        if stored.shape != array.shape or np.abs(stored - array).max() > 1e-12:
            sys.exit(f"{sys.argv[2]}: {name} is not what attention_reference.py computes")


if __name__ == "__main__":
    main()
