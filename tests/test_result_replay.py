#!/usr/bin/python3
"""Every mechanism of the pool, recomputed: short runs of small scenarios, each slot of which must
follow from the equations of results/FORMAT.md alone.

Usage: test_result_replay.py CRA
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))
import cra_replay  # noqa: E402

REPLAY = [sys.executable, str(TOOLS / "cra_replay.py")]

# One update is enough for a policy whose decisions are no round numbers, and whose attention has a say.
COMMON = """
version: 1
name: small
attention: {width: 8}
training: {updates: 1, episodes: 2, replicas: 2, warmup_episodes: 2, keep: last}
evaluation: {episodes: 6, tuning_episodes: 2, resamples: 100, baselines: [uniform, margin], explained_every: 7}
output: {trajectories: 3}
"""

RESERVE = """
pool:
  nodes: 5
  capacity: [2, 3, 1.5, 4, 2.5]
  budget: 4
  reserve: {{kind: shared, efficiency: 0.8, dispatch: {}}}
workload:
  slots: 30
  importance: [2, 1, 0.5, 1, 0]
  abandonment: 0.05
  parts:
    - {{kind: constant, rate: {{uniform: [0.3, 0.8]}}}}
    - {{kind: bursts, begin: 0.1}}
errors: {{scale: [2, 1, 3, 2, 1]}}
cost: {{switching: 0.1}}
"""

RESERVE_OF_THREE = """
pool:
  nodes: 5
  capacity: [2, 3, 1.5, 4, 2.5]
  resources:
    - {name: cores, need: {uniform: [0.5, 2]}, budget: 5}
    - {name: memory, need: [0, 1, 2, 0, 1], budget: 3}
    - {name: links, need: {uniform: [0.1, 1]}, budget: 2}
  reserve: {kind: shared, efficiency: 0.8, dispatch: priority}
workload:
  slots: 30
  importance: [2, 1, 0.5, 1, 0]
  parts:
    - {kind: constant, rate: {uniform: [0.3, 0.8]}}
    - {kind: bursts, begin: 0.1}
errors: {scale: [2, 1, 3, 2, 1]}
"""

FAILURES = """
pool:
  nodes: 6
  need: {uniform: [0.5, 1.5]}
  geometry: ring
workload:
  slots: 60
  failures: {kind: wear, wear: 0.1, warning: 2, down: [2, 5], worn_capacity: 0.4}
  parts:
    - {kind: constant, rate: 0.6}
    - {kind: heavy_tail, rate: 0.1}
"""

THREE_RESOURCES = """
pool:
  nodes: 6
  groups: [{name: train, count: 6, dynamics: progress}]
  capacity: {uniform: [0.5, 2]}
  resources:
    - {name: cores, need: {uniform: [0.5, 2]}, budget: 5}
    - {name: memory, need: [0, 1, 2, 0, 1, 3], budget: 4}
    - {name: links, need: {uniform: [0.1, 1]}, budget: 2}
workload:
  slots: 40
  calendar: {kind: windows, period: 12, length: 3, clusters: 2}
progress:
  error: {kind: power_law, exponent: 0.7, scale: [2, 4, 8, 2, 4, 8], floor: {uniform: [0, 0.1]}}
  forgetting: 0.08
  start: 1.5
  shift: 0.1
  keep: 0.4
cost: {switching: 0.05}
"""

MIXED = """
pool:
  nodes: 5
  groups:
    - {name: serve, count: 3}
    - {name: train, count: 2, dynamics: progress}
  reserve: {kind: shared}
workload:
  slots: 40
  calendar: {kind: walk}
  failures: {kind: wear, wear: 0.05}
  parts:
    - {kind: constant, rate: {serve: 0.9, train: 0}}
    - {kind: bursts, begin: 0.05}
progress:
  error: {kind: exponential, scale: 3, floor: 0.1, gain: {serve: 0.5, train: 0.9}}
cost: {switching: 0.02}
"""

ALL_COSTS = """
pool: {nodes: 4, lag: 0.4}
workload:
  slots: 30
  parts: [{kind: poisson, rate: [0.2, 0.6, 0.9, 1.3], size: 0.3}]
cost:
  switching: 0.2
  worst: 0.5
  worst_temperature: 0.05
  use: 0.3
  concentration: 0.1
"""

OLD_NEWS = """
pool:
  nodes: 6
  groups:
    - {name: lead, count: 3}
    - {name: rest, count: 3}
