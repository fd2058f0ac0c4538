#!/usr/bin/python3
"""Recomputes every slot of /trajectory from the equations of results/FORMAT.md, without cra.

Usage: replay.py RESULT.h5. Exit 0 when all agree to 1e-9, 1 otherwise.
"""
import sys
import h5py
import numpy as np


def waterfill(w, cap, need, budget):
    """By sorting: nodes reach their caps in the order of cap / w; try each number of capped ones."""
    w = np.maximum(w, 1e-9 * w.max())
    order = np.argsort(cap / w)
    for k in range(len(w)):
        free = order[k:]
        theta = (budget - (need * cap)[order[:k]].sum()) / (need * w)[free].sum()
        if theta * w[order[k]] < cap[order[k]]:
            return np.minimum(cap, theta * w)
    return cap.copy()


with h5py.File(sys.argv[1]) as f:
    c = {name: x[()] for name, x in f["node"].items()}
    d = {name: x[()] for name, x in f["trajectory"].items()}
worst, checked = {}, 0
for p, i in np.ndindex(d["proportion"].shape[:2]):
    rate, backlog = c["initial_rate"], 0.0
    for t in range(d["arrivals"].shape[1]):
        W, before = d["importance"][i, t], rate
        grant = waterfill(d["proportion"][p, i, t], c["capacity"], c["need"], c["budget"])
        rate = (1 - c["lag"]) * before + c["lag"] * grant
        load = backlog + d["arrivals"][i, t]
        served = np.minimum(np.minimum(rate, d["availability"][i, t] * c["capacity"]), load)
        waiting = load - served
        backlog, lost = (1 - c["abandonment"]) * waiting, c["abandonment"] * waiting
        z = waiting / c["error_scale"]
        error = z * z / (1 + z)
        smooth = c["switching_smoothing"]
        moved = np.sqrt((rate - before) ** 2 + smooth**2) - smooth
        error_cost, switching_cost = (W * error).mean(), c["switching"] * moved.mean()
        cost, score = error_cost + switching_cost, (W * (1 - error)).sum() / W.sum()
        for name in ("grant rate served lost backlog error error_cost switching_cost cost score").split():
            off = np.abs(d[name][p, i, t] - locals()[name]).max()
            worst[name] = max(worst.get(name, 0.0), off if np.isfinite(off) else np.inf)
        checked += 1
print(f"{checked} slots,", ", ".join(f"{name} {off:.1e}" for name, off in worst.items()))
sys.exit(0 if checked and max(worst.values()) <= 1e-9 else 1)
