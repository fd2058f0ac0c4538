"""A policy decides outside the simulator as it did inside: recorded episodes, fed to `cra decide`
slot by slot as measurements, must bring back the recorded decisions.

usage: test_cli_decide.py CRA SCENARIOS [unittest options]
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

CRA = str(pathlib.Path(sys.argv[1]).resolve())
SCENARIOS = pathlib.Path(sys.argv[2]).resolve()
# Two updates are enough for a policy that is neither its base nor constant.
SHORT = [word for key in ("training.updates=2", "training.episodes=2", "training.replicas=2",
                          "training.warmup_episodes=2", "training.validation_episodes=1",
                          "evaluation.episodes=2", "evaluation.tuning_episodes=2",
                          "evaluation.resamples=100", "evaluation.bound=false",
                          "agent.learner={kind: apg, learning_rate: 0.05}", "output.trajectories=2")
         for word in ("--set", key)]
AHEAD = 30  # slots of importance that are told where the calendar is known

BASE = """
version: 1
name: small
pool: {nodes: 5, budget: 4, lag: 0.3}
workload:
  slots: 30
  parts:
    - {kind: constant, rate: {uniform: [0.3, 0.8]}}
    - {kind: bursts, begin: 0.1}
"""
# Every mechanism that a shipped scenario of the list below leaves out. (name, overrides, may the
# grants differ because the conflict rule reads an importance that is not known yet)
SMALL = {
    "deadline": ["errors={kind: deadline, slots: 4}", "workload.abandonment=0"],
    "at_once": ["errors={kind: deadline, slots: 1}", "workload.abandonment=0"],
    "miss": ["errors=miss"],
    "anytime": ["errors=anytime"],
    "linear_shown": ["errors=linear", "observation.arrivals_shown=true",
                     "workload.failures={kind: outages, up: 0.8}"],
    "per_resource": ["pool={nodes: 5, action: per_resource, lag: 0.3, resources: [{name: a, need: "
                     "[1, 2, 1, 2, 1], budget: 5}, {name: b, need: 1, budget: 4}]}"],
    "resource_heads": ["pool={nodes: 5, action: per_resource, lag: 0.3, resources: [{name: a, need: "
                       "[1, 2, 1, 2, 1], budget: 5}, {name: b, need: 1, budget: 4}]}",
                       "agent.resource_heads=true"],
    "round_robin": ["pool.conflict=round_robin"],
    "walk": ["workload.calendar=walk", "pool.conflict=priority"],
    "lottery": ["pool.service=lottery", "pool.budget=1", "agent.learner=reinforce",
                "agent.base=demand_backlog"],
    "hidden_backlog": ["observation.hidden=[backlog]"],
    "hidden_arrivals": ["observation.hidden=[arrivals, rate]"],
    "hidden_deadline": ["observation.hidden=[arrivals, error]", "errors=deadline",
                        "workload.abandonment=0"],
    "hidden_importance": ["observation.hidden=[importance, error]", "workload.calendar=walk"],
    "hidden_health": ["observation.hidden=[health]",
                      "workload.failures={kind: wear, wear: 0.1, warning: 2}"],
    "hidden_progress": ["observation.hidden=[progress]",
                        "pool.groups=[{name: a, count: 2}, {name: b, count: 3, dynamics: progress}]"],
    "old_and_hidden": ["observation={delay: 3, hidden: [error]}", "workload.calendar=walk",
                       "workload.failures={kind: wear, wear: 0.1, warning: 2}"],
    "old_deadline": ["observation.delay=2", "errors={kind: deadline, slots: 5}",
                     "workload.abandonment=0"],
}
SHIPPED = ("quickstart", "burst_reserve", "node_failures", "training", "market_monitor",
           "recommendation", "deep_training_100", "multi_task_sharing")


class Decide(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        pathlib.Path(cls.folder.name, "small.yaml").write_text(BASE, encoding="utf-8")
        cls.call("run", "small.yaml", "--out", "small.h5", *SHORT, "--quiet")

    @classmethod
    def call(cls, *words, code=0, lines=None):
        done = subprocess.run(
            [CRA, *words], cwd=cls.folder.name, input=lines, timeout=120, capture_output=True,
            text=True, check=False, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
        if done.returncode != code:
            raise AssertionError(f"cra {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done

    def decide(self, lines, *words, code=0, policy="small.h5"):
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        done = self.call("decide", "--policy", policy, *words, code=code, lines=text)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def describe(self, policy, *words):
        return json.loads(self.call("decide", "--policy", policy, "--describe", *words).stdout)

    # ---- conformance -------------------------------------------------------------------

    @staticmethod
    def measurements(path, fields, episode, row):
        """state -> what was measured of it, for every slot of a recorded episode."""
        with h5py.File(path) as file:
            t = {k: v[()] for k, v in file["trajectory"].items() if isinstance(v, h5py.Dataset)}
        recorded = {name: t[name][row, episode]
                    for name in ("backlog", "progress", "rate", "error", "proportion", "grant",
                                 "reserve")}
        exogenous = {name: t[name][episode]
                     for name in ("arrivals", "availability", "importance", "health")}
        slots, nodes = exogenous["arrivals"].shape
        told = {f["name"]: f["told"] for f in fields}
        window = windows(exogenous["importance"]) if "window" in told else None
        states = []
        for s in range(slots):
            state = {}
            if s > 0:
                for name in ("backlog", "progress", "rate", "error"):
                    state[name] = np.nan_to_num(recorded[name][s - 1])
                for name in ("arrivals", "availability"):
                    state[name] = exogenous[name][s - 1]
            rows = exogenous["importance"][s:s + AHEAD]
            ahead = next((len(f["shape"]) > 1 for f in fields if f["name"] == "importance"), False)
            state["importance"] = rows if ahead else rows[0]
            state["health"] = exogenous["health"][s]
            if window is not None:
                state["window"] = window[s]
            state["arrivals_now"] = exogenous["arrivals"][s]
            state["available_now"] = exogenous["availability"][s]
            kept = {name: np.asarray(x).tolist() for name, x in state.items() if name in told
                    and (s == 0 or not told[name].startswith("in the first"))}
            states.append(kept)
        if "resource_proportion" in t:
            recorded["resource_proportion"] = t["resource_proportion"][row, episode]
        return states, recorded

    def conform(self, scenario, *words, leave=()):
        """Runs a scenario, plays its episodes back; \\returns the largest difference."""
        out = "c.h5"
        self.call("run", str(scenario), "--out", out, "--force", "--quiet", *SHORT, *words)
        about = self.describe(out)
        path = os.path.join(self.folder.name, out)
        with h5py.File(path) as file:
            names = [n.decode() for n in file["trajectory/policy"][()]]
            row = next(i for i, name in enumerate(names) if name.startswith("attention + "))
        worst, moved = 0.0, 0.0
        optional = [f["name"] for f in about["input"] if f["told"] == "may be left out"]
        for without in ([], optional):
            fields = [f for f in about["input"] if f["name"] not in without]
            lines, expected = [], []
            for episode in range(2):
                states, recorded = self.measurements(path, fields, episode, row)
                for t in range(len(states)):
                    # The controller sends what it has: the program must not delay it again.
                    s = t - about["delay"]
                    line = {} if 0 < t <= about["delay"] else dict(states[max(0, s)])
                    if t == 0 and line:
                        line["reset"] = True
                    elif t == 0:  # alone it is no slot
                        lines.append({"reset": True})
                        expected.append(None)
                    lines.append(line)
                    expected.append({name: x[t] for name, x in recorded.items()})
            answers, _ = self.decide(lines, policy=out)
            self.assertEqual(len(answers), len(lines))
            slot = 0
            for found, wanted in zip(answers, expected):
                if wanted is None:
                    self.assertEqual(found, {"reset": True})
                    slot = 0
                    continue
                self.assertEqual(found["slot"], slot % (len(states)))
                slot += 1
                pairs = [(found["proportions"], wanted["proportion"])]
                if "reserve" in found:
                    pairs.append((found["reserve"], wanted["reserve"]))
                else:
                    self.assertEqual(wanted["reserve"], 0)
                if "resource_proportion" in wanted:
                    pairs.append((found["resource_proportions"], wanted["resource_proportion"]))
                if "grant" not in leave:
                    pairs.append((found["grant"], wanted["grant"]))
                for a, b in pairs:
                    self.assertEqual(np.shape(a), np.shape(b))
                    worst = max(worst, float(np.max(np.abs(np.subtract(a, b)))))
            moved = max(moved, float(np.ptp([w["proportion"] for w in expected if w], axis=0).max()))
        if os.environ.get("CRA_SHOW"):
            print(scenario, *words[1::2], "largest difference", worst, "moved", moved)
        self.assertGreater(moved, 1e-3, "decisions that never change would agree by chance")
        return worst

    def test_shipped_scenarios(self):
        for name in SHIPPED:
            with self.subTest(name):
                self.assertLess(self.conform(SCENARIOS / f"{name}.yaml"), 1e-6)

    def test_every_mechanism(self):
        for name, overrides in SMALL.items():
            with self.subTest(name):
                words = [w for o in overrides for w in ("--set", o)]
                leave = ("grant",) if name in ("hidden_importance", "old_and_hidden") else ()
                worst = self.conform("small.yaml", *words, leave=leave)
                self.assertLessEqual(worst, 0 if name == "resource_heads" else 1e-6)

    def test_every_quantity_that_is_asked_for_matters(self):
        """The control: a decision that did not read a quantity would conform whatever it said."""
        name = "full.h5"
        words = ["pool.groups=[{name: a, count: 3}, {name: b, count: 2, dynamics: progress}]",
                 "workload.failures={kind: wear, wear: 0.1, warning: 2}",
                 "workload.calendar={kind: windows, period: 8, length: 3, clusters: 2}",
                 "observation.arrivals_shown=true", "agent.base=margin_ahead"]
        self.call("run", "small.yaml", "--out", name, "--quiet", *SHORT,
                  *[w for word in words for w in ("--set", word)])
        about = self.describe(name)
        start = json.loads(about["example"])
        later = {**start, "backlog": [1, 2, 0.5, 0, 0], "progress": [0, 0, 0, 1, 3],
                 "arrivals": [1, 0, 2, 0, 0], "error": [0.2, 0.5, 0.1, 0.6, 0.4]}
        before, _ = self.decide([start, later, later], policy=name)
        self.assertEqual([a["slot"] for a in before], [0, 1, 2])
        names = [f["name"] for f in about["input"]]
        self.assertEqual(len(names), 11)
        for field in about["input"]:
            with self.subTest(field["name"]):
                other = dict(later)
                x = np.asarray(other.get(field["name"], [1.0] * 5), dtype=float)
                x = x * 0.5 if field["range"][1] == 1 else x + 0.25
                if field["name"] == "backlog":
                    x[3:] = 0
                if field["name"] == "progress":
                    x[:3] = 0
                other[field["name"]] = x.tolist()
                after, _ = self.decide([start, other, later], policy=name)
                self.assertEqual(before[0], after[0])
                change = np.abs(np.subtract(before[1]["proportions"], after[1]["proportions"]))
                self.assertGreater(change.max(), 1e-6)

    # ---- the protocol ------------------------------------------------------------------

    STATE = {"arrivals": [1, 0, 2, 0, 0.5], "backlog": [0, 1, 0.5, 0, 3]}

    def test_an_answer_comes_before_the_next_line_is_written(self):
        process = subprocess.Popen([CRA, "decide", "--policy", "small.h5"], cwd=self.folder.name,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            for slot in range(3):
                process.stdin.write(json.dumps(self.STATE) + "\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["slot"], slot)
            process.stdin.close()
            self.assertEqual(process.wait(20), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_reset_forgets_the_episode_before(self):
        lines = [{}, self.STATE, self.STATE]
        once, _ = self.decide(lines)
        twice, _ = self.decide([*lines, {"reset": True, "episode": "b"}, *lines,
                                {**self.STATE, "reset": True, "episode": 3}])
        self.assertEqual(twice[:3], once)
        self.assertEqual(twice[3], {"episode": "b", "reset": True})
        self.assertEqual(twice[4:7], once)
        self.assertEqual((twice[7]["episode"], twice[7]["slot"]), (3, 0))
        self.assertNotEqual(twice[7]["proportions"], once[0]["proportions"])

    def test_the_answer_adds_up(self):
        answers, _ = self.decide([{}, self.STATE])
        for a in answers:
            self.assertAlmostEqual(sum(a["proportions"]), 1, places=12)
            self.assertLessEqual(sum(a["use"][0]), 4 + 1e-9)
            self.assertEqual(a["use"][0], a["grant"])  # a need of 1

    def test_the_example_of_the_description_is_accepted(self):
        example = self.describe("small.h5")["example"]
        self.assertEqual(len(self.decide([example, example])[0]), 2)

    def test_another_pool(self):
        pathlib.Path(self.folder.name, "nine.yaml").write_text(
            BASE.replace("nodes: 5", "nodes: 9"), encoding="utf-8")
        by_set, _ = self.decide([{}], "--set", "pool.nodes=9")
        by_file, _ = self.decide([{}], "--scenario", "nine.yaml")
        self.assertEqual(by_set, by_file)
        self.assertEqual(len(by_set[0]["proportions"]), 9)

    def test_a_wrong_line_stops_or_is_answered_and_changes_nothing(self):
        good = [{}, self.STATE, self.STATE]
        expected, _ = self.decide(good)
        wrong = {
            "": "no JSON: parse error",
            "[1, 2]": "expected a JSON object, {...}",
            '{"backlog": [0, 0': "no JSON: parse error",
            '{"reset": 1}': "reset is 1, expected true or false",
            '{"episode": [1]}': "episode is [1], expected a text or a number",
            '{"reset": true, "reset": true}': "reset is there twice",
            "{}": "nothing was measured, expected arrivals, backlog",
            '{"arrivals": [0, 0, 0, 0, 0]}': "backlog is missing: work waiting at the end of the "
                                             "slot that ended",
        }
        with_backlog = {
            "[0, 0, 0, 0]": "backlog has 4 numbers, expected a list of 5 numbers, one for each node",
            "7": "backlog is 7, expected a list of 5 numbers",
            "[0, 0, 0, 0, null]": "backlog[4] is null, expected a number",
            '[0, "1", 0, 0, 0]': 'backlog[1] is "1", expected a number',
            "[0, 0, -0.5, 0, 0]": "backlog of node 2 is -0.500000, expected a number >= 0",
            "[0, 0, 1e999, 0, 0]": "no JSON: number overflow",
            "[0, 0, NaN, 0, 0]": "no JSON: parse error",
        }
        for text, message in with_backlog.items():
            wrong['{"arrivals": [0, 0, 0, 0, 0], "backlog": ' + text + "}"] = message
        wrong['{"bakclog": [0]}'] = 'unknown field "bakclog"; did you mean "backlog"?'
        for line, message in wrong.items():
            with self.subTest(line):
                lines = [*good[:2], line, good[2]]
                answers, said = self.decide(lines, code=3)
                self.assertEqual(answers, expected[:2])
                self.assertIn("cra: error: line 3: " + message, said)
                answers, said = self.decide(lines, "--keep-going")
                self.assertEqual(said, "")
                self.assertEqual([*answers[:2], answers[3]], expected)
                self.assertEqual(list(answers[2]), ["error"])
                self.assertTrue(answers[2]["error"].startswith("line 3: " + message), answers[2])

    def test_an_old_state_may_be_late_but_not_missing(self):
        old = ("--set", "observation.delay=2")
        answers, _ = self.decide([{}, {}, {}, self.STATE], *old)
        self.assertEqual([a["slot"] for a in answers], [0, 1, 2, 3])
        self.assertEqual(answers[0]["proportions"], answers[2]["proportions"])
        self.assertNotEqual(answers[2]["proportions"], answers[3]["proportions"])
        _, said = self.decide([{}, {}, {}, {}], *old, code=3)
        self.assertIn("line 4: nothing was measured, expected arrivals, backlog: what policies see "
                      "is at most 2 slots old (observation.delay)", said)


def windows(importance):
    """[T, N] slots to the next window of importance, 0 in one; from the period they come back in."""
    slots, nodes = importance.shape
    high = importance > 1
    if not high.any() or (high == high[0]).all():
        return np.zeros((slots, nodes))
    result = np.zeros((slots, nodes))
    for n in range(nodes):
        starts = [t for t in range(1, slots) if high[t, n] and not high[t - 1, n]]
        gaps = np.diff(starts)
        period = int(gaps[0]) if len(gaps) else 0
        assert (gaps == period).all()
        for t in range(slots):
            later = [s for s in starts if s >= t] or [starts[-1] + period]
            result[t, n] = 0 if high[t, n] else later[0] - t
    return result


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
