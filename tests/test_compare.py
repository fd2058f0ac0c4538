#!/usr/bin/python3
"""`cra compare` on real runs: its numbers are SciPy's, they do not depend on threads, and no claim is made that
the files do not support.

Usage: test_compare.py CRA SCENARIOS TINY.yaml
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np
from scipy import stats

CRA, SCENARIOS, TINY = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
FOLDER = tempfile.TemporaryDirectory()
HERE = pathlib.Path(FOLDER.name)
SHORT = ["training.updates=3", "training.episodes=4", "evaluation.episodes=48", "evaluation.tuning_episodes=2",
         "evaluation.baselines=[uniform, demand, gcmu_soft]", "evaluation.explained_episodes=0", "output.trajectories=2"]


def cra(*words, code=0):
    done = subprocess.run([CRA, *map(str, words)], cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def run(name, *settings, scenario=SCENARIOS / "quickstart.yaml", short=SHORT):
    words = [x for s in (*short, *settings) for x in ("--set", s)]
    cra("run", scenario, "--quiet", "--out", name, *words)


def costs(name, policy=None):
    """[trainings, episodes] of the learned policy, or of another."""
    with h5py.File(HERE / name) as f:
        names, training = list(f["eval/policy"].asstr()), f["eval/training"][:]
        rows = [i for i in range(len(names)) if (training[i] >= 0 if policy is None else names[i] == policy)]
        return f["eval/cost"][:][rows]


def compare(*words):
    return json.loads(cra("compare", "--json", *words))


def changed(name, source, change):
    """A copy of a result that `change` has had its way with, sealed again."""
    path = HERE / name
    path.write_bytes((HERE / source).read_bytes()[:-77])
    with h5py.File(path, "r+") as f:
        change(f)
    image = path.read_bytes()
    path.write_bytes(image + b"\nCRA-SHA256 " + hashlib.sha256(image).hexdigest().encode() + b"\n")


def setUpModule():
    run("a.h5")
    run("b.h5", "training.updates=6", "agent.learner=apg", "attention.kind=additive")
    run("three.h5", "training.seeds=3")
    run("four.h5", "training.seeds=4", "attention.kind=none", "training.updates=5")
    for seed in (3, 4):
        run(f"tiny{seed}.h5", f"seed={seed}", "training.seeds=2", "evaluation.episodes=30", scenario=TINY, short=[])


def tearDownModule():
    FOLDER.cleanup()


class Numbers(unittest.TestCase):
    def check_result(self, result, cost):
        self.assertAlmostEqual(result["cost"], cost.mean(), delta=1e-12)
        self.assertAlmostEqual(result["cost_se"], stats.sem(cost.mean(axis=0)), delta=1e-12)
        self.assertAlmostEqual(result["interquartile_mean"]["value"], stats.trim_mean(cost.ravel(), 0.25), delta=1e-12)
        np.testing.assert_allclose(result["training_cost"], cost.mean(axis=1), rtol=1e-12)

    def check_interval(self, found, resampled):
        """Quantiles of the resamples, stretched about the estimate to the width of Student's interval."""
        t = stats.t.ppf(0.975, found["degrees_of_freedom"])
        stretch = t * found["difference_se"] / (stats.norm.ppf(0.975) * resampled.std())
        ends = found["difference"] + stretch * (np.quantile(resampled, [0.025, 0.975]) - found["difference"])
        # 10,000 resamples there, 100,000 here: quantiles of 2.5 % differ by some 0.03 standard errors.
        np.testing.assert_allclose([found["ci_low"], found["ci_high"]], ends, atol=0.12 * found["difference_se"])

    def test_one_training_each_on_the_same_episodes(self):
        x, y = costs("b.h5"), costs("a.h5")
        found = compare("a.h5", "b.h5")
        for result, cost in zip(found["results"], (y, x)):
            self.check_result(result, cost)
        (c,) = found["comparisons"]
        d = (x - y)[0]
        self.assertEqual((c["pairing"], c["paired_episodes"]), ("paired", 48))
        self.assertAlmostEqual(c["difference"], d.mean(), delta=1e-12)
        self.assertAlmostEqual(c["difference_se"], stats.sem(d), delta=1e-12)
        self.assertAlmostEqual(c["degrees_of_freedom"], 47, delta=1e-9)
        self.assertEqual(c["episodes_won"], (d < 0).mean())
        self.assertAlmostEqual(c["probability_of_improvement"]["value"], (d < 0).mean() + (d == 0).mean() / 2)
        picks = np.random.default_rng(1).integers(48, size=(100_000, 48))
        self.check_interval(c, d[picks].mean(axis=1))
        errors = c["detectable_difference"] / c["difference_se"]
        self.assertAlmostEqual(stats.nct.sf(stats.t.ppf(0.975, 47), 47, errors), 0.8, delta=1e-4)
        needed = 48 * (errors * stats.sem(d) / d.mean()) ** 2
        self.assertLess(abs(c["episodes_needed"] - max(48, needed)), 1.001)

    def test_several_trainings_on_the_same_episodes(self):
        x, y = costs("four.h5"), costs("three.h5")
        self.assertEqual((x.shape, y.shape), ((4, 48), (3, 48)))
        found = compare("three.h5", "four.h5")
        for result, cost in zip(found["results"], (y, x)):
            self.check_result(result, cost)
        (c,) = found["comparisons"]
        self.assertAlmostEqual(c["difference"], x.mean() - y.mean(), delta=1e-12)

        def rest(z):  # mean square of what neither training nor episode explains
            r = z - z.mean(axis=1, keepdims=True) - z.mean(axis=0) + z.mean()
            return (r**2).sum() / ((z.shape[0] - 1) * (z.shape[1] - 1))

        episodes = stats.sem(x.mean(axis=0) - y.mean(axis=0)) ** 2
        trainings = stats.sem(x.mean(axis=1)) ** 2 + stats.sem(y.mean(axis=1)) ** 2
        whole = episodes + trainings - rest(x) / x.size - rest(y) / y.size
        self.assertAlmostEqual(c["difference_se"] ** 2 / max(whole, episodes, trainings), 1, delta=1e-9)
        wins = (x[:, None] < y[None]).mean() + (x[:, None] == y[None]).mean() / 2
        self.assertAlmostEqual(c["probability_of_improvement"]["value"], wins, delta=1e-12)
        draw = np.random.default_rng(2)
        i, j, e = (draw.integers(n, size=(20_000, n)) for n in (4, 3, 48))
        both = [np.take_along_axis(z[k].mean(axis=1), e, axis=1).mean(axis=1) for z, k in ((x, i), (y, j))]
        self.check_interval(c, both[0] - both[1])

    def test_other_episodes(self):
        x, y = costs("tiny4.h5"), costs("tiny3.h5")
        (c,) = compare("tiny3.h5", "tiny4.h5")["comparisons"]
        self.assertEqual((c["pairing"], c["verdict"]), ("unpaired", "not decided"))
        self.assertIn("seeds differ", c["reason"])
        self.assertIsNone(c["episodes_won"])
        self.assertAlmostEqual(c["difference"], x.mean() - y.mean(), delta=1e-12)
        better = 1 - stats.mannwhitneyu(x.ravel(), y.ravel()).statistic / (x.size * y.size)
        self.assertAlmostEqual(c["probability_of_improvement"]["value"], better, delta=1e-12)
        # A heuristic has one row a file: Welch's test.
        x, y = costs("tiny4.h5", "demand")[0], costs("tiny3.h5", "demand")[0]
        (c,) = compare("tiny3.h5", "tiny4.h5", "--policy", "demand")["comparisons"]
        welch = stats.ttest_ind(x, y, equal_var=False)
        self.assertAlmostEqual(c["difference"] / c["difference_se"], welch.statistic, delta=1e-9)
        self.assertAlmostEqual(2 * stats.t.sf(abs(welch.statistic), c["degrees_of_freedom"]), welch.pvalue, delta=1e-9)

    def test_profiles(self):
        cost = costs("three.h5")
        with h5py.File(HERE / "three.h5") as f:
            nearness = np.clip(f["eval/bound_lower"][:] / cost, 0, 1)
        profile = compare("three.h5", "a.h5")["results"][0]["profile"]
        self.assertEqual(profile["quantity"], "bound_lower / cost")
        for threshold, share, low, high in zip(*(profile[k] for k in ("threshold", "share_above", "ci_low", "ci_high"))):
            self.assertAlmostEqual(share, (nearness > threshold).mean(), delta=1e-12)
            self.assertTrue(low <= share <= high)

    def test_several_comparisons_are_corrected(self):
        words = ["a.h5", "b.h5", "a.h5:demand", "a.h5:gcmu_soft"]
        found = compare(*words)["comparisons"]
        p = [c["p_value"] for c in found]
        order, running = np.argsort(p, kind="stable"), 0.0
        for rank, i in enumerate(order):
            running = max(running, min(1.0, p[i] * (len(p) - rank)))
            self.assertAlmostEqual(found[i]["p_value_adjusted"], running, delta=1e-12)
            decided = found[i]["verdict"] in ("better", "worse")
            self.assertEqual(decided, running <= 0.05)
            self.assertEqual(decided, found[i]["ci_low"] > 0 or found[i]["ci_high"] < 0)
            self.assertLess(0.95, found[i]["ci_level"] + 1e-12)

    def test_the_same_bytes_on_any_number_of_threads(self):
        words = ["three.h5", "four.h5", "a.h5", "--json"]
        self.assertEqual(cra("compare", *words, "--threads", 1), cra("compare", *words, "--threads", 3))

    def test_swapped_files_mirror_the_answer(self):
        (there,), (back,) = compare("a.h5", "b.h5")["comparisons"], compare("b.h5", "a.h5")["comparisons"]
        for x, y in (("difference", "difference"), ("ci_low", "ci_high"), ("ci_high", "ci_low")):
            self.assertAlmostEqual(there[x], -back[y], delta=1e-12)

    def test_a_file_against_itself(self):
        for name in ("a.h5", "three.h5"):
            (c,) = compare(name, name)["comparisons"]
            self.assertEqual((c["verdict"], c["difference"]), ("equal", 0))


    def test_rounding_is_no_difference(self):
        def rounding(f):
            row = list(f["eval/policy"].asstr()).index("demand")
            for name in ("cost", "error_cost"):
                f["eval/" + name][row] *= 1 + 1e-12

        changed("round.h5", "a.h5", rounding)
        (c,) = compare("a.h5", "round.h5", "--policy", "demand")["comparisons"]
        self.assertNotEqual(c["difference"], 0)
        self.assertEqual((c["verdict"], c["p_value"]), ("equal", 1))


