#!/usr/bin/python3
"""Prints the reference numbers of tests/test_statistics.cpp, test_resampling.cpp and test_contrast.cpp, computed by SciPy."""
import numpy as np
from scipy import optimize, stats

a = np.array([0.31, 0.52, 0.27, 0.44, 0.39, 0.61, 0.22, 0.35, 0.48, 0.29])
b = np.array([0.35, 0.50, 0.36, 0.47, 0.45, 0.74, 0.21, 0.41, 0.59, 0.30])
options = dict(n_resamples=200_000, method="percentile", confidence_level=0.95, batch=10_000,
               random_state=np.random.default_rng(1))

difference = stats.bootstrap((a - b,), np.mean, **options).confidence_interval
relative = stats.bootstrap(
    (a, b), lambda x, y, axis=-1: np.mean(x, axis=axis) / np.mean(y, axis=axis) - 1,
    paired=True, vectorized=True, **options).confidence_interval
print("difference", np.mean(a - b), "se", stats.sem(a - b), "interval", *difference)
print("relative change", a.mean() / b.mean() - 1, "interval", *relative)

c, d = np.array([3, 1, 1, 2, 3, 3, 0, 2, -1, 1]), np.array([0, 0, 0, 5, 5, 5, 1, 1, 2, 0])
print("rank correlations", *(float(stats.spearmanr(x, y)[0]) for x, y in ((a, b), (a, c), (c, d))))

print("normal quantiles", *(repr(stats.norm.ppf(p)) for p in (0.975, 0.2, 1e-6)))
print("student cdf", *(repr(stats.t.cdf(t, d)) for t, d in ((-2.5, 3), (0.7, 1.5), (1.96, 127), (-40, 2))))
print("student quantiles", *(repr(stats.t.ppf(p, d)) for p, d in ((0.975, 4), (0.9, 1), (0.9995, 2.5), (0.975, 1e4))))


def distance(degrees, level):
    """Where Student's test has a power of 0.8, from the non-central distribution."""
    critical = stats.t.ppf(1 - level / 2, degrees)
    return optimize.brentq(lambda x: stats.nct.sf(critical, degrees, x) - 0.8, critical / 2, 4 * critical)


print("errors to detect", *(repr(distance(*x)) for x in ((4, 0.05), (8, 0.01), (127, 0.05))))

skewed = np.exp(np.sin(np.arange(1, 36) ** 2)).reshape(5, 7)  # [training, episode]
print("interquartile means", *(repr(stats.trim_mean(x, 0.25)) for x in (a, skewed.ravel(), c)))
interval = stats.bootstrap((a,), lambda x, axis=-1: stats.trim_mean(x, 0.25, axis=axis), vectorized=True, **options)
print("interquartile mean interval", *interval.confidence_interval)
draw = np.random.default_rng(2)
repeats = 200_000
own = draw.integers(7, size=(repeats, 5, 7))  # within every row
strata = stats.trim_mean(np.take_along_axis(skewed[None], own, axis=2).reshape(repeats, 35), 0.25, axis=1)
rows, columns = draw.integers(5, size=(repeats, 5)), draw.integers(7, size=(repeats, 7))
picked = skewed[rows[:, :, None], columns[:, None, :]]
crossed = stats.trim_mean(picked.reshape(repeats, 35), 0.25, axis=1)
print("interquartile mean, stratified", *np.quantile(strata, [0.025, 0.975]), "crossed", *np.quantile(crossed, [0.025, 0.975]))
above = (picked > 1.0).mean(axis=(1, 2))
print("profile at 1", (skewed > 1.0).mean(), *np.quantile(above, [0.025, 0.975]))
print("crossed mean", *np.quantile(picked.mean(axis=(1, 2)), [0.025, 0.975]))

# Two samples that have nothing to do with each other: Welch's test, and Mann and Whitney's statistic.
welch = stats.ttest_ind(a, b[:7], equal_var=False)
va, vb = a.var(ddof=1) / 10, b[:7].var(ddof=1) / 7
print("welch", a.mean() - b[:7].mean(), "se", repr(np.sqrt(va + vb)), "degrees", repr((va + vb) ** 2 / (va**2 / 9 + vb**2 / 6)),
      "statistic", repr(welch.statistic))
print("unpaired", *stats.bootstrap((a, b[:7]), lambda x, y, axis=-1: np.mean(x, axis=axis) - np.mean(y, axis=axis),
                                   vectorized=True, **options).confidence_interval)


def lower(x, y):
    return 1 - stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))


few = dict(options, n_resamples=20_000)
for x, y in ((a, b[:7]), (c, d[:8])):
    print("probability of improvement", repr(lower(x, y)),
          *stats.bootstrap((x, y), lower, vectorized=False, **few).confidence_interval)

# An analysis of variance of the crossed design: rows and columns are both random.
skewed = skewed + 0.5 * np.arange(5)[:, None] + 0.2 * np.arange(7)
row, column, grand = skewed.mean(axis=1, keepdims=True), skewed.mean(axis=0, keepdims=True), skewed.mean()
ms_row, ms_column = 7 * row.var(ddof=1), 5 * column.var(ddof=1)
ms_rest = ((skewed - row - column + grand) ** 2).sum() / (4 * 6)
print("crossed variance", repr((ms_row + ms_column - ms_rest) / 35), "rows", repr(ms_row / 35), "columns", repr(ms_column / 35))
