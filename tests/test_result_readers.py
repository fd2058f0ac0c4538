#!/usr/bin/python3
"""Result files open everywhere: xarray with both engines and no options, h5py, pandas; and the
slots of /trajectory follow from the equations alone.

Usage: test_result_readers.py MAKE_RUN    (the program that writes a sample)
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np
import pandas as pd
import xarray as xr

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
import cra_results  # noqa: E402

REPLAY = [sys.executable, str(HERE.parent / "tools" / "cra_replay.py")]
ENGINES = ("h5netcdf", "netcdf4")


def table_of_format():
    """(group, name) -> (type, axes, units, long_name) as written in FORMAT.md."""
    table, group = {}, None
    for line in (HERE.parent / "results" / "FORMAT.md").read_text().splitlines():
        if line.startswith("## "):
            group = None
        if line.startswith("### `/"):
            group = line.split("`")[1][1:]
        if group and line.startswith("| `"):
            name, kind, axes, units, meaning = (x.strip() for x in line.strip("|").split("|"))
            axes = () if axes == "scalar" else tuple(axes.split(","))
            table[group, name.strip("`")] = (kind, axes, units, meaning.split("; NaN")[0].split("; left out")[0])
    return table


TABLE = table_of_format()
# In a file, /segment stands in place of /trajectory.
GROUPS = sorted({group for group, _ in TABLE} - {"segment"})
DTYPES = {"f8": "float64", "f4": "float32", "i8": "int64", "bool": "bool"}


class Files(unittest.TestCase):
    """The samples, written once."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.full = f"{cls.folder.name}/full.h5"
        cls.empty = f"{cls.folder.name}/empty.h5"
        subprocess.run([MAKE_RUN, cls.full], check=True)
        subprocess.run([MAKE_RUN, cls.empty, "empty"], check=True)
        cls.split = f"{cls.folder.name}/split.h5"
        subprocess.run([MAKE_RUN, cls.split, "segments"], check=True)
        cls.segments = sorted(map(str, pathlib.Path(cls.folder.name).glob("split.trajectories-*.h5")))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()


