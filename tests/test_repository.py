"""The house: what lies on the top level, sizes, stray paths, unfinished marks, scripts that parse.

usage: test_repository.py [ROOT]   exit 0: in order; 1: prints what is not; 77: not a git checkout

Looks at tracked files only. The test first plants one fault of each kind in a small repository of
its own and fails unless it finds every one.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDERS = {"sim", "agents", "attention", "cuda", "scenarios", "results", "tests", "tools"}
FILES = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "CONTRIBUTING.md"}
LIMIT = 400_000  # bytes; larger things are results or data, and belong elsewhere
# Built from pieces, so that this file does not contain what it forbids.
MARK = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
MACHINE_PATH = re.compile(r"(?:^|[^.\w])/(?:work|farm|root|home|Users)/")
SCRIPT = re.compile(rb"#!.*\b(?:ba|da|)sh\b")


def tracked(root):
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True)
    return [pathlib.PurePosixPath(name) for name in listing.stdout.decode().split("\0") if name]


def faults(root):
    """Every fault of the tracked files under root, as "file[:line]: what"."""
    found = []
    files = [f for f in tracked(root) if (root / f).is_file()]
    for top in sorted({f.parts[0] for f in files}):
        allowed = FILES if pathlib.PurePosixPath(top) in files else FOLDERS
        if top not in allowed and not top.startswith("."):
            found.append(f"{top}: has no place on the top level")
    for file in files:
        content = (root / file).read_bytes()
        if len(content) > LIMIT:
            found.append(f"{file}: {len(content)} bytes, more than {LIMIT}")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue  # a picture or a result file
        for number, line in enumerate(text.splitlines(), 1):
            if MARK.search(line):
                found.append(f"{file}:{number}: unfinished mark: {line.strip()}")
            if MACHINE_PATH.search(line):
                found.append(f"{file}:{number}: path of one machine: {line.strip()}")
        if file.suffix == ".sh" or SCRIPT.match(content):
            parsed = subprocess.run(["bash", "-n", root / file], capture_output=True, text=True)
            if parsed.returncode:
                found.append(f"{file}: bash -n: {parsed.stderr.strip()}")
        command = content.startswith(b"#!") and not file.suffix
        if command and not os.access(root / file, os.X_OK):
            found.append(f"{file}: is a command and not executable")
    return found


def control():
    """Plants a fault of each kind; returns the ones that went unnoticed."""
    plants = {
        "src/main.cpp": ("int main() {}\n", "src: has no place"),
        "notes.txt": ("hello\n", "notes.txt: has no place"),
        "sim/big.csv": ("0," * LIMIT, "sim/big.csv: 800000 bytes"),
        "sim/plant.cpp": ("// TO" + "DO later\n", "sim/plant.cpp:1: unfinished"),
        "tools/note.py": ("x = 1\np = '/" + "home/me/x'\n", "tools/note.py:2: path of one machine"),
        "tools/broken": ("#!/usr/bin/env bash\nif true; then\n", "tools/broken: bash -n"),
        "tools/broken.sh": ("echo $(\n", "tools/broken.sh: bash -n"),
        "tools/locked": ("#!/bin/sh\n", "tools/locked: is a command"),
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        subprocess.run(["git", "init", "-q", root], check=True)
        for name, (text, _) in plants.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        subprocess.run(["git", "-C", root, "add", "."], check=True, capture_output=True)
        found = faults(root)
    return [
        f"planted in {name} and not found: {expected}"
        for name, (_, expected) in plants.items()
        if not any(f.startswith(expected) for f in found)
    ]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    if not (root / ".git").exists():
        print("not a git checkout: nothing is tracked here")
        return 77
    found = faults(root) + control()
    print("\n".join(found) if found else f"{len(tracked(root))} tracked files are in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
