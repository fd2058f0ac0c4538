#!/usr/bin/env python3
"""Ratios, floors and verdicts of what tools/bench_cuda.py measured. Standard library only.

    tools/bench_cuda_table.py FILE.json        prints the page of a stored measurement again

A measurement is {"device", "commit", ..., "rows"}; a row is what identifies it (KEY), "cra" [one
list of microseconds for every round], "torch" {way: such lists}, "refused" {way: what it said},
"untried" [ways that might have been faster and were not run], "error" of cra against double, and
the rate of a copy while it was measured.
"""

import json
import math
import re
import statistics
import sys

KEY = ("what", "pass", "precision", "environments", "nodes")
PASSES = ("forward", "forward+backward")
NODES = (16, 32, 64, 128, 256)  # what PyTorch is measured on; scaling is judged between them
TOKENS = 262144                 # environments times nodes of every row that PyTorch has too
WIDTH, HEADS, LAYERS, FEATURES = 64, 4, 2, 16

# The protocol that figures are to be taken by.
LEAST_ROUNDS, LEAST_REPEATS, LEAST_LAUNCHES = 5, 30, 20

# What a floor is made of, per second: products of bf16, of tf32 and of float on the ordinary units,
# exponentials, and other operations on float. Large products reach some 790 of the 989 TFLOP/s in
# the data sheets of NVIDIA's H100 SXM and H200 SXM, which are one processor with different memory;
# exponentials are 16 per clock on 132 multiprocessors at 1.85 GHz. The rate of a copy is measured.
SXM = {"bf16": 790e12, "tf32": 400e12, "fp32": 60e12, "exp": 3.9e12, "other": 31e12}
RATES = {"h100": SXM, "h200": SXM}

# Largest error of cra against double, relative to the largest number of a row; tf32 has none of its
# own, and is held to that of the other precision with rounded products.
TOLERANCE = {"fp32": 1e-5, "tf32": 2e-2, "bf16": 2e-2}

# id, of what, of which rows, which of a row's numbers, {nodes: least}
GOALS = (
    ("G1", "times as fast as PyTorch", ("core", "forward", "bf16"), "ratio",
     {16: 2.0, 64: 1.5, 256: 1.15}),
    ("G2", "times as fast as PyTorch", ("core", "forward+backward", "bf16"), "ratio",
     {16: 2.5, 64: 2.0, 256: 1.3}),
    ("G3", "of the floor", ("core", "forward", "bf16"), "of_floor",
     {16: 0.75, 32: 0.75, 64: 0.75, 256: 0.60}),
    ("G3", "of the floor", ("core", "forward+backward", "bf16"), "of_floor",
     {16: 0.75, 32: 0.75, 64: 0.75, 256: 0.60}),
    ("G4", "times as fast as PyTorch", ("core", "forward", "tf32"), "ratio",
     {16: 2.0, 32: 2.0, 64: 2.0}),
    ("G5", "times as fast as PyTorch", ("encoder", "forward", "bf16"), "ratio",
     {16: 2.5, 32: 2.5, 64: 2.5, 256: 1.5}),
    ("G6", "of the rate of bf16 products", ("encoder", "forward", "bf16"), "of_products",
     {16: 0.35, 32: 0.35, 64: 0.35, 256: 0.35}),
)
# G18: time grows as batch^1 where every multiprocessor has work (heads * environments above this).
SATURATED, BATCH_SLACK = 8 * 132, 0.03
# G19: how operations of the encoder grow with nodes, by power, and what time may add to that; and
# what an awkward size may take of the straight line between its neighbours.
POWERS, POWER_SLACK = {(16, 64): 1.12, (64, 256): 1.34}, 0.10
AWKWARD, AWKWARD_MOST = (17, 33, 65, 100), 1.25


class Mismatch(ValueError):
    """Figures that do not belong together, or are not what was agreed on."""


def slug(device):
    """Folder of a device. PCIe and NVL cards have other clocks than the SXM cards of RATES."""
    name = device.lower()
    for known in RATES:
        if re.search(rf"\b{known}\b", name) and not re.search("pcie|nvl|mig", name):
            return known
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")


