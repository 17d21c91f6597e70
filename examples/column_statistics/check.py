"""Compares the results of a run with numpy: exit code 0 when they agree, 1 when not.

numpy looks at some columns at a time, so that it needs little memory too.
"""

import argparse
import json
import os
import sys

import numpy as np

RTOL = 1e-12
COLUMNS_AT_ONCE = 16


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
    results = {
        key: np.load(os.path.join(options.results, outputs[key]["file"])) for key in outputs
    }

    table = np.load(options.input, mmap_mode="r")
    faults = []
    for first in range(0, table.shape[1], COLUMNS_AT_ONCE):
        columns = slice(first, first + COLUMNS_AT_ONCE)
        part = np.array(table[:, columns])
        for key in ("mean", "std", "min", "max"):
            truth = getattr(part, key)(axis=0, keepdims=True)
            ours = results[key][:, columns]
            if ours.shape != truth.shape or not np.allclose(ours, truth, rtol=RTOL, atol=1e-9):
                faults.append(f"{key} of columns from {first} differs")
    faults += [
        f"{key}: shape {array.shape}"
        for key, array in results.items()
        if array.shape != (1, table.shape[1])
    ]
    if faults:
        sys.exit("numpy disagrees:\n  " + "\n  ".join(faults))
    print(f"numpy agrees (rtol {RTOL}): {', '.join(results)} of {table.shape[1]} columns")


if __name__ == "__main__":
    main()
