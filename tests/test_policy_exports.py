"""The learned policy in other programs: `cra export --onnx` answers as `cra decide` does, and
`--safetensors` holds the numbers of /policy.

usage: test_policy_exports.py CRA SCENARIOS [unittest options]
The graph runs in the NumPy interpreter of onnx_numpy.py, and in onnxruntime too where Python has it.
"""

import importlib.util
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

from onnx_numpy import Model

CRA = str(pathlib.Path(sys.argv[1]).resolve())
SCENARIOS = pathlib.Path(sys.argv[2]).resolve()
HAS_RUNTIME = importlib.util.find_spec("onnxruntime") is not None
# Both sides compute in float, in another order. Logits here stay below 4: rounding of some 10 eps = 6e-7 times
# them moves a share p by at most p (1 - p) times that, 6e-7.
CLOSE = 1e-6

POOL = """
version: 1
name: small
pool: {nodes: 5, budget: 4, lag: 0.3, geometry: ring}
workload:
  slots: 12
  parts:
    - {kind: constant, rate: {uniform: [0.3, 0.8]}}
    - {kind: bursts, begin: 0.1}
attention: {width: 8}
agent: {base: demand_backlog, learner: {kind: apg, learning_rate: 0.05}}
training: {updates: 4, episodes: 2, replicas: 2, warmup_episodes: 2, validation_episodes: 1, keep: last}
evaluation: {episodes: 2, tuning_episodes: 2, resamples: 100, bound: false, baselines: [uniform],
             explained_episodes: 0}
output: {trajectories: 0}
"""
# name: overrides
CASES = {
    "multihead": ["attention.kind={kind: multihead, heads: 2, temperature: 0.7}", "attention.layers=2"],
    "dot": ["attention.kind={kind: dot, temperature: 2}"],
    "additive": ["attention.kind={kind: additive, temperature: 0.5}", "attention.layers=2"],
    "induced": ["attention.kind={kind: induced, heads: 2, points: 3}", "attention.layers=2"],
    "none": ["attention.kind=none", "attention.layers=2", "agent.base=uniform"],
    "positions": ["attention.kind=multihead", "attention.positions=sinusoidal", "attention.width=7",
                  "attention.kind.heads=1"],
    "static": ["attention.weights=static"],
    "random": ["attention.weights=random", "attention.layers=2"],
    "shuffled": ["attention.weights=shuffled", "attention.layers=2"],
    "induced_static": ["attention.kind={kind: induced, heads: 2, points: 3}", "attention.weights=static"],
    "induced_random": ["attention.kind={kind: induced, heads: 2, points: 3}", "attention.weights=random"],
    "induced_shuffled": ["attention.kind={kind: induced, heads: 2, points: 3}",
                         "attention.weights=shuffled", "attention.layers=2"],
    "reserve": ["pool.reserve={kind: shared}", "agent.base=demand"],
    "dirichlet": ["agent.policy=dirichlet", "agent.base=uniform"],
    "dirichlet_reserve": ["agent.policy={kind: dirichlet}", "pool.reserve={kind: shared}"],
    "failures": ["agent.base=uniform", "workload.failures={kind: wear, wear: 0.1, warning: 2}"],
    "high_floor": ["agent.base=priority", "agent.base_floor=0.2"],
    "per_resource": ["pool={nodes: 5, action: per_resource, lag: 0.3, resources: [{name: a, need: "
                     "[1, 2, 1, 2, 1], budget: 5}, {name: b, need: 1, budget: 4}]}"],
    "evolution": ["agent.learner=es"],
    "memory": ["observation.memory=3", "attention.layers=2"],
}
FIXED = {"static", "random", "shuffled", "induced_static", "induced_random", "induced_shuffled"}
BASES = {"none", "dirichlet"}  # start from equal shares: nothing more to tell


def measurements(rng, nodes, slots):
    """Lines that a controller might send."""
    for t in range(slots):
        line = {"arrivals": rng.exponential(1, nodes).tolist(), "backlog": rng.exponential(2, nodes).tolist(),
                "importance": rng.uniform(0.5, 2, nodes).tolist(), "health": rng.normal(0, 1, nodes).tolist(),
                "availability": (rng.random(nodes) < 0.8).astype(float).tolist()}
        yield t, line


