"""Whole runs of the program: the same bits for every thread count, after every kill and signal.

usage: test_cli_runs.py CRA TINY.yaml [unittest options]
Random moments come from CRA_TEST_SEED, which is printed, so a failure can be played again.
"""

import json
import os
import pathlib
import pty
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

CRA = str(pathlib.Path(sys.argv[1]).resolve())
TINY = str(pathlib.Path(sys.argv[2]).resolve())
SEED = int(os.environ.get("CRA_TEST_SEED", "1"))
GROUPS = ("train", "eval", "policy", "trajectory", "attention", "node", "tuning")
LONG = ["--set", "training.updates=150", "--set", "training.checkpoint_every=7"]


def environment(**more):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("OMP_", "SLURM_")) and k not in ("NO_COLOR", "TERM")}
    # Waiting threads sleep: on a busy machine spinning ones cost more than the work.
    return {"OMP_WAIT_POLICY": "passive", **kept, **more}


def contents(path):
    """Every dataset of the groups that must not depend on anything but the scenario, as bytes."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            data = np.asarray(item[()])
            raw = repr(data.tolist()) if data.dtype.hasobject else data.tobytes()
            found[name] = (str(item.dtype), item.shape, raw)

    with h5py.File(path, "r") as file:
        for group in GROUPS:
            if group == "attention" and group not in file:
                continue  # it has no say in what was learned
            file[group].visititems(lambda name, item, g=group: visit(f"{g}/{name}", item))
    return found


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.random = random.Random(SEED)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def call(self, *words, code=0, **more):
        done = subprocess.run([CRA, *words], cwd=self.folder.name, env=environment(**more),
                              timeout=120, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, f"cra {shlex.join(words)}\n{done.stderr}")
        return done

    def start(self, *words):
        process = subprocess.Popen([CRA, *words], cwd=self.folder.name, env=environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def end():  # also when the test fails in between
            process.kill()
            process.wait()
            process.stderr.close()

        self.addCleanup(end)
        return process

    def wait_for_rows(self, name, rows):
        """Until the metrics file `name` has that many rows."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if pathlib.Path(self.path(name)).read_bytes().count(b"\n") >= rows:
                    return
            except FileNotFoundError:
                pass
            time.sleep(0.002)
        self.fail(f"{name} never had {rows} rows")

    def assert_same(self, a, b):
        first, second = contents(self.path(a)), contents(self.path(b))
        self.assertEqual(first.keys(), second.keys())
        self.assertGreater(len(first), 50)
        for name, value in first.items():
            self.assertEqual(value, second[name], f"{name} differs between {a} and {b}")

    def assert_metrics_whole(self, name, updates):
        lines = pathlib.Path(self.path(name)).read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        self.assertEqual([row["update"] for row in rows], list(range(1, updates + 1)))
        with h5py.File(self.path(name.replace(".metrics.jsonl", ".h5"))) as file:
            for key in ("env_steps", "cost", "score", "gradient_norm", "learning_rate", "entropy",
                        "sigma"):
                np.testing.assert_array_equal([row[key] for row in rows], file["train"][key][0])

    # ---- determinism -------------------------------------------------------------------

    def test_same_bits_twice_and_for_every_thread_count(self):
        self.call("run", TINY, "--out", "a.h5")
        self.call("run", TINY, "--out", "b.h5")
        self.assert_same("a.h5", "b.h5")
        self.assertIn("attention/marginal_value", contents(self.path("a.h5")))
        for threads in "123":
            self.call("run", TINY, "--out", f"t{threads}.h5", "--threads", threads)
            self.assert_same("a.h5", f"t{threads}.h5")
        self.call("run", TINY, "--out", "omp.h5", OMP_NUM_THREADS="5")
        self.assert_same("a.h5", "omp.h5")

    def test_the_comparison_sees_another_seed(self):
        self.call("run", TINY, "--out", "a.h5")
        self.call("run", TINY, "--out", "b.h5", "--seed", "4")
        with self.assertRaises(AssertionError):
            self.assert_same("a.h5", "b.h5")

    def test_threads_come_from_the_option_then_omp_then_slurm(self):
        def threads(*words, **more):
            self.call("run", TINY, "--out", "t.h5", "--force", *words, **more)
            with h5py.File(self.path("t.h5")) as file:
                return int(file["provenance/threads"][()])
        self.assertEqual(threads(SLURM_CPUS_PER_TASK="3"), 3)
        self.assertEqual(threads(SLURM_CPUS_PER_TASK="3", OMP_NUM_THREADS="2"), 2)
        self.assertEqual(threads("--threads", "4", OMP_NUM_THREADS="2"), 4)

    def test_without_updates_the_policy_is_its_base(self):
        for base in ("best", "uniform", "gcmu_soft"):
            self.call("run", TINY, "--out", "z.h5", "--force", "--set", "training.updates=0",
                      "--set", f"agent.base={base}", "--set", "agent.base_floor=0", "--set", "evaluation.baselines=[]")
            with h5py.File(self.path("z.h5")) as file:
                names = [n.decode() for n in file["eval/policy"][()]]
                used = file["policy/base"][()].decode()
                cost = file["eval/cost"][()]
            if base != "best":
                self.assertEqual(used, base)
            learned, heuristic = cost[0], cost[names.index(used)]
            # Only weights below 1e-9 of the largest are lifted to it, as the pool itself does.
            np.testing.assert_allclose(learned, heuristic, rtol=1e-12, atol=0)

    def test_es_starts_from_the_best_that_has_knobs(self):
        for learner, base in (("reinforce", "uniform"), ("es", "dynamic_attention")):
            self.call("run", TINY, "--out", f"{learner}.h5", "--set", f"agent.learner={learner}", "--set", "pool.lag=1",
                      "--set", "evaluation.baselines=[uniform,dynamic_attention]",
                      "--set", "workload.parts=[{kind: constant, rate: 0.4}]")
            with h5py.File(self.path(f"{learner}.h5")) as file:
                self.assertEqual(file["policy/base"][()].decode(), base)

    def test_a_gpu_that_is_missing_is_told_before_anything_else(self):
        doctor = self.call("doctor", "--json").stdout
        if json.loads(doctor)["gpus"] != "none":
            self.skipTest("there is one")
        for words in (("run", TINY), ("evaluate", TINY, "--policy", "uniform")):
            said = self.call(*words, "--out", "g.h5", "--device", "cuda", code=1).stderr
            self.assertIn("use --device cpu", said)
            self.assertFalse(os.path.exists(self.path("g.h5")))

    # ---- kill, stop, resume ------------------------------------------------------------

    def test_killed_at_random_moments_and_resumed(self):
        start = time.monotonic()
        self.call("run", TINY, "--out", "whole.h5", *LONG)
        whole = time.monotonic() - start  # moments are shares of it: machines differ
        kills, attempts = 0, 0
        for moment in range(4):
            name = f"killed{moment}"
            done = False
            while not done:
                attempts += 1
                process = self.start("run", TINY, "--out", f"{name}.h5", "--resume", *LONG)
                try:
                    process.wait(self.random.uniform(0.05, 0.7) * whole if attempts % 8 else 60)
                    done = True
                    self.assertEqual(process.returncode, 0, process.stderr.read())
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    if os.path.exists(self.path(f"{name}.h5")):
                        self.call("check", f"{name}.h5")
                process.stderr.close()
            self.assert_same("whole.h5", f"{name}.h5")
            self.assert_metrics_whole(f"{name}.metrics.jsonl", 150)
            self.call("check", f"{name}.h5")
            left = {n for n in os.listdir(self.folder.name) if n.startswith(name)}
            self.assertEqual(left, {f"{name}.h5", f"{name}.metrics.jsonl"})
        self.assertGreaterEqual(kills, 4, "no run was interrupted: shorten the times")

    def test_signals_checkpoint_and_the_printed_command_resumes(self):
        self.call("run", TINY, "--out", "whole.h5", *LONG)
        for name in ("INT", "TERM", "USR1"):
            process = self.start("run", TINY, "--out", f"{name}.h5", *LONG)
            self.wait_for_rows(f"{name}.metrics.jsonl", 20)
            process.send_signal(getattr(signal, f"SIG{name}"))
            _, text = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 85, text)
            self.assertFalse(os.path.exists(self.path(f"{name}.h5")))
            self.assertIn(f"cra: stopped by {name} after ", text)
            self.assertIn("checkpoint written; go on with\n", text)
            command = text.splitlines()[-1].strip()
            self.assertTrue(command.endswith(" --resume"), command)
            subprocess.run(command, shell=True, cwd=self.folder.name, env=environment(), timeout=60,
                           check=True, capture_output=True)
            self.assert_same("whole.h5", f"{name}.h5")
            self.assert_metrics_whole(f"{name}.metrics.jsonl", 150)
            with h5py.File(self.path(f"{name}.h5")) as file:
                self.assertEqual(int(file["provenance/attempts"][()]), 2)

    def test_several_trainings_stopped_in_each_and_resumed(self):
        several = [*LONG[:1], "training.updates=40", "--set", "training.checkpoint_every=7", "--set",
                   "training.seeds=3"]
        whole = self.call("run", TINY, "--out", "whole.h5", "--json", *several)
        self.call("check", "whole.h5")
        for training in range(3):
            name = f"stopped{training}"
            process = self.start("run", TINY, "--out", f"{name}.h5", *several)
            self.wait_for_rows(f"{name}.metrics.jsonl", 40 * training + 10)
            process.send_signal(signal.SIGTERM)
            _, text = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 85, text)
            self.assertRegex(text, rf"of 40 updates of training [{training + 1}-3] of 3; checkpoint")
            self.call("run", TINY, "--out", f"{name}.h5", "--resume", *several)
            self.assert_same("whole.h5", f"{name}.h5")
            rows = [json.loads(line) for line in
                    pathlib.Path(self.path(f"{name}.metrics.jsonl")).read_text().splitlines()]
            self.assertEqual([(row["training"], row["update"]) for row in rows],
                             [(k, u) for k in range(3) for u in range(1, 41)])
        again = self.call("run", TINY, "--out", "whole.h5", "--json", "--resume", *several)
        self.assertEqual(again.stdout, whole.stdout)  # from the file alone
        printed = json.loads(whole.stdout)
        with h5py.File(self.path("whole.h5")) as file:
            train, cost = file["train"], file["eval/cost"][()]
            np.testing.assert_array_equal(file["eval/training"][()], [0, 1, 2, -1, -1, -1])
            self.assertEqual(len({row.tobytes() for row in cost[:3]}), 3)
            learned = printed["policies"][0]
            self.assertEqual(learned["name"], "attention + reinforce")
            self.assertAlmostEqual(learned["cost"], cost[:3].mean(), delta=1e-12)
            self.assertAlmostEqual(learned["cost_se"], cost[:3].mean(0).std(ddof=1) / 12 ** 0.5, delta=1e-12)
            self.assertAlmostEqual(float(file["summary/training_se"][()]),
                                   cost[:3].mean(1).std(ddof=1) / 3 ** 0.5, delta=1e-12)
            validation = train["validation_cost"][()]
            np.testing.assert_array_equal(train["stored"][()], validation.min(1) == validation.min())
            np.testing.assert_array_equal(train["kept_update"][()],
                                          train["validation"][()][validation.argmin(1)])
            for k, seed in enumerate(printed["training"]["seeds"]):
                self.assertAlmostEqual(seed["cost"], cost[k].mean(), delta=1e-12)
                self.assertEqual(seed["validation_cost"], validation[k].min())
            stored = int(train["stored"][()].argmax())
        # The stored policy is the one of that training.
        done = self.call("evaluate", TINY, "--policy", "whole.h5", "demand", "--out", "e.h5", "--json")
        self.assertAlmostEqual(json.loads(done.stdout)["policies"][0]["cost"], cost[stored].mean(),
                               delta=1e-12)

    def test_second_interrupt_stops_at_once_and_keeps_the_checkpoint(self):
        slow = ["--set", "training.episodes=20", "--set", "training.replicas=100", "--set",
                "training.updates=1000", "--set", "training.checkpoint_every=1"]
        process = self.start("run", TINY, "--out", "x.h5", *slow)
        self.wait_for_rows("x.metrics.jsonl", 2)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        then = time.monotonic()
        process.communicate(timeout=30)
        # Two signals at the same moment may melt into one: then the run stops in order.
        self.assertIn(process.returncode, (130, 85))
        for _ in range(20):
            process = self.start("run", TINY, "--out", "x.h5", "--resume", *slow)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            then = time.monotonic()
            process.communicate(timeout=30)
            if process.returncode == 130:
                break
        self.assertEqual(process.returncode, 130)
        self.assertLess(time.monotonic() - then, 1)
        self.assertTrue(os.path.exists(self.path("x.h5.checkpoint")))
        rows = pathlib.Path(self.path("x.metrics.jsonl")).read_bytes().count(b"\n")
        process = self.start("run", TINY, "--out", "x.h5", "--resume", *slow)
        self.wait_for_rows("x.metrics.jsonl", rows + 2)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 85, text)

    def test_a_signal_while_the_bound_is_computed(self):
        words = ["run", TINY, "--out", "x.h5", "--set", "evaluation.episodes=3000"]
        master, slave = self.terminal()
        process = subprocess.Popen([CRA, *words], cwd=self.folder.name,
                                   env=environment(TERM="xterm"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        self.addCleanup(os.close, master)
        self.addCleanup(process.kill)
        text = b""
        while b"bounding the cost" not in text:
            text += os.read(master, 65536)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 85)
        self.assertFalse(os.path.exists(self.path("x.h5")))
        done = self.call(*words, "--resume")
        self.assertIn("certified; feasible", done.stdout)
        self.call(*words[:2], "--out", "whole.h5", *words[4:])
        self.assert_same("x.h5", "whole.h5")

    def test_a_checkpoint_of_another_run_is_refused(self):
        process = self.start("run", TINY, "--out", "x.h5", *LONG)
        self.wait_for_rows("x.metrics.jsonl", 10)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        done = self.call("run", TINY, "--out", "x.h5", "--resume", *LONG, "--seed", "9", "--set",
                         "pool.lag=0.5", code=3)
        self.assertEqual(
            done.stderr,
            "cra: error: x.h5.checkpoint is of another run; --force starts again\n"
            "  pool.lag is 0.3 there, 0.5 here\n  seed is 3 there, 9 here\n")
        self.call("run", TINY, "--out", "x.h5", "--force", *LONG)

    def test_two_runs_never_share_an_output(self):
        process = self.start("run", TINY, "--out", "x.h5", "--set", "training.updates=100000")
        self.wait_for_rows("x.metrics.jsonl", 1)
        done = self.call("run", TINY, "--out", "x.h5", "--force", code=1)
        self.assertEqual(done.stderr, f"cra: error: x.h5 is in use by process {process.pid} "
                                      "(lock file x.h5.lock)\n")
        process.kill()
        process.communicate()
        self.call("run", TINY, "--out", "x.h5", "--force")

    # ---- what cannot be written --------------------------------------------------------

    def test_metrics_that_cannot_be_written_do_not_stop_the_run(self):
        os.mkdir(self.path("x.metrics.jsonl"))
        done = self.call("run", TINY, "--out", "x.h5", "--force")
        self.assertEqual(done.stderr.count("warning"), 1, done.stderr)
        self.assertIn("the run goes on without its metrics file", done.stderr)
        self.call("check", "x.h5")

    def test_checkpoints_that_cannot_be_written_stop_the_run_after_the_third(self):
        os.mkdir(self.path("there"))
        process = self.start("run", TINY, "--out", "there/x.h5", "--set", "training.updates=100000",
                             "--set", "training.checkpoint_every=50")
        self.wait_for_rows("there/x.metrics.jsonl", 60)
        os.rename(self.path("there"), self.path("away"))
        _, text = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, text)
        why = "cannot write there/x.h5.checkpoint: No such file or directory"
        self.assertEqual([line for line in text.splitlines() if "cra: " in line],
                         [f"cra: warning: {why}; training goes on",
                          f"cra: error: three checkpoints in a row could not be written: {why}"])
        # The one from before the trouble is whole: the run goes on where it was.
        os.rename(self.path("away"), self.path("there"))
        rows = pathlib.Path(self.path("there/x.metrics.jsonl")).read_bytes().count(b"\n")
        process = self.start("run", TINY, "--out", "there/x.h5", "--resume", "--set",
                             "training.updates=100000", "--set", "training.checkpoint_every=50")
        self.wait_for_rows("there/x.metrics.jsonl", rows + 10)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85, text)

    # ---- output ------------------------------------------------------------------------

    def test_json_is_one_object_with_the_promised_keys(self):
        done = self.call("run", TINY, "--out", "x.h5", "--json")
        found = json.loads(done.stdout)
        self.assertEqual(list(found), ["schema_version", "scenario", "seed", "episodes", "bound",
                                       "policies", "best_heuristic", "training", "attention", "result"])
        self.assertEqual(list(found["bound"]), ["lower", "upper", "certified"])
        self.assertIs(found["bound"]["certified"], True)
        self.assertEqual(list(found["training"]), ["updates", "env_steps", "seconds", "seeds"])
        self.assertEqual((found["scenario"], found["seed"], found["episodes"], found["result"]),
                         ("tiny", 3, 12, "x.h5"))
        self.assertEqual([p["name"] for p in found["policies"]],
                         ["attention + reinforce", "uniform", "demand", "demand_backlog",
                          "clairvoyant"])
        with h5py.File(self.path("x.h5")) as file:
            summary = file["summary"]
            self.assertEqual([float(summary[f"bound_{side}"][()]) for side in ("lower", "upper")],
                             [found["bound"][side] for side in ("lower", "upper")])
            self.assertEqual(summary["best_heuristic"][()].decode(), found["best_heuristic"])
            for i, policy in enumerate(found["policies"]):
                self.assertEqual(list(policy), [
                    "name", "kind", "tuned", "cost", "cost_se", "score", "paired_difference",
                    "paired_se", "ci_low", "ci_high", "episodes_won", "gap_closed"])
                self.assertIsInstance(policy["tuned"], bool)
                for key in ("cost", "cost_se", "score", "paired_difference", "paired_se", "ci_low",
                            "ci_high", "episodes_won", "gap_closed"):
                    stored = float(summary[key][i])
                    if policy[key] is None:
                        self.assertTrue(np.isnan(stored))
                        self.assertIn(policy["name"], (found["best_heuristic"], "clairvoyant"))
                    else:
                        self.assertEqual(policy[key], stored)
            attention, stored = found["attention"], file["attention"]
            self.assertEqual(list(attention), ["policy", "episodes", "slots", "nodes_looked_at", "entropy",
                                               "entropy_share", "rank_correlation"])
            self.assertEqual((attention["policy"], attention["episodes"], attention["slots"]),
                             ("attention + reinforce", 8, 1))
            entropy = stored["entropy"][()].mean()
            np.testing.assert_allclose(
                [attention[k] for k in ("nodes_looked_at", "entropy", "entropy_share")],
                [np.exp(entropy), entropy, entropy / np.log(4)], rtol=1e-12)
            self.assertEqual(list(attention["rank_correlation"]),
                             [name.decode() for name in stored["quantity"]])
            for i, both in enumerate(attention["rank_correlation"].values()):
                self.assertEqual((both["mean"], both["se"]),
                                 (stored["mean_correlation"][i], stored["correlation_se"][i]))
        again = json.loads(self.call("run", TINY, "--out", "x.h5", "--json", "--resume").stdout)
        self.assertEqual(found, again)

    def test_nothing_is_said_of_attention_that_has_no_say(self):
        for change in ("attention.kind.kind=none", "training.updates=0", "evaluation.explained_episodes=0",
                       "agent.learner.kind=es"):
            done = self.call("run", TINY, "--out", "x.h5", "--force", "--set", change)
            self.assertNotIn("Attention", done.stdout, change)
            found = json.loads(self.call("run", TINY, "--out", "x.h5", "--resume", "--json", "--set", change).stdout)
            self.assertIsNone(found["attention"], change)
            with h5py.File(self.path("x.h5")) as file:
                self.assertNotIn("attention", file, change)
            self.call("check", "x.h5")
        # Heuristics have none; of two policies neither is the one to explain.
        self.call("run", TINY, "--out", "one.h5")
        pathlib.Path(self.path("two.h5")).write_bytes(pathlib.Path(self.path("one.h5")).read_bytes())
        for policies in (["demand"], ["one.h5", "two.h5"]):
            done = self.call("evaluate", TINY, "--out", "e.h5", "--force", "--policy", *policies)
            self.assertNotIn("Attention", done.stdout)

    def test_the_attention_of_the_stored_training_is_explained(self):
        self.call("run", TINY, "--out", "three.h5", *LONG[:1], "training.updates=40", "--set",
                  "training.seeds=3", "--set", "output.trajectories=8")
        self.call("evaluate", TINY, "--policy", "three.h5", "--out", "e.h5")
        with h5py.File(self.path("three.h5")) as run, h5py.File(self.path("e.h5")) as again:
            stored = int(run["train/stored"][()].argmax())
            name = f"attention + reinforce #{stored + 1}"
            self.assertEqual(run["attention/policy"][()].decode(), name)
            self.assertEqual(again["attention/policy"][()], b"three")
            slots = run["attention/slot"][()]
            of_training = run["trajectory/proportion"][()][:, :, slots]
            for k in range(3):
                same = np.array_equal(of_training[k], run["attention/allocation"][()])
                self.assertEqual(same, k == stored)
            for variable in run["attention"]:
                if variable != "policy":
                    np.testing.assert_array_equal(run["attention"][variable][()], again["attention"][variable][()])

    def test_without_a_bound_nothing_is_said_of_one(self):
        switch = "evaluation.bound=false"
        done = self.call("run", TINY, "--out", "x.h5", "--force", "--set", switch)
        self.assertEqual(done.stderr, "")
        for word in ("clairvoyant", "gap", "no policy"):
            self.assertNotIn(word, done.stdout)
        found = self.call("run", TINY, "--out", "x.h5", "--resume", "--json", "--quiet", "--set", switch)
        self.assertEqual(found.stderr, "")
        found = json.loads(found.stdout)
        self.assertEqual(found["bound"], {"lower": None, "upper": None, "certified": None})
        self.assertEqual({p["gap_closed"] for p in found["policies"]}, {None})
        self.call("check", "x.h5")

    def test_bounds_do_not_depend_on_how_many_episodes_follow(self):
        """More than one chunk of episodes, and the first of them as in a run with fewer."""
        words = ("evaluate", TINY, "--policy", "uniform", "--set")
        self.call(*words, "evaluation.episodes=37", "--out", "many.h5", "--threads", "2")
        self.call(*words, "evaluation.episodes=5", "--out", "few.h5", "--threads", "1")
        with h5py.File(self.path("many.h5")) as many, h5py.File(self.path("few.h5")) as few:
            for name in ("bound_lower", "bound_upper", "bound_relaxed", "bound_steps"):
                self.assertEqual(len(many["eval"][name]), 37)
                np.testing.assert_array_equal(many["eval"][name][:5], few["eval"][name][()])

    def test_quiet_says_nothing_and_the_last_line_is_the_result(self):
        done = self.call("run", TINY, "--quiet")
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.splitlines()[-1], "results/runs/tiny-s3.h5")
        self.assertEqual(self.call("check", done.stdout.splitlines()[-1]).returncode, 0)

    def terminal(self):
        try:
            return pty.openpty()
        except OSError as reason:  # a chroot without /dev/pts
            self.skipTest(str(reason))

    def on_a_terminal(self, *words, **more):
        """Everything the program writes to stderr when that is a terminal."""
        master, slave = self.terminal()
        process = subprocess.Popen([CRA, *words], cwd=self.folder.name, env=environment(**more),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=slave)
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            text += piece
        os.close(master)
        process.wait(60)
        return text.decode()

    def test_colour_and_bar_only_on_a_terminal_that_wants_them(self):
        red = "\x1b[31;1merror:"
        self.assertIn(red, self.on_a_terminal("run", "nowhere.yaml", TERM="xterm"))
        plain = "nowhere.yaml: error:"
        for more in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
            text = self.on_a_terminal("run", "nowhere.yaml", **more)
            self.assertIn(plain, text)
            self.assertNotIn("\x1b", text)
        self.assertIn(red, self.on_a_terminal("run", "nowhere.yaml", TERM="xterm", NO_COLOR=""))
        self.assertNotIn("\x1b", self.call("run", "nowhere.yaml", code=3, TERM="xterm").stderr)
        # Long enough for the bar, which is drawn ten times a second.
        longer = ["--set", "training.updates=1500"]
        bar = self.on_a_terminal("run", TINY, "--out", "x.h5", *longer, TERM="xterm")
        self.assertIn("\r[", bar)
        self.assertRegex(bar, r"training \d+/1500 \(\d+ %\)")
        self.assertRegex(bar, r"env-steps/s")
        self.assertTrue(bar.endswith("\r\x1b[K"), "the bar is left on the screen")
        self.assertEqual(self.on_a_terminal("run", TINY, "--out", "y.h5", "--quiet"), "")
        self.assertNotIn("\r", self.call("run", TINY, "--out", "z.h5").stderr)

    def test_the_locale_changes_nothing(self):
        here = self.call("run", TINY, "--out", "a.h5", LC_ALL="C")
        there = self.call("run", TINY, "--out", "b.h5", LC_ALL="de_DE.UTF-8", TZ="Asia/Kolkata")
        self.assert_same("a.h5", "b.h5")
        table = [line for line in here.stdout.splitlines() if line.startswith("  ")]
        self.assertEqual(table, [line for line in there.stdout.splitlines()
                                 if line.startswith("  ")])


if __name__ == "__main__":
    print(f"CRA_TEST_SEED={SEED}")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
