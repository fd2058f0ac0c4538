"""The table of tools/bench_cuda.py: ratios, floors and verdicts. Standard library only."""

import re
import statistics

PASSES = ("forward", "forward+backward")

# Rates of a device that a floor is made of, per second: products of bf16, of tf32 and of float on
# the ordinary units, and exponentials; of NVIDIA's H100 and H200 (SXM) data sheets, dense, at what
# large products reach of them (some four fifths), exponentials as 16 per clock and multiprocessor at
# 1.85 GHz. The rate of copies is measured in the run.
RATES = {
    "h100": {"bf16": 790e12, "tf32": 400e12, "fp32": 60e12, "exp": 3.9e12},
    "h200": {"bf16": 790e12, "tf32": 400e12, "fp32": 60e12, "exp": 3.9e12},
}

# id, what it is about, which rows, what must be reached there by number of nodes.
GOALS = (
    ("G1", "core, forward, bf16: times as fast as PyTorch", ("core", "forward", "bf16"), "ratio",
     {16: 2.0, 64: 1.5, 256: 1.15}),
    ("G2", "core, forward + backward, bf16: times as fast as PyTorch",
     ("core", "forward+backward", "bf16"), "ratio", {16: 2.5, 64: 2.0, 256: 1.3}),
    ("G3", "core, forward, bf16: of the floor", ("core", "forward", "bf16"), "of_floor",
     {16: 0.75, 64: 0.75, 256: 0.60}),
    ("G3", "core, forward + backward, bf16: of the floor", ("core", "forward+backward", "bf16"),
     "of_floor", {16: 0.75, 64: 0.75, 256: 0.60}),
    ("G4", "core, forward, tf32: times as fast as PyTorch", ("core", "forward", "tf32"), "ratio",
     {16: 2.0, 64: 2.0}),
    ("G5", "encoder, forward, bf16: times as fast as PyTorch", ("encoder", "forward", "bf16"),
     "ratio", {16: 2.5, 64: 2.5, 256: 1.5}),
    ("G6", "encoder, forward, bf16: of the rate of products", ("encoder", "forward", "bf16"),
     "of_products", {16: 0.35, 64: 0.35, 256: 0.35}),
)


def slug(device):
    """A folder's name: h200 of "NVIDIA H200"."""
    for known in RATES:
        if known in device.lower():
            return known
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device"


def spread(values):
    """-> median, 10th and 90th percentile"""
    ordered = sorted(values)
    at = lambda p: ordered[min(len(ordered) - 1, round(p * (len(ordered) - 1)))]
    return statistics.median(ordered), at(0.1), at(0.9)


def floor_us(row, rates, copy_gb_per_s):
    """The longest of what memory, products and exponentials take: they may overlap."""
    products = rates["tf32" if row["precision"] == "fp32" else row["precision"]]
    if row["precision"] == "fp32":
        products /= 3  # three products of tf32 each
    return 1e6 * max(row["bytes"] / (copy_gb_per_s * 1e9), row["operations"] / products,
                     row["exponentials"] / rates["exp"])


def merge(reports, rounds):
    """All rounds of `cra bench cuda --json` and of PyTorch as one list of rows.

    reports  one per round
    rounds   one per round: {(what, pass, nodes, precision): (microseconds, way)}
    """
    first = reports[0]
    copy = statistics.median(r["copy_gb_per_s"] for r in reports)
    rates = RATES.get(slug(first["device"]))
    rows = []
    for i, row in enumerate(first["rows"]):
        for other in reports:
            if any(other["rows"][i][k] != row[k] for k in ("what", "pass", "nodes", "precision",
                                                           "environments")):
                raise ValueError("rounds of cra bench cuda have different rows")
        ours = [us for r in reports for us in r["rows"][i]["us"]]
        out = {k: v for k, v in row.items() if k != "us"}
        out["us"], out["us_p10"], out["us_p90"] = spread(ours)
        key = (row["what"], row["pass"], row["nodes"], row["precision"])
        of_shape = row["environments"] * row["nodes"]
        per_round = [r[key] for r in rounds if key in r]
        # Rows of other batches have no counterpart.
        if per_round and abs(of_shape - 262144) < row["nodes"] and len(per_round) == len(reports):
            theirs = [us for values, _ in per_round for us in values]
            out["torch_us"], out["torch_p10"], out["torch_p90"] = spread(theirs)
            out["torch_way"] = statistics.mode(way for _, way in per_round)
            out["ratio"] = statistics.median(
                statistics.median(values) / statistics.median(reports[r]["rows"][i]["us"])
                for r, (values, _) in enumerate(per_round))
        if rates:
            out["floor_us"] = floor_us(row, rates, copy)
            out["of_floor"] = out["floor_us"] / out["us"]
            out["of_products"] = row["operations"] / (out["us"] * 1e-6) / rates["bf16"]
        rows.append(out)
    return {"device": first["device"], "compute_capability": first["compute_capability"],
            "commit": first.get("commit", "?"), "copy_gb_per_s": copy, "rounds": len(reports),
            "rows": rows}


