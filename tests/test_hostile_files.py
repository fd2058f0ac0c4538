#!/usr/bin/python3
"""Result files that somebody changed with h5py and sealed again, through every command that reads
one: no crash, no hang, one clear message.

usage: test_hostile_files.py CRA MAKE_RUN [ROUNDS]

ROUNDS (default 12) files with random damage, and as many with one value changed at random. With a
program built with sanitizers, 500 are a thousand files and take twenty minutes.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

CRA, MAKE_RUN = (str(pathlib.Path(x).resolve()) for x in sys.argv[1:3])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 12
# What reads a result; {} is the file. A new command belongs here.
COMMANDS = [["check", "{}"], ["export", "{}", "--csv", "out.csv", "--force"], ["decide", "--policy", "{}", "--describe"],
            ["compare", "{0}", "{0}"], ["report", "{}", "--out", "page.html", "--force"]]
GOOD_CODES = {0, 1, 2, 3}
TEXT = h5py.string_dtype()


def replace(file, name, data, **how):
    """Another dataset in place of one, with its attributes."""
    kept = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=data, **how)
    for key in ("units", "long_name"):
        made.attrs[key] = kept[key]


def set_at(name, value, at=0):
    def change(file):
        x = file[name]
        x[(at,) * len(x.shape) if x.shape else ()] = value
    return change


MUTATIONS = {
    "wrong type": lambda f: replace(f, "eval/cost", np.zeros(f["eval/cost"].shape, "f4")),
    "text for numbers": lambda f: replace(f, "eval/cost", np.full(f["eval/cost"].shape, "x", object), dtype=TEXT),
    "a compound": lambda f: replace(f, "eval/cost", np.zeros(f["eval/cost"].shape, [("a", "f8")])),
    "too short": lambda f: replace(f, "eval/cost", f["eval/cost"][:, :2]),
    "empty": lambda f: replace(f, "eval/cost", np.zeros((0, 0))),
    "NaN": set_at("eval/cost", np.nan),
    "infinite": set_at("summary/cost", np.inf),
    "negative index": set_at("node/link_hub", -1),
    "huge index": set_at("node/link_follower", 2**62),
    "negative rows": set_at("policy/tensor_rows", -3),
    "huge tensor": set_at("policy/tensor_cols", 2**62),
    "negative width": set_at("policy/width", -(2**63)),
    "a huge text": set_at("provenance/scenario_yaml", "[" * 3_000_000),
    "no text": set_at("provenance/scenario_yaml", ""),
    "yaml of another": set_at("provenance/resolved_yaml", "&a [*a, *a]"),
    "a soft link": lambda f: f["eval"].__setitem__("more", h5py.SoftLink("/eval/cost")),
    "an external link": lambda f: f.__setitem__("more", h5py.ExternalLink("/etc/hostname", "/")),
    "a cycle": lambda f: f["eval"].__setitem__("eval", f["/"]),
    "external storage": lambda f: replace(f, "eval/cost", None, shape=f["eval/cost"].shape, dtype="f8",
                                          external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]),
    "another filter": lambda f: replace(f, "eval/cost", f["eval/cost"][()], compression="lzf"),
    "many filters": lambda f: replace(f, "eval/cost", f["eval/cost"][()], scaleoffset=3, shuffle=True, fletcher32=False),
    "a dataset as group": lambda f: (f.__delitem__("tuning"), f.create_dataset("tuning", data=1.0)),
    "a group as dataset": lambda f: (f["eval"].__delitem__("cost"), f["eval"].create_group("cost")),
    "a virtual dataset": lambda f: (f["eval"].__delitem__("cost"), f["eval"].create_virtual_dataset(
        "cost", h5py.VirtualLayout((2, 6), "f8"))),
    "10,000 groups": lambda f: [f.create_group(f"g{i}") for i in range(10_000)],
    "declared and never written": lambda f: replace(f, "eval/cost", None, shape=(2**20, 2**20), dtype="f8", chunks=(8, 8)),
    "an attribute of another type": lambda f: f.attrs.__setitem__("cra_format_version", 1.5),
    "another version": lambda f: f.attrs.__setitem__("cra_format_version", "9.9"),
    "a segment list beside the trajectory": lambda f: f.create_group("segment"),
    "JSON that is none": set_at("tuning/knobs", "{" * 1000),
    "control characters": set_at("summary/kind", "\x1b[2J\x07"),
    "a policy of another name": set_at("summary/policy", "nobody"),
}


def sealed(raw):
    return raw + f"\nCRA-SHA256 {hashlib.sha256(raw).hexdigest()}\n".encode()


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.sample = pathlib.Path(cls.folder.name, "sample.h5")
        subprocess.run([MAKE_RUN, str(cls.sample)], check=True)
        cls.image = cls.sample.read_bytes()[:-77]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def try_all(self, path, what):
        """-> exit codes by command; none may be a crash, and errors have a message"""
        codes = []
        for command in COMMANDS:
            done = subprocess.run([CRA, *(w.format(path) for w in command)], cwd=self.folder.name, timeout=60,
                                  capture_output=True, stdin=subprocess.DEVNULL, check=False,
                                  env={**os.environ, "OMP_WAIT_POLICY": "passive"})
            said = done.stderr.decode("utf-8", "replace")
            self.assertIn(done.returncode, GOOD_CODES, f"{what}, {command[0]}: {said[-2000:]}")
            self.assertNotIn("Sanitizer", said, f"{what}, {command[0]}")
            self.assertNotIn("\x1b[2J", said)
            if done.returncode:
                self.assertIn("error: ", said, f"{what}, {command[0]}: {said[:300]}")
                self.assertLess(len(said), 5000, f"{what}, {command[0]}")
            codes.append(done.returncode)
        return codes

    def test_what_is_changed_with_h5py(self):
        for what, change in MUTATIONS.items():
            with self.subTest(what):
                path = pathlib.Path(self.folder.name, "changed.h5")
                path.write_bytes(self.image)
                with h5py.File(path, "r+") as file:
                    change(file)
                path.write_bytes(sealed(path.read_bytes()))
                codes = self.try_all(path, what)
                if what not in ("a huge text", "no text", "yaml of another", "JSON that is none"):
                    self.assertEqual(codes[0], 3, what)

    def test_damage_that_is_sealed(self):
        draw = np.random.default_rng(9)
        path = pathlib.Path(self.folder.name, "damaged.h5")
        for k in range(ROUNDS):
            raw = bytearray(self.image)
            for at in draw.integers(0, len(raw) if k % 2 else 16384, 6):
                raw[at] ^= 1 << int(draw.integers(8))
            if k % 6 == 0:
                del raw[int(draw.integers(len(raw))):]
            path.write_bytes(sealed(bytes(raw)))
            self.try_all(path, f"damage {k}")

    def test_a_value_that_is_changed(self):
        draw = np.random.default_rng(10)
        path = pathlib.Path(self.folder.name, "value.h5")
        accepted = 0
        for k in range(ROUNDS):
            path.write_bytes(self.image)
            with h5py.File(path, "r+") as file:
                names = []
                file.visititems(lambda name, x: names.append(name) if isinstance(x, h5py.Dataset) and x.size else None)
                name = names[int(draw.integers(len(names)))]
                x = file[name]
                at = tuple(int(draw.integers(n)) for n in x.shape)
                if h5py.check_string_dtype(x.dtype):
                    value = ("", "x", "\x1b[2J", "</script>", "9" * 400)[int(draw.integers(5))]
                elif x.dtype.kind == "f":
                    value = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 1e-300)[int(draw.integers(7))]
                else:
                    value = (0, -1, 1, np.iinfo(x.dtype).max, np.iinfo(x.dtype).min)[int(draw.integers(5))]
                x[at] = value
            path.write_bytes(sealed(path.read_bytes()))
            accepted += self.try_all(path, f"{name}{list(at)} = {value!r}")[0] == 0
        self.assertGreater(accepted, 0)  # else nothing beyond the check was tried


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
