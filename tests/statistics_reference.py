#!/usr/bin/python3
"""Prints the reference numbers of tests/test_statistics.cpp, computed by SciPy."""
import numpy as np
from scipy import stats

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
