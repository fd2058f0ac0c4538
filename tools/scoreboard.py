#!/usr/bin/env python3
"""One line for each result file: what learning gained, with what confidence, how far from the bound.

usage: tools/scoreboard.py RESULT.h5 ... > TABLE.md

Needs h5py and numpy (Debian: python3-h5py python3-numpy).
"""
import sys

import h5py
import numpy as np

HEAD = ["scenario", "episodes", "best tuned heuristic", "cost", "best expert", "learned", "se over trainings",
        "paired difference (95 %)", "won", "bound", "gap closed", "env-steps", "train s",
        "attention, rank correlation"]


def number(x):
    return "–" if not np.isfinite(x) else f"{x:.4f}"


def expert(names, summary):
    """The cheapest rule that was written for the scenario."""
    costs = [(c, n) for c, n, k in zip(summary["cost"], names, summary["kind"]) if k == b"expert"]
    return "{1} {0:.4f}".format(*min(costs)) if costs else "–"


def looked(run):
    """Mean rank correlation of attention received with the marginal value of allocation."""
    if "attention" not in run:
        return "–"
    group = run["attention"]
    at = [q.decode() for q in group["quantity"]].index("attention")
    return f"{group['mean_correlation'][at]:+.2f} ± {group['correlation_se'][at]:.2f}"


def line(path):
    with h5py.File(path) as run:
        s = run["summary"]
        names = [n.decode() for n in s["policy"][()]]
        learned, best = (s[k][()].decode() for k in ("learned", "best_heuristic"))
        at = {n: {k: s[k][i] for k in ("cost", "ci_low", "ci_high", "paired_difference", "episodes_won", "gap_closed")}
              for i, n in enumerate(names)}
        text = run["provenance/resolved_yaml"][()].decode()
        name = next(l.split(":", 1)[1].strip() for l in text.splitlines() if l.startswith("name:"))
        own = at[learned]
        gap = own["gap_closed"]
        trainings = len(run["train/training"])
        over = f"{s['training_se'][()]:.4f} ({trainings})" if trainings > 1 else "– (1)"
        return [name, str(int(s["episodes"][()])), best, number(at[best]["cost"]), expert(names, s),
                number(own["cost"]), over,
                f"{own['paired_difference']:+.4f} [{own['ci_low']:+.4f}, {own['ci_high']:+.4f}]",
                f"{own['episodes_won']:.0%}", number(s["bound_lower"][()]),
                f"{gap:.0%}" if np.isfinite(gap) else "–", f"{int(s['env_steps'][()]) // trainings:,}",
                f"{float(run['provenance/train_seconds'][()]) / trainings:.0f}", looked(run)]


def main(paths):
    print("| " + " | ".join(HEAD) + " |")
    print("|" + " --- |" * len(HEAD))
    for path in paths:
        print("| " + " | ".join(line(path)) + " |")
    with h5py.File(paths[0]) as run:
        p = run["provenance"]
        print(f"\ncra {p['version'][()].decode()} {p['git_commit'][()].decode()}, {p['cpu'][()].decode()}, "
              f"{int(p['threads'][()])} threads; env-steps and seconds of one training.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n\n")[1])
    main(sys.argv[1:])
