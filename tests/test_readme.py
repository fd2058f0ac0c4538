"""What the README shows is true: the scenario is the shipped one, the Python runs, the names exist, the lines
for `cra decide` get answers of the form that is shown.

usage: test_readme.py CRA ROOT
"""

import json
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

        (session,) = [b for b in blocks(text, "console") if "cra decide" in b]
        shown = [json.loads(line) for line in session.splitlines() if line.startswith("{")]
        lines = [line for line in shown if "slot" not in line]
        done = subprocess.run([cra, "decide", "--policy", out], check=True, capture_output=True, text=True,
                              input="".join(json.dumps(line) + "\n" for line in lines))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [list(a) for a in answers] == [list(a) for a in shown if "slot" in a], done.stdout

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
