"""Checks the table of the ensemble and every result in it: check.py RESULTS.

Computes the model again. The arithmetic is IEEE doubles in the same order, so results are equal to
the last bit.
"""

import csv
import pathlib
import sys


def logistic(r, k):
    """Mean of x over 1000 steps, or none when it diverges."""
    r, x, total = r / 1000, k / 11, 0.0
    for _ in range(1000):
        x = r * x * (1 - x)
        if x < 0:
            return None
        total += x
    return total / 1000


folder = pathlib.Path(sys.argv[1])
with open(folder / "sweep.csv", newline="", encoding="utf-8") as table:
    rows = list(csv.DictReader(table))
finished = failed = 0
for row in rows:
    expected = logistic(int(row["r"]), int(row["k"]))
    if expected is None:
        assert row["state"] == "failed" and row["exit"] == "exit code 3", row
        failed += 1
    else:
        assert row["state"] == "finished", row
        assert float((folder / row["file"]).read_text()) == expected, row
        finished += 1
print(f"{len(rows)} runs: {finished} finished, {failed} failed, as expected")
