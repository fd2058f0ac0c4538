#!/usr/bin/env python3
"""One line for each result file: what learning gained, with what confidence, how far from the bound.

usage: tools/scoreboard.py RESULT.h5 ... > TABLE.md

Needs h5py and numpy (Debian: python3-h5py python3-numpy).
"""
import sys

import h5py
import numpy as np

HEAD = ["scenario", "episodes", "best tuned heuristic", "cost", "learned", "cost", "paired difference (95 %)", "won",
        "bound", "gap closed", "env-steps", "train s"]


def number(x):
    return "–" if not np.isfinite(x) else f"{x:.4f}"


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
        return [name, str(int(s["episodes"][()])), best, number(at[best]["cost"]), learned, number(own["cost"]),
                f"{own['paired_difference']:+.4f} [{own['ci_low']:+.4f}, {own['ci_high']:+.4f}]",
                f"{own['episodes_won']:.0%}", number(s["bound_lower"][()]),
                f"{gap:.0%}" if np.isfinite(gap) else "–", f"{int(s['env_steps'][()]):,}",
                f"{float(run['provenance/train_seconds'][()]):.0f}"]


def main(paths):
    print("| " + " | ".join(HEAD) + " |")
    print("|" + " --- |" * len(HEAD))
    for path in paths:
        print("| " + " | ".join(line(path)) + " |")
    with h5py.File(paths[0]) as run:
        p = run["provenance"]
        print(f"\ncra {p['version'][()].decode()} {p['git_commit'][()].decode()}, {p['cpu'][()].decode()}, "
              f"{int(p['threads'][()])} threads; one training seed each.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n\n")[1])
    main(sys.argv[1:])
