"""The arrows between folders, held against every #include line and every CMake link edge.

usage: test_includes.py [ROOT]   exit 0: all is as drawn; 1: prints file:line of what is not

The tables below are section "folder map" of CONTRIBUTING.md in a form a machine can read. The
test first plants one breach of every rule in a copy of the tree and fails unless it finds each.
"""

import pathlib
import re
import shutil
import sys
import tempfile

# Who may include whose public header, directly. The floor (sim/base.h, sim/rng.h, sim/simd.h) is open to all.
ARROWS = {
    "sim": set(),
    "attention": set(),
    "results": set(),
    "cuda": {"sim", "attention"},
    "agents": {"sim", "attention"},
    "scenarios": {"sim", "attention", "agents"},
    "tools": {"sim", "attention", "results", "cuda", "agents", "scenarios"},
}
FLOOR = {"sim/base.h", "sim/rng.h", "sim/simd.h"}
PUBLIC = {
    "sim": "sim/sim.h",
    "attention": "attention/attention.h",
    "cuda": "cuda/cuda.h",
    "agents": "agents/agents.h",
    "scenarios": "scenarios/scenario.h",
    "results": "results/results.h",
}

GENERATED = {("tools", "commit.h")}  # made by the build, see tools/commit.cmake

# Third-party headers, and the folders that may see them. tools sees OpenMP to set the number of
# threads, scenarios JSON to write its schema; tests what they need to make foreign files.
THIRD_PARTY = {
    "OpenMP": (r"omp\.h", {"sim", "attention", "agents", "tools", "tests"}),
    "Random123": (r"Random123/.*", {"sim", "tests"}),
    "Eigen": (r"(unsupported/)?Eigen/.*", {"attention", "agents", "tests"}),
    "SIMD": (r"([a-z0-9]*intrin|arm_neon)\.h", {"sim", "attention"}),
    "CUDA": (r"(cuda|cub|cublas|cooperative_groups|mma|nv|thrust).*", {"cuda"}),
    "yaml-cpp": (r"yaml-cpp/.*", {"scenarios", "tests"}),
    "HDF5": (r"(hdf5|H5[A-Z]).*", {"results", "tests"}),
    "Boost": (r"boost/.*", {"tools"}),
    "nlohmann": (r"nlohmann/.*", {"scenarios", "tools", "tests"}),
    "spdlog": (r"(spdlog|fmt)/.*", {"tools"}),
    "doctest": (r"doctest/.*", {"tests"}),
    "Clp": (r"Clp_C_Interface\.h", {"tests"}),
}
# CMake targets of third parties, as they appear in target_link_libraries.
TARGETS = {
    "OpenMP::": "OpenMP",
    "Eigen3::": "Eigen",
    "CUDA::": "CUDA",
    "yaml-cpp": "yaml-cpp",
    "hdf5::": "HDF5",
    "Boost::": "Boost",
    "nlohmann_json::": "nlohmann",
    "spdlog::": "spdlog",
    "fmt::": "spdlog",
}
# Headers of the operating system; a public header includes none of them.
SYSTEM = re.compile(
    r"(unistd|fcntl|signal|errno|dlfcn|pthread|sched|poll|dirent|termios|pwd|locale|string"
    r"|cpuid|execinfo|link|sys/[a-z_]+|linux/[a-z_]+|gnu/[a-z-]+)\.h"
)
STANDARD = re.compile(r"[a-z_0-9]+")  # <vector>: no folder, no ending
STANDARD_C = re.compile(r"(std[a-z]+|ctype|inttypes|limits|math|time)\.h")  # in .c files only
SOURCES = {".h", ".hpp", ".cpp", ".cc", ".c", ".cu", ".cuh"}
DIRECTIVE = re.compile(r"^\s*#\s*(?:include|include_next|import)\b\s*(.*)")
SPELLED = re.compile(r'(?:<([^>]+)>|"([^"]+)")')


