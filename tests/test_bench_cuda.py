"""The table of tools/bench_cuda.py, from figures whose ratios, floors and verdicts are known.

usage: test_bench_cuda.py TOOLS_FOLDER   exit 0: all holds; 1: prints what does not
"""

import contextlib
import copy
import io
import json
import math
import subprocess
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

import bench_cuda as program  # noqa: E402
import bench_cuda_table as table  # noqa: E402

FAULTS = []
BF16 = ("core", "forward", "bf16")


def check(condition, text):
    if not condition:
        FAULTS.append(text)


def close(got, wanted, text, within=1e-9):
    check(got is not None and abs(got - wanted) <= within * abs(wanted),
          f"{text}: {got}, not {wanted}")


def refuses(text, work):
    try:
        work()
    except ValueError as e:
        check(text in str(e), f"said {e}, not {text}")
    else:
        check(False, f"nothing was said of {text}")


def row(what, passed, precision, nodes, us, environments=None, **more):
    return {"what": what, "pass": passed, "precision": precision, "nodes": nodes,
            "environments": environments or 262144 // nodes, "width": 64, "heads": 4,
            "layers": 2 if what == "encoder" else 0, "microseconds": us, "launches_per_graph": 24,
            "bytes": 1, "operations": 1, "exponentials": 1, "checked_error": 1e-6, **more}


def report(rows, **more):
    return {"device": "NVIDIA H200", "compute_capability": "9.0", "commit": "c",
            "copy_bandwidth_gb_s": 4300.0, "rows": rows, **more}


def measured(rows, torch_rows=None, rounds=5, **more):
    """Of rounds that are all alike, unless a row's times are one list a round."""
    reports = [table.parse(report(
        [{**r, "microseconds": r["microseconds"][i] if isinstance(r["microseconds"][0], list)
          else r["microseconds"]} for r in rows])) for i in range(rounds)]
    return table.assemble(reports, torch_rows or {}, {"torch": "2.9", "date": "today", **more})


def of(rows, what, passed, precision, nodes):
    return table.standard(rows, what, passed, precision, nodes)


def verdict(m, name, nodes):
    return [v for v in table.verdicts(table.evaluate(m)) if v[0] == name and v[2] == nodes]


def test_parse():
    good = report([row(*BF16, 16, [31.0] * 6)])
    parsed = table.parse(good)
    check(parsed["rows"][0]["us"] == [31.0] * 6 and parsed["copy_gb_per_s"] == 4300, "parse")
    older = copy.deepcopy(good)
    older["copy_gb_per_s"] = older.pop("copy_bandwidth_gb_s")
    old_row = older["rows"][0]
    old_row["us"] = old_row.pop("microseconds")
    for k in ("checked_error", "launches_per_graph"):
        old_row.pop(k)
    parsed = table.parse(older)
    check(parsed["rows"][0]["us"] == [31.0] * 6 and parsed["rows"][0]["error"] is None, "older")
    check("not stated" in table.markdown(measured([old_row | {"microseconds": [31.0] * 6}])),
          "an error that is not stated is not said to be so")
    for k in ("device", "rows", "copy_bandwidth_gb_s"):
        refuses(f"no {k}", lambda: table.parse({a: b for a, b in good.items() if a != k}))
    for change, text in (({"microseconds": []}, "times"), ({"microseconds": [0.0]}, "times"),
                         ({"microseconds": [math.nan]}, "times"), ({"width": 32}, "network"),
                         ({"layers": 2}, "network"), ({"precision": "fp8"}, "precision")):
        refuses(text, lambda: table.parse(report([row(*BF16, 16, [1.0], **{}) | change])))
    refuses("twice", lambda: table.parse(report([row(*BF16, 16, [1.0])] * 2)))
    lost = table.parse(report([row(*BF16, 16, [1.0], checked_error=None)]))
    check(lost["rows"][0]["error"] == math.inf, "an error that is no number passes")


def test_medians():
    median, low, high = table.spread([float(i) for i in range(101)])
    check((median, low, high) == (50, 10, 90), f"spread {median} {low} {high}")
    check(table.spread([7.0]) == (7, 7, 7), "spread of one")


