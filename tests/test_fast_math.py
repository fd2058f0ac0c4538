"""cra refuses to be built with flags that delete its checks for non-finite numbers.

usage: test_fast_math.py ROOT CXX   exit 0: CMake and sim/base.h refuse every such flag

Both gates are needed: CMake speaks first and in words; the header also stops flags that come by
another way (a pragma, a parent project). Each gate is also tried without its lock, in a copy, to
see that it is the lock that refuses.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

FLAGS = ["-ffast-math", "-Ofast", "-ffinite-math-only"]


def configure(source, build, *options):
    """Output of a failed configuration, or None when CMake goes through. Stale flags of the
    environment would blur the result."""
    env = {k: v for k, v in os.environ.items() if k not in {"CXXFLAGS", "CFLAGS"}}
    command = ["cmake", "-G", "Ninja", "-S", source, "-B", build, "-DCRA_TESTS=OFF"]
    command += ["-DCRA_CUDA=OFF", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return done.stderr if done.returncode else None


def compile_header(include, compiler, flag):
    """Output of a refused compilation of sim/base.h, or None when it compiles."""
    # From the folder itself: a quoted include looks there before it looks at -I.
    command = [compiler, "-std=c++20", flag, "-I", include, "-fsyntax-only", "-x", "c++", "-"]
    source = '#include "sim/base.h"\nint main() {}\n'
    done = subprocess.run(
        command, cwd=include, input=source, capture_output=True, text=True
    )
    return done.stderr if done.returncode else None


def main():
    root, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    bad = []

    def expect(right, what, said):
        if not right:
            bad.append(f"{what}: {said if said is not None else 'went through'}")

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        options = [f"-DCMAKE_CXX_FLAGS={flag}" for flag in FLAGS]
        options += ["-DCMAKE_CXX_FLAGS_RELEASE=-O2 -ffast-math", "-DCMAKE_C_FLAGS=-Ofast"]
        for number, option in enumerate(options):
            said = configure(root, scratch / f"build{number}", option)
            flag = option.split("=", 1)[1].split()[-1]
            expect(f"cannot be built with {flag}" in (said or ""), f"cmake {option}", said)
        for flag in FLAGS:
            said = compile_header(root, compiler, flag)
            expect("cra cannot be built with" in (said or ""), f"{flag} sim/base.h", said)

        # Without the locks the same calls go through.
        said = compile_header(root, compiler, "-O2")
        expect(said is None, "sim/base.h alone", said)
        copy = scratch / "copy"
        ignore = shutil.ignore_patterns("build*", ".git", "runs", "golden")
        shutil.copytree(root, copy, ignore=ignore)
        for file, lock in [("sim/base.h", "#error"), ("CMakeLists.txt", "message(FATAL_ERROR")]:
            lines = (copy / file).read_text().splitlines()
            kept = [x for x in lines if lock not in x or "cra cannot" not in x]
            (copy / file).write_text("\n".join(kept))
        said = compile_header(copy, compiler, "-ffast-math")
        expect(said is None, "sim/base.h without its #error", said)
        said = configure(copy, scratch / "unlocked", "-DCMAKE_CXX_FLAGS=-ffast-math")
        expect(said is None, "cmake without its check", said)

    refused = f"{len(options)} configurations and {len(FLAGS)} compilations refused"
    print("\n".join(bad) if bad else refused)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
