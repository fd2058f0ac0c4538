"""What the GPU's compiler made of the kernels: nothing spilled, and registers for enough warps.

usage: test_ptxas.py BUILD_FOLDER   exit 0: within the budgets; 1: prints what is not; 77: no log

Reads the logs that cuda/log_ptxas.sh left beside the objects. First it plants a breach of every
rule in a copy of a log and fails unless it finds each.
"""

import pathlib
import re
import sys

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\d+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")

ARCHITECTURES = {"sm_80", "sm_90"}
REGISTERS = 65536  # of a multiprocessor, on both
# Kernel, by a part of its mangled name: threads of a block, and blocks that must fit at once. The
# widest heads and streams in fp32 may take all that a thread can have.
BUDGETS = [
    (r"FusedKernelILNS0_9PrecisionE2E", 512, 1),
    (r"FusedKernel", 256, 1),
    (r"CoreBackwardKernelILNS0_9PrecisionE2ELi[1-4]E", 256, 1),
    (r"CoreBackwardKernel", 256, 1),
    (r"CoreKernelILNS0_9PrecisionE2ELi[12]E", 256, 3),
    (r"CoreKernelILNS0_9PrecisionE2E", 256, 2),
    (r"CoreKernelILNS0_9PrecisionE\dELi[12]E", 256, 2),
    (r"CoreKernel", 256, 1),
    (r"LinearKernel", 128, 4),
    (r"OuterKernel", 128, 3),
    (r"", 128, 6),
]
# Kernels that must be there, for each of the precisions where that is part of the name.
EXPECTED = {"CoreKernel": 24, "CoreBackwardKernel": 24, "FusedKernel": 24, "LinearKernel": 4,
            "OuterKernel": 4, "PackKernel": 3, "SumKernel": 1}


def parse(text):
    """-> [{name, arch, stack, stores, loads, registers, shared}]"""
    kernels = []
    for line in text.splitlines():
        if entry := ENTRY.search(line):
            kernels.append({"name": entry[1], "arch": entry[2], "shared": 0})
        elif kernels and (stack := STACK.search(line)) and "stack" not in kernels[-1]:
            kernels[-1].update(zip(("stack", "stores", "loads"), map(int, stack.groups())))
        elif kernels and (used := USED.search(line)):
            kernels[-1]["registers"] = int(used[1])
            if shared := SHARED.search(line):
                kernels[-1]["shared"] = int(shared[1])
    return kernels


def faults(kernels):
    found = []
    for k in kernels:
        where = f"{k['name']} for {k['arch']}"
        missing = [key for key in ("stack", "stores", "loads", "registers") if key not in k]
        if missing:
            found.append(f"{where}: the log does not say {', '.join(missing)}")
            continue
        if k["stack"] or k["stores"] or k["loads"]:
            found.append(f"{where}: {k['stack']} bytes of stack, {k['stores']} spilled")
        threads, blocks = next((t, b) for p, t, b in BUDGETS if re.search(p, k["name"]))
        # Registers are handed out to warps in lots of 8 per thread.
        most = REGISTERS // (threads * blocks) // 8 * 8
        if k["registers"] > min(most, 255):
            found.append(f"{where}: {k['registers']} registers, {blocks} blocks of {threads} "
                         f"threads leave {most}")
        if k["shared"]:
            found.append(f"{where}: {k['shared']} bytes of static shared memory; plans count none")
    for arch in ARCHITECTURES:
        for part, count in EXPECTED.items():
            pattern = rf"\d{part}(I|N|E|$)"
            there = len({k["name"] for k in kernels
                         if k["arch"] == arch and re.search(pattern, k["name"])})
            if there < count:
                found.append(f"{there} kernels {part} for {arch}, expected {count}")
    return found


def self_test(text):
    """Every rule finds what breaks it."""
    one = ENTRY.search(text)[1]
    breaches = {
        "spilled": (r"0 bytes spill stores", "4 bytes spill stores"),
        "bytes of stack": (r"0 bytes stack frame", "8 bytes stack frame"),
        "registers, ": (r"Used \d+ registers", "Used 256 registers"),
        "static shared": (r"(Used \d+ registers)", r"\1, 64 bytes smem"),
        "does not say registers": (r"Used \d+ registers", "Used no registers"),
    }
    for says, (pattern, text_of_it) in breaches.items():
        if not any(says in f and one in f
                   for f in faults(parse(re.sub(pattern, text_of_it, text, count=1)))):
            return f"planted in {one}, not found: {says}"
    if not any("expected" in f for f in faults(parse(text.replace("CoreKernel", "OtherKernel")))):
        return "kernels that are missing are not missed"
    return ""


def main():
    logs = sorted(pathlib.Path(sys.argv[1]).glob("cuda/CMakeFiles/cra_cuda.dir/*.ptxas"))
    text = "\n".join(log.read_text() for log in logs)
    if not ENTRY.search(text):
        print("no log of ptxas: built without CUDA")
        return 77
    if problem := self_test(text):
        print(problem)
        return 1
    kernels = parse(text)
    found = faults(kernels)
    print("\n".join(found) or f"{len(kernels)} kernels, nothing spilled, at most "
          f"{max(k['registers'] for k in kernels)} registers")
    return 1 if found else 0


sys.exit(main())