class Readers(Files):
    def cases(self):
        for path in (self.full, self.empty):
            for engine in ENGINES:
                for group in GROUPS:
                    with xr.open_dataset(path, group=group, engine=engine) as data:
                        yield group, f"{path} {engine} {group}", data.load()
        for engine in ENGINES:
            for path, group in [(self.split, "segment")] + [(path, "trajectory") for path in self.segments]:
                with xr.open_dataset(path, group=group, engine=engine) as data:
                    yield group, f"{path} {engine} {group}", data.load()

    def test_every_group_opens_with_everything_the_format_says(self):
        for group, where, data in self.cases():
            expected = {name: row for (g, name), row in TABLE.items() if g == group}
            self.assertEqual(set(data.variables), set(expected), where)
            for name, (kind, axes, units, meaning) in expected.items():
                variable = data[name]
                self.assertEqual(variable.dims, axes, f"{where} {name}")
                self.assertEqual(variable.attrs["units"], units, f"{where} {name}")
                self.assertEqual(variable.attrs["long_name"], meaning, f"{where} {name}")
                if kind == "str":
                    self.assertTrue(all(isinstance(x, str) for x in variable.values.flat), f"{where} {name}")
                else:
                    self.assertEqual(str(variable.dtype), DTYPES[kind], f"{where} {name}")

    def test_axes_carry_their_labels(self):
        for _, where, data in self.cases():
            self.assertLessEqual(set(data.dims), set(data.coords), where)
        with xr.open_dataset(self.full, group="eval") as data:
            one = data.cost.sel(policy="uniform", episode=3)
            self.assertEqual(float(one), float(data.cost.values[list(data.policy).index("uniform"), 3]))

    def test_without_an_engine_too(self):
        with xr.open_dataset(self.full, group="eval") as data:
            self.assertEqual(data.cost.dims, ("policy", "episode"))

    def test_not_applicable_is_missing(self):
        for engine in ENGINES:
            with xr.open_dataset(self.full, group="summary", engine=engine) as data:
                for name, there in (("gap_closed", 1), ("paired_difference", 1), ("score", 2),
                                    ("bound_lower", 1)):
                    self.assertEqual(int(data[name].count()), there, name)
            with xr.open_dataset(self.full, group="trajectory", engine=engine) as data:
                self.assertEqual(int(data.progress.count()), 0)
                self.assertEqual(int(data.health.count()), 0)
            with xr.open_dataset(self.full, group="node", engine=engine) as data:
                self.assertEqual(int(data.reserve_efficiency.count()), 0)
                self.assertEqual(data.needs.dims, ("node", "resource"))

    def test_both_engines_and_h5py_agree(self):
        with h5py.File(self.full) as file:
            for group in GROUPS:
                both = [xr.open_dataset(self.full, group=group, engine=e).load() for e in ENGINES]
                xr.testing.assert_identical(*both)
                for name, dataset in file[group].items():
                    stored = dataset.asstr()[()] if dataset.dtype == object else dataset[()]
                    np.testing.assert_array_equal(stored, both[0][name].values)

    def test_every_group_becomes_a_table_of_pandas_and_a_store_of_h5py(self):
        for group in GROUPS:
            with xr.open_dataset(self.full, group=group) as data, h5py.File(self.full) as file:
                for name, x in data.data_vars.items():
                    frame = x.to_dataframe() if x.dims else pd.DataFrame({name: [x.item()]})
                    self.assertEqual(len(frame), x.size, f"{group} {name}")
                    stored = pd.Series(np.atleast_1d(file[group][name][()]).ravel())
                    self.assertEqual(stored.isna().sum(), frame[name].isna().sum(), f"{group} {name}")

    def test_segments_put_together_are_the_trajectory(self):
        self.assertEqual(len(self.segments), 2)
        with xr.open_dataset(self.full, group="trajectory") as whole:
            parts = [xr.load_dataset(path, group="trajectory") for path in self.segments]
            xr.testing.assert_identical(whole.load(), xr.concat(parts, "episode", data_vars="minimal"))
        self.assertEqual(subprocess.run([*REPLAY, self.split], capture_output=True).returncode, 0)

    def test_pandas(self):
        with xr.open_dataset(self.full, group="summary") as data:
            frame = data[["cost", "tuned", "kind"]].to_dataframe()
        self.assertEqual(list(frame.index), ["skewed", "uniform", "clairvoyant"])
        self.assertEqual(list(frame.tuned), [True, False, False])

    def test_the_seal_is_what_the_format_says(self):
        import hashlib
        raw = pathlib.Path(self.full).read_bytes()
        self.assertEqual(raw[-77:].decode(), f"\nCRA-SHA256 {hashlib.sha256(raw[:-77]).hexdigest()}\n")

    def test_root_attributes(self):
        with h5py.File(self.full) as file:
            self.assertEqual(file.attrs["cra_format"], "cra-run")
            self.assertEqual(file.attrs["cra_format_version"], "1.5")
            for name in ("Conventions", "title", "history", "date_created", "status"):
                self.assertIsInstance(file.attrs[name], str)

    def test_replay_recomputes_every_slot(self):
        done = subprocess.run([*REPLAY, self.full], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("240 slots"), done.stdout)

    def test_replay_finds_one_number_that_is_off_by_a_millionth(self):
        changed = f"{self.folder.name}/changed.h5"
        for name, index in (("backlog", (1, 2, 39, 4)), ("cost", (0, 1, 17)), ("grant", (0, 0, 0, 0))):
            pathlib.Path(changed).write_bytes(pathlib.Path(self.full).read_bytes())
            with h5py.File(changed, "r+") as file:
                file["trajectory"][name][index] += 1e-6
            with self.subTest(name=name):
                self.assertEqual(subprocess.run([*REPLAY, changed], capture_output=True).returncode, 1)


