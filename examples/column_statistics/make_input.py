"""Writes a table of f64, rows x columns, into one .npy file.

Column c holds normal numbers around 1000 c with a standard deviation of c + 1. The same seed
gives the same bytes. The table is written in pieces, so that it may be larger than the memory.
"""

import argparse

import numpy as np

DEFAULT_COLUMNS = 256
ROWS_AT_ONCE = 8192


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--gib", type=float, default=4.0, help="size in GiB [default: 4]")
    parser.add_argument("--columns", type=int, default=DEFAULT_COLUMNS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = int(options.gib * 2**30) // (8 * options.columns)
    if rows < 1 or options.columns < 1:
        raise SystemExit("error: the table must have a row and a column")

    column = np.arange(options.columns, dtype=np.float64)
    rng = np.random.default_rng(options.seed)
    array = np.lib.format.open_memmap(
        options.file, mode="w+", dtype=np.float64, shape=(rows, options.columns)
    )
    for first in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - first)
        noise = rng.normal(size=(count, options.columns))
        array[first : first + count] = 1000.0 * column + (column + 1.0) * noise
    array.flush()
    print(f"{options.file}: {rows} rows x {options.columns} columns, {array.nbytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
