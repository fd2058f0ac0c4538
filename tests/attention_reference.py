#!/usr/bin/env python3
"""Values of the attention encoder from independent code, for test_attention_gradients.cpp.

Written from the formulas of attention/attention.h with numpy alone, tensor by tensor, and not from
the C++; random numbers are Philox4x32-10 as published. Gradients are complex-step derivatives: with
f analytic, Im f(p + i h) / h with h = 1e-30 is df/dp to rounding, with no difference taken and no
reverse code to get wrong.

    attention_reference.py --write attention_reference.h    make the table
    attention_reference.py --check attention_reference.h    exit 1 unless the table says the same
"""

import dataclasses
import re
import sys

import numpy as np


@dataclasses.dataclass
class Case:
    name: str
    form: str = "multihead"
    features: int = 2
    width: int = 4
    heads: int = 2
    layers: int = 1
    points: int = 0
    temperature: float = 1.5
    weights: str = "dynamic"
    positions: str = "none"
    seed: int = 0
    envs: int = 2
    nodes: int = 3
    removed: tuple = ()  # (environment, node)

    def present(self, env):
        return [n for n in range(self.nodes) if (env, n) not in self.removed]


CASES = [
    Case("Multihead", features=3, width=6, layers=2),
    Case("Dot", form="dot", heads=1),
    Case("Additive", form="additive", heads=1, layers=2),
    Case("Induced", form="induced", points=2, layers=2),
    Case("None", form="none", heads=1),
    Case("Positions", positions="sinusoidal", width=5, heads=1),
    Case("Removed", nodes=4, removed=((0, 1), (1, 0), (1, 3)), positions="sinusoidal"),
    Case("Static", weights="static", nodes=4, removed=((0, 2),)),
    Case("Random", weights="random", seed=5, layers=2, nodes=4, removed=((1, 1),)),
    Case("Shuffled", form="additive", heads=1, weights="shuffled", seed=7, nodes=4,
         removed=((0, 0),)),
    Case("InducedRandom", form="induced", points=3, weights="random", seed=5),
    Case("InducedShuffled", form="induced", points=3, weights="shuffled", seed=5),
    Case("InducedStatic", form="induced", points=3, weights="static", removed=((1, 2),)),
]


def numbers(count, start):
    """Exact in any language: multiples of 1/2003 in [-1/2, 1/2)."""
    i = np.arange(start, start + count)
    return (i * 7919 % 2003) / 2003 - 0.5


def philox_uniform(seed, episode, node, slot):
    """The first number in (0, 1) of the stream of weights at this point (Salmon et al., SC 2011)."""
    word = 0xFFFFFFFF
    key = [seed & word, seed >> 32]
    counter = [slot, (node << 16) | (6 << 8), episode & word, (episode >> 32) << 8]
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & word, (a >> 32) ^ counter[3] ^ key[1],
                   a & word]
        key = [(key[0] + 0x9E3779B9) & word, (key[1] + 0xBB67AE85) & word]
    high, low = counter[0] >> 5, counter[1] >> 6
    return (((high << 26) | low) + 0.5) * 2.0**-53


def softmaxes(c):
    """(layer, of points, looked at, lookers) of every softmax, in order; none has no layer."""
    for layer in range(c.layers):
        if c.form == "induced":
            yield layer, True, c.nodes, c.points
            yield layer, False, c.points, c.nodes
        elif c.form != "none":
            yield layer, False, c.nodes, c.nodes


def drawn(c, first, layer, of_points, head):
    """[lookers, looked at] uniform numbers of one head of one softmax."""
    order = [(at[0], at[1], h) for at in softmaxes(c) for h in range(c.heads)]
    _, _, looked_at, lookers = next(at for at in softmaxes(c) if at[:2] == (layer, of_points))
    episode = first + order.index((layer, of_points, head))
    return np.array([[philox_uniform(c.seed, episode, i, j) for j in range(looked_at)]
                     for i in range(lookers)])


