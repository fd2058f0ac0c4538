#!/usr/bin/python3
"""Makes every file operation of a short run go wrong, once per run, and looks at what is left.

Usage: sweep.py PROGRAM SHIM [--points N] [--expect-damage] [--only KIND:AT]

Whatever happens to a run: no temporary is left by a run that could clean up, some generation of
the checkpoint is whole and no older than the last one committed, a visible result is whole, a
failure is one line that names file and reason, and --resume ends with the digest of an undisturbed
run. With --expect-damage PROGRAM carries a planted bug, and the sweep fails unless it finds it.
"""
import argparse
import collections
import concurrent.futures
import errno
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

import h5py

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {  # name -> (mode, errno, sticky)
    "kill": ("kill", 0, 0),
    "torn": ("torn", 0, 0),
    "short": ("short", 0, 0),
    "ENOSPC": ("fail", errno.ENOSPC, 0),
    "ENOSPC-sticky": ("fail", errno.ENOSPC, 1),
    "EIO": ("fail", errno.EIO, 0),
    "EIO-sticky": ("fail", errno.EIO, 1),
    "EDQUOT": ("fail", errno.EDQUOT, 0),
}
UPDATES = 20


class Broken(Exception):
    """A promise that was not kept."""


def require(condition, what):
    if not condition:
        raise Broken(what)


def run(program, folder, environment=None, resume=False):
    # One thread: the order of the operations must not depend on luck.
    command = [program, "run", str(HERE / "tiny.yaml"), "--out", f"{folder}/x.h5", "--quiet",
               "--threads", "1"] + (["--resume"] if resume else [])
    return subprocess.run(command, env={**os.environ, **(environment or {})}, timeout=60,
                          capture_output=True, text=True)


def environment_of(shim, folder, kind, at):
    mode, number, sticky = KINDS[kind]
    return {"LD_PRELOAD": shim, "FIO_MATCH": str(folder), "FIO_MODE": mode, "FIO_AT": str(at),
            "FIO_ERRNO": str(number), "FIO_STICKY": str(sticky)}


def digest(path):
    """Of everything in /train, /eval and /policy; refuses a file whose seal is wrong."""
    raw = path.read_bytes()
    seal = f"\nCRA-SHA256 {hashlib.sha256(raw[:-77]).hexdigest()}\n".encode()
    require(raw[-77:] == seal, f"{path.name} is visible and not whole")
    found = hashlib.sha256()
    with h5py.File(io.BytesIO(raw)) as file:
        for group in ("train", "eval", "policy"):
            for name, data in sorted(file[group].items()):
                value = data[()]
                if data.dtype == object:
                    plain = repr(value.tolist() if data.shape else value)
                else:
                    plain = value.tobytes().hex()
                found.update(f"{group}/{name} {data.shape} {data.dtype} {plain}".encode())
    return found.hexdigest()


def updates_in(path):
    """Updates done according to one generation; -1 when it is not there or not whole."""
    if not path.exists():
        return -1
    raw = path.read_bytes()
    if len(raw) < 56:
        return -1
    magic, version, zero, length, sha = struct.unpack("<8sIIQ32s", raw[:56])
    image = raw[56:]
    if (magic, version, zero, length) != (b"CRACKPT\n", 1, 0, len(image)):
        return -1
    if hashlib.sha256(image).digest() != sha:
        return -1
    with h5py.File(io.BytesIO(image)) as file:
        return int(file["0.updates"][0])  # of the first training


def logged_updates(folder):
    """Numbers of the whole lines of the metrics file."""
    path = folder / "x.metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["update"] for line in lines]


def check_message(folder, done):
    """One error line, with the file and the reason in it."""
    lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
    require(len(lines) == 1, f"{len(lines)} error lines: {done.stderr!r}")
    reasons = [os.strerror(number) for _, number, _ in KINDS.values() if number]
    require(f"{folder}/x." in lines[0] and any(r in lines[0] for r in reasons),
            f"no file and reason in {lines[0]!r}")


