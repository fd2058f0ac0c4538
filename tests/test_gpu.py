"""The program on a GPU: exact enough, the same bits twice, and runs that end as on the CPU.

usage: test_gpu.py CRA SCENARIO   exit 0: all holds; 1: prints what does not; 77: no GPU here
"""

import json
import pathlib
import subprocess
import sys
import tempfile

CRA, SCENARIO = sys.argv[1], sys.argv[2]


def cra(*words, code=0):
    done = subprocess.run([CRA, *words], capture_output=True, text=True)
    if done.returncode != code:
        sys.exit(f"cra {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def learned(folder, name, *words):
    """Cost of the learned policy, and by how much it beats the best heuristic."""
    report = json.loads(cra("run", SCENARIO, "--json", "--quiet", "--out",
                            str(pathlib.Path(folder) / name), *words))
    policy = next(p for p in report["policies"] if p["kind"] == "learned")
    return policy["cost"], policy["paired_difference"]


def main():
    if json.loads(cra("doctor", "--json"))["gpus"] == "none":
        print("no GPU here: nothing was run")
        return 77
    print(cra("gpu-check"))
    with tempfile.TemporaryDirectory() as folder:
        cpu, cpu_verdict = learned(folder, "cpu.h5", "--device", "cpu")
        first, verdict = learned(folder, "first.h5", "--device", "cuda")
        again, _ = learned(folder, "again.h5", "--device", "cuda")
    if first != again:
        print(f"two runs on the GPU differ: cost {first} and {again}")
        return 1
    # Training amplifies roundings, but a run this short not by much.
    if abs(first - cpu) > 0.02 * abs(cpu):
        print(f"cost {first} on the GPU, {cpu} on the CPU")
        return 1
    if abs(verdict - cpu_verdict) > 0.02 * abs(cpu):
        print(f"difference to the best heuristic {verdict} on the GPU, {cpu_verdict} on the CPU")
        return 1
    print(f"learned cost {first} on the GPU, {cpu} on the CPU")
    return 0


sys.exit(main())
