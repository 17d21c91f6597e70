"""Compares the results of a run with numpy: exit code 0 when they agree, 1 when not."""

import argparse
import json
import os
import sys

import numpy as np

RTOL = 1e-12
MONTHS = 12
ROWS_AT_ONCE = 16


def differences(name, ours, numpys, scale):
    """One line if the arrays differ.

    The difference of two numbers of size `scale` carries their rounding, however small it is
    itself: so much is allowed in absolute terms.
    """
    if ours.shape != numpys.shape or ours.dtype != numpys.dtype:
        return [f"{name}: {ours.dtype} {ours.shape} instead of {numpys.dtype} {numpys.shape}"]
    if np.allclose(ours, numpys, rtol=RTOL, atol=RTOL * scale, equal_nan=True):
        return []
    return [f"{name}: differs by up to {np.max(np.abs(ours - numpys)):.3g}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", help="the .npy file that the run read")
    parser.add_argument("results", help="the output folder of the run")
    options = parser.parse_args()

    with open(os.path.join(options.results, "manifest.json")) as file:
        outputs = json.load(file)["outputs"]
    failed = [f"{key}: {outputs[key]['error']}" for key in outputs if "error" in outputs[key]]
    if failed:
        sys.exit("\n".join(failed))

    def load(key):
        return np.load(os.path.join(options.results, outputs[key]["file"]), mmap_mode="r")

    data = np.load(options.input, mmap_mode="r")
    mean, std, anomaly = load("mean"), load("std"), load("anomaly")
    faults = []
    for first in range(0, data.shape[1], ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        block = np.array(data[:, rows])
        scale = np.max(np.abs(block))
        true_mean = block.mean(axis=0, keepdims=True)
        true_anomaly = block - true_mean
        years = true_anomaly.reshape(-1, MONTHS, *block.shape[1:])
        at = f"rows from {first}"
        faults += differences(f"mean, {at}", mean[:, rows], true_mean, scale)
        faults += differences(f"anomaly, {at}", anomaly[:, rows], true_anomaly, scale)
        faults += differences(f"std, {at}", std[:, rows], years.std(axis=0), 0.0)
    for name, ours in ("mean", mean), ("std", std), ("anomaly", anomaly):
        faults += [f"{name}: {ours.shape[1]} rows"] if ours.shape[1] != data.shape[1] else []
    if faults:
        sys.exit("numpy disagrees:\n  " + "\n  ".join(faults))
    print(f"numpy agrees (rtol {RTOL}): mean {mean.shape}, std {std.shape}, anomaly {anomaly.shape}")


if __name__ == "__main__":
    main()