def includes(path):
    """(line, header as spelled or None when computed, "angle" or "quote") of each #include."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        directive = DIRECTIVE.match(line)
        if not directive:
            continue
        spelled = SPELLED.match(directive[1])
        if not spelled:
            yield number, None, None
        elif spelled[1]:
            yield number, spelled[1], "angle"
        else:
            yield number, spelled[2], "quote"


def fault_of(root, file, header, kind):
    """What is wrong with an include in one of our files, or None; and the folder it leads to."""
    folder = file.parts[0]
    if header is None:
        return "computed #include", None
    if kind == "quote":
        if (folder, header) in GENERATED:
            return None, None
        if folder == "tests" and (root / file.parent / header).is_file():
            return None, None  # tests are no folder of the program: they share helpers as they like
        target = pathlib.PurePosixPath(header)
        if len(target.parts) < 2 or ".." in target.parts or not (root / header).is_file():
            return f'"{header}" is not a file of ours spelled from the top folder', None
        other = target.parts[0]
        if folder == other:
            return None, None
        if other == "tests":
            return f"{folder} includes {header} of the tests", None
        if folder == "tests" or header in FLOOR:
            return None, other
        if other not in ARROWS.get(folder, ()):
            return f"no arrow from {folder} to {other} ({header})", other
        if header != PUBLIC.get(other):
            return f"{header} is internal to {other}, whose public header is {PUBLIC[other]}", other
        return None, other
    public = str(file) in FLOOR | set(PUBLIC.values())
    if STANDARD.fullmatch(header) or (file.suffix == ".c" and STANDARD_C.fullmatch(header)):
        return None, None
    if SYSTEM.fullmatch(header):
        return (f"public header includes <{header}>" if public else None), None
    for library, (pattern, folders) in THIRD_PARTY.items():
        if not re.fullmatch(pattern, header):
            continue
        if folder not in folders:
            return f"<{header}> ({library}) is for {', '.join(sorted(folders))} only", library
        if public:
            return f"public header includes <{header}> ({library})", library
        return None, library
    return f"<{header}> is in no table of this test", None


def links(cmake):
    """(line, item) of everything that a folder's CMakeLists.txt links to."""
    text = re.sub(r"#.*", "", cmake.read_text(encoding="utf-8"))
    for call in re.finditer(r"target_link_libraries\s*\(([^)]*)\)", text):
        line = text.count("\n", 0, call.start()) + 1
        for item in call[1].split()[1:]:
            if item not in {"PUBLIC", "PRIVATE", "INTERFACE"}:
                yield line, item


def faults(root):
    """Every breach under a source tree, as "file:line: what", and the number of includes read."""
    found, read = [], 0
    for folder in [*ARROWS, "tests"]:
        used = set()
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SOURCES:
                continue
            file = path.relative_to(root)
            for line, header, kind in includes(path):
                read += 1
                fault, other = fault_of(root, file, header, kind)
                used.add(other)
                if fault:
                    found.append(f"{file}:{line}: {fault}")
        if folder == "tests":
            continue
        # Link edges: every one an arrow or the way to the floor, none missing, none unused.
        name, linked = f"{folder}/CMakeLists.txt", set()
        for line, item in links(root / name):
            if item in {"cra_options", f"cra_{folder}"}:
                continue
            library = next((TARGETS[start] for start in TARGETS if item.startswith(start)), None)
            other = item.removeprefix("cra_")
            linked.add(other)
            place = f"{name}:{line}"
            if library:
                if folder not in THIRD_PARTY[library][1]:
                    found.append(f"{place}: {folder} links to {item}")
            elif other not in ARROWS[folder] | {"sim"}:
                found.append(f"{place}: no arrow from {folder} to {item}")
        for other in sorted((used & set(PUBLIC)) - linked - {folder}):
            found.append(f"{name}:1: includes {other} without a link to cra_{other}")
        for other in sorted((linked & set(PUBLIC)) - used):
            found.append(f"{name}:1: links to cra_{other} without an include of it")
    return found, read


