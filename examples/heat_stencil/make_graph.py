"""Writes the graph (JSON form) of heat that spreads over a plate, in tiles, step by step.

Every step a tile is surrounded by the nearest rows and columns of its neighbours (the halo), the
stencil is taken, and the halo is cut off again. Nothing lies outside of the plate: the stencil
takes the nearest point there, so that no heat leaves.

    north of the tile below ──┐
    south of the tile above ──┤
    west of the right tile  ──┼► around ─► stencil ─► tile ─┬► north, south, west, east
    east of the left tile   ──┤                             └► around ─► ...
    tile ─────────────────────┘
"""

import argparse
import json
import os

import numpy as np

# Each step a point takes a tenth of its neighbours, and keeps six tenths.
OFFSETS = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]]
WEIGHTS = [0.6, 0.1, 0.1, 0.1, 0.1]
# The outermost points of a tile, by the side.
EDGES = {
    "north": [[0, 1], None],
    "south": [[-1, None], None],
    "west": [None, [0, 1]],
    "east": [None, [-1, None]],
}


def pieces(length, tile):
    """The tiles along one axis, as (first, last + 1)."""
    return [(first, min(first + tile, length)) for first in range(0, length, tile)]


def make_graph(path, shape, tile, steps):
    """The graph as a dictionary of the JSON form."""
    rows, columns = (pieces(length, tile) for length in shape)
    tasks = []

    def task(key, kernel, deps=(), **parameters):
        tasks.append({"key": key, "run": {"kernel": kernel, **parameters}, "deps": list(deps)})
        return key

    def next_tile(now, step, i, j):
        """The tile (i, j) after one more step."""

        def place(di, dj):
            """What lies at one of the nine places in and around the tile."""
            if di == dj == 0:
                return now[i][j]
            if di != 0 and dj != 0:
                return "corner"  # The stencil does not look there.
            side = {(-1, 0): "south", (1, 0): "north", (0, -1): "east", (0, 1): "west"}[di, dj]
            key = f"{side}-{step}-{i + di}-{j + dj}"
            return task(key, "slice", [now[i + di][j + dj]], ranges=EDGES[side])

        up_down = [d for d in (-1, 0, 1) if 0 <= i + d < len(rows)]
        left_right = [d for d in (-1, 0, 1) if 0 <= j + d < len(columns)]
        grid = [len(up_down), len(left_right)]
        places = [place(di, dj) for di in up_down for dj in left_right]
        name = f"{step}-{i}-{j}"
        around = task(f"around-{name}", "block", places, grid=grid)
        spread = task(
            f"stencil-{name}",
            "stencil",
            [around],
            offsets=OFFSETS,
            weights=WEIGHTS,
            boundary="nearest",
        )
        inner = [
            [1 if -1 in there else 0, -1 if 1 in there else None] for there in (up_down, left_right)
        ]
        return task(f"tile-{name}", "slice", [spread], ranges=inner)

    task("corner", "full", shape=[1, 1], dtype="f64", value=0)
    now = [
        [
            task(f"tile-0-{i}-{j}", "load_npy", path=path, region=[list(part), list(other)])
            for j, other in enumerate(columns)
        ]
        for i, part in enumerate(rows)
    ]
    for step in range(1, steps + 1):
        now = [[next_tile(now, step, i, j) for j in range(len(columns))] for i in range(len(rows))]
    return {
        "version": 1,
        "tasks": tasks,
        "outputs": [],
        "arrays": {
            "plate": {
                "shape": list(shape),
                "dtype": "f64",
                "chunks": [[end - first for first, end in axis] for axis in (rows, columns)],
                "grid": now,
                "into": "npy",
            }
        },
        "meta": {"made_by": "examples/heat_stencil/make_graph.py"},
    }


def main():
    parser = argparse.ArgumentParser(description="Writes the graph of heat on a plate.")
    parser.add_argument("input", help="the .npy file of the temperatures at the start")
    parser.add_argument("graph", help="the .json file to write")
    parser.add_argument("--steps", type=int, default=500, help="how often heat spreads [500]")
    parser.add_argument("--tile", type=int, default=256, help="points along a tile's edge [256]")
    options = parser.parse_args()
    array = np.load(options.input, mmap_mode="r")
    if array.ndim != 2 or array.dtype != np.float64 or array.size == 0:
        raise SystemExit("error: the file must hold f64, rows x columns")
    if options.steps < 1 or options.tile < 1:
        raise SystemExit("error: --steps and --tile must be at least 1")
    path = os.path.abspath(options.input)
    graph = make_graph(path, array.shape, options.tile, options.steps)
    with open(options.graph, "w") as file:
        json.dump(graph, file)
    print(f"{options.graph}: {len(graph['tasks'])} tasks")


if __name__ == "__main__":
    main()
