"""Every shipped scenario runs to its end, cut short, `cra check` accepts what it wrote, and the
bits do not depend on the number of threads.

usage: test_scenarios_runs.py CRA FOLDER_OF_SCENARIOS [unittest options]
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
SCENARIOS = sorted(pathlib.Path(sys.argv[2]).resolve().glob("*.yaml"))
SHORT = [word for key in ("training.updates=2", "training.warmup_episodes=2",
                          "evaluation.episodes=4", "evaluation.tuning_episodes=2",
                          "evaluation.baselines=[uniform]") for word in ("--set", key)]
# Their logs are not part of the repository.
NEED_A_LOG = {"llm_serving.yaml", "training_real_curves.yaml", "dlrm_three_resources.yaml"}


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

    def test_there_are_scenarios(self):
        self.assertIn("quickstart.yaml", [path.name for path in SCENARIOS])
        self.assertLessEqual(NEED_A_LOG, {path.name for path in SCENARIOS})

    def test_each_runs_and_its_result_is_accepted(self):
        for path in SCENARIOS:
            if path.name in NEED_A_LOG:
                continue
            with self.subTest(scenario=path.name):
                result = os.path.join(self.folder, path.stem + ".h5")
                run = self.call("run", str(path), *SHORT, "--quiet", "--threads", "1", "--out", result)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertEqual(run.stdout.split()[0], path.stem + ":", "it is named as its file")
                check = self.call("check", result)
                self.assertEqual(check.returncode, 0, check.stderr)
                self.assertIn(": ok (", check.stdout)
                again = os.path.join(self.folder, path.stem + "-3.h5")
                run = self.call("run", str(path), *SHORT, "--quiet", "--threads", "3", "--out", again)
                self.assertEqual(run.returncode, 0, run.stderr)
                one, three = contents(result), contents(again)
                self.assertGreater(len(one), 80)
                self.assertEqual([k for k in one if one[k] != three.get(k)], [])

    def test_the_log_that_is_missing_is_named(self):
        path = next(path for path in SCENARIOS if path.name == "llm_serving.yaml")
        run = self.call("run", str(path), *SHORT, "--quiet", "--set",
                        "workload.parts.0.file=missing.csv")
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn("workload.parts.0.file names no file: looked for \"missing.csv\"", run.stderr)
        self.assertEqual(run.stderr.count("error:"), 1, run.stderr)

    def test_each_file_that_is_missing_is_named_once(self):
        for name, count in (("training_real_curves.yaml", 12), ("dlrm_three_resources.yaml", 1)):
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
