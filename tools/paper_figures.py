#!/usr/bin/python3
"""Figures for a paper from one result of cra, cell by cell.

usage: tools/paper_figures.py RESULT.h5 [MORE.h5 ...] --out FOLDER

Each cell below (`# %%`, for editors that run cells) makes one figure as vector PDF with embedded
TrueType fonts (type 42), in colours that colour-blind readers tell apart (Okabe, Ito 2008), with
line styles or markers beside them. The first result is drawn in full; the figure of gaps closed has
all. What a result does not hold is left out and said. Needs python3-matplotlib beside what
cra_results.py needs. The same results give the same bytes.
"""
# %% What is drawn, and how
import argparse
import os
import pathlib
import sys

os.environ.setdefault("SOURCE_DATE_EPOCH", "0")  # no dates in the files
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cra_results  # noqa: E402

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PINK = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
COLUMN, PAGE = 3.4, 7.0  # inches: one column of a two-column paper, and both
plt.rcParams.update({
    "pdf.fonttype": 42, "font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8,
    "legend.fontsize": 7, "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.6, "lines.linewidth": 1.2, "legend.frameon": False,
    "figure.constrained_layout.use": True, "image.cmap": "cividis"})

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("results", nargs="+")
arguments.add_argument("--out", default=".", help="folder for the PDF files")
given = arguments.parse_args()
try:
    runs = [cra_results.open_result(path) for path in given.results]
except cra_results.ResultError as error:
    sys.exit(f"paper_figures: {error}")
run, out = runs[0], pathlib.Path(given.out)
out.mkdir(parents=True, exist_ok=True)
table, summary = run.policies().set_index("policy"), run.summary()
best, learned = summary.best_heuristic, summary.learned


def save(figure, name):
    figure.savefig(out / f"{name}.pdf", bbox_inches="tight", pad_inches=0.03)
    plt.close(figure)
    print(out / f"{name}.pdf")


def missing(name, why):
    print(f"{name}: not drawn, {why}", file=sys.stderr)


def recorded(policy):
    """The name of a policy in /eval and /trajectory: of several trainings the stored one."""
    names = list(run["eval"].policy.values)
    if policy in names or "train" not in run or policy != learned:
        return policy if policy in names else None
    stored = int(np.argmax(run["train"].stored.values))
    of_training = list(run["eval"].training.values)
    return names[of_training.index(stored)] if stored in of_training else None


def band(axes, x, rows, color, label, style="-"):
    """Mean over trainings, and between which two trainings it lies; of one training the line alone."""
    axes.plot(x, np.nanmean(rows, 0), style, color=color, label=label)
    if len(rows) > 1:
        axes.fill_between(x, np.nanmin(rows, 0), np.nanmax(rows, 0), color=color, alpha=0.2, linewidth=0)


def heat(axes, data, label, **how):
    image = axes.imshow(data, aspect="auto", interpolation="nearest", **how)
    axes.figure.colorbar(image, ax=axes, label=label, pad=0.01, fraction=0.05)


# %% Learning curves beside the heuristic to beat and the bound
if "train" in run:
    t = run["train"]
    figure, axes = plt.subplots(figsize=(COLUMN, 2.3))
    steps = t.env_steps.values.max(0) / 1e3
    band(axes, steps, t.cost.values, SKY, "exploring, training episodes")
    at = np.array([0 if v == 0 else steps[v - 1] for v in t.validation.values])
    band(axes, at, t.validation_cost.values, BLUE, "mean policy, validation episodes", "o-")
    axes.lines[-1].set_markersize(2.5)
    axes.axhline(table.cost[best], color=RED, ls="--", label=f"{best}, best tuned heuristic (test)")
    if summary.bound_certified:
        axes.axhline(summary.bound_lower, color=BLACK, ls=":", label="certified bound (test)")
    axes.set(xlabel="env-steps of a training (thousands)", ylabel="mean cost per slot")
    axes.set_ylim(0, 1.2 * max(table.cost[best], np.nanmax(t.validation_cost.values)))
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.3), fontsize=7, title_fontsize=7,
                title=f"mean and range of {len(t.training)} trainings" if len(t.training) > 1 else None)
    save(figure, "learning_curves")
else:
    missing("learning_curves", "nothing was trained")