def find(merged, what, passed, precision, nodes):
    # The first of that many nodes is that of the standard number of rows.
    for row in merged["rows"]:
        if (row["what"], row["pass"], row["precision"], row["nodes"]) == (what, passed, precision, nodes):
            return row
    return None


def verdicts(merged):
    """[(id, text, nodes, goal, reached or None, word)]"""
    out = []
    for name, text, (what, passed, precision), measure, goals in GOALS:
        for nodes, goal in goals.items():
            row = find(merged, what, passed, precision, nodes)
            reached = row.get(measure) if row else None
            word = "not measured" if reached is None else "met" if reached >= goal else "missed"
            out.append((name, text, nodes, goal, reached, word))
    return out


def scaling(merged):
    """G18 and G19: how time grows with the batch and at sizes between the round ones."""
    lines = []
    for precision in ("fp32", "tf32", "bf16"):
        rows = sorted({(r["environments"], r["us"]) for r in merged["rows"]
                       if (r["what"], r["pass"], r["nodes"], r["precision"]) ==
                       ("core", "forward", 16, precision)})
        if len(rows) > 1:
            import math
            (b0, t0), (b1, t1) = rows[0], rows[-1]
            lines.append(f"G18, {precision}: from {b0} to {b1} environments of 16 nodes the core's time "
                         f"grows as B^{math.log(t1 / t0) / math.log(b1 / b0):.2f} (goal 1.00 +- 0.03)")
        for low, between, high in ((16, 17, 32), (32, 33, 64), (64, 65, 128), (64, 100, 128)):
            got = [find(merged, "encoder", "forward", precision, n) for n in (low, between, high)]
            if all(got):
                per_env = [r["us"] / r["environments"] for r in got]
                share = (between - low) / (high - low)
                line = per_env[0] + share * (per_env[2] - per_env[0])
                lines.append(f"G19, {precision}: the encoder at {between} nodes takes "
                             f"{per_env[1] / line:.2f} of the straight line between {low} and {high} "
                             "(goal at most 1.25)")
    return lines


def markdown(merged):
    text = [f"# Attention on {merged['device']}", "",
            f"Made by `tools/bench_cuda.py CRA`, commit {merged['commit']}, {merged['rounds']} rounds in "
            f"turn with PyTorch {merged.get('torch', '?')}; medians [p10, p90] in microseconds. A copy "
            f"moves {merged['copy_gb_per_s']:.0f} GB/s here. Width {64}, 4 heads of 16; the encoder has "
            "two layers. The floor is the longest of what memory, products and exponentials take.", "",
            "| what | pass | precision | environments | nodes | cra | PyTorch | fastest way | ratio | of the floor |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in merged["rows"]:
        theirs = (f"{r['torch_us']:.1f} [{r['torch_p10']:.1f}, {r['torch_p90']:.1f}] | {r['torch_way']} | "
                  f"{r['ratio']:.2f}" if "ratio" in r else " | | ")
        floor = f"{100 * r['of_floor']:.0f} %" if "of_floor" in r else ""
        text.append(f"| {r['what']} | {r['pass']} | {r['precision']} | {r['environments']} | {r['nodes']} | "
                    f"{r['us']:.1f} [{r['us_p10']:.1f}, {r['us_p90']:.1f}] | {theirs} | {floor} |")
    text += ["", "| goal | | nodes | wanted | reached | |", "| --- | --- | --- | --- | --- | --- |"]
    for name, about, nodes, goal, reached, word in verdicts(merged):
        text.append(f"| {name} | {about} | {nodes} | {goal} | "
                    f"{'' if reached is None else f'{reached:.2f}'} | {word} |")
    text += [""] + scaling(merged)
    if merged.get("refused"):
        text += ["", "Refused by PyTorch: " + "; ".join(f"{k}: {v}" for k, v in merged["refused"].items())]
    return "\n".join(text) + "\n"
