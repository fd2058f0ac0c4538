#!/usr/bin/env python3
"""cra's attention on a GPU beside the best that PyTorch has for it, in the same run.

    tools/bench_cuda.py CRA           on a machine with an NVIDIA GPU
    tools/bench_cuda.py --smoke [CRA] anywhere: tiny shapes on the CPU, nothing is written

In turn, ROUNDS times: PyTorch on every shape, then `CRA bench cuda --json`. Both time graphs of
launches by the device's events, over buffers in turn that no cache holds. Of PyTorch the fastest
counts, of cuDNN, flash, memory-efficient and plain attention, in both orders of the arrays, each as
it is and compiled (max-autotune); all of them run in the first round, the two that were fastest
after that. Results are compared with double first, and a backend that refuses a shape is listed
with what it said. A limit on compiling, or a choice of rows, makes a shorter run; what was left out
can be added later on the same machine. Whatever is known after a round is written:
results/bench/DEVICE/attention.md, and .json with every time.

PyTorch is no part of this project: give the script an interpreter that has it, for example by
`python3 -m venv DIR && DIR/bin/pip install torch numpy`, then `DIR/bin/python tools/bench_cuda.py
CRA`. Exit 2: no PyTorch, no GPU, or wrong usage; 1: something failed.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

import bench_cuda_table as table

# In the order of what the goals ask first; PyTorch compiles in this order.
PRECISIONS, NODES = ("bf16", "tf32", "fp32"), (16, 64, 256, 32, 128)
WHATS = ("core", "encoder")
RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results" / "bench"


class Failure(Exception):
    """What to tell the user, and the exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def torch_half(smoke):
    try:
        import torch
    except ImportError as e:
        raise Failure(f"{e}: an interpreter with PyTorch 2 is needed, see --help", 2) from e
    if int(torch.__version__.split(".")[0]) < 2:
        raise Failure(f"PyTorch {torch.__version__} is too old: 2.0 or later is needed", 2)
    if not smoke and not torch.cuda.is_available():
        raise Failure("PyTorch sees no GPU here; --smoke runs tiny shapes on the CPU", 2)
    import bench_cuda_torch
    return bench_cuda_torch


def run_cra(cra, *more):
    """What `cra bench cuda` says, checked."""
    command = [cra, "bench", "cuda", "--json", *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as e:
        raise Failure(f"{cra}: {e.strerror}", 2) from e
    if done.returncode:
        raise Failure(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.strip()}")
    try:
        return table.parse(json.loads(done.stdout))
    except json.JSONDecodeError as e:
        raise Failure(f"{' '.join(command)}: no JSON: {e}\n{done.stdout[:200]}") from e


def made_up_report(keys):
    """Stands in for cra where there is no GPU; its numbers mean nothing."""
    rows = [{**dict(zip(table.KEY, key)), "width": table.WIDTH, "heads": table.HEADS,
             "layers": table.LAYERS if key[0] == "encoder" else 0, "microseconds": [1.0, 2.0, 3.0],
             "launches_per_graph": 24, "bytes": 1, "operations": 1, "exponentials": 1,
             "checked_error": 1e-9} for key in keys]
    return table.parse({"device": "made up", "compute_capability": "0.0", "commit": "none",
                        "copy_bandwidth_gb_s": 1.0, "rows": rows})


def state():
    """Clocks and load, in one line."""
    words = "clocks.sm,clocks.mem,utilization.gpu,power.draw,temperature.gpu,memory.used"
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={words}", "--format=csv,noheader"],
                              capture_output=True, text=True, check=False, timeout=20)
        gpu = done.stdout.strip().replace("\n", " | ") if not done.returncode else (
            f"nvidia-smi: exit {done.returncode}")
    except (OSError, subprocess.TimeoutExpired):
        gpu = "no nvidia-smi"
    return f"{gpu}; load {os.getloadavg()[0]:.1f}"


def write(path, text):
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def measure(half, rounds, cra_report, note):
    """Yields the measurement so far after every round."""
    reports, states = [], []
    for r in range(rounds):
        (half.next_round if r else half.first_round)()
        states.append(f"round {r + 1}, after PyTorch: {state()}")
        reports.append(cra_report())
        states.append(f"round {r + 1}, after cra: {state()}")
        print("\n".join(states[-2:]), file=sys.stderr, flush=True)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        yield table.assemble(reports, half.rows(), {
            **note, "date": now, "rounds": r + 1, "state": list(states),
            "torch_copy_gb_per_s": max(half.copies)})


