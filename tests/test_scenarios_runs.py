"""Every shipped scenario runs to its end, cut short; `cra check` accepts what it wrote; no policy
costs less than the bound in any episode; and the bits depend neither on the number of threads nor on
how many episodes are evaluated together.

usage: test_scenarios_runs.py CRA FOLDER_OF_SCENARIOS [unittest options]

Scenarios that need a log of somebody else run where CRA_DATA, or shared/data beside the repository,
has it, and are skipped visibly elsewhere.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

CRA = str(pathlib.Path(sys.argv[1]).resolve())
FOLDER = pathlib.Path(sys.argv[2]).resolve()
SCENARIOS = sorted(FOLDER.glob("*.yaml"))
DATA = pathlib.Path(os.environ.get("CRA_DATA", FOLDER.parents[1] / "shared" / "data"))
# 40 slots are enough for queues, platoons, failures and windows to come and go.
SHORT = {"training.updates": 2, "training.warmup_episodes": 2, "evaluation.tuning_episodes": 1,
         "workload.slots": 40}
# Their logs are not part of the repository: key, where the reference data has it.
LOGS = {
    "batch_cluster": {"workload.parts.0.file": "swf/lublin_256.swf"},
    "dlrm_three_resources": {"workload.parts.0.file": "dlrm/disaggregated_DLRM_trace.csv"},
    "llm_serving": {"workload.parts.0.file": "llm-inference/conv.csv"},
    "training_real_curves": {
        **{f"progress.jobs.train_files.{i}": f"dl-workloads/workload-{i + 1}.csv" for i in range(4)},
        **{f"progress.jobs.test_files.{i}": f"dl-workloads/workload-{i + 5}.csv" for i in range(2)},
        **{f"progress.error.curves.{i}.file": f"learning-curves/{curve}.csv" for i, curve in enumerate(
            ["ncf/validation-4096", "cifar10/validation-1024", "deepspeech2/validation-160",
             "bert/validation-96", "yolov3/validation-64", "imagenet/validation-1600"])}},
}


def contents(path):
    """Bytes of every dataset that may depend on the scenario and the seed only."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("provenance"):
            data = np.asarray(item[()])
            found[name] = repr(data.tolist()) if data.dtype.hasobject else data.tobytes()

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def by_policy(file, name):
    """A dataset [policy, episode] of /eval, row by row."""
    return dict(zip((p.decode() for p in file["eval/policy"][()]), file[f"eval/{name}"][()]))