def test_ratio():
    # cra takes 10 and 20 us in turn, PyTorch three times that, by a way that is always slower than
    # another was in the one round that it ran.
    key = (*BF16, 16384, 16)
    ways = {"flash": [[30.0] * 6, [60.0] * 6] * 2, "cudnn": [[35.0] * 6, [70.0] * 6] * 2,
            "math": [[1.0] * 6]}
    m = measured([row(*BF16, 16, [[10.0] * 6, [20.0] * 6] * 2)], {key: {"torch": ways}}, 4)
    r = table.evaluate(m)[0]
    check(r["way"] == "flash", f"fastest way {r['way']}")
    close(r["ratio"], 3.0, "ratio")
    close(r["torch_us"], 45.0, "PyTorch")
    close(r["us"], 15.0, "cra")
    check("**Not by protocol: 4 rounds, 24 repeats" in table.markdown(m), "4 rounds are few")


def test_floors():
    # speed of a copy 4.3 TB/s: the table of floors that goals were derived from, in microseconds.
    for precision, nodes, forward, both in (("bf16", 16, 31.2, 31.2 + 54.6),
                                            ("bf16", 64, 31.2, 31.2 + 54.6),
                                            ("bf16", 256, 68.8, 68.8 + 68.8),
                                            ("tf32", 64, 62.4, 62.4 + 109.2),
                                            ("tf32", 256, 68.8, 68.8 + 109.2),
                                            # 17.2 and 42.9 GFLOP, three products of tf32 each
                                            ("fp32", 256, 128.8, 128.8 + 322.1)):
        m = measured([row("core", p, precision, nodes, [100.0] * 6) for p in table.PASSES])
        got = table.evaluate(m)
        close(got[0]["floor_us"], forward, f"floor {precision} {nodes}", 2e-3)
        close(got[1]["floor_us"], both, f"floor of both {precision} {nodes}", 2e-3)
        close(got[0]["of_floor"], forward / 100, "of the floor", 2e-3)
    # 16 features, 2 layers of 8 d^2 + 2 d N products, d^2 + 16 d before them: 39.2 GFLOP at N = 16.
    m = measured([row("encoder", p, "bf16", 16, [100.0] * 6) for p in table.PASSES])
    r, reverse = table.evaluate(m)
    close(r["floor_us"], 39.19e9 / 790e12 * 1e6, "floor of the encoder", 1e-3)
    close(r["of_products"], 0.496, "of the rate of products", 1e-3)
    check(reverse.get("floor_us") is None, "no floor is stated for the encoder's reverse")
    # A copy of PyTorch's that is faster lowers the floor.
    m = measured([row(*BF16, 16, [100.0] * 6)], torch_copy_gb_per_s=8600)
    close(table.evaluate(m)[0]["floor_us"], 15.6, "floor by the faster copy", 2e-3)
    for device, folder in (("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA H200", "h200"),
                           ("NVIDIA H100 PCIe", "nvidia-h100-pcie"),
                           ("NVIDIA H200 NVL", "nvidia-h200-nvl"),
                           ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090")):
        check(table.slug(device) == folder, f"{device}: {table.slug(device)}")
        m["device"] = device
        check(("floor_us" in table.evaluate(m)[0]) == (len(folder) == 4), f"floors of {device}")


def test_verdicts():
    def core(us, theirs, **more):
        key = (*BF16, 16384, 16)
        torch = {"torch": {"flash": [[theirs] * 6] * 5}, **more.pop("torch", {})}
        return measured([row(*BF16, 16, [us] * 6, **more)], {key: torch})

    def g1(m):
        (_, _, _, wanted, reached, word), = verdict(m, "G1", 16)
        check(wanted == ">= 2.0", wanted)
        return reached, word

    check(g1(core(50.0, 100.0)) == (2.0, "met"), "exactly the goal is met")
    check(g1(core(50.0, 99.0)) == (1.98, "missed"), "below the goal is missed")
    check(g1(core(50.0, 200.0, checked_error=0.03))[1] == "missed: results wrong by 3.0e-02",
          "wrong")
    check(g1(core(50.0, 200.0, checked_error=0.019))[1] == "met", "right")
    check(g1(core(50.0, 200.0, torch={"untried": ["cudnn compiled"]}))[1] ==
          "not measured: 1 ways of PyTorch not tried", "untried")
    check(g1(core(50.0, 90.0, torch={"untried": ["cudnn compiled"]}))[1] == "missed",
          "no way more can raise a ratio")
    check(g1(measured([row(*BF16, 16, [50.0] * 6)])) == (None, "not measured"), "no PyTorch")
    check(verdict(core(50.0, 200.0), "G1", 64)[0][4:] == (None, "not measured"), "no such row")
    # Memory's 31.2 us of 50 are 62 %, of 40 they are 78.
    check([verdict(core(us, 200.0), "G3", 16)[0][5] for us in (50.0, 40.0)] == ["missed", "met"],
          "G3")
    check(verdict(core(50.0, 200.0), "G6", 16)[0][5] == "not measured", "G6 is of the encoder")
    m = measured([row("encoder", "forward", "bf16", 16, [us] * 6) for us in (100.0,)])
    check(verdict(m, "G6", 16)[0][5] == "met", "G6: 50 % of 35")
    lines = table.overall(table.verdicts(table.evaluate(core(50.0, 99.0))))
    check(lines["G1"] == "missed" and lines["G2"] == "not measured", f"overall {lines}")
    everything = [row(*goal[2], nodes, [1.0] * 6) for goal in table.GOALS for nodes in goal[4]
                  if goal[0] not in ("G3", "G6")] + [
        row("core", p, "bf16", 32, [1.0] * 6) for p in table.PASSES]
    torch = {table.key_of(r): {"torch": {"math": [[9.0] * 6] * 5}} for r in everything}
    lines = table.overall(table.verdicts(table.evaluate(measured(everything, torch))))
    check(all(lines[f"G{i}"] == "met" for i in range(1, 7)), f"all are met: {lines}")


def test_scaling():
    def lines(rows):
        return {(v[0], v[1], v[2]): v for v in table.scaling(table.evaluate(measured(rows)))}

    def batches(grows):
        return lines([row(*BF16, 16, [b ** grows] * 6, environments=b)
                      for b in (1024, 2048, 4096, 8192, 16384)])[
            "G18", "core, forward, bf16: power of the batch, 1024 to 16384", 16]

    for grows, word in ((1.0, "met"), (0.98, "met"), (0.95, "missed"), (1.04, "missed")):
        got = batches(grows)
        close(got[4], grows, "power of the batch")
        check(got[5] == word, f"power {grows} is {got[5]}")
    check(not lines([row(*BF16, 16, [1.0], environments=b) for b in (1024, 16384)]), "two points")

    def sizes(us):  # microseconds of an environment, by nodes
        return lines([row("encoder", "forward", "bf16", n, [t * (262144 // n)] * 6)
                      for n, t in us.items()])

    name = "encoder, forward, bf16: "
    got = sizes({16: 16.0, 17: 20.0, 32: 32.0, 64: 16.0 * 4 ** 1.2, 100: 200.0, 128: 150.0,
                 256: 16.0 * 4 ** 1.2 * 4 ** 1.5})
    close(got["G19", name + "power of the nodes, from 16", 64][4], 1.2, "power of the nodes")
    check(got["G19", name + "power of the nodes, from 16", 64][5] == "met", "1.2 of 1.22")
    check(got["G19", name + "power of the nodes, from 64", 256][5] == "missed", "1.5 of 1.44")
    close(got["G19", name + "of the line from 16 to 32", 17][4], 20 / 17, "17 between 16 and 32")
    check(got["G19", name + "of the line from 16 to 32", 17][5] == "met", "17")
    # The line at 100: 84.4 + 36 / 64 (150 - 84.4) = 121.3
    close(got["G19", name + "of the line from 64 to 128", 100][4], 200 / 121.33, "100", 1e-3)
    check(got["G19", name + "of the line from 64 to 128", 100][5] == "missed", "100")
    check(("G19", name + "of the line from 32 to 64", 33) not in got, "33 is not there")
    check(table.overall([]) == {"G18": "not measured", "G19": "not measured"}, "nothing to judge")


def test_rounds_and_additions():
    a, b = row(*BF16, 16, [50.0] * 6), row(*BF16, 64, [60.0] * 6)
    refuses("different rows", lambda: table.assemble(
        [table.parse(report([a])), table.parse(report([b]))], {}, {}))
    ways = {"torch": {"flash": [[100.0] * 6] * 5}}
    old = measured([a, b], {(*BF16, 16384, 16): ways})
    new = measured([row(*BF16, 16, [70.0] * 6), b], {(*BF16, 4096, 64): ways})
    both = table.evaluate(table.add(old, new))
    check([(r["nodes"], r["us"], r.get("way")) for r in both] ==
          [(16, 50.0, "flash"), (64, 60.0, "flash")], f"what was measured is kept: {both}")
    for k in ("device", "commit", "torch"):
        refuses(f"another {k}", lambda k=k: table.add(old, {**new, k: "else"}))


def test_page():
    key = (*BF16, 16384, 16)
    torch = {"torch": {"flash by row": [[100.0] * 6] * 5}, "untried": [],
             "refused": {"cudnn": "RuntimeError: no", "math": "RuntimeError: no"}}
    m = measured([row(*BF16, 16, [50.0] * 6, operations=2.0)], {key: torch}, state=["1980 MHz"])
    page = table.markdown(json.loads(json.dumps(m)))
    for text in ("| core | forward | bf16 | 16384 | 16 | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] "
                 "| flash by row | 2.00 [2.00, 2.00] | 31.2 | 62 % | 1.0e-06 |",
                 "| G1 | core, forward, bf16: times as fast as PyTorch | 16 | >= 2.0 | 2.00 | met",
                 "- cudnn (core forward bf16 N = 16): RuntimeError: no", "- 1980 MHz",
                 "operations 2 in cra, 1.074e+09 here", "A copy moves 4300 GB/s"):
        check(text in page, f"not on the page: {text}\n{page}")
    check("Not by protocol" not in page, "5 rounds of 6")
    lines = [line for line in page.split("\n") if line.startswith("|")]
    check({line.count("|") for line in lines[:3]} == {13}, "columns of the first table")
    bare = table.markdown(measured([row(*BF16, 16, [50.0] * 6)], launches=3))
    check({line.count("|") for line in bare.split("\n") if line.startswith("| core")} == {13},
          "columns of a row without PyTorch")
    few = measured([row(*BF16, 16, [50.0] * 6, launches_per_graph=19)])
    check("19 launches" in table.markdown(few), "a graph of 19")


def test_program():
    """The parts of the command that need no PyTorch."""
    script = f"{sys.argv[1]}/bench_cuda.py"

    def run(*words):
        return subprocess.run([sys.executable, script, *words], capture_output=True, text=True,
                              check=False)

    for words, text in (((), "which program?"), (("x", "--nodes", "16,17"), "known are 16,64"),
                        (("x", "--rounds", "0"), "at least 1")):
        done = run(*words)
        check(done.returncode == 2 and text in done.stderr, f"{words}: {done}")
    check(program.chosen(int, program.NODES)("256,16") == [16, 256], "order of rows is ours")
    made_up = program.made_up_report([(*BF16, 3, 5), ("encoder", "forward", "fp32", 3, 5)])
    check(len(made_up["rows"]) == 2, "made-up report")
    # A program that says what it was called with, instead of cra.
    with tempfile.TemporaryDirectory() as folder:
        fake = f"{folder}/cra"
        said = json.dumps(report([row(*BF16, 16, [31.0])]))
        with open(fake, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n[ \"$*\" = 'bench cuda --json --rounds 6' ] || exit 3\n"
                    f"cat <<'END'\n{said}\nEND\n")
        subprocess.run(["chmod", "+x", fake], check=True)
        got = program.run_cra(fake, "--rounds", "6")
        check(got["rows"][0]["us"] == [31.0], f"a run of cra: {got}")
        for words, text in (((fake, "--rounds", "5"), "exit 3"), ((f"{folder}/none",), "No such"),
                            (("/bin/echo",), "no JSON")):
            try:
                program.run_cra(*words)
                check(False, f"{words} are fine")
            except program.Failure as e:
                check(text in str(e), f"{words}: {e}")


def test_rounds_take_turns():
    log = []

    class Half:
        copies = [1.0, 3.0]

        def first_round(self):
            log.append("first")

        def next_round(self):
            log.append("next")

        def rows(self):
            return {(*BF16, 16384, 16): {"torch": {"math": [[60.0] * 6] * log.count("cra")}}}

    def cra():
        log.append("cra")
        return table.parse(report([row(*BF16, 16, [30.0] * 6)], copy_bandwidth_gb_s=2.0))

    with contextlib.redirect_stderr(io.StringIO()):
        results = list(program.measure(Half(), 3, cra, {"torch": "2.9"}))
    check(log == ["first", "cra", "next", "cra", "next", "cra"], f"turns {log}")
    check([m["rounds"] for m in results] == [1, 2, 3], "a measurement after every round")
    check(results[-1]["rows"][0]["copy_gb_per_s"] == 3.0, "the faster copy")
    close(table.evaluate(results[-1])[0]["ratio"], 2.0, "ratio of rounds")
    check(len(results[-1]["state"]) == 6, "clocks and load of every half")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    print("\n".join(FAULTS) or "ok")
    return 1 if FAULTS else 0


sys.exit(main())