def tensors(c):
    """(name, outputs, inputs) in the order of the flat block; vectors have outputs 1."""
    d = c.width
    out = [("embed.0.weight", d, c.features), ("embed.0.bias", 1, d)]
    out += [("embed.1.weight", d, d), ("embed.1.bias", 1, d)]
    for layer in range(c.layers):
        at = f"layer{layer}."
        out += [(at + "norm1.gain", 1, d), (at + "norm1.bias", 1, d)]
        if c.form != "none":
            out += [(at + name + ".weight", d, d) for name in ("query", "key", "value")]
        if c.form == "additive":
            out += [(at + "score.weight", 1, d)]
        if c.form == "induced":
            out += [(at + "points", c.points, d),
                    (at + "points_norm.gain", 1, d), (at + "points_norm.bias", 1, d),
                    (at + "point_key.weight", d, d), (at + "point_value.weight", d, d)]
        out += [
            (at + "out.weight", d, d), (at + "out.bias", 1, d),
            (at + "norm2.gain", 1, d), (at + "norm2.bias", 1, d),
            (at + "mlp.0.weight", 2 * d, d), (at + "mlp.0.bias", 1, 2 * d),
            (at + "mlp.1.weight", d, 2 * d), (at + "mlp.1.bias", 1, d),
        ]
    out += [("norm.gain", 1, d), ("norm.bias", 1, d)]
    if c.weights == "static":
        out += [(f"layer{layer}.{'point_' if of_points else ''}average", c.heads * looked_at, lookers)
                for layer, of_points, looked_at, lookers in softmaxes(c)]
        out += [("frozen", 1, 1)]
    return out


def unflatten(c, block):
    named, offset = {}, 0
    for name, rows, cols in tensors(c):
        named[name] = block[offset:offset + rows * cols].reshape(rows, cols)
        offset += rows * cols
    assert offset == block.size
    return named