class ShippedScenarios(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def call(self, *words):
        # Waiting threads sleep: on a busy machine spinning ones cost more than the work.
        return subprocess.run([CRA, *words], cwd=self.folder, timeout=120, capture_output=True,
                              env={**os.environ, "OMP_WAIT_POLICY": "passive"}, text=True,
                              check=False)

    def run_short(self, path, threads, episodes, **more):
        """Runs a scenario; returns the path of its result and what was printed."""
        result = os.path.join(self.folder, f"{path.stem}-{threads}-{episodes}.h5")
        settings = {**SHORT, "evaluation.episodes": episodes, **more}
        for key, file in LOGS.get(path.stem, {}).items():
            settings[key] = DATA / file
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        run = self.call("run", str(path), *words, "--quiet", "--threads", str(threads), "--out", result)
        self.assertEqual(run.returncode, 0, run.stderr)
        return result, run.stdout

    def need(self, path):
        """Skips a scenario whose log is not there."""
        for file in LOGS.get(path.stem, {}).values():
            if not (DATA / file).exists():
                self.skipTest(f"no log at {DATA / file} (CRA_DATA names another folder)")

    def test_there_are_scenarios(self):
        self.assertIn("quickstart.yaml", [path.name for path in SCENARIOS])
        self.assertLessEqual(set(LOGS), {path.stem for path in SCENARIOS})

    def test_each_is_accepted_and_no_policy_costs_less_than_the_bound(self):
        for path in SCENARIOS:
            with self.subTest(scenario=path.name):
                self.need(path)
                result, printed = self.run_short(path, 1, 4, **{"evaluation.planners": "true"})
                self.assertEqual(printed.split()[0], path.stem + ":", "it is named as its file")
                check = self.call("check", result)
                self.assertEqual(check.returncode, 0, check.stderr)
                self.assertIn(": ok (", check.stdout)
                with h5py.File(result) as file:
                    bound = file["eval/bound_lower"][()]
                    if np.isnan(bound).all():
                        self.assertNotEqual(file["eval/bound_reason"][()], b"")
                        continue
                    costs = by_policy(file, "cost")
                    self.assertGreater(len(costs), 10, "all baselines that fit the pool, and the learned policy")
                    for policy, cost in costs.items():
                        # The certificate sums some 1e5 terms in double; 1e-6 is what FORMAT.md allows.
                        self.assertTrue((cost >= bound * (1 - 1e-6) - 1e-9).all(),
                                        f"{policy} costs {cost}, the bound is {bound}")

    def test_bits_do_not_depend_on_the_number_of_threads(self):
        only = {"evaluation.baselines": "[uniform]", "output.trajectories": 2}
        for path in SCENARIOS:
            with self.subTest(scenario=path.name):
                self.need(path)
                one, _ = self.run_short(path, 1, 3, **only)
                for threads in (2, 3, 8):
                    other, _ = self.run_short(path, threads, 3, **only)
                    left, right = contents(one), contents(other)
                    self.assertGreater(len(left), 80)
                    self.assertEqual([k for k in left if left[k] != right.get(k)], [], f"{threads} threads")

    def test_the_first_episodes_of_many_are_those_of_few(self):
        # 40 episodes are several tiles of the rollout and three chunks of the bound, 5 are one.
        only = {"evaluation.baselines": "[uniform, demand_backlog]", "output.trajectories": 2}
        path = next(path for path in SCENARIOS if path.name == "quickstart.yaml")
        few, _ = self.run_short(path, 2, 5, **only)
        many, _ = self.run_short(path, 2, 40, **only)
        with h5py.File(few) as a, h5py.File(many) as b:
            for name in ("cost", "score", "error_cost"):
                rows, more = by_policy(a, name), by_policy(b, name)
                self.assertEqual(set(rows), {"uniform", "demand_backlog", "attention + apg"})
                for policy in rows:
                    self.assertEqual(rows[policy].tobytes(), more[policy][:5].tobytes(), f"{policy}, {name}")
            for name in ("bound_lower", "bound_upper"):
                self.assertEqual(a[f"eval/{name}"][()].tobytes(), b[f"eval/{name}"][:5].tobytes(), name)
            self.assertEqual(a["policy/theta"][()].tobytes(), b["policy/theta"][()].tobytes())

    def test_the_log_that_is_missing_is_named(self):
        path = next(path for path in SCENARIOS if path.name == "llm_serving.yaml")
        run = self.call("run", str(path), "--quiet", "--set", "workload.parts.0.file=missing.csv")
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn("workload.parts.0.file names no file: looked for \"missing.csv\"", run.stderr)
        self.assertEqual(run.stderr.count("error:"), 1, run.stderr)

    def test_each_file_that_is_missing_is_named_once(self):
        for name, count in (("training_real_curves.yaml", 12), ("dlrm_three_resources.yaml", 1),
                            ("batch_cluster.yaml", 1)):
            path = next(path for path in SCENARIOS if path.name == name)
            check = self.call("check", str(path))
            if check.returncode == 0:
                continue  # somebody has put the files there
            self.assertEqual(check.returncode, 3, check.stderr)
            self.assertEqual(check.stderr.count("names no file: looked for"), count, check.stderr)
            self.assertEqual(check.stderr.count("error:"), count, check.stderr)
            self.assertIn("=PATH names another place", check.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
