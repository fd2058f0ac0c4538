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
import xarray as xr

HERE = pathlib.Path(__file__).resolve().parent
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
GROUPS = sorted({group for group, _ in TABLE})
DTYPES = {"f8": "float64", "f4": "float32", "i8": "int64", "bool": "bool"}


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.full = f"{cls.folder.name}/full.h5"
        cls.empty = f"{cls.folder.name}/empty.h5"
        subprocess.run([MAKE_RUN, cls.full], check=True)
        subprocess.run([MAKE_RUN, cls.empty, "empty"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def cases(self):
        for path in (self.full, self.empty):
            for engine in ENGINES:
                for group in GROUPS:
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
            self.assertEqual(file.attrs["cra_format_version"], "1.4")
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


if __name__ == "__main__":
    MAKE_RUN = sys.argv.pop(1)
    unittest.main()
