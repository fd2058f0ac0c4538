"""`cra run --from RESULT.h5`: a run again from its result alone, and whether it ended alike.

usage: test_cli_repeat.py CRA SCENARIOS TINY.yaml [unittest options]
"""

import hashlib
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
QUICKSTART = str(pathlib.Path(sys.argv[2]).resolve() / "quickstart.yaml")
TINY = str(pathlib.Path(sys.argv[3]).resolve())
SHORT = [w for key in ("training.updates=2", "evaluation.episodes=4", "evaluation.tuning_episodes=2")
         for w in ("--set", key)]
GROUPS = ("node", "train", "eval", "trajectory", "attention", "policy", "tuning", "summary")
SEAL = b"\nCRA-SHA256 "

LOGGED = """
version: 1
name: logged
pool: {nodes: 2, budget: 3}
workload:
  slots: 5
  parts:
    - kind: trace
      file: logs/log.csv
      time_column: time
      work: [{column: size, weight: 1}]
      buckets: [{column: size, quantiles: 2}]
      load: 0.5
agent: {learner: reinforce}
training: {updates: 2, episodes: 2, replicas: 2, warmup_episodes: 2, validation_episodes: 1}
evaluation: {episodes: 2, tuning_episodes: 2, baselines: [uniform, demand], resamples: 100, bound: false}
"""


def log(size):
    return "time,size\n" + "".join(f"{t},{1 + (t * 7) % size}\n" for t in range(60))


def reseal(path):
    """What is in a result, with the digest at its end made right again (results/FORMAT.md)."""
    data = pathlib.Path(path).read_bytes()
    body = data[:data.rindex(SEAL)] if SEAL in data[-200:] else data
    pathlib.Path(path).write_bytes(body + SEAL + hashlib.sha256(body).hexdigest().encode() + b"\n")


