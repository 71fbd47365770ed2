"""What Apache Otava says of each night of some series: the rival in `cargo xtask bench regression`.

Reads one JSON list of numbers a line, prints for each the nights on which Otava, given the series up to that night, tells
of a change for the worse that it did not tell of the night before: [[night, place of the change], ...].
Needs the package `otava` (apache-otava) and numpy. Of SciPy Otava's analysis takes one function, Student's t-test; where
SciPy is not installed the one below stands in for it.

    python bench/otava_nights.py 10 < series.ndjson
"""

import json
import math
import sys
import types


def continued_fraction(a, b, x):
    """Lentz's way to the continued fraction of the incomplete beta function."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 300):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            c = 1.0 + step / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-12:
            break
    return value


def incomplete_beta(a, b, x):
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log) * continued_fraction(a, b, x) / a
    return 1.0 - math.exp(log) * continued_fraction(b, a, 1.0 - x) / b


def ttest_ind_from_stats(mean1, std1, nobs1, mean2, std2, nobs2, alternative="two-sided"):
    """As SciPy's: equal variances, two-sided."""
    freedom = nobs1 + nobs2 - 2
    pooled = ((nobs1 - 1) * std1**2 + (nobs2 - 1) * std2**2) / freedom
    error = math.sqrt(pooled * (1.0 / nobs1 + 1.0 / nobs2))
    if error == 0.0:
        return (math.inf, 0.0) if mean1 != mean2 else (0.0, 1.0)
    t = (mean1 - mean2) / error
    return t, incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))


try:
    import scipy.stats  # noqa: F401
except ImportError:
    stats = types.ModuleType("scipy.stats")
    stats.ttest_ind_from_stats = ttest_ind_from_stats
    sys.modules["scipy"] = types.ModuleType("scipy")
    sys.modules["scipy.stats"] = stats

from otava.analysis import compute_change_points  # noqa: E402


def worse(series):
    """Places of changes for the worse: more is better here. Otava's defaults."""
    points, _ = compute_change_points(list(series))
    return [point.index for point in points if point.stats.mean_2 < point.stats.mean_1]


def main():
    least = int(sys.argv[1])
    for line in sys.stdin:
        series = json.loads(line)
        told, nights = [], []
        for night in range(least, len(series)):
            places = [int(place) for place in worse(series[: night + 1])]
            # The place of a change moves by a night or two as more is known.
            fresh = [place for place in places if all(abs(place - known) > 3 for known in told)]
            nights += [[night, place] for place in fresh]
            told += fresh
        print(json.dumps(nights), flush=True)


if __name__ == "__main__":
    main()
