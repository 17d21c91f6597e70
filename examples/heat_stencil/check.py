"""Lets the heat spread in numpy: exit code 0 when every bit of the plate is the same, 1 when not."""

import argparse
import json
import os
import sys

import numpy as np


def spread(plate):
    """One step on the whole plate, summed in the order of the graph's stencil."""
    around = np.pad(plate, 1, mode="edge")
    result = 0.6 * plate
    result += 0.1 * around[:-2, 1:-1]
    result += 0.1 * around[2:, 1:-1]
    result += 0.1 * around[1:-1, :-2]
    result += 0.1 * around[1:-1, 2:]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", help="the .npy file that the run read")
    parser.add_argument("results", help="the output folder of the run")
    parser.add_argument("--steps", type=int, default=500, help="as the graph was made [500]")
    options = parser.parse_args()
    with open(os.path.join(options.results, "manifest.json")) as file:
        output = json.load(file)["outputs"]["plate"]
    if "error" in output:
        sys.exit(f"plate: {output['error']}")
    ours = np.load(os.path.join(options.results, output["file"]))
    start = np.load(options.input)
    truth = start
    for _ in range(options.steps):
        truth = spread(truth)
    if ours.shape != truth.shape or ours.dtype != truth.dtype:
        sys.exit(f"plate is {ours.dtype} {ours.shape} instead of {truth.dtype} {truth.shape}")
    if ours.tobytes() != truth.tobytes():
        different = np.count_nonzero(ours != truth)
        most = np.max(np.abs(ours - truth))
        sys.exit(f"numpy disagrees at {different} points by up to {most:.3g}")
    # A property of the plate, which does not depend on how it was computed.
    if not np.isclose(ours.sum(), start.sum(), rtol=1e-12, atol=1e-12 * np.abs(start).sum()):
        sys.exit(f"the heat was {start.sum()!r} and is {ours.sum()!r}")
    print(f"numpy agrees to the last bit: plate {ours.shape} after {options.steps} steps")


if __name__ == "__main__":
    main()