def encode_one(c, block, x, present):
    """x [n, F] of the nodes of one environment that are there -> embeddings [n, d], received [n]."""
    p = unflatten(c, block)
    size = c.width // c.heads

    def linear(name, v):
        return v @ p[name + ".weight"].T + p[name + ".bias"][0]

    def norm(name, v):
        centred = v - v.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-5) * p[name + ".gain"][0] + p[name + ".bias"][0]

    def heads(v):
        return [v[:, h * size:(h + 1) * size] for h in range(c.heads)]

    def attend(layer, of_points, q, k, v):
        """Embeddings of the lookers, and the weights [lookers, looked at] of every head."""
        at = f"layer{layer}."
        lookers = list(range(c.points)) if of_points else present
        looked_at = list(range(c.points)) if c.form == "induced" and not of_points else present
        out, all_weights = [], []
        for h, (qh, kh, vh) in enumerate(zip(heads(q), heads(k), heads(v))):
            if c.form == "additive":
                s = np.tanh(qh[:, None, :] + kh[None, :, :]) @ p[at + "score.weight"][0]
                s = s / c.temperature
            else:
                s = qh @ kh.T / (c.temperature * np.sqrt(size))
            if c.weights == "random":
                table = drawn(c, 1, layer, of_points, h)
                s = np.sqrt(3) * (2 * table - 1)[np.ix_(lookers, looked_at)] / c.temperature
            if c.weights == "static":
                table = p[at + ("point_" if of_points else "") + "average"].real
                table = table.reshape(c.heads, -1, table.shape[1])[h]
                s = table.T[np.ix_(lookers, looked_at)]
            weights = np.exp(s)
            weights = weights / weights.sum(axis=1, keepdims=True)
            if c.weights == "shuffled":
                keys = drawn(c, 1 << 32, layer, of_points, h)[np.ix_(lookers, looked_at)]
                dealt = np.empty_like(weights)
                for i in range(len(lookers)):
                    dealt[i, np.argsort(keys[i])] = weights[i]
                weights = dealt
            out.append(weights @ vh)
            all_weights.append(weights)
        return np.concatenate(out, axis=1), all_weights

    s = linear("embed.1", np.tanh(linear("embed.0", x)))
    if c.positions == "sinusoidal":
        k = np.arange(c.width)
        angle = np.array(present)[:, None] / 10000 ** (2 * (k // 2) / c.width)
        s = s + np.where(k % 2 == 0, np.sin(angle), np.cos(angle))
    for layer in range(c.layers):
        at = f"layer{layer}."
        y = norm(at + "norm1", s)
        if c.form == "none":
            mixed = np.broadcast_to(y.mean(axis=0), y.shape)
            seen = [np.full((len(present), len(present)), 1 / len(present))]
        else:
            q, k, v = (y @ p[at + name + ".weight"].T for name in ("query", "key", "value"))
            if c.form == "induced":
                of_nodes, first = attend(layer, True, p[at + "points"], k, v)
                shown = norm(at + "points_norm", p[at + "points"] + of_nodes)
                k, v = (shown @ p[at + f"point_{name}.weight"].T for name in ("key", "value"))
            mixed, seen = attend(layer, False, q, k, v)
            if c.form == "induced":
                seen = [second @ one for second, one in zip(seen, first)]
        s = s + linear(at + "out", mixed)
        s = s + linear(at + "mlp.1", np.tanh(linear(at + "mlp.0", norm(at + "norm2", s))))
    return norm("norm", s), sum(w.mean(axis=0) for w in seen) / len(seen)


def encode(c, block, x):
    """block [parameters], x [E, N, F] -> embeddings [E, N, d], attention received [E, N]."""
    h = np.zeros((c.envs, c.nodes, c.width), dtype=np.result_type(block, x))
    received = np.zeros((c.envs, c.nodes), dtype=h.dtype)
    for env in range(c.envs):
        there = c.present(env)
        h[env, there], received[env, there] = encode_one(c, block, x[env, there], there)
    return h, received


def complex_step(loss, at):
    gradient = np.empty(at.size)
    for i in range(at.size):
        moved = at.astype(complex)
        moved.flat[i] += 1e-30j
        gradient[i] = loss(moved).imag / 1e-30
    return gradient


def table(c):
    count = sum(rows * cols for _, rows, cols in tensors(c))
    block = 1.5 * numbers(count, 1)
    for name, view in unflatten(c, block).items():
        if name.endswith(".gain"):
            view += 1  # a view into block
        if name == "frozen":
            view[:] = 1
    x = 4 * numbers(c.envs * c.nodes * c.features, 5000).reshape(c.envs, c.nodes, c.features)
    weight = 2 * numbers(c.envs * c.nodes * c.width, 9000).reshape(c.envs, c.nodes, c.width)
    h, received = encode(c, block, x)
    return {
        f"k{c.name}H": h.ravel(),
        f"k{c.name}Received": received.ravel(),
        f"k{c.name}DX": complex_step(lambda v: (weight * encode(c, block, v)[0]).sum(), x),
        f"k{c.name}DParameters": complex_step(lambda v: (weight * encode(c, v, x)[0]).sum(), block),
    }


def header(values):
    lines = ["// Made by attention_reference.py --write; do not edit.", "// clang-format off",
             "#pragma once", "", "#include <cstdint>", "#include <span>", "",
             '#include "attention/attention.h"', "", "namespace attention_reference {"]
    for name, array in values.items():
        lines += ["", f"constexpr double {name}[{array.size}] = {{"]
        text = [f"{v:.16e}," for v in array]
        lines += ["  " + " ".join(text[i:i + 4]) for i in range(0, len(text), 4)]
        lines += ["};"]
    lines += ["", "struct Case {", "  const char* name;", "  cra::attention::Shape shape;",
              "  int envs, nodes;", "  const char* present;  // of every environment and node",
              "  std::span<const double> h, received, d_x, d_parameters;", "};",
              "const Case kCases[] = {"]
    for c in CASES:
        shape = (f"{{{c.features}, {c.width}, {c.heads}, {c.layers}, {c.temperature}, "
                 f"cra::attention::Form::{c.form}, {c.points}, "
                 f"cra::attention::Weights::{c.weights.replace('static', 'average')}, "
                 f"cra::attention::Positions::{c.positions}, {c.seed}, "
                 f"{c.nodes if c.weights == 'static' else 0}}}")
        present = "".join("01"[n in c.present(e)] for e in range(c.envs) for n in range(c.nodes))
        lines += [f'  {{"{c.name}", {shape},',
                  f'   {c.envs}, {c.nodes}, "{present}",',
                  "   " + ", ".join(f"k{c.name}{a}" for a in ("H", "Received", "DX", "DParameters"))
                  + "},"]
    return "\n".join(lines + ["};", "", "}  // namespace attention_reference", ""])


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("--write", "--check"):
        sys.exit(__doc__)
    values = {name: array for c in CASES for name, array in table(c).items()}
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