def key_of(row):
    return tuple(row[k] for k in KEY)


def parse(report):
    """What `cra bench cuda --json` printed, checked. Names have an older spelling each."""
    def of(where, name, *older):
        for n in (name, *older):
            if n in where:
                return where[n]
        raise Mismatch(f"cra bench cuda: no {name} among {', '.join(where)}")

    rows, seen = [], set()
    for r in of(report, "rows"):
        row = {k: of(r, k) for k in KEY}
        if row["what"] not in ("core", "encoder") or row["pass"] not in PASSES:
            continue
        if row["precision"] not in TOLERANCE:
            raise Mismatch(f"cra bench cuda: precision {row['precision']}")
        if (of(r, "width"), of(r, "heads")) != (WIDTH, HEADS) or (
                of(r, "layers") != (LAYERS if row["what"] == "encoder" else 0)):
            raise Mismatch(f"cra bench cuda: another network than PyTorch's: {r}")
        row["us"] = [float(us) for us in of(r, "microseconds", "us")]
        if not row["us"] or not all(0 < us < math.inf for us in row["us"]):
            raise Mismatch(f"cra bench cuda: times {row['us']}")
        row["error"] = r.get("checked_error")
        if "checked_error" in r and row["error"] is None:
            row["error"] = math.inf  # JSON has no not-a-number
        row["launches"] = r.get("launches_per_graph")
        row["counts"] = {k: of(r, k) for k in ("bytes", "operations", "exponentials")}
        if key_of(row) in seen:
            raise Mismatch(f"cra bench cuda: {key_of(row)} twice")
        seen.add(key_of(row))
        rows.append(row)
    return {"device": of(report, "device"), "commit": report.get("commit", "unknown"),
            "compute_capability": of(report, "compute_capability"),
            "copy_gb_per_s": of(report, "copy_bandwidth_gb_s", "copy_gb_per_s"), "rows": rows}


def assemble(reports, torch_rows, about):
    """A measurement of rounds.

    reports     [rounds] of parse()
    torch_rows  {key: {"torch", "refused", "untried", "torch_errors"}}
    about       further entries; "torch_copy_gb_per_s" is the rate that PyTorch's copy reached
    """
    first = reports[0]
    for other in reports[1:]:
        if [key_of(r) for r in other["rows"]] != [key_of(r) for r in first["rows"]]:
            raise Mismatch("rounds of cra bench cuda have different rows")
    # A floor is to be no higher than it must: the better of two copies.
    copy = max(statistics.median(r["copy_gb_per_s"] for r in reports),
               about.get("torch_copy_gb_per_s", 0))
    rows = []
    for i, row in enumerate(first["rows"]):
        out = {k: row[k] for k in (*KEY, "counts", "launches")}
        errors = [r["rows"][i]["error"] for r in reports]
        out["error"] = None if None in errors else max(errors, key=lambda e: (e != e, e))
        out["cra"] = [r["rows"][i]["us"] for r in reports]
        out["copy_gb_per_s"] = copy
        out.update(torch_rows.get(key_of(row), {}))
        rows.append(out)
    return {**about, **{k: first[k] for k in ("device", "compute_capability", "commit")},
            "rows": rows}


def add(old, new):
    """`old` with the rows of `new`; one with PyTorch's times stays where the new has none."""
    for k in ("device", "commit", "torch"):
        if old.get(k) != new.get(k):
            raise Mismatch(f"cannot add to a measurement of another {k}: "
                             f"{old.get(k)}, now {new.get(k)}")
    rows = {key_of(r): r for r in old["rows"]}
    for r in new["rows"]:
        if r.get("torch") or not rows.get(key_of(r), {}).get("torch"):
            rows[key_of(r)] = r
    state = old.get("state", []) + new.get("state", [])
    return {**new, "rows": list(rows.values()), "state": state}


