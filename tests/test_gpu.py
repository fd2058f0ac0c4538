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
    """The run's JSON without what depends on when and where, and its learned policy's cost."""
    report = json.loads(cra("run", SCENARIO, "--json", "--quiet", "--out",
                            str(pathlib.Path(folder) / name), *words))
    return report, report["learned"]["cost"]


def main():
    if json.loads(cra("doctor", "--json"))["gpus"] == "none":
        print("no GPU here: nothing was run")
        return 77
    print(cra("gpu-check"))
    with tempfile.TemporaryDirectory() as folder:
        _, cpu = learned(folder, "cpu.h5", "--device", "cpu")
        _, first = learned(folder, "first.h5", "--device", "cuda")
        _, again = learned(folder, "again.h5", "--device", "cuda")
    if first != again:
        print(f"two runs on the GPU differ: cost {first} and {again}")
        return 1
    # Training amplifies roundings, but a run this short not by much.
    if abs(first - cpu) > 0.02 * abs(cpu):
        print(f"cost {first} on the GPU, {cpu} on the CPU")
        return 1
    print(f"learned cost {first} on the GPU, {cpu} on the CPU")
    return 0


sys.exit(main())