workload:
  slots: 40
  calendar: {kind: follow, leader: [-1, -1, -1, 0, 1, 2], delay: 5, smoothing: 0.5}
  noise: {kind: lognormal, sigma: 0.7}
  parts:
    - {kind: switch, rate: 0.4, low: {lead: 0.5, rest: 1}, high: {lead: 2, rest: 1}, jump: 0.1}
    - {kind: frames, height: {lead: 0, rest: 1}}
    - {kind: contagion, start: 0.02, group: lead}
observation: {delay: 2, hidden: [error]}
cost: {switching: 0.05}
"""

MISS = """
pool: {{nodes: 4, reserve: {{kind: shared, efficiency: 1, dispatch: priority}}}}
workload:
  slots: 30
  abandonment: 0.1
  parts: [{{kind: constant, rate: [0.3, 0.7, 0.9, 0.02]}}, {{kind: bursts, begin: 0.1}}]
errors: {{kind: miss, floor: 0.2}}
cost: {{score: {}}}
"""

LINEAR = """
pool: {nodes: 4, lag: 1}
workload:
  slots: 30
  level: hard
  abandonment: 0
  parts: [{kind: constant, rate: [0.3, 0.7, 0.9, 0.02]}, {kind: bursts, begin: 0.1}]
errors: {kind: linear, scale: [1, 2, 3, 4]}
observation: {arrivals_shown: true}
"""

DEADLINE = """
pool:
  nodes: 5
  groups: [{name: serve, count: 4}, {name: train, count: 1, dynamics: progress}]
workload:
  slots: 40
  abandonment: 0
  parts: [{kind: poisson, rate: 0.8, size: 0.4}, {kind: bursts, begin: 0.1}]
errors: {kind: deadline, slots: [1, 2, 4, 9, 5]}
"""

ANYTIME = """
pool: {nodes: 4, capacity: [0.8, 2, 3, 4]}
workload:
  slots: 30
  failures: {kind: wear, wear: 0.1}
  parts: [{kind: poisson, rate: [0.2, 0.6, 0.9, 1.3], size: 0.3}]
errors: {kind: anytime, floor: [0, 0.1, 0.2, 0.1], gain: 0.7, exponent: 1.3, scale: {uniform: [0.5, 2]}}
cost: {score: source}
"""

SHARING = """
pool:
  nodes: 6
  groups: [{name: serve, count: 1}, {name: train, count: 5, dynamics: progress}]
workload:
  slots: 30
  calendar: {kind: windows, period: 12, length: 3, clusters: 2}
  parts: [{kind: constant, rate: 0.7}]
progress:
  error: {kind: exponential, scale: 4}
  sharing:
    - {hub: 1, followers: [2, 3], weight: 0.5}
    - {hub: 2, followers: [3, 5]}
cost: {score: reference}
"""

CLIPPED = """
pool:
  nodes: 5
  capacity: [0.7, 1.1, 0.9, 2, 1.5]
  budget: 4.5
  lag: {1}
  conflict: {0}
  quantum: 0.07
workload:
  slots: 20
  importance: [2, 1, 0.5, 1, 3]
  parts:
    - {{kind: constant, rate: [0.7, 0.4, 0.9, 0.5, 1]}}
    - {{kind: bursts, begin: 0.2}}
cost: {{use: 0.1}}
"""

ACTION = """
pool:
  nodes: 4
  capacity: {{uniform: [2, 6]}}
  action: {}
  resources:
    - {{name: compute, need: [1, 0.5, 0.8, 1.5], budget: 2.5}}
    - {{name: storage, need: [0.5, 1, 0.4, 0], budget: 1.5}}
workload:
  slots: 20
  parts: [{{kind: constant, rate: 0.5}}]
observation: {{arrivals_shown: true}}
cost: {{use: 0.1, concentration: 0.05}}
"""

LOTTERY = """
pool:
  nodes: 4
  service: {kind: lottery, completion: [0.5, 0.6, 0.9, 1], job: 0.7}
workload:
  slots: 60
  abandonment: 0
  failures: {kind: outages, up: 0.8}
  parts: [{kind: bernoulli, rate: [0.1, 0.05, 0.2, 0.3], size: 1.4}]