class Exports(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "small.yaml").write_text(POOL, encoding="utf-8")
        if not HAS_RUNTIME:
            print("skipped: onnxruntime (not in this Python); the graphs run in onnx_numpy.py alone",
                  file=sys.stderr)

    @classmethod
    def call(cls, *words, code=0, lines=None):
        done = subprocess.run([CRA, *map(str, words)], cwd=cls.folder, input=lines, timeout=120,
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "OMP_WAIT_POLICY": "passive"})
        if done.returncode != code:
            raise AssertionError(f"cra {words}: {done.returncode}\n{done.stderr}")
        return done

    def learn(self, name, overrides):
        out = f"{name}.h5"
        if not (self.folder / out).exists():
            self.call("run", "small.yaml", "--out", out, "--quiet",
                      *[w for o in overrides for w in ("--set", o)])
        return out

    def export(self, name, overrides):
        """-> (result file, model, function that runs it in everything there is)"""
        out = self.learn(name, overrides)
        self.call("export", out, "--onnx", f"{name}.onnx", "--force", "--quiet")
        data = (self.folder / f"{name}.onnx").read_bytes()
        model = Model(data)

        if importlib.util.find_spec("onnx") is not None:
            import onnx
            onnx.checker.check_model(data, full_check=True)

        def run(**given):
            found = model.run(**given)
            if HAS_RUNTIME:
                import onnxruntime
                session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
                for key, value in zip(session.get_outputs(), session.run(None, given)):
                    np.testing.assert_allclose(value, found[key.name], rtol=0, atol=CLOSE)
                    found[key.name] = value
            return found
        return out, model, run

    def decided(self, out, *words, nodes=5, slots=12, seed=1):
        """Answers of cra decide, and what the graph is given for them."""
        about = json.loads(self.call("decide", "--policy", out, "--describe", *words).stdout)
        told = {f["name"]: f["told"] for f in about["input"]}
        lines = [json.dumps({k: v for k, v in line.items()
                             if k in told and (t == 0 or not told[k].startswith("in the first"))})
                 for t, line in measurements(np.random.default_rng(seed), nodes, slots)]
        text = self.call("decide", "--policy", out, "--features", *words, lines="\n".join(lines) + "\n").stdout
        answers = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(len(answers), slots)
        return answers, {"features": np.array([a["features"] for a in answers], np.float32),
                         "base": np.array([a["base"] for a in answers], np.float32)}, about

    def assert_answers(self, found, answers):
        wanted = np.array([a["proportions"] for a in answers])
        worst = np.abs(found["proportions"] - wanted).max()
        if "reserve" in answers[0]:
            kept = np.array([a["reserve"] for a in answers])
            worst = max(worst, np.abs(found["reserve"] - kept).max())
        else:
            self.assertEqual(list(found), ["proportions"])
        if os.environ.get("CRA_SHOW"):
            print(self.id(), "largest difference", worst)
        self.assertLess(worst, CLOSE)
        return wanted

    def test_every_kind_answers_as_cra_decide_does(self):
        for name, overrides in CASES.items():
            with self.subTest(name):
                out, model, run = self.export(name, overrides)
                answers, given, about = self.decided(out)
                if "base" not in model.inputs:
                    del given["base"]
                self.assertEqual("base" not in model.inputs, name in BASES)
                self.assertEqual(any(c.endswith("average") for c in model.constants),
                                 name.endswith(("static", "random")))
                wanted = self.assert_answers(run(**given), answers)
                if name != "evolution":  # learns knobs, no network
                    with h5py.File(self.folder / out) as file:
                        head = file["policy/theta"][()]
                        at = [t.decode() for t in file["policy/tensor"][()]].index("head.weight")
                        self.assertGreater(np.abs(head[file["policy/tensor_offset"][at]:][:4]).max(), 1e-3)
                self.assertGreater(np.ptp(wanted, axis=0).max(), 1e-3, "decisions that never change")
                self.assertEqual(model.inputs["features"],
                                 (np.float32, ["batch", 5 if name in FIXED else "nodes",
                                               len(about["features"])]))
                self.assertEqual(json.loads(model.metadata["features"]), about["features"])
                # one environment at a time, and the same bytes again
                one = run(**{k: v[3:4] for k, v in given.items()})
                np.testing.assert_allclose(one["proportions"][0], wanted[3], rtol=0, atol=CLOSE)
                before = (self.folder / f"{name}.onnx").read_bytes()
                self.call("export", out, "--onnx", f"{name}.onnx", "--force", "--quiet")
                self.assertEqual((self.folder / f"{name}.onnx").read_bytes(), before)

    def test_a_wrong_number_is_noticed(self):
        """The control: had the graph no use for a parameter, it would agree whatever that is."""
        out, model, _ = self.export("multihead", CASES["multihead"])
        answers, given, _ = self.decided(out)
        for name in model.constants:
            # norm.bias moves all logits alike
            if name.startswith(("layer", "embed", "norm.gain", "head", "feature")):
                kept = model.constants[name]
                moved = np.linspace(0.1, 0.2, kept.size, dtype=kept.dtype)
                model.constants[name] = kept + moved.reshape(kept.shape)
                with self.subTest(name), self.assertRaises(AssertionError):
                    self.assert_answers(model.run(**given), answers)
                model.constants[name] = kept

    def test_another_number_of_nodes(self):
        for name in ("multihead", "induced", "none", "positions", "additive"):
            with self.subTest(name):
                out, model, run = self.export(name, CASES[name])
                answers, given, _ = self.decided(out, "--set", "pool.nodes=9", "--set", "pool.budget=7.2", nodes=9)
                if "base" not in model.inputs:
                    del given["base"]
                self.assert_answers(run(**given), answers)

    def test_removed_nodes_are_not_read_and_get_nothing(self):
        for name in ("multihead", "dot", "additive", "induced", "none", "reserve", "dirichlet_reserve"):
            with self.subTest(name):
                out, model, run = self.export(name, CASES[name])
                answers, given, _ = self.decided(out)
                padded = {k: np.concatenate([np.full_like(v[:, :2], np.nan), v], axis=1)
                          for k, v in given.items() if k in model.inputs}
                padded["present"] = np.ones((12, 7), np.float32)
                padded["present"][:, :2] = 0
                found = run(**padded)
                np.testing.assert_array_equal(found["proportions"][:, :2], 0)
                found["proportions"] = found["proportions"][:, 2:]
                self.assert_answers(found, answers)
        self.assertNotIn("present", self.export("shuffled", CASES["shuffled"])[1].inputs)

    def test_a_shipped_scenario(self):
        out = "quickstart.h5"
        self.call("run", SCENARIOS / "quickstart.yaml", "--out", out, "--quiet", "--set", "training.updates=3",
                  "--set", "evaluation.episodes=2", "--set", "evaluation.tuning_episodes=2",
                  "--set", "evaluation.bound=false", "--set", "output.trajectories=1")
        self.call("export", out, "--onnx", "q.onnx", "--safetensors", "q.safetensors", "--csv", "q.csv")
        model = Model((self.folder / "q.onnx").read_bytes())
        with h5py.File(self.folder / out) as file:
            t = file["trajectory"]
            row = next(i for i, n in enumerate(t["policy"].asstr()[()]) if n.startswith("attention"))
            recorded = t["proportion"][row, 0]
            lines = [{}] + [{"arrivals": t["arrivals"][0, s].tolist(), "backlog": t["backlog"][row, 0, s].tolist()}
                            for s in range(59)]
        text = self.call("decide", "--policy", out, "--features",
                         lines="".join(json.dumps(line) + "\n" for line in lines)).stdout
        features = np.array([json.loads(line)["features"] for line in text.splitlines()], np.float32)
        self.assertEqual(list(model.inputs), ["features", "present"])
        found = model.run(features=features)["proportions"]
        self.assertLess(np.abs(found - recorded).max(), CLOSE)
        self.assertEqual(model.metadata["scenario"], "quickstart")

    def test_features_are_what_is_written(self):
        """By the table of FORMAT.md, in NumPy."""
        out = self.learn("memory", CASES["memory"])
        with h5py.File(self.folder / out) as file:
            node = {k: v[()] for k, v in file["node"].items()}
        fair, n = node["budgets"][0] / 5, np.arange(5)
        rng = np.random.default_rng(3)
        fast = slow = node["base_rate"]
        before = [node["base_rate"]] * 3
        lines, wanted = [], []
        for t in range(6):
            x = {k: rng.exponential(1, 5) for k in ("arrivals", "backlog", "rate", "error")}
            lines.append(json.dumps({k: v.tolist() for k, v in x.items()}))
            fast, slow = fast + 0.5 * (x["arrivals"] - fast), slow + 0.1 * (x["arrivals"] - slow)
            before = [x["arrivals"], *before[:2]]
            z = x["backlog"] / node["error_scale"]
            one = np.ones(5)
            wanted.append(np.stack([
                z, np.sqrt(x["backlog"] + 0.01), x["rate"] / fair, node["capacity"] / fair, fast / fair,
                slow / fair, x["arrivals"] / fair, one, node["base_rate"] / fair, x["error"],
                z * (2 + z) / (1 + z)**2 / node["error_scale"] * node["budgets"][0] / node["needs"][:, 0],
                x["backlog"].mean() * one, fast.mean() / fair * one, slow.mean() / fair * one,
                np.cos(2 * np.pi * n / 5), np.sin(2 * np.pi * n / 5),
                *(a / fair for a in before)], axis=1))
        text = self.call("decide", "--policy", out, "--features", lines="\n".join(lines) + "\n").stdout
        found = [json.loads(line) for line in text.splitlines()]
        np.testing.assert_allclose([a["features"] for a in found], wanted, rtol=1e-6, atol=1e-7)  # float
        plain = self.call("decide", "--policy", out, lines="\n".join(lines) + "\n").stdout
        for a in found:
            del a["features"], a["base"]
        self.assertEqual(found, [json.loads(line) for line in plain.splitlines()])

    def test_every_feature_is_defined(self):
        """FORMAT.md says of every feature how it is computed."""
        root = SCENARIOS.parent
        source = (root / "sim/observe.cpp").read_text(encoding="utf-8")
        names = re.findall(r'^    \{"([a-z_]+)", k', source, flags=re.M)
        self.assertGreater(len(names), 25)
        table = (root / "results/FORMAT.md").read_text(encoding="utf-8").split("## The policy in other programs")[1]
        for name in names:
            self.assertRegex(table, rf"(?m)^\| `{name}", f"{name} is not defined in FORMAT.md")

    # ---- safetensors -------------------------------------------------------------------

    def test_safetensors_hold_the_numbers_of_the_policy(self):
        out = self.learn("induced", CASES["induced"])
        self.call("export", out, "--safetensors", "i.safetensors")
        data = (self.folder / "i.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        self.assertEqual(size % 8, 0)
        header = json.loads(data[8:8 + size])
        self.assertEqual(data[8:9], b"{")
        meta = header.pop("__metadata__")
        self.assertTrue(all(isinstance(v, str) for v in meta.values()))
        with h5py.File(self.folder / out) as file:
            policy = {k: v[()] for k, v in file["policy"].items()}
            digest = file.attrs["run_digest"]
        self.assertEqual(list(header), [n.decode() for n in policy["tensor"]])
        rest, end = data[8 + size:], 0
        for i, (name, about) in enumerate(header.items()):
            begin, stop = about["data_offsets"]
            self.assertEqual((about["dtype"], begin), ("F32", end))
            self.assertEqual(about["shape"], [policy["tensor_rows"][i], policy["tensor_cols"][i]])
            found, offset = np.frombuffer(rest[begin:stop], "<f4"), policy["tensor_offset"][i]
            self.assertEqual(found.tobytes(), policy["theta"][offset:offset + found.size].tobytes(), name)
            end = stop
        self.assertEqual(end, len(rest))
        np.testing.assert_array_equal(json.loads(meta["feature_mean"]), policy["feature_mean"])
        np.testing.assert_array_equal(json.loads(meta["feature_scale"]), policy["feature_scale"])
        self.assertEqual(json.loads(meta["feature"]), [n.decode() for n in policy["feature"]])
        self.assertEqual((meta["run_digest"], meta["updates"]), (digest, "4"))

    def test_what_cannot_be_exported(self):
        out = self.learn("induced", CASES["induced"])
        self.call("evaluate", "small.yaml", "--policy", "uniform", "--out", "none.h5", "--force", "--quiet")
        for form in ("onnx", "safetensors"):
            said = self.call("export", "none.h5", f"--{form}", "x", code=3).stderr
            self.assertIn("there is no learned policy in it", said)
            said = self.call("export", out, f"--{form}", out, "--force", code=2).stderr
            self.assertIn("is the result itself", said)
            (self.folder / "there").write_text("")
            said = self.call("export", out, f"--{form}", "there", code=1).stderr
            self.assertIn("there exists; --force replaces it", said)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
