"""Learning pays on the quickstart, with either learner: the pipeline from end to end.

usage: test_learning.py CRA SCENARIO
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def run(cra, scenario, folder, *settings):
    command = [cra, "run", scenario, "--out", str(pathlib.Path(folder, "out.h5")), "--force", "--json", "--quiet"]
    for setting in settings:
        command += ["--set", setting]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def check(result):
    learned = next(p for p in result["policies"] if p["kind"] == "learned")
    assert learned["paired_difference"] < -3 * learned["paired_se"], learned
    assert learned["gap_closed"] > 0.05, learned
    bound = result["bound"]
    assert bound["certified"] and 0 < bound["lower"] <= bound["upper"] < learned["cost"], bound
    assert bound["upper"] - bound["lower"] < 1e-3 * bound["upper"], bound
    print(f"{learned['name']}: {learned['paired_difference']:.4f} +- {learned['paired_se']:.4f}, "
          f"gap closed {learned['gap_closed']:.0%}")


def main(cra, scenario):
    with tempfile.TemporaryDirectory() as folder:
        check(run(cra, scenario, folder, "training.updates=100"))
        check(run(cra, scenario, folder, "agent.learner={kind: reinforce}", "training.episodes=8",
                  "training.updates=150"))
        untrained = run(cra, scenario, folder, "training.updates=0", "agent.base_floor=0", "evaluation.bound=false")
        best = next(p for p in untrained["policies"] if p["kind"] == "learned")
        tuned = {p["name"]: p for p in untrained["policies"]}
        # Without an update the policy is its base, to the bit.
        assert any(best["cost"] == p["cost"] for n, p in tuned.items() if p["kind"] == "heuristic"), untrained


if __name__ == "__main__":
    main(*sys.argv[1:])
