#!/usr/bin/python3
"""Every shipped scenario, from its result file alone: all slots follow from the equations of
results/FORMAT.md, the episodes from the slots, the printed table from the episodes; to 1e-9.

usage: test_shipped_replay.py CRA FOLDER_OF_SCENARIOS

Runs are cut short; scenarios that need a log get a made-up one in the same form.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

CRA, FOLDER = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(FOLDER.parent / "tools"))
import cra_results  # noqa: E402

EPISODES = 3
# Two trainings, so that the mean over them is in the table; every episode is recorded.
SHORT = ["training.updates=2", "training.warmup_episodes=2", "training.episodes=2", "training.replicas=2",
         "training.seeds=2", "evaluation.tuning_episodes=1", f"evaluation.episodes={EPISODES}", "evaluation.resamples=1000",
         "evaluation.baselines=[uniform, margin]", f"output.trajectories={EPISODES}", "workload.slots=24"]


def requests(path):
    """A log as llm_serving reads it: 2,000 requests in 1,000 s."""
    draw = np.random.default_rng(1)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for ms in np.sort(draw.integers(0, 1_000_000, 2000)):
        minute, second = divmod(int(ms) // 1000, 60)
        lines.append(f"2023-11-16 18:{minute:02}:{second:02}.{ms % 1000:03},"
                     f"{draw.integers(10, 4000)},{draw.integers(5, 500)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def instances(path):
    """A log as dlrm_three_resources reads it: 2,400 instances of 24 applications in 31 days."""
    draw = np.random.default_rng(2)
    lines = ["app_name,cpu_request,gpu_request,rdma_request,creation_time,deletion_time"]
    for start in np.sort(draw.integers(0, 31 * 86400, 2400)):
        app = int(draw.integers(24))
        lines.append(f"app_{app},{1 + app % 5},{app % 3},{app % 7},{start},{start + draw.integers(600, 90000)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cluster_jobs(path):
    """A log in the Standard Workload Format, as batch_cluster reads it: 4,000 jobs in 90 days."""
    draw = np.random.default_rng(3)
    times = np.sort(draw.integers(0, 90 * 86400, 4000))
    widths = draw.choice(np.arange(1, 17), 4000, p=np.arange(16, 0, -1) / 136)
    rows = [f"{i + 1} {t} -1 {draw.integers(60, 40000)} {w} -1 -1 {w} -1 -1 1 -1 -1 -1 0 -1 -1 -1"
            for i, (t, w) in enumerate(zip(times, widths))]
    path.write_text("; MaxNodes: 256\n; MaxProcs: 256\n" + "\n".join(rows) + "\n", encoding="utf-8")


MODELS = ("ncf", "cifar10", "deepspeech2", "bert", "yolov3", "imagenet")


def training_jobs(folder):
    """Sequences of jobs and learning curves, as training_real_curves reads them."""
    draw, settings = np.random.default_rng(4), []
    for i in range(6):
        rows = [f"{time},{model}" for time, model in zip(np.sort(draw.integers(0, 28800, 60)), draw.choice(MODELS, 60))]
        (folder / f"jobs{i}.csv").write_text("time,application\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for kind, numbers in (("train", range(4)), ("test", range(4, 6))):
        settings += [f"progress.jobs.{kind}_files.{k}={folder}/jobs{i}.csv" for k, i in enumerate(numbers)]
    text = (FOLDER / "training_real_curves.yaml").read_text(encoding="utf-8")
    for i, model in enumerate(MODELS):
        # Accuracies rise and losses fall: which one a curve is stands in the scenario.
        part = text[text.index(f"file: data/{model}/"):].split("- group:")[0]
        progress = np.linspace(0, 50000, 20)
        metric = 0.9 * (1 - np.exp(-progress / 9000)) if "accuracy" in part else 0.1 + 0.8 * np.exp(-progress / 9000)
        if "/ 100" in part or "percent" in part or "metric_scale: 0.01" in part:
            metric = metric * 100
        path = folder / f"{model}.csv"
        path.write_text("progress,metric\n" + "".join(f"{p},{m}\n" for p, m in zip(progress, metric)), encoding="utf-8")
        settings.append(f"progress.error.curves.{i}.file={path}")
    return settings


def logs_for(name, folder):
    """Settings that give a scenario its log."""
    made = {"llm_serving": requests, "dlrm_three_resources": instances, "batch_cluster": cluster_jobs}
    if name in made:
        path = folder / ("log.swf" if name == "batch_cluster" else "log.csv")
        made[name](path)
        return [f"workload.parts.0.file={path}"]
    return training_jobs(folder) if name == "training_real_curves" else []


def run_short(scenario, folder):
    """-> path of the result of a short run of a shipped scenario"""
    result = folder / f"{scenario.stem}.h5"
    words = [w for s in SHORT + logs_for(scenario.stem, folder) for w in ("--set", s)]
    done = subprocess.run([CRA, "run", str(scenario), *words, "--quiet", "--threads", "1", "--out", str(result)],
                          capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    if done.returncode != 0:
        raise AssertionError(f"{scenario.name}: {done.stderr}")
    return result


class ShippedScenarios(unittest.TestCase):
    def each(self):
        for scenario in sorted(FOLDER.glob("*.yaml")):
            with self.subTest(scenario.name), tempfile.TemporaryDirectory() as folder:
                yield run_short(scenario, pathlib.Path(folder))

    def test_slots_episodes_and_table_follow_from_the_file_alone(self):
        seen = 0
        for path in self.each():
            run = cra_results.open_result(path)
            run.verify()
            worst = run.replay_errors()
            self.assertLessEqual(worst.max(), 1e-9, worst.idxmax())
            # Every episode is recorded, so all of /eval is a mean of slots that were recomputed.
            e, t = run["eval"], run["trajectory"]
            self.assertEqual(t.sizes["episode"], EPISODES)
            for name in ("cost", "error_cost", "switching_cost", "fairness_cost", "use_cost", "score"):
                np.testing.assert_allclose(e[name], t[name].mean("slot"), rtol=0, atol=1e-9, err_msg=name)
            again, stored = run.recompute(), run.policies().set_index("policy")
            for name in again:
                np.testing.assert_allclose(again[name], stored[name], rtol=1e-9, atol=1e-9, err_msg=name)
            self.assertEqual(set(stored.kind) - {"heuristic", "learned", "bound"}, set())
            self.assert_intervals(run, stored)
            seen += 1
        self.assertGreaterEqual(seen, 18)

    def assert_intervals(self, run, stored):
        """The ends of the bootstrap intervals, drawn anew: with three episodes the mean of a resample
        takes 10 values, so the ends are among those and must be met exactly, unless a percentile
        falls between two of them."""
        s, e = run.summary(), run["eval"]
        trained = e.training.values >= 0
        reference = e.cost.sel(policy=s.best_heuristic).values
        for policy, row in stored.iterrows():
            if np.isnan(row.ci_low):
                continue
            cost = e.cost.values[trained].mean(0) if policy == s.learned else e.cost.sel(policy=policy).values
            d = cost - reference
            picks = np.array(np.meshgrid(*[range(EPISODES)] * EPISODES)).reshape(EPISODES, -1)
            means = np.unique(d[picks].mean(0).round(12))
            self.assertGreaterEqual(row.ci_low, d.min() - 1e-9)
            self.assertLessEqual(row.ci_high, d.max() + 1e-9)
            # 1 of 27 resamples is the least: 3.7 % > 2.5 %, so both ends are the extremes.
            self.assertAlmostEqual(row.ci_low, means.min(), delta=1e-9 + (np.ptp(d) if len(means) < 10 else 0))
            self.assertAlmostEqual(row.ci_high, means.max(), delta=1e-9 + (np.ptp(d) if len(means) < 10 else 0))

    def test_a_number_of_the_table_that_is_off_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            path = run_short(FOLDER / "quickstart.yaml", pathlib.Path(folder))
            for name in ("cost", "cost_se", "paired_difference", "paired_se", "gap_closed", "score"):
                with h5py.File(path, "r+") as file:
                    data = file["summary"][name]
                    at = int(np.flatnonzero(np.isfinite(data[()]))[0])
                    data[at] += 1e-6
                run = cra_results.open_result(path)
                again, stored = run.recompute(), run.policies().set_index("policy")
                self.assertGreater(np.nanmax(np.abs(again[name] - stored[name])), 9e-7, name)
                with self.assertRaises(cra_results.ResultError):
                    run.verify()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