agent: {learner: {kind: reinforce}}
cost: {switching: 0.1}
"""

SCENARIOS = {
    **{f"conflict {rule}": CLIPPED.format(rule, 0.4)
       for rule in ("none", "priority", "round_robin", "maxmin")},
    "conflict gps": CLIPPED.format("gps", 1),
    "action per_resource": ACTION.format("per_resource"),
    "resource heads": ACTION.format("per_resource") + "agent: {resource_heads: true, learner: "
        "{kind: apg, learning_rate: 0.1}}\n",
    "action raw": ACTION.format("raw"),
    "lottery": LOTTERY,
    "reserve, optimal": RESERVE.format("optimal"),
    "reserve, priority": RESERVE.format("priority"),
    "reserve, three resources": RESERVE_OF_THREE,
    "failures": FAILURES,
    "three resources, progress, windows": THREE_RESOURCES,
    "mixed pool": MIXED,
    "all costs": ALL_COSTS,
    "old news": OLD_NEWS,
    "miss": MISS.format("reference"),
    "linear": LINEAR,
    "deadline": DEADLINE,
    "anytime": ANYTIME,
    "sharing": SHARING,
}


def capped(d):
    """Somebody was at a capacity, and somebody was not."""
    full = np.isclose(d["grant"], [0.7, 1.1, 0.9, 2, 1.5], rtol=1e-12, atol=0)
    return 0 < full.mean() < 1


# What must have happened in a scenario, or it shows nothing of its mechanism.
BITES = {
    "conflict none": lambda d, e: d["waste"].max() > 0.05,
    "conflict priority": lambda d, e: capped(d) and d["waste"].max() == 0,
    "conflict round_robin": lambda d, e: capped(d),
    "conflict maxmin": lambda d, e: capped(d),
    "conflict gps": lambda d, e: (d["served"] > d["rate"] + 0.05).any(),
    "action per_resource": lambda d, e: d["waste"].max() > 0.05
        and d["resource_proportion"].shape[3:] == (2, 4),
    "resource heads": lambda d, e: d["tilt"][0].std((2, 3)).min() > 1e-3 and (d["tilt"][1:] == 1).all(),
    "action raw": lambda d, e: np.ptp(d["grant"].sum(-1)) > 0.01 and d["waste"].max() == 0,
    "lottery": lambda d, e: set((d["served"] > 0).sum(-1).flat) == {0, 1} and d["availability"].min() == 0,
    "reserve, optimal": lambda d, e: d["dispatched"].max() > 0.1,
    "reserve, priority": lambda d, e: d["dispatched"].max() > 0.1,
    # Importance decides among the nodes, and who needs no memory gets more when it has run out.
    "reserve, three resources": lambda d, e: (d["dispatched"].max((0, 1, 2)) > 0.05).all(),
    "failures": lambda d, e: {0.0, 0.4, 1.0} == set(d["availability"].flat),
    "three resources, progress, windows":
        lambda d, e: set(d["keep"].flat) == {0.4, 1.0} and d["importance"].std() > 0.1,
    "mixed pool": lambda d, e: d["dispatched"].max() > 0.1 and d["availability"].min() == 0
        and (np.isnan(d["progress"]).mean((0, 1, 2)) == [1, 1, 1, 0, 0]).all(),
    # Until the delay is over the first state is seen, so decisions stay what they were.
    "old news": lambda d, e: d["importance"][..., 3:].std() > 0.2
        and (d["importance"][..., :3] == 1).all()
        and (d["proportion"][:, :, 0] == d["proportion"][:, :, 2]).all()
        and (d["proportion"][:, :, 2] != d["proportion"][:, :, 3]).any(),
    "all costs": lambda d, e: all(e[k].min() > 1e-4 for k in ("fairness_cost", "use_cost")),
    "miss": lambda d, e: d["lost"].max() > 0.1 and d["dispatched"].max() > 0.1 and d["reference_error"].min() > 1e-3,
    "linear": lambda d, e: d["error"].max() > 1 and d["lost"].max() == 0,
    "deadline": lambda d, e: (d["lost"].max((0, 1, 2)) > 0.1).tolist() == [1, 1, 1, 1, 0]
        and (d["backlog"].max((0, 1, 2)) > 0.1).tolist() == [0, 1, 1, 1, 0],
    "anytime": lambda d, e: d["backlog"].max() == 0 and (d["served"] > d["arrivals"]).any()
        and (d["arrivals"] == 0).any() and e["score"].max() > 1,
    "sharing": lambda d, e: d["reference_error"].min() > 1e-3 and e["score"].max() > 0,
}
NO_BOUND = {"lottery": "service by lottery serves whom it draws, not what was commanded"}


def ranks(x):
    """Ranks of the numbers of a row; equal ones share the mean of theirs."""
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def spearman(x, y):
    a, b = ranks(x), ranks(y)
    return np.corrcoef(a, b)[0, 1] if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan


def marginal_values(c, d, p, i, t):
    """-dC/d eps of giving each node eps more of the placed budget in slot t, by the equations alone."""
    d = {name: x for name, x in d.items() if name != "resource_proportion"}  # they follow
    lottery = c["service"] == b"lottery"
    step = 1.0 if lottery else 1e-5
    share = d["proportion"][p, i, t].copy()

    def cost(n, eps):
        changed = {**d, "proportion": d["proportion"].copy()}
        changed["proportion"][p, i, t] = (1 - eps) * share + eps * (np.arange(len(share)) == n)
        return sum(now["cost"] for slot, now in cra_replay.replay(c, changed, p, i) if slot >= t)

    low = [0 if lottery or share[n] <= 2e-5 else -step for n in range(len(share))]
    return np.array([(cost(n, low[n]) - cost(n, step)) / (step - low[n]) for n in range(len(share))])


class Replays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.paths, cls.notes = {}, {}
        for i, (name, text) in enumerate(SCENARIOS.items()):
            path = pathlib.Path(cls.folder.name, f"{i}.yaml")
            path.write_text(COMMON + text, encoding="utf-8")
            cls.paths[name] = f"{cls.folder.name}/{i}.h5"
            done = subprocess.run([CRA, "run", str(path), "--out", cls.paths[name]], check=False,
                                  capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
            cls.notes[name] = done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def each(self):
        for name, path in self.paths.items():
            with self.subTest(name):
                with h5py.File(path) as file:
                    groups = {g: {k: v[()] for k, v in file[g].items()}
                              for g in ("node", "trajectory", "eval", "summary")}
                groups["node"], groups["trajectory"] = cra_replay.load(path)
                yield name, path, groups

    def test_every_slot_of_every_policy_follows_from_the_equations(self):
        for name, path, groups in self.each():
            done = subprocess.run([*REPLAY, path], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            policies, episodes, slots = groups["trajectory"]["cost"].shape
            self.assertTrue(done.stdout.startswith(f"{policies * episodes * slots} slots,"))
            self.assertTrue(BITES[name](groups["trajectory"], groups["eval"]))

    def test_one_number_that_is_off_is_found_in_every_mechanism(self):
        changed = f"{self.folder.name}/changed.h5"
        wrong = {
            "conflict none": ("trajectory", "waste"),
            "conflict priority": ("trajectory", "importance"),
            "conflict round_robin": ("node", "quantum"),
            "conflict maxmin": ("trajectory", "grant"),
            "conflict gps": ("trajectory", "served"),
            "action per_resource": ("trajectory", "resource_proportion"),
            "resource heads": ("trajectory", "resource_proportion"),
            "action raw": ("node", "needs"),
            "lottery": ("node", "job"),
            "reserve, optimal": ("trajectory", "dispatched"),
            "reserve, priority": ("trajectory", "reserve"),
            "reserve, three resources": ("node", "needs"),
            "failures": ("trajectory", "served"),
            "three resources, progress, windows": ("trajectory", "keep"),
            "mixed pool": ("node", "forgetting"),
            "all costs": ("trajectory", "fairness_cost"),
            "old news": ("trajectory", "importance"),
            "miss": ("trajectory", "reference_error"),
            "linear": ("node", "error_scale"),
            "deadline": ("trajectory", "lost"),
            "anytime": ("node", "anytime_gain"),
            "sharing": ("node", "link_weight"),
        }
        for name, path, _ in self.each():
            pathlib.Path(changed).write_bytes(pathlib.Path(path).read_bytes())
            with h5py.File(changed, "r+") as file:
                data = file[wrong[name][0]][wrong[name][1]]
                data[()] = data[()] * (1 - 1e-6)
            done = subprocess.run([*REPLAY, changed], capture_output=True, check=False)
            self.assertEqual(done.returncode, 1)

    def test_what_is_said_of_attention_follows_from_the_trajectory(self):
        compared = 0
        for name, path, groups in self.each():
            with h5py.File(path) as file:
                a = {k: v[()] for k, v in file["attention"].items()}
            c, d = groups["node"], groups["trajectory"]
            p = list(d["policy"]).index(a["policy"])
            slots, episodes = a["slot"], len(d["episode"])
            self.assertEqual(a["policy"], b"attention + " + (b"reinforce" if name == "lottery" else b"apg"))
            self.assertEqual(list(slots), list(range(3, d["cost"].shape[2], 7)))
            received = a["received"]
            np.testing.assert_allclose(received.sum(-1), 1, rtol=0, atol=1e-6)
            np.testing.assert_allclose(a["entropy"], -(received * np.log(received)).sum(-1), rtol=0, atol=1e-12)
            self.assertTrue((a["looker_entropy"] <= a["entropy"] + 1e-6).all())
            np.testing.assert_array_equal(a["allocation"][:episodes], d["proportion"][p][:, slots])
            np.testing.assert_array_equal(a["backlog"][:episodes], d["backlog"][p][:, slots - 1])
            of_map = list(slots).index(a["map_slot"])
            np.testing.assert_allclose(a["map"].mean((0, 1)), received[0, of_map], rtol=0, atol=1e-6)
            for q, x in enumerate((received, a["allocation"], a["base"], a["backlog"])):
                found = a["rank_correlation"][q]
                expected = [[spearman(x[i, s], a["marginal_value"][i, s]) for s in range(len(slots))]
                            for i in range(len(x))]
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
                by_episode = [np.nanmean(row) for row in found if not np.isnan(row).all()]
                if not by_episode:
                    self.assertTrue(np.isnan(a["mean_correlation"][q]))
                    continue
                np.testing.assert_allclose(
                    [a["mean_correlation"][q], a["correlation_se"][q]],
                    [np.mean(by_episode), np.std(by_episode, ddof=1) / len(by_episode) ** 0.5], atol=1e-12)
            # Both quotients carry the rounding of a cost, 1e-14 of it over 1e-5; where a kink lies within
            # the step that is still so, as both take the same step.
            values = marginal_values(c, d, p, 0, int(a["map_slot"]))
            scale = max(1.0, np.abs(values).max())
            np.testing.assert_allclose(a["marginal_value"][0, of_map], values, rtol=0, atol=1e-7 * scale)
            compared += int(np.ptp(values) > 1e-3)
        self.assertGreater(compared, 15)

    def test_the_files_are_as_the_format_says(self):
        for _, path, _ in self.each():
            done = subprocess.run([CRA, "check", path], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_policy_is_below_the_bound_and_gaps_are_closed_by_their_share(self):
        for name, _, groups in self.each():
            e, s = groups["eval"], groups["summary"]
            reason = e["bound_reason"].decode()
            self.assertEqual(reason, NO_BOUND.get(name, ""))
            if reason:
                self.assertIn(f"cra: bound: none: {reason}\n", self.notes[name])
                self.assertTrue(np.isnan(e["bound_lower"]).all() and np.isnan(e["bound_upper"]).all())
                self.assertTrue(np.isnan(s["gap_closed"]).all())
                self.assertNotIn(b"bound", s["kind"])
                continue
            self.assertNotIn("bound", self.notes[name])
            lower, upper = e["bound_lower"], e["bound_upper"]
            self.assertTrue((lower > 0).all() and (lower <= upper * (1 + 1e-12)).all())
            self.assertTrue((lower <= e["bound_relaxed"]).all())
            np.testing.assert_allclose(e["bound_relaxed"], lower, rtol=1e-3, atol=1e-7)
            self.assertTrue((e["cost"] >= lower * (1 - 1e-6) - 1e-9).all())
            best = list(s["policy"]).index(s["best_heuristic"])
            self.assertEqual((s["kind"][-1], s["policy"][-1]), (b"bound", b"clairvoyant"))
            expected = (s["cost"][best] - s["cost"]) / (s["cost"][best] - lower.mean())
            expected[[best, -1]] = np.nan
            if s["cost"][best] - lower.mean() <= 1e-3 * s["cost"][best]:
                expected[:] = np.nan
            np.testing.assert_allclose(s["gap_closed"], expected, rtol=1e-12)
            np.testing.assert_allclose([s["cost"][-1], s["bound_lower"], s["bound_upper"]],
                                       [lower.mean(), lower.mean(), upper.mean()], rtol=1e-14)
            self.assertEqual(s["bound_certified"], 1)


if __name__ == "__main__":
    CRA = sys.argv.pop(1)
    unittest.main()
