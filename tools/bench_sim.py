#!/usr/bin/env python3
"""Ratio of cra's plant to a vectorised NumPy version of the same plant.

    tools/bench_sim.py CRA [ROUNDS]

Runs `CRA bench sim --json` and the NumPy plant below in turn, ROUNDS times (default 5), and prints
the median of the ratios, as a Markdown table. Both run one episode whose input is a closed formula;
the costs must agree to 1e-12, else nothing is printed. NumPy works on [E, N] arrays in double, on
one thread: on all environments at once, as such plants are written, and in blocks of them that fit a
cache, where it is fastest.
cra rolls out tile by tile; its slot-by-slot pass over the whole batch is the one whose memory rate
is compared with that of a copy.
"""

import json
import statistics
import subprocess
import sys
import time

import numpy as np

SLOTS = 60


class Plant:
    """E pools of N queues: water-filling, lag, service, abandonment, backlog error, averages."""

    def __init__(self, envs, nodes, first=0):
        self.n, self.budget, self.capacity, self.lag, self.abandonment = nodes, float(nodes), 2.0, 0.25, 0.02
        self.scale, self.switching, self.smooth = 2.0, 0.02, 0.02
        n, e = np.arange(nodes), np.arange(first, first + envs)[:, None]
        t = np.arange(SLOTS)[:, None, None]
        self.arrivals = 0.7 + 0.6 * np.sin(0.7 * t + 0.3 * e + 1.1 * n)
        self.importance = np.broadcast_to(1 + 0.5 * np.cos(2.3 * n), (envs, nodes)).copy()
        self.weights = np.exp(np.sin(0.9 * e + 1.7 * n))
        self.available = np.ones((envs, nodes))
        self.reset(envs)

    def reset(self, envs):
        shape = (envs, self.n)
        self.rate = np.ones(shape)
        self.backlog, self.down = np.zeros(shape), np.zeros(shape)
        self.fast, self.slow, self.last = np.full(shape, 0.7), np.full(shape, 0.7), np.full(shape, 0.7)

    def grants(self, w):
        """Water-filling in rounds: cap what overflows, spread the rest."""
        w = np.maximum(w / w.max(axis=1, keepdims=True), 1e-9)
        grant, left = None, np.full((len(w), 1), self.budget)
        free = w
        while True:
            level = np.maximum(left, 0) / free.sum(axis=1, keepdims=True)
            over = free * level >= self.capacity
            if not over.any():
                break
            grant = np.where(over, self.capacity, 0 if grant is None else grant)
            left = left - self.capacity * over.sum(axis=1, keepdims=True)
            free = np.where(over, 0, free)
        return free * level if grant is None else free * level + grant

    def step(self, t):
        arrivals, before = self.arrivals[t], self.rate
        self.grant = self.grants(self.weights)
        self.rate = (1 - self.lag) * before + self.lag * self.grant
        load = self.backlog + arrivals
        self.served = np.minimum(np.minimum(self.rate, self.available * self.capacity), load)
        waiting = load - self.served
        z = waiting / self.scale
        self.error = z * z / (1 + z)
        self.lost = self.abandonment * waiting
        self.backlog = waiting - self.lost
        self.fast += 0.5 * (arrivals - self.fast)
        self.slow += 0.1 * (arrivals - self.slow)
        self.last[...] = arrivals
        self.down = np.where(self.available > 0, 0, self.down + 1)
        moved = self.rate - before
        weighted = np.einsum("en,en->e", self.importance, self.error)
        total = self.importance.sum(axis=1)
        movement = (np.sqrt(moved * moved + self.smooth**2) - self.smooth).sum(axis=1)
        self.cost = weighted / self.n + self.switching * movement / self.n
        self.score = (total - weighted) / total
        z = 1 + self.backlog / self.scale
        self.margin = (1 - 1 / (z * z)) * (self.n / self.scale) * self.importance


def numpy_round(blocks):
    """Seconds per slot, and mean cost of the first environment."""
    cost, start = 0.0, time.perf_counter()
    for plant in blocks:
        plant.reset(len(plant.weights))
        for t in range(SLOTS):
            plant.step(t)
            cost += plant.cost[0] if plant is blocks[0] else 0
    return (time.perf_counter() - start) / SLOTS, cost / SLOTS


def numpy_seconds(envs, nodes):
    """Seconds per slot of the whole batch at once and of the best way to cut it; mean cost of environment 0."""
    seconds = []
    for size in (envs, 32768 // nodes, 4096 // nodes):
        if size > envs:
            continue
        blocks = [Plant(min(size, envs - first), nodes, first) for first in range(0, envs, size)]
        timed = [numpy_round(blocks) for _ in range(5)]
        seconds.append(statistics.median(s for s, _ in timed))
    return seconds[0], min(seconds), timed[0][1]


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    rounds = int(sys.argv[2]) if len(sys.argv) == 3 else 5
    whole, cut, rates, shares, copies = {}, {}, {}, {}, {}
    for _ in range(rounds):
        report = json.loads(subprocess.run([sys.argv[1], "bench", "sim", "--json"], check=True,
                                           capture_output=True).stdout)
        for copy in report["copy"]:
            copies.setdefault(copy["threads"], []).append(copy["bytes_per_s"] / 1e9)
        seconds = {}
        for row in report["sim"]:
            envs, nodes = size = row["envs"], row["nodes"]
            if size not in seconds:
                *seconds[size], cost = numpy_seconds(envs, nodes)
                if abs(cost - row["cost_of_first_env"]) > 1e-12:
                    sys.exit(f"{size}: cost {row['cost_of_first_env']} in cra, {cost} in NumPy")
            key = (*size, row["threads"])
            for ratios, numpy in zip((whole, cut), seconds[size]):
                ratios.setdefault(key, []).append(row["env_steps_per_s"] * numpy / envs)
            rates.setdefault(key, []).append(row["env_steps_per_s"])
            shares.setdefault(key, []).append(row["step_of_copy_bandwidth"])
    print(f"{report['processor']}, commit {report['commit']}, vectors: {report['vectors']}, "
          f"NumPy {np.__version__}; medians of {rounds} rounds\n")
    print("| E | N | threads | env-steps/s | times NumPy, whole batch | times NumPy, blocks | "
          "slot by slot, of copy bandwidth |")
    print("|---|---|---|---|---|---|---|")
    for key, many in whole.items():
        envs, nodes, threads = key
        print(f"| {envs} | {nodes} | {threads} | {statistics.median(rates[key]):.3g} "
              f"| {statistics.median(many):.1f} | {statistics.median(cut[key]):.1f} "
              f"| {100 * statistics.median(shares[key]):.0f} % |")
    for threads, many in copies.items():
        print(f"\nCopy bandwidth, {threads} thread{'s' if threads > 1 else ''}: "
              f"{statistics.median(many):.1f} GB/s read and written.")


if __name__ == "__main__":
    main()
