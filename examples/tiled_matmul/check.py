"""Compares C with numpy's product: exit code 0 when they agree, 1 when not."""

import json
import os
import sys

import numpy as np


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: check.py A.npy B.npy RESULTS")
    a, b = (np.load(path, mmap_mode="r") for path in sys.argv[1:3])
    with open(os.path.join(sys.argv[3], "manifest.json")) as file:
        c = np.load(os.path.join(sys.argv[3], json.load(file)["outputs"]["C"]["file"]))
    truth = a @ b
    # Rounding of n products and sums of numbers of size 1.
    allowed = len(a) * np.finfo(np.float64).eps
    if c.shape != truth.shape or c.dtype != truth.dtype:
        sys.exit(f"C is {c.dtype} {c.shape} instead of {truth.dtype} {truth.shape}")
    if not np.allclose(c, truth, rtol=0, atol=allowed):
        sys.exit(f"numpy disagrees by up to {np.max(np.abs(c - truth)):.3g}")
    print(f"numpy agrees within {allowed:.1e}: C {c.shape}")


if __name__ == "__main__":
    main()