def spread(values):
    """(median, 10th percentile, 90th percentile)"""
    if len(values) == 1:
        return values[0], values[0], values[0]
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return statistics.median(values), tenths[0], tenths[-1]


def counts(row, reverse):
    """What a pass needs, however it is done: the reverse recomputes the weights, and reads q, k, v
    and d_out to write three gradients. None for the reverse of the encoder, which depends on what
    the forward pass is let keep."""
    tokens, nodes = row["environments"] * row["nodes"], row["nodes"]
    scores, size = tokens * nodes * HEADS, 2 if row["precision"] == "bf16" else 4
    if row["what"] == "core":
        return {"bytes": (7 if reverse else 4) * tokens * WIDTH * size,
                "operations": (10 if reverse else 4) * scores * (WIDTH // HEADS),
                "exponentials": scores, "other": (5 if reverse else 3.5) * scores}
    if reverse:
        return None
    layer = 8 * WIDTH * WIDTH + 2 * WIDTH * nodes
    return {"bytes": tokens * (FEATURES + WIDTH) * 4,
            "operations": tokens * 2 * (FEATURES * WIDTH + WIDTH * WIDTH + LAYERS * layer),
            "exponentials": LAYERS * scores, "other": LAYERS * 3.5 * scores}


def needs(row):
    """counts() of a row's passes, one after the other; None where one has none."""
    passes = [counts(row, reverse) for reverse in (False, True)[:1 + PASSES.index(row["pass"])]]
    return None if None in passes else passes


def floor_us(row, rates):
    """The longest of what memory, products, exponentials and other operations take; of a forward
    pass and its reverse the sum, since all of the one comes before all of the other."""
    products = rates[row["precision"]]
    if row["precision"] == "fp32":  # three products of tf32 make one, which is the faster way
        products = max(products, rates["tf32"] / 3)
    passes = needs(row)
    return passes and sum(1e6 * max(c["bytes"] / (row["copy_gb_per_s"] * 1e9),
                                    c["operations"] / products, c["exponentials"] / rates["exp"],
                                    c["other"] / rates["other"]) for c in passes)


def evaluate(measured):
    """Rows with medians, ratios and fractions."""
    rates, rows = RATES.get(slug(measured["device"])), []
    for raw in measured["rows"]:
        row = {k: v for k, v in raw.items() if k not in ("cra", "torch")}
        row["us"], row["p10"], row["p90"] = spread([us for r in raw["cra"] for us in r])
        row["repeats"] = sum(map(len, raw["cra"]))
        # Ways that lost in the first round were not run again.
        whole = {way: r for way, r in raw.get("torch", {}).items() if len(r) == len(raw["cra"])}
        if whole:
            way = min(whole, key=lambda w: statistics.median(us for r in whole[w] for us in r))
            row["way"] = way
            row["torch_us"], row["torch_p10"], row["torch_p90"] = spread(
                [us for r in whole[way] for us in r])
            # Of every round on its own, so that a clock that drifts moves both sides.
            ratios = [statistics.median(t) / statistics.median(c)
                      for t, c in zip(whole[way], raw["cra"])]
            row["ratio"], row["ratio_p10"], row["ratio_p90"] = spread(ratios)
        if rates:
            row["floor_us"] = floor_us(raw, rates)
            if row["floor_us"]:
                row["of_floor"] = row["floor_us"] / row["us"]
            passes = needs(raw)
            if passes:
                row["of_products"] = sum(c["operations"] for c in passes) / (
                    row["us"] * 1e-6 * rates["bf16"])
        error = row.get("error")
        row["wrong"] = error is not None and not error <= TOLERANCE[row["precision"]]
        rows.append(row)
    return rows


def judge(reached, wanted, rows, most=False):
    """(reached, word) of something made of these rows."""
    if reached is None:
        return None, "not measured"
    wrong = [r["error"] for r in rows if r["wrong"]]
    if wrong:
        return reached, f"missed: results wrong by {max(wrong):.1e}"
    return reached, "met" if (reached <= wanted if most else reached >= wanted) else "missed"


def standard(rows, what, passed, precision, nodes):
    for r in rows:
        if key_of(r) == (what, passed, precision, TOKENS // nodes, nodes):
            return r
    return None


def verdicts(rows):
    """[(id, about, nodes, wanted, reached or None, word)] of G1 to G6."""
    out = []
    for name, about, of, measure, goals in GOALS:
        for nodes, wanted in goals.items():
            row = standard(rows, *of, nodes)
            reached, word = judge(row.get(measure) if row else None, wanted, [row])
            # A way more can only lower a ratio: what is missed stays missed.
            if word == "met" and measure == "ratio" and row.get("untried"):
                word = f"not measured: {len(row['untried'])} ways of PyTorch not tried"
            out.append((name, f"{', '.join(of)}: {about}", nodes, f">= {wanted}", reached, word))
    return out


def power(points):
    """Slope of a least-squares line through log y over log x."""
    x, y = ([math.log(p[i]) for p in points] for i in (0, 1))
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def scaling(rows):
    """G18 and G19, in the form of verdicts(); of what is there."""
    out = []
    for of in sorted({key_of(r)[:3] for r in rows}):
        mine = [r for r in rows if key_of(r)[:3] == of]
        name = ", ".join(of)
        batches = [r for r in mine if r["nodes"] == 16 and
                   r["environments"] * HEADS >= SATURATED and r["environments"] >= 1024]
        if len({r["environments"] for r in batches}) >= 3:
            grows = power([(r["environments"], r["us"]) for r in batches])
            reached, word = judge(abs(grows - 1), BATCH_SLACK, batches, most=True)
            ends = [f(r["environments"] for r in batches) for f in (min, max)]
            out.append(("G18", f"{name}: power of the batch, {ends[0]} to {ends[1]}", 16,
                        f"1 +- {BATCH_SLACK}", grows, word))
        per_env = {n: (r["us"] / r["environments"], r) for n in (*NODES, *AWKWARD)
                   for r in [standard(rows, *of, n)] if r}
        for (low, high), operations in POWERS.items():
            if of[0] == "encoder" and low in per_env and high in per_env:
                pair = [(n, per_env[n][0]) for n in (low, high)]
                wanted = operations + POWER_SLACK
                reached, word = judge(power(pair), wanted, [per_env[low][1], per_env[high][1]],
                                      most=True)
                out.append(("G19", f"{name}: power of the nodes, from {low}", high,
                            f"<= {wanted:.2f}", reached, word))
        for n in AWKWARD:
            low = max((m for m in per_env if m in NODES and m < n), default=None)
            high = min((m for m in per_env if m in NODES and m > n), default=None)
            if n in per_env and low and high:
                line = per_env[low][0] + (n - low) / (high - low) * (
                    per_env[high][0] - per_env[low][0])
                reached, word = judge(per_env[n][0] / line, AWKWARD_MOST,
                                      [per_env[m][1] for m in (low, n, high)], most=True)
                out.append(("G19", f"{name}: of the line from {low} to {high}", n,
                            f"<= {AWKWARD_MOST}", reached, word))
    return out


def overall(judged):
    """{id: word}: missed where one line is, met where all are."""
    words = {}
    for name, *_, word in judged:
        words.setdefault(name, []).append(word.split(":")[0])
    for name in ("G18", "G19"):
        words.setdefault(name, ["not measured"])
    return {name: next((w for w in ("missed", "not measured") if w in all_of), "met")
            for name, all_of in words.items()}


def refusals(measured):
    """["way (rows): what it said"], one line for one answer."""
    said = {}
    for r in measured["rows"]:
        for way, text in r.get("refused", {}).items():
            said.setdefault((way, text), []).append(
                f"{r['what']} {r['pass']} {r['precision']} N = {r['nodes']}")
    return [f"{way} ({where[0]}{f' and {len(where) - 1} more' if where[1:] else ''}): {text}"
            for (way, text), where in said.items()]


def miscounts(rows):
    """Rows whose counts in cra are more than 1 % off those of floors."""
    for r in rows:
        passes = needs(r)
        for k, theirs in r["counts"].items():
            ours = passes and sum(c[k] for c in passes)
            if ours and abs(theirs / ours - 1) > 0.01:
                yield f"{' '.join(map(str, key_of(r)))}: {k} {theirs:.4g} in cra, {ours:.4g} here"


def markdown(measured):
    rows = evaluate(measured)
    judged = verdicts(rows) + scaling(rows)
    rates = RATES.get(slug(measured["device"]))
    copies = [r["copy_gb_per_s"] for r in rows]
    rounds, repeats = min(len(r["cra"]) for r in measured["rows"]), min(r["repeats"] for r in rows)
    launches = min(r.get("launches") or LEAST_LAUNCHES for r in rows)
    text = [f"# Attention on {measured['device']}", "",
            f"Made by `tools/bench_cuda.py CRA`, commit {measured['commit']}, "
            f"{measured.get('date', 'date unknown')}: {rounds} rounds in turn with PyTorch "
            f"{measured.get('torch', 'unknown')} (CUDA {measured.get('cuda', 'unknown')}, cuDNN "
            f"{measured.get('cudnn', 'unknown')}), at least {repeats} repeats of a figure. "
            "Microseconds: median [10th, 90th percentile]. Width 64, four heads of 16; the encoder "
            f"has two layers and 16 features. A copy moves {min(copies):.0f}"
            + (f" to {max(copies):.0f}" if max(copies) > min(copies) else "")
            + " GB/s, read and written.", ""]
    if rounds < LEAST_ROUNDS or repeats < LEAST_REPEATS or launches < LEAST_LAUNCHES:
        text += [f"**Not by protocol: {rounds} rounds, {repeats} repeats, {launches} launches of a "
                 f"graph; wanted are {LEAST_ROUNDS}, {LEAST_REPEATS}, {LEAST_LAUNCHES}.**", ""]
    text += ["Floor: the longest of memory at the rate of that copy, " + ", ".join(
        f"{k} at {v / 1e12:g}e12/s" for k, v in rates.items()) + "; of both passes, the sum."
             if rates else "No floors: this device's rates are not stated.", "",
             "| what | pass | precision | environments | nodes | cra | PyTorch | fastest way "
             "| PyTorch / cra | floor | of the floor | error |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        ours = f"{r['us']:.1f} [{r['p10']:.1f}, {r['p90']:.1f}]"
        theirs = "| |"
        if "ratio" in r:
            theirs = (f"{r['torch_us']:.1f} [{r['torch_p10']:.1f}, {r['torch_p90']:.1f}] "
                      f"| {r['way']} "
                      f"| {r['ratio']:.2f} [{r['ratio_p10']:.2f}, {r['ratio_p90']:.2f}]")
        floor = f"{r['floor_us']:.1f} | {100 * r['of_floor']:.0f} %" if r.get("floor_us") else "|"
        error = "not stated" if r["error"] is None else f"{r['error']:.1e}"
        text.append(f"| {r['what']} | {r['pass']} | {r['precision']} | {r['environments']} "
                    f"| {r['nodes']} | {ours} | {theirs} | {floor} | {error} |")
    text += ["", "## Goals", "", ", ".join(f"{k} {v}" for k, v in overall(judged).items()) + ".",
             "", "| goal | of what | nodes | wanted | reached | |",
             "| --- | --- | --- | --- | --- | --- |"]
    text += [f"| {name} | {about} | {nodes} | {wanted} | "
             f"{'' if reached is None else f'{reached:.2f}'} | {word} |"
             for name, about, nodes, wanted, reached, word in judged]
    parts = (("Refused by PyTorch", refusals(measured)),
             ("Counted differently", list(miscounts(rows))),
             ("Clocks and load", measured.get("state", [])))
    for heading, lines in parts:
        if lines:
            text += ["", f"## {heading}", ""] + [f"- {line}" for line in lines]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as stored:
        print(markdown(json.load(stored)), end="")