# (file, text appended to it, what must be said about it): one breach of every rule.
PLANTS = [
    ("sim/planted.cpp", '#include "attention/attention.h"', "no arrow from sim to attention"),
    ("attention/planted.cpp", '#include "sim/sim.h"', "no arrow from attention to sim"),
    ("results/planted.cpp", '# include "agents/agents.h"', "no arrow from results to agents"),
    ("agents/planted.cpp", '#include "results/results.h"', "no arrow from agents to results"),
    ("agents/planted.cpp", '#include "cuda/cuda.h"', "no arrow from agents to cuda"),
    ("scenarios/planted.cpp", '#include "results/results.h"', "no arrow from scenarios to results"),
    ("agents/planted.cpp", '#include "sim/inner.h"', "is internal to sim"),
    ("scenarios/planted.cpp", '#include "commit.h"', "spelled from the top folder"),
    ("tools/planted.cpp", '#include "../sim/sim.h"', "spelled from the top folder"),
    ("sim/planted.cpp", '#include "sim.h"', "spelled from the top folder"),
    ("sim/planted.cpp", "#include HEADER", "computed #include"),
    ("agents/agents.h", "#include <Eigen/Dense>", "public header includes"),
    ("results/results.h", "#include <hdf5.h>", "public header includes"),
    ("results/results.h", "#include <sys/stat.h>", "public header includes"),
    ("sim/planted.cpp", "#include <Eigen/Dense>", "is for agents, attention"),
    ("agents/planted.cpp", "#include <yaml-cpp/yaml.h>", "is for scenarios"),
    ("scenarios/planted.cpp", "#include <boost/program_options.hpp>", "is for tools"),
    ("tools/planted.cpp", "#include <H5Cpp.h>", "is for results"),
    ("attention/planted.cpp", "#include <Random123/philox.h>", "is for sim"),
    ("attention/planted.cpp", "#include <cuda_runtime.h>", "is for cuda"),
    ("tools/planted.cpp", "#include <curl/curl.h>", "is in no table"),
    ("tools/planted.cpp", "#include <stdio.h>", "is in no table"),
    ("sim/CMakeLists.txt", "target_link_libraries(cra_sim cra_cuda)", "no arrow from sim"),
    ("agents/CMakeLists.txt", "target_link_libraries(cra_agents hdf5::hdf5)", "agents links to"),
]


def control(root):
    """Plants each breach in a copy; returns the ones that went unnoticed."""
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch)
        for folder in [*ARROWS, "tests"]:
            shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("runs"))
        (copy / "sim/inner.h").write_text("#pragma once\n")
        before = set(faults(copy)[0])
        for name, text, expected in PLANTS:
            file = copy / name
            original = file.read_text(encoding="utf-8") if file.exists() else ""
            line = original.count("\n") + 1
            file.write_text(f"{original}{text}\n")
            new = set(faults(copy)[0]) - before
            if not any(f.startswith(f"{name}:{line}: ") and expected in f for f in new):
                missed.append(f"planted in {name} and not found: {text}")
            file.write_text(original)  # an empty file includes nothing
        # A link edge that is missing, and one that nothing uses.
        cmake = copy / "scenarios/CMakeLists.txt"
        original = cmake.read_text(encoding="utf-8")
        for before_text, after, expected in [
            ("cra_agents", "", "includes agents without a link"),
            ("cra_agents", "cra_agents cra_tests", "no arrow from scenarios to cra_tests"),
        ]:
            cmake.write_text(original.replace(before_text, after))
            if not any(expected in f for f in set(faults(copy)[0]) - before):
                missed.append(f"planted in scenarios/CMakeLists.txt and not found: {expected}")
        cmake.write_text(original)
        for path in (copy / "scenarios").glob("*.[hc]*"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("agents/agents.h", "sim/sim.h"))
        if not any("links to cra_agents without" in f for f in faults(copy)[0]):
            missed.append("planted in scenarios and not found: a link that nothing uses")
    return missed


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found, read = faults(root)
    found += control(root)
    print("\n".join(found) or f"{read} includes follow the arrows; all plants were found")
    # A tree without includes is not a tree without faults: the reader would be broken.
    return 1 if found or read < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
