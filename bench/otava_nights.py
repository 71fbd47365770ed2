"""What Apache Otava says of each night of some series: the rival in `cargo xtask bench regression`.

Reads one JSON list of numbers a line, prints for each the nights on which Otava, given the series up to that night, tells
of a change for the worse that it did not tell of the night before: [[night, place of the change], ...].
Needs the package apache-otava, with which SciPy comes.

    python bench/otava_nights.py 10 < series.ndjson
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor

from otava.analysis import compute_change_points


def worse(series):
    """Places of changes for the worse: more is better here. Otava's defaults."""
    points, _ = compute_change_points(list(series))
    return [point.index for point in points if point.stats.mean_2 < point.stats.mean_1]


def told(work):
    """The nights on which something new is told of a series."""
    least, series = work
    known, nights = [], []
    for night in range(least, len(series)):
        places = [int(place) for place in worse(series[: night + 1])]
        # The place of a change moves by a night or two as more is known.
        fresh = [place for place in places if all(abs(place - before) > 3 for before in known)]
        nights += [[night, place] for place in fresh]
        known += fresh
    return nights


def main():
    least = int(sys.argv[1])
    work = [(least, json.loads(line)) for line in sys.stdin]
    with ProcessPoolExecutor() as pool:
        for nights in pool.map(told, work, chunksize=16):
            print(json.dumps(nights), flush=True)


if __name__ == "__main__":
    main()
