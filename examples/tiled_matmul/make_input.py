"""Writes a.npy and b.npy: random square matrices of f64. The same seed gives the same bytes."""

import argparse

import numpy as np

ROWS_AT_ONCE = 512


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    for name in "a.npy", "b.npy":
        path = f"{options.folder}/{name}"
        shape = options.rows, options.rows
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
        for first in range(0, options.rows, ROWS_AT_ONCE):
            rows = array[first : first + ROWS_AT_ONCE]
            rows[:] = rng.uniform(-1.0, 1.0, size=rows.shape)
        array.flush()


if __name__ == "__main__":
    main()
