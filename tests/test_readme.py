"""What the README shows is true: the scenario is the shipped one, the Python runs, the names exist.

usage: test_readme.py CRA ROOT
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def main(cra, root):
    root = pathlib.Path(root)
    text = (root / "README.md").read_text()

    (scenario,) = blocks(text, "yaml")
    shipped = (root / "scenarios/quickstart.yaml").read_text()
    assert shipped.endswith(scenario), "the scenario in the README is not scenarios/quickstart.yaml"

    (script,) = blocks(text, "python")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "results/runs/quickstart.h5")
        out.parent.mkdir(parents=True)
        subprocess.run([cra, "run", root / "scenarios/quickstart.yaml", "--out", out, "--quiet",
                        "--set", "training.updates=2", "--set", "evaluation.episodes=4",
                        "--set", "evaluation.tuning_episodes=2"], check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True, text=True)
        assert "attention" in done.stdout and "[1. 1. 1. 1. 1.]" in done.stdout, done.stdout

    for name in re.findall(r"\]\(([^)#]+)\)", text):
        if not name.startswith("http"):
            assert (root / name).exists(), f"the README links to {name}, which is not there"
    keys = subprocess.run([cra, "keys"], check=True, capture_output=True, text=True).stdout
    heuristics = subprocess.run([cra, "evaluate", root / "scenarios/quickstart.yaml", "--policy", "none"],
                                capture_output=True, text=True).stderr
    for name in re.findall(r"`([a-z_.]+)`", text):
        if name.split(".")[0] in ("agent", "training", "evaluation", "pool", "workload"):
            assert name in keys, f"the README names the key {name}, which is not there"
    assert "known baselines" in heuristics


if __name__ == "__main__":
    main(*sys.argv[1:])
