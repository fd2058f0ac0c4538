#!/usr/bin/env python3
"""Ratio of cra's attention and of a training step of its encoder to the same in PyTorch.

    tools/bench_train.py CRA [ROUNDS]

Runs `CRA bench attention --json` and the network below, in eager mode, in turn, ROUNDS times
(default 5), and prints medians and the median of the ratios as Markdown tables. Both have the same
weights, features and targets, which are closed formulas; outputs must agree to 1e-5, gradient norms
to 1e-4, else nothing is printed. A step is the encoder forward, a least-squares loss, its gradient
and Adam. The core is softmax(Q K^T / sqrt(16)) V of 4 heads, forward, on one thread.

PyTorch is no part of this project: give the script an interpreter that has it, for example by
`python3 -m venv DIR && DIR/bin/pip install torch`, then `DIR/bin/python tools/bench_train.py CRA`.
"""

import json
import statistics
import subprocess
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    sys.exit("PyTorch is not there.\n\n" + __doc__)

LEAST_SECONDS = 0.2  # of a figure in a round


class Layer(nn.Module):
    """Pre-norm attention and pre-norm MLP, each beside a residual."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))

    def forward(self, x):
        envs, nodes, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(envs, nodes, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(seen.transpose(1, 2).reshape(envs, nodes, width))
        return x + self.mlp(self.norm2(x))


class Network(nn.Module):
    """cra's encoder with a head; parameters in the order of its flat block, as its formula says."""

    def __init__(self, features, width, heads, layers):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, width), nn.Tanh(), nn.Linear(width, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1, bias=False)
        at = 0
        with torch.no_grad():
            for module in self.modules():
                if not isinstance(module, (nn.Linear, nn.LayerNorm)):
                    continue
                for name, p in module.named_parameters():
                    k = torch.arange(at, at + p.numel(), dtype=torch.float64)
                    scattered = torch.sin(0.1 * k * k).reshape(p.shape)
                    weight = name == "weight"
                    if isinstance(module, nn.LayerNorm):
                        p.copy_(weight + 0.1 * scattered)
                    else:
                        p.copy_(((2 / p.shape[1]) ** 0.5 if weight else 0.1) * scattered)
                    at += p.numel()

    def forward(self, x):
        return self.head(self.norm(self.layers(self.embed(x)))).squeeze(-1)


class Step:
    """A training step on E environments of N nodes."""

    def __init__(self, row, shape):
        envs, nodes, features = row["envs"], row["nodes"], row["features"]
        r = torch.arange(envs * nodes, dtype=torch.float64)[:, None]
        f = torch.arange(features, dtype=torch.float64)
        self.x = torch.sin(0.7 * r + 1.3 * f).float().view(envs, nodes, features)
        self.target = torch.cos(0.9 * r).float().view(envs, nodes)
        self.network = Network(features, shape["width"], shape["heads"], shape["layers"])
        self.adam = torch.optim.Adam(self.network.parameters(), lr=1e-3, eps=1e-8, fused=True)

    def gradient(self):
        self.adam.zero_grad()
        scores = self.network(self.x)
        loss = ((scores - self.target) ** 2).mean() / 2
        loss.backward()
        return scores, loss

    def __call__(self):
        self.gradient()
        self.adam.step()

    def check(self, row):
        scores, loss = self.gradient()
        norm = sum(float((p.grad.double() ** 2).sum()) for p in self.network.parameters()) ** 0.5
        off = (scores[0].detach().double() - torch.tensor(row["scores"], dtype=torch.float64)).abs().max()
        if off > 1e-5 or abs(loss.item() - row["loss"]) > 1e-5 or abs(norm / row["gradient_norm"] - 1) > 1e-4:
            sys.exit(f"the networks differ: scores by {off:.2g}, loss {row['loss']} and {loss.item()}, "
                     f"gradient norm {row['gradient_norm']} and {norm}")
        return float(off), abs(norm / row["gradient_norm"] - 1)


def seconds_of(work):
    """Median seconds of a call, and median CPU seconds of all threads."""
    wall, cpu, start = [], [], time.perf_counter()
    work()
    while len(wall) < 5 or time.perf_counter() - start < LEAST_SECONDS:
        before, cpu_before = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - cpu_before)
        wall.append(time.perf_counter() - before)
    return statistics.median(wall), statistics.median(cpu)


def core_rate(row, report):
    """GFLOP/s of scaled_dot_product_attention, of its products alone, as cra counts them."""
    nodes, heads, size = row["nodes"], report["heads"], report["head_width"]
    envs = max(1, 256 // nodes)
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(envs, heads, nodes, size, generator=generator) for _ in range(3))
    torch.set_num_threads(1)
    with torch.no_grad():
        seconds, _ = seconds_of(lambda: functional.scaled_dot_product_attention(q, k, v))
    return 4 * envs * heads * nodes * nodes * size / seconds / 1e9


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    rounds = int(sys.argv[2]) if len(sys.argv) == 3 else 5
    steps, per_cpu, cores, works, worst = {}, {}, {}, {}, [0, 0]
    for _ in range(rounds):
        report = json.loads(subprocess.run([sys.argv[1], "bench", "attention", "--json"], check=True,
                                           capture_output=True).stdout)
        for row in report["training_step"]:
            key = row["nodes"], row["envs"], row["threads"]
            if key not in works:
                works[key] = Step(row, report["encoder"])
                worst = [max(pair) for pair in zip(worst, works[key].check(row))]
            torch.set_num_threads(row["threads"])
            wall, cpu = seconds_of(works[key])
            steps.setdefault(key, []).append((row["samples_per_s"], row["envs"] / wall))
            per_cpu.setdefault(key, []).append((row["samples_per_cpu_s"], row["envs"] / cpu))
        fastest = {row["nodes"]: row for row in report["attention"]}  # the last set of each size
        for nodes, row in fastest.items():
            pair = row["forward_gflops"], core_rate(row, report)
            cores.setdefault((nodes, row["loops"]), []).append(pair)

    def cells(pairs, form):
        ours, theirs = zip(*pairs)
        ratio = statistics.median(a / b for a, b in pairs)
        return f"{statistics.median(ours):{form}} | {statistics.median(theirs):{form}} | {ratio:.1f}"

    e = report["encoder"]
    print(f"{report['processor']}, commit {report['commit']}, PyTorch {torch.__version__}; medians of "
          f"{rounds} rounds. Outputs differ by {worst[0]:.0e} at most, gradient norms by {worst[1]:.0e} of them.\n")
    print(f"Training step of the encoder, width {e['width']}, {e['heads']} heads, {e['layers']} layers\n")
    print("| N | environments | threads | cra samples/s | PyTorch samples/s | times PyTorch "
          "| cra samples per CPU second | PyTorch | times PyTorch |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (nodes, envs, threads), pairs in steps.items():
        print(f"| {nodes} | {envs} | {threads} | {cells(pairs, '.3g')} | {cells(per_cpu[nodes, envs, threads], '.3g')} |")
    print("\nForward core on one thread\n")
    print("| N | loops | cra GFLOP/s | PyTorch GFLOP/s | times PyTorch |")
    print("|---|---|---|---|---|")
    for (nodes, loops), pairs in cores.items():
        print(f"| {nodes} | {loops} | {cells(pairs, '.1f')} |")


if __name__ == "__main__":
    main()
