#!/usr/bin/env python3
"""Compares the heuristics of four scenarios with those of the prototype that the scenarios come from.

usage: tools/prototype_table.py CRA [--seeds K] [--episodes I] > TABLE.md

The prototype drew the constants of its pools (steady rates, learning curves) from a generator of its
own, one pool for each scenario. So CRA evaluates K pools (seeds 1 to K, default 10) with I test
episodes each (default 96, as many as the prototype had for most rows), and the table says where the
prototype's figure lies among them:

  difference   (prototype - mean over pools) / sqrt(s^2 (1 + 1 / K) + e^2), in standard errors:
               s is the standard deviation between pools (with the error of I episodes in it), e the
               standard error that the prototype states
  share of LB  the same for the cost as a multiple of the clairvoyant bound of the same episodes,
               which takes out most of what makes one pool dearer than another; e is then that of the
               prototype's cost and bound together, as independent errors, and s is computed anew. No
               error of its bound is stated: it is taken from the scatter of ours between episodes

A scenario is set up as the prototype was where it differs from what is shipped. Rows that the program
tunes and the prototype did not are read from /tuning of the result: what these knobs cost on the 64
tuning episodes of each pool (planners: 24, in training 12, as in the prototype).
Needs h5py and numpy (Debian: python3-h5py python3-numpy).
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "scenarios"


def drift(rates, step):
    """Load that wanders by steps of the same size at every node; the program's are a share of the rate."""
    parts = []
    for rate in sorted(set(rates)):
        own = [rate if r == rate else 0 for r in rates]
        parts.append(f"{{kind: drift, rate: {own}, pull: 0.05, spread: {step / rate}, low: 0, high: 100}}")
    return parts


BURST_PARTS = drift([0.34, 0.45, 0.56, 0.68] * 2, 0.06) + [
    "{kind: bursts, begin: 0.03, end: 0.04, start: 0.4, length: [2, 3], height: 3}"]

# What differs from the shipped file, and the prototype's table: row, baseline, knobs where they are
# fixed (then the row is read from /tuning), cost and its standard error. `bound`: its LB over 256 episodes.
PROTOTYPE = {
    "traffic": {
        "set": [],
        "bound": 0.14323,
        "rows": [
            ("random", "random", None, 1.142, 0.064),
            ("uniform", "uniform", None, 1.042, 0.058),
            ("static", "static", None, 1.028, 0.058),
            ("demand-proportional", "demand", None, 0.465, 0.029),
            ("dynamic attention", "dynamic_attention", None, 0.444, 0.029),
            ("max-weight soft", "maxweight_soft", None, 0.457, 0.032),
            ("c-mu strict", "cmu", None, 1.260, 0.205),
            ("one-slot optimum, lag commanded away", "myopic", {"lagged": 1}, 0.986, 0.139),
            ("MPC, H = 10", "mpc", {"horizon": 10}, 0.518, 0.068),
            ("MPC oracle, H = 10", "mpc_oracle", {"horizon": 10}, 0.207, 0.041),
            ("best tuned: (ef + 16 q) W", "demand_backlog", None, 0.4151, 0.0170),
            ("expert", "neighbour", None, 0.3316, 0.0162),
        ],
    },
    "burst_reserve": {
        "set": ["pool.reserve.dispatch=priority", "workload.parts=[" + ", ".join(BURST_PARTS) + "]"],
        "bound": 0.14861,
        "rows": [
            ("random, nothing kept back", "random", {"reserve": 0}, 1.042, 0.058),
            ("uniform", "uniform", None, 0.534, 0.046),
            ("static", "static", None, 0.520, 0.045),
            ("demand-proportional", "demand", None, 0.379, 0.030),
            ("dynamic attention", "dynamic_attention", None, 0.405, 0.032),
            ("max-weight soft", "maxweight_soft", None, 0.415, 0.032),
            ("c-mu strict", "cmu", None, 0.851, 0.073),
            ("one-slot optimum, lag commanded away", "myopic", {"lagged": 1}, 0.700, 0.116),
            ("MPC, H = 10", "mpc", {"horizon": 10}, 0.449, 0.068),
            ("MPC oracle, H = 10", "mpc_oracle", {"horizon": 10}, 0.234, 0.048),
            ("best tuned: ef + q / 4, 30 % kept back", "demand_backlog", None, 0.3747, 0.0176),
        ],
    },
    "node_failures": {
        "set": [],
        "bound": 0.07296,
        "rows": [
            ("random", "random", {"down": 1}, 0.3045, 0.0070),
            ("uniform", "uniform", {"down": 1}, 0.2069, 0.0054),
            ("static", "static", {"down": 1}, 0.1686, 0.0040),
            ("demand-proportional", "demand", {"down": 0}, 0.2503, 0.0051),
            ("dynamic attention", "dynamic_attention", {"down": 1}, 0.0907, 0.0022),
            ("max-weight soft", "maxweight_soft", {"down": 1, "sharpness": 0.5}, 0.1044, 0.0023),
            ("c-mu strict", "cmu", None, 0.1329, 0.0056),
            ("best tuned: dynamic attention, T = 2", "dynamic_attention", {"down": 1, "temperature": 2},
             0.0900, 0.0014),
            ("expert", "health", {"backlog": 2, "wear": 1, "temperature": 1, "resume": 7}, 0.0822, 0.0012),
        ],
    },
    "training": {
        "set": [],
        "bound": 0.35008,
        "rows": [
            ("random", "random", None, 0.4545, 0.0006),
            ("uniform", "uniform", None, 0.4339, 0.0006),
            ("dynamic attention", "dynamic_attention", None, 0.4355, 0.0008),
            ("greedy (SLAQ)", "greedy_margin", None, 0.4245, 0.0014),
            ("one-slot optimum, lag commanded away", "myopic", {"lagged": 1}, 0.5921, 0.0045),
            ("MPC with calendar, H = 25", "mpc", {"horizon": 25}, 0.3902, 0.0048),
            ("best tuned: margin ahead, p = 3", "margin_ahead", None, 0.3713, 0.0012),
        ],
    },
}


