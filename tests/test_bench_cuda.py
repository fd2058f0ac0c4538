"""The table of tools/bench_cuda.py, from figures whose ratios, floors and verdicts are known.

usage: test_bench_cuda.py TOOLS_FOLDER   exit 0: all holds; 1: prints what does not
"""

import sys

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

import bench_cuda_table as table  # noqa: E402

FAULTS = []


def check(condition, text):
    if not condition:
        FAULTS.append(text)


def row(what, passed, precision, nodes, us, environments=None, **more):
    envs = environments or 262144 // nodes
    return {"what": what, "pass": passed, "precision": precision, "environments": envs, "nodes": nodes,
            "width": 64, "heads": 4, "layers": 0, "us": us, "bytes": 4e8, "operations": 79e9,
            "exponentials": 39e6, **more}


def report(scale):
    rows = [row("core", "forward", "bf16", 16, [100 * scale, 110 * scale, 90 * scale]),
            row("core", "forward", "bf16", 64, [200 * scale] * 3),
            row("core", "forward", "fp32", 16, [300 * scale] * 3),
            row("core", "forward", "bf16", 16, [12.5 * scale] * 3, environments=2048)]
    rows += [row("encoder", "forward", "bf16", n, [us * scale] * 3)
             for n, us in ((16, 160), (17, 160), (32, 320))]
    return {"device": "NVIDIA H200", "compute_capability": "9.0", "copy_gb_per_s": 4000, "commit": "c",
            "rows": rows}


def main():
    torch = {("core", "forward", 16, "bf16"): ([250.0, 250.0], "flash"),
             ("core", "forward", 64, "bf16"): ([260.0, 260.0], "cudnn")}
    merged = table.merge([report(1), report(2)], [torch, torch])
    first = merged["rows"][0]
    check(first["us"] == (110 + 180) / 2, f"median {first['us']}")
    check(first["us_p10"] == 90 and first["us_p90"] == 200, f"spread {first}")
    # Ratios of the two rounds: 250 / 100 and 250 / 200.
    check(abs(first["ratio"] - (2.5 + 1.25) / 2) < 1e-12, f"ratio {first['ratio']}")
    # 4e8 bytes at 4000 GB/s take 100 us, 79e9 operations at 790e12 the same, 39e6 exponentials 10 us.
    check(abs(first["floor_us"] - 100) < 1e-9, f"floor {first['floor_us']}")
    # Three tf32 products each: 79e9 / (400e12 / 3) = 592.5 us.
    check(abs(merged["rows"][2]["floor_us"] - 592.5) < 1e-9, f"floor {merged['rows'][2]['floor_us']}")
    check("ratio" not in merged["rows"][3], "another batch has no counterpart")
    words = {(v[0], v[1], v[2]): v[5] for v in table.verdicts(merged)}
    find = lambda name, nodes: next(w for (n, t, k), w in words.items() if n == name and k == nodes)
    check(find("G1", 16) == "missed", "1.875 of 2.0")
    check(find("G1", 64) == "missed", "0.975 of 1.5")
    check(find("G1", 256) == "not measured", "256 is not there")
    check(find("G2", 16) == "not measured", "no backward is there")
    better = {k: ([4 * us for us in v], w) for k, (v, w) in torch.items()}
    fast = table.merge([report(1)], [better])
    check(next(v for v in table.verdicts(fast) if v[0] == "G1" and v[2] == 16)[5] == "met", "10 of 2.0")
    lines = table.scaling(merged)
    # 16384 / 2048 = 8 times the batch, 145 / 18.75 times the time.
    check(any("G18, bf16: from 2048 to 16384" in x and "B^0.98" in x for x in lines), f"{lines}")
    # Per environment: 160/16384, 160/15420, 320/8192; the line at 17 is 1/16 of the way.
    check(any("G19, bf16: the encoder at 17 nodes takes 0.89" in x for x in lines), f"{lines}")
    page = table.markdown(merged)
    check("| core | forward | bf16 | 16384 | 16 | 145.0 [90.0, 200.0] | 250.0" in page, page)
    check(table.slug("NVIDIA H100 80GB HBM3") == "h100", "slug")
    check(table.slug("NVIDIA GeForce RTX 4090") == "nvidia-geforce-rtx-4090", "slug")
    other = report(1)
    other["device"] = "NVIDIA GeForce RTX 4090"
    check("floor_us" not in table.merge([other], [{}])["rows"][0], "no floor without rates")
    wrong = report(1)
    wrong["rows"][0]["nodes"] = 17
    try:
        table.merge([report(1), wrong], [torch, torch])
        check(False, "rounds that do not match are not noticed")
    except ValueError:
        pass
    print("\n".join(FAULTS) or "ok")
    return 1 if FAULTS else 0


sys.exit(main())
