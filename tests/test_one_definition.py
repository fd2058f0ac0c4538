"""One name, one type: no two files define a struct, class, union or enum of the same full name.

usage: test_one_definition.py [ROOT]   exit 0: in order; 1: prints what is not; 77: not a git checkout

Two translation units may then each see one of the two, and compile and link without a word; the
linker keeps one of their inline members, and the other unit runs it on an object of another layout.
Looks at tracked headers and sources. The test first plants breaches in a repository of its own, and what
is allowed beside them, and fails unless it finds the first and only those.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

FILES = {".h", ".hpp", ".cuh", ".cpp", ".cu"}
# Longest first: a comment may hold quotes, a string may hold "//", a raw string may hold both.
DARK = re.compile(
    r'R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\''
    r"|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
NAMESPACE = re.compile(r"\bnamespace\b((?:\s|\w|::|\[\[.*?\]\])*)$", re.DOTALL)
TYPE = re.compile(
    r"\b(?:struct|class|union|enum(?:\s+(?:struct|class))?)\s+"
    r"(?:(?:alignas\s*\([^()]*\)|\[\[.*?\]\]|__\w+__\s*\([^()]*\))\s*)*"
    r"(?P<name>[A-Za-z_][\w:]*(?:\s*<[^{};]*>)?)\s*(?:final\s*)?(?::(?!:)[^(){};]*)?$",
    re.DOTALL,
)


def blank(match):
    return "\n" * match[0].count("\n") + (" " if match[0][0] == "/" else " 0 ")


def definitions(text):
    """Full name and line of every type that a file defines in a namespace, also the global one."""
    text = DIRECTIVE.sub(lambda m: "\n" * m[0].count("\n"), DARK.sub(blank, text))
    scopes, start, line, found = [], 0, 1, []  # a scope is the name of a namespace; None: no namespace
    for at, sign in ((m.start(), m[0]) for m in re.finditer(r"[{};\n]", text)):
        if sign == "\n":
            line += 1
            continue
        head = text[start:at]
        start = at + 1
        if sign == "}" and scopes:
            scopes.pop()
        if sign != "{":
            continue
        space = NAMESPACE.search(head)
        kind = TYPE.search(head)
        if space:
            scopes.append("".join(re.sub(r"\[\[.*?\]\]|\binline\b", "", space[1]).split()) or "(unnamed)")
        elif re.search(r"\bextern\s+0\s*$", head):
            scopes.append("")
        else:
            # Unnamed namespaces are each unit's own; what is nested goes with what it is in.
            if kind and not {None, "(unnamed)"} & set(scopes):
                name = re.sub(r"\s+", "", kind["name"])
                found.append(("::".join([s for s in scopes if s] + [name]), line))
            scopes.append(None)
    return found


def faults(root):
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True)
    places = collections.defaultdict(dict)
    for file in listing.stdout.decode().split("\0"):
        if pathlib.PurePosixPath(file).suffix in FILES and (root / file).is_file():
            for name, line in definitions((root / file).read_text()):
                places[name].setdefault(file, line)  # twice in one file: behind an #if, or told by the compiler
    wrong = [
        f"{name} is defined in " + " and in ".join(f"{file}:{line}" for file, line in sorted(where.items()))
        for name, where in sorted(places.items())
        if len(where) > 1
    ]
    return wrong, len(places)


def control():
    """Plants breaches, and what is none; returns what was found otherwise."""
    plants = {
        "sim/a.h": """
            namespace cra::sim {
            /* struct Word { */ // class Word {
            inline const char* text() { return "struct Word {" R"(class Word {)"; }
            constexpr int kMany = 1'000'000;
            struct Word { int x; struct Part { int y; }; };
            template <> struct Choices<Word> { enum { kOne }; };
            enum class Form : int { flat };
            class Later;
            inline Word word() { struct Inside {}; return Word{1}; }
            }  // namespace cra::sim
            struct Global {};
            #define FOR(x) struct x {
            """,
        "sim/b.h": """
            namespace cra { namespace sim {
            template <class T>
            struct alignas(8) Word final : public std::vector<T> { int x, y; struct Part {}; };
            enum Form { kFlat };
            class Later { int z; };
            template <> struct Choices<Later> {};
            inline int word(struct Word w) { struct Inside {}; return 0; }
            } }
            struct Word {};
            """,
        "agents/c.h": """
            namespace cra::agents { struct Word {}; struct Part {}; struct Inside {}; }
            namespace cra::sim { namespace { struct Later {}; } template <> struct Choices< Word > {}; }
            extern "C" { struct Global { int x; }; }
            """,
        "agents/d.cpp": "namespace cra::sim { struct Word {}; namespace { struct Form {}; } }",
    }
    expected = [
        "Global is defined in agents/c.h:4 and in sim/a.h:12",
        "cra::sim::Choices<Word> is defined in agents/c.h:3 and in sim/a.h:7",
        "cra::sim::Form is defined in sim/a.h:8 and in sim/b.h:5",
        "cra::sim::Word is defined in agents/d.cpp:1 and in sim/a.h:6 and in sim/b.h:4",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        subprocess.run(["git", "init", "-q", root], check=True)
        for name, text in plants.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        subprocess.run(["git", "-C", root, "add", "."], check=True, capture_output=True)
        found, _ = faults(root)
    return [f"planted and not found: {e}" for e in expected if e not in found] + [
        f"not planted and found: {f}" for f in found if f not in expected
    ]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    if not (root / ".git").exists():
        print("not a git checkout: nothing is tracked here")
        return 77
    wrong, count = faults(root)
    wrong += control()
    print("\n".join(wrong) if wrong else f"{count} types have a name each")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