class Refusals(unittest.TestCase):
    def refused(self, *words):
        (c,) = compare(*words)["comparisons"]
        self.assertEqual((c["verdict"], c["pairing"]), ("no claim", "none"))
        self.assertNotIn("difference", c)
        return c["reason"]

    def test_other_episodes_behind_the_same_scenario(self):
        def arrivals(f):
            x = f["trajectory/arrivals"]
            x[1, 0, 0] = x[1, 0, 0] * 1.001 + 0.001

        def rounding(f):
            x = f["trajectory/arrivals"]
            x[...] = x[...] * (1 + 1e-14)

        changed("other.h5", "b.h5", arrivals)
        self.assertIn("the arrivals of episode 1 differ", self.refused("a.h5", "other.h5"))
        changed("close.h5", "b.h5", rounding)  # as from another processor
        self.assertEqual(compare("a.h5", "close.h5")["comparisons"], [
            {**c, "result": "close", "sentence": c["sentence"].replace("b is", "close is").replace("of b ", "of close ")}
            for c in compare("a.h5", "b.h5")["comparisons"]])

    def test_other_bounds(self):
        def bound(f):
            f["eval/bound_lower"][7] *= 0.999
            mean = f["eval/bound_lower"][:].mean()
            f["summary/bound_lower"][()] = mean
            kinds = list(f["summary/kind"].asstr())
            f["summary/cost"][kinds.index("bound")] = mean
            cost, names = f["summary/cost"][:], list(f["summary/policy"].asstr())
            best = cost[names.index(f["summary/best_heuristic"].asstr()[()])]
            closed = f["summary/gap_closed"][:]
            f["summary/gap_closed"][:] = np.where(np.isnan(closed), closed, (best - cost) / (best - mean))

        changed("bound.h5", "b.h5", bound)
        self.assertIn("the certified bounds of episode 7 differ", self.refused("a.h5", "bound.h5"))

    def test_a_scenario_that_cannot_be_read(self):
        for text in ("seed: &a [*a]", "[" * 5000, "", "\x1b[31m: 1"):
            def scenario(f, text=text):
                f["provenance/resolved_yaml"][()] = text

            changed("odd.h5", "b.h5", scenario)
            self.assertIn("resolved_yaml", self.refused("a.h5", "odd.h5"))
            self.assertNotIn("\x1b", cra("compare", "a.h5", "odd.h5"))

    def test_costs_beyond_sense(self):
        def cost(f):
            for name in ("cost", "error_cost"):
                f["eval/" + name][...] = 1e200
            f["summary/cost"][...] = np.where(f["summary/kind"].asstr()[:] == "bound", f["summary/cost"][:], 1e200)
            closes = (f["summary/kind"].asstr()[:] != "bound") & (f["summary/policy"].asstr()[:] != f["summary/best_heuristic"].asstr()[()])
            f["summary/gap_closed"][...] = np.where(closes, 0.0, np.nan)
            for name in ("paired_difference", "paired_se", "ci_low", "ci_high", "episodes_won"):
                f["summary/" + name][...] = np.where(np.isnan(f["summary/" + name][:]), np.nan, 0.0)
            del f["trajectory"]

        changed("huge.h5", "b.h5", cost)
        self.assertIn("numbers beyond 1e100", cra("compare", "a.h5", "huge.h5", code=3))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
