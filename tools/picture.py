#!/usr/bin/env python3
"""Draws one result file: who won, and where work arrived, was sent and waited.

usage: tools/picture.py RESULT.h5 OUT.svg

Left: every test episode as a point, how much more it cost under the learned policy than under the
best tuned heuristic; below zero learning won. Right: one stored episode, node by slot: the work that
arrived, the share the learned policy gave, and what waited under both policies.
Needs h5py, numpy and matplotlib (Debian: python3-h5py python3-numpy python3-matplotlib).
"""
import sys

import h5py
import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "cra"  # the same file gives the same picture
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402


def names(group):
    return [n.decode() for n in group["policy"][()]]


def scatter(axes, run, learned, best):
    policies = names(run["eval"])
    reference = run["eval/cost"][policies.index(best)]
    saved = run["eval/cost"][policies.index(learned)] - reference
    axes.axhline(0, color="0.5", linewidth=1)
    axes.scatter(reference, saved, s=16, color="#0072b2", alpha=0.6, linewidths=0)
    axes.axhline(saved.mean(), color="#d55e00", linewidth=1.2, label=f"mean {saved.mean():.3f}")
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel=f"cost of a test episode under {best},\nthe best tuned heuristic",
             ylabel=f"difference under {learned}")
    axes.set_title(f"{len(saved)} test episodes: learning won {np.mean(saved < 0):.0%}", fontsize=10)


def maps(axes, run, learned, best):
    t = run["trajectory"]
    policies = names(t)
    of = {kind: policies.index(name) for kind, name in (("learned", learned), ("best", best))}
    waiting = [t["backlog"][of[k], 0].T for k in ("best", "learned")]
    top = max(w.max() for w in waiting)
    rows = [("work that arrives", t["arrivals"][0].T, "Greys", None),
            (f"share given by {learned}", t["proportion"][of["learned"], 0].T, "viridis", None),
            (f"work waiting under {learned}", waiting[1], "magma_r", top),
            (f"work waiting under {best}", waiting[0], "magma_r", top)]
    for ax, (title, data, colours, limit) in zip(axes, rows):
        image = ax.imshow(data, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=limit)
        ax.set_title(title, fontsize=9, loc="left", pad=3)
        ax.set_ylabel("node", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.figure.colorbar(image, ax=ax, pad=0.01).ax.tick_params(labelsize=7)
        ax.label_outer()
    axes[-1].set_xlabel("slot", fontsize=8)


def main(result, out):
    with h5py.File(result) as run:
        text = {k: run[f"summary/{k}"][()].decode() for k in ("learned", "best_heuristic", "verdict")}
        figure = plt.figure(figsize=(11, 5.2), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
        scatter(left.subplots(), run, text["learned"], text["best_heuristic"])
        maps(right.subplots(4, 1, sharex=True), run, text["learned"], text["best_heuristic"])
        figure.suptitle(text["verdict"], fontsize=10)
        figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    main(*sys.argv[1:])