class Repeat(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, *words, code=0, cwd=None, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "SLURM_"))}
        done = subprocess.run([CRA, *map(str, words)], cwd=cwd or self.folder, timeout=120,
                              capture_output=True, text=True, check=False,
                              env={**env, "OMP_WAIT_POLICY": "passive", **more})
        self.assertEqual(done.returncode, code, f"cra {words}\n{done.stdout}{done.stderr}")
        return done

    def tamper(self, source, target, change):
        """A copy of a result in which a program changed something and sealed it again."""
        data = (self.folder / source).read_bytes()
        (self.folder / target).write_bytes(data[:data.rindex(SEAL)])
        with h5py.File(self.folder / target, "r+") as file:
            change(file)
        reseal(self.folder / target)

    def assert_equal_arrays(self, a, b):
        """Independent of the program's own comparison."""
        with h5py.File(self.folder / a) as one, h5py.File(self.folder / b) as two:
            for group in GROUPS:
                self.assertEqual(list(one[group]), list(two[group]))
                for name in one[group]:
                    np.testing.assert_array_equal(one[group][name][()], two[group][name][()])

    def test_the_quickstart_is_repeated_on_any_number_of_threads(self):
        self.call("run", QUICKSTART, *SHORT, "--out", "q.h5", "--threads", 2, "--seed", 11)
        done = self.call("run", "--from", "q.h5", "--threads", 1, "--quiet")
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        at = lines.index("beside q.h5:")
        self.assertEqual(lines[at - 2], "results/runs/quickstart-s11-repeat.h5")
        self.assertEqual([line.split() for line in lines[at + 1:-1]],
                         [["/" + g, "identical"] for g in GROUPS])
        self.assertEqual(lines[-1], "The run is repeated: every number is the same, bit for bit.")
        self.assert_equal_arrays("q.h5", "results/runs/quickstart-s11-repeat.h5")

    def test_what_was_tampered_with_is_found_and_named(self):
        self.call("run", TINY, "--out", "t.h5")
        with h5py.File(self.folder / "t.h5") as file:
            policies = [p.decode() for p in file["eval/policy"][()]]
            switching = file["eval/switching_cost"][1, 3]
            theta = file["policy/theta"][7]
            verdict = file["summary/verdict"].asstr()[()]

        def cost(file):
            file["eval/switching_cost"][1, 3] = switching + 0.125
            file["eval/lost"][0, 0] += 1  # a later one

        def weight(file):
            file["policy/theta"][7] = -2.5

        def words(file):
            file["summary/verdict"][()] = "Learning pays."

        cases = {"eval": (cost, "/eval/switching_cost", f"policy {policies[1]}, episode 3",
                          switching + 0.125, switching),
                 "policy": (weight, "/policy/theta", "parameter 7", -2.5, theta),
                 "summary": (words, "/summary/verdict", "", "Learning pays.", verdict)}
        for group, (change, dataset, where, there, here) in cases.items():
            with self.subTest(group):
                self.tamper("t.h5", "bad.h5", change)
                done = self.call("run", "--from", "bad.h5", "--out", "r.h5", "--force", "--json", code=1)
                repeat = json.loads(done.stdout)["repeat"]
                self.assertEqual((repeat["from"], repeat["identical"]), ("bad.h5", False))
                self.assertEqual([g["group"] for g in repeat["groups"] if not g["identical"]], [group])
                first = next(g for g in repeat["groups"] if not g["identical"])["first_difference"]
                self.assertEqual((first["dataset"], first["where"]), (dataset, where))
                for found, wanted in ((first["there"], there), (first["here"], here)):
                    if isinstance(wanted, str):
                        self.assertEqual(found, f'"{wanted}"')
                    else:
                        self.assertEqual(type(wanted)(float(found)), wanted)
                self.assert_equal_arrays("t.h5", "r.h5")
                text = self.call("run", "--from", "bad.h5", "--out", "r.h5", "--force", code=1).stdout
                self.assertIn(f"differs, first {dataset}", text)
                self.assertTrue(text.endswith("The run is not repeated: it ends with other numbers.\n"))

    def test_a_group_that_is_missing_is_named(self):
        self.call("run", TINY, "--out", "t.h5")
        self.tamper("t.h5", "bad.h5", lambda file: file.__delitem__("attention"))
        done = self.call("run", "--from", "bad.h5", "--out", "r.h5", code=1)
        self.assertIn("  /attention    differs, first /attention: no such group there, a group here\n", done.stdout)
        self.assertEqual(done.stdout.count("identical\n"), 7)

    def test_other_circumstances_are_told_before_the_work(self):
        self.call("run", TINY, "--out", "t.h5")

        def change(file):
            file["provenance/compiler"][()] = "another 1.0"
            file["provenance/cpu"][()] = "an abacus"

        self.tamper("t.h5", "other.h5", change)
        said = self.call("run", "--from", "other.h5", "--dry-run").stderr
        self.assertIn("cra: warning: equal bits are promised for one version, compiler and class of "
                      "processor; other.h5 was made with others:\n  compiler: another 1.0 there, ", said)
        self.assertIn("\n  processor: an abacus there, ", said)
        self.assertNotIn("libraries", said)
        self.call("run", "--from", "other.h5")  # and all the same repeated

    def test_a_stopped_repetition_goes_on(self):
        self.call("run", TINY, "--out", "t.h5", "--set", "training.updates=1500")
        words = ["run", "--from", "t.h5", "--out", "r.h5"]
        process = subprocess.Popen([CRA, *words], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (self.folder / "r.metrics.jsonl").exists():
            pass
        process.terminate()
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 85, said)
        self.assertIn("run --from t.h5 --out r.h5 --resume", said)
        self.call(*words, "--resume")
        self.assertIn("beside t.h5:", self.call(*words, "--resume").stdout)  # complete: told again

    def test_a_log_that_changed_is_noticed(self):
        (self.folder / "logs").mkdir()
        (self.folder / "logs/log.csv").write_text(log(5))
        (self.folder / "s.yaml").write_text(LOGGED)
        self.call("run", "s.yaml", "--out", "s.h5")
        self.call("run", "--from", "s.h5", "--out", "r.h5")
        (self.folder / "logs/log.csv").rename(self.folder / "moved.csv")
        said = self.call("run", "--from", "s.h5", "--out", "r2.h5", code=3).stderr
        self.assertIn("workload.parts.0.file names no file", said)
        self.call("run", "--from", "s.h5", "--out", "r2.h5", "--set", "workload.parts.0.file=moved.csv")
        (self.folder / "logs/log.csv").write_text(log(6))
        said = self.call("run", "--from", "s.h5", "--out", "r3.h5", code=3).stderr
        self.assertIn("cra: error: s.h5: a log or a curve changed since that run", said)
        self.assertFalse((self.folder / "r3.h5").exists())
        self.assertIn("\n  --set workload.parts.0.file=PATH names another place\n", said)

    def test_the_log_of_an_evaluation_is_held_to_its_digest(self):
        (self.folder / "logs").mkdir()
        (self.folder / "logs/log.csv").write_text(log(5))
        (self.folder / "s.yaml").write_text(LOGGED)
        self.call("evaluate", "s.yaml", "--policy", "uniform", "--out", "e.h5")
        self.call("run", "s.yaml", "--out", "s.h5")
        with h5py.File(self.folder / "e.h5") as one, h5py.File(self.folder / "s.h5") as two:
            self.assertEqual(one.attrs["run_digest"], two.attrs["run_digest"])
        self.assertEqual(self.call("run", "--from", "e.h5", "--out", "e2.h5", "--quiet").stderr, "")
        # An evaluation of the same scenario is not the end of its training.
        said = self.call("run", "s.yaml", "--out", "e.h5", "--resume", code=3).stderr
        self.assertEqual(said, "cra: error: e.h5 is of an evaluation, nothing was trained; --force replaces it\n")
        # Evaluations by earlier versions say nothing of their logs.
        self.tamper("e.h5", "old.h5", lambda file: file.attrs.__delitem__("run_digest"))
        said = self.call("run", "--from", "old.h5", "--out", "e3.h5").stderr
        self.assertIn("old.h5 records no digest of its logs and curves", said)
        (self.folder / "logs/log.csv").write_text(log(6))
        said = self.call("run", "--from", "e.h5", "--out", "e4.h5", code=3).stderr
        self.assertIn("cra: error: e.h5: a log or a curve changed since that run", said)

    def test_relative_logs_are_found_from_another_folder(self):
        project, elsewhere = self.folder / "project", self.folder / "elsewhere"
        for folder in (project / "scenarios/logs", project / "results", elsewhere):
            folder.mkdir(parents=True)
        (project / "scenarios/logs/log.csv").write_text(log(5))
        (project / "scenarios/s.yaml").write_text(LOGGED)
        self.call("run", "scenarios/s.yaml", "--out", "results/s.h5", cwd=project)
        self.call("run", "--from", "../project/results/s.h5", "--out", "r.h5", cwd=elsewhere)
        self.call("run", "--from", "s.h5", "--out", "r.h5", cwd=project / "results")
        # The repetition is as good as the original.
        self.call("run", "--from", "elsewhere/r.h5", "--out", "r.h5")
        # A log that only has the name is passed over, and is told when there is no other.
        for decoy in (elsewhere, project / "results"):
            (decoy / "scenarios/logs").mkdir(parents=True)
            (decoy / "scenarios/logs/log.csv").write_text(log(6))
        self.call("run", "--from", "../project/results/s.h5", "--out", "r2.h5", cwd=elsewhere)
        (project / "scenarios/logs/log.csv").rename(self.folder / "log.csv")
        said = self.call("run", "--from", "../project/results/s.h5", "--out", "r3.h5", cwd=elsewhere, code=3).stderr
        self.assertIn("a log or a curve changed", said)
        said = self.call("run", "--from", "project/results/s.h5", "--out", "r3.h5", code=3).stderr
        self.assertIn("scenarios/s.yaml:9:13: error: workload.parts.0.file names no file", said)
        self.assertIn("\n  --set workload.parts.0.file=PATH names another place\n", said)
        self.call("run", "--from", "project/results/s.h5", "--out", "r3.h5", "--set", "workload.parts.0.file=log.csv")

    def test_a_log_named_by_set_is_found_from_another_folder(self):
        (self.folder / "here").mkdir()
        (self.folder / "here/mine.csv").write_text(log(5))
        (self.folder / "s.yaml").write_text(LOGGED)
        self.call("run", "../s.yaml", "--set", "workload.parts.0.file=mine.csv", "--out", "s.h5",
                  cwd=self.folder / "here")
        self.call("run", "--from", "here/s.h5", "--out", "r.h5")

    def test_evaluations(self):
        self.call("run", TINY, "--out", "t.h5")
        self.call("evaluate", TINY, "--policy", "demand", "uniform", "--out", "e.h5", "--vary",
                  "workload.level=easy")
        done = self.call("run", "--from", "e.h5")
        self.assertIn("results/runs/tiny-s3-repeat.h5\n\nbeside e.h5:\n", done.stdout)
        self.assertIn("every number is the same", done.stdout)
        self.tamper("e.h5", "bad.h5", lambda file: file["eval/lost"].__setitem__((0, 0), 9.0))
        done = self.call("run", "--from", "bad.h5", "--out", "r.h5", code=1)
        self.assertIn("/eval/lost [policy demand, episode 0]: 9 there, ", done.stdout)
        self.call("evaluate", TINY, "--policy", "demand", "t.h5", "--out", "p.h5")
        said = self.call("run", "--from", "p.h5", "--out", "r.h5", "--force", code=3).stderr
        self.assertIn('p.h5: compares "t", a policy of another file, which is not in this one', said)
        self.assertIn("cra evaluate", said)

    def test_it_never_takes_the_place_of_the_original(self):
        self.call("run", TINY, "--out", "t.h5")
        before = (self.folder / "t.h5").read_bytes()
        (self.folder / "link.h5").symlink_to("t.h5")
        for out in ("t.h5", "./t.h5", "link.h5"):
            said = self.call("run", "--from", "t.h5", "--out", out, "--force", code=2).stderr
            self.assertEqual(said, f"cra: error: {out} is the result to repeat: --out names another file\n")
        self.assertEqual((self.folder / "t.h5").read_bytes(), before)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
