#!/usr/bin/env python3
"""What does attention buy, what does the pathwise gradient buy? Every kind, control and learner, side by side.

usage: tools/ablation.py CRA SCENARIO.yaml [--seeds K] [--updates U] [--set KEY=VALUE] [--only NAME ...] > TABLE.md

Runs CRA once for each row, on the same test episodes, with K trainings of U updates each (default 2 of 300; 0 = those of
the scenario). All rows simulate the same number of env-steps: an update is 32 episodes for `apg`, 4 episodes with 8
replicas for learners that explore, 2 episodes for each of the 16 candidates of `es`. Learners that explore are run
from equal shares, as `apg` is, and from the best tuned heuristic, which `es` needs.

--only leaves out every row whose name, the first column, matches none of the given shell patterns: --only '*base best'
"""
import argparse
import fnmatch
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

EXPLORERS = ("group_ppo", "ppo", "a2c", "reinforce")
EPISODES = {"apg": 32, "es": 2}


def learner(name, base):
    return [f"agent.learner={name}", f"agent.base={base}", f"training.episodes={EPISODES.get(name, 4)}",
            "training.replicas=8"]


# Title, and what differs from the scenario.
ROWS = [
    ("attention multihead", []),
    *[(f"attention {kind}", [f"attention.kind={kind}"]) for kind in ("dot", "additive", "induced", "none")],
    *[(f"weights {kind}", [f"attention.weights={kind}"]) for kind in ("static", "random", "shuffled")],
    ("positions sinusoidal", ["attention.positions=sinusoidal"]),
    *[(f"learner {name}", learner(name, "uniform")) for name in EXPLORERS],
    *[(f"learner {name}, base best", learner(name, "best")) for name in ("apg", *EXPLORERS, "es")],
    ("policy dirichlet, group_ppo, base best", learner("group_ppo", "best") + ["agent.policy=dirichlet"]),
]


def run(cra, scenario, overrides):
    with tempfile.TemporaryDirectory() as folder:
        words = [w for o in overrides for w in ("--set", o)]
        done = subprocess.run([cra, "run", scenario, "--json", "--quiet", "--out", f"{folder}/x.h5", *words],
                              capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cra run {' '.join(words)}\n{done.stderr}")
    return json.loads(done.stdout)


def chosen(patterns):
    """The rows that a pattern names; a pattern that names none is a slip that must not pass as an empty table."""
    for p in patterns:
        if not any(fnmatch.fnmatchcase(title, p) for title, _ in ROWS):
            sys.exit(f"--only: no row is named {p!r}; the rows are\n  " + "\n  ".join(title for title, _ in ROWS))
    return [row for row in ROWS if any(fnmatch.fnmatchcase(row[0], p) for p in patterns)]


def line(title, found):
    own = next(p for p in found["policies"] if p["kind"] == "learned")
    costs = [s["cost"] for s in found["training"]["seeds"]]
    spread = statistics.stdev(costs) / len(costs) ** 0.5 if len(costs) > 1 else 0
    gap = own["gap_closed"]
    low, high = own["ci_low"], own["ci_high"]
    return (f"| {title} | {own['cost']:.4f} | {spread:.4f} | {own['paired_difference']:+.4f} [{low:+.4f}, {high:+.4f}] "
            f"| {'–' if gap is None else f'{gap:.0%}'} | {found['training']['env_steps']:,} "
            f"| {found['training']['seconds']:.0f} |")


def main():
    usage, explanation = __doc__.split("usage: ")[1].split("\n\n", 1)
    parser = argparse.ArgumentParser(usage=usage, description=explanation,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cra")
    parser.add_argument("scenario")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME")
    a = parser.parse_args()
    given = [f"training.seeds={a.seeds}", "evaluation.planners=false", *a.set]
    if a.updates > 0:
        given.append(f"training.updates={a.updates}")
    for i, (title, overrides) in enumerate(chosen(a.only)):
        found = run(a.cra, a.scenario, given + overrides)
        if i == 0:
            best = next(p for p in found["policies"] if p["name"] == found["best_heuristic"])
            print(f"{pathlib.Path(a.scenario).stem}: best tuned heuristic {best['name']} {best['cost']:.4f}, bound "
                  f"{found['bound']['lower']:.4f}; {a.seeds} trainings a row, {found['episodes']} test episodes\n")
            print("| what | cost | se over trainings | against the best tuned heuristic (95 %) | gap closed | env-steps "
                  "| train s |\n| --- | --- | --- | --- | --- | --- | --- |")
        print(line(title, found), flush=True)


if __name__ == "__main__":
    main()