def check_point(program, shim, folder, kind, at, reference):
    """Runs with one fault and checks every promise. Returns the name of the outcome."""
    done = run(program, folder, environment_of(shim, folder, kind, at))
    killed = KINDS[kind][0] in ("kill", "torn")
    if killed:
        require(done.returncode == -signal.SIGKILL, f"exit {done.returncode}, expected a kill")
    else:
        require(done.returncode in (0, 1), f"exit {done.returncode}: {done.stderr!r}")
        left = [p.name for p in folder.iterdir() if p.name.endswith("-tmp")]
        require(not left, f"temporary left behind: {left}")
    if done.returncode == 1:
        check_message(folder, done)

    result, checkpoint = folder / "x.h5", folder / "x.h5.checkpoint"
    finished = result.exists() and digest(result) == reference
    require(finished or not result.exists(), "the result differs from that of an undisturbed run")
    if not finished:
        # Line u of the metrics is written before checkpoint u, so checkpoint u - 1 was committed.
        generations = [updates_in(checkpoint), updates_in(folder / "x.h5.checkpoint.previous")]
        committed = max(logged_updates(folder), default=0) - 1
        if committed >= 1:
            require(max(generations) >= committed,
                    f"checkpoint {committed} was committed, found {generations}")
    require(done.returncode != 0 or finished, "exit 0 without a result")

    if done.returncode != 0:
        again = run(program, folder, resume=True)
        require(again.returncode == 0, f"--resume: exit {again.returncode}: {again.stderr!r}")
        require(digest(result) == reference, "the resumed run ends with another result")
        # A metrics file cannot be whole when the fault hit it; a resumed run makes it whole.
        if not finished:
            require(logged_updates(folder) == list(range(1, UPDATES + 1)), "lines of metrics missing")
        left = sorted(p.name for p in folder.iterdir())
        require(left == ["x.h5", "x.metrics.jsonl"], f"left behind after --resume: {left}")
    return "killed" if killed else f"exit {done.returncode}"


def points(calls, count):
    """`count` pairs of kind and number: every kind over the whole run, shifted against each other
    so that together they hit (nearly) every operation."""
    per_kind = -(-count // len(KINDS))
    for k, kind in enumerate(KINDS):
        for j in range(per_kind):
            yield kind, int((j + k / len(KINDS)) * calls / per_kind)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("shim")
    arguments.add_argument("--points", type=int, default=320)
    arguments.add_argument("--expect-damage", action="store_true")
    arguments.add_argument("--only", metavar="KIND:AT")
    a = arguments.parse_args()

    outcomes, broken = collections.Counter(), []
    # In memory where that exists: the faults are injected, and real syncs take most of the time.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="cra-faults-", dir=memory) as base:
        def fresh(name):
            folder = pathlib.Path(base, name)
            folder.mkdir()
            return folder

        straight, log = fresh("straight"), pathlib.Path(base, "log")
        done = run(a.program, straight, {"LD_PRELOAD": a.shim, "FIO_MATCH": str(straight),
                                         "FIO_LOG": str(log)})
        if done.returncode != 0:
            sys.exit(f"the undisturbed run failed: {done.stderr}")
        reference, calls = digest(straight / "x.h5"), len(log.read_text().splitlines())
        todo = list(points(calls, a.points))
        if a.only:
            kind, at = a.only.split(":")
            todo = [(kind, int(at))]

        def one(point):
            kind, at = point
            folder = fresh(f"{kind}-{at}")
            try:
                outcome = check_point(a.program, a.shim, folder, kind, at, reference)
            except (Broken, subprocess.TimeoutExpired, OSError, ValueError) as e:
                return kind, at, None, str(e)
            shutil.rmtree(folder)
            return kind, at, outcome, ""

        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for kind, at, outcome, why in pool.map(one, todo):
                outcomes[f"{kind}: {outcome or 'BROKEN'}"] += 1
                if outcome is None:
                    broken.append((kind, at, why))

    hit = len({at for _, at in todo})
    print(f"{len(todo)} faults at {hit} of {calls} operations")
    for name, number in sorted(outcomes.items()):
        print(f"  {number:4d}  {name}")
    for kind, at, why in broken[:10]:
        print(f"{kind} at operation {at}: {why}\n  again: {sys.argv[0]} {a.program} {a.shim} "
              f"--only {kind}:{at}")
    if a.expect_damage:
        print(f"planted bug: seen at {len(broken)} of {len(todo)} points")
        sys.exit(0 if broken else 1)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
