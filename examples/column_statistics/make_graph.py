"""Writes the graph (JSON form) of the statistics of the columns of one rows x columns .npy file.

Each block of rows is read once and reduced to one row for each statistic; the blocks' rows are
stacked and reduced again. Blocks may differ in length: each counts by its part w of all rows.

    load-B ─┬► mean-B ─► part-B (w m) ──────────► means ─► mean ──┐
            ├► var-B ──┬► spread-B (w (v + (m - mean)^2)) ─► spreads ─► var ─► std
            ├► min-B ──┼► mins ─► min                             │
            └► max-B ──┼► maxs ─► max                             │
                       └──────────────────────────────────────────┘
"""

import argparse
import json
import os

import numpy as np


def block_rows(shape, block_mib):
    """How many rows one block holds."""
    return max(1, min(shape[0], int(block_mib * 2**20) // (8 * shape[1])))


def make_graph(path, shape, block_mib):
    """The graph as a dictionary of the JSON form."""
    rows, columns = shape
    step = block_rows(shape, block_mib)
    tasks = []

    def task(key, kernel, deps=(), **parameters):
        tasks.append({"key": key, "run": {"kernel": kernel, **parameters}, "deps": list(deps)})
        return key

    def over_blocks(name, kernel, keys):
        """Reduces the blocks' rows to one row."""
        stacked = task(f"{name}s", "concatenate", keys, axis=0)
        return task(name, kernel, [stacked], axis=[0], keepdims=True)

    blocks = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    of_blocks = {kernel: [] for kernel in ("mean", "var", "min", "max")}
    for block, (first, end) in enumerate(blocks):
        region = [[first, end], [0, columns]]
        load = task(f"load-{block}", "load_npy", path=path, region=region)
        for kernel, keys in of_blocks.items():
            keys.append(task(f"{kernel}-{block}", kernel, [load], axis=[0], keepdims=True))

    weights = [repr((end - first) / rows) for first, end in blocks]
    parts = [
        task(f"part-{block}", "map", [mean], expr=f"a * {weight}")
        for block, (mean, weight) in enumerate(zip(of_blocks["mean"], weights))
    ]
    mean = over_blocks("mean", "sum", parts)
    spreads = [
        task(
            f"spread-{block}",
            "map",
            [of_blocks["var"][block], of_blocks["mean"][block], mean],
            expr=f"(a + (b - c) ** 2) * {weight}",
        )
        for block, weight in enumerate(weights)
    ]
    task("std", "map", [over_blocks("spread", "sum", spreads)], expr="sqrt(a)")
    over_blocks("min", "min", of_blocks["min"])
    over_blocks("max", "max", of_blocks["max"])
    return {
        "version": 1,
        "tasks": tasks,
        "outputs": ["mean", "std", "min", "max"],
        "meta": {"made_by": "examples/column_statistics/make_graph.py"},
    }


def main():
    parser = argparse.ArgumentParser(description="Writes the graph of the statistics.")
    parser.add_argument("input", help="the .npy file")
    parser.add_argument("graph", help="the .json file to write")
    parser.add_argument("--block-mib", type=float, default=16.0, help="size of a block [16]")
    options = parser.parse_args()
    array = np.load(options.input, mmap_mode="r")
    if array.ndim != 2 or array.dtype != np.float64 or array.size == 0:
        raise SystemExit("error: the file must hold f64, rows x columns")
    graph = make_graph(os.path.abspath(options.input), array.shape, options.block_mib)
    with open(options.graph, "w") as file:
        json.dump(graph, file)
    print(f"{options.graph}: {len(graph['tasks'])} tasks")


if __name__ == "__main__":
    main()
