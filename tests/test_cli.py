"""Runs the stories in tests/cli/*.txt against the program and compares the whole output.

usage: test_cli.py CRA FOLDER [--update]     exit 0: all as written; 1: prints the differences

A story is a text file, played line by line in an empty folder of its own:
    # ...            a comment
    < NAME           the following lines that begin with ">" are the content of the file NAME
    <= NAME = EXPR   the file NAME holds the bytes of a Python expression
    $ COMMAND        run by sh, with `cra` on the PATH; then what it must print, every line of it:
    | ...            on stdout
    ! ...            on stderr
    ? N              its exit code, when it is not 0
{HERE} stands for this folder of tests. Only what differs from run to run is made equal before the
comparison: times, process numbers, the version. --update writes down what the program does now;
read the difference before you commit it.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What may differ between two runs, and what stands for it in the stories.
UNEQUAL = [
    (re.compile(r"(env-steps in )[0-9.]+ s\b"), r"\1TIME"),
    (re.compile(r"\bcra [0-9]+\.[0-9]+\.[0-9]+ \(commit [^)]*\)"), "cra VERSION"),
    (re.compile(r"\bprocess [0-9]+\b"), "process PID"),
]


class Command:
    """One command of a story: the line it begins at, its words, and what must come of it."""

    def __init__(self, line, words):
        self.line, self.words = line, words
        self.stdout, self.stderr, self.code = [], [], 0

    def expected(self):
        return self.stdout, self.stderr, self.code


def content_of(lines, start):
    """The lines of an embedded file from `start` on, and where the story goes on."""
    end = start
    while end < len(lines) and lines[end][:1] == ">":
        end += 1
    return "".join(line[2:] + "\n" for line in lines[start:end]), end


def parse(text, here):
    """-> [(line number, "file", name, bytes) or (line number, "run", Command)]"""
    steps, lines, at = [], text.splitlines(), 0
    command = None
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if line.startswith("< "):
            content, at = content_of(lines, at)
            steps.append((number, "file", line[2:], content.replace("{HERE}", here).encode()))
        elif line.startswith("<= "):
            name, expression = line[3:].split(" = ", 1)
            # The stories are part of the repository, as this file is.
            steps.append((number, "file", name, eval(expression)))  # noqa: S307
        elif line.startswith("$ "):
            command = Command(number, line[2:].replace("{HERE}", here))
            steps.append((number, "run", command))
        elif line[:1] in ("|", "!") and command:
            (command.stdout if line[0] == "|" else command.stderr).append(line[2:])
        elif line.startswith("? ") and command:
            command.code = int(line[2:])
        elif line and not line.startswith("#"):
            raise SystemExit(f"line {number} of a story is nothing: {line}")
    return steps


def normalised(data, here):
    """Printed bytes as lines, with what differs from run to run made equal."""
    text = data.decode("utf-8", "backslashreplace").replace(here, "{HERE}")
    for pattern, word in UNEQUAL:
        text = pattern.sub(word, text)
    return text.splitlines()


def play(steps, program, here):
    """Plays a story. -> [(Command, (stdout, stderr, code))]"""
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": "/nonexistent",
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",  # on a busy machine spinning costs more than the work
        "HERE": here,
    }
    happened = []
    with tempfile.TemporaryDirectory() as folder:
        for step in steps:
            if step[1] == "file":
                path = pathlib.Path(folder, step[2])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(step[3])
                continue
            done = subprocess.run(
                ["sh", "-c", step[2].words], cwd=folder, env=environment, timeout=60,
                stdin=subprocess.DEVNULL, capture_output=True, check=False)
            happened.append((step[2], (normalised(done.stdout, here),
                                       normalised(done.stderr, here), done.returncode)))
    return happened


def written(outcome):
    """An outcome as the lines of a story."""
    stdout, stderr, code = outcome
    lines = [("| " + line).rstrip() for line in stdout] + [("! " + line).rstrip() for line in stderr]
    return lines + ([f"? {code}"] if code else [])


def complaint(name, command, outcome):
    """What differs, or None."""
    expected, found = written(command.expected()), written(outcome)
    if expected == found:
        return None
    return "\n".join([f"{name}:{command.line}: $ {command.words}", "  expected:"]
                     + ["    " + line for line in expected] + ["  found:"]
                     + ["    " + line for line in found])


def updated(text, happened):
    """The story with the outcomes written down."""
    out, by_line = [], {command.line: outcome for command, outcome in happened}
    skipping = False
    for number, line in enumerate(text.splitlines(), 1):
        if skipping and line[:1] in ("|", "!", "?"):
            continue
        skipping = number in by_line
        out.append(line)
        if skipping:
            out.extend(written(by_line[number]))
    return "\n".join(out) + "\n"


def check_comparison():
    """A comparison that overlooks a changed, missing or added line would make every story pass."""
    command = Command(1, "cra x")
    command.stdout, command.stderr, command.code = ["a", "b"], ["c"], 3
    assert complaint("s", command, (["a", "b"], ["c"], 3)) is None
    for wrong in [(["a"], ["c"], 3), (["a", "b", ""], ["c"], 3), (["a", "B"], ["c"], 3),
                  (["a", "b"], [], 3), (["a", "b", "c"], [], 3), (["a", "b"], ["c"], 2)]:
        assert complaint("s", command, wrong), wrong


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(sys.argv[2]).resolve()
    update = sys.argv[3:] == ["--update"]
    here = str(folder)
    check_comparison()
    commands, complaints = 0, []
    for story in sorted(folder.glob("*.txt")):
        text = story.read_text(encoding="utf-8")
        happened = play(parse(text, here), program, here)
        commands += len(happened)
        if update:
            story.write_text(updated(text, happened), encoding="utf-8")
            continue
        complaints += [c for c in (complaint(story.name, *h) for h in happened) if c]
    for text in complaints:
        print(text)
    print(f"{commands} commands, {len(complaints)} not as written")
    return 1 if complaints or not commands else 0


if __name__ == "__main__":
    sys.exit(main())
