"""Writes the graph (JSON form) of the statistics of one time x lat x lon .npy file.

One block is a band of latitudes over all times, so that the mean over time needs one block
only and a worker holds two blocks per thread, whatever the size of the file. Needs no numpy
beyond reading the file's header.

    load-B ──► mean-B ──► anomaly-B ──► month-M-B ──► std-M-B ──► std-B ──► std
       └────────────────────┘ └──────► anomaly.npy                mean-B ──► mean
"""

import argparse
import json
import os

import numpy as np

MONTHS = 12
LARGEST_BLOCK_MIB = 64
LEAST_BLOCKS = 12  # some for each of a handful of workers


def bands(count, size):
    """Neighbouring bands of at most `size` out of `count` rows, as (first, last + 1)."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def block_rows(shape, block_mib):
    """How many latitudes one block holds."""
    time, lat, lon = shape
    row_bytes = time * lon * 8
    if block_mib is None:
        return max(1, min(int(LARGEST_BLOCK_MIB * 2**20 / row_bytes), lat // LEAST_BLOCKS))
    return max(1, min(lat, int(block_mib * 2**20 / row_bytes)))


def make_graph(path, shape, block_mib):
    """The graph as a dictionary of the JSON form."""
    time, lat, lon = shape
    rows = bands(lat, block_rows(shape, block_mib))
    tasks = []

    def task(key, kernel, deps=(), **parameters):
        tasks.append({"key": key, "run": {"kernel": kernel, **parameters}, "deps": list(deps)})
        return key

    means, stds, anomalies = [], [], []
    for block, (first, end) in enumerate(rows):
        region = [[0, time], [first, end], [0, lon]]
        load = task(f"load-{block}", "load_npy", path=path, region=region)
        mean = task(f"mean-{block}", "mean", [load], axis=[0], keepdims=True)
        anomaly = task(f"anomaly-{block}", "map", [load, mean], expr="a - b")
        of_month = []
        for month in range(MONTHS):
            ranges = [[month, None, MONTHS], None, None]
            part = task(f"month-{month}-{block}", "slice", [anomaly], ranges=ranges)
            of_month.append(task(f"std-{month}-{block}", "std", [part], axis=[0], keepdims=True))
        stds.append(task(f"std-of-{block}", "concatenate", of_month, axis=0))
        means.append(mean)
        anomalies.append(anomaly)
    task("mean", "concatenate", means, axis=1)
    task("std", "concatenate", stds, axis=1)
    return {
        "version": 1,
        "tasks": tasks,
        "outputs": ["mean", "std"],
        "arrays": {
            "anomaly": {
                "shape": list(shape),
                "dtype": "f64",
                "chunks": [[time], [end - first for first, end in rows], [lon]],
                "grid": [[[key] for key in anomalies]],
                "into": "npy",
            }
        },
        "meta": {"made_by": "examples/npy_statistics/make_graph.py"},
    }


def main():
    parser = argparse.ArgumentParser(description="Writes the graph of the statistics.")
    parser.add_argument("input", help="the .npy file")
    parser.add_argument("graph", help="the .json file to write")
    parser.add_argument("--block-mib", type=float, help="size of a block [default: at most 64]")
    options = parser.parse_args()
    array = np.load(options.input, mmap_mode="r")
    if array.ndim != 3 or array.dtype != np.float64 or array.shape[0] % MONTHS:
        raise SystemExit("error: the file must hold f64, time x lat x lon, in whole years")
    graph = make_graph(os.path.abspath(options.input), array.shape, options.block_mib)
    with open(options.graph, "w") as file:
        json.dump(graph, file)
    print(f"{options.graph}: {len(graph['tasks'])} tasks")


if __name__ == "__main__":
    main()