class Module(Files):
    """tools/cra_results.py on the same files."""

    def test_a_result_as_datasets_and_tables(self):
        one, split = cra_results.open_result(self.full), cra_results.open_result(self.split)
        for run in (one, split):
            run.verify()
            xr.testing.assert_identical(run["trajectory"], one["trajectory"])
        self.assertEqual(list(one.policies().policy), ["skewed", "uniform", "clairvoyant"])
        rows = one.episodes().set_index(["policy", "episode"])
        self.assertEqual(rows.cost["uniform", 3], float(one["eval"].cost.sel(policy="uniform", episode=3)))
        self.assertEqual(rows.bound_lower["skewed", 5], float(one["eval"].bound_lower[5]))
        self.assertEqual(len(one.training()), 7)
        self.assertEqual(list(one.tuning()["knob.a"]), [0.5, 1])
        self.assertEqual(len(one.nodes()), 2 * 3 * 40 * 5)
        self.assertEqual(one.summary().best_heuristic, "uniform")
        again, stored = one.recompute(), one.policies().set_index("policy")
        pd.testing.assert_frame_equal(again, stored[again.columns], rtol=0, atol=1e-12)

    def test_the_replay_of_a_trajectory_is_the_trajectory(self):
        run = cra_results.open_result(self.split)
        again = run.replay("skewed", episode=2)
        recorded = run["trajectory"].sel(policy="skewed", episode=2)
        for name in again.data_vars:
            np.testing.assert_allclose(again[name], recorded[name], rtol=0, atol=1e-12, err_msg=name)
        self.assertLess(run.replay_errors().max(), 1e-12)
        run["trajectory"].rate[1, 0, 5, 2] += 1e-6
        self.assertGreater(run.replay_errors()["rate"], 9e-7)

    def test_a_folder_becomes_one_dataset_labelled_by_what_differs(self):
        folder = pathlib.Path(self.folder.name, "runs")
        folder.mkdir(exist_ok=True)
        for i in range(2):
            path = folder / f"run{i}.h5"
            path.write_bytes(pathlib.Path(self.full).read_bytes())
            text = f"seed: {i}\nagent:\n  learner:\n    kind: {'apg' if i else 'es'}\nparts:\n  - kind: x\n    a: [1, 2]\n  - b\n"
            with h5py.File(path, "r+") as file:
                file["provenance/resolved_yaml"][()] = text
        (folder / "other.h5").write_bytes(b"no result")
        runs = cra_results.open_folder(folder)
        self.assertEqual(list(runs.labels), ["seed", "agent.learner.kind"])
        self.assertEqual(runs.runs[0].settings(), {"seed": 0, "agent.learner.kind": "es", "parts.0.kind": "x",
                                                   "parts.0.a": "[1, 2]", "parts.1": "b"})
        data = runs["eval"]
        self.assertEqual(data.cost.dims, ("run", "policy", "episode"))
        self.assertEqual(list(data.run.values), ["run0", "run1"])
        self.assertEqual(list(data["agent.learner.kind"].values), ["es", "apg"])
        self.assertEqual(list(runs.policies().seed), [0, 0, 0, 1, 1, 1])

    def test_a_damaged_or_missing_part_is_named(self):
        folder = pathlib.Path(self.folder.name, "parts")
        folder.mkdir(exist_ok=True)
        for path in (self.split, *self.segments):
            (folder / pathlib.Path(path).name).write_bytes(pathlib.Path(path).read_bytes())
        second = folder / pathlib.Path(self.segments[1]).name
        raw = bytearray(second.read_bytes())
        raw[len(raw) // 2] ^= 1
        second.write_bytes(raw)
        run = cra_results.open_result(folder / "split.h5")
        with self.assertRaisesRegex(cra_results.ResultError, "trajectories-00002.h5: not the segment"):
            run.verify()
        second.unlink()
        with self.assertRaisesRegex(cra_results.ResultError, "trajectories-00002.h5: missing"):
            run.verify()
        done = subprocess.run([sys.executable, cra_results.__file__, self.segments[0]], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("format cra-segment 1.5, expected cra-run", done.stderr)

    def test_as_a_program_it_prints_a_summary(self):
        done = subprocess.run([sys.executable, cra_results.__file__, self.full], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("sample: ", "clairvoyant     bound", "replay: agrees", "seal: as it was written"):
            self.assertIn(words, done.stdout)


if __name__ == "__main__":
    MAKE_RUN = sys.argv.pop(1)
    unittest.main()