# %% Allocation over time with the load over it
focus = recorded(learned or best)
if "trajectory" in run and focus:
    t = run["trajectory"].isel(episode=0)
    shown = [name for name in dict.fromkeys([focus, recorded(best)]) if name]
    figure, all_axes = plt.subplots(len(shown), 1, figsize=(PAGE, 1.75 * len(shown)), sharex=True, squeeze=False)
    top = float(np.quantile(t.proportion.sel(policy=shown).values, 0.995))
    for axes, policy in zip(all_axes[:, 0], shown):
        heat(axes, t.proportion.sel(policy=policy).values.T, "share of budget", vmin=0, vmax=top)
        waiting = t.backlog.sel(policy=policy).values  # circles: work that waits, by area
        slot, node = np.nonzero(waiting > 0.02 * t.backlog.values.max())
        axes.scatter(slot, node, s=14 * waiting[slot, node] / t.backlog.sel(policy=shown).values.max(),
                     facecolors="none", edgecolors="white", linewidths=0.6)
        axes.set(title=policy, ylabel="node")
        axes.set_yticks(range(t.sizes["node"]) if t.sizes["node"] <= 12 else [0, t.sizes["node"] - 1])
        axes.spines[:].set_visible(False)
    all_axes[-1, 0].set_xlabel("slot (rings: work that waits at the end of the slot, by area)")
    save(figure, "allocation")
else:
    missing("allocation", "no episode was recorded")

# %% Attention: who looks at whom, and received attention against marginal value
if "attention" in run:
    a = run["attention"]
    heads = a.sizes["head"]
    figure, all_axes = plt.subplots(1, heads, figsize=(min(PAGE, 1.0 + 1.6 * heads), 1.9), squeeze=False, sharey=True)
    for axes, head in zip(all_axes[0], range(heads)):
        image = axes.imshow(a["map"].values[head], vmin=0, vmax=float(a["map"].max()), interpolation="nearest")
        axes.set(title=f"head {head}", xlabel="node looked at")
    all_axes[0, 0].set_ylabel("node that looks")
    figure.colorbar(image, ax=list(all_axes[0]), label="weight", fraction=0.05, pad=0.01)
    save(figure, "attention_maps")

    figure, all_axes = plt.subplots(1, 2, figsize=(PAGE, 2.3))
    ranks = lambda x: (x.argsort(-1).argsort(-1) + 1).reshape(-1, x.shape[-1])
    x, y = ranks(a.received.values), ranks(a.marginal_value.values)
    nodes = x.shape[1]
    counts = np.array([[((x == i) & (y == j)).sum() for i in range(1, nodes + 1)] for j in range(1, nodes + 1)])
    heat(all_axes[0], counts / counts.sum(1, keepdims=True), "share of slots", origin="lower", vmin=0,
         extent=(0.5, nodes + 0.5, 0.5, nodes + 0.5))
    all_axes[0].set(xlabel="rank of received attention", ylabel="rank of marginal value")
    for i, (name, color) in enumerate(zip(a.quantity.values, (BLUE, GREEN, ORANGE, PINK))):
        if np.isnan(a.mean_correlation[i]):
            all_axes[1].text(0.05, i, "the same at all nodes", va="center", fontsize=7, color="0.4")
            continue
        all_axes[1].errorbar(float(a.mean_correlation[i]), i, xerr=1.96 * float(a.correlation_se[i]), fmt="o",
                             color=color, capsize=2, markersize=4)
    all_axes[1].axvline(0, color="0.6", lw=0.6)
    all_axes[1].set(yticks=range(a.sizes["quantity"]), yticklabels=list(a.quantity.values), xlim=(-1, 1),
                    xlabel="rank correlation with the marginal value\n(mean over episodes, 95 % interval)")
    all_axes[1].invert_yaxis()
    save(figure, "attention_and_value")
else:
    missing("attention", "attention was not explained")

