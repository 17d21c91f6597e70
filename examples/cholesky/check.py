"""Holds L against the matrix A that it factors: exit code 0 when A = L L^T, 1 when not.

A is made again from the seeds of its tiles, as docs/families.md says; the tiles of its lower half
are compared one row of tiles at a time, so that two such rows and L are in memory.
"""

import argparse
import json
import os
import sys

import numpy as np

LIMIT = 1e-13


def random_tile(seed, block):
    """What the kernel `random` makes."""
    bits = np.random.Philox(key=[seed, 0], counter=[2**64 - 1] * 4)
    return np.random.Generator(bits).random((block, block))


def tile_of_a(i, j, tiles, block, seed):
    """Tile (i, j) of A, j <= i."""
    tile = random_tile((seed + i * tiles + j) % 2**64, block)
    return tile if j < i else (tile + tile.T) / 2 + tiles * block * np.eye(block)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", help="the output folder of the run")
    parser.add_argument("--block", type=int, default=512, help="as the graph was made [512]")
    parser.add_argument("--seed", type=int, default=0, help="as the graph was made [0]")
    options = parser.parse_args()
    with open(os.path.join(options.results, "manifest.json")) as file:
        output = json.load(file)["outputs"]["L"]
    if "error" in output:
        sys.exit(f"L: {output['error']}")
    factor = np.load(os.path.join(options.results, output["file"]), mmap_mode="r")
    n, block = factor.shape[0], options.block
    if factor.shape != (n, n) or factor.dtype != np.float64 or n % block:
        sys.exit(f"L is {factor.dtype} {factor.shape}, in tiles of {block}")

    tiles = n // block
    difference = norm = 0.0
    for i in range(tiles):
        rows = slice(i * block, (i + 1) * block)
        end = rows.stop
        if np.any(np.triu(factor[rows, rows], 1)) or np.any(factor[rows, end:]):
            sys.exit(f"L is not zero above its diagonal, in rows from {rows.start}")
        product = factor[rows, :end] @ factor[:end, :end].T
        for j in range(i + 1):
            tile = tile_of_a(i, j, tiles, block, options.seed)
            # A tile below the diagonal stands for the one above it, too.
            twice = 1.0 if i == j else 2.0
            columns = slice(j * block, (j + 1) * block)
            difference += twice * np.sum((tile - product[:, columns]) ** 2)
            norm += twice * np.sum(tile**2)
    ratio = np.sqrt(difference / norm)
    if not ratio < LIMIT:
        sys.exit(f"numpy disagrees: |A - L L^T| / |A| = {ratio:.2e}")
    print(f"numpy agrees: |A - L L^T| / |A| < {LIMIT:.0e}, n = {n} in tiles of {block}")


if __name__ == "__main__":
    main()