def smoke(cra):
    """Every step on tiny shapes; the figures mean nothing, and the ways must agree with double."""
    module = torch_half(True)
    keys = [(what, passed, precision, 3, 5) for what in WHATS for precision in PRECISIONS
            for passed in table.PASSES]
    module.TOGETHER, module.MOST_UNITS = 1 << 14, 8  # several sets, and chunks where a way refuses
    module.MODE = "default"  # to tune what takes microseconds takes minutes
    module.KEPT = 99         # every way is looked at below
    half = module.Half(module.Cpu(), keys, 3, 120, launches=2)
    report = (lambda: run_cra(cra, "--smoke")) if cra else lambda: made_up_report(keys)
    for measured in measure(half, 2, report, module.about()):
        page = table.markdown(json.loads(json.dumps(measured)))
    print(page)
    # Of what is compiled only its name tells which backend it is meant to be.
    for key in keys:
        for way, (_, work) in half.ready[key].items():
            named = way.backend.lower().replace("_attention", "")
            if way.backend != module.DEFAULT and module.ran(work) != [named] * (named != "math"):
                raise Failure(f"smoke: {module.name_of(way)} on {key} ran {module.ran(work)}")
    silent = [key for key in keys if not half.ready[key]]
    wrong = [f"{way} on {key}: {text}" for key in keys for way, text in half.refused[key].items()
             if "differs" in text]
    if silent or wrong:
        raise Failure(f"smoke: nothing ran of {silent}, wrong: {wrong}")
    ways = sum(len(found) for found in half.found.values())
    print(f"smoke: ok, {len(keys)} rows, {ways} ways ran, "
          f"{sum(map(len, half.refused.values()))} refused")


def run(a):
    module = torch_half(False)
    gpu = module.Gpu()
    folder = RESULTS / table.slug(gpu.device())
    page, raw = folder / "attention.md", folder / "attention.json"
    old = None
    if a.add:
        if not raw.exists():
            raise Failure(f"{raw} is not there: nothing to add to", 2)
        old = json.loads(raw.read_text(encoding="utf-8"))
    elif (page.exists() or raw.exists()) and not a.force:
        raise Failure(f"{page} is there; --force replaces it, --add adds rows to it", 2)
    keys = [(what, passed, precision, table.TOKENS // nodes, nodes) for what in a.what
            for precision in a.precision for passed in a.passes for nodes in a.nodes]
    # Whether cra can be measured and read is to be known before PyTorch takes its minutes.
    first = run_cra(a.cra, "--rounds", "1")
    if first["device"] != gpu.device():
        raise Failure(f"cra is on {first['device']}, PyTorch on {gpu.device()}")
    if old:
        table.add(old, {**module.about(), "device": first["device"], "commit": first["commit"],
                        "rows": []})
    repeats = max(6, -(-table.LEAST_REPEATS // a.rounds))
    half = module.Half(gpu, keys, repeats, 60 * a.compile_minutes, a.skip)
    folder.mkdir(parents=True, exist_ok=True)
    for measured in measure(half, a.rounds, lambda: run_cra(a.cra, "--rounds", str(repeats)),
                            module.about()):
        if old:
            measured = table.add(old, measured)
        write(raw, json.dumps(measured, indent=0) + "\n")
        write(page, table.markdown(measured))
    print(page.read_text(encoding="utf-8"))
    print(f"written: {page} and {raw}")


def chosen(kind, known):
    def parse(text):
        values = [kind(word) for word in text.split(",")]
        if not set(values) <= set(known):
            raise argparse.ArgumentTypeError(f"{text}: known are {','.join(map(str, known))}")
        return [k for k in known if k in values]  # in our order
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cra", nargs="?", metavar="CRA", help="the program to measure")
    parser.add_argument("--rounds", type=int, default=6, help="at least 5 by protocol (default 6)")
    parser.add_argument("--what", type=chosen(str, WHATS), default=WHATS, help=",".join(WHATS))
    parser.add_argument("--precision", type=chosen(str, PRECISIONS), default=PRECISIONS,
                        help=",".join(PRECISIONS))
    parser.add_argument("--passes", type=chosen(str, table.PASSES), default=table.PASSES,
                        help=",".join(table.PASSES))
    parser.add_argument("--nodes", type=chosen(int, NODES), default=NODES,
                        help=",".join(map(str, NODES)))
    parser.add_argument("--compile-minutes", type=float, default=60,
                        help="no further way is compiled after these; goals that depend on one "
                             "that was not tried count as not measured (default 60)")
    parser.add_argument("--skip", action="append", default=[], metavar="WORDS",
                        help="leave out ways whose name has these words, say 'cudnn'")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    parser.add_argument("--add", action="store_true", help="add rows to what is there, measured on "
                        "the same device with the same PyTorch and commit")
    parser.add_argument("--smoke", action="store_true", help="try every step on the CPU")
    a = parser.parse_args()
    if not a.smoke and not a.cra:
        parser.error("which program? tools/bench_cuda.py CRA")
    if a.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        smoke(a.cra) if a.smoke else run(a)
    except (Failure, table.Mismatch) as e:
        print(f"bench_cuda: {e}", file=sys.stderr)
        sys.exit(getattr(e, "code", 1))


if __name__ == "__main__":
    main()