# %% Regret to the certified bound, by episode
if summary.bound_certified:
    e = run["eval"]
    figure, axes = plt.subplots(figsize=(COLUMN, 2.2))
    order = [p for p in table.cost.sort_values().index if recorded(p)]
    chosen = list(dict.fromkeys([p for p in (learned, *order[:3], best, "uniform") if p and recorded(p)]))
    styles = [(BLUE, "-"), (RED, "--"), (GREEN, "-."), (ORANGE, ":"), (BLACK, (0, (1, 1))), (PINK, "-")]
    for policy, (color, style) in zip(chosen, styles):
        own = e.training.values >= 0 if policy == learned and (e.training.values >= 0).any() else e.policy.values == policy
        regret = np.sort((e.cost.values[own] - e.bound_lower.values).ravel())
        axes.step(np.maximum(regret, 1e-12), np.arange(1, len(regret) + 1) / len(regret), where="post", color=color, ls=style, label=policy)
    axes.set(xscale="log", xlabel="cost above the bound (per slot)", ylabel="share of episodes", ylim=(0, 1.02))
    shown = np.concatenate([line.get_xdata() for line in axes.lines])
    axes.set_xlim(max(shown.max() * 1e-4, np.quantile(shown, 0.01)), shown.max() * 1.2)
    axes.legend(loc="upper left")
    save(figure, "regret")
else:
    missing("regret", "there is no certified bound")

# %% Errors by node
pair = list(dict.fromkeys(p for p in (recorded(learned) if learned else None, recorded(best)) if p))
if "trajectory" in run:
    t = run["trajectory"]
    figure, axes = plt.subplots(figsize=(COLUMN, 2.2))
    error = t.error.mean(["episode", "slot"])
    for i, (policy, color, hatch) in enumerate(zip(pair, (BLUE, ORANGE), ("", "//"))):
        axes.bar(np.arange(t.sizes["node"]) + (i - 0.5) * 0.4, error.sel(policy=policy), 0.4, color=color, hatch=hatch,
                 edgecolor="white", linewidth=0.4, label=policy)
    axes.set(xlabel="node", ylabel=f"mean error, {t.sizes['episode']} episodes", ylim=(0, 1.3 * float(error.sel(policy=pair).max())))
    if t.sizes["node"] <= 12:
        axes.set_xticks(range(t.sizes["node"]))
    axes.legend(loc="upper left", ncol=2)
    save(figure, "node_errors")

# %% Terms of the cost, policy by policy
e = run["eval"]
order = [p for p in table.cost.sort_values().index if recorded(p)][:12]
if best and best not in order:
    order.append(best)
terms = [(name, color, hatch) for name, color, hatch in (
    ("error_cost", BLUE, ""), ("switching_cost", ORANGE, "//"), ("fairness_cost", GREEN, ".."), ("use_cost", PINK, "xx"))
    if float(e[name].max()) > 0]
figure, axes = plt.subplots(figsize=(COLUMN, 0.6 + 0.17 * len(order)))
left = np.zeros(len(order))
means = {p: e[[name for name, *_ in terms]].sel(policy=recorded(p)).mean("episode") for p in order}
for name, color, hatch in terms:
    width = np.array([float(means[p][name]) for p in order])
    axes.barh(order, width, left=left, color=color, hatch=hatch, edgecolor="white", linewidth=0.4, label=name.replace("_cost", ""))
    left += width
if summary.bound_certified:
    axes.axvline(summary.bound_lower, color=BLACK, ls=":", label="bound")
axes.invert_yaxis()
axes.set(xlabel="mean cost per slot")
axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.28 if len(order) < 6 else -0.16), ncol=len(terms) + 1)
save(figure, "cost_terms")

# %% Share of the gap that is closed, scenario by scenario
rows = []
for one in runs:
    s, p = one.summary(), one.policies().set_index("policy")
    if s.learned and s.best_heuristic and s.bound_certified and np.isfinite(p.gap_closed[s.learned]):
        gap = p.cost[s.best_heuristic] - s.bound_lower
        rows.append((one.attributes["title"].split(", seed")[0] + ("" if len(runs) < 2 else f", seed {one['provenance'].seed.item()}"),
                     100 * p.gap_closed[s.learned], -100 * p.ci_high[s.learned] / gap, -100 * p.ci_low[s.learned] / gap))
