#!/usr/bin/python3
"""`cra export`: the tables read back as the arrays they were made from; the Minari dataset has the
layout of its standard (and loads with minari where that is installed); figures for papers come out.

usage: test_export.py CRA MAKE_RUN FOLDER_OF_TOOLS
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np
import pandas as pd
import xarray as xr

CRA, MAKE_RUN, TOOLS = (str(pathlib.Path(x).resolve()) for x in sys.argv[1:4])
SMALL = """
version: 1
name: "small"
pool: {nodes: 4, reserve: {kind: shared, efficiency: 0.8, dispatch: optimal}}
workload: {slots: 12, parts: [{kind: constant, rate: 0.5}, {kind: bursts, begin: 0.2}]}
attention: {width: 8}
training: {updates: 1, episodes: 2, replicas: 2, warmup_episodes: 2, seeds: 2}
evaluation: {episodes: 6, tuning_episodes: 2, resamples: 100, baselines: [uniform, margin]}
output: {trajectories: 3, observations: true}
"""


class Exports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.at = pathlib.Path(cls.folder.name)
        cls.sample, cls.run_file = str(cls.at / "sample.h5"), str(cls.at / "small.h5")
        subprocess.run([MAKE_RUN, cls.sample, "segments"], check=True)
        (cls.at / "small.yaml").write_text(SMALL, encoding="utf-8")
        done = subprocess.run([CRA, "run", str(cls.at / "small.yaml"), "--quiet", "--out", cls.run_file],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def export(self, *words, code=0):
        done = subprocess.run([CRA, "export", *map(str, words)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_tables_hold_the_arrays_to_the_bit(self):
        for name, source in (("a", self.sample), ("b", self.run_file)):
            target = self.at / f"tables-{name}"
            self.export(source, "--csv", target)
            for table, group, axes in (("policies", "summary", ["policy"]), ("episodes", "eval", ["policy", "episode"]),
                                       ("training", "train", ["training", "update"]), ("tuning", "tuning", ["candidate"]),
                                       ("attention", "attention", ["episode", "slot", "node"]), ("needs", "node", ["node", "resource"])):
                frame = pd.read_csv(target / f"{table}.csv", float_precision="round_trip", keep_default_na=False,
                                    na_values=[""]).set_index(axes)
                with xr.open_dataset(source, group=group) as data:
                    for variable in frame:
                        expected = xr.broadcast(data[variable], *[data[a] for a in axes])[0].transpose(*axes).values.ravel()
                        np.testing.assert_array_equal(frame[variable].to_numpy(expected.dtype), expected, f"{table} {variable}")
            slots = pd.read_csv(target / "slots_by_node.csv")
            self.assertEqual(len(slots), {"a": 2 * 3 * 40 * 5, "b": 4 * 3 * 12 * 4}[name])

    def test_texts_are_quoted_as_rfc_4180_says(self):
        self.export(self.sample, "--csv", self.at / "quoted")
        raw = (self.at / "quoted" / "scalars.csv").read_text(encoding="utf-8")
        self.assertIn('provenance,version,1,"a version with µ, 中 and a\nnewline"\n', raw)
        self.assertIn('0,demand,"{""a"": 0.5}",0.5,true\n', (self.at / "quoted" / "tuning.csv").read_text())
        rows = list(csv.reader((self.at / "quoted" / "scalars.csv").read_text(encoding="utf-8").splitlines(True), strict=True))
        self.assertEqual({len(row) for row in rows}, {4})

    def test_one_table_and_the_same_bytes_again(self):
        one, two = self.at / "one.csv", self.at / "two.csv"
        self.assertEqual(self.export(self.run_file, "--csv", one).stdout, f"{one}\n")
        self.export(self.run_file, "--csv", two)
        self.assertEqual(one.read_bytes(), two.read_bytes())
        self.assertEqual(one.read_text().splitlines()[0].split(",")[:3], ["policy", "episode", "cost"])
        self.assertIn("exists; --force replaces it", self.export(self.run_file, "--csv", one, code=1).stderr)
        self.export(self.run_file, "--csv", one, "--force")

    def minari(self, source, name):
        target = self.at / name
        self.export(source, "--minari", target)
        about = json.loads((target / "data" / "metadata.json").read_text(encoding="utf-8"))
        return target, about, h5py.File(target / "data" / "main_data.hdf5")

    def test_minari_layout_with_what_policies_saw(self):
        target, about, file = self.minari(self.run_file, "small-v0")
        with file, h5py.File(self.run_file) as run:
            t = {name: x[()] for name, x in run["trajectory"].items()}
            policies, episodes, slots, nodes = t["proportion"].shape
            self.assertEqual(about["total_episodes"], policies * episodes)
            self.assertEqual(about["total_steps"], policies * episodes * slots)
            self.assertEqual(about["dataset_id"], "small-v0")
            self.assertEqual(about["observation_names"], [x.decode() for x in t["feature"]])
            observed, acted = (json.loads(about[f"{x}_space"]) for x in ("observation", "action"))
            self.assertEqual((observed["dtype"], observed["shape"]), ("float32", [nodes, len(t["feature"])]))
            self.assertEqual((acted["shape"], np.shape(acted["high"])), ([nodes + 1], (nodes + 1,)))
            self.assertEqual(np.shape(observed["low"]), (nodes, len(t["feature"])))
            for k in range(policies * episodes):
                p, i = divmod(k, episodes)
                g = file[f"episode_{k}"]
                self.assertEqual((g.attrs["id"], g.attrs["total_steps"], g.attrs["test_episode"]), (k, slots, i))
                self.assertEqual(g.attrs["policy"], t["policy"][p].decode())
                np.testing.assert_array_equal(g["observations"][:-1], t["observation"][p, i])
                np.testing.assert_array_equal(g["observations"][-1], t["observation_end"][p, i])
                np.testing.assert_array_equal(g["actions"][:, :nodes], t["proportion"][p, i])
                np.testing.assert_array_equal(g["actions"][:, nodes], t["reserve"][p, i])
                np.testing.assert_array_equal(g["rewards"], -t["cost"][p, i])
                self.assertEqual((g["terminations"].dtype, g["truncations"].dtype), (bool, bool))
                self.assertEqual(list(np.flatnonzero(g["truncations"])), [slots - 1])
                self.assertFalse(g["terminations"][()].any())
                np.testing.assert_array_equal(g["infos/error_cost"][1:], t["error_cost"][p, i])
        try:
            os.environ["MINARI_DATASETS_PATH"] = str(target.parent)
            import minari
        except ImportError:
            return
        self.assertEqual(minari.load_dataset("small-v0").total_episodes, about["total_episodes"])

    def test_the_features_that_are_stored_are_those_of_the_state(self):
        """backlog_root is sqrt(backlog + 0.01), importance itself: as the state of /trajectory says."""
        with h5py.File(self.run_file) as run:
            t = {name: x[()] for name, x in run["trajectory"].items()}
        column = {name.decode(): i for i, name in enumerate(t["feature"])}
        before = np.concatenate([0 * t["backlog"][:, :, :1], t["backlog"]], 2)
        seen = np.concatenate([t["observation"], t["observation_end"][:, :, None]], 2)
        np.testing.assert_allclose(seen[..., column["backlog_root"]], np.sqrt(before + 0.01), rtol=1e-6)
        np.testing.assert_allclose(seen[:, :, :-1, :, column["importance"]],
                                   np.broadcast_to(t["importance"], t["backlog"].shape), rtol=1e-6)

    def test_minari_layout_with_the_state_of_the_pool(self):
        plain = self.at / "plain.h5"
        done = subprocess.run([CRA, "run", str(self.at / "small.yaml"), "--quiet", "--out", str(plain), "--set",
                               "output.observations=false"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        _, about, file = self.minari(plain, "plain-v0")
        with file, h5py.File(plain) as run:
            t, initial = {name: x[()] for name, x in run["trajectory"].items()}, run["node/initial_rate"][()]
            names = about["observation_names"]
            x = file["episode_4"]["observations"][()]  # the second policy's second episode
            self.assertEqual(x.shape, (13, 4, len(names)))
            np.testing.assert_array_equal(x[1:, :, names.index("backlog")], t["backlog"][1, 1])
            np.testing.assert_array_equal(x[0, :, names.index("backlog")], 0)
            np.testing.assert_array_equal(x[0, :, names.index("rate")], initial)
            np.testing.assert_array_equal(x[1:, :, names.index("arrivals")], t["arrivals"][1])
            np.testing.assert_array_equal(x[:-1, :, names.index("importance")], t["importance"][1])
            self.assertTrue(np.isfinite(x).all())

    def test_what_cannot_be_exported_is_said(self):
        self.assertIn("cra export needs a form", self.export(self.sample, code=2).stderr)
        self.assertIn("letters, digits", self.export(self.sample, "--minari", self.at / "a b", code=2).stderr)
        self.assertIn("not an HDF5 file", self.export(self.at / "small.yaml", "--csv", self.at / "x.csv", code=3).stderr)

    def test_figures_for_papers(self):
        done = subprocess.run([sys.executable, f"{TOOLS}/paper_figures.py", self.run_file, "--out", str(self.at / "figures")],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("learning_curves", "allocation", "attention_maps", "attention_and_value", "regret", "node_errors",
                     "cost_terms", "gap_closed", "differences", "episodes", "regret_over_time"):
            raw = (self.at / "figures" / f"{name}.pdf").read_bytes()
            self.assertTrue(raw.startswith(b"%PDF-"), name)
            self.assertIn(b"/FontFile2", raw, name)  # TrueType, embedded
            self.assertNotIn(b"/Type3", raw, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