# Episodes for planners, as many as the prototype had.
PLANNED = {"traffic": 24, "burst_reserve": 24, "training": 12}


def evaluate(cra, scenario, seed, names, settings, folder):
    """One call of CRA on one pool. Returns costs by name, the bound of each episode, what was tried, the commit."""
    result = pathlib.Path(folder) / "pool.h5"
    words = [cra, "evaluate", SCENARIOS / f"{scenario}.yaml", "--seed", str(seed), "--json", "--quiet", "--force",
             "--out", result, "--set", "output.trajectories=0"]
    for setting in [*settings, *PROTOTYPE[scenario]["set"]]:
        words += ["--set", setting]
    for name in names:
        words += ["--policy", name]
    summary = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    with h5py.File(result) as run:
        tried = [(b.decode(), json.loads(k.decode()), c) for b, k, c in
                 zip(run["tuning/baseline"][()], run["tuning/knobs"][()], run["tuning/cost"][()])]
        return ({policy["name"]: policy["cost"] for policy in summary["policies"]}, run["eval/bound_lower"][()], tried,
                run["provenance/git_commit"][()].decode())


def pool_of(cra, scenario, seed, episodes, folder):
    """Costs by row of one pool, the bound of each of its episodes, and the commit of the program."""
    rows = PROTOTYPE[scenario]["rows"]
    names = list(dict.fromkeys(row[1] for row in rows))
    rules = [name for name in names if not name.startswith("mpc")]
    mean, bound, tried, commit = evaluate(cra, scenario, seed, rules, [f"evaluation.episodes={episodes}"], folder)
    planners = [name for name in names if name not in rules]
    if planners:  # slow, and both horizons are tried: what counts is read from the tuning episodes
        few = [f"evaluation.tuning_episodes={PLANNED[scenario]}", "evaluation.episodes=2", "evaluation.bound=false"]
        tried += evaluate(cra, scenario, seed, planners, few, folder)[2]
    costs = []
    for _, name, fixed, _, _ in rows:
        if fixed is None:
            costs.append(mean[name])
            continue
        fitting = [c for b, knobs, c in tried if b == name and all(abs(knobs[k] - v) < 1e-9 for k, v in fixed.items())]
        if not fitting:
            raise SystemExit(f"{scenario}: nothing was tried for {name} with {fixed}")
        costs.append(min(fitting))
    return costs, bound, commit


def far(prototype, ours, error):
    """Prototype's figure against a draw of one more pool, in standard errors."""
    spread = np.std(ours, ddof=1)
    return (prototype - np.mean(ours)) / np.sqrt(spread**2 * (1 + 1 / len(ours)) + error**2)


def table(scenario, pools):
    costs, bounds = np.array([c for c, _, _ in pools]), np.array([b.mean() for _, b, _ in pools])
    spec = PROTOTYPE[scenario]
    bound = spec["bound"]
    bound_error = bound * np.mean([b.std(ddof=1) / b.mean() for _, b, _ in pools]) / np.sqrt(256)
    print(f"\n### {scenario}\n")
    print("| row | prototype | cra, mean of pools | between pools | difference | prototype / LB | cra / LB "
          "| share of LB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(f"| clairvoyant bound, LB | {bound:.4f} ± {bound_error:.4f} | {bounds.mean():.4f} | {bounds.std(ddof=1):.4f} "
          f"| {far(bound, bounds, bound_error):+.1f} | | | |")
    for i, (label, _, _, cost, error) in enumerate(spec["rows"]):
        share = costs[:, i] / bounds
        ratio = cost / bound
        ratio_error = ratio * np.hypot(error / cost, bound_error / bound)
        print(f"| {label} | {cost:.4f} ± {error:.4f} | {costs[:, i].mean():.4f} | {costs[:, i].std(ddof=1):.4f} "
              f"| {far(cost, costs[:, i], error):+.1f} | {ratio:.2f} ± {ratio_error:.2f} "
              f"| {share.mean():.2f} ± {share.std(ddof=1):.2f} | {far(ratio, share, ratio_error):+.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cra")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=96)
    parser.add_argument("--scenario", action="append", choices=list(PROTOTYPE))
    options = parser.parse_args()
    commit = ""
    for scenario in options.scenario or PROTOTYPE:
        with tempfile.TemporaryDirectory() as folder:
            pools = []
            for seed in range(1, options.seeds + 1):
                pools.append(pool_of(options.cra, scenario, seed, options.episodes, folder))
        commit = pools[0][2]
        table(scenario, pools)
    print(f"\ncra {commit}, {options.seeds} pools, {options.episodes} episodes each.")


if __name__ == "__main__":
    main()