if rows:
    figure, axes = plt.subplots(figsize=(COLUMN, 0.7 + 0.22 * len(rows)))
    names, mid, low, high = map(list, zip(*sorted(rows, key=lambda r: r[1])))
    axes.errorbar(mid, range(len(rows)), xerr=[np.subtract(mid, low), np.subtract(high, mid)], fmt="o", color=BLUE, capsize=2, markersize=4)
    axes.axvline(0, color=RED, ls="--", lw=0.8)
    axes.axvline(100, color=BLACK, ls=":", lw=0.8)
    axes.set(yticks=range(len(rows)), yticklabels=names, ylim=(-0.6, len(rows) - 0.4), xlim=(min(-5, min(low) - 5), 105),
             xlabel="gap closed, % (95 % interval)")
    axes.set_title("0: best tuned heuristic; 100: certified bound", fontsize=7)
    save(figure, "gap_closed")
else:
    missing("gap_closed", "no result has a learned policy, a heuristic and a certified bound")

# %% Differences to the best tuned heuristic
compared = table[np.isfinite(table.paired_difference)].sort_values("paired_difference")
if len(compared):
    figure, axes = plt.subplots(figsize=(COLUMN, 0.5 + 0.16 * len(compared)))
    rows, d = np.arange(len(compared)), compared.paired_difference.values
    axes.errorbar(d, rows, xerr=[d - compared.ci_low.values, compared.ci_high.values - d], fmt="o", ms=3, color=BLUE, lw=1)
    axes.axvline(0, color=BLACK, lw=0.6)
    axes.set(title=f"against {best}", xlabel="cost difference (95 %)", ylim=(len(compared) - 0.5, -0.5))
    axes.set_yticks(rows, compared.index)
    save(figure, "differences")
else:
    missing("differences", "nothing is compared with a best heuristic")

# %% Learned against the best tuned heuristic, episode by episode
if len(pair) == 2:
    x, y = (run["eval"].cost.sel(policy=policy).values for policy in (pair[1], pair[0]))
    ends = [max(min(x.min(), y.min()), 1e-9), max(x.max(), y.max())]
    figure, axes = plt.subplots(figsize=(COLUMN, COLUMN))
    axes.plot(ends, ends, color=BLACK, lw=0.6)
    axes.scatter(x, y, s=6, color=BLUE, alpha=0.6, linewidths=0)
    axes.set(xscale="log", yscale="log", xlabel=f"cost under {pair[1]}", ylabel=f"cost under {pair[0]}")
    axes.text(0.97, 0.03, f"below the line: {np.mean(y < x):.0%} of {len(x)} episodes", transform=axes.transAxes, ha="right", fontsize=7)
    save(figure, "episodes")
else:
    missing("episodes", "there are not two policies to compare")

# %% Regret over time; the bound of the episode is spread like the costs of the best heuristic
if "trajectory" in run and summary.bound_certified and recorded(best):
    t = run["trajectory"].isel(episode=0)
    ahead = t.cost.sel(policy=recorded(best)).values
    bound = float(run["eval"].bound_lower.values[0]) * len(ahead) * ahead.cumsum() / max(ahead.sum(), 1e-300)
    figure, axes = plt.subplots(figsize=(COLUMN, 2.2))
    for policy, color, style in zip(pair, (BLUE, RED), ("-", "--")):
        axes.plot(np.arange(1, len(ahead) + 1), t.cost.sel(policy=policy).values.cumsum() - bound, style, color=color, label=policy)
    axes.axhline(0, color=BLACK, lw=0.6)
    axes.set(xlabel="slot", ylabel="regret so far")
    axes.legend(loc="upper left")
    save(figure, "regret_over_time")
else:
    missing("regret_over_time", "there is no certified bound, or no episode was recorded")

# %% Use of the reserve
if "trajectory" in run and float(run["trajectory"].reserve.values.max()) > 0:
    t = run["trajectory"].isel(episode=0)
    figure, axes = plt.subplots(figsize=(COLUMN, 2.2))
    for policy, color, style in zip(pair, (BLUE, RED), ("-", "--")):
        axes.step(np.arange(t.sizes["slot"]), t.reserve.sel(policy=policy), style, where="post", color=color, label=policy)
    axes.set(xlabel="slot", ylabel="share kept back", ylim=(0, 1.15))
    axes.legend(loc="upper left", ncol=2)
    save(figure, "reserve")
else:
    missing("reserve", "nothing was kept back")
