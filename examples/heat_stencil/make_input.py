"""Writes the temperatures of a square plate (f64) at the start into one .npy file.

Some hot and cold discs lie on a plate of 20 degrees. The same seed gives the same bytes.
"""

import argparse

import numpy as np

DISCS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=1024, help="points along each edge [1024]")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.rows < 1:
        raise SystemExit("error: the plate must have a point")

    rng = np.random.default_rng(options.seed)
    row, column = np.ogrid[: options.rows, : options.rows]
    plate = np.full((options.rows, options.rows), 20.0)
    for _ in range(DISCS):
        middle_row, middle_column = rng.uniform(0.0, options.rows, size=2)
        radius = options.rows * rng.uniform(0.02, 0.15)
        inside = (row - middle_row) ** 2 + (column - middle_column) ** 2 < radius**2
        plate[inside] = rng.uniform(-100.0, 400.0)
    np.save(options.file, plate)
    print(f"{options.file}: {options.rows} x {options.rows} points")


if __name__ == "__main__":
    main()
